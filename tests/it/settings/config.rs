//! `bulk-triage config`, as whole texts; no secret is in them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::program::{Program, closing, started};
use crate::settings::precedence::{PROJECT, SYSTEM, USER, settings_file};
use crate::story::Story;

/// A program with a value in every layer of files.
fn program() -> Program {
    let program = Program::new().file("a.csv", closing(1..=2));
    settings_file(&program, SYSTEM, "state-dir = '/var/lib/triage'\nquota = '40/1m,1200/1h'\n");
    settings_file(
        &program,
        USER,
        "quota = '30/1m,900/1h'\n\n[profiles.contoso]\ntoken-file = 'contoso'\ntenant = 'contoso'\n",
    );
    settings_file(&program, PROJECT, "contract = 'defender'\ncompare = true\n");
    program
}

#[test]
fn config_shows_values_and_origins() {
    let program = program();
    let mut story = Story::of(&program);
    for line in [
        "config",
        "--profile contoso config",
        "config run --profile contoso --quota 10/1m --no-compare --set status=Active --set tags=a",
        "config --format json runs resume -vv",
        "config apply",
        "config --no-config",
    ] {
        story.command("", {
            let mut command = program.command(line);
            command.env_remove("BULK_TRIAGE_STATE_DIR").env("BULK_TRIAGE_PATIENCE", "0");
            command
        });
    }
    story.is("config");
}

#[test]
fn config_path_lists_the_files() {
    let program = program();
    fs::remove_file(program.path(SYSTEM)).expect("it is there");
    let mut story = Story::of(&program);
    story.run("config path").run("config path --format json").run("config path --no-config");
    fs::set_permissions(program.path(USER), Permissions::from_mode(0o622)).expect("its owner");
    story.run("config path").run("config --config a.csv path").is("config-path");
}

#[test]
fn config_schema_describes_every_setting() {
    let program = Program::new();
    Story::of(&program).run("config schema").is("config-schema");
}

#[test]
fn wrong_settings() {
    let program = Program::new().file("a.csv", closing(1..=2));
    let mut story = Story::of(&program);
    for (name, text) in [
        (USER, "quota = \n"),
        (USER, "concurency = 1\n"),
        (USER, "\n# ours\nconcurrency = 6000\n"),
        (USER, "quota = 'many'\n"),
        (USER, "compare = 'yes'\n"),
        (USER, "color = 'alway'\n"),
        (USER, "token = 'canary'\n"),
        (USER, "yes = true\n"),
        (USER, "no-compare = true\n"),
        (USER, "quota = ['1/1m']\n"),
        (USER, "tenant = ''\n"),
        (USER, "base-url = 'https://me:canary@incidents.example.com'\n"),
        (USER, "contract = 'defendr'\n"),
        (USER, "quota = '60/1m,1500/1h'\n"),
        (PROJECT, "base-url = 'https://evil.example'\n"),
        (PROJECT, "[profiles.p]\n"),
    ] {
        settings_file(&program, name, text);
        story.typed(&format!("cat {name}")).part("stdout", text);
        story.run("run a.csv --dry-run");
        fs::remove_file(program.path(name)).expect("it is there");
    }
    settings_file(&program, USER, "[profiles.contoso]\n");
    for line in [
        "check a.csv --profile contso",
        "check a.csv --profile other",
        "check a.csv --profile contoso --no-config",
        "check a.csv --config missing.toml",
        "--config a.csv check a.csv --no-config",
        "check a.csv --config /dev/zero",
        "check a.csv --config .",
        "check a.csv --profile other --format json",
    ] {
        story.run(line);
    }
    for (variable, value) in [
        ("BULK_TRIAGE_QUOTA", "many"),
        ("BULK_TRIAGE_COMPARE", "1"),
        ("BULK_TRIAGE_CONFIG", "missing.toml"),
        ("BULK_TRIAGE_QOUTA", "1/1m"),
        ("BULK_TRIAGE_YES", "true"),
        ("BULK_TRIAGE_NO_COMPARE", "true"),
        ("BULK_TRIAGE_QUOTA", ""),
    ] {
        let mut command = program.command("run a.csv --dry-run -q --color never");
        if variable.contains("QOUTA") || value == "true" {
            command = program.command("runs list");
        }
        command.env(variable, value);
        story.command(&format!("{variable}={value} "), command);
    }
    story.is("error-settings");
}

#[test]
fn files_that_others_can_write_are_refused() {
    let program = Program::new().file("a.csv", closing(1..=2));
    let mode = |name: &str, mode| {
        fs::set_permissions(program.path(name), Permissions::from_mode(mode)).expect("its owner");
    };
    let mut story = Story::of(&program);
    settings_file(&program, USER, "quota = '1/1m'\n");
    mode(USER, 0o664);
    story.run("check a.csv");
    mode(USER, 0o644);
    mode(".config/bulk-triage", 0o777);
    story.run("check a.csv");
    // Others can't replace the file in such a directory.
    mode(".config/bulk-triage", 0o1777);
    program.run("check a.csv").expect_code(0);
    mode(".config/bulk-triage", 0o755);
    settings_file(&program, SYSTEM, "quota = '1/1m'\n");
    mode(SYSTEM, 0o666);
    story.run("check a.csv").run("check a.csv --no-config");
    mode(SYSTEM, 0o644);
    fs::rename(program.path(USER), program.path("dotfile")).expect("it is there");
    symlink(program.path("dotfile"), program.path(USER)).expect("a link");
    program.run("check a.csv").expect_code(0);
    fs::remove_file(program.path("dotfile")).expect("it is there");
    story.run("check a.csv");
    // Anyone may have written a project file, which can do no harm.
    fs::remove_file(program.path(USER)).expect("it is there");
    settings_file(&program, PROJECT, "compare = true\n");
    mode(PROJECT, 0o666);
    program.run("check a.csv").expect_code(0);
    story.is("error-settings-files");
}

#[test]
fn help_and_version_work_with_wrong_settings() {
    let program = Program::new();
    settings_file(&program, USER, "nonsense\n");
    for line in ["--version", "run --help", "help run", "completions bash", "man", "config path", "config schema"] {
        program.run(line).expect_code(0);
    }
    for line in ["runs list", "config", "contract", "config run"] {
        program.run(line).expect_code(2).expect_text("config.toml:1");
    }
    settings_file(&program, USER, "quota = '7/1m'\n");
    program.run("run --help").expect_code(0).expect_text("[default: 7/1m]");
}

#[test]
fn config_shows_no_secret() {
    const CANARY: &str = "canary-7f3a9c";
    let program = program().file("contoso", CANARY);
    for line in [
        "config",
        "config --format json",
        "--profile contoso config run",
        "config --format json run",
        "config fetch -vvv",
        "config path",
        "config schema",
    ] {
        for variable in ["BULK_TRIAGE_TOKEN", "BULK_TRIAGE_BASE_URL"] {
            let value =
                if variable.ends_with("URL") { format!("https://x.example/?sig={CANARY}") } else { CANARY.into() };
            let mut command = program.command(line);
            command.env(variable, value);
            let ended = started(command).end();
            assert!(!ended.printed().contains(CANARY), "{line}: {}", ended.printed());
            if variable.ends_with("TOKEN") && line == "config" {
                ended.expect_text("token\t(set)\tenv BULK_TRIAGE_TOKEN");
            }
        }
    }
}
