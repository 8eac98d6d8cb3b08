//! Where the token goes: the user's own settings and variables count as consent; a project file can't give any.

use crate::consent::token;
use crate::program::{Ended, Program, closing, started};
use crate::settings::precedence::{PROJECT, SYSTEM, USER, settings_file};

/// Two rows and an emulator on loopback, to which only consent sends a tenant's token.
fn program() -> Program {
    Program::new().file("a.csv", closing(1..=2)).emulator(|_| ())
}

fn run(program: &Program, line: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command = program.command(line);
    command.env("BULK_TRIAGE_TOKEN", token()).envs(variables.iter().copied());
    started(command).end()
}

#[test]
fn base_url_of_own_settings_is_consent() {
    for (file, options) in [(SYSTEM, ""), (USER, ""), (USER, " --profile p"), ("own.toml", " --config own.toml")] {
        let program = program();
        let table = if options.contains("--profile") { "[profiles.p]\n" } else { "" };
        settings_file(&program, file, &format!("{table}base-url = '{}'\n", program.origin()));
        run(&program, &format!("run a.csv --yes{options}"), &[]).expect_code(0);
        assert_eq!(program.updates().len(), 2, "{file}");
    }
    let program = program();
    run(&program, "run a.csv --yes", &[("BULK_TRIAGE_BASE_URL", &program.origin())]).expect_code(0);
    assert_eq!(program.updates().len(), 2);
}

#[test]
fn base_url_of_own_settings_is_no_contradiction() {
    let program = program();
    let origin = program.origin();
    let here = [("BULK_TRIAGE_BASE_URL", origin.as_str())];
    let elsewhere = [("BULK_TRIAGE_BASE_URL", "https://incidents.example.com")];
    run(&program, "plan a.csv -o a.plan", &here).expect_code(0);
    // A plan names its origin; only the user consents to it.
    run(&program, "apply a.plan --yes", &[]).expect_code(2).expect_text("the plan names http://127.0.0.1");
    run(&program, "apply a.plan --yes", &elsewhere).expect_code(2).expect_text("the plan names http://127.0.0.1");
    let typed = "apply a.plan --yes --base-url https://incidents.example.com";
    run(&program, typed, &here).expect_code(2).expect_text("is for another base URL");
    assert!(program.requests().is_empty());
    run(&program, "apply a.plan --yes --stop-after 0s", &here).expect_code(4);
    let resume = format!("runs resume {} --yes", program.last_run());
    run(&program, &resume, &elsewhere).expect_code(2).expect_text("the journal names http://127.0.0.1");
    run(&program, &resume, &here).expect_code(0);
    assert_eq!(program.updates().len(), 2);
}

#[test]
fn contract_of_settings_does_not_contradict_a_plan() {
    let program = program();
    let here = format!("--base-url {}", program.origin());
    run(&program, &format!("plan a.csv -o a.plan {here}"), &[]).expect_code(0);
    let other = [("BULK_TRIAGE_CONTRACT", "defender")];
    run(&program, &format!("apply a.plan --yes --contract defender {here}"), &[]).expect_code(2);
    run(&program, &format!("apply a.plan --yes {here}"), &other).expect_code(0);
}

#[test]
fn project_file_sends_no_token_elsewhere() {
    for (project, other) in crate::settings::hostile::ROWS {
        let program = program();
        crate::settings::hostile::prepare(&program, project, *other);
        for line in ["run a.csv --yes", "run a.csv --dry-run --compare", "plan a.csv --compare", "fetch -o open.csv"] {
            let ended = run(&program, line, &[]).expect_code(2);
            assert!(ended.stderr.starts_with("error: bulk-triage.toml:"), "{}", ended.printed());
        }
        assert!(program.requests().is_empty(), "{project} {other:?}");
    }
    // What the user names outranks it.
    let program = program();
    settings_file(&program, PROJECT, "contract = 'evil.toml'\n");
    program.write("evil.toml", format!("extends = 'defender'\norigin = '{}'\n", program.origin()));
    run(&program, "run a.csv --yes", &[]).expect_code(2);
    let typed = format!("run a.csv --yes --contract evil.toml --base-url {}", program.origin());
    run(&program, &typed, &[]).expect_code(0);
}

/// Between the check of a contract and its use there is no second look at the file.
#[test]
fn project_contract_may_say_what_rows_mean() {
    let program = program().file("b.csv", "incidentId,status\n1,Erledigt\n");
    settings_file(&program, PROJECT, "contract = 'words.toml'\n");
    let values = "values = [{ value = \"Resolved\", aliases = [\"Erledigt\"] }]";
    program.write("words.toml", format!("extends = \"defender\"\n[[properties]]\nname = \"status\"\n{values}\n"));
    program.run("check b.csv").expect_code(0);
    program.run("--no-config check b.csv").expect_code(3);
}
