//! Complete flows as a person sees them: command line, exit code and all output, one snapshot for each story. Snapshots
//! are for reviewing the wording; other files test whether it is true.

use std::fs::File;
use std::process::{Command, Stdio};

use bulk_triage::clock::Clock;
use rustix::process::Signal;

use crate::consent;
use crate::program::{Program, closing, eventually, fault_of, started_as_it_is};
use crate::story::{Story, assert_text, line_of};
use crate::terminal::Pty;
use crate::tokens::jwt;

/// The quota of stories that show it: it does not bind, and its usage does not depend on the time.
pub(crate) const HOURLY: &str = "--quota 1000/1h";

/// Runs a command on a terminal to its end. `types` answers the prompt.
fn at_terminal(story: &mut Story, mut command: Command, types: impl FnOnce(&Pty)) {
    story.typed(&line_of(&command));
    command.env("TERM", "xterm");
    let pty = Pty::new(80);
    let running = pty.start(command);
    types(&pty);
    let ended = running.end();
    story.part("terminal", &pty.last_screen()).code(&ended);
}

fn with_faults(rows: u64, faults: &[&str]) -> Program {
    Program::new().file("a.csv", closing(1..=rows)).faulty_emulator(faults)
}

/// Rows of every kind: list edits and lists, cleared properties, many values, a doubtful value, duplicate and invalid
/// rows.
const MANY: &str = "incidentId,status,assignedTo,classification,tags,comment
1,Resolved,,,+noise; -vip,Tuned
2,Resolved,<clear>,,a; b,Seen by ana
3,Redirected,ana@contoso.com,,,Moved
4,Active,bo@contoso.com,TruePositive,<clear>,Open again
5,InProgress,cy@contoso.com,,,Kim looks at it
1,Resolved,,,+noise; -vip,Tuned
x,Resolved,,,,
0007,Resolved,,,,
6,Active,di@contoso.com,,,More
7,Active,,,,Last
8,Active,,,,Beyond the limit
";

/// The first of [`MANY`] is known from an earlier run, 4 was merged into 40, 5 can't be read, and 7 doesn't exist.
pub(crate) fn with_many() -> Program {
    let program = Program::new()
        .file("many.csv", MANY)
        .file("first.csv", "incidentId,status,comment\n2,Resolved,Seen by ana\n6,Active,More\n")
        .file("other.csv", "incidentId,status\n5,Active\n3,Active\n")
        .emulator(|settings| {
            settings.incidents = "1-6,8-60".parse().expect("incidents");
            settings.merged = [(4, 40)].into();
            settings.faults = ["400@#5"].map(fault_of).into_iter().collect();
        });
    program.send("first.csv --concurrency 1").expect_code(0);
    program.send("other.csv --stop-after 0s").expect_code(4);
    program
}

#[test]
fn preview_of_many_changes() {
    let program = with_many();
    let mut story = Story::of(&program);
    story.run_there("run many.csv --skip-invalid --limit 9 --set classification=FalsePositive --dry-run");
    story.run_there("run many.csv --skip-invalid --limit 9 --remember 0 --stop-after 10m --dry-run");
    story.is("preview-many");
}

#[test]
fn preview_of_compared_changes() {
    let program = with_many();
    let mut story = Story::of(&program);
    let options = format!("--skip-invalid --limit 9 --concurrency 1 {HOURLY} --dry-run");
    story.run_there(&format!("run many.csv --compare {options}"));
    story.run_there(&format!("run many.csv --follow-redirects {options}"));
    story.is("preview-compared");
}

#[test]
fn preview_of_each_input() {
    let program = Program::new()
        .file("portal.csv", "Incident name,Incident Id,Tags,Status\nA,7,,Active\nB,8,x,In progress\n")
        .file(
            "rows.jsonl",
            "{\"incidentId\":7,\"status\":\"Resolved\"}\n{\"incidentId\":\"8\",\"comment\":\"two\\nlines\"}\n",
        )
        .file("empty.csv", "incidentId,status\n")
        .file("strict.toml", "extends = \"defender-classic\"\nname = \"strict\"\nquota = \"10/1m\"\n")
        .emulator(|settings| settings.incidents = "1-2".parse().expect("incidents"));
    let mut story = Story::of(&program);
    story.run_there("run portal.csv --set status=Resolved --dry-run");
    story.run_there("run rows.jsonl --contract ./strict.toml --dry-run");
    story.run_there("run empty.csv --dry-run");
    program.run(&format!("fetch -o open.csv --base-url {}", program.origin())).expect_code(0);
    program.write("open.csv", program.read("open.csv").replacen("\n2,", "\n2,Resolved", 1));
    story.run_there("run open.csv --dry-run");
    program.write("failed.csv", "row,line,incident_id,outcome,code,message,http_status,attempts,request_id,finished_at,incidentId,status\n1,2,7,failed,not-found,,404,1,,,7,Resolved\n2,3,8,updated,,,200,1,,,8,Resolved\n");
    story.run_there("run failed.csv --dry-run");
    story.is("preview-inputs");
}

/// A token whose claims name its tenant, its user and an early expiry.
#[test]
fn preview_names_tenant_and_caller() {
    let program = Program::new().file("a.csv", closing(1..=70)).emulator(|_| ());
    let expires = Clock::machine().now().wall.as_second() + 3_700;
    let claims = format!(
        r#"{{"tid":"11111111-1111-1111-1111-111111111111","app_displayname":"triage","exp":{expires},"aud":"https://api.security.microsoft.com","roles":["Incident.ReadWrite.All"]}}"#
    );
    let mut story = Story::of(&program);
    for quota in ["50/1m", "2/1m"] {
        let line = format!("run a.csv --quota {quota} --dry-run --base-url {}", program.origin());
        let mut command = program.command(&line);
        command.env("BULK_TRIAGE_TOKEN", jwt(&claims)).env("HTTPS_PROXY", "http://proxy.contoso.com:8080");
        story.command("", command);
    }
    let mut command = program.command("run a.csv --dry-run");
    command.env("BULK_TRIAGE_TOKEN", consent::token());
    story.command("", command);
    let mut command = program.command("run a.csv --limit 1 --dry-run");
    command.env_remove("BULK_TRIAGE_TOKEN");
    story.command("", command);
    story.is("preview-token");
}

#[test]
fn prompt_at_terminal() {
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
    let mut story = Story::of(&program);
    let asking = || program.command(&format!("run a.csv --settle 150ms {HOURLY} --base-url {}", program.origin()));
    for answer in ["n\n", "\n", "y\n"] {
        at_terminal(&mut story, asking(), |pty| {
            pty.wait_for("[y/N] ");
            pty.types(answer);
        });
    }
    story.is("prompt");
}

#[test]
fn prompt_for_number() {
    let program = Program::new()
        .file("a.csv", "incidentId,assignedTo,status\n1,<clear>,\n2,<clear>,\n3,,Resolved\n")
        .emulator(|_| ());
    program.write("first.csv", "incidentId,assignedTo\n1,ana@contoso.com\n2,ana@contoso.com\n");
    program.send_as_others("first.csv");
    let mut story = Story::of(&program);
    for answers in [&["yes\n", "no\n"][..], &["3\n"]] {
        let command = program.command(&format!("run a.csv --compare {HOURLY} --base-url {}", program.origin()));
        at_terminal(&mut story, command, |pty| {
            pty.wait_for("Type ");
            for (at, answer) in answers.iter().enumerate() {
                if at > 0 {
                    pty.wait_for("to confirm: ");
                }
                pty.types(answer);
            }
        });
    }
    story.is("prompt-number");
}

#[test]
fn prompt_of_apply_and_resume() {
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
    let mut story = Story::of(&program);
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    at_terminal(&mut story, program.command("apply a.plan --stop-after 0s"), |pty| {
        pty.wait_for("[y/N] ");
        pty.types("y\n");
    });
    at_terminal(&mut story, program.command(&format!("runs resume {}", program.last_run())), |pty| {
        pty.wait_for("[y/N] ");
        pty.types("n\n");
    });
    let input = File::open(program.path("a.csv")).expect("a file");
    let mut command = program.command(&format!("run a.csv --base-url {}", program.origin()));
    command.stdin(input);
    story.command("", command);
    story.is("prompt-others");
}

/// The quota of three requests is used up after three rows: the fourth is an hour away on any machine.
#[test]
fn progress_in_file() {
    let program = with_faults(5, &["400@#2"]);
    let mut story = Story::of(&program);
    let mut command = program.send_command("a.csv --quota 3/1h --concurrency 1");
    story.typed(&line_of(&command));
    let written = File::create(program.path("stderr")).expect("a file");
    command.stdout(Stdio::piped()).stderr(written);
    let running = started_as_it_is(command);
    eventually("it waits", || program.read("stderr").contains("next request in"));
    running.signal(Signal::INT);
    let ended = running.end();
    story.part("stdout", &ended.stdout);
    let used = |line: &str| {
        // The number of requests in a line depends on the time: it is printed four times a second.
        [1, 2, 3]
            .iter()
            .fold(line.to_owned(), |line, used| line.replace(&format!("; {used} of 3 used"), "; N of 3 used"))
    };
    story.part("stderr", &used(&program.read("stderr")));
    story.code(&ended);
    story.is("progress-file");
}

/// A request gets no response, or the API asks for a pause, so the drawn status stays the same.
#[test]
fn progress_at_terminal() {
    let mut texts = Vec::new();
    for (fault, drawn, last) in [
        ("stall@3", "2 of 3 rows\n2 updated\n", "3 of 1,000 used this hour\n"),
        ("429@3=time/300s", "\n2 updated\nthrottled: paused until", "…\n"),
    ] {
        let program = with_faults(3, &[fault]);
        let mut story = Story::of(&program);
        let mut command = program.send_command(&format!("a.csv {HOURLY} --concurrency 1"));
        command.env("TERM", "xterm");
        story.typed(&line_of(&command));
        // Wide enough for the line with the port.
        let pty = Pty::new(200);
        let running = pty.start(command);
        let mut kept = String::new();
        eventually(drawn, || {
            kept = pty.screen();
            kept.contains(drawn) && kept.ends_with(last)
        });
        if last == "…\n" {
            // The width of the bar, and how much of the API's message fits, depend on the lengths of the times.
            kept = kept.replace(['█', '░'], "");
            kept.truncate(kept.find(": TooMany").expect("the API's message"));
        }
        story.part("terminal", &kept);
        if last == "…\n" {
            running.signal(Signal::INT);
            let ended = running.end();
            story.part("after Ctrl-C", &pty.last_screen());
            story.code(&ended);
        } else {
            running.kill();
        }
        texts.push(story.text());
    }
    assert_text("progress-terminal", &texts.join("\n"));
}

#[test]
fn summary_of_finished_runs() {
    let program = with_faults(6, &["400@#2", "403@#5", "500@#6"]);
    program.write("ok.csv", closing(10..=12));
    program.write("differs.csv", "incidentId,status,tags\n20,Resolved,a\n21,Resolved,b\n");
    program.write("invalid.csv", closing(30..=31) + "x,Resolved,\n");
    program.write("empty.csv", "incidentId,status\n");
    let mut story = Story::of(&program);
    story.send("ok.csv");
    story.send("ok.csv");
    story.send("ok.csv --format json -q");
    story.send("empty.csv");
    story.send("a.csv --concurrency 1 --max-attempts 1");
    story.send("invalid.csv --skip-invalid -q");
    story.send("invalid.csv -q");
    story.run("run ok.csv --emulator --yes --quota 1000/1h");
    story.send("ok.csv --remember 0 -qq");
    story.is("summary-finished");
}

#[test]
fn summary_of_differing_rows() {
    let program = Program::new()
        .file("a.csv", "incidentId,status,tags\n20,Resolved,a\n21,Resolved,b\n")
        .faulty_emulator(&["ignore@#20=tags", "ignore@#21"]);
    let mut story = Story::of(&program);
    story.send("a.csv -q --concurrency 1");
    story.send("a.csv -q --remember 0 --allow-differs --concurrency 1");
    story.is("summary-differing");
}

#[test]
fn summary_of_stopped_runs() {
    let program = with_faults(7, &["404@#1"]);
    let mut story = Story::of(&program);
    story.send("a.csv -q --stop-after 0s");
    let run = program.last_run();
    story.send("a.csv --max-failures 1 --concurrency 1");
    story.run(&format!("runs resume {run} --yes -q {HOURLY}"));
    story.is("summary-stopped");
}

#[test]
fn summary_after_doubt() {
    let program = with_faults(2, &["cut-after@2*1", "down@3-20"]);
    let mut story = Story::of(&program);
    story.send("a.csv --concurrency 1 --patience 0");
    story.run(&format!("runs show {}", program.last_run()));
    story.send("a.csv --dry-run");
    story.is("summary-doubt");
}

#[test]
fn summary_after_outage_and_refusal() {
    let mut texts = Vec::new();
    // The rows without a response are not read before the run is stopped.
    for (fault, options) in [("503", "--patience 0 --settle 10m"), ("401", ""), ("403", ""), ("404", "")] {
        let program = with_faults(6, &[fault]);
        let mut story = Story::of(&program);
        story.send(&format!("a.csv --concurrency 1 --max-attempts 9 {options}"));
        texts.push(story.text());
    }
    assert_text("summary-refused", &texts.join("\n"));
}

#[test]
fn summary_of_throttled_run() {
    let program = with_faults(3, &["429@2=in-seconds/1s"]);
    let mut story = Story::of(&program);
    story.send("a.csv --concurrency 1");
    story.is("summary-throttled");
}

#[test]
fn summary_without_token() {
    let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
    let mut story = Story::of(&program);
    let expired = jwt(&format!(r#"{{"exp":{}}}"#, Clock::machine().now().wall.as_second() - 90));
    let mut command = program.send_command("a.csv");
    command.env("BULK_TRIAGE_TOKEN", expired);
    story.command("", command);
    let mut command = program.send_command("a.csv");
    command.env_remove("BULK_TRIAGE_TOKEN");
    story.command("", command);
    story.is("summary-token");
}

#[test]
fn run_resumed_by_same_command() {
    let program = Program::new().file("a.csv", closing(1..=4)).emulator(|_| ());
    let mut story = Story::of(&program);
    story.send("a.csv --quota 2/1h --stop-after 3s --concurrency 1");
    story.send("a.csv --dry-run");
    story.send("a.csv --results r.csv");
    story.file("r.csv");
    story.is("run-resumed");
}

#[test]
fn check_with_and_without_warnings() {
    let program = Program::new()
        .file("a.csv", closing(1..=3))
        .file("many.csv", MANY)
        .file("one.csv", "incidentId,status\n1,Redirected\n1,Redirected\n")
        .file("empty.csv", "incidentId,status\n");
    let mut story = Story::of(&program);
    for options in ["a.csv", "a.csv --format json", "one.csv", "one.csv --format json", "empty.csv", "many.csv"] {
        story.run(&format!("check {options}"));
    }
    story.is("check");
}

#[test]
fn plan_from_file_to_undo() {
    let program = with_many();
    program.write("good.csv", "incidentId,status,tags,comment\n1,Resolved,+noise,Tuned\n3,,a; b,\n9,Resolved,,\n");
    let mut story = Story::of(&program);
    story.run_there(&format!("plan good.csv -o good.plan --compare --concurrency 1 {HOURLY}"));
    // The embedded contract is in another snapshot.
    let plan = program.read("good.plan");
    let (before, rest) = plan.split_once("\"rules\":\"").expect("a plan has its contract");
    let (_, behind) = rest.split_once("\",\"input\":").expect("what follows it");
    story.part("good.plan", &format!("{before}\"rules\":\"…\",\"input\":{behind}\n"));
    story.run("plan good.plan");
    story.run("plan good.plan --format json");
    story.run_there("plan good.csv -o other.plan --limit 2 --detailed-exitcode");
    program.write("later.csv", "incidentId,status\n9,Resolved\n3,Resolved\n");
    program.send_as_others("later.csv");
    story.run(&format!("apply good.plan --yes --concurrency 1 {HOURLY}"));
    story.run("apply good.plan --yes");
    let run = program.last_run();
    story.run(&format!("runs undo {run} -o undo.plan --comment Undone --concurrency 1 {HOURLY}"));
    story.run("plan undo.plan");
    story.is("plan");
}

#[test]
fn list_of_runs_and_what_they_show() {
    let program = with_faults(3, &["400@#2"]);
    program.write("b.csv", "incidentId,status\n11,Resolved\n12,Resolved\n");
    let mut story = Story::of(&program);
    story.run("runs");
    program.send("a.csv --concurrency 1").expect_code(1);
    let first = program.last_run();
    program.send("b.csv --stop-after 0s").expect_code(4);
    let second = program.last_run();
    story.run("runs list");
    at_terminal(&mut story, program.command("runs"), |_| ());
    story.run("runs list --format json");
    for run in [&first, &second] {
        story.run(&format!("runs show {run}"));
    }
    story.run(&format!("runs show {first} --format json"));
    story.run(&format!("runs results {first}"));
    story.run(&format!("runs resume {second} --yes {HOURLY}"));
    story.run(&format!("runs resume {second} --yes"));
    story.run(&format!("runs undo {first} -o undo.plan"));
    story.run("runs prune");
    let sql = "UPDATE runs SET finished_wall = 1788076800000000 WHERE name = ?1";
    program.journal().execute(sql, [&first]).expect("it is over since 2026-08-30");
    program.age_the_journal(100 * 86_400);
    story.run("runs prune");
    story.run(&format!("runs show {first}"));
    story.is("runs");
}

#[test]
fn fetch_into_each_output() {
    let program = Program::new().emulator(|settings| settings.incidents = "1-120".parse().expect("incidents"));
    let mut story = Story::of(&program);
    let fetch = |options: &str| format!("fetch --concurrency 1 {HOURLY} {options}");
    story.run_there(&fetch("-o open.csv"));
    story.run_there(&fetch("-o three.csv --limit 3 --format json"));
    story.file("three.csv");
    story.run_there(&fetch("-o - --limit 2"));
    story.run_there(&fetch("-o two.jsonl --limit 2 --status Active --tag none"));
    story.run_there(&fetch("-o none.csv --status Resolved"));
    story.is("fetch");
}

#[test]
fn fetch_resumed() {
    let program = Program::new().emulator(|settings| {
        settings.incidents = "1-250".parse().expect("incidents");
        settings.faults = ["503@2-6"].map(fault_of).into_iter().collect();
    });
    let mut story = Story::of(&program);
    story.run_there(&format!("fetch -o open.csv --concurrency 1 --patience 0 {HOURLY}"));
    story.run_there(&format!("fetch -o open.csv --concurrency 1 {HOURLY}"));
    story.is("fetch-resumed");
}

#[test]
fn contract_in_each_format() {
    let extension = "extends = \"defender\"\nname = \"strict\"\ntitle = \"Only what we use\"\nquota = \"10/1m\"\n";
    let program = Program::new().file("strict.toml", extension);
    let mut story = Story::of(&program);
    story.run("contract");
    story.run("contract --format toml");
    story.run("contract ./strict.toml --format json");
    story.is("contract");
}

#[test]
fn emulator_serves_until_signal() {
    let program = Program::new();
    let mut story = Story::of(&program);
    let command = program.command("emulator --incidents 1-9 --log requests.jsonl");
    story.typed(&line_of(&command));
    let pty = Pty::new(80);
    let running = pty.start(command);
    pty.wait_for("http://");
    running.signal(Signal::TERM);
    let ended = running.end();
    story.part("terminal", &pty.last_screen());
    story.code(&ended);
    story.is("emulator");
}

#[test]
fn log_of_each_level_and_format() {
    let mut texts = Vec::new();
    for options in ["-v", "-vv", "-vv --log-format json"] {
        let program = with_faults(0, &["400@#2", "503@#3*1"]);
        program.write("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n3,Resolved\n");
        let mut story = Story::of(&program);
        story.send(&format!("a.csv --concurrency 1 --compare {options}"));
        texts.push(story.text());
    }
    assert_text("log", &texts.join("\n"));
}
