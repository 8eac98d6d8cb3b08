//! Passes the events of a run to the results file, the progress and the summary.

use std::io;

use super::progress::Progress;
use super::summary::RunStats;
use crate::apply::events::{Event, Listener};
use crate::output::results::ResultsFile;

/// A listener that updates the results file, the progress and the statistics for the summary.
#[derive(Debug)]
pub struct Reporter {
    results: ResultsFile,
    progress: Progress,
    stats: RunStats,
}

impl Reporter {
    /// A reporter for a run that starts or resumes. `stats`: what they note of its earlier rows.
    #[must_use]
    pub fn new(results: ResultsFile, progress: Progress, stats: RunStats) -> Reporter {
        Reporter { results, progress, stats }
    }

    /// Ends the progress display. Returns the results, which are not sorted yet, and the statistics.
    #[must_use]
    pub fn into_results_and_stats(self) -> (ResultsFile, RunStats) {
        (self.results, self.stats)
    }
}

impl Listener for Reporter {
    /// Fails if the results file can't be written, but not if the terminal has been closed.
    fn on_event(&mut self, event: Event) -> io::Result<()> {
        self.progress.on_event(&event);
        self.stats.on_event(&event);
        match &event {
            Event::Finished(rows) => self.results.append(rows),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::input::InputShape;
    use crate::model::outcome::{Outcome, OutcomeKind, ResultRow, RowCode};
    use crate::output::results::Destination;
    use crate::report::progress::Screen;
    use std::convert::Infallible;

    #[test]
    fn row_reaches_the_results_and_the_statistics() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("results.jsonl");
        let shape = InputShape::Jsonl { bom: false };
        let destination = Destination::examine(&path, None, &shape).expect("free");
        let results = ResultsFile::create::<Infallible>(&destination, shape, []).expect("creates");
        let progress = Progress::new(Screen::plain(io::sink()), Clock::machine(), false);
        let mut reporter = Reporter::new(results, progress, RunStats::default());

        reporter.on_event(Event::Started { rows: 2, before: vec![] }).expect("hears");
        let row = ResultRow {
            row: 1,
            line: 1,
            incident_id: "7".to_owned(),
            outcome: Outcome::new(OutcomeKind::Updated, RowCode::Empty, ""),
            attempts: 1,
            source: b"{\"incidentId\":7}".to_vec(),
        };
        reporter.on_event(Event::Finished(vec![row])).expect("hears");
        let (_, stats) = reporter.into_results_and_stats();
        assert_eq!((stats.rows, stats.outcomes.of(OutcomeKind::Updated)), (2, 1));
        let written = std::fs::read_to_string(&path).expect("reads");
        assert!(written.ends_with("\"input\":{\"incidentId\":7}}\n"), "{written}");
    }
}
