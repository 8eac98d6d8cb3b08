//! The texts of a page, which both formats share. All of them are safe to print.

use std::time::Duration;

use jiff::Timestamp;

use super::chart::{Chart, Point};
use super::review::Review;
use super::run_report::{RunReport, is_trouble};
use crate::journal::{OutcomeGroup, Timeline, TimelinePiece};
use crate::report::humanize::{Precision, clock_time, count, counted, lasting};
use crate::session::PropertyCounts;
use crate::text::{printable, truncate};

/// The start of every page, by which a later page recognizes it and may replace it.
pub(super) const MARK: &str = "<!-- bulk-triage page 1 -->\n";

/// Before the mark, in HTML.
pub(super) const DOCTYPE: &str = "<!doctype html>\n";

/// A name and the lines of its value.
pub(super) type Fact = (&'static str, Vec<String>);

/// A key figure, and what it counts.
pub(super) type Figure = (String, &'static str);

/// A property with its values (`None`: all others) and their numbers of rows.
pub(super) struct SetProperty {
    pub(super) property: String,
    pub(super) values: Vec<(Option<String>, String)>,
}

/// The longest part of a value that is shown, in characters, in the list of values.
const COUNTED_VALUE: usize = 300;

impl Review<'_> {
    pub(super) fn title(&self) -> String {
        format!("{} from {}", counted(self.preview.run.counts.rows, "update"), name_of(&self.preview.input))
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let preview = self.preview;
        let estimate = &preview.run.estimate;
        let end = clock_time(estimate.starts_at, estimate.ends_at(), Precision::Minute);
        let mut figures = vec![
            (
                count(preview.run.counts.rows),
                if preview.run.counts.rows == 1 { "update to send" } else { "updates to send" },
            ),
            (lasting(estimate.duration), "at least"),
            (end, "done, if it starts now"),
        ];
        if preview.run.counts.requests != preview.run.counts.rows {
            figures.insert(1, (count(preview.run.counts.requests), "requests"));
        }
        if preview.run.counts.invalid > 0 {
            figures.push((count(preview.run.counts.invalid), "invalid, skipped"));
        }
        figures
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let preview = self.preview;
        let target = &preview.target;
        let caller = target.caller.as_deref().unwrap_or("unknown (no token, or opaque)");
        let mut history = preview.history_lines();
        if history.is_empty() {
            history.push("none affects these rows".to_owned());
        }
        let mut facts = vec![
            ("Target", target.scope.iter().chain([&target.origin]).map(|text| owned(text)).collect()),
            ("Signed in as", vec![owned(caller)]),
            ("Rows", preview.row_lines().into_iter().chain(preview.skipped_lines()).collect()),
            ("Contract", vec![owned(self.contract)]),
            ("Quota", vec![self.quota.to_string()]),
            ("Time", preview.time_lines()),
            ("Earlier runs", history),
        ];
        if !preview.alerts.is_empty() {
            facts.insert(3, ("Alerts", preview.alerts.clone()));
        }
        facts
    }

    /// What costs dearly where it is overlooked.
    pub(super) fn warnings(&self) -> Vec<String> {
        let preview = self.preview;
        let mut warnings = preview.warnings();
        if let Some((after, rows)) = preview.run.estimate.stop_after.filter(|(_, rows)| *rows < preview.run.counts.rows)
        {
            let after = crate::model::quota_spec::duration_text(after);
            warnings.push(format!(
                "--stop-after {after}: {} of {} fit",
                count(rows),
                counted(preview.run.counts.rows, "row")
            ));
        }
        warnings.extend(preview.run.counts.undo_line());
        if preview.run.counts.invalid > 0 {
            warnings.push(format!("{} invalid: skipped", counted(preview.run.counts.invalid, "row")));
        }
        for counts in preview.run.counts.sets.properties() {
            let property = printable(&counts.property);
            if counts.clears > 0 {
                warnings.push(format!("{}: {property} is cleared", counted(counts.clears, "row")));
            }
            if counts.replaces_list > 0 {
                let rows = counted(counts.replaces_list, "row");
                warnings.push(format!("{rows}: the current {property} are replaced"));
            }
        }
        for (property, cells) in &preview.run.overridden {
            warnings.push(format!("--set overrides {} of {}", counted(*cells, "cell"), printable(property)));
        }
        if preview.run.earlier.is_none() {
            warnings.push("history not checked (no token, so the tenant is unknown)".to_owned());
        }
        warnings.extend(preview.history_warnings());
        warnings.extend(
            preview.unfinished().map(|(run, finish)| format!("to finish run {} first: {finish}", printable(run))),
        );
        for (code, (times, messages)) in &self.warnings.0 {
            let rest = times - messages.len() as u64;
            let more = if rest > 0 { format!("; and {} more", count(rest)) } else { String::new() };
            warnings.push(format!("{code}: {}{more}", printable(&messages.join("; "))));
        }
        warnings
    }

    pub(super) fn sets(&self) -> Vec<SetProperty> {
        self.preview.run.counts.sets.properties().iter().map(set_property).collect()
    }

    /// The properties that are set, in the order in which they are shown.
    pub(super) fn properties(&self) -> Vec<&str> {
        self.preview.run.counts.sets.properties().iter().map(|counts| counts.property.as_str()).collect()
    }

    pub(super) fn chart(&self) -> Option<Chart> {
        Chart::new(&self.forecast, self.preview.run.estimate.duration, self.quota.windows(), &[])
    }
}

fn set_property(counts: &PropertyCounts) -> SetProperty {
    let (values, others) = counts.most_frequent();
    let known = values.into_iter().map(|(value, rows)| (Some(truncate(value, COUNTED_VALUE)), count(*rows)));
    let others = (others > 0).then(|| (None, count(others)));
    SetProperty { property: printable(&counts.property).into_owned(), values: known.chain(others).collect() }
}

impl RunReport<'_> {
    pub(super) fn title(&self) -> String {
        format!("{} from {}", counted(self.outcomes.total(), "row"), name_of(self.input))
    }

    pub(super) fn figures(&self) -> Vec<Figure> {
        let outcomes = self.outcomes.present().map(|(kind, rows)| (count(rows), kind.name()));
        outcomes.chain([(lasting(self.timeline.lasts), "from the first request to the last")]).collect()
    }

    pub(super) fn facts(&self) -> Vec<Fact> {
        let time = |time: Timestamp| time.strftime("%F %T UTC").to_string();
        let Timeline { calls, reads, comments, .. } = self.timeline;
        let updates = counted(calls - reads - comments, "update");
        let comments = if comments > 0 { format!(", {}", counted(comments, "comment")) } else { String::new() };
        let requests = format!("{}: {updates}{comments}, {}", count(calls), counted(reads, "read"));
        let facts = [
            ("Run", vec![format!("{}: {}", printable(self.run), printable(&self.state))]),
            ("Target", self.scope.iter().map(String::as_str).chain([self.origin]).map(owned).collect()),
            ("Signed in as", self.caller.iter().map(|caller| owned(caller)).collect()),
            ("Input", vec![owned(self.input)]),
            ("Contract", vec![owned(self.contract)]),
            ("Quota", vec![self.quota.to_string()]),
            ("Started", vec![time(self.started)]),
            ("Finished", self.finished.into_iter().map(time).collect()),
            ("Requests", vec![requests]),
            ("Delays", self.delays()),
            ("Results", vec![owned(self.results)]),
            ("Settings", self.settings.iter().map(|setting| owned(&setting.to_string())).collect()),
        ];
        facts.into_iter().filter(|(_, lines): &Fact| !lines.is_empty()).collect()
    }

    fn delays(&self) -> Vec<String> {
        let timeline = &self.timeline;
        let mut lines = vec![match timeline.throttled {
            0 => "no request was throttled (429)".to_owned(),
            calls => format!("{} throttled (429)", counted(calls, "request")),
        }];
        if timeline.pauses > 0 {
            let longest = lasting(timeline.longest_pause);
            let paused = lasting(timeline.paused);
            let pauses = counted(timeline.pauses, "pause");
            lines.push(format!("{pauses} after them, {paused} in total, {longest} the longest"));
        }
        if timeline.transient > 0 {
            let requests = counted(timeline.transient, "request");
            lines.push(format!("{requests} without a response, or with a transient error"));
        }
        lines
    }

    /// The rows that failed, are invalid or in doubt, by reason.
    pub(super) fn troubles(&self) -> impl Iterator<Item = &OutcomeGroup> {
        self.groups.iter().filter(|group| is_trouble(group.kind))
    }

    pub(super) fn chart(&self) -> Option<Chart> {
        let timeline = &self.timeline;
        let mut calls = 0;
        let point = |piece: &TimelinePiece| {
            calls += piece.calls;
            Point { at: piece.at, calls }
        };
        let points: Vec<Point> = timeline.pieces.iter().map(point).collect();
        let throttled = timeline.pieces.iter().filter(|piece| piece.throttled > 0);
        let marks: Vec<Duration> = throttled.map(|piece| piece.at).collect();
        Chart::new(&points, timeline.lasts, self.quota.windows(), &marks)
    }

    pub(super) fn time(&self, time: Timestamp) -> String {
        clock_time(self.started, time, Precision::Second)
    }
}

/// Text from outside, safe to print.
fn owned(text: &str) -> String {
    printable(text).into_owned()
}

/// The name of a group: `failed, not-found`.
pub(super) fn group_name(group: &OutcomeGroup) -> String {
    if group.code.is_empty() {
        group.kind.to_string()
    } else {
        format!("{}, {}", group.kind, printable(group.code.as_str()))
    }
}

/// The name of an input in a title: the last component of its path.
fn name_of(input: &str) -> String {
    match input {
        "-" => "standard input".to_owned(),
        input => printable(input.rsplit('/').next().unwrap_or(input)).into_owned(),
    }
}
