//! Every help text as a snapshot, `help-NAME.snap`. To accept a change, see [`crate::redact`].

use std::collections::BTreeSet;

use crate::program::{Program, names_in, of_the_project, started};
use crate::story::{Story, assert_text};

/// The default width of a terminal, in columns.
const WIDTH: &str = "80";

/// The command line, printing for a terminal of this width.
fn told(program: &Program, arguments: &str, width: &str) -> String {
    let mut command = program.command(arguments);
    // The help shows its value.
    command.env_remove("BULK_TRIAGE_STATE_DIR").env("COLUMNS", width);
    Story::of(program).ended(format!("bulk-triage {arguments}").trim_end(), &started(command).end()).text()
}

/// The subcommands at any depth, as the help lists them.
fn commands_below(program: &Program, command: &str) -> Vec<String> {
    let help = told(program, &format!("{command} --help"), WIDTH);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // Continuation lines are indented further.
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let paths: Vec<String> = names.map(|name| format!("{command} {name}").trim_start().to_owned()).collect();
    paths.into_iter().flat_map(|path| [vec![path.clone()], commands_below(program, &path)].concat()).collect()
}

#[test]
fn help_of_every_command() {
    let program = Program::new();
    let commands = commands_below(&program, "");
    assert!(commands.contains(&"run".to_owned()) && commands.contains(&"runs undo".to_owned()), "{commands:?}");
    let mut names =
        BTreeSet::from(["help.snap".to_owned(), "help-run-60.snap".to_owned(), "help-run-120.snap".to_owned()]);
    let both = |command: &str, width| {
        let help = |option| told(&program, format!("{command} {option}").trim_start(), width);
        format!("{}\n{}", help("-h"), help("--help"))
    };
    assert_text("help", &both("", WIDTH));
    for command in &commands {
        let name = format!("help-{}", command.replace(' ', "-"));
        assert_text(&name, &both(command, WIDTH));
        names.insert(format!("{name}.snap"));
    }
    let kept = names_in(&of_the_project("tests/it/snapshots"));
    let kept: BTreeSet<_> = kept.into_iter().filter(|name| name.starts_with("help")).collect();
    assert_eq!(kept, names, "a snapshot belongs to no command: delete it");
}

#[test]
fn help_of_run_at_other_widths() {
    for width in ["60", "120"] {
        assert_text(&format!("help-run-{width}"), &told(&Program::new(), "run --help", width));
    }
}

#[test]
fn no_arguments_version_and_unknown_words() {
    let program = Program::new();
    let lines = [
        "",
        "--version",
        "-V",
        "chekc a.csv",
        "nonsense",
        "runs shwo 7f3k",
        "help nonsense",
        "run",
        "plan -o",
        "fetch",
        "apply",
        "runs show",
        "runs undo 7f3k",
        "completions",
        "completions tcsh",
        "check a.csv b.csv",
        "check a.csv --dry-run",
        "run a.csv --dry-rnu",
        "run a.csv --nonsense",
        "run a.csv --limit",
        "run a.csv --limit many",
        "run a.csv --limit=-1",
        "run a.csv --concurrency 0",
        "run a.csv --max-attempts 0",
        "run a.csv --patience soon",
        "run a.csv --stop-after 5",
        "run a.csv --quota 50",
        "run a.csv --quota 0/1m",
        "run a.csv --quota 50/0s",
        "run a.csv --only done",
        "run a.csv --format yaml",
        "run a.csv --color sometimes",
        "run a.csv --emulator --base-url http://127.0.0.1:1",
        "runs show 7f3k --all --format xml",
        "runs undo 7f3k -o undo.plan --only x",
        "runs prune --older-than never",
        "emulator --port 99999",
        "emulator --incidents x",
        "emulator --merged 1",
        "emulator --latency slow",
        "emulator --fault 429@",
        "emulator --fault nonsense",
        "emulator --fault ignore=statsu",
        "emulator --comments upside-down",
        "emulator --throttle-form none",
        "emulator --sign-in 1ms",
        "emulator --sign-in-fault nonsense",
        "run a.csv --limit x --format json",
    ];
    let texts: Vec<String> = lines.iter().map(|line| told(&program, line, WIDTH)).collect();
    assert_text("command-line", &texts.join("\n"));
}
