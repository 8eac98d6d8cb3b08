//! The saved progress of `fetch`: what is read goes to a partial file, from which an interrupted fetch resumes.

use std::io;
use std::time::Duration;

use jiff::Timestamp;

use super::filters::QUERY;
use crate::apply::{ListSource, LocalFilter, ServerFilter, StopReason, not_newer};
use crate::cli::error::Error;
use crate::cli::global::GlobalArgs;
use crate::cli::stop::{code_of, stop_message};
use crate::cli::target::Target;
use crate::cli::terminal::say;
use crate::clock::Clock;
use crate::contract::Contract;
use crate::model::call::Incident;
use crate::output::fetched::{FetchFile, Fetched, PartialFile, PartialHeader, PartialStart};
use crate::report::fetch_summary::incomplete;
use crate::report::next_command::NextCommand;
use crate::text::printable;

/// An interrupted fetch is resumed within this time; after it, the list is read anew.
const OLDEST_PART: Duration = Duration::from_hours(12);

/// What is asked for, by which an interrupted fetch is known again.
pub(super) fn header(global: &GlobalArgs, filter: &ServerFilter, target: &Target) -> PartialHeader {
    PartialHeader::new(
        global.typed.words_of(&QUERY),
        filter.to_odata(&target.contract.api.list.filters),
        target.origin().to_string(),
        target.scope_or_origin().as_str().to_owned(),
        target.contract.to_toml(),
    )
}

/// The partial file, and what it had when it was opened.
pub(super) struct SavedProgress {
    part: PartialFile,
    start: PartialStart,
    /// The incidents that were read before, and whether they match the local filter.
    known: Vec<(u64, bool)>,
    /// The creation of the newest of them.
    newest: Option<Timestamp>,
}

impl SavedProgress {
    /// Opens the progress of a fetch to `file`, or starts anew.
    ///
    /// # Errors
    /// If it can't be read or written, or another process is fetching there.
    pub(super) fn open(
        file: &FetchFile,
        header: PartialHeader,
        contract: &Contract,
        local: &LocalFilter,
        now: Timestamp,
    ) -> Result<SavedProgress, Error> {
        let (mut known, mut newest) = (Vec::new(), None);
        let oldest = now.saturating_sub(OLDEST_PART).unwrap_or(now);
        let (part, start) = PartialFile::open(file, header, now, oldest, |one| {
            newest = newest.max(one.created(contract));
            known.push((one.id, local.matches(&one.incident())));
        })?;
        Ok(SavedProgress { part, start, known, newest })
    }

    /// Says whether the fetch resumes.
    pub(super) fn announce(&self) {
        match self.start {
            PartialStart::New => {}
            PartialStart::Resumed => {
                say(&format!("resuming after the {} incidents that were read before", self.known.len()));
            }
            PartialStart::Discarded => say("saved progress is for a different query or too old; starting over"),
        }
    }

    /// The rest of the list, as a source that saves what is read.
    pub(super) fn rest_of_list(
        &mut self,
        contract: &Contract,
        local: &LocalFilter,
        limit: Option<u64>,
        clock: &Clock,
    ) -> ListSource<impl FnMut(Vec<Incident>) -> io::Result<()>> {
        let SavedProgress { part, known, newest, .. } = self;
        let list = &contract.api.list;
        let asked = part.header().filter.clone();
        // What came in since would stand before all that was read.
        let filter = newest.map(|newest| not_newer(asked.as_deref(), newest, &list.filters)).or(asked);
        let clock = clock.clone();
        let save = move |page: Vec<Incident>| {
            let at = clock.now().wall;
            let page: Vec<Fetched> = page.into_iter().map(|incident| Fetched::new(incident, at)).collect();
            part.append(&page)
        };
        let mut source = ListSource::new(list, filter, local.clone(), limit, save);
        for (id, matches) in known.drain(..) {
            source.mark_known(id, matches);
        }
        source
    }

    /// Writes the incidents that were asked for, and removes the progress. Returns their number, and that of the rows
    /// that were replaced.
    ///
    /// # Errors
    /// If one of them can't be read or written.
    pub(super) fn write_to(
        self,
        file: &FetchFile,
        contract: &Contract,
        local: &LocalFilter,
        limit: Option<u64>,
    ) -> Result<(u64, u64), Error> {
        let mut incidents = 0;
        let asked_for = self.part.incidents()?.filter(|one| {
            let matches = one.as_ref().map_or(true, |one| local.matches(&one.clone().incident()));
            let is_asked_for = matches && limit.is_none_or(|limit| incidents < limit);
            incidents += u64::from(is_asked_for);
            is_asked_for
        });
        let replaced = file.write(contract, asked_for)?;
        self.part.remove()?;
        Ok((incidents, replaced))
    }

    /// Ends a list that was not read to its end. Returns the error that says so. `to_stdout`: the progress is not kept.
    ///
    /// # Errors
    /// If the progress can't be removed.
    pub(super) fn stopped_early(
        self,
        stop: &StopReason,
        read: u64,
        to_stdout: bool,
        contract: &Contract,
        again: &NextCommand,
    ) -> Result<Error, Error> {
        if let StopReason::QueryRejected { message } = stop {
            self.part.remove()?;
            return Ok(Error::usage(format!("the API rejects the query: {}", printable(message))));
        }
        let message = format!("stopped early: {}", stop_message(stop, contract));
        say(&message);
        say(&incomplete(read));
        let kept = match read {
            _ if to_stdout => "nothing was written; to start over",
            0 => self.part.remove().map(|()| "nothing was read; to try again")?,
            _ => "progress is saved; to resume",
        };
        say(&format!("{kept}:\n  {again}"));
        let message = format!("{message}; {}", incomplete(read));
        Ok(Error::Ended { code: code_of(stop), message })
    }
}
