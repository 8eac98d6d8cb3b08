//! Updates to another origin don't count as sent to the API; all built-in hosts are the same API.

use crate::program::{Ended, Program, started};
use crate::remote_service::{ORIGIN, RemoteService, Tenant};

const A: &str = "11111111-1111-1111-1111-111111111111";
const ROWS: &str = "incidentId,status,comment\n1,Resolved,one\n2,Active,two\n";

/// Runs `a.csv` at this origin: all of these hosts lead to the program's emulator.
fn run_at(program: &Program, origin: &str, options: &str) -> Ended {
    let tenant = Tenant::new(A, program);
    let service = RemoteService::start(&[&tenant]);
    let arguments = format!("run a.csv --yes --settle 150ms {options} --base-url {origin}");
    started(service.command(program, &tenant.token, &arguments)).end()
}

#[test]
fn run_at_another_origin_is_not_already_applied() {
    let program = Program::new().file("a.csv", ROWS).emulator(|_| ());
    for origin in ["https://other.tenants.test", ORIGIN, "https://api.security.microsoft.com"] {
        let ended = run_at(&program, origin, "").expect_code(0).expect_outcomes(&[("updated", 2)]);
        ended.expect_text(origin).expect_text(A);
    }
    assert_eq!(program.updates().len(), 6);
}

#[test]
fn built_in_hosts_share_their_history() {
    let program = Program::new().file("a.csv", ROWS).emulator(|_| ());
    run_at(&program, "https://api.security.microsoft.com", "").expect_code(0).expect_outcomes(&[("updated", 2)]);
    run_at(&program, "https://api-eu.security.microsoft.com", "").expect_code(0).expect_outcomes(&[("unchanged", 2)]);
    assert_eq!(program.updates().len(), 2);
}

/// Journals of earlier revisions name only the tenant, not the family.
#[test]
fn old_journal_counts_for_built_in_hosts() {
    let program = Program::new().file("a.csv", ROWS).emulator(|_| ());
    run_at(&program, ORIGIN, "").expect_code(0);
    let journal = program.journal();
    let earlier = journal.execute("UPDATE scopes SET name = 'tenant:' || ?1", [A]).expect("it is changed");
    assert_eq!(earlier, 1);
    drop(journal);
    let origin = "https://api-eu.security.microsoft.com";
    run_at(&program, origin, "").expect_code(0).expect_outcomes(&[("unchanged", 2)]);
    assert_eq!(program.updates().len(), 2);
}
