//! What keeps its origin, a plan and a run, with clouds and regions of the command line and of the settings: the token goes
//! where both say, or nowhere.

use super::application;
use crate::consent::{advised, pasted};
use crate::program::{Ended, Program, started};
use crate::remote_service::{RemoteService, Tenant};
use crate::settings::precedence::{USER, settings_file};
use crate::sign_in::kinds::TENANT;

fn run(program: &Program, arguments: &str) -> Ended {
    let service = RemoteService::start(&[&Tenant::new(TENANT, program)]);
    started(super::signing_in(service.command(program, "", arguments))).end()
}

const GRAPH: &str = "--contract graph --cloud us-gov-high";

#[test]
fn plan_signs_in_to_its_own_cloud() {
    let program = application();
    run(&program, &format!("plan a.csv -o a.plan {GRAPH}"))
        .expect_code(0)
        .expect_text(&format!("apply a.plan {GRAPH}"));
    let shown = run(&program, "plan a.plan").expect_code(0);
    shown.expect_text("https://graph.microsoft.us");
    for (options, contrary) in [
        ("--cloud us-gov-dod", "`--cloud us-gov-dod`"),
        ("--cloud global", "`--cloud global`"),
        ("--region eu", "`--region eu`"),
    ] {
        let ended = run(&program, &format!("apply a.plan --yes {options}")).expect_code(2);
        ended.expect_text(contrary);
    }
    // A cloud of the user's own settings is no less a decision.
    settings_file(&program, USER, "cloud = 'us-gov-gcc'\n");
    let ended = run(&program, "apply a.plan --yes").expect_code(2);
    let ended = ended.expect_text("https://graph.microsoft.us (the plan)");
    ended.expect_text("`--cloud us-gov-gcc` (~/.config/bulk-triage/config.toml:1)").expect_text("--cloud us-gov-high");
    assert!(program.sign_in_requests().is_empty());
    let applied = run(&program, "apply a.plan --yes --cloud us-gov-high").expect_code(0);
    applied.expect_text(
        "signing in to https://graph.microsoft.us with client-secret at login.microsoftonline.us, audience",
    );
    assert_eq!(program.updates().len(), 2);
}

#[test]
fn plan_needs_no_cloud_of_its_own() {
    let program = application();
    run(&program, &format!("plan a.csv -o a.plan {GRAPH}")).expect_code(0);
    let applied = run(&program, "apply a.plan --yes").expect_code(0);
    applied.expect_text("at login.microsoftonline.us, audience https://graph.microsoft.us\n");
}

#[test]
fn resume_and_undo_stay_in_their_cloud() {
    let program = application();
    let stopped = run(&program, &format!("run a.csv --yes {GRAPH} --compare --stop-after 0s")).expect_code(4);
    stopped.expect_text(&format!("run a.csv --compare {GRAPH} --client-secret-file secret --yes\n"));
    let name = program.last_run();
    let ended = run(&program, &format!("runs resume {name} --yes --cloud global")).expect_code(2);
    ended.expect_text("https://graph.microsoft.us (the journal)").expect_text("`--cloud global`");
    run(&program, &format!("runs resume {name} --yes --region eu")).expect_code(2).expect_text("`--region eu`");
    settings_file(&program, USER, "cloud = 'us-gov-dod'\n");
    run(&program, &format!("runs resume {name} --yes")).expect_code(2).expect_text("`--cloud us-gov-dod` (~/");
    settings_file(&program, USER, "cloud = 'us-gov-high'\n");
    let resumed = run(&program, &format!("runs resume {name} --yes")).expect_code(0);
    resumed.expect_text("at login.microsoftonline.us, audience https://graph.microsoft.us\n");
    settings_file(&program, USER, "");
    let undone = run(&program, &format!("runs undo {name} -o undo.plan")).expect_code(0);
    undone.expect_text("at login.microsoftonline.us, audience https://graph.microsoft.us\n");
    run(&program, &format!("runs undo {name} -o other.plan --cloud global")).expect_code(2);
}

/// What is printed works where it is pasted.
#[test]
fn next_command_of_a_cloud_is_complete() {
    let program = application();
    let service = RemoteService::start(&[&Tenant::new(TENANT, &program)]);
    let dry = run(&program, &format!("run a.csv --dry-run {GRAPH}")).expect_code(0);
    let line = dry.stdout.lines().last().expect("a command").trim().to_owned();
    assert!(line.contains(GRAPH), "{line}");
    let like = super::signing_in(service.command(&program, "", "runs"));
    pasted(&like, &format!("{line} --yes")).expect_code(0).expect_outcomes(&[("updated", 2)]);
    // A gateway is confirmed for the cloud that was typed.
    program.write("own.toml", "extends = \"graph\"\norigin = \"https://api.tenants.test\"\n");
    let ended = run(&program, "run a.csv --yes --remember 0 --contract own.toml --cloud us-gov-high").expect_code(2);
    pasted(&like, &advised(&ended)).expect_code(0).expect_text("audience https://graph.microsoft.us");
}
