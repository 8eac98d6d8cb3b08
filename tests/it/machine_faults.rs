//! Faults of the machine: each test is named after the fault and what the program does then.
//!
//! After each fault the same command is run again on a healthy machine: nothing is lost, and no comment is added twice.
//! [`crate::simulation`] changes the clock, [`crate::every_row_once`] closes standard output.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::Signal;

use crate::faults::{Errno, How, Strike, left_out, shim};
use crate::final_checks::{check_final_state, rows_with_comments};
use crate::program::{
    Ended, Program, closing, eventually, in_place_of, shell_words, spawned, started, started_as_it_is,
};

const ROWS: u64 = 20;
const COMMAND: &str = "a.csv --results r.csv --quota 100000/1s --patience 0 --no-progress";

fn program() -> Program {
    Program::new().file("a.csv", rows_with_comments(ROWS)).emulator(|_| ())
}

/// Slow enough that a fault comes in the middle.
fn slow_program() -> Program {
    let slow = Duration::from_millis(20)..=Duration::from_millis(40);
    Program::new().file("a.csv", rows_with_comments(ROWS)).emulator(|settings| settings.latency = slow)
}

/// Runs the same command again without the fault.
#[track_caller]
fn resumes(program: &Program) {
    let ended = started(program.send_command(COMMAND)).end().expect_code(0);
    check_final_state(program, ROWS, "r.csv").unwrap_or_else(|breach| panic!("{breach}\n{}", ended.printed()));
}

/// The program, with these file calls failing.
fn struck(program: &Program, arguments: &str, name: &str, at: usize, error: Errno) -> Option<Ended> {
    let strike = Strike { at, how: How::On, error, name };
    let ended = started(strike.prepare(shim()?, program, program.send_command(arguments))).end();
    assert!(!ended.stderr.contains("defect"), "{}", ended.printed());
    Some(ended)
}

fn journal(program: &Program) -> PathBuf {
    program.path("state/journal.db")
}

/// A journal that holds a finished run of other incidents.
fn with_a_journal() -> Program {
    let program = program().file("before.csv", "incidentId,status\n1000,Active\n");
    program.send("before.csv --results before.results.csv").expect_code(0);
    program.write("requests.jsonl", "");
    program
}

#[test]
fn full_disk_under_journal_stops_a_resumable_run() {
    for at in [1, 30, 60] {
        let program = program();
        let Some(ended) = struck(&program, COMMAND, "journal.db", at, Errno::NoSpace) else { return };
        ended.expect_code(4).expect_text("no space left for the journal").expect_text("make room");
        resumes(&program);
    }
}

#[test]
fn full_disk_under_results_loses_no_outcome() {
    let program = program();
    // One row after the other, so that the third write comes before the last row.
    let one = format!("{COMMAND} --concurrency 1");
    let Some(ended) = struck(&program, &one, "r.csv", 3, Errno::NoSpace) else { return };
    let ended = ended.expect_code(4).expect_text("No space left on device").expect_text("stopped early");
    program.run("runs list").expect_code(0).expect_text("unfinished");
    let run = program.last_run();
    let help = "help: free some space, then run the same command again to resume; `bulk-triage runs results";
    let help = format!("{help} {run} --no-progress` only");
    ended.expect_text(&help).expect_text("next:\n  bulk-triage run a.csv");
    program.run(&format!("runs results {run} -o made-again.csv")).expect_code(0);
    resumes(&program);
}

#[test]
fn full_disk_still_prints_the_json_summary() {
    for (name, at) in [("r.csv", 3), ("journal.db-wal", 80)] {
        let program = program();
        let Some(ended) = struck(&program, &format!("{COMMAND} --format json"), name, at, Errno::NoSpace) else {
            return;
        };
        let ended = ended.expect_code(4).expect_text("free some space, then run the same command again to resume");
        let summary = ended.json();
        assert_eq!((summary["exit"].as_u64(), summary["rows"].as_u64()), (Some(4), Some(ROWS)), "{name}: {summary}");
        let requests = program.requests().len() as u64;
        assert_eq!(summary["calls"].as_u64(), Some(requests), "{name}: {summary}");
        resumes(&program);
    }
}

#[test]
fn full_disk_under_an_output_is_exit_4() {
    for (command, name) in [("fetch -o open.csv --limit 5", "open.csv"), ("plan a.csv -o a.plan", "a.plan")] {
        let program = program();
        let Some(shim) = shim() else { return };
        let strike = Strike { at: 1, how: How::On, error: Errno::NoSpace, name };
        let mut failing = program.command(command);
        failing.args(["--base-url", &program.origin()]);
        let ended = started(strike.prepare(shim, &program, failing)).end();
        ended.expect_code(4).expect_text("free some space, then run the same command again");
        program.run(&format!("{command} --base-url {}", program.origin())).expect_code(0);
    }
}

#[test]
fn journal_held_by_a_stopped_process_is_reported() {
    let program = with_a_journal();
    let holder = File::options().write(true).open(program.path("state/journal.lock")).expect("a lock");
    holder.lock().expect("nobody else has it");
    let start = || {
        let mut command = program.send_command(COMMAND);
        command.stdout(Stdio::piped()).stderr(File::create(program.path("said")).expect("a file"));
        let running = started_as_it_is(command);
        let told = format!("waiting for the journal, which is locked by process {}\n", std::process::id());
        eventually("it says who holds it", || program.read("said").contains(&told));
        running
    };
    for signal in [Signal::TERM, Signal::HUP] {
        let running = start();
        running.signal(signal);
        running.end().expect_code(4);
        assert!(
            program.read("said").contains("error: stopped while waiting for the journal, which is locked by process")
        );
        assert!(program.read("said").contains("help: run the same command again to resume"));
    }
    // Reading commands wait for nobody.
    let run = program.last_run();
    program.run(&format!("runs show {run}")).expect_code(0);
    program.run(&format!("run a.csv --dry-run --base-url {}", program.origin())).expect_code(0);
    assert!(program.requests().is_empty());
    let running = start();
    holder.unlock().expect("it is held");
    running.end().expect_code(0);
    check_final_state(&program, ROWS, "r.csv").expect("all is done");
}

#[test]
fn unwritable_log_does_not_affect_the_run() {
    let program = program();
    let log = format!("{COMMAND} -vv --log-file log.txt");
    let Some(ended) = struck(&program, &log, "log.txt", 3, Errno::NoSpace) else { return };
    ended.expect_code(0);
    check_final_state(&program, ROWS, "r.csv").expect("all is done");
}

#[test]
fn io_error_of_the_journal_ends_the_run() {
    let program = program();
    let Some(ended) = struck(&program, COMMAND, "journal.db-wal", 60, Errno::Io) else { return };
    ended.expect_code(70).expect_text("error: cannot use the journal: disk I/O error");
    resumes(&program);
}

#[test]
fn unusable_state_directory_sends_nothing() {
    let program = program();
    for place in ["/sys/bulk-triage", "/dev/null/state", "a.csv"] {
        let ended = program.send(&format!("{COMMAND} --state-dir {place}")).expect_code(2);
        ended.expect_text("cannot use the state directory").expect_text("--state-dir");
    }
    let Some(ended) = struck(&program, COMMAND, "state", 1, Errno::ReadOnly) else { return };
    ended.expect_code(2).expect_text("Read-only file system");
    assert!(program.requests().is_empty());
    resumes(&program);
}

#[test]
fn unwritable_results_directory_sends_nothing() {
    let program = program();
    for place in ["/sys/r.csv", "/dev/null/r.csv", "missing/r.csv"] {
        let ended = program.send(&format!("a.csv --results {place}")).expect_code(2);
        ended.expect_text("cannot write results").expect_text(place);
    }
    assert!(program.requests().is_empty());
    resumes(&program);
}

#[test]
fn journal_locked_by_another_program_is_awaited() {
    let program = with_a_journal();
    #[expect(clippy::disallowed_methods, reason = "another program")]
    let other = Connection::open(journal(&program)).expect("a journal");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    let mut waiting = started(program.send_command(COMMAND));
    eventually("it holds the turn", || waiting.locks(&program.path("state/journal.lock")));
    assert!(!waiting.ends_within(Duration::from_millis(100)));
    assert!(program.requests().is_empty());
    other.execute_batch("ROLLBACK").expect("the lock is released");
    waiting.end().expect_code(0);
    check_final_state(&program, ROWS, "r.csv").expect("all is done");
}

#[test]
fn damaged_journal_is_reported_and_sends_nothing() {
    type Damage = fn(&File);
    let damages: [(&str, Damage); 4] = [
        ("its first bytes are others", |file| file.write_all_at(b"not a database", 0).expect("writes")),
        ("it is cut to a half", |file| file.set_len(file.metadata().expect("is there").len() / 2).expect("cuts")),
        ("its schema is overwritten", |file| file.write_all_at(&[0xa5; 3000], 100).expect("writes")),
        ("it is another program's", |file| file.write_all_at(b"else", 68).expect("writes")),
    ];
    for (what, damage) in damages {
        let program = with_a_journal();
        damage(&OpenOptions::new().write(true).open(journal(&program)).expect("a journal"));
        let before = fs::read(journal(&program)).expect("a journal");
        let ended = program.send(COMMAND);
        assert_eq!(ended.code, Some(70), "{what}: {}", ended.printed());
        ended.expect_text("journal.db is damaged");
        assert!(program.requests().is_empty(), "{what}");
        assert_eq!(fs::read(journal(&program)).expect("a journal"), before, "{what}: it is left as it is");
    }
}

#[test]
fn flipped_journal_bytes_cause_no_crash() {
    let program = with_a_journal();
    let sound = fs::read(journal(&program)).expect("a journal");
    let mut rng = fastrand::Rng::with_seed(1);
    for _ in 0..24 {
        let mut damaged = sound.clone();
        for _ in 0..rng.usize(1..40) {
            let place = rng.usize(..damaged.len());
            damaged[place] ^= 1 << rng.u8(..8);
        }
        fs::write(journal(&program), &damaged).expect("writes");
        for arguments in ["runs list", "runs prune", "run a.csv --dry-run"] {
            let ended = program.run(arguments);
            assert!(matches!(ended.code, Some(0 | 2 | 70)), "{arguments}: {:?} {}", ended.code, ended.printed());
            assert!(!ended.stderr.contains("defect"), "{arguments}: {}", ended.printed());
        }
    }
}

#[test]
fn journal_of_another_format_is_untouched() {
    for (format, said) in [(6_u32, "use a newer bulk-triage"), (1, "which was never released")] {
        let program = with_a_journal();
        let place = 60; // `user_version` in the header of the file format
        let file = OpenOptions::new().write(true).open(journal(&program)).expect("a journal");
        file.write_all_at(&format.to_be_bytes(), place).expect("writes");
        let before = fs::read(journal(&program)).expect("a journal");
        for arguments in ["runs list", "runs prune"] {
            program.run(arguments).expect_code(70).expect_text(said);
        }
        program.send(COMMAND).expect_code(70).expect_text(&format!("has format {format}"));
        assert_eq!(fs::read(journal(&program)).expect("a journal"), before);
        assert!(program.requests().is_empty());
    }
}

/// A new journal would not know what this process does, and the quota would be used twice.
#[test]
fn deleted_journal_ends_the_run() {
    let deletions: [fn(&Program); 3] = [
        |program| fs::remove_dir_all(program.path("state")).expect("removes"),
        |program| fs::remove_file(journal(program)).expect("removes"),
        |program| fs::rename(program.path("state"), program.path("moved")).expect("moves"),
    ];
    for delete in deletions {
        let program = slow_program();
        let running = program.start_sending(&format!("{COMMAND} --concurrency 1"));
        program.wait_for_requests(3);
        delete(&program);
        let ended = running.end().expect_code(70);
        let ended = ended.expect_text("the journal").expect_text("is gone").expect_text("stopped early");
        let history = "the history is gone: the same file would add its comments again; continue with r.csv";
        let ended = ended.expect_text(history);
        assert!(program.requests().len() < 10, "it stops at once");
        let all = crate::program::results_at(&program.path("r.csv"));
        assert_eq!(all.len() as u64, ROWS, "{all:?}");
        let next = ended.stdout.lines().last().expect("a command").trim().strip_prefix("bulk-triage ").expect("ours");
        assert!(next.starts_with("run r.csv --only not-attempted") || next.contains("--only not-attempted"), "{next}");
        program.run(next).expect_code(0);
        let comments: Vec<usize> = (1..=ROWS).map(|id| program.comments(id).len()).collect();
        assert!(comments.iter().all(|count| *count <= 1), "{comments:?}");
        assert!(
            comments.iter().sum::<usize>() as u64 + 1 >= ROWS - ROWS / 5,
            "only what was in flight may be missing: {comments:?}"
        );
    }
}

#[test]
fn second_process_names_the_holder_and_exits() {
    let program = slow_program();
    let first = program.start_sending(&format!("{COMMAND} --concurrency 1"));
    program.wait_for_requests(2);
    let second = program.send(&COMMAND.replace("r.csv", "second.csv")).expect_code(4);
    second.expect_text("is being sent by another process").expect_text(&format!("(process {})", first.number()));
    assert!(!program.path("second.csv").exists());
    first.end().expect_code(0);
    assert_eq!(program.requests().len() as u64, ROWS);
    check_final_state(&program, ROWS, "r.csv").expect("all is done");
}

#[test]
fn low_open_file_limit_loses_nothing() {
    let program = program();
    for files in [4, 8, 10, 12, 14, 16, 18, 20, 22, 24, 28] {
        let sent = program.send_command(COMMAND);
        let mut limited = in_place_of(&sent, "sh");
        limited.arg("-c").arg(format!("ulimit -n {files}; exec {}", shell_words(&sent)));
        let ended = started(limited).end();
        assert!(matches!(ended.code, Some(0 | 2 | 3 | 4 | 70)), "{files}: {:?} {}", ended.code, ended.printed());
        assert!(ended.code == Some(0) || ended.stderr.contains("error: "), "{files}: {}", ended.printed());
        assert!(!ended.stderr.contains("defect"), "{files}: {}", ended.printed());
    }
    resumes(&program);
}

#[test]
fn sighup_and_sigterm_stop_a_resumable_run() {
    for signal in [Signal::HUP, Signal::TERM] {
        let program = slow_program();
        let running = program.start_sending(&format!("{COMMAND} --concurrency 2"));
        program.wait_for_requests(4);
        running.signal(signal);
        running.end().expect_code(4).expect_text("stopped early");
        assert!((program.requests().len() as u64) < ROWS);
        resumes(&program);
    }
}

#[test]
fn second_sigterm_exits_and_rerun_resolves_doubts() {
    let program = slow_program();
    let running = program.start_sending(&format!("{COMMAND} --concurrency 2"));
    program.wait_for_requests(4);
    running.signal(Signal::TERM);
    let _ = running.try_signal(Signal::TERM);
    let ended = running.end();
    // Two signals that arrive together count as one.
    assert!(matches!(ended.code, Some(143 | 4)), "{:?} {}", ended.code, ended.printed());
    resumes(&program);
}

/// Like `| head -1`.
#[test]
fn closed_output_pipe_does_not_affect_the_run() {
    let program = program();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let mut head = spawned(Command::new("head").arg("-1").stdin(reader).stdout(Stdio::null())).expect("head");
    let mut command = program.send_command(COMMAND);
    command.stdout(writer).stderr(Stdio::piped());
    started_as_it_is(command).end().expect_code(0);
    head.wait().expect("head ends");
    check_final_state(&program, ROWS, "r.csv").expect("all is done");
}

/// The kernel sends SIGHUP, and every write to the terminal fails.
#[test]
fn closed_terminal_stops_a_resumable_run() {
    let program = slow_program();
    let sent = program.send_command(&format!("{COMMAND} --concurrency 1"));
    let line = format!("exec {}", shell_words(&sent));
    let mut script = in_place_of(&sent, "script");
    script.arg("-qec").arg(line).arg("/dev/null").stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut script) = spawned(&mut script) else {
        left_out::<()>("there is no `script`: no terminal can go away");
        return;
    };
    program.wait_for_requests(3);
    // The death of `script` closes the terminal.
    script.kill().expect("it is running");
    script.wait().expect("it ends");
    // The program removes its lock when it ends.
    eventually("the program ends", || !program.path("state/process-1.lock").exists());
    program.run("runs list").expect_code(0).expect_text("unfinished");
    assert!((program.requests().len() as u64) < ROWS);
    resumes(&program);
}

/// Started as `nohup` does.
#[test]
fn ignored_sighup_stays_ignored() {
    let program = slow_program();
    let sent = program.send_command(&format!("{COMMAND} --concurrency 1"));
    let mut shell = in_place_of(&sent, "sh");
    shell.arg("-c").arg(format!("trap '' HUP; exec {}", shell_words(&sent)));
    let running = started(shell);
    program.wait_for_requests(3);
    running.signal(Signal::HUP);
    running.end().expect_code(0);
    check_final_state(&program, ROWS, "r.csv").expect("all is done");
}

#[test]
fn unwritable_summary_keeps_the_exit_code() {
    let program = program();
    let mut command = program.send_command(COMMAND);
    let full = OpenOptions::new().write(true).open("/dev/full").expect("a file that takes nothing");
    command.stdout(full).stderr(Stdio::piped());
    started_as_it_is(command).end().expect_code(0).expect_text("cannot write the summary");
    check_final_state(&program, ROWS, "r.csv").expect("all is done");
}

#[test]
fn too_few_open_files_stop_with_explanation() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let command = program.send_command("a.csv");
    let mut limited = in_place_of(&command, "sh");
    limited.args(["-c", &format!("ulimit -n 20; exec {}", shell_words(&command))]);
    let ended = started(limited).end().expect_code(2);
    ended.expect_text("too few files").expect_text("Too many open files").expect_text("ulimit -n 256");
    assert!(program.requests().is_empty());
}

/// As in a container whose root is read-only.
#[test]
fn without_temporary_directory_the_state_directory_is_used() {
    let program = Program::new().emulator(|_| {}).file("a.csv", closing(1..=3));
    for arguments in ["run a.csv --emulator --yes", "run a.csv --dry-run", "run a.csv --emulator --dry-run"] {
        let mut command = program.command(arguments);
        command.env("TMPDIR", "/nowhere");
        started(command).end().expect_code(0);
    }
    let mut fetching = program.command("fetch -o - --base-url");
    fetching.arg(program.origin()).env("TMPDIR", "/nowhere");
    started(fetching).end().expect_code(0).expect_text("incidentId");
    // Each has removed what was temporary.
    let left: Vec<_> = fs::read_dir(program.path("state")).expect("a directory").flatten().collect();
    assert!(left.iter().all(|entry| !entry.path().is_dir()), "{left:?}");
}
