//! How a run starts: from an input, from a plan, or where an earlier process stopped.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

use super::acquire::acquire;
use super::error::SessionError;
use super::import::{BATCH, Batches, Imported, import, import_plan};
use super::observer::{Observer, Step};
use super::options::REMEMBER;
use super::past::Past;
use super::plan_file::Plan;
use super::prepared_run::{PreparedRun, ReadStats};
use super::target::Target;
use crate::check::Rules;
use crate::clock::Clock;
use crate::files::temporary_dir;
use crate::input::Input;
use crate::journal::{Journal, RunHandle, RunKey, RunMetadata, RunSummary};
use crate::model::diagnostic::Diagnostic;
use crate::model::setting::Settings;
use crate::plan;

/// A target and its journal.
#[derive(Debug)]
pub struct Session {
    pub(super) target: Target,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    rng: fastrand::Rng,
    past: Past,
    scratch: Option<TempDir>,
    observer: Observer,
    batch: usize,
}

/// An input to import.
pub struct RunInput<'a> {
    /// The input.
    pub input: Input,
    /// The input as it was named, `-` for standard input.
    pub name: String,
    /// What its rows are checked against.
    pub rules: &'a Rules<'a>,
    /// Whether the valid rows are sent if others are invalid.
    pub skip_invalid: bool,
    /// All options, as they were typed.
    pub typed: Settings,
    /// The options of the run, each with the origin of its value.
    pub settings: Settings,
    /// The dedup window.
    pub remember: Duration,
}

impl<'a> RunInput<'a> {
    /// An input whose rows must all be valid. `name`: as the run keeps it.
    pub fn new(input: Input, name: impl Into<String>, rules: &'a Rules<'a>) -> RunInput<'a> {
        let (typed, settings) = (Settings::default(), Settings::default());
        let (name, skip_invalid, remember) = (name.into(), false, REMEMBER);
        RunInput { input, name, rules, skip_invalid, typed, settings, remember }
    }
}

impl Session {
    /// Opens a session. `journal` uses the same `clock`.
    #[must_use]
    pub fn open(target: Target, journal: Journal, clock: Clock) -> Session {
        let (rng, observer) = (fastrand::Rng::new(), Observer::default());
        Session { target, journal, clock, rng, past: Past::Own, scratch: None, observer, batch: BATCH }
    }

    /// Opens a session that leaves no trace: its runs can be previewed, and vanish when it is dropped. Until then their rows
    /// are among the temporary files or, if there can be none, in `otherwise`.
    ///
    /// # Errors
    /// If their rows can't be stored.
    pub fn without_trace(target: Target, past: Past, otherwise: &Path, clock: Clock) -> Result<Session, SessionError> {
        let scratch = temporary_dir(Some(otherwise)).map_err(SessionError::Scratch)?;
        let location = scratch.path().join("state").into();
        let journal = Journal::open_unnamed(&location, clock.clone())?;
        Ok(Session { past, scratch: Some(scratch), ..Session::open(target, journal, clock) })
    }

    /// Makes run IDs and delays repeatable.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Session {
        Session { rng: fastrand::Rng::with_seed(seed), ..self }
    }

    /// Loads this many rows at a time, and calls `on_step` after each commit before the first request.
    #[must_use]
    pub fn with_observer(self, rows: usize, on_step: impl FnMut(Step) + Send + 'static) -> Session {
        Session { observer: Observer::new(on_step), batch: rows, ..self }
    }

    /// Where its runs are sent.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The journal, to look up runs.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Checks every row of an input and imports them all. No other process sees the run before it is published.
    ///
    /// # Errors
    /// If the input is invalid, or the journal can't be written. Nothing of it is kept.
    pub fn import(
        mut self,
        run: RunInput<'_>,
        on_diagnostic: &mut dyn FnMut(Diagnostic),
    ) -> Result<PreparedRun, SessionError> {
        let RunInput { input, name, rules, skip_invalid, typed, settings, remember } = run;
        let metadata = RunMetadata {
            input: name,
            shape: input.shape().clone(),
            origin: self.target.origin.clone(),
            contract: self.target.contract.to_toml(),
            results: String::new(),
            options: typed.words_of(&plan::OPTIONS),
            typed,
            settings,
            remember,
        };
        let contract = self.target.contract.name.clone();
        let (handle, imported) =
            self.fill(&contract, &metadata, |rows| import(rows, input, rules, skip_invalid, on_diagnostic))?;
        let key = RunKey::Changes { digest: imported.digest.clone(), within: Duration::ZERO };
        Ok(self.prepared(handle, imported, metadata, key))
    }

    /// Imports a plan. `typed`: all options, as they were typed; `settings`: each with the origin of its value.
    ///
    /// # Errors
    /// If its file has changed meanwhile, or the journal can't be written. Nothing of it is kept.
    pub fn import_plan(
        mut self,
        plan: &Plan,
        typed: Settings,
        settings: Settings,
        remember: Duration,
    ) -> Result<PreparedRun, SessionError> {
        let header = &plan.header;
        let metadata = RunMetadata {
            input: header.input.clone(),
            shape: header.shape.clone(),
            origin: self.target.origin.clone(),
            contract: header.rules.clone(),
            results: String::new(),
            options: header.options.clone(),
            typed,
            settings,
            remember,
        };
        let (handle, imported) = self.fill(&header.contract, &metadata, |rows| import_plan(rows, plan))?;
        Ok(self.prepared(handle, imported, metadata, RunKey::Plan(plan.checksum.clone())))
    }

    /// Creates a run and fills it; if that fails, discards it.
    pub(super) fn fill<R>(
        &mut self,
        contract: &str,
        metadata: &RunMetadata,
        fill: impl FnOnce(&mut Batches<'_>) -> Result<R, SessionError>,
    ) -> Result<(RunHandle, R), SessionError> {
        let Session { target, journal, rng, observer, batch: rows, .. } = self;
        let run = journal.create_run(&target.tenant, contract, metadata, rng)?;
        observer.tell(Step::Created);
        let (rows, batch) = (*rows, Vec::new());
        let mut batches = Batches { journal, run: &run, observer, rows, batch, bytes: 0 };
        let filled = fill(&mut batches).and_then(|filled| Ok(batches.end().map(|()| filled)?));
        match filled {
            Ok(filled) => Ok((run, filled)),
            Err(error) => {
                self.journal.discard(&run)?;
                Err(error)
            }
        }
    }

    pub(super) fn prepared(
        self,
        handle: RunHandle,
        imported: Imported,
        metadata: RunMetadata,
        key: RunKey,
    ) -> PreparedRun {
        let Session { target, journal, clock, rng, past, scratch, observer, .. } = self;
        let (resumes, compared, reads) = (false, None, ReadStats::default());
        PreparedRun {
            target,
            journal,
            handle,
            resumes,
            imported,
            metadata,
            key,
            compared,
            reads,
            clock,
            rng,
            past,
            scratch,
            observer,
        }
    }

    /// Resumes a run where an earlier process stopped.
    ///
    /// # Errors
    /// If another process sends it, or the journal can't be read.
    pub fn resume(mut self, run: RunSummary) -> Result<PreparedRun, SessionError> {
        let handle = acquire(&mut self.journal, &run.name, &self.target.contract)?;
        let RunSummary { facts, plan, scope, .. } = run;
        self.target.tenant = scope;
        let key = plan.map_or_else(|| RunKey::Changes { digest: Vec::new(), within: Duration::ZERO }, RunKey::Plan);
        Ok(PreparedRun { resumes: true, ..self.prepared(handle, Imported::default(), facts, key) })
    }
}
