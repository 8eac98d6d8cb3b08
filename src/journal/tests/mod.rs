//! The journal's promises, on real files: what survives, what is shared, what is refused.

mod commit;
mod decide;
mod dedup;
mod doubt;
mod history;
mod ledger;
mod process;
mod query_plans;
mod redirects;
mod run_report;
mod runs;
mod store;
