//! The dry run: what a run would do, found out without a trace.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use super::counts::{Counter, Counts, LeftOut, Recorded};
use super::error::SessionError;
use super::import::{BATCH, Imported, read};
use super::outlook::Outlook;
use super::preview::{Estimate, Preview, PreviewOptions};
use crate::check::{CheckedRow, Rules};
use crate::clock::Now;
use crate::contract::Contract;
use crate::input::Input;
use crate::journal::{JournalError, PriorRuns, ReadOnlyJournal, WillSend};
use crate::model::change::{Change, IncidentId};
use crate::model::diagnostic::Diagnostic;
use crate::model::edit::Edits;
use crate::model::quota_spec::Quota;

/// A request as it would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstRequest {
    /// Such as `PATCH`.
    pub method: &'static str,
    /// Begins with a slash.
    pub path: String,
    /// JSON, exactly.
    pub body: String,
    /// What it changes.
    pub edits: Edits,
    /// The row's own bytes.
    pub source: Vec<u8>,
}

/// Keeps the rows of a dry run for a review.
pub trait KeptRows {
    /// Keeps one, and what of it will be sent, or why it is left out.
    ///
    /// # Errors
    /// If there is no room for it.
    fn add(&mut self, row: &CheckedRow, sent: Result<WillSend, LeftOut>) -> io::Result<()>;

    /// Calls `each` with the number and the change of each row that has one, in their order.
    ///
    /// # Errors
    /// If they can't be read again, or `each` fails.
    fn each_change(
        &mut self,
        each: &mut dyn FnMut(u64, Change) -> Result<(), SessionError>,
    ) -> Result<(), SessionError>;
}

/// How a dry run reads its input.
pub struct DryRunOptions<'a> {
    /// What the rows are checked against.
    pub rules: &'a Rules<'a>,
    /// Whether the valid rows count without the others.
    pub skip_invalid: bool,
    /// The history, if the tenant is known.
    pub history: Option<&'a ReadOnlyJournal>,
    /// The dedup window.
    pub remember: Duration,
}

/// What a dry run finds out.
#[derive(Debug, Default)]
pub struct DryRun {
    /// What was read.
    pub imported: Imported,
    /// What of it would be sent.
    pub counts: Counts,
    /// What earlier runs have to do with it.
    pub earlier: PriorRuns,
    /// The first requests, as they would be sent.
    pub first: Vec<FirstRequest>,
    /// Rows that turned out to be invalid in the end, by their number, and why.
    pub contradicting: BTreeMap<u64, String>,
}

impl DryRun {
    /// The preview of it, with what was read.
    #[must_use]
    pub fn preview(self, outlook: &Outlook, quota: &Quota, options: &PreviewOptions, now: Now) -> (Preview, Imported) {
        let Imported { invalid, nothing_asked, limited, .. } = self.imported;
        let counts = Counts { invalid, nothing_asked, limited, ..self.counts };
        let estimate = Estimate::new(&counts, outlook, quota, options, now);
        let (compared, retargeted, first_changes, resumed) = (None, (0, Vec::new()), Vec::new(), None);
        let earlier = self.earlier;
        (Preview { counts, compared, retargeted, first_changes, resumed, earlier, estimate }, self.imported)
    }
}

/// So many requests are shown.
const SHOWN: usize = 3;

/// Reads an input as an import does, and keeps nothing of it.
///
/// # Errors
/// As an import; and if `rows` fails.
pub fn dry_run(
    input: Input,
    options: &DryRunOptions<'_>,
    mut rows: Option<&mut dyn KeptRows>,
    on_diagnostic: &mut dyn FnMut(Diagnostic),
) -> Result<DryRun, SessionError> {
    let rules = options.rules;
    let mut first = Vec::new();
    let mut counting = Counting::new(options);
    let mut keep = |batch: &[CheckedRow]| {
        let changes = batch.iter().filter_map(|row| Some((row.row, row.verdict.as_ref().ok()?)));
        let mut counted = counting.count(&changes.collect::<Vec<_>>())?.into_iter();
        for row in batch {
            let change = row.verdict.as_ref().ok();
            let counted = change.and_then(|change| Some((change, counted.next()?)));
            let sent = match counted {
                None => Ok(WillSend::All),
                Some((_, Err(left_out))) => Err(left_out),
                Some((change, Ok((edits, will_send)))) => {
                    // The request for a list edit is not known before its incident is read.
                    if first.len() < SHOWN && !change.edits.edit_lists() {
                        let requests = requests(rules.contract, change.incident, &edits, &row.source);
                        first.extend(requests.map(|request| (row.row, request)));
                    }
                    Ok(will_send)
                }
            };
            if let Some(rows) = &mut rows {
                rows.add(row, sent).map_err(SessionError::Rows)?;
            }
        }
        Ok(())
    };
    let (imported, stats) = read(input, rules, options.skip_invalid, on_diagnostic, &mut keep)?;
    let contradicting: BTreeMap<u64, String> = stats.contradicting().map(|(row, error)| (row, error.message)).collect();
    if !contradicting.is_empty()
        && let Some(rows) = rows
    {
        // That these are invalid is known in the end only: without them, once more.
        counting = Counting::new(options);
        let count_all = |counting: &mut Counting<'_>, batch: Vec<(u64, Change)>| {
            counting.count(&batch.iter().map(|(row, change)| (*row, change)).collect::<Vec<_>>())
        };
        let mut batch = Vec::new();
        rows.each_change(&mut |row, change| {
            if !contradicting.contains_key(&row) {
                batch.push((row, change));
            }
            if batch.len() == BATCH {
                count_all(&mut counting, std::mem::take(&mut batch))?;
            }
            Ok(())
        })?;
        count_all(&mut counting, batch)?;
    }
    first.retain(|(row, _)| !contradicting.contains_key(row));
    let first = first.into_iter().map(|(_, request)| request).collect();
    let Counting { counter, earlier, .. } = counting;
    Ok(DryRun { imported, counts: counter.finish(), earlier, first, contradicting })
}

/// The requests of a row as they would be sent.
fn requests(
    contract: &Contract,
    incident: IncidentId,
    edits: &Edits,
    source: &[u8],
) -> impl Iterator<Item = FirstRequest> {
    let change = Change { incident, edits: edits.clone() }.resolved();
    change.into_iter().flat_map(|change| contract.steps(&change).collect::<Vec<_>>()).map(|step| FirstRequest {
        method: step.method.as_str(),
        path: step.path,
        body: step.body.to_json(),
        edits: step.body.edits.into(),
        source: source.to_vec(),
    })
}

/// What will be sent of a row, or why it is left out.
type Sent = Result<(Edits, WillSend), LeftOut>;

/// Counts the rows of a dry run.
struct Counting<'a> {
    options: &'a DryRunOptions<'a>,
    counter: Counter,
    earlier: PriorRuns,
}

impl<'a> Counting<'a> {
    fn new(options: &'a DryRunOptions<'a>) -> Counting<'a> {
        Counting { options, counter: Counter::default(), earlier: PriorRuns::default() }
    }

    /// Counts rows. Returns for each what will be sent, or why it is left out.
    fn count(&mut self, rows: &[(u64, &Change)]) -> Result<Vec<Sent>, JournalError> {
        let DryRunOptions { history, remember, rules, .. } = *self.options;
        let counter = &mut self.counter;
        let is_first = rows.iter().map(|(row, change)| counter.is_first(*row, change.incident, &change.edits));
        let is_first: Vec<bool> = is_first.collect();
        let first: Vec<&Change> =
            rows.iter().zip(&is_first).filter(|(_, is_first)| **is_first).map(|((_, change), _)| *change).collect();
        let mut will_send = match history {
            Some(history) => history.add_prior_runs(&first, rules.contract, remember, &mut self.earlier)?,
            None => vec![WillSend::All; first.len()],
        }
        .into_iter();
        let counted = rows.iter().zip(is_first).map(|((row, change), is_first)| {
            let will_send = if is_first { will_send.next() } else { None };
            let will_send = will_send.ok_or(LeftOut::Repeated)?;
            Ok((self.count_first(*row, change, will_send)?, will_send))
        });
        Ok(counted.collect())
    }

    /// Counts a row whose change no earlier row asks for.
    fn count_first(&mut self, row: u64, change: &Change, will_send: WillSend) -> Result<Edits, LeftOut> {
        let edits = match will_send {
            WillSend::All => change.edits.clone(),
            WillSend::WithoutComment => {
                self.counter.leave_out_comment(row);
                change.edits.without_added()
            }
            WillSend::OnlyComment => {
                self.counter.leave_out_properties(row);
                change.edits.only_added()
            }
            WillSend::Nothing => {
                self.counter.leave_out_applied(row);
                return Err(LeftOut::Applied);
            }
        };
        let recorded = if change.edits.edit_lists() { Recorded::Yes } else { Recorded::Nothing };
        let requests = self.options.rules.contract.parts(&edits).count();
        self.counter.add(&edits, requests, recorded, false);
        Ok(edits)
    }
}
