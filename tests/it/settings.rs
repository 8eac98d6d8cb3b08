//! Settings come from files, variables and the command line. Those of a run are kept with it, each with the origin of its
//! value, and shown by reports.

mod config;
mod consent;
pub(crate) mod hostile;
pub(crate) mod precedence;

use serde_json::{Value, json};

use crate::program::{Program, closing, started};

/// A setting of the last run, as `runs show` tells it: value and origin.
fn setting(program: &Program, name: &str) -> Option<(Value, Value)> {
    let shown = program.run(&format!("runs show {} --format json", program.last_run())).expect_code(0).json();
    let settings = shown["settings"].as_array().expect("a list").clone();
    let one = settings.into_iter().find(|setting| setting["name"] == name)?;
    Some((one["value"].clone(), one["origin"].clone()))
}

#[track_caller]
fn expect(program: &Program, settings: &[(&str, &str, Value)]) {
    for (name, value, origin) in settings {
        assert_eq!(setting(program, name), Some(((*value).into(), origin.clone())), "{name}");
    }
}

#[test]
fn run_keeps_each_setting_with_its_origin() {
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
    program.write("own.toml", format!("extends = \"defender\"\nname = \"own\"\norigin = \"{}\"\n", program.origin()));
    let base_url = program.origin();
    program.run(&format!("run a.csv --yes --contract own.toml --base-url {base_url}")).expect_code(0);
    expect(
        &program,
        &[
            ("--contract", "own.toml", json!("flag")),
            ("--base-url", &base_url, json!("flag")),
            ("--quota", "50/1m,1500/1h", json!("contract")),
            ("--concurrency", "8", json!("default")),
            ("--remember", "12h", json!("default")),
            ("token", "(set)", json!("env BULK_TRIAGE_TOKEN")),
        ],
    );
    // What it prints, and how it was confirmed, are no settings of a run; nor is what is not set.
    for name in ["--yes", "--format", "--state-dir", "--limit", "--compare", "--token-file"] {
        assert_eq!(setting(&program, name), None, "{name}");
    }
    let summary = program.run("run a.csv --emulator --compare --yes --quota 90/1s --format json");
    summary.expect_code(0).expect_text(r#"{"name":"--compare","value":null,"origin":"flag"}"#);
}

/// What `runs resume` sets replaces what the run was started with; the rest is the run's.
#[test]
fn resume_replaces_only_the_settings_it_takes() {
    let program = Program::new().file("a.csv", closing(1..=4)).emulator(|_| ());
    let base_url = program.origin();
    let options = "--yes --set tags=a --quota 9/1s --concurrency 1 --remember 2h --stop-after 0s";
    program.run(&format!("run a.csv {options} --base-url {base_url}")).expect_code(4);
    let run = program.last_run();
    let page = |name: &str| {
        program.run(&format!("runs show {run} --report {name}")).expect_code(0);
        html_escape::decode_html_entities(&program.read(name)).into_owned()
    };
    assert!(page("typed.md").contains("| Quota | <code>9/1s</code> |"));
    program.run(&format!("runs resume {run} --yes --concurrency 2")).expect_code(0);
    expect(
        &program,
        &[
            ("--set", "tags=a", json!("flag")),
            ("--base-url", &base_url, json!("flag")),
            ("--quota", "50/1m,1500/1h", json!("contract")),
            ("--concurrency", "2", json!("flag")),
            ("--remember", "2h", json!("flag")),
        ],
    );
    assert_eq!(setting(&program, "--stop-after"), None);
    assert!(page("resumed.md").contains("| Quota | <code>50/1m,1500/1h</code> |"));
}

#[test]
fn variable_is_a_default_and_empty_is_unset() {
    let program = Program::new();
    let run = |line: &str, value: &str| {
        let mut command = program.command(line);
        let value = if value.is_empty() { "".into() } else { program.path(value) };
        command.env("BULK_TRIAGE_STATE_DIR", value).env("HOME", program.dir());
        started(command).end().expect_code(0)
    };
    run("runs list --help", "kept-here").expect_text(&format!("[default: {}]", program.path("kept-here").display()));
    run("runs prune", "kept-here");
    assert!(program.path("kept-here/journal.db").exists());
    run("runs prune", "");
    assert!(program.path(".local/state/bulk-triage/journal.db").exists());
    run("runs prune --state-dir typed", "kept-here");
    assert!(program.path("typed/journal.db").exists());
}
