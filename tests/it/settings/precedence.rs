//! Each setting, from each layer that may set it, through the program.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::program::{Ended, Program, closing, started};

/// Where the program of a test reads its settings.
pub(crate) const USER: &str = ".config/bulk-triage/config.toml";
pub(crate) const SYSTEM: &str = "etc/config.toml";
pub(crate) const PROJECT: &str = "bulk-triage.toml";

/// Writes a settings file.
pub(crate) fn settings_file(program: &Program, name: &str, text: &str) {
    let path = program.path(name);
    std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    std::fs::write(path, text).expect("a file");
}

/// The schema of settings files, as the program prints it.
pub(crate) fn schema() -> Value {
    Program::new().run("config schema").expect_code(0).json()
}

/// The names of all settings, and whether a project file may set each.
pub(crate) fn names(schema: &Value) -> Vec<(String, bool)> {
    let names = schema["$defs"]["profile"]["properties"].as_object().expect("an object").keys();
    let of_project = &schema["$defs"]["project"]["properties"];
    names.map(|name| (name.clone(), of_project.get(name).is_some())).collect()
}

/// A value of the setting that is not its default, as it is written on the command line.
fn sample(schema: &Value, name: &str) -> String {
    let definition = &schema["$defs"][name];
    let default = &definition["default"];
    let choices = definition["enum"].as_array().into_iter().flatten().find(|choice| *choice != default);
    match (choices.and_then(Value::as_str), definition["type"].as_str()) {
        (Some(choice), _) => choice.to_owned(),
        (_, Some("boolean")) => (default != &Value::Bool(true)).to_string(),
        (_, Some("integer")) => "3".to_owned(),
        (_, Some("string")) => match name {
            "quota" => "5/1m".to_owned(),
            "contract" => "defender".to_owned(),
            "base-url" => "https://incidents.example.com".to_owned(),
            // The log begins before settings are shown.
            "log-file" => "/dev/null".to_owned(),
            _ => "/x/y".to_owned(),
        },
        _ => "7m".to_owned(),
    }
}

/// Value and origin of a setting, in what `config` printed as JSON.
pub(crate) fn shown(ended: Ended, name: &str) -> (String, String) {
    let json = ended.expect_code(0).json();
    let mut rows = json["settings"].as_array().expect("a list").iter();
    let row = rows.find(|row| row["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    let text = |member: &str| row[member].as_str().unwrap_or("-").to_owned();
    (text("value"), text("origin"))
}

#[test]
fn each_layer_sets_what_it_may() {
    let schema = schema();
    let names = names(&schema);
    assert!(names.len() >= 22, "{names:?}");
    for (name, is_of_project) in names {
        let value = sample(&schema, &name);
        let line = format!("{name} = '{value}'\n");
        let variable = format!("BULK_TRIAGE_{}", name.replace('-', "_").to_uppercase());
        for (file, text, profile, origin) in [
            (SYSTEM, line.clone(), "", "~/etc/config.toml:1"),
            (USER, line.clone(), "", "~/.config/bulk-triage/config.toml:1"),
            (PROJECT, line.clone(), "", "bulk-triage.toml:1"),
            (USER, format!("[profiles.p]\n{line}"), "--profile p ", "~/.config/bulk-triage/config.toml:2 [profiles.p]"),
            (SYSTEM, format!("[profiles.p]\n{line}"), "--profile p ", "~/etc/config.toml:2 [profiles.p]"),
        ] {
            let program = Program::new();
            settings_file(&program, file, &text);
            let mut command = program.command(&format!("{profile}config --format json run"));
            command.env_remove("BULK_TRIAGE_STATE_DIR");
            let ended = started(command).end();
            if file == PROJECT && !is_of_project {
                ended.expect_code(2).expect_text("can't be set in a project file");
                continue;
            }
            assert_eq!(shown(ended, &name), (value.clone(), origin.to_owned()), "{file}");
        }
        let program = Program::new();
        let with = |variable: &str| {
            let mut command = program.command("config --format json run");
            command.env(variable, &value);
            started(command).end()
        };
        assert_eq!(shown(with(&variable), &name), (value.clone(), format!("env {variable}")));
        let typed = match value.as_str() {
            "true" => format!("--{name}"),
            "false" => format!("--no-{name}"),
            value => format!("--{name} {value}"),
        };
        let ended = program.run(&format!("config --format json run {typed}"));
        assert_eq!(shown(ended, &name), (value.clone(), "flag".to_owned()));
    }
}

#[test]
fn command_line_options_are_set_nowhere_else() {
    let names = ["yes", "set", "limit", "only", "skip-invalid", "dry-run", "results", "output", "emulator", "format"];
    for name in names.into_iter().chain(["status", "verbose", "profile", "config", "no-config"]) {
        for (file, text) in [
            (SYSTEM, format!("{name} = 'x'")),
            (USER, format!("{name} = 'x'")),
            (USER, format!("[profiles.p]\n{name} = 'x'")),
            (PROJECT, format!("{name} = 'x'")),
        ] {
            let program = Program::new();
            settings_file(&program, file, &text);
            let ended = program.run("runs list").expect_code(2);
            ended.expect_text(&format!("`{name}` can't be set in a file: it is for the command line only"));
        }
        if ["profile", "config"].contains(&name) {
            continue;
        }
        let program = Program::new();
        let mut command = program.command("runs list");
        command.env(format!("BULK_TRIAGE_{}", name.replace('-', "_").to_uppercase()), "x");
        let ended = started(command).end().expect_code(0);
        ended.expect_text(&format!("sets nothing: `--{name}` is for the command line only"));
    }
}

#[test]
fn negation_outranks_lower_layers() {
    let program = Program::new().file("a.csv", closing(1..=1)).emulator(|_| ());
    settings_file(&program, PROJECT, "compare = true\nprogress = false\n");
    let reads = |options: &str| {
        let before = program.requests().len();
        program.send(&format!("a.csv --remember 0 {options}")).expect_code(0);
        program.requests()[before..].iter().filter(|request| request.method == "GET").count()
    };
    assert_eq!((reads(""), reads("--no-compare"), reads("--no-compare --compare")), (1, 0, 1));
    let value = |line: &str, name: &str| shown(program.run(line), name);
    assert_eq!(value("config --format json", "progress"), ("false".to_owned(), "bulk-triage.toml:2".to_owned()));
    assert_eq!(value("config --format json check --progress", "progress"), ("true".to_owned(), "flag".to_owned()));
}

#[test]
fn emulator_takes_no_settings() {
    let program = Program::new().file("a.csv", closing(1..=2));
    settings_file(&program, USER, "token-file = 'missing'\ntenant = 'x'\nbase-url = 'https://incidents.example.com'\n");
    let run = |line: &str| {
        let mut command = program.command(line);
        command.env("BULK_TRIAGE_TOKEN_FILE", "missing");
        started(command).end()
    };
    // Values that were not typed don't contradict `--emulator`, and don't count.
    let summary = run("run a.csv --emulator --yes --format json").expect_code(0).json();
    let kept: Vec<&str> =
        summary["settings"].as_array().expect("a list").iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(!["--token-file", "--tenant", "--base-url"].iter().any(|name| kept.contains(name)), "{kept:?}");
    run("run a.csv --emulator --yes --tenant y").expect_code(2).expect_text("cannot be used with");
    assert_eq!(shown(run("config --format json emulator"), "token-file"), ("-".to_owned(), "default".to_owned()));
}

#[test]
fn run_keeps_file_and_line_of_settings() {
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
    settings_file(&program, USER, "patience = '7m'\n[profiles.lab]\nconcurrency = 3\n");
    settings_file(&program, PROJECT, "\n\nmax-attempts = 2\n");
    program.run(&format!("run a.csv --yes --profile lab --base-url {}", program.origin())).expect_code(0);
    let shown = program.run(&format!("runs show {}", program.last_run())).expect_code(0);
    for setting in [
        "--patience 7m (~/.config/bulk-triage/config.toml:1)",
        "--concurrency 3 (~/.config/bulk-triage/config.toml:3 [profiles.lab])",
        "--max-attempts 2 (bulk-triage.toml:3)",
    ] {
        assert!(shown.stdout.contains(setting), "{setting} is missing in:\n{}", shown.stdout);
    }
}

#[test]
fn next_command_repeats_only_what_was_typed() {
    let program = Program::new().file("a.csv", closing(1..=2)).file("token", crate::program::TOKEN).emulator(|_| ());
    std::fs::set_permissions(program.path("token"), Permissions::from_mode(0o600)).expect("its owner");
    let own = format!("token-file = '{}'\nbase-url = '{}'\n", program.path("token").display(), program.origin());
    settings_file(&program, USER, &format!("[profiles.lab]\n{own}quota = '7/1s'\n"));
    settings_file(&program, PROJECT, "compare = true\n");
    let dry = program.run("run a.csv --dry-run --profile lab --concurrency 2").expect_code(0);
    dry.expect_text("\n  bulk-triage run a.csv --concurrency 2 --profile lab\n");
    let stopped = program.run("run a.csv --yes --profile lab --stop-after 0s").expect_code(4);
    let stopped = stopped.expect_text("\n  bulk-triage run a.csv --yes --profile lab\n");
    assert!(!stopped.stdout.contains("--base-url") && !stopped.stdout.contains("--token-file"), "{}", stopped.stdout);
}
