//! `--metrics-file`: what a monitor reads after every end of a command, and that it can't harm a run.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::program::{Program, closing, eventually, spawned, started};

fn program(faults: &[&str]) -> Program {
    Program::new().file("a.csv", closing(1..=3)).file("bad.csv", "incidentId\nx\n").faulty_emulator(faults)
}

/// The values of a metrics file by series, without the prefix of all names and the labels of all series. Fails unless
/// it is in the text format, with exactly the documented gauges.
#[track_caller]
fn metrics_in(program: &Program, labels: &str) -> BTreeMap<String, String> {
    let text = program.read("job.prom");
    assert!(text.ends_with('\n') && !text.contains("\n\n"), "{text}");
    let (mut values, mut gauges, mut lines) = (BTreeMap::new(), Vec::new(), text.lines().peekable());
    while let Some(help) = lines.next() {
        let (name, help) = help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')).expect("a HELP line");
        assert!(help.ends_with('.'), "{help}");
        assert_eq!(lines.next(), Some(&*format!("# TYPE {name} gauge")));
        gauges.push(name.strip_prefix("bulk_triage_last_run_").expect("our prefix").to_owned());
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let (series, value) = line.rsplit_once(' ').expect("a value");
            let rest = series.strip_prefix(&*format!("{name}{{{labels}")).expect(series).strip_suffix('}').expect("}");
            let series = format!("{}{rest}", gauges.last().expect("a name"));
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert_eq!(values.insert(series, value.to_owned()), None);
        }
    }
    let documented =
        ["timestamp_seconds", "exit_code", "rows", "calls", "throttled", "duration_seconds", "quota_wait_seconds"];
    assert_eq!(gauges, documented);
    assert_eq!(values.len(), documented.len() - 1 + 6, "all six outcomes: {text}");
    assert_eq!(fs::metadata(program.path("job.prom")).expect("it is there").permissions().mode() & 0o777, 0o644);
    assert!(!program.names().iter().any(|name| name.starts_with(".bulk-triage")), "{:?}", program.names());
    values
}

fn number(values: &BTreeMap<String, String>, series: &str) -> f64 {
    values[series].parse().expect("a number")
}

const NO_LABELS: &str = r#"tenant="",profile="""#;

#[test]
fn metrics_are_written_at_every_end() {
    let program = program(&["404@#2"]);
    let base = format!("--base-url {} --settle 150ms --metrics-file job.prom", program.origin());
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    let mut no_token = program.command(&format!("run a.csv --yes {base}"));
    no_token.env_remove("BULK_TRIAGE_TOKEN");
    for (command, code, updated, calls) in [
        (program.command(&format!("run missing.csv --yes {base}")), 3, "0", "0"),
        (program.command(&format!("run bad.csv --yes {base}")), 3, "0", "0"),
        (program.command(&format!("run a.csv --yes {base} --nonsense")), 2, "0", "0"),
        (program.command(&format!("run a.csv --yes {base} --concurrency 0")), 2, "0", "0"),
        (program.command(&format!("run a.csv --yes {base} --config missing.toml")), 2, "0", "0"),
        (program.command(&format!("run a.csv --yes {base} --log-file missing/log")), 2, "0", "0"),
        (program.command(&format!("runs resume nnnn --yes {base}")), 2, "0", "0"),
        (no_token, 5, "0", "0"),
        (program.command(&format!("run a.csv {base}")), 2, "0", "0"),
        (program.command(&format!("run a.csv --yes {base} --stop-after 0")), 4, "0", "0"),
        (program.command(&format!("run a.csv --yes {base}")), 1, "2", "3"),
        (program.command(&format!("apply a.plan --yes {base} --remember 0")), 1, "2", "3"),
        (program.command(&format!("apply a.plan --yes {base} --remember 0")), 1, "2", "0"),
        (program.command(&format!("fetch -o f.csv --limit 1 {base}").replace(" --settle 150ms", "")), 0, "0", "1"),
    ] {
        let shown = format!("{command:?}");
        fs::write(program.path("job.prom"), "").expect("a file");
        let ended = started(command).end().expect_code(code);
        let values = metrics_in(&program, NO_LABELS);
        let found = ["exit_code", "rows,outcome=\"updated\"", "calls"].map(|series| &*values[series]);
        assert_eq!(found, [&code.to_string(), updated, calls], "{shown}: {values:?}\n{}", ended.printed());
        assert!(number(&values, "timestamp_seconds") > 1.7e9, "{values:?}");
        assert!(number(&values, "duration_seconds") < 120.0, "{values:?}");
    }
    let run = program.last_run();
    fs::remove_file(program.path("job.prom")).expect("it was there");
    program.run(&format!("runs resume {run} --yes {base}")).expect_code(1);
    assert_eq!(metrics_in(&program, NO_LABELS)["rows,outcome=\"failed\""], "1");
}

#[test]
fn requests_and_waits_are_counted() {
    let program = program(&["401@1-"]);
    program.send("a.csv --compare --metrics-file job.prom").expect_code(5);
    let values = metrics_in(&program, NO_LABELS);
    assert_eq!(values["calls"], program.requests().len().to_string());

    let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["429@#1*1"]);
    let ended = program.send("a.csv --quota 1/1s --format json --metrics-file job.prom").expect_code(0);
    let (values, summary) = (metrics_in(&program, NO_LABELS), ended.json());
    for member in ["calls", "throttled"] {
        assert_eq!(values[member], summary[member].to_string(), "{member}");
    }
    let waited = number(&values, "quota_wait_seconds");
    assert!(waited > 0.9 && waited <= number(&values, "duration_seconds"), "{values:?}");
}

#[test]
fn second_signal_writes_metrics() {
    let program = program(&["stall-after@#2*1"]);
    let running = program.start_sending("a.csv --concurrency 1 --metrics-file job.prom");
    program.wait_for_requests(2);
    eventually("the program is gone", || running.try_signal(Signal::INT).is_err());
    running.end().expect_code(130);
    let values = metrics_in(&program, NO_LABELS);
    assert_eq!((&*values["exit_code"], &*values["rows,outcome=\"updated\""]), ("130", "1"));
}

#[test]
fn labels_are_tenant_and_profile() {
    let settings = "metrics-file = 'job.prom'\n[profiles.'a\"b\\c']\ntenant = 'contoso.com'\n";
    let program = program(&[]).file("config.toml", settings);
    let profile = |more: &str| {
        let mut command = program.send_command("a.csv");
        command.args(["--config", "config.toml", "--profile", "a\"b\\c"]).args(more.split_whitespace());
        started(command).end()
    };
    profile("").expect_code(0);
    let labels = r#"tenant="contoso.com",profile="a\"b\\c""#;
    let text = program.read("job.prom");
    assert!(!text.contains(&program.last_run()) && !text.contains("a.csv"), "{text}");
    metrics_in(&program, labels);
    profile("--nonsense").expect_code(2);
    assert_eq!(metrics_in(&program, labels)["exit_code"], "2");
}

#[test]
fn dry_run_and_help_leave_metrics_alone() {
    let program = program(&[]);
    program.run("run a.csv --emulator --dry-run --metrics-file job.prom").expect_code(0);
    program.run("run --help --metrics-file job.prom").expect_code(0);
    assert!(!program.path("job.prom").exists());
}

/// They are refused before anything is sent.
#[test]
fn other_files_are_not_replaced_by_metrics() {
    let program = program(&[]).file("victim.prom", "# HELP node_load1 Load.\n").file("job.txt", "");
    symlink(program.path("victim.prom"), program.path("link.prom")).expect("a link");
    fs::create_dir(program.path("dir.prom")).expect("a directory");
    for (file, says) in [
        ("victim.prom", "is not a metrics file"),
        ("link.prom", "a symbolic link"),
        ("dir.prom", "a directory"),
        ("job.txt", "must end in `.prom`"),
        ("missing/job.prom", "No such file"),
    ] {
        let ended = program.send(&format!("a.csv --metrics-file {file}")).expect_code(2);
        let ended = ended.expect_text(says);
        assert_eq!(ended.printed().matches("cannot write metrics").count(), 1, "{}", ended.printed());
    }
    assert!(program.requests().is_empty());
    assert_eq!(program.read("victim.prom"), "# HELP node_load1 Load.\n");
}

#[test]
fn lost_metrics_directory_changes_nothing_else() {
    let program = program(&[]);
    fs::create_dir(program.path("m")).expect("a directory");
    let running = program.start_sending("a.csv --quota 2/1s --concurrency 1 --metrics-file m/job.prom --results r.csv");
    program.wait_for_requests(1);
    fs::remove_dir(program.path("m")).expect("it is empty");
    let ended = running.end().expect_code(0).expect_text("warning: cannot write metrics to `m/job.prom`");
    ended.expect_outcomes(&[("updated", 3)]);
}

#[test]
fn promtool_accepts_the_metrics() {
    let program = program(&[]);
    program.send("a.csv --metrics-file job.prom").expect_code(0);
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]).stdin(fs::File::open(program.path("job.prom")).expect("a file"));
    match spawned(promtool.stdout(Stdio::piped()).stderr(Stdio::piped())) {
        Ok(running) => {
            let output = running.wait_with_output().expect("its output");
            assert!(output.status.success() && output.stdout.is_empty() && output.stderr.is_empty(), "{output:?}");
        }
        // Not captured, so that a passing test shows it.
        Err(_) => {
            let _ = writeln!(std::io::stderr(), "LEFT OUT: promtool check metrics (promtool is not installed)");
        }
    }
}
