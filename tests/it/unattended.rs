//! `samples/unattended`: jobs that run by themselves. Their commands are read from the files as the schedulers read them,
//! so what is tested is what a user copies.

mod nights;

use std::process::{Command, Stdio};

use crate::faults::tell;
use crate::program::{Program, finished, in_place_of, names_in, of_the_project, started};

/// The samples with commands of the program.
const SAMPLES: [&str; 5] =
    ["bulk-triage.service", "crontab", "github-actions.yml", "azure-pipelines.yml", "kubernetes-cronjob.yaml"];

/// The text of a sample.
fn sample(name: &str) -> String {
    std::fs::read_to_string(of_the_project("samples/unattended").join(name)).expect("a sample")
}

/// The settings of a unit, in order; a line that ends with `\` goes on.
fn unit_settings(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.starts_with(['#', '[']));
    lines.filter_map(|line| line.split_once('=')).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The variables of a crontab, and the command of each line that has a time.
fn cron_lines(text: &str) -> (Vec<(String, String)>, Vec<String>) {
    let (mut variables, mut commands) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        if line.starts_with(|first: char| first.is_ascii_uppercase()) {
            let (name, value) = line.split_once('=').expect("a variable");
            variables.push((name.to_owned(), value.to_owned()));
        } else {
            assert!(!line.contains('%'), "cron makes it the end of the line: {line}");
            commands.push(line.splitn(6, ' ').nth(5).expect("five fields and a command").to_owned());
        }
    }
    (variables, commands)
}

/// The value in a line of YAML that has this key; a block (`|`) is taken from the lines `below`.
fn yaml_value(line: &str, key: &str, below: &[&str]) -> Option<String> {
    let entry = line.trim_start_matches([' ', '-']);
    let value = entry.strip_prefix(key)?.strip_prefix(": ")?;
    if value != "|" {
        let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        return Some(quoted.unwrap_or(value).to_owned());
    }
    let is_inside = |below: &&&str| below.len() - below.trim_start().len() > line.len() - entry.len();
    Some(below.iter().take_while(is_inside).map(|line| line.trim_start()).collect::<Vec<_>>().join("\n"))
}

/// The values of all mappings with one of these keys, in order.
fn yaml_values(text: &str, keys: &[&str]) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let value = |at: usize| keys.iter().find_map(|key| yaml_value(lines[at], key, &lines[at + 1..]));
    (0..lines.len()).filter_map(value).collect()
}

/// The steps of a job, each with its name, condition and script.
fn yaml_steps(text: &str) -> Vec<String> {
    let (_, steps) = text.split_once("steps:\n").expect("steps");
    let begin = steps.split_once("- ").expect("a step").0;
    steps
        .split(&format!("\n{begin}- "))
        .map(|step| format!("{begin}- {}", step.trim_start_matches([' ', '-'])))
        .collect()
}

/// The arguments of each container, in order: a list in one line, or one item per line.
fn container_arguments(text: &str) -> Vec<Vec<String>> {
    let (mut all, mut lines) = (Vec::new(), text.lines().map(str::trim).peekable());
    while let Some(line) = lines.next() {
        let Some(value) = line.strip_prefix("args:") else { continue };
        let mut words: Vec<String> = Vec::new();
        if let Some(list) = value.trim().strip_prefix('[').and_then(|list| list.strip_suffix(']')) {
            words.extend(list.split(", ").map(str::to_owned));
        }
        while let Some(item) =
            lines.next_if(|line| line.starts_with("- -") || line.starts_with("- ") && !line.contains(':'))
        {
            words.push(item[2..].to_owned());
        }
        all.push(words);
    }
    all
}

/// The shell scripts of a sample, or its commands as scripts.
fn scripts(name: &str) -> Vec<String> {
    let text = sample(name);
    match name {
        "bulk-triage.service" => {
            let starts = unit_settings(&text).into_iter().filter(|(name, _)| name == "ExecStart");
            starts.map(|(_, command)| command.trim_start_matches('-').replace("/usr/bin/env ", "")).collect()
        }
        "crontab" => cron_lines(&text).1,
        "kubernetes-cronjob.yaml" => {
            container_arguments(&text).iter().map(|words| format!("bulk-triage {}", words.join(" "))).collect()
        }
        _ => yaml_values(&text, &["run", "bash", "inlineScript"]),
    }
}

/// The commands of the program in a script, without redirections.
fn commands_in(script: &str) -> Vec<String> {
    let separated = script.replace("&&", "\n").replace("||", "\n").replace("{ ", "\n").replace(';', "\n");
    let commands = separated.lines().map(|part| part.split(" >").next().unwrap_or_default().trim());
    commands.filter(|command| command.starts_with("bulk-triage ")).map(str::to_owned).collect()
}

#[test]
fn program_accepts_every_command_of_the_samples() {
    let program = Program::new();
    for name in SAMPLES {
        let commands: Vec<String> = scripts(name).iter().flat_map(|script| commands_in(script)).collect();
        assert!(commands.len() >= 2, "{name}: {commands:?}");
        for command in commands {
            // No path of this machine, and no service.
            let local = command.replace('"', "").replace(" /", " ").replace("=/", "=");
            let is_accepted = |more: &str| {
                let mut command = program.command(&format!("{}{more}", local.trim_start_matches("bulk-triage ")));
                command.env("BULK_TRIAGE_BASE_URL", "http://127.0.0.1:9").env("BULK_TRIAGE_PATIENCE", "0");
                !started(command).end().stderr.contains("try '--help'")
            };
            assert!(is_accepted(""), "{name}: {command}");
            assert!(!is_accepted(" --nonsense"), "the check can fail: {command}");
        }
    }
}

/// Exit code 4 is worth a restart; these are final.
const FINAL: [u8; 6] = [1, 2, 3, 5, 6, 70];
/// The codes of `env` without the program, and of systemd without the secret: no restart corrects that.
const NOT_STARTED: [u8; 2] = [127, 243];

#[test]
fn schedulers_restart_only_what_stopped_early() {
    let unit = unit_settings(&sample("bulk-triage.service"));
    let codes = |text: &str| text.split([' ', ',']).filter_map(|code| code.parse().ok()).collect::<Vec<u8>>();
    let value = |name: &str| &unit.iter().find(|(found, _)| found == name).expect("a setting").1;
    assert_eq!(codes(value("RestartPreventExitStatus")), [&FINAL[..], &NOT_STARTED].concat());
    assert_eq!(value("Restart"), "on-failure");
    // Its messages are those of the program, not of `env`.
    assert_eq!(value("SyslogIdentifier"), "bulk-triage");
    // Without a limit, a unit that is started again for days never reports a failure.
    assert!(unit.iter().any(|(name, _)| name == "StartLimitBurst"));
    let job = sample("kubernetes-cronjob.yaml");
    let final_codes = yaml_values(&job, &["values"]).concat();
    assert_eq!(codes(final_codes.trim_matches(['[', ']'])), FINAL);
}

#[test]
fn actions_of_the_samples_are_pinned() {
    let actions = yaml_values(&sample("github-actions.yml"), &["uses"]);
    assert!(actions.len() >= 4, "{actions:?}");
    for action in actions {
        let hash = action.split(['@', ' ']).nth(1).expect("a version");
        assert!(hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
    }
}

/// Runs a linter with these arguments on the samples, if it is installed. Prints its last line, returns its warnings.
fn lint(arguments: &str) -> String {
    let program = Program::new();
    for name in names_in(&of_the_project("samples/unattended")) {
        program.write(&name, sample(&name));
    }
    let mut words = arguments.split(' ');
    let tool = words.next().expect("a tool");
    let asked = finished(Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()));
    if !asked.is_ok_and(|status| status.success()) {
        tell(&format!("LEFT OUT: {arguments} ({tool} is not installed)"));
        return String::new();
    }
    let mut linter = in_place_of(&program.command(""), tool);
    linter.args(words);
    let ended = started(linter).end();
    if ended.stderr.contains("unrecognized option") {
        tell(&format!("LEFT OUT: {arguments} ({tool} is too old)"));
        return String::new();
    }
    let mut lines = ended.stdout.lines().chain(ended.stderr.lines());
    let last = lines.rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    tell(&format!("$ {arguments}\n{last}"));
    ended.expect_code(0).stderr
}

#[test]
fn linters_find_no_fault_in_samples() {
    // Manual pages are installed by packages only.
    let units = "bulk-triage.service bulk-triage.timer bulk-triage-failed@.service";
    let warnings = lint(&format!("systemd-analyze verify --man=no {units}"));
    // It also warns about other units of the machine, and about unknown settings with exit code 0.
    assert!(!warnings.contains("bulk-triage"), "{warnings}");
    // The threshold is ten times the exposure level: at most 2.0.
    lint("systemd-analyze security --offline=true --no-pager --threshold=20 bulk-triage.service");
    lint("zizmor --offline --no-progress github-actions.yml");
    lint("check-jsonschema --builtin-schema vendor.github-workflows github-actions.yml");
    // The schema of Azure Pipelines can't be used: its expressions and types are not those of JSON Schema.
    lint("yamllint -d relaxed --no-warnings azure-pipelines.yml kubernetes-cronjob.yaml");
    lint("promtool check rules alerts.yml");
    lint("kubernetes-validate --strict kubernetes-cronjob.yaml");
}
