//! The log: what is kept of a run's calls and of what happened to it. Text from outside is made safe on its way.

use std::time::Duration;

use super::callers::CompletedCall;
use super::events::Event;
use super::row_state::RowState;
use crate::journal::CallKind;
use crate::model::call::{Call, CallResult};
use crate::model::change::IncidentId;
use crate::text::printable;

/// A call for a row has ended.
pub(super) fn call(hand: &RowState, ended: &CompletedCall) {
    tracing::debug!(
        row = hand.row.row,
        incident = hand.row.change.incident.get(),
        what = match hand.what {
            CallKind::Update => "Update",
            CallKind::Read(_) => "Read",
        },
        verdict = ended.answer.verdict.name(),
        status = ended.answer.http_status,
        took_ms = u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX),
        message = %printable(&ended.answer.message),
        "request ended"
    );
}

/// A call that only looks has ended.
pub(super) fn look(call: &Call, answer: &CallResult, took: Duration) {
    tracing::debug!(
        incident = call.incident().map(IncidentId::get),
        what = if matches!(call, Call::List(_)) { "List" } else { "Read" },
        verdict = answer.verdict.name(),
        status = answer.http_status,
        took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        message = %printable(&answer.message),
        "request ended"
    );
}

/// What a log keeps of a run, beside its calls.
pub(super) fn event(event: &Event) {
    match event {
        Event::Started { rows, before } => {
            let over: u64 = before.iter().map(|(_, rows)| rows).sum();
            tracing::info!(rows, over, "sending");
        }
        Event::Finished(rows) => {
            for row in rows {
                tracing::info!(
                    row = row.row,
                    line = row.line,
                    incident = %printable(&row.incident_id),
                    outcome = row.outcome.kind.name(),
                    code = %printable(row.outcome.code.as_str()),
                    message = %printable(&row.outcome.message),
                    "row finished"
                );
            }
        }
        Event::Throttled { until, message } => tracing::info!(%until, message = %printable(message), "throttled"),
        Event::Busy { until, message } => tracing::info!(%until, message = %printable(message), "service busy"),
        Event::ServiceDown { until, message } => {
            tracing::info!(%until, message = %printable(message), "service down");
        }
        Event::ServiceUp => tracing::info!("service up"),
        Event::Retry { row, tries, at, message } => {
            tracing::info!(row, tries, %at, message = %printable(message), "row will be retried");
        }
        Event::Stopping { reason, in_flight } => {
            tracing::info!(reason = %printable(&reason.to_string()), in_flight, "stopping");
        }
        Event::ReadingStarted(incidents) => tracing::info!(incidents, "reading incidents"),
        Event::IncidentsRead(_) | Event::Pace(_) => {}
    }
}
