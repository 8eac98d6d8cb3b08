//! Small promises of the command line: each option, signal and limit that surprised somebody once has its test.

use std::io::{BufRead as _, Write as _};
use std::process::Stdio;

use rustix::process::Signal;

use crate::program::{Program, closing, eventually, fault_of, in_place_of, shell_words, started, started_as_it_is};

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

/// The other outputs that a dash would have made a file of this name.
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

#[test]
fn plan_without_output_is_shown() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let origin = program.origin();
    let before = program.names();
    let shown = program.run(&format!("plan a.csv --base-url {origin}")).expect_code(0);
    let said = shown.expect_text("3  Resolved").expect_text("to save the plan:").said();
    assert_eq!(program.names().iter().filter(|name| *name != "state").count(), before.len(), "nothing is written");
    program.run(&format!("plan a.csv --detailed-exitcode --base-url {origin}")).expect_code(10);
    program.run(&format!("plan a.csv --detailed-exitcode --compare --base-url {origin}")).expect_code(10);
    // The command that it suggests works.
    let saving = said.lines().find_map(|line| line.strip_prefix("  bulk-triage ")).expect("a command");
    program.run(saving).expect_code(0).expect_text("plan: a.plan");
    program.run("apply a.plan --yes").expect_code(0);
    let done = program.run(&format!("plan a.csv --detailed-exitcode --base-url {origin}"));
    done.expect_code(0).expect_text("3 rows already applied");
}

#[test]
fn detailed_exitcode_of_plan_without_changes_is_0() {
    let program = Program::new().file("none.csv", "incidentId,status\n").emulator(|_| ());
    program.run(&format!("plan none.csv --detailed-exitcode --base-url {}", program.origin())).expect_code(0);
}

#[test]
fn step_summary_is_appended_as_markdown() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("step_summary_1", "# Build\nfine").emulator(|_| ());
    let sends = |results: &str| {
        let mut command = program.send_command(&format!("a.csv --remember 0 --results {results}"));
        command.env("GITHUB_STEP_SUMMARY", program.path("step_summary_1")).arg("--report");
        command.arg(program.path("step_summary_1"));
        started(command).end().expect_code(0).expect_text("report: ");
    };
    sends("one.csv");
    let first = program.read("step_summary_1");
    assert!(first.starts_with("# Build\nfine\n<!-- bulk-triage page 1 -->\n"), "{first}");
    sends("two.csv");
    let second = program.read("step_summary_1");
    assert!(second.starts_with(&first) && second.matches("# Run report").count() == 2, "{second}");
    // Of any other file the ending says the form.
    program.send("a.csv --report other").expect_code(2).expect_text("its name must end in");
}

#[test]
fn step_summary_may_be_the_report_file() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("notes.md", "mine\n").emulator(|_| ());
    for name in ["new", "notes.md"] {
        let mut command = program.command(&format!("run a.csv --dry-run --report {name}"));
        command.env("GITHUB_STEP_SUMMARY", name);
        started(command).end().expect_code(0);
        assert!(program.read(name).contains("<!-- bulk-triage page 1 -->"));
    }
    assert!(program.read("notes.md").starts_with("mine\n"));
}

#[test]
fn quiet_twice_prints_no_summary() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let once = program.send("a.csv -q").expect_code(0);
    assert!(once.stdout.contains("updated") && once.stderr.is_empty(), "{}", once.said());
    for arguments in ["a.csv --remember 0 -qq", "a.csv --remember 0 -q --quiet"] {
        let twice = program.send(arguments).expect_code(0);
        assert_eq!((twice.stdout.as_str(), twice.stderr.as_str()), ("", ""));
    }
    let check = program.run("check a.csv -qq").expect_code(0);
    assert_eq!((check.stdout.as_str(), check.stderr.as_str()), ("", ""));
    // Errors are still said, and what a script asked for is still written.
    let failed = program.run("check missing.csv -qq").expect_code(3);
    assert!(failed.said().contains("missing.csv"));
    program.send("a.csv -qq --format json").expect_code(0).json();
}

#[test]
fn usr1_prints_progress_and_the_run_continues() {
    let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["stall@#2*1"]);
    let mut command = program.send_command("a.csv --concurrency 1 -q");
    let (mut said, stderr) = std::io::pipe().expect("a pipe");
    command.stdout(Stdio::piped()).stderr(stderr);
    let running = started_as_it_is(command);
    program.wait_for_requests(2);
    running.signal(Signal::USR1);
    let mut line = String::new();
    std::io::BufReader::new(&mut said).read_line(&mut line).expect("a line");
    assert!(line.starts_with("1 of 3 rows: 1 updated"), "{line}");
    running.signal(Signal::INT);
    running.signal(Signal::USR1);
    running.kill();
}

/// Also where there is no progress to show.
#[test]
fn usr1_ends_no_command() {
    let program = Program::new();
    let mut command = program.command("check -");
    let (input, mut rows) = std::io::pipe().expect("a pipe");
    command.stdin(input);
    let running = started(command);
    rows.write_all(b"incidentId,status\n").expect("it reads");
    let status = format!("/proc/{}/status", running.number());
    eventually("it catches the signal", || {
        let status = std::fs::read_to_string(&status).expect("it is running");
        let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).expect("a mask").trim().to_owned();
        u64::from_str_radix(&mask, 16).expect("a number") >> (Signal::USR1.as_raw() - 1) & 1 == 1
    });
    running.signal(Signal::USR1);
    rows.write_all(b"1,Active\n").expect("it reads on");
    drop(rows);
    running.end().expect_code(0).expect_text("1 row, valid");
}

#[test]
fn lists_plans_and_contracts_are_json() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    assert_eq!(program.run("runs list --format json").expect_code(0).json(), serde_json::json!([]));
    program.send("a.csv").expect_code(0);
    for command in ["runs list --format json", "runs --format json"] {
        let runs = program.run(command).expect_code(0).json();
        let shown = program.run(&format!("runs show {} --format json", program.last_run())).json();
        assert_eq!(runs, serde_json::json!([shown]), "{command}");
    }
    let origin = program.origin();
    let plan = program.run(&format!("plan a.csv --remember-nothing --base-url {origin} --format json"));
    plan.expect_code(2);
    program.write("b.csv", "incidentId,status\n1,Active\n2,Resolvd\n3,Resolved\n");
    let arguments = format!("plan b.csv --compare --skip-invalid --base-url {origin} --format json");
    let plan = program.run(&arguments).expect_code(1).json();
    assert_eq!((&plan["rows"], &plan["sent"], &plan["exit"]), (&3.into(), &1.into(), &1.into()), "{plan}");
    assert_eq!(plan["changes"][0]["change"]["status"], "Active");
    assert_eq!(plan["changes"][0]["before"]["status"], "Resolved");
    assert_eq!(plan["changes"][1]["left_out"]["outcome"], "invalid");
    assert_eq!(plan["changes"][2]["left_out"]["code"], "already-so");
    program.run(&format!("plan b.csv --skip-invalid -o b.plan --base-url {origin}")).expect_code(1);
    let saved = program.run("plan b.plan --format json").expect_code(1).json();
    assert_eq!(saved["file"], "b.plan");
    assert!(saved["plan"].as_str().is_some_and(|seal| seal.len() == 64), "{saved}");
    program.run("plan b.csv -o - --format json").expect_code(2);
    let contract = program.run("contract defender --format json").expect_code(0).json();
    assert_eq!((&contract["name"], &contract["quota"]), (&"defender".into(), &"50/1m,1500/1h".into()));
    assert_eq!(contract["properties"][0]["values"][1]["value"], "InProgress");
}

#[test]
fn more_failures_are_counted_and_listed() {
    let program = Program::new().file("a.csv", closing(1..=15)).faulty_emulator(&["404"]);
    program.send("a.csv --max-failures 100").expect_code(1);
    let run = program.last_run();
    let shown = program.run(&format!("runs show {run}")).expect_code(0).stdout;
    assert_eq!(shown.matches("failed, not-found").count(), 10, "{shown}");
    assert!(shown.contains("  and 5 more; to list all:\n"), "{shown}");
    let listing = shown.split("to list all:\n  bulk-triage ").nth(1).and_then(|rest| rest.lines().next());
    let all = program.run(listing.expect("a command")).expect_code(0).stdout;
    assert_eq!(all.matches("failed, not-found").count(), 15, "{all}");
    assert!(!all.contains("more"), "{all}");
}

#[test]
fn misspelt_contract_gets_suggestion() {
    let program = Program::new().file("a.csv", closing(1..=3));
    let help = "help: did you mean `defender`?";
    program.run("check a.csv --contract defnder").expect_code(2).expect_text(help);
    program.run("contract Defender").expect_code(2).expect_text(help);
    program.run("emulator --contract defendr").expect_code(2).expect_text(help);
    let other = program.run("check a.csv --contract something-else").expect_code(2);
    assert!(!other.stderr.contains("did you mean"), "{}", other.said());
}

#[test]
fn last_of_repeated_option_wins() {
    let program = Program::new().file("a.csv", closing(1..=5)).emulator(|_| ());
    let origin = program.origin();
    let dry = format!(
        "run a.csv -n -n --compare --compare --limit 1 --limit 2 --base-url http://127.0.0.1:1 --base-url {origin}"
    );
    program.run(&dry).expect_code(0).expect_text("2 of a.csv");
    program.run("runs --format human --format json").expect_code(0).json();
    program.run("check a.csv --contract none --contract defender").expect_code(0);
    // What can be repeated still adds up, and one field is set once.
    program.run("check a.csv --set status=Active --set assignedTo=me").expect_code(0);
    program.run("check a.csv --set status=Active --set status=Resolved").expect_code(2).expect_text("used twice");
}

#[test]
fn too_many_columns_name_limit_and_cause() {
    let header: Vec<String> =
        ["incidentId".to_owned()].into_iter().chain((1..50_000).map(|n| format!("c{n}"))).collect();
    let program = Program::new().file("wide.csv", header.join(",") + "\n1\n").file("blob.csv", "x".repeat(70_000));
    let wide = program.run("check wide.csv").expect_code(3).expect_text("64 KiB, the limit of a header");
    assert!(wide.said().replace('\n', " ").contains("columns"), "{}", wide.said());
    program.run("check blob.csv").expect_code(3).expect_text("no delimiter");
}

#[test]
fn too_few_open_files_name_limit_and_cause() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let command = program.send_command("a.csv");
    let mut limited = in_place_of(&command, "sh");
    limited.args(["-c", &format!("ulimit -n 20; exec {}", shell_words(&command))]);
    let ended = started(limited).end().expect_code(2);
    ended.expect_text("too few files").expect_text("Too many open files").expect_text("ulimit -n 256");
    assert!(program.requests().is_empty());
}

#[test]
fn stop_after_1_ms_sends_nothing() {
    let program = Program::new().file("a.csv", closing(1..=8)).emulator(|_| ());
    program.send("a.csv --stop-after 1ms").expect_code(4).expect_outcomes(&[("not-attempted", 8)]);
    assert!(program.requests().is_empty());
}

#[test]
fn fetch_to_stdout_is_complete_or_empty() {
    let incidents = |faults: &[&str]| {
        let faults: Vec<_> = faults.iter().map(|fault| fault_of(fault)).collect();
        Program::new().emulator(move |settings| {
            settings.incidents = "1-150".parse().expect("incidents");
            settings.faults = faults.into_iter().collect();
        })
    };
    let program = incidents(&[]);
    let arguments = format!("fetch -o - --quota 1000/1s --base-url {}", program.origin());
    let fetched = program.run(&arguments).expect_code(0);
    assert_eq!(fetched.stdout.lines().count(), 151, "{}", fetched.said());
    assert!(fetched.stdout.starts_with("incidentId,"));
    assert!(fetched.stderr.contains("150 incidents written to standard output, 3 requests\n"), "{}", fetched.said());
    let file = program.run(&arguments.replace("-o -", "-o open.csv")).expect_code(0);
    assert!(file.stdout.contains("150 incidents in open.csv"), "{}", file.said());
    let without_time =
        |text: &str| text.lines().map(|line| line.rsplit_once(',').expect("cells").0.to_owned()).collect::<Vec<_>>();
    assert_eq!(without_time(&fetched.stdout).len(), without_time(&program.read("open.csv")).len());
    let names = program.names();
    assert!(!names.iter().any(|name| name == "-" || name.contains(".part")), "{names:?}");

    let stopped = incidents(&["503@2-"]);
    let arguments = format!("fetch -o - --patience 0 --quota 1000/1s --base-url {}", stopped.origin());
    let ended = stopped.run(&arguments).expect_code(4).expect_text("list incomplete");
    assert_eq!(ended.stdout, "");
    assert!(
        ended.stderr.contains("nothing was written; to start over:\n  bulk-triage fetch -o - "),
        "{}",
        ended.said()
    );
    assert!(!stopped.names().iter().any(|name| name == "-" || name.contains(".part")));
}

/// Five failures in a row are an outage, also if they are all of the only row there is.
#[test]
fn single_incident_waits_out_an_outage() {
    let program = Program::new().file("a.csv", "incidentId,status\n7,Resolved\n").faulty_emulator(&["502@1-5"]);
    let ended = program.send("a.csv --compare").expect_code(0).expect_text("service down: paused");
    ended.expect_outcomes(&[("updated", 1)]);
}

#[test]
fn runs_show_names_the_origin_once() {
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
    program.send("a.csv").expect_code(0);
    let shown = program.run(&format!("runs show {}", program.last_run())).expect_code(0);
    assert_eq!(shown.stdout.matches(&program.origin()).count(), 1, "{}", shown.said());
    shown.expect_text("\nrequests  2, 0 throttled (429)\n");
}
