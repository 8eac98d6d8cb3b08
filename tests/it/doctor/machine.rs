//! What `doctor` finds on this machine: settings and the state directory.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::process::Command;

use super::{CHECKS, Found, command, found, found_by, program};
use crate::faults::{Errno, How, Strike, is_root, shim};
use crate::program::{Program, in_place_of, started};

/// Runs a command of a help text, as it was printed, in a shell.
fn run_as_printed(program: &Program, printed: &str) {
    let mut shell = in_place_of(&program.command(""), "sh");
    shell.args(["-c", printed]);
    started(shell).end().expect_code(0);
}

/// The first command in the help of a check.
fn advised(found: &Found, name: &str) -> String {
    let help = found.check(name)["help"].as_str().expect("a help").to_owned();
    help.split('`').nth(1).unwrap_or_else(|| panic!("no command in: {help}")).to_owned()
}

#[track_caller]
fn expect_settings_fail(program: &Program, command: Command, words: &str) {
    let found = found_by(command).expect_code(2).expect("settings", "fail", words);
    assert_eq!(program.requests().len(), 0);
    for name in ["proxy", "connection", "clock", "token", "permission"] {
        assert_eq!(found.state(name), "skip", "{}", found.ended.printed());
    }
}

#[test]
fn unusable_settings_are_reported() {
    let program = program(|_| ());
    program.write("wrong.toml", "\n\nquota = \"many\"\n");
    program.write("unknown.toml", "qouta = \"1/1m\"\n");
    program.write("evil.toml", "extends = \"defender\"\norigin = \"https://evil.example\"\n");
    let options = [
        ("--config wrong.toml", "wrong.toml:3: invalid value `many`"),
        ("--config unknown.toml", "did you mean `quota`?"),
        ("--config missing.toml", "there is no settings file"),
        ("--profile contoso", "there is no profile `contoso`"),
        ("--contract defnder", "did you mean `defender`?"),
        ("--contract missing.toml", "missing.toml"),
        ("--contract evil.toml", "your token is sent there only if you confirm it"),
        ("--base-url http://api.example.com", "http"),
        ("--base-url https://api.example.com --quota 1000/1s", "exceeds the API's limits"),
    ];
    for (options, words) in options {
        expect_settings_fail(&program, program.command(&format!("doctor {options}")), words);
    }
    let mut variable = program.command("doctor");
    variable.env("BULK_TRIAGE_QUOTA", "many");
    expect_settings_fail(&program, variable, "BULK_TRIAGE_QUOTA: invalid value `many`");
}

#[test]
fn wrong_option_is_a_usage_error() {
    let program = program(|_| ());
    for options in ["--quota many", "--nonsense", "FILE"] {
        let ended = program.run(&format!("doctor {options} --format json")).expect_code(2);
        assert!(ended.json()["error"].is_string(), "{}", ended.printed());
    }
}

#[test]
fn variable_without_effect_is_a_warning() {
    let program = program(|_| ());
    let mut unknown = command(&program, "");
    unknown.env("BULK_TRIAGE_QOUTA", "1/1m");
    let found = found_by(unknown).expect_code(0).expect("settings", "warn", "did you mean BULK_TRIAGE_QUOTA?");
    assert!(!found.ended.stderr.contains("warning"), "it is said once: {}", found.ended.printed());
    run_as_printed(&program, &format!("PATH={}:$PATH {}", bin(), advised(&found, "settings")));
}

/// The directory of the program.
fn bin() -> String {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_bulk-triage"));
    program.parent().expect("a directory").to_string_lossy().into_owned()
}

#[test]
fn profile_and_files_are_named() {
    let program = program(|_| ());
    let file = format!("[profiles.contoso]\nbase-url = \"{}\"\nquota = \"30/1m\"\n", program.origin());
    program.write("own.toml", file);
    fs::set_permissions(program.path("own.toml"), Permissions::from_mode(0o600)).expect("its owner");
    let found = found_by(program.command("doctor --config own.toml --profile contoso")).expect_code(0);
    found.expect("settings", "ok", "own.toml; profile contoso; contract").expect("settings", "ok", "quota 30/1m");
}

/// A program whose journal exists.
fn with_journal() -> Program {
    let program = program(|_| ());
    found(&program, "").expect_code(0);
    program.write("requests.jsonl", "");
    program
}

/// Fails unless the state directory fails, and what doesn't depend on it is ok.
#[track_caller]
fn expect_refused(program: &Program, command: Command, words: &str) -> Found {
    let found = found_by(command).expect_code(2).expect("state directory", "fail", words);
    assert_eq!(program.requests().len(), 0);
    found.expect_others_ok_but("state directory")
}

#[test]
fn damaged_journal_can_be_moved_as_advised() {
    let program = with_journal();
    fs::write(program.path("state/journal.db"), [b'x'; 8192]).expect("damage");
    let found = expect_refused(&program, command(&program, ""), "journal.db is damaged");
    let found = found.expect("state directory", "fail", "wait an hour");
    run_as_printed(&program, &advised(&found, "state directory"));
    super::found(&program, "").expect_code(0);
    assert!(program.path("state.damaged/journal.db").is_file());
}

#[test]
fn journal_of_newer_version_is_refused() {
    let program = with_journal();
    program.journal().pragma_update(None, "user_version", 99).expect("is changed");
    let before = fs::read(program.path("state/journal.db")).expect("a journal");
    expect_refused(&program, command(&program, ""), "use a newer bulk-triage");
    assert_eq!(fs::read(program.path("state/journal.db")).expect("a journal"), before);
}

#[test]
fn mode_can_be_corrected_as_advised() {
    let program = with_journal();
    for (name, mode) in [("state", 0o755), ("state/journal.db", 0o644)] {
        fs::set_permissions(program.path(name), Permissions::from_mode(mode)).expect("its owner");
        let found = expect_refused(&program, command(&program, ""), "others can read or write it");
        let advised = advised(&found, "state directory");
        assert!(advised.starts_with("chmod "), "{advised}");
        run_as_printed(&program, &advised);
        super::found(&program, "").expect_code(0);
        program.write("requests.jsonl", "");
    }
}

#[test]
fn unusable_state_directory_is_refused() {
    let program = program(|_| ());
    program.write("a-file", "");
    for place in ["/sys/bulk-triage", "/dev/null/state", "a-file"] {
        let refused = command(&program, &format!("--state-dir {place}"));
        expect_refused(&program, refused, "cannot use the state directory").expect(
            "state directory",
            "fail",
            "--state-dir",
        );
    }
    let mut homeless = command(&program, "");
    homeless.env_remove("HOME").env_remove("BULK_TRIAGE_STATE_DIR");
    if !is_root("a user without a home directory") {
        return;
    }
    // The user database names a home directory, too: of a user who is not in it, nothing does.
    std::os::unix::process::CommandExt::uid(&mut homeless, 20_001);
    let found = found_by(homeless).expect_code(2);
    found.expect("state directory", "fail", "--state-dir");
}

#[test]
fn directory_of_another_user_is_refused() {
    if !is_root("the state directory of another user") {
        return;
    }
    let program = with_journal();
    chown(program.path("state"), Some(20_002), Some(20_002)).expect("root may");
    let refused = expect_refused(&program, command(&program, ""), "belongs to another user (uid 20002)");
    refused.expect("state directory", "fail", "name another state directory with --state-dir");
}

#[test]
fn full_disk_and_read_only_disk_are_reported() {
    for (error, at, name, words) in [
        (Errno::NoSpace, 1, "journal.db", "no space left for the journal"),
        (Errno::ReadOnly, 1, "state", "Read-only file system"),
    ] {
        let program = program(|_| ());
        let Some(shim) = shim() else { return };
        let strike = Strike { at, how: How::On, error, name };
        expect_refused(&program, strike.prepare(shim, &program, command(&program, "")), words);
    }
}

#[test]
fn journal_locked_for_seconds_names_its_holder() {
    let program = with_journal();
    let holder = File::options().write(true).open(program.path("state/journal.lock")).expect("a lock");
    holder.lock().expect("nobody else has it");
    let words = format!("the journal is locked by process {}", std::process::id());
    let found = expect_refused(&program, command(&program, ""), &words);
    run_as_printed(&program, &advised(&found, "state directory"));
    assert!(!found.ended.stderr.contains("waiting"), "{}", found.ended.printed());
}

#[test]
fn wrong_settings_leave_everything_out() {
    let program = program(|_| ());
    let found = found_by(program.command("doctor --profile none")).expect_code(2);
    assert!(CHECKS[1..].iter().all(|name| found.state(name) == "skip"), "{}", found.ended.printed());
    assert!(!program.path("state").exists(), "nothing was changed");
}
