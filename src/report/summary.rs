//! The summary of a run, as text and as JSON.
//!
//! Promises: the JSON object has exactly the documented members; memory does not grow with the number of rows.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::humanize::{WIDTH, count, counted, cut_to, fitted, lasting};
use super::layout::{GREEN, Layout, RED, YELLOW};
use super::next_command::NextCommand;
use super::outcome_counts::OutcomeCounts;
use crate::apply::events::Event;
use crate::model::outcome::{OutcomeKind, ResultRow};
use crate::model::setting::Settings;
use crate::text::{escape_json, printable};

/// The maximum number of rows listed for each code; the results have all of them.
const NAMED_ROWS: usize = 5;

/// The longest message that is kept, in characters.
const LONGEST_MESSAGE: usize = 1_000;

/// The statistics of a run, from its events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunStats {
    /// All rows of the run.
    pub rows: u64,
    /// The rows by outcome.
    pub outcomes: OutcomeCounts,
    /// The updated rows whose response shows a different value than requested.
    pub differs: u64,
    /// The requests sent by this process: updates and reads.
    pub calls: u64,
    /// Those among them that change incidents.
    pub updates: u64,
    /// The reads, including those before the prompt.
    pub reads: u64,
    /// The 429s among the responses.
    pub throttled: u64,
    /// The updates that only add a comment, as a request of their own.
    #[serde(skip)]
    pub comments: u64,
    #[serde(skip)]
    noted: BTreeMap<(OutcomeKind, String), Noted>,
}

/// Rows with the same code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Noted {
    rows: u64,
    /// The first rows in the input's order, as text.
    named: BTreeMap<u64, String>,
}

impl RunStats {
    /// Counts one event.
    pub fn on_event(&mut self, event: &Event) {
        match event {
            Event::Started { rows, before } => {
                self.rows = *rows;
                self.outcomes.add_all(before);
            }
            Event::Finished(rows) => rows.iter().for_each(|row| {
                self.outcomes.add(row.outcome.kind, 1);
                self.note(row);
            }),
            Event::Pace(pace) => {
                self.calls = pace.calls;
                self.throttled = pace.throttled;
            }
            _ => {}
        }
    }

    /// Sets the final numbers: the requests of this process, the reads and the comments among them, and the 429s among the
    /// responses.
    pub fn count_requests(&mut self, calls: u64, reads: u64, comments: u64, throttled: u64) {
        (self.calls, self.updates, self.reads) = (calls, calls - reads.min(calls), reads);
        (self.comments, self.throttled) = (comments, throttled);
    }

    /// Counts the rows without an event at the end of a run: `in_doubt` of them are in doubt, the others were not
    /// attempted.
    pub fn count_the_rest(&mut self, in_doubt: u64) {
        self.outcomes.add(OutcomeKind::InDoubt, in_doubt);
        self.outcomes.add(OutcomeKind::NotAttempted, self.rows.saturating_sub(self.outcomes.total()));
    }

    /// `27 updates, 3 reads, none throttled`
    fn requests(&self) -> String {
        let part = |number: u64, noun| (number > 0).then(|| counted(number, noun));
        let throttled = match self.throttled {
            0 => "none throttled".to_owned(),
            some => format!("{} throttled (429)", count(some)),
        };
        let updates = part(self.updates.saturating_sub(self.comments), "update");
        let parts = [updates, part(self.comments, "comment"), part(self.reads, "read"), Some(throttled)];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// Notes a row that finished before this process started to send, if it failed or is in doubt. It is counted by
    /// [`Event::Started`].
    pub fn note_earlier(&mut self, row: &ResultRow) {
        if matches!(row.outcome.kind, OutcomeKind::Failed | OutcomeKind::InDoubt) {
            self.note(row);
        }
    }

    fn note(&mut self, row: &ResultRow) {
        let outcome = &row.outcome;
        let kind = outcome.kind;
        let is_listed = match kind {
            OutcomeKind::Failed | OutcomeKind::Invalid | OutcomeKind::InDoubt => true,
            OutcomeKind::Updated | OutcomeKind::Unchanged => !outcome.code.is_empty(),
            OutcomeKind::NotAttempted => false,
        };
        if !is_listed {
            return;
        }
        let noted = self.noted.entry((kind, fitted(outcome.code.as_str(), WIDTH))).or_default();
        noted.rows += 1;
        let is_among_first = noted.named.last_key_value().is_none_or(|(last, _)| row.row < *last);
        if is_among_first || noted.named.len() < NAMED_ROWS {
            let (id, message) = (fitted(&row.incident_id, 24), fitted(&outcome.message, LONGEST_MESSAGE));
            let text = format!("row {} (line {}), incident {id}: {message}", row.row, row.line);
            noted.named.insert(row.row, text);
        }
        if noted.named.len() > NAMED_ROWS {
            noted.named.pop_last();
        }
    }
}

/// The summary of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The run's ID.
    pub run: String,
    /// The tenant key, as it is displayed.
    pub scope: String,
    /// The API's origin.
    pub origin: String,
    /// The input as it was named; `-` for standard input.
    pub input: String,
    /// The statistics.
    #[serde(flatten)]
    pub stats: RunStats,
    /// When this process started to send.
    #[serde(serialize_with = "as_time")]
    pub started_at: Timestamp,
    /// When this process finished.
    #[serde(serialize_with = "as_time")]
    pub finished_at: Timestamp,
    /// The duration of the reads before the prompt.
    #[serde(skip)]
    pub reading: Duration,
    /// The results file, if there is one.
    #[serde(serialize_with = "as_text")]
    pub results: Option<PathBuf>,
    /// The options of the run, each with the origin of its value.
    pub settings: Settings,
    /// Why the run ended before it was finished.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The exit code.
    pub exit: u8,
    /// The meaning of that code, in a few words.
    #[serde(skip)]
    pub meaning: String,
    /// The report, if one was written.
    #[serde(skip)]
    pub report: Option<PathBuf>,
    /// The command to run next.
    #[serde(skip)]
    pub next: Option<NextCommand>,
}

impl Summary {
    /// A run of which nothing was sent.
    #[must_use]
    pub fn new(run: String, input: String, scope: String, origin: String, now: Timestamp) -> Summary {
        Summary {
            run,
            scope,
            origin,
            input,
            stats: RunStats::default(),
            started_at: now,
            finished_at: now,
            reading: Duration::ZERO,
            results: None,
            settings: Settings::default(),
            error: None,
            exit: 0,
            meaning: String::new(),
            report: None,
            next: None,
        }
    }

    /// Writes it as a JSON object on one line.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        writeln!(out, "{}", escape_json(&serde_json::to_string(self)?))
    }

    /// Writes it as text. Lines are cut to the width of a terminal, but not in a pipe.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write_text(&self, mut out: impl Write, layout: Layout) -> io::Result<()> {
        let stats = &self.stats;
        let of = format!("of {} to {}", printable(&self.input), printable(&self.scope));
        let title = format!("run {}: {} {of}", printable(&self.run), counted(stats.rows, "row"));
        writeln!(out, "{}", cut_to(&title, layout.width))?;
        if self.scope != self.origin {
            writeln!(out, "target: {}, {}", printable(&self.scope), printable(&self.origin))?;
        }
        writeln!(out)?;
        for (kind, rows) in stats.outcomes.present() {
            let line = format!("  {:<14}{:>9}", kind.name(), count(rows));
            writeln!(out, "{}", layout.painted(&line, color_of(kind)))?;
            if kind == OutcomeKind::Updated && stats.differs > 0 {
                writeln!(out, "{}", layout.painted(&format!("    differing {:>11}", count(stats.differs)), RED))?;
            }
        }
        for ((kind, code), noted) in &stats.noted {
            let code = if code.is_empty() { String::new() } else { format!(", {code}") };
            writeln!(out, "\n{kind}{code}: {}", counted(noted.rows, "row"))?;
            for row in noted.named.values() {
                writeln!(out, "{}", cut_to(&format!("  {row}"), layout.width))?;
            }
            let more = noted.rows.saturating_sub(noted.named.len() as u64);
            if more > 0 {
                writeln!(out, "  and {} more", count(more))?;
            }
        }
        let lasted = self.finished_at.duration_since(self.started_at).unsigned_abs() + self.reading;
        writeln!(out, "\n{} in {}: {}", counted(stats.calls, "request"), lasting(lasted), stats.requests())?;
        if let Some(results) = &self.results {
            writeln!(out, "results: {}", printable(&results.to_string_lossy()))?;
        }
        if let Some(report) = &self.report {
            writeln!(out, "report: {}", printable(&report.to_string_lossy()))?;
        }
        writeln!(out, "{} (exit {})", printable(&self.meaning), self.exit)?;
        if let Some(next) = &self.next {
            writeln!(out, "\nnext:\n  {next}")?;
        }
        Ok(())
    }
}

fn color_of(kind: OutcomeKind) -> &'static str {
    match kind {
        OutcomeKind::Updated | OutcomeKind::Unchanged => GREEN,
        OutcomeKind::Failed | OutcomeKind::Invalid | OutcomeKind::InDoubt => RED,
        OutcomeKind::NotAttempted => YELLOW,
    }
}

fn as_time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.3}"))
}

/// Converts lossily: the summary must not fail because a path is not UTF-8.
#[expect(clippy::ref_option, reason = "the signature that serde asks for")]
fn as_text<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::events::Pace;
    use crate::model::outcome::{Outcome, OutcomeCode, RowCode};

    fn finished(row: u64, outcome: Outcome) -> Event {
        Event::Finished(vec![ResultRow {
            row,
            line: row + 1,
            incident_id: (924_000 + row).to_string(),
            outcome,
            attempts: 1,
            source: Vec::new(),
        }])
    }

    fn summary() -> Summary {
        let mut stats = RunStats::default();
        stats.on_event(&Event::Started { rows: 1_021, before: vec![(OutcomeKind::Updated, 990)] });
        stats.on_event(&finished(1, Outcome::new(OutcomeKind::Updated, RowCode::Empty, "")));
        for row in 2..=8 {
            stats
                .on_event(&finished(row, Outcome::new(OutcomeKind::Failed, OutcomeCode::NotFound, "no such incident")));
        }
        let hostile = "\u{1b}]0;owned\u{7} \u{202e}".to_owned() + &"the API refused the values ".repeat(9);
        stats.on_event(&finished(9, Outcome::new(OutcomeKind::Failed, OutcomeCode::Rejected, hostile)));
        let before = "applied by run 6aaa at 2026-11-23 10:00 UTC";
        stats.on_event(&finished(10, Outcome::new(OutcomeKind::Unchanged, OutcomeCode::DoneBefore, before)));
        let arrival = "2026-11-24T10:20:00Z".parse().expect("valid");
        let pace = Pace { windows: vec![], next_call: None, arrival, in_flight: 0, calls: 12, throttled: 2 };
        stats.on_event(&Event::Pace(pace));
        stats.count_requests(12, 3, 0, 2);
        stats.count_the_rest(0);
        let [run, input, scope] = ["7f3k", "close.csv", "contoso"].map(str::to_owned);
        let origin = "https://api.security.microsoft.com".to_owned();
        let started_at = "2026-11-24T10:00:37.12Z".parse().expect("valid");
        Summary {
            stats,
            finished_at: "2026-11-24T10:20:13.5Z".parse().expect("valid"),
            results: Some("close.7f3k.results.csv".into()),
            exit: 4,
            meaning: "stopped early; run the same command again to resume".to_owned(),
            next: Some(NextCommand::new("bulk-triage").word("run").path("close.csv").word("--yes")),
            ..Summary::new(run, input, scope, origin, started_at)
        }
    }

    fn text(summary: &Summary, color: bool) -> String {
        let mut out = Vec::new();
        summary.write_text(&mut out, Layout { width: Some(80), color }).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn summary_shows_the_outcomes() {
        let text = text(&summary(), false);
        assert!(text.lines().all(|line| line.chars().count() < 80), "{text}");
        insta::assert_snapshot!(text, @r"
        run 7f3k: 1,021 rows of close.csv to contoso
        target: contoso, https://api.security.microsoft.com

          updated             991
          unchanged             1
          failed                8
          not-attempted        21

        unchanged, done-before: 1 row
          row 10 (line 11), incident 924010: applied by run 6aaa at 2026-11-23 10:00 U…

        failed, not-found: 7 rows
          row 2 (line 3), incident 924002: no such incident
          row 3 (line 4), incident 924003: no such incident
          row 4 (line 5), incident 924004: no such incident
          row 5 (line 6), incident 924005: no such incident
          row 6 (line 7), incident 924006: no such incident
          and 2 more

        failed, rejected: 1 row
          row 9 (line 10), incident 924009: \u{1b}]0;owned\u{7} \u{202e}the API refuse…

        12 requests in 19 min 36 s: 9 updates, 3 reads, 2 throttled (429)
        results: close.7f3k.results.csv
        stopped early; run the same command again to resume (exit 4)

        next:
          bulk-triage run close.csv --yes
        ");
    }

    #[test]
    fn piped_lines_are_complete_and_in_input_order() {
        let mut summary = summary();
        for row in [700, 3, 650, 640, 2, 630, 620] {
            let message = format!("{}the end of {row}", "a long message ".repeat(20));
            summary.stats.on_event(&finished(row, Outcome::new(OutcomeKind::InDoubt, OutcomeCode::Unsettled, message)));
        }
        let mut out = Vec::new();
        summary.write_text(&mut out, Layout::PIPE).expect("a Vec takes all");
        let text = String::from_utf8(out).expect("text");
        let named: Vec<&str> =
            text.lines().filter_map(|line| line.split_once("the end of ")).map(|(_, row)| row).collect();
        assert_eq!(named, ["2", "3", "620", "630", "640"], "{text}");
    }

    #[test]
    fn color_is_used_only_if_requested() {
        let escape = '\u{1b}';
        assert!(text(&summary(), true).contains("\u{1b}[31m  failed"));
        assert!(!text(&summary(), false).contains(escape));
    }

    #[test]
    fn json_summary_has_the_documented_members() {
        let mut out = Vec::new();
        summary().write_json(&mut out).expect("a Vec takes all");
        insta::assert_snapshot!(String::from_utf8(out).expect("text").trim_end(), @r#"{"run":"7f3k","scope":"contoso","origin":"https://api.security.microsoft.com","input":"close.csv","rows":1021,"outcomes":{"updated":991,"unchanged":1,"failed":8,"invalid":0,"in-doubt":0,"not-attempted":21},"differs":0,"calls":12,"updates":9,"reads":3,"throttled":2,"started_at":"2026-11-24T10:00:37.120Z","finished_at":"2026-11-24T10:20:13.500Z","results":"close.7f3k.results.csv","settings":[],"exit":4}"#);
    }

    #[test]
    fn json_summary_is_safe_to_print() {
        let input = "\u{9b}2J\u{202e}\u{7f}\u{1b}é\\".to_owned();
        let mut out = Vec::new();
        Summary { input: input.clone(), ..summary() }.write_json(&mut out).expect("a Vec takes all");
        let text = String::from_utf8(out).expect("text");
        assert!(!text.contains(['\u{9b}', '\u{202e}', '\u{7f}', '\u{1b}']), "{text}");
        let object: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(object["input"], input);
    }

    #[test]
    fn memory_does_not_grow_with_the_rows() {
        let mut stats = RunStats::default();
        for row in 0..10_000 {
            stats.on_event(&finished(row, Outcome::new(OutcomeKind::InDoubt, "cut-off", "x".repeat(1_000))));
        }
        let noted = stats.noted.values().flat_map(|noted| noted.named.values());
        assert!(noted.map(String::len).sum::<usize>() < 6_000);
    }
}
