//! Completions in the shells themselves: Tab completes the ID of a run.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use crate::program::{Program, closing, in_place_of, started};
use crate::terminal::Pty;

/// A program with one run in its journal, and the ID of that run.
fn with_a_run() -> (Program, String) {
    let program = Program::new().emulator(|_| {}).file("a.csv", closing(1..=3));
    program.send("a.csv").expect_code(0);
    let id = program.last_run();
    (program, id)
}

/// A shell that finds the program in its path, if the shell is installed.
fn shell(program: &Program, name: &str) -> Option<Command> {
    let command = program.command("");
    let mut shell = in_place_of(&command, name);
    let ours = Path::new(command.get_program()).parent().expect("a directory");
    let path = std::env::var("PATH").expect("a path");
    if !std::env::split_paths(&path).any(|dir| dir.join(name).exists()) {
        let _ = writeln!(std::io::stderr(), "LEFT OUT: completions in {name} ({name} is not installed)");
        return None;
    }
    shell.env("PATH", format!("{}:{path}", ours.display())).env("TERM", "dumb");
    Some(shell)
}

/// Types the first half of the ID and Tab, for each command that takes one.
fn completes_ids(name: &str, options: &[&str], setup: &str) {
    let (program, id) = with_a_run();
    let Some(mut shell) = shell(&program, name) else { return };
    shell.args(options);
    let terminal = Pty::new(100);
    let started = terminal.start(shell);
    terminal.types(&format!("{setup}; PS1='rea''dy> '\n"));
    terminal.wait_for("ready> ");
    for (command, shown) in [("show", format!("run {id}: finished")), ("results", "results: ".to_owned())] {
        terminal.types(&format!("bulk-triage runs {command} {}\t\n", &id[..2]));
        terminal.wait_for(&shown);
    }
    terminal.types("exit\n");
    started.end();
}

#[test]
fn bash_completes_run_ids() {
    completes_ids("bash", &["--norc", "--noprofile", "-i"], "source <(bulk-triage completions bash)");
}

#[test]
fn zsh_completes_run_ids() {
    let setup = "autoload -Uz compinit; compinit -u -D; source <(bulk-triage completions zsh)";
    completes_ids("zsh", &["-f", "-i"], setup);
}

#[test]
fn fish_completes_run_ids() {
    let (program, id) = with_a_run();
    let Some(mut fish) = shell(&program, "fish") else { return };
    let script = "bulk-triage completions fish | source
        for command in show resume undo results list; complete -C \"bulk-triage runs $command \"; end";
    fish.args(["--no-config", "-c", script]);
    let shown = started(fish).end().expect_code(0).stdout;
    assert_eq!(shown.lines().filter(|line| *line == id).count(), 4, "{shown}");
}

/// Shells expand the words that they complete.
#[test]
fn manipulated_ids_are_not_listed() {
    let (program, id) = with_a_run();
    let planted =
        "INSERT INTO runs (name, state, process, scope, contract, plan, facts, created_wall, finished_wall, api)
                   SELECT ?1, state, process, scope, contract, plan, facts, created_wall, finished_wall, api FROM runs";
    program.journal().execute(planted, ["$(touch owned)"]).expect("it is planted");
    assert_eq!(program.run("runs list --ids").expect_code(0).stdout, format!("{id}\n"));
}
