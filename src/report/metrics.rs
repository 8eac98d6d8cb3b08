//! The metrics of a command that has ended, as Prometheus text (<https://prometheus.io/docs/instrumenting/exposition_formats/>)
//! for the textfile collector of `node_exporter`.
//!
//! Promises: every file has the same series, with the labels `tenant` and `profile`; no run, row or incident ID.

use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;

use super::outcome_counts::OutcomeCounts;
use crate::model::outcome::OutcomeKind;

/// What all names begin with.
const PREFIX: &str = "bulk_triage_last_run_";

/// The metrics of one command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metrics {
    /// The tenant that was set; empty if none was.
    pub(crate) tenant: String,
    /// The profile that was set; empty if none was.
    pub(crate) profile: String,
    /// When the command ended.
    pub(crate) ended_at: Timestamp,
    /// Its exit code.
    pub(crate) exit_code: u8,
    /// The rows of its run by outcome.
    pub(crate) outcomes: OutcomeCounts,
    /// Its requests to the API, reads included.
    pub(crate) calls: u64,
    /// The 429s among the responses.
    pub(crate) throttled: u64,
    /// How long the next request waited only for the quota.
    pub(crate) quota_wait: Duration,
    /// Its total time.
    pub(crate) lasted: Duration,
}

impl Metrics {
    /// The text of the file.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        let labels = format!("tenant=\"{}\",profile=\"{}\"", escaped(&self.tenant), escaped(&self.profile));
        let mut gauge = |name: &str, help: &str, values: &[(String, String)]| {
            let head = format!("# HELP {PREFIX}{name} {help}\n# TYPE {PREFIX}{name} gauge\n");
            text.push_str(&head);
            for (more, value) in values {
                writeln!(text, "{PREFIX}{name}{{{labels}{more}}} {value}").expect("a String takes all that is written");
            }
        };
        let rows: Vec<_> = OutcomeKind::ALL
            .map(|kind| (format!(",outcome=\"{}\"", kind.name()), self.outcomes.of(kind).to_string()))
            .into();
        let one = |value: String| [(String::new(), value)];
        gauge("timestamp_seconds", "Unix time of the end of the command.", &one(self.ended_at.as_second().to_string()));
        gauge("exit_code", "Exit code of the command.", &one(self.exit_code.to_string()));
        gauge("rows", "Rows of the run by outcome.", &rows);
        gauge("calls", "Requests to the API, reads included.", &one(self.calls.to_string()));
        gauge("throttled", "Responses with status 429.", &one(self.throttled.to_string()));
        gauge("duration_seconds", "Total time of the command.", &one(seconds(self.lasted)));
        gauge("quota_wait_seconds", "Time spent waiting for the quota.", &one(seconds(self.quota_wait)));
        text
    }
}

fn seconds(time: Duration) -> String {
    format!("{:.3}", time.as_secs_f64())
}

/// The value of a label, as the format escapes it.
fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::metrics_file::MARK;

    #[test]
    fn text_is_in_the_exposition_format() {
        let mut outcomes = OutcomeCounts::default();
        outcomes.add(OutcomeKind::Updated, 27);
        outcomes.add(OutcomeKind::InDoubt, 1);
        let metrics = Metrics {
            tenant: "a\"b\\c\nd".to_owned(),
            profile: String::new(),
            ended_at: "2026-11-28T02:14:07.9Z".parse().expect("valid"),
            exit_code: 1,
            outcomes,
            calls: 30,
            throttled: 1,
            quota_wait: Duration::from_millis(61_250),
            lasted: Duration::from_secs(90),
        };
        insta::assert_snapshot!(metrics.to_text(), @r#"
        # HELP bulk_triage_last_run_timestamp_seconds Unix time of the end of the command.
        # TYPE bulk_triage_last_run_timestamp_seconds gauge
        bulk_triage_last_run_timestamp_seconds{tenant="a\"b\\c\nd",profile=""} 1795832047
        # HELP bulk_triage_last_run_exit_code Exit code of the command.
        # TYPE bulk_triage_last_run_exit_code gauge
        bulk_triage_last_run_exit_code{tenant="a\"b\\c\nd",profile=""} 1
        # HELP bulk_triage_last_run_rows Rows of the run by outcome.
        # TYPE bulk_triage_last_run_rows gauge
        bulk_triage_last_run_rows{tenant="a\"b\\c\nd",profile="",outcome="updated"} 27
        bulk_triage_last_run_rows{tenant="a\"b\\c\nd",profile="",outcome="unchanged"} 0
        bulk_triage_last_run_rows{tenant="a\"b\\c\nd",profile="",outcome="failed"} 0
        bulk_triage_last_run_rows{tenant="a\"b\\c\nd",profile="",outcome="invalid"} 0
        bulk_triage_last_run_rows{tenant="a\"b\\c\nd",profile="",outcome="in-doubt"} 1
        bulk_triage_last_run_rows{tenant="a\"b\\c\nd",profile="",outcome="not-attempted"} 0
        # HELP bulk_triage_last_run_calls Requests to the API, reads included.
        # TYPE bulk_triage_last_run_calls gauge
        bulk_triage_last_run_calls{tenant="a\"b\\c\nd",profile=""} 30
        # HELP bulk_triage_last_run_throttled Responses with status 429.
        # TYPE bulk_triage_last_run_throttled gauge
        bulk_triage_last_run_throttled{tenant="a\"b\\c\nd",profile=""} 1
        # HELP bulk_triage_last_run_duration_seconds Total time of the command.
        # TYPE bulk_triage_last_run_duration_seconds gauge
        bulk_triage_last_run_duration_seconds{tenant="a\"b\\c\nd",profile=""} 90.000
        # HELP bulk_triage_last_run_quota_wait_seconds Time spent waiting for the quota.
        # TYPE bulk_triage_last_run_quota_wait_seconds gauge
        bulk_triage_last_run_quota_wait_seconds{tenant="a\"b\\c\nd",profile=""} 61.250
        "#);
        assert!(metrics.to_text().starts_with(MARK) && metrics.to_text().ends_with(" 61.250\n"));
    }
}
