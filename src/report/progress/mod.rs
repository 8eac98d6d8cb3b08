//! Progress: the display while rows are sent.
//!
//! On a terminal, a thread redraws some lines, so that the countdown runs and sending never waits for the terminal. In a pipe,
//! a plain line appears from time to time. Log lines go through [`Screen::writer`], which hides the drawn lines while it
//! writes.

mod screen;
mod status;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use status::Status;

pub use screen::{Screen, ScreenWriter};

use jiff::Timestamp;

use crate::apply::events::{Event, Pace};
use crate::clock::{BootTime, Clock};
use crate::report::layout::Layout;

/// The time between two redraws.
const TICK: Duration = Duration::from_millis(200);

/// The time between plain lines in the first minute, so that short runs show progress, too.
const FIRST_LINES: Duration = Duration::from_secs(10);

/// The time between plain lines after the first minute, so that the log of a long run stays short.
const LATER_LINES: Duration = Duration::from_mins(1);

/// Shows the progress of a run by its events. Dropping it removes the drawn lines.
#[derive(Debug)]
pub struct Progress {
    screen: Screen,
    clock: Clock,
    color: bool,
    status: Arc<Mutex<Status>>,
    plain: Plain,
}

/// The last plain line and its time.
#[derive(Debug)]
struct Plain {
    first: BootTime,
    last: BootTime,
    done: u64,
    /// The time of the next request, as it was last reported.
    waits_for: Option<Timestamp>,
}

impl Progress {
    /// Shows progress on `screen`, beginning with the first event.
    #[must_use]
    pub fn new(screen: Screen, clock: Clock, color: bool) -> Progress {
        let now = clock.now().boot;
        let plain = Plain { first: now, last: now, done: 0, waits_for: None };
        Progress { screen, clock, color, status: Arc::default(), plain }
    }

    /// Shows one event.
    pub fn on_event(&mut self, event: &Event) {
        let now = self.clock.now();
        let notice = locked(&self.status).on_event(event, now.wall);
        let is_start = matches!(event, Event::Started { .. } | Event::ReadingStarted(_));
        if self.screen.draws() {
            if is_start {
                self.draw();
            }
            return;
        }
        let is_progress = matches!(event, Event::Finished(_) | Event::IncidentsRead(_) | Event::Pace(_));
        let line = {
            let status = locked(&self.status);
            let has_total = is_start && !matches!(event, Event::ReadingStarted(None));
            let waits = self.plain.starts_to_wait(event, now.wall);
            let due = has_total || waits || (is_progress && self.plain.is_due(&status, now.boot));
            due.then(|| {
                self.plain.last = now.boot;
                self.plain.done = status.done();
                status.plain(now.wall)
            })
        };
        for line in notice.into_iter().chain(line) {
            self.screen.line(&line);
        }
    }

    /// Returns a function that prints the current progress as one line on `screen`.
    pub fn shows_on(&self, screen: Screen) -> impl Fn() + Send + 'static {
        let (status, clock) = (Arc::clone(&self.status), self.clock.clone());
        move || {
            let line = locked(&status).plain(clock.now().wall);
            screen.line(&line);
        }
    }

    fn draw(&self) {
        let (status, clock, color) = (Arc::clone(&self.status), self.clock.clone(), self.color);
        let layout = move |columns| Layout { width: Some(columns), color };
        self.screen.draw(TICK, move |columns| locked(&status).drawn(clock.now().wall, layout(columns)));
    }
}

/// Removes the drawn lines.
impl Drop for Progress {
    fn drop(&mut self) {
        self.screen.clear();
    }
}

impl Plain {
    /// Whether the run starts to wait for longer than the time between lines. No other event reports this.
    fn starts_to_wait(&mut self, event: &Event, now: Timestamp) -> bool {
        let Event::Pace(Pace { next_call: Some(next), .. }) = event else { return false };
        let is_long = next.duration_since(now).unsigned_abs() >= FIRST_LINES && *next > now;
        is_long && self.waits_for.replace(*next) != Some(*next)
    }

    fn is_due(&self, status: &Status, now: BootTime) -> bool {
        let distance = if now.since(self.first) < Duration::from_mins(1) { FIRST_LINES } else { LATER_LINES };
        // There is no tenth of an unknown total.
        let tenth = if status.rows() == 0 { u64::MAX } else { status.rows().div_ceil(10) };
        now.since(self.last) >= distance || status.done() - self.done >= tenth
    }
}

/// If a thread panicked while it held the lock, only the display is affected.
fn locked(status: &Mutex<Status>) -> MutexGuard<'_, Status> {
    status.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Now;
    use crate::model::outcome::{Outcome, OutcomeKind, ResultRow, RowCode};
    use std::io::{self, Write};

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn at(time: &str) -> Timestamp {
        format!("2026-11-24T{time}Z").parse().expect("valid")
    }

    fn updated(row: u64) -> Event {
        Event::Finished(vec![ResultRow {
            row,
            line: row + 1,
            incident_id: row.to_string(),
            outcome: Outcome::new(OutcomeKind::Updated, RowCode::Empty, ""),
            attempts: 1,
            source: Vec::new(),
        }])
    }

    fn pace(next_call: Option<&str>) -> Event {
        let quota: crate::model::quota_spec::Quota = "50/1m,1500/1h".parse().expect("valid");
        Event::Pace(Pace {
            windows: quota.windows().iter().map(|window| (*window, 50)).collect(),
            next_call: next_call.map(at),
            arrival: at("10:12:00"),
            in_flight: 8,
            calls: 50,
            throttled: 0,
        })
    }

    #[tokio::test(start_paused = true)]
    async fn pipe_gets_a_line_periodically() {
        let written = Written::default();
        let clock = Clock::simulated(Now { boot: BootTime(0), wall: at("10:00:00") }, "boot");
        let mut progress = Progress::new(Screen::plain(written.clone()), clock, true);
        progress.on_event(&Event::Started { rows: 40, before: vec![(OutcomeKind::Failed, 2)] });
        for row in 1..=9 {
            progress.on_event(&updated(row));
        }
        tokio::time::advance(Duration::from_secs(9)).await;
        progress.on_event(&pace(Some("10:00:21")));
        tokio::time::advance(Duration::from_secs(1)).await;
        progress.on_event(&pace(Some("10:00:21")));
        progress.on_event(&Event::Throttled { until: at("10:00:50"), message: "wait\u{1b}[2J".to_owned() });
        progress.on_event(&Event::ServiceDown { until: at("10:00:55"), message: String::new() });
        progress.on_event(&Event::ServiceUp);
        for _ in 0..300 {
            tokio::time::advance(Duration::from_secs(1)).await;
            progress.on_event(&pace(None));
        }
        progress.on_event(&Event::Stopping { reason: crate::apply::StopReason::Requested, in_flight: 3 });
        let text = String::from_utf8(written.0.lock().expect("not poisoned").clone()).expect("text");
        insta::assert_snapshot!(text, @r"
        2 of 40 rows: 2 failed
        6 of 40 rows: 4 updated, 2 failed
        10 of 40 rows: 8 updated, 2 failed
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour, next request in 12 s; done at 10:12 UTC (in 11 min 51 s)
        throttled: paused until 10:00:50 UTC (in 40 s): wait\u{1b}[2J
        service down: paused until 10:00:55 UTC (in 45 s)
        the service responds again
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 11 min 41 s)
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 11 min 31 s)
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 11 min 21 s)
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 11 min 11 s)
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 11 min 1 s)
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 10 min 1 s)
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 9 min 1 s)
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 8 min 1 s)
        11 of 40 rows: 9 updated, 2 failed; 50 of 50 used this minute, 50 of 1,500 this hour; done at 10:12 UTC (in 7 min 1 s)
        stopping: 3 requests in flight (another Ctrl-C or SIGTERM stops immediately)
        ");
    }
}
