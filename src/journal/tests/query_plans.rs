//! The cost of the queries of a commit and of a start does not grow with the journal.

use super::process::Place;
use crate::journal::{columns, gather, ledger_store, rows, runs};

#[tokio::test(start_paused = true)]
async fn no_query_of_sending_reads_a_whole_table() {
    let place = Place::new();
    let journal = place.open();
    let others = [gather::ATTEMPTS_OF_INCIDENTS, rows::SNAPSHOTS, runs::UNFINISHED_SAME, &columns::pending_rows()];
    for query in ledger_store::QUERIES.into_iter().chain(others) {
        let mut statement = journal.db.prepare(&format!("EXPLAIN QUERY PLAN {query}")).expect("prepares");
        let mut steps = statement.raw_query();
        while let Some(step) = steps.next().expect("explains") {
            let step: String = step.get("detail").expect("text");
            let is_bounded = step.starts_with("SEARCH") && step.contains(" USING ")
                // This index holds only requests in flight, and there are few tenant keys.
                || step == "SCAN attempts USING INDEX attempts_open"
                || step == "SCAN scopes"
                // The batch itself.
                || step == "SCAN wanted VIRTUAL TABLE INDEX 1:"
                // A heading of the plan, not a step.
                || step.contains("SUBQUERY")
                || step == "USE TEMP B-TREE FOR DISTINCT";
            assert!(is_bounded, "{query}\n{step}");
        }
    }
}
