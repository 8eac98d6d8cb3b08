//! The chart of requests over time against the quota's windows: its geometry, without markup.
//!
//! Promises: every coordinate is inside the chart; the size of the chart does not grow with the requests.

use std::fmt::Write as _;
use std::time::Duration;

use crate::model::quota_spec::{Window, duration_text};
use crate::report::humanize::{count, counted, lasting};

/// A point of the curve: the requests started up to a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// The time since the first request.
    pub at: Duration,
    /// The requests so far.
    pub calls: u64,
}

/// The maximum number of points.
pub const POINTS: u64 = 240;

/// A ceiling with more steps than this is drawn as a straight line.
const STEPS: f64 = 400.0;

/// The size of the chart and its frame, in SVG units.
pub(super) const WIDTH: f64 = 760.0;
pub(super) const HEIGHT: f64 = 280.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 744.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 236.0;

/// A tick of a scale.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub(super) at: String,
    pub(super) label: String,
}

/// The limit of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ceiling {
    /// The SVG path; empty if the limit is above the chart.
    pub(super) path: String,
    /// `at most 50 in any 1m`
    pub(super) label: String,
}

/// The chart.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chart {
    /// The requests so far, as an SVG path.
    pub(super) line: String,
    /// The same, closed along the bottom.
    pub(super) area: String,
    /// The limit of each window.
    pub(super) ceilings: Vec<Ceiling>,
    /// The horizontal positions of the 429s.
    pub(super) marks: Vec<String>,
    pub(super) x_ticks: Vec<Tick>,
    pub(super) y_ticks: Vec<Tick>,
    /// The same as a table: time and requests.
    pub(super) table: Vec<(String, String)>,
    /// The same as a phrase.
    pub(super) summary: String,
}

impl Chart {
    /// A chart of these points, which are in order; `None` if there are none. `duration` is that of the run.
    pub(super) fn new(points: &[Point], duration: Duration, windows: &[Window], marks: &[Duration]) -> Option<Chart> {
        let all = points.last()?.calls;
        let duration = duration.max(points.last()?.at).max(Duration::from_millis(1));
        let lowest = windows.iter().map(|window| u64::from(window.calls)).min().unwrap_or(0);
        // The lowest limit is in the chart, unless that would flatten the curve.
        let high = if lowest <= 2 * all { all.max(lowest) } else { all };
        let scale = Scale { seconds: duration.as_secs_f64(), calls: float(high) * 1.06 };
        let mut line = format!("M{} {}", scale.x(0.0), scale.y(0.0));
        for point in points {
            let x = scale.x(point.at.as_secs_f64());
            // A burst is a vertical line: a request counts when it starts.
            write!(line, "H{x}V{}", scale.y(float(point.calls))).expect("a String takes all that is written");
        }
        write!(line, "H{}", scale.x(scale.seconds)).expect("a String takes all that is written");
        let area = format!("{line}V{}Z", scale.y(0.0));
        Some(Chart {
            line,
            area,
            ceilings: windows.iter().map(|window| scale.ceiling(*window)).collect(),
            marks: marks.iter().map(|at| scale.x(at.as_secs_f64())).collect(),
            x_ticks: scale.x_ticks(),
            y_ticks: scale.y_ticks(),
            table: table(points, duration),
            summary: format!("{} in {}", counted(all, "request"), lasting(duration)),
        })
    }
}

/// Converts seconds and requests to coordinates.
struct Scale {
    seconds: f64,
    calls: f64,
}

impl Scale {
    fn x(&self, seconds: f64) -> String {
        coordinate(LEFT + (RIGHT - LEFT) * (seconds / self.seconds).clamp(0.0, 1.0))
    }

    fn y(&self, calls: f64) -> String {
        coordinate(BOTTOM - (BOTTOM - TOP) * (calls / self.calls).clamp(0.0, 1.0))
    }

    /// A period of `n` window lengths and a part of one has at most `n + 1` times the window's requests.
    fn ceiling(&self, window: Window) -> Ceiling {
        let (calls, length) = (f64::from(window.calls), window.length.as_secs_f64());
        let label = format!("at most {} in any {}", count(u64::from(window.calls)), duration_text(window.length));
        let steps = (self.seconds / length).min(self.calls / calls).ceil();
        if steps > STEPS {
            let (end, top) = (self.seconds.min(self.calls / calls * length), calls * self.seconds / length);
            let path = format!("M{} {}L{} {}", self.x(0.0), self.y(calls), self.x(end), self.y(top));
            return Ceiling { path, label };
        }
        let mut path = format!("M{} {}", self.x(0.0), self.y(calls));
        let (mut at, mut height) = (length, calls);
        while at < self.seconds && height < self.calls {
            height += calls;
            write!(path, "H{}V{}", self.x(at), self.y(height)).expect("a String takes all that is written");
            at += length;
        }
        if height < self.calls {
            write!(path, "H{}", self.x(self.seconds)).expect("a String takes all that is written");
        }
        if calls > self.calls {
            path.clear();
        }
        Ceiling { path, label }
    }

    fn x_ticks(&self) -> Vec<Tick> {
        let step = nice_time(self.seconds / 7.0);
        let tick = |seconds| Tick { at: self.x(seconds), label: lasting(Duration::from_secs_f64(seconds)) };
        ticks(step, self.seconds).map(tick).collect()
    }

    fn y_ticks(&self) -> Vec<Tick> {
        let step = nice_count(self.calls / 5.0);
        ticks(step, self.calls).map(|calls| Tick { at: self.y(calls), label: count(rounded(calls)) }).collect()
    }
}

fn ticks(step: f64, end: f64) -> impl Iterator<Item = f64> {
    (0..=20_u32).map(move |at| f64::from(at) * step).take_while(move |at| *at <= end)
}

/// The next power of ten, or 2 or 5 times one; at least 1.
fn nice_count(min: f64) -> f64 {
    let power = 10_f64.powf(min.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|step| *step >= min).unwrap_or(10.0 * power)
}

/// The next round duration, such as 5 minutes, in seconds.
fn nice_time(min: f64) -> f64 {
    const DAY: f64 = 86_400.0;
    // To half a minute, to half an hour, to half a day.
    let seconds = [0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];
    let minutes = [1.0, 2.0, 5.0, 10.0, 15.0, 30.0].map(|minutes| minutes * 60.0);
    let hours = [1.0, 2.0, 3.0, 6.0, 12.0].map(|hours| hours * 3_600.0);
    let mut steps = seconds.into_iter().chain(minutes).chain(hours);
    steps.find(|step| *step >= min).unwrap_or_else(|| DAY * nice_count(min / DAY))
}

/// The requests at the end of each tenth of the duration.
fn table(points: &[Point], duration: Duration) -> Vec<(String, String)> {
    let row = |tenth: u32| {
        let at = duration * tenth / 10;
        let calls = points.iter().take_while(|point| point.at <= at).last().map_or(0, |point| point.calls);
        (lasting(at), count(calls))
    };
    (1..=10).map(row).collect()
}

fn coordinate(at: f64) -> String {
    let text = format!("{at:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[expect(clippy::cast_precision_loss, reason = "a picture of 2^53 calls need not be exact")]
fn float(calls: u64) -> f64 {
    calls as f64
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a tick is a whole number of calls")]
fn rounded(calls: f64) -> u64 {
    calls.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quota(text: &str) -> Vec<Window> {
        text.parse::<crate::model::quota_spec::Quota>().expect("a quota").windows().to_vec()
    }

    /// 120 calls under 50 a minute.
    fn bursts() -> Vec<Point> {
        [(0, 50), (60, 100), (120, 120)]
            .map(|(seconds, calls)| Point { at: Duration::from_secs(seconds), calls })
            .to_vec()
    }

    #[test]
    fn bursts_are_drawn_below_the_limits() {
        let chart = Chart::new(&bursts(), Duration::from_secs(121), &quota("50/1m,1500/1h"), &[]).expect("a picture");
        assert_eq!(chart.summary, "120 requests in 2 min 1 s");
        assert_eq!(chart.line, "M64 236H64V149.5H401.2V63H738.4V28.5H744");
        assert_eq!(chart.ceilings[0].path, "M64 149.5H401.2V63H738.4V16");
        assert_eq!(chart.ceilings[0].label, "at most 50 in any 1m");
        assert_eq!(chart.ceilings[1].path, "", "1,500 are far above the picture");
        let labels = |ticks: &[Tick]| ticks.iter().map(|tick| tick.label.clone()).collect::<Vec<_>>();
        assert_eq!(labels(&chart.x_ticks), ["0 s", "30 s", "1 min", "1 min 30 s", "2 min"]);
        assert_eq!(labels(&chart.y_ticks), ["0", "50", "100"]);
        assert_eq!(chart.table[4], ("1 min".to_owned(), "100".to_owned()));
    }

    #[test]
    fn no_requests_give_no_chart() {
        assert_eq!(Chart::new(&[], Duration::ZERO, &quota("50/1m"), &[]), None);
        assert!(Chart::new(&[Point { at: Duration::ZERO, calls: 1 }], Duration::ZERO, &[], &[]).is_some());
    }

    /// The numbers of a path.
    fn numbers(path: &str) -> Vec<f64> {
        let parts = path.split(|c: char| c.is_ascii_alphabetic() || c == ' ').filter(|part| !part.is_empty());
        parts.map(|part| part.parse().expect("a number")).collect()
    }

    proptest! {
        #[test]
        fn nothing_is_drawn_outside_the_chart(
            gaps in prop::collection::vec((0_u64..1_000_000_000, 1_u64..100_000), 1..60),
            windows in prop::collection::vec((1_u32.., 1_u64..10_000_000), 0..3),
        ) {
            let (mut at, mut calls) = (0, 0);
            let points: Vec<Point> = gaps.into_iter().map(|(gap, more)| {
                (at, calls) = (at + gap, calls + more);
                Point { at: Duration::from_millis(at), calls }
            }).collect();
            let windows: Vec<Window> = windows.into_iter()
                .map(|(calls, millis)| Window { calls, length: Duration::from_millis(millis) }).collect();
            let marks: Vec<Duration> = points.iter().map(|point| point.at).collect();
            let chart = Chart::new(&points, Duration::ZERO, &windows, &marks).expect("a picture");
            let paths = chart.ceilings.iter().map(|ceiling| &ceiling.path).chain([&chart.line, &chart.area]);
            for number in paths.flat_map(|path| numbers(path)) {
                prop_assert!((0.0..=WIDTH).contains(&number), "{number}");
            }
            prop_assert!(chart.x_ticks.len() < 12 && chart.y_ticks.len() < 12);
            prop_assert!(chart.ceilings.iter().all(|ceiling| ceiling.path.len() < 10_000));
        }
    }
}
