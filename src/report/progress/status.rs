//! The state of a run in progress, and its text. Pure: the time is an argument.

use jiff::Timestamp;

use crate::apply::events::{Event, Pace};
use crate::report::humanize::{Precision, WIDTH, clock_time, count, counted, cut, fitted, period, until};
use crate::report::layout::{GREEN, Layout, YELLOW};
use crate::report::outcome_counts::OutcomeCounts;

/// The state of a run, from its events.
#[derive(Debug, Default)]
pub(super) struct Status {
    rows: u64,
    outcomes: OutcomeCounts,
    /// The incidents read so far, during a preflight or a fetch.
    read: Option<u64>,
    /// Whether their total is unknown.
    is_open_ended: bool,
    pace: Option<Pace>,
    pause: Option<PauseNotice>,
    stopping: Option<String>,
}

#[derive(Debug)]
struct PauseNotice {
    why: &'static str,
    until: Timestamp,
    message: String,
}

impl Status {
    /// Applies an event. Returns the line that reports it in a pipe.
    pub(super) fn on_event(&mut self, event: &Event, now: Timestamp) -> Option<String> {
        match event {
            Event::Started { rows, before } => {
                self.rows = *rows;
                self.outcomes.add_all(before);
                None
            }
            Event::Finished(rows) => {
                for row in rows {
                    self.outcomes.add(row.outcome.kind, 1);
                }
                None
            }
            Event::Pace(pace) => {
                self.pace = Some(pace.clone());
                None
            }
            Event::Throttled { until, message } => Some(self.pauses("throttled", *until, message, now)),
            Event::Busy { until, message } => Some(self.pauses("service busy", *until, message, now)),
            Event::ServiceDown { until, message } => Some(self.pauses("service down", *until, message, now)),
            Event::ServiceUp => {
                self.pause = None;
                Some("the service responds again".to_owned())
            }
            Event::Stopping { reason, in_flight } => {
                let requests = counted(*in_flight as u64, "request");
                let line = match (reason.is_asked(), in_flight) {
                    (true, 0) => "stopping".to_owned(),
                    (true, _) => {
                        format!("stopping: {requests} in flight (another Ctrl-C or SIGTERM stops immediately)")
                    }
                    (false, 0) => format!("stopping: {}", fitted(&reason.to_string(), 200)),
                    (false, _) => format!("stopping: {}; {requests} in flight", fitted(&reason.to_string(), 200)),
                };
                self.stopping = Some(line.clone());
                Some(line)
            }
            Event::ReadingStarted(incidents) => {
                (self.rows, self.read) = (incidents.unwrap_or(0), Some(0));
                self.is_open_ended = incidents.is_none();
                None
            }
            Event::IncidentsRead(incidents) => {
                self.read = self.read.map(|read| read + incidents);
                None
            }
            Event::Retry { .. } | Event::Ended(_) => None,
        }
    }

    fn pauses(&mut self, why: &'static str, until: Timestamp, message: &str, now: Timestamp) -> String {
        let pause = PauseNotice { why, until, message: fitted(message, 200) };
        let line = pause.line(now);
        self.pause = Some(pause);
        line
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// The rows that are finished, or the incidents that were read.
    pub(super) fn done(&self) -> u64 {
        self.read.unwrap_or_else(|| self.outcomes.total())
    }

    /// The lines to redraw on a terminal. They leave its last column empty, because some terminals wrap there.
    pub(super) fn drawn(&self, now: Timestamp, layout: Layout) -> String {
        let width = layout.width.map_or(WIDTH, |columns| columns.saturating_sub(1).min(WIDTH));
        let head =
            format!(" {}{}", self.rows_done(), self.arrival(now).map(|at| format!(", {at}")).unwrap_or_default());
        let (full, rest) = self.bar(width.saturating_sub(head.chars().count()).min(32));
        let state = match self.notice(now) {
            Some(notice) => layout.painted(&cut(&notice, width), YELLOW),
            None => cut(&self.quota(now), width),
        };
        let so_far = if self.read.is_some() {
            "reading incidents; nothing sent yet".to_owned()
        } else {
            self.outcomes.to_string()
        };
        if self.is_open_ended {
            return format!("{}\n\n{state}", cut(head.trim_start(), width));
        }
        let head = if full.is_empty() && rest.is_empty() { cut(head.trim_start(), width) } else { head };
        format!("{}{rest}{head}\n{}\n{state}", layout.painted(&full, GREEN), cut(&so_far, width))
    }

    /// The same on one line.
    pub(super) fn plain(&self, now: Timestamp) -> String {
        let parts = [self.outcomes.to_string(), self.quota(now), self.arrival(now).unwrap_or_default()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        if parts.is_empty() { self.rows_done() } else { format!("{}: {}", self.rows_done(), parts.join("; ")) }
    }

    fn rows_done(&self) -> String {
        if self.is_open_ended {
            return format!("{} read", counted(self.done(), "incident"));
        }
        let what = if self.read.is_some() { "incident" } else { "row" };
        format!("{} of {}", count(self.done()), counted(self.rows, what))
    }

    /// The finished part of a bar, and the rest.
    fn bar(&self, width: usize) -> (String, String) {
        let done = u128::from(self.done().min(self.rows));
        let full = (done * width as u128).checked_div(u128::from(self.rows)).unwrap_or(width as u128);
        let full = usize::try_from(full).unwrap_or(width);
        ("█".repeat(full), "░".repeat(width - full))
    }

    fn notice(&self, now: Timestamp) -> Option<String> {
        let pause = self.pause.as_ref().filter(|pause| pause.until > now).map(|pause| pause.line(now));
        self.stopping.clone().or(pause)
    }

    /// `50 of 50 used this minute, 312 of 1,500 this hour, next request in 12 s`
    fn quota(&self, now: Timestamp) -> String {
        let Some(pace) = &self.pace else { return String::new() };
        let windows = pace.windows.iter().enumerate().map(|(at, (window, in_use))| {
            let used = if at == 0 { "used " } else { "" };
            format!("{} of {} {used}{}", count((*in_use).into()), count(window.calls.into()), period(*window))
        });
        let next =
            pace.next_call.filter(|next| *next > now).map(|next| format!("next request in {}", until(now, next)));
        windows.chain(next).collect::<Vec<_>>().join(", ")
    }

    fn arrival(&self, now: Timestamp) -> Option<String> {
        let pace = self.pace.as_ref()?;
        // Not before the next request, which may be a read that has to wait.
        let arrival = pace.next_call.map_or(pace.arrival, |next| next.max(pace.arrival));
        let left = self.done() < self.rows && arrival > now && self.stopping.is_none();
        left.then(|| format!("done at {} (in {})", clock_time(now, arrival, Precision::Minute), until(now, arrival)))
    }
}

impl PauseNotice {
    /// `throttled: paused until 17:03:12 UTC (in 37 s): Too many requests`
    fn line(&self, now: Timestamp) -> String {
        let time = clock_time(now, self.until, Precision::Second);
        let message = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        format!("{}: paused until {time} (in {}){message}", self.why, until(now, self.until))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::StopReason;
    use crate::model::outcome::OutcomeKind;
    use crate::model::quota_spec::Quota;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("valid")
    }

    fn status(rows: u64, before: Vec<(OutcomeKind, u64)>, in_use: [u32; 2]) -> Status {
        let quota: Quota = "50/1m,1500/1h".parse().expect("valid");
        let pace = Pace {
            windows: quota.windows().iter().copied().zip(in_use).collect(),
            next_call: Some(at("2026-11-24T17:30:12Z")),
            arrival: at("2026-11-24T17:42:00Z"),
            in_flight: 0,
            calls: 312,
            throttled: 0,
        };
        let mut status = Status::default();
        status.on_event(&Event::Started { rows, before }, now());
        status.on_event(&Event::Pace(pace), now());
        status
    }

    fn on(columns: usize) -> Layout {
        Layout { width: Some(columns), color: false }
    }

    fn now() -> Timestamp {
        at("2026-11-24T17:30:00Z")
    }

    #[test]
    fn running_status_has_three_lines() {
        let status = status(1_000, vec![(OutcomeKind::Updated, 298), (OutcomeKind::Failed, 14)], [50, 312]);
        insta::assert_snapshot!(status.drawn(now(), on(80)), @r"
        █████████░░░░░░░░░░░░░░░░░░░░░ 312 of 1,000 rows, done at 17:42 UTC (in 12 min)
        298 updated, 14 failed
        50 of 50 used this minute, 312 of 1,500 this hour, next request in 12 s
        ");
        insta::assert_snapshot!(status.drawn(now(), Layout { color: true, ..on(80) }).escape_debug(), @r"\u{1b}[32m█████████\u{1b}[0m░░░░░░░░░░░░░░░░░░░░░ 312 of 1,000 rows, done at 17:42 UTC (in 12 min)\n298 updated, 14 failed\n50 of 50 used this minute, 312 of 1,500 this hour, next request in 12 s");
    }

    #[test]
    fn pause_replaces_the_quota_until_it_ends() {
        let mut status = status(1_000, vec![], [50, 312]);
        let message = "API calls quota exceeded! maximum admitted 50 per 1m. ".repeat(9);
        status.on_event(&Event::Throttled { until: at("2026-11-24T17:30:37Z"), message }, now());
        insta::assert_snapshot!(status.drawn(now(), on(80)), @r"
        ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 0 of 1,000 rows, done at 17:42 UTC (in 12 min)

        throttled: paused until 17:30:37 UTC (in 37 s): API calls quota exceeded! maxi…
        
");
        assert!(status.drawn(at("2026-11-24T17:30:37Z"), on(80)).contains("used this minute"));
        status.on_event(&Event::Stopping { reason: StopReason::Deadline, in_flight: 3 }, now());
        insta::assert_snapshot!(status.drawn(now(), on(80)), @r"
        ░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░ 0 of 1,000 rows

        stopping: the time of --stop-after is up; 3 requests in flight
        ");
    }

    #[test]
    fn unknown_total_shows_only_the_current_count() {
        let mut status = status(0, vec![], [3, 12]);
        status.on_event(&Event::ReadingStarted(None), now());
        status.on_event(&Event::IncidentsRead(300), now());
        insta::assert_snapshot!(status.drawn(now(), on(80)), @r"
        300 incidents read

        3 of 50 used this minute, 12 of 1,500 this hour, next request in 12 s
        ");
        insta::assert_snapshot!(status.plain(now()), @r"300 incidents read: 3 of 50 used this minute, 12 of 1,500 this hour, next request in 12 s");
    }

    #[test]
    fn first_ctrl_c_says_what_second_does() {
        let mut status = status(3, vec![], [3, 3]);
        let line = status.on_event(&Event::Stopping { reason: StopReason::Requested, in_flight: 1 }, now());
        let said = "stopping: 1 request in flight (another Ctrl-C or SIGTERM stops immediately)";
        assert_eq!(line.as_deref(), Some(said));
        assert!(status.drawn(now(), on(80)).contains(said));
    }

    #[test]
    fn narrow_terminal_gets_narrow_lines() {
        let before = vec![(OutcomeKind::Updated, 298), (OutcomeKind::Failed, 14)];
        let status = status(1_000, before, [50, 312]);
        for columns in 1..=120 {
            for line in status.drawn(now(), on(columns)).lines() {
                assert!(line.chars().count() < columns.max(2), "{columns}: {line}");
            }
        }
    }

    #[test]
    fn nothing_ends_before_the_next_request() {
        let mut status = status(1_000, vec![(OutcomeKind::Updated, 999)], [50, 312]);
        let Some(pace) = &mut status.pace else { unreachable!("it was told") };
        pace.arrival = now();
        let line = status.plain(now());
        assert!(line.contains("next request in 12 s; done at ") && line.ends_with("(in 12 s)"), "{line}");
    }

    #[test]
    fn the_largest_run_fits_80_columns() {
        let before = OutcomeKind::ALL.into_iter().map(|kind| (kind, 1_111_111)).collect();
        let mut status = status(9_999_999, before, [4_000_000, 4_000_000]);
        let Some(pace) = &mut status.pace else { unreachable!("it was told") };
        pace.arrival = at("2027-11-24T17:30:00Z");
        for line in status.drawn(now(), on(80)).lines() {
            assert!(line.chars().count() < 80, "{line}");
        }
        assert!(Status::default().drawn(now(), on(80)).lines().all(|line| line.chars().count() < 80));
    }
}
