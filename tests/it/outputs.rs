//! Outputs: which files they may replace, who may read them, and that nothing is sent if they can't be written.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use crate::program::{Program, closing, eventually, finished, names_in, started};

fn program() -> Program {
    Program::new().file("a.csv", closing(1..=3)).emulator(|_| ())
}

#[test]
fn other_files_are_refused_as_results() {
    let program = program().file("notes.csv", "my notes\n").file("other.csv", "row,line,incident_id\n");
    fs::create_dir(program.path("dir.csv")).expect("a directory");
    symlink(program.path("notes.csv"), program.path("link.csv")).expect("a link");
    symlink(program.path("nowhere"), program.path("dangling.csv")).expect("a link");
    symlink(program.path("a.csv"), program.path("to-the-input.csv")).expect("a link");
    fs::hard_link(program.path("a.csv"), program.path("the-input.csv")).expect("a link");
    assert!(finished(Command::new("mkfifo").arg(program.path("pipe.csv"))).expect("mkfifo").success());
    for (results, says) in [
        ("notes.csv", "is not a results file"),
        ("other.csv", "is not a results file"),
        ("dir.csv", "directory"),
        ("link.csv", "symbolic link"),
        ("dangling.csv", "symbolic link"),
        ("to-the-input.csv", "symbolic link"),
        ("the-input.csv", "the input"),
        ("a.csv", "the input"),
        ("pipe.csv", "pipe"),
        ("/dev/full", "no ordinary file"),
        ("/dev/null", "no ordinary file"),
        ("r.jsonl", "`.csv`"),
        ("missing/r.csv", "No such file"),
        ("a.csv/r.csv", "a.csv/r.csv"),
        (".", "directory"),
        ("", "--results"),
    ] {
        let mut command = program.send_command("a.csv");
        command.args(["--results", results]);
        started(command).end().expect_code(2).expect_text(says);
    }
    assert!(program.requests().is_empty());
    assert_eq!(program.read("notes.csv"), "my notes\n");
    assert_eq!(program.read("a.csv"), closing(1..=3));
    assert!(!program.path("nowhere").exists());
}

#[test]
fn results_replace_results_and_empty_files() {
    let program = program().file("r.csv", "");
    for _ in 0..2 {
        program.send("a.csv --results r.csv").expect_code(0);
        assert_eq!(program.read("r.csv").lines().count(), 4);
    }
}

/// Two parallel runs must not write to one file.
#[test]
fn results_of_a_running_run_are_refused() {
    let program =
        Program::new().file("a.csv", closing(1..=3)).file("b.csv", closing(11..=13)).faulty_emulator(&["stall@#2*1"]);
    let running = program.start_sending("a.csv --results r.csv");
    program.wait_for_requests(3);
    program.send("b.csv --results r.csv").expect_code(2).expect_text("another run");
    running.kill();
    assert_eq!(program.requests().len(), 3);
}

#[test]
fn unusable_state_directory_is_named() {
    let program = program().file("file", "");
    symlink("/nowhere/at/all", program.path("dangling")).expect("a link");
    for dir in ["file", "file/state", "/proc/state", "dangling"] {
        let ended = program.send(&format!("a.csv --state-dir {dir}")).expect_code(2);
        ended.expect_text(dir).expect_text("--state-dir");
        program.run(&format!("runs list --state-dir {dir}")).expect_code(2).expect_text(dir);
    }
    assert!(program.requests().is_empty());
}

#[test]
fn unwritable_log_files_are_named() {
    let program = program();
    for log in ["missing/log.txt", "."] {
        program.send(&format!("a.csv --log-file {log}")).expect_code(2).expect_text(log);
    }
    assert!(program.requests().is_empty());
    // A log that fails later does not prevent sending.
    program.send("a.csv -vvv --log-file /dev/full").expect_code(0);
}

#[test]
fn full_standard_output_is_reported_without_loss() {
    let program = program();
    let full = || fs::File::options().write(true).open("/dev/full").expect("a device");
    let mut command = program.send_command("a.csv --results r.csv");
    command.stdout(full());
    crate::program::started_as_it_is({
        command.stderr(std::process::Stdio::piped());
        command
    })
    .end()
    .expect_code(0)
    .expect_text("cannot write the summary to standard output");
    assert_eq!(program.read("r.csv").lines().count(), 4);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

/// Checked during the run, when the database's side files exist, with and without files from before.
#[test]
fn stored_files_are_private_under_any_umask() {
    for (umask, was_there) in [("0", false), ("0", true), ("077", true)] {
        let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["stall@#2*1"]);
        if was_there {
            program.send("a.csv --results r.csv --report r.md --state-dir before --limit 1").expect_code(0);
            fs::create_dir(program.path("state")).expect("a directory");
            for (name, mode) in [("state", 0o777), ("r.csv", 0o644), ("r.md", 0o644)] {
                set_mode(&program.path(name), mode);
            }
        }
        let requests = program.requests().len();
        let sent = program.send_command("a.csv -v --log-file log.txt --results r.csv --report r.md --remember 0");
        let start = || {
            let mut command = crate::program::in_place_of(&sent, "sh");
            command.args(["-c", &format!("umask {umask}; exec \"$0\" \"$@\"")]);
            command.arg(sent.get_program()).args(sent.get_args());
            started(command)
        };
        let running = start();
        program.wait_for_requests(requests + 3);
        let state = program.path("state");
        assert_eq!(mode(&state), 0o700);
        let names = names_in(&state);
        assert!(names.contains(&"journal.db-wal".to_owned()), "{names:?}");
        for name in names {
            assert_eq!(mode(&state.join(&name)), 0o600, "{name}");
        }
        assert_eq!(mode(&program.path("log.txt")), 0o600);
        assert_eq!(mode(&program.path("r.csv")), 0o600);
        running.kill();
        start().end().expect_code(0);
        assert_eq!(mode(&program.path("r.csv")), 0o600);
        assert_eq!(mode(&program.path("r.md")), 0o600);
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("its owner");
}

#[test]
fn empty_state_directory_is_narrowed() {
    for mode_before in [0o777, 0o1777, 0o2775, 0o755, 0o710] {
        let program = program();
        fs::create_dir(program.path("state")).expect("a directory");
        set_mode(&program.path("state"), mode_before);
        // Reading commands change nothing.
        program.run("runs list").expect_code(0).expect_text("no runs");
        program.run(&format!("run a.csv --dry-run --base-url {}", program.origin())).expect_code(0);
        assert_eq!(fs::metadata(program.path("state")).expect("is there").permissions().mode() & 0o7777, mode_before);
        assert!(names_in(&program.path("state")).is_empty());
        program.send("a.csv").expect_code(0);
        assert_eq!(mode(&program.path("state")), 0o700);
    }
}

#[test]
fn missing_state_directory_is_private_with_all_above() {
    let program = program();
    program.send("a.csv --state-dir new/deep/state").expect_code(0);
    for name in ["new", "new/deep", "new/deep/state"] {
        assert_eq!(mode(&program.path(name)), 0o700, "{name}");
    }
}

#[test]
fn wider_state_directory_in_use_is_refused() {
    for mode_before in [0o777, 0o1777, 0o2775, 0o755, 0o701] {
        for has_journal in [false, true] {
            let program = program();
            if has_journal {
                program.send("a.csv --limit 1").expect_code(0);
            } else {
                fs::create_dir(program.path("state")).expect("a directory");
                program.write("state/notes.txt", "my notes\n");
            }
            set_mode(&program.path("state"), mode_before);
            let (requests, names) = (program.requests().len(), names_in(&program.path("state")));
            let path = program.path("state");
            let path = path.display();
            let ended = program.send("a.csv").expect_code(2);
            let said = format!(
                "error: cannot use {path}: others can read or write it (mode {mode_before:o})\n  help: make sure that \
                 nobody else has put files there, then run `chmod 700 {path}`; or name another state directory with \
                 --state-dir\n"
            );
            assert_eq!(ended.stderr, said);
            for command in ["runs list", "runs show 7f3k", "runs prune"] {
                program.run(command).expect_code(2).expect_text(&format!("(mode {mode_before:o})"));
            }
            let is = fs::metadata(program.path("state")).expect("is there").permissions().mode() & 0o7777;
            assert_eq!((is, names_in(&program.path("state"))), (mode_before, names));
            assert_eq!(program.requests().len(), requests);
            let advice = said.split('`').nth(1).expect("a command");
            assert!(finished(Command::new("sh").args(["-c", advice])).expect("a shell").success());
            program.send("a.csv").expect_code(0);
        }
    }
}

/// These bits set the group of new files and who may delete them; only the owner can enter anyway.
#[test]
fn state_directory_keeps_setgid_and_sticky_bits() {
    let program = program();
    fs::create_dir(program.path("state")).expect("a directory");
    set_mode(&program.path("state"), 0o3700);
    program.send("a.csv").expect_code(0);
    assert_eq!(fs::metadata(program.path("state")).expect("is there").permissions().mode() & 0o7777, 0o3700);
}

#[test]
fn reading_commands_create_no_state_directory() {
    let program = program();
    for command in ["runs", "runs list --format json", "runs show 7f3k", "runs results 7f3k"] {
        program.run(command);
        assert!(!program.path("state").exists(), "{command}");
    }
    program.send("a.csv").expect_code(0);
    let before = names_in(&program.path("state"));
    program.run("runs list").expect_code(0);
    program.run(&format!("runs show {}", program.last_run())).expect_code(0);
    assert_eq!(names_in(&program.path("state")), before);
}

/// As logrotate does: without a signal.
#[test]
fn rotated_log_continues_under_its_name() {
    let program = program();
    fs::create_dir(program.path("logs")).expect("a directory");
    let log = |name: &str| fs::read_to_string(program.path(name)).unwrap_or_default();
    let running = program.start_sending("a.csv -v --quota 1/1s --log-file logs/log.txt --results r.csv");
    eventually("a row is logged", || log("logs/log.txt").contains("row finished"));
    fs::rename(program.path("logs/log.txt"), program.path("logs/log.1")).expect("rotates");
    eventually("the log continues", || log("logs/log.txt").contains("row finished"));
    fs::rename(program.path("logs"), program.path("gone")).expect("moves");
    running.end().expect_code(0).expect_outcomes(&[("updated", 3)]);
    assert_eq!(mode(&program.path("gone/log.txt")), 0o600);
    let all = log("gone/log.1") + &log("gone/log.txt");
    assert_eq!(all.matches("row finished").count(), 3, "{all}");
}

/// Nothing is appended to a file that the command uses, and no pipe is waited for.
#[test]
fn log_file_appends_only_to_a_log() {
    let program = program().file("token", crate::program::TOKEN).file("victim", "precious\n");
    set_mode(&program.path("token"), 0o600);
    program.send("a.csv --limit 1").expect_code(0);
    symlink(program.path("victim"), program.path("link.txt")).expect("a link");
    symlink(program.path("nowhere"), program.path("dangling.txt")).expect("a link");
    assert!(finished(Command::new("mkfifo").arg(program.path("pipe.txt"))).expect("mkfifo").success());
    let (requests, journal) = (program.requests().len(), fs::read(program.path("state/journal.db")).expect("reads"));
    for (log, says) in [
        ("link.txt", "a symbolic link"),
        ("dangling.txt", "a symbolic link"),
        ("pipe.txt", "a named pipe"),
        (".", "a directory"),
        ("a.csv", "already"),
        ("./a.csv", "already"),
        ("token", "already"),
        ("r.csv", "already"),
        ("state/journal.db", "already"),
        ("state/new.log", "already"),
    ] {
        let ended = program.send(&format!("a.csv --log-file {log} --token-file token --results r.csv")).expect_code(2);
        ended.expect_text(says).expect_text("--log-file");
        if says.starts_with("a ") && log != "." {
            program.run(&format!("emulator --log {log}")).expect_code(2).expect_text(says);
        }
    }
    assert_eq!(program.requests().len(), requests);
    assert_eq!(program.read("victim"), "precious\n");
    assert_eq!(program.read("a.csv"), closing(1..=3));
    assert_eq!(program.read("token"), crate::program::TOKEN);
    assert!(fs::read(program.path("state/journal.db")).expect("reads") == journal);
    assert!(!program.path("nowhere").exists() && !program.path("state/new.log").exists());
    // An existing log is appended to, whoever may read it.
    program.write("log.txt", "before\n");
    set_mode(&program.path("log.txt"), 0o644);
    program.send("a.csv --log-file log.txt").expect_code(0);
    assert!(program.read("log.txt").starts_with("before\n") && program.read("log.txt").lines().count() > 1);
    assert_eq!(mode(&program.path("log.txt")), 0o644);
}

#[test]
fn foreign_or_newer_journal_is_untouched() {
    let garbage = "this is no database, and it is long enough to be looked at as one: ".repeat(100);
    let program = program();
    fs::create_dir(program.path("state")).expect("a directory");
    program.write("state/journal.db", &garbage);
    set_mode(&program.path("state"), 0o700);
    set_mode(&program.path("state/journal.db"), 0o600);
    program.send("a.csv").expect_code(70).expect_text("journal");
    assert_eq!(program.read("state/journal.db"), garbage);
    assert!(program.requests().is_empty());

    // The format version is in the database header, four bytes from offset 60.
    fs::remove_dir_all(program.path("state")).expect("it is ours");
    program.send("a.csv").expect_code(0);
    let mut bytes = fs::read(program.path("state/journal.db")).expect("a journal");
    bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
    program.write("state/journal.db", &bytes);
    program.send("a.csv").expect_code(70).expect_text("99").expect_text("newer");
    assert!(fs::read(program.path("state/journal.db")).expect("a journal") == bytes, "it was written to");
}

#[test]
fn read_only_results_directory_is_reported_before_sending() {
    // Permissions don't stop root.
    if rustix::process::geteuid().is_root() {
        return;
    }
    let program = program();
    fs::create_dir(program.path("closed")).expect("a directory");
    fs::set_permissions(program.path("closed"), fs::Permissions::from_mode(0o500)).expect("its owner");
    program.send("a.csv --results closed/r.csv").expect_code(2).expect_text("closed/r.csv");
    program.send("a.csv --state-dir closed/state").expect_code(2).expect_text("closed/state");
    assert!(program.requests().is_empty());
}

/// A file that somebody puts at the results path during the run stays as it is.
#[test]
fn file_put_at_results_path_is_kept() {
    type Change = fn(&Program);
    let replaced: Change = |program| program.write("r.csv", "somebody's own\n");
    let linked: Change = |program| symlink(program.path("notes.csv"), program.path("r.csv")).expect("a link");
    let removed: Change = |_| {};
    for (change, place) in [(replaced, "r.2.csv"), (linked, "r.2.csv"), (removed, "r.csv")] {
        let slow = std::time::Duration::from_millis(20)..=std::time::Duration::from_millis(40);
        let program =
            Program::new().file("a.csv", closing(1..=20)).file("notes.csv", "my notes\n").emulator(|settings| {
                settings.latency = slow;
            });
        let running = program.start_sending("a.csv --results r.csv --concurrency 1");
        program.wait_for_requests(3);
        fs::remove_file(program.path("r.csv")).expect("the results that grow");
        change(&program);
        let ended = running.end().expect_code(0).expect_text(&format!("results: {place}\n"));
        assert_eq!(ended.outcomes()["updated"], 20);
        assert_eq!(program.read("notes.csv"), "my notes\n");
        if place == "r.2.csv" {
            ended.expect_text("r.csv is now another file and was kept; the results are in r.2.csv");
            assert_ne!(program.read("r.csv").lines().count(), 21);
        }
        let run = program.last_run();
        program.run(&format!("runs show {run}")).expect_code(0).expect_text(place);
    }
}

/// The report is written after the run: a file that has its name by then is neither followed nor replaced.
#[test]
fn link_put_at_report_path_is_kept() {
    for name in ["r.html", "r.md"] {
        let program = Program::new().file("a.csv", closing(1..=20)).file("notes", "my notes\n").emulator(|settings| {
            settings.latency = std::time::Duration::from_millis(20)..=std::time::Duration::from_millis(40);
        });
        let running = program.start_sending(&format!("a.csv --report {name} --concurrency 1"));
        program.wait_for_requests(3);
        symlink(program.path("notes"), program.path(name)).expect("a link");
        let ended = running.end().expect_outcomes(&[("updated", 20)]);
        ended.expect_text(&format!("cannot write the report to `{name}`: it is a symbolic link"));
        assert_eq!(program.read("notes"), "my notes\n");
        assert!(fs::symlink_metadata(program.path(name)).expect("is there").is_symlink());
    }
}

#[test]
fn results_on_standard_output_are_refused() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    program.send("a.csv --results -").expect_code(2).expect_text("results need a file");
    program.run("run a.csv --emulator --yes --results -").expect_code(2).expect_text("results need a file");
    assert!(program.requests().is_empty());
    program.send("a.csv").expect_code(0);
    let run = program.last_run();
    program.run(&format!("runs results {run} -o -")).expect_code(2).expect_text("results need a file");
    program.run(&format!("runs resume {run} --yes --results -")).expect_code(2).expect_text("results need a file");
    program.run("plan a.csv -o a.plan --base-url http://127.0.0.1:9").expect_code(0);
    program.run("apply a.plan --yes --results -").expect_code(2).expect_text("results need a file");
    assert!(!program.path("-").exists());
}

/// A dash as another output is refused too, instead of creating a file named `-`.
#[test]
fn dash_creates_no_file_named_dash() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    program.send("a.csv --compare").expect_code(0);
    let run = program.last_run();
    program.run(&format!("runs undo {run} -o -")).expect_code(2);
    program.run("check a.csv --log-file -").expect_code(2).expect_text("the log needs a file");
    program.run("emulator --log -").expect_code(2).expect_text("the log needs a file");
    program.send("a.csv --report -").expect_code(2);
    assert!(!program.path("-").exists());
}
