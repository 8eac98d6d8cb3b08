//! Every end prints the next command, which works as printed, with the typed quota and token.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::program::{Ended, Program, TOKEN, at_once, closing, incidents, started, throttled};

const QUOTA: &str = "4/400ms";

/// A service that throttles requests faster than `QUOTA`; the token is only in a file.
fn program(rows: u64, faults: &[&str]) -> Program {
    let program = Program::new().file("a.csv", closing(1..=rows)).file("token", TOKEN).emulator(|settings| {
        settings.quota = Some(QUOTA.parse().expect("a quota"));
        settings.incidents = "1-40".parse().expect("incidents");
        settings.faults = faults.iter().map(|fault| crate::program::fault_of(fault)).collect();
    });
    fs::set_permissions(program.path("token"), fs::Permissions::from_mode(0o600)).expect("a mode");
    program
}

fn without_token(mut command: Command) -> Command {
    command.env_remove("BULK_TRIAGE_TOKEN");
    command
}

/// Runs a command line; `-` reads `a.csv`.
fn run(program: &Program, line: &str) -> Ended {
    let mut command = without_token(program.command(line));
    if line.split(' ').any(|word| word == "-") {
        command.stdin(fs::File::open(program.path("a.csv")).expect("a file"));
    }
    started(command).end()
}

fn typed(program: &Program) -> String {
    format!("--token-file token --quota {QUOTA} --yes --base-url {}", program.origin())
}

/// The last printed command.
#[track_caller]
fn printed(ended: &Ended) -> String {
    let said = ended.printed();
    let line = said.lines().rev().map(str::trim).find(|line| line.starts_with("bulk-triage "));
    line.unwrap_or_else(|| panic!("no command in:\n{said}")).to_owned()
}

/// Pastes a printed command into a shell whose standard input is a pipe.
fn paste(program: &Program, line: &str) -> Ended {
    paste_in(program, program.dir(), line)
}

/// The same in another directory.
fn paste_in(program: &Program, dir: &Path, line: &str) -> Ended {
    let mut shell = Command::new("bash");
    let script = format!("bulk-triage() {{ {} \"$@\"; }}\n{line}", env!("CARGO_BIN_EXE_bulk-triage"));
    shell.args(["-c", &script]).current_dir(dir).env_clear().stdin(Stdio::piped());
    shell.env("HOME", program.dir()).env("BULK_TRIAGE_STATE_DIR", program.path("state"));
    started(shell).end()
}

/// Pastes the printed command: it exits with 0, every row is updated once, and the quota is kept.
#[track_caller]
fn expect_it_finishes(program: &Program, ended: &Ended, rows: u64) -> String {
    let line = printed(ended);
    for (option, wanted) in
        [("--token-file token", true), ("--quota 4/400ms", true), ("--yes", true), ("--state-dir", false)]
    {
        assert_eq!(line.contains(option), wanted, "{option}: {line}");
    }
    paste(program, &line).expect_code(0);
    for id in 1..=rows {
        assert_eq!(program.comments(id), [format!("Comment on {id}")], "{line}");
    }
    assert_eq!(throttled(&program.requests()), 0, "{line}");
    line
}

#[test]
fn stopped_runs_are_finished_by_the_printed_command() {
    at_once(["a.csv", "-"], |input| {
        let program = program(9, &[]);
        let stopped = run(&program, &format!("run {input} --stop-after 300ms {}", typed(&program))).expect_code(4);
        let line = expect_it_finishes(&program, &stopped, 9);
        let begins = if input == "-" { "bulk-triage runs resume " } else { "bulk-triage run a.csv " };
        assert!(line.starts_with(begins) && !line.contains("--stop-after"), "{line}");
    });
}

/// The options typed at the start of a run are stored with it, for a stopped resume and for `runs show` too.
#[test]
fn resumed_runs_print_the_options_of_the_run() {
    at_once(["a.csv", "-"], |input| {
        let program = program(13, &[]);
        let stopped = run(&program, &format!("run {input} --stop-after 300ms {}", typed(&program))).expect_code(4);
        let name = program.last_run();
        let again =
            run(&program, &format!("runs resume {name} -y --token-file token --quota {QUOTA} --stop-after 300ms"));
        let again = again.expect_code(4);
        let shown = program.run(&format!("runs show {name}")).expect_code(0);
        assert_eq!(printed(&shown), printed(&again));
        assert!(!printed(&again).contains("--base-url"), "{}", printed(&again));
        expect_it_finishes(&program, &again, 13);
        drop(stopped);
    });
}

/// Later command lines win; what they leave out stays as it was typed before.
#[test]
fn resumed_runs_print_the_latest_options() {
    let program = program(4, &[]);
    let all = "--token-file token --settle 200ms --max-failures 9 --state-dir other --yes";
    run(&program, &format!("run - --stop-after 0s --quota 2/1h {all} --base-url {}", program.origin())).expect_code(4);
    let unknown = program.run("runs show 7f3k --state-dir other").expect_code(2);
    unknown.expect_text("help: see `bulk-triage runs list --state-dir other`");
    let list = program.run("runs list --state-dir other --format json").expect_code(0).json();
    let name = list[0]["run"].as_str().expect("a name").to_owned();
    let more = format!("--state-dir other --quota {QUOTA} --settle 100ms -vv --token-file token");
    run(&program, &format!("runs resume {name} -y --stop-after 0s {more}")).expect_code(4);
    let shown = program.run(&format!("runs show {name} --state-dir other")).expect_code(0);
    let line = printed(&shown);
    for option in ["--settle 100ms", "--max-failures 9", "--state-dir other", "--verbose --verbose"] {
        assert!(line.contains(option), "{option}: {line}");
    }
    assert!(!line.contains("2/1h") && !line.contains("--stop-after"), "{line}");
    paste(&program, &line).expect_code(0);
    assert_eq!(program.comments(4), ["Comment on 4"]);
}

#[test]
fn failed_rows_are_sent_by_the_printed_command() {
    at_once(["a.csv", "-", "resume"], |input| {
        let program = program(6, &["400@#5*1"]);
        let all = typed(&program);
        let failed = match input {
            "resume" => {
                run(&program, &format!("run - --stop-after 300ms {all}")).expect_code(4);
                run(&program, &format!("runs resume {} -y --token-file token --quota {QUOTA}", program.last_run()))
            }
            input => run(&program, &format!("run {input} {all}")),
        };
        let line = expect_it_finishes(&program, &failed.expect_code(1), 6);
        assert!(line.starts_with("bulk-triage run ") && line.contains(".results.csv"), "{line}");
    });
}

#[test]
fn retry_of_failed_rows_keeps_set_and_contract() {
    at_once([false, true], |resumes| {
        let program = program(9, &["400@#8*1"]);
        program.write("ids.csv", "incidentId\n1\n2\n3\n4\n5\n6\n7\n8\n9\n");
        let set = "--contract defender --set status=Resolved --set comment=it's";
        let failed = if resumes {
            run(&program, &format!("run ids.csv {set} --stop-after 300ms {}", typed(&program))).expect_code(4);
            run(&program, &format!("runs resume {} -y --token-file token --quota {QUOTA}", program.last_run()))
        } else {
            run(&program, &format!("run ids.csv {set} {}", typed(&program)))
        };
        paste(&program, &printed(&failed.expect_code(1))).expect_code(0);
        assert_eq!(program.comments(8), ["it's"]);
        assert_eq!(throttled(&program.requests()), 0);
    });
}

#[test]
fn outage_and_refused_token_print_working_command() {
    at_once([("503@1-8", 4), ("401@1-9", 5)], |(fault, code)| {
        at_once(["a.csv", "-", "plan"], |input| {
            let program = program(5, &[fault]);
            let all = typed(&program);
            let ended = if input == "plan" {
                run(&program, &format!("plan a.csv -o a.plan --token-file token --base-url {}", program.origin()));
                run(
                    &program,
                    &format!("apply a.plan --patience 0s --settle 100ms --token-file token --quota {QUOTA} --yes"),
                )
            } else {
                run(&program, &format!("run {input} --patience 0s --settle 100ms {all}"))
            };
            let mut line = printed(&ended.expect_code(code));
            assert!(line.contains("--patience 0s"), "{line}");
            // It keeps failing while the fault lasts.
            for _ in 0..12 {
                let again = paste(&program, &line);
                if again.code == Some(0) {
                    return assert_eq!(program.comments(5), ["Comment on 5"]);
                }
                line = printed(&again);
            }
            panic!("it never ended: {line}");
        });
    });
}

#[test]
fn plan_apply_and_undo_print_working_commands() {
    let program = program(9, &["400@#8*1"]);
    let planned = run(
        &program,
        &format!("plan a.csv -o a.plan --compare --token-file token --quota {QUOTA} --base-url {}", program.origin()),
    );
    let line = printed(&planned.expect_code(0));
    let stopped = paste(&program, &format!("{line} --yes --stop-after 600ms")).expect_code(4);
    let run_of_plan = program.last_run();
    let line = printed(&stopped);
    assert!(line.starts_with("bulk-triage apply a.plan ") && line.ends_with("--yes"), "{line}");
    let failed = paste(&program, &line).expect_code(1);
    expect_it_finishes(&program, &failed, 9);

    let undo = run(&program, &format!("runs undo {run_of_plan} -o undo.plan --token-file token --quota {QUOTA}"));
    let shown = paste(&program, &printed(&undo.expect_code(0))).expect_code(0);
    let line = printed(&shown);
    paste(&program, &format!("{line} --yes")).expect_code(0);
    assert_eq!(program.incident(3)["status"], "Active");
    assert_eq!(throttled(&program.requests()), 0);
}

#[test]
fn dry_runs_and_checks_print_the_run_command() {
    let program = program(5, &[]);
    let all = typed(&program);
    let check = program.run("check a.csv --set classification=FalsePositive --limit 3").expect_code(0);
    let line = printed(&check);
    assert_eq!(line, "bulk-triage run a.csv --set classification=FalsePositive --limit 3 --dry-run");
    let dry_run = paste(&program, &format!("{line} --stop-after 10m --results out.csv {all}")).expect_code(0);
    let line = printed(&dry_run);
    assert!(line.contains("--stop-after 10m") && line.contains("--results out.csv"), "{line}");
    paste(&program, &line).expect_code(0);
    assert_eq!(incidents(&program.updates()), [1, 2, 3]);
    assert!(program.path("out.csv").exists());
}

#[test]
fn fetch_prints_commands_that_work() {
    let program = program(1, &[]);
    let fetch = format!(
        "fetch -o open.csv --limit 9 --status active --token-file token --quota {QUOTA} --base-url {}",
        program.origin()
    );
    let fetching = started(without_token(program.command(&format!("{fetch} --concurrency 1"))));
    program.wait_for_requests(1);
    let _ = fetching.try_signal(Signal::INT);
    let ended = fetching.end();
    let fetched = if ended.code == Some(4) { paste(&program, &printed(&ended)).expect_code(0) } else { ended };
    let dry_run = paste(&program, &printed(&fetched)).expect_code(0).expect_text("9  Resolved");
    let line = printed(&dry_run);
    assert!(!line.contains("--limit") && !line.contains("--status"), "{line}");
    paste(&program, &format!("{line} --yes")).expect_code(0);
    assert_eq!(program.updates().len(), 9);
    assert_eq!(throttled(&program.requests()), 0);
}

/// Paths that were typed in one directory, and are printed in another.
#[test]
fn paths_are_printed_for_the_current_directory() {
    let program = program(9, &["400@#8*1"]);
    program.write("mine.toml", "extends = \"defender-classic\"\nquota = \"10/1m\"\n");
    let paths = "--contract mine.toml --results out.csv --log-file my.log";
    run(&program, &format!("run - --stop-after 300ms {paths} {}", typed(&program))).expect_code(4);
    let elsewhere = program.path("else/where");
    fs::create_dir_all(&elsewhere).expect("a directory");
    let name = program.last_run();
    let mut show = program.command(&format!("runs show {name}"));
    show.current_dir(&elsewhere);
    let line = printed(&started(show).end().expect_code(0));
    for option in ["--token-file ../../token", "--results ../../out.csv", "--log-file ../../my.log"] {
        assert!(line.contains(option), "{option}: {line}");
    }
    // Where they were typed, they are printed as they were typed.
    let there = printed(&run(&program, &format!("runs show {name}")));
    assert_eq!(there, line.replace("../", ""));
    let failed = paste_in(&program, &elsewhere, &line).expect_code(1);
    assert!(program.read("out.csv").contains("rejected"));
    let line = printed(&failed);
    assert!(line.contains("--contract ../../mine.toml"), "{line}");
    paste_in(&program, &elsewhere, &line).expect_code(0);
    assert_eq!(program.comments(8), ["Comment on 8"]);
}

/// The journal of `--emulator` is gone afterwards; the results remain.
#[test]
fn emulator_option_prints_no_resume_command() {
    at_once(["a.csv", "-"], |input| {
        let program = Program::new().file("a.csv", closing(1..=9));
        let ended = run(&program, &format!("run {input} --emulator --quota 4/400ms --stop-after 300ms -y"));
        let line = printed(&ended.expect_code(4));
        assert!(line.contains("--emulator") && !line.contains("resume"), "{line}");
        paste(&program, &line).expect_code(0);
    });
}

#[test]
fn state_directory_is_repeated_only_if_typed() {
    let program = program(5, &[]);
    let stopped =
        run(&program, &format!("run - --stop-after 300ms --state-dir other {}", typed(&program))).expect_code(4);
    let line = printed(&stopped);
    assert!(line.contains("--state-dir other"), "{line}");
    paste(&program, &line).expect_code(0);
    assert_eq!(incidents(&program.updates()), [1, 2, 3, 4, 5]);
}

#[test]
fn conflicting_unfinished_run_is_finished_as_printed() {
    let program = program(6, &[]);
    run(&program, &format!("run - --stop-after 300ms {}", typed(&program))).expect_code(4);
    program.write("other.csv", "incidentId,status\n1,Active\n6,Active\n");
    for dry in ["--dry-run", "--dry-run --compare"] {
        let shown = run(&program, &format!("run other.csv {dry} {}", typed(&program))).expect_code(0);
        let line = shown.stdout.lines().find(|line| line.contains("runs resume")).expect("the other run").to_owned();
        let line = line.split_once("bulk-triage").expect("a command").1.to_owned();
        assert!(line.contains("--token-file token") && line.contains("--quota 4/400ms"), "{line}");
        if dry.ends_with("--compare") {
            paste(&program, &format!("bulk-triage{line}")).expect_code(0);
        }
    }
    assert_eq!(program.comments(6), ["Comment on 6"]);
}

/// Invalid rows stay invalid, so `check` is suggested to see what is wrong with them.
#[test]
fn only_invalid_rows_left_suggest_check() {
    let program = program(2, &[]);
    program.write("a.csv", closing(1..=2) + "x,Resolved,\n");
    let ended = run(&program, &format!("run a.csv --skip-invalid {}", typed(&program))).expect_code(1);
    let line = printed(&ended);
    assert!(line.starts_with("bulk-triage check "), "{line}");
    paste(&program, &line).expect_code(3).expect_text("id-invalid");
}
