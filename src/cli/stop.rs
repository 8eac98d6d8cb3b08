//! Why sending or reading stopped early, in words and as an exit code.

use super::exit;
use crate::apply::StopReason;
use crate::contract::Contract;

/// A stop, with what to do about it where the contract knows.
pub(super) fn stop_message(stop: &StopReason, contract: &Contract) -> String {
    match stop {
        StopReason::Forbidden { message } => format!(
            "the permission is missing: {}; grant `{}` to the application, or `{}` to the user",
            message.trim_end_matches('.'),
            contract.permission_application,
            contract.permission_delegated
        ),
        stop => stop.to_string(),
    }
}

/// The exit code of a stop that left something to do.
pub(super) fn code_of(stop: &StopReason) -> u8 {
    match stop {
        StopReason::Unreachable { .. } | StopReason::QueryRejected { .. } => exit::USAGE,
        StopReason::Unauthorized { .. }
        | StopReason::NotRenewed { .. }
        | StopReason::Forbidden { .. }
        | StopReason::Blocked { .. } => exit::NOT_ALLOWED,
        StopReason::TooManyFailures { .. } | StopReason::FirstRowsFailed { .. } => exit::NEEDS_ATTENTION,
        StopReason::Requested
        | StopReason::Deadline
        | StopReason::ServiceDown { .. }
        | StopReason::SignInDown { .. }
        | StopReason::PausedTooLong { .. }
        | StopReason::ListFailed { .. }
        | StopReason::ListenerFailed { .. } => exit::STOPPED,
    }
}
