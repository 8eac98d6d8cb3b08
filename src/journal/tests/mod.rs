//! The journal's guarantees, on real files: durability, sharing between processes, refusals.

mod commit;
mod decide;
mod decisions;
mod dedup;
mod doubt;
mod history;
mod ledger;
mod process;
mod query_plans;
mod redirects;
mod run_report;
mod runs;
mod steps;
mod store;
