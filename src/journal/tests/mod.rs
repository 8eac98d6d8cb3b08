//! The journal's promises, on real files: what survives, what is shared, what is refused.

mod account;
mod commit;
mod doubt;
mod history;
mod ledger;
mod merged;
mod plans;
mod process;
mod runs;
mod same_again;
mod store;
