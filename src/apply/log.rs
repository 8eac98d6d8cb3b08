//! The log: a run's requests and events. Text from outside is made safe on its way.

use super::callers::CompletedCall;
use super::events::Event;
use crate::model::change::IncidentId;
use crate::text::printable;

/// A request has ended; `row`: the one that it was for.
pub(super) fn call(row: Option<u64>, incident: Option<IncidentId>, what: &'static str, completed: &CompletedCall) {
    let result = &completed.result;
    tracing::debug!(
        row,
        incident = incident.map(IncidentId::get),
        what,
        verdict = result.verdict.name(),
        status = result.http_status,
        took_ms = u64::try_from(completed.took.as_millis()).unwrap_or(u64::MAX),
        message = %printable(&result.message),
        "request ended"
    );
}

/// What a log keeps of a run, beside its requests.
pub(super) fn event(event: &Event) {
    match event {
        Event::Started { rows, before } => {
            let finished: u64 = before.iter().map(|(_, rows)| rows).sum();
            tracing::info!(rows, over = finished, "sending");
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
        Event::Retry { row, attempts, at, message } => {
            tracing::info!(row, tries = attempts, %at, message = %printable(message), "row will be retried");
        }
        Event::Stopping { reason, in_flight } => {
            tracing::info!(reason = %printable(&reason.to_string()), in_flight, "stopping");
        }
        Event::ReadingStarted(incidents) => tracing::info!(incidents, "reading incidents"),
        Event::IncidentsRead(_) | Event::Pace(_) | Event::Ended(_) => {}
    }
}
