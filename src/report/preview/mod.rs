//! The preview: what a run would do, shown before the prompt and by a dry run.
//!
//! Promises: it has everything that a user needs to decide; an emulator can't be mistaken for a real tenant, or vice versa;
//! text from outside is escaped.

mod lines;

use std::io::{self, Write};

use jiff::Timestamp;

pub(super) use lines::named;
pub use lines::read_announcement;

use super::humanize::{Precision, WIDTH, clock_time, columns_of, count, counted, cut_to, fitted, lasting, wrapped};
use super::layout::{BOLD_YELLOW, Layout};
use super::next_command::NextCommand;
use super::page::ContextColumns;
use crate::model::quota_spec::duration_text;
use crate::session::{self, Estimate, PreflightSummary};
use crate::text::printable;

/// The width of the labels.
const LABEL: usize = 10;

/// The longest part of a request's body that is shown, in characters.
const SHOWN_BODY: usize = 2_000;

/// What a run would do, and what a user needs to decide.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The preview of the session.
    pub run: session::Preview,
    /// The API and the tenant.
    pub target: TargetLabel,
    /// The contract with its path and its quota, if it is not built in.
    pub contract: Option<String>,
    /// The input as it was named; `-` for standard input.
    pub input: String,
    /// Further properties of the input, a line for each.
    pub notes: Vec<String>,
    /// What happens to the alerts of the incidents, a line for each effect.
    pub alerts: Vec<String>,
    /// Doubtful values: the number of rows, and the value with the reason.
    pub doubtful: Vec<(u64, String)>,
    /// When the token expires, if that is known.
    pub token_expires: Option<Timestamp>,
    /// The commands that finish the unfinished runs with changes for the same incidents, in the same order.
    pub finish: Vec<NextCommand>,
    /// The first requests, for a dry run.
    pub first_requests: Vec<FirstRequest>,
}

/// The target of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetLabel {
    /// The API's origin.
    pub origin: String,
    /// The tenant key as it is displayed, if it is known.
    pub scope: Option<String>,
    /// The caller's name in the token.
    pub caller: Option<String>,
    /// The kind of credential, where the program requests the tokens; with the host, if that is not a usual one.
    pub credential: Option<String>,
    /// The proxy, without its password.
    pub proxy: Option<String>,
    /// The variables that name the trusted certificates; may be empty.
    pub certificates: String,
    /// Whether it is an emulator.
    pub emulator: bool,
}

/// A request as it would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstRequest {
    /// `PATCH`
    pub method: &'static str,
    /// The path, with a leading slash.
    pub path: String,
    /// The exact body (JSON).
    pub body: String,
    /// The values of its properties when the incident was fetched, if the input has them.
    pub was: Option<String>,
}

impl FirstRequest {
    /// `context` reads the other columns of the input.
    #[must_use]
    pub fn new(request: session::FirstRequest, context: &ContextColumns, now: Timestamp) -> FirstRequest {
        let session::FirstRequest { method, path, body, edits, source } = request;
        let was = context.of(&source).fetched.and_then(|fetched| fetched.line(&edits, now));
        FirstRequest { method, path, body, was }
    }
}

impl Preview {
    /// Writes it as text. On a terminal, lines are wrapped between words; not in a pipe.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write(&self, mut out: impl Write, layout: Layout) -> io::Result<()> {
        if self.target.emulator {
            writeln!(out, "{}", layout.painted("EMULATOR: nothing real changes", BOLD_YELLOW))?;
        }
        for (label, lines) in self.sections() {
            for (at, line) in lines.iter().enumerate() {
                for (part, text) in fitted_lines(&printable(line), layout).iter().enumerate() {
                    let label = if at + part == 0 { label } else { "" };
                    writeln!(out, "{}", cut_to(&format!("{label:<LABEL$}{text}"), layout.width))?;
                }
            }
        }
        for warning in self.warnings() {
            let warning = layout.wrap(&printable(&format!("warning: {warning}")));
            writeln!(out, "{}", layout.painted(&warning, BOLD_YELLOW))?;
        }
        self.write_changes(&mut out, layout)?;
        for (run, finish) in self.unfinished() {
            writeln!(out, "\nto finish run {} first:\n  {finish}", printable(run))?;
        }
        if !self.first_requests.is_empty() {
            writeln!(out, "\nThe first requests:")?;
        }
        for request in &self.first_requests {
            writeln!(out, "  {} {}", request.method, printable(&request.path))?;
            writeln!(out, "  {}", fitted(&request.body, SHOWN_BODY))?;
            if let Some(was) = &request.was {
                let width = layout.width.map_or(WIDTH, |columns| WIDTH.min(columns.saturating_sub(1)));
                writeln!(out, "  {}", fitted(was, width.saturating_sub(2)))?;
            }
        }
        Ok(())
    }

    fn write_changes(&self, out: &mut impl Write, layout: Layout) -> io::Result<()> {
        let first = &self.run.first_changes;
        if first.is_empty() {
            return Ok(());
        }
        writeln!(out, "\nChanges:")?;
        for change in first {
            change.write(out, layout)?;
        }
        match self.run.counts.rows.saturating_sub(first.len() as u64) {
            0 => Ok(()),
            more => writeln!(out, "  and {} more", count(more)),
        }
    }

    fn sections(&self) -> [(&'static str, Vec<String>); 10] {
        [
            ("target", self.target.lines()),
            ("contract", self.contract.iter().map(|contract| printable(contract).into_owned()).collect()),
            ("rows", self.row_lines()),
            ("skipped", self.skipped_lines()),
            ("compared", self.run.compared.iter().map(PreflightSummary::line).collect()),
            ("sets", self.run.counts.sets.lines()),
            ("alerts", self.alerts.clone()),
            ("undo", self.run.counts.undo_line().into_iter().collect()),
            ("time", if self.run.counts.rows > 0 { self.time_lines() } else { Vec::new() }),
            ("history", self.history_lines()),
        ]
    }

    pub(super) fn row_lines(&self) -> Vec<String> {
        let counts = &self.run.counts;
        let requests = Some(counts.requests).filter(|requests| *requests != counts.rows);
        let requests = requests.map(|requests| format!(", {}", counted(requests, "request"))).unwrap_or_default();
        let rows = format!("{} of {}{requests}", count(counts.rows), printable(&self.input));
        let doubt = match counts.in_doubt {
            0 => None,
            rows => Some(format!("{} in doubt: read first, sent only if needed", counted(rows, "row"))),
        };
        // These count all rows of the input, including the skipped ones.
        let overridden =
            self.run.overridden.iter().map(|(property, cells)| {
                format!("--set overrides {} of {}", counted(*cells, "cell"), printable(property))
            });
        [rows].into_iter().chain(doubt).chain(self.notes.iter().cloned()).chain(overridden).collect()
    }

    /// The rows that are left out, each reason on its line.
    pub(super) fn skipped_lines(&self) -> Vec<String> {
        let applied = self.applied_lines(false, "already applied", "skipped");
        let compared = self.run.compared.iter().filter_map(PreflightSummary::skipped_line);
        self.run.counts.skipped_lines().into_iter().chain(applied).chain(compared).collect()
    }

    pub(super) fn time_lines(&self) -> Vec<String> {
        let Estimate { starts_at, duration, stop_after } = self.run.estimate;
        let (rows, ends_at) = (self.run.counts.rows, self.run.estimate.ends_at());
        let end = clock_time(starts_at, ends_at, Precision::Minute);
        let stop = stop_after.map(|(after, fitting)| {
            let fits = if fitting >= rows {
                "all rows fit".to_owned()
            } else {
                format!("{} of {} fit", count(fitting), counted(rows, "row"))
            };
            format!("--stop-after {}: {fits}", duration_text(after))
        });
        let token = self
            .token_expires
            .filter(|expires| *expires >= ends_at)
            .map(|expires| format!("token expires at {}", clock_time(starts_at, expires, Precision::Minute)));
        [format!("{}, done at {end}", lasting(duration))].into_iter().chain(stop).chain(token).collect()
    }

    /// Rows that earlier runs have applied, `again` if they are sent again; a line for each run.
    fn applied_lines(&self, again: bool, applied: &str, what: &str) -> impl Iterator<Item = String> {
        let changes = self.run.earlier.iter().flat_map(|earlier| &earlier.applied);
        changes.filter(move |((_, is_sent), _)| *is_sent == again).map(move |((run, _), changes)| {
            let time = clock_time(self.run.estimate.starts_at, changes.last, Precision::Minute);
            format!("{} {applied} by run {} at {time}: {what}", counted(changes.rows, "row"), printable(run))
        })
    }

    /// What earlier runs have to do with it.
    pub(super) fn history_lines(&self) -> Vec<String> {
        if self.run.earlier.is_none() {
            return vec!["not checked (no token, so the tenant is unknown)".to_owned()];
        }
        let resumed = self.run.resumed.as_ref();
        let resumed =
            resumed.map(|(run, over)| format!("resumes run {}: {} finished", printable(run), counted(*over, "row")));
        resumed.into_iter().chain(self.history_warnings()).collect()
    }

    /// Of that what a person should look at.
    pub(super) fn history_warnings(&self) -> impl Iterator<Item = String> {
        let unfinished = self.run.earlier.iter().flat_map(|earlier| &earlier.unfinished).map(|(run, incidents)| {
            let (run, incidents) = (printable(run), counted(*incidents, "incident"));
            format!("run {run} is not finished and has other changes for {incidents}")
        });
        self.applied_lines(true, "applied", "sent again").chain(unfinished)
    }

    /// The runs that are not finished and have touched the same incidents, with the commands that finish them.
    pub(super) fn unfinished(&self) -> impl Iterator<Item = (&str, &NextCommand)> {
        let runs = self.run.earlier.iter().flat_map(|earlier| earlier.unfinished.keys());
        runs.map(String::as_str).zip(&self.finish)
    }

    /// What is easily overlooked and costs dearly.
    pub(super) fn warnings(&self) -> Vec<String> {
        let (starts_at, ends_at) = (self.run.estimate.starts_at, self.run.estimate.ends_at());
        let expires = self.token_expires.filter(|expires| *expires < ends_at).map(|expires| {
            let time = clock_time(starts_at, expires, Precision::Minute);
            format!("the token expires at {time}, before the end")
        });
        let retargeted = &self.run.retargeted;
        let followed = (retargeted.rows > 0).then(|| {
            let verb = if retargeted.rows == 1 { "updates" } else { "update" };
            let (rows, lines) = (counted(retargeted.rows, "row"), named(retargeted));
            format!("{rows} {verb} the incident into which the row's own was merged ({lines})")
        });
        let doubtful = self.doubtful.iter().map(|(rows, what)| {
            let verb = if *rows == 1 { "sets" } else { "set" };
            format!("{} {verb} {}", counted(*rows, "row"), printable(what))
        });
        let compared = self.run.compared.iter().flat_map(PreflightSummary::warnings);
        expires.into_iter().chain(doubtful).chain(followed).chain(compared).collect()
    }
}

/// The text next to a label, on lines that fit the terminal and begin below its first gap.
fn fitted_lines(text: &str, layout: Layout) -> Vec<String> {
    let gap = text.find("  ").unwrap_or_default();
    let words = text[gap..].trim_start();
    let first = &text[..text.len() - words.len()];
    let indent = columns_of(first);
    let Some(width) = layout.width.filter(|width| LABEL + columns_of(text) >= *width) else {
        return vec![text.to_owned()];
    };
    // The last column stays free.
    let room = width.saturating_sub(LABEL + indent + 1);
    let start = |at| if at == 0 { first.to_owned() } else { " ".repeat(indent) };
    wrapped(words, room).lines().enumerate().map(|(at, line)| start(at) + line).collect()
}

impl TargetLabel {
    /// The lines of the label, safe to print.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let scope = self.scope.as_ref().map(|scope| printable(scope).into_owned());
        let name = self.caller.as_ref().map(|caller| format!(" as {}", printable(caller)));
        let kind = self.credential.as_ref().map(|kind| format!(" with {}", printable(kind)));
        let caller = name.into_iter().chain(kind).reduce(|name, kind| name + &kind);
        let caller = caller.map(|caller| format!("signed in{caller}"));
        let proxy = self.proxy.as_ref().map(|proxy| format!("through the proxy {}", printable(proxy)));
        let certificates = Some(format!("certificates from {}", self.certificates));
        let certificates = certificates.filter(|_| !self.certificates.is_empty());
        let origin = [printable(&self.origin).into_owned()];
        scope.into_iter().chain(origin).chain(proxy).chain(certificates).chain(caller).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;
    use crate::journal::{AppliedChanges, PriorRuns};
    use crate::session::{Counts, NamedLines, SetCounts};

    fn at(text: &str) -> Timestamp {
        text.parse().expect("valid")
    }

    fn counts(bodies: &[(&str, u64)]) -> SetCounts {
        let mut counts = SetCounts::default();
        for (body, rows) in bodies {
            (0..*rows)
                .for_each(|_| counts.add(&crate::plan::decode(body, body.contains("comment")).expect("a body"), None));
        }
        counts
    }

    fn preview() -> Preview {
        let changes = |rows, last| AppliedChanges { rows, last: at(last) };
        Preview {
            run: session::Preview {
                counts: Counts {
                    rows: 1_000,
                    requests: 1_000,
                    invalid: 3,
                    not_undoable: 1_000,
                    sets: counts(&[
                        (
                            r#"{"status":"Resolved","classification":"FalsePositive","comment":"Rule 42 was tuned"}"#,
                            998,
                        ),
                        (r#"{"status":"Resolved","assignedTo":"","tags":["a","b;c"],"comment":"\u001b[2J=1"}"#, 2),
                    ]),
                    ..Counts::default()
                },
                overridden: vec![("classification".to_owned(), 12)],
                compared: None,
                retargeted: NamedLines::default(),
                first_changes: vec![],
                resumed: None,
                earlier: Some(PriorRuns {
                    applied: BTreeMap::from([
                        (("6aaa".to_owned(), false), changes(10, "2026-11-24T09:00:00Z")),
                        (("5bbb".to_owned(), true), changes(278, "2026-11-20T09:00:00Z")),
                    ]),
                    unfinished: BTreeMap::from([("4ccc".to_owned(), 40)]),
                }),
                outlook: session::Outlook::default(),
                estimate: Estimate {
                    starts_at: at("2026-11-24T17:30:00Z"),
                    duration: Duration::from_secs(1_176),
                    stop_after: Some((Duration::from_mins(10), 500)),
                },
            },
            target: TargetLabel {
                origin: "https://api.security.microsoft.com".to_owned(),
                scope: Some("tenant 0b7e6d3c-5d5f-4a39-9d3c-2f6f0d7a1e55".to_owned()),
                caller: Some("secop2@contoso.com".to_owned()),
                credential: None,
                proxy: None,
                certificates: String::new(),
                emulator: false,
            },
            contract: None,
            input: "close.csv".to_owned(),
            alerts: vec!["active alerts of 1,000 incidents will be resolved, too".to_owned()],
            notes: vec![],
            doubtful: vec![(998, "classification to `FalsePositive`: it was withdrawn".to_owned())],
            token_expires: Some(at("2026-11-24T17:40:00Z")),
            finish: vec![NextCommand::new("bulk-triage").word("runs").word("resume").word("4ccc")],
            first_requests: vec![FirstRequest {
                method: "PATCH",
                path: "/api/incidents/924565".to_owned(),
                body: "{\"comment\":\"\u{202e}x\"}".to_owned(),
                was: None,
            }],
        }
    }

    fn text(preview: &Preview) -> String {
        let mut out = Vec::new();
        preview.write(&mut out, Layout::PIPE).expect("a Vec takes all");
        let text = String::from_utf8(out).expect("text");
        assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
        text
    }

    #[test]
    fn preview_shows_what_will_be_sent() {
        insta::assert_snapshot!(text(&preview()), @r#"
        target    tenant 0b7e6d3c-5d5f-4a39-9d3c-2f6f0d7a1e55
                  https://api.security.microsoft.com
                  signed in as secop2@contoso.com
        rows      1,000 of close.csv
                  --set overrides 12 cells of classification
        skipped   3 rows invalid: skipped
                  10 rows already applied by run 6aaa at 09:00 UTC: skipped
        sets      status              1,000  Resolved
                  classification        998  FalsePositive
                  comment               998  Rule 42 was tuned
                                          2  \u{1b}[2J=1
                  assignedTo              2  <clear>
                  tags                    2  ["a","b;c"]
                                             replaces the current tags
        alerts    active alerts of 1,000 incidents will be resolved, too
        undo      cannot be undone: without --compare, previous values are not recorded
        time      19 min 36 s, done at 17:49 UTC
                  --stop-after 10m: 500 of 1,000 rows fit
        history   278 rows applied by run 5bbb at 2026-11-20 09:00 UTC: sent again
                  run 4ccc is not finished and has other changes for 40 incidents
        warning: the token expires at 17:40 UTC, before the end
        warning: 998 rows set classification to `FalsePositive`: it was withdrawn

        to finish run 4ccc first:
          bulk-triage runs resume 4ccc

        The first requests:
          PATCH /api/incidents/924565
          {"comment":"\u{202e}x"}
        "#);
    }

    #[test]
    fn narrow_terminal_wraps_and_cuts_nothing() {
        let mut preview = preview();
        preview.first_requests[0].was = Some(format!("was when it was fetched: {}", "x".repeat(80)));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let piped = text(&Preview { first_requests: vec![], ..preview.clone() });
        for width in [60, 72, 80] {
            let layout = Layout { width: Some(width), color: false };
            let mut out = Vec::new();
            preview.write(&mut out, layout).expect("a Vec takes all");
            let shown = String::from_utf8(out).expect("text");
            assert!(shown.lines().all(|line| line.chars().count() <= width), "{shown}");
            let before_requests = shown.split("\nThe first requests:").next().expect("there is one");
            assert_eq!(words(before_requests), words(&piped), "{shown}");
        }
    }

    #[test]
    fn emulator_target_is_shown_first() {
        let mut preview = Preview {
            target: TargetLabel {
                origin: "http://127.0.0.1:40321".to_owned(),
                scope: None,
                caller: None,
                credential: None,
                proxy: None,
                certificates: String::new(),
                emulator: true,
            },
            doubtful: vec![],
            token_expires: Some(at("2026-11-24T18:30:00Z")),
            first_requests: vec![],
            ..preview()
        };
        preview.run.counts.invalid = 0;
        preview.run.overridden.clear();
        preview.run.estimate.stop_after = Some((Duration::from_hours(1), 1_500));
        preview.run.earlier = Some(PriorRuns::default());
        insta::assert_snapshot!(text(&preview), @r#"
        EMULATOR: nothing real changes
        target    http://127.0.0.1:40321
        rows      1,000 of close.csv
        sets      status              1,000  Resolved
                  classification        998  FalsePositive
                  comment               998  Rule 42 was tuned
                                          2  \u{1b}[2J=1
                  assignedTo              2  <clear>
                  tags                    2  ["a","b;c"]
                                             replaces the current tags
        alerts    active alerts of 1,000 incidents will be resolved, too
        undo      cannot be undone: without --compare, previous values are not recorded
        time      19 min 36 s, done at 17:49 UTC
                  --stop-after 1h: all rows fit
                  token expires at 18:30 UTC
        "#);
    }

    #[test]
    fn unknown_tenant_key_hides_history_with_reason() {
        let mut preview = preview();
        preview.run.earlier = None;
        let text = text(&preview);
        assert!(text.contains("history   not checked (no token, so the tenant is unknown)"), "{text}");
    }
}
