//! The domain types: incidents and what changes them, calls and how they end, outcomes, quotas, diagnostics. No I/O.

pub mod call;
pub mod change;
pub mod cloud;
pub mod comment_text;
pub mod diagnostic;
pub mod edit;
pub mod list_edit;
pub mod operation;
pub mod outcome;
pub mod outcome_code;
pub mod outcome_kind;
pub mod permit;
pub mod quota_spec;
pub mod setting;
pub mod snapshot;
pub mod step;
