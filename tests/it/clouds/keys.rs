//! Whose quota and history count: one tenant is one, by whichever API and region of its cloud it is reached; two tenants of
//! the same name in two clouds are two.

use crate::program::{Ended, Program, started};
use crate::remote_service::{RemoteService, Tenant};
use crate::tokens::jwt;

const A: &str = "11111111-1111-1111-1111-111111111111";

/// Runs a file through the program's emulator, which plays every host.
fn run(program: &Program, token: &str, options: &str) -> Ended {
    let service = RemoteService::start(&[&Tenant::new(A, program)]);
    let line = format!("run a.csv --yes --settle 150ms {options}");
    started(service.command(program, token, &line)).end()
}

/// The tenant keys in the journal, and the attempts of each.
fn keys(program: &Program) -> Vec<(String, u64)> {
    let journal = program.journal();
    let query = "SELECT s.name, (SELECT count(*) FROM attempts a WHERE a.scope = s.id) FROM scopes s ORDER BY s.name";
    let mut statement = journal.prepare(query).expect("the tables are there");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("texts and numbers")
}

fn program() -> Program {
    Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n").emulator(|_| ())
}

#[test]
fn tenant_has_one_ledger_for_apis_and_regions() {
    let token = jwt(&format!(r#"{{"tid":"{A}"}}"#));
    for options in [
        ["", "--region eu", "--region au", "--contract graph"],
        ["--cloud us-gov-gcc", "--cloud us-gov-gcc --contract graph", "--contract graph", ""],
        [
            "--cloud us-gov-high",
            "--cloud us-gov-high --contract graph",
            "--base-url https://api-gov.securitycenter.microsoft.us",
            "--contract graph --base-url https://graph.microsoft.us",
        ],
    ] {
        let program = program();
        for (at, options) in options.iter().enumerate() {
            run(&program, &token, &format!("{options} --set tags=run-{at}")).expect_code(0);
        }
        assert_eq!(keys(&program), [(format!("tenant:{A}"), 8)]);
    }
}

#[test]
fn same_name_in_two_clouds_is_two_tenants() {
    let program = program();
    for (at, options) in ["", "--cloud us-gov-gcc", "--region eu", "--contract graph"].iter().enumerate() {
        run(&program, "opaque", &format!("{options} --tenant contoso --set tags=run-{at}")).expect_code(0);
    }
    for options in ["--cloud us-gov-high", "--cloud us-gov-dod --contract graph --set tags=b"] {
        run(&program, "opaque", &format!("{options} --tenant contoso"))
            .expect_code(0)
            .expect_outcomes(&[("updated", 2)]);
    }
    let us_gov = "at:https://api-gov.security.microsoft.us name:contoso".to_owned();
    assert_eq!(keys(&program), [(us_gov, 4), ("name:contoso".to_owned(), 8)]);
}

#[test]
fn opaque_tokens_of_two_clouds_share_nothing() {
    let program = program();
    for options in
        ["", "--region uk --set tags=a", "--cloud us-gov-high --set tags=b", "--cloud us-gov-dod --set tags=c"]
    {
        run(&program, "opaque", options).expect_code(0).expect_outcomes(&[("updated", 2)]);
    }
    let origin = |host: &str| format!("origin:https://{host}");
    assert_eq!(
        keys(&program),
        [(origin("api-gov.security.microsoft.us"), 4), (origin("api.security.microsoft.com"), 4)]
    );
}
