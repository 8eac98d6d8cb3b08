//! The report as people see it, at three widths, with and without color, and as JSON.

use std::fmt::Write as _;
use std::process::Command;

use bulk_triage::emulator::DateHeader;
use jiff::SignedDuration;

use super::{command, program};
use crate::program::{Program, started};
use crate::redact::redacted;
use crate::story::{assert_text, line_of};
use crate::terminal::Pty;

/// A warning, a failure, and what depends on it.
fn with_problems() -> Program {
    program(|settings| settings.habits.date = DateHeader::Ahead(SignedDuration::from_mins(1)))
}

/// The command whose token is refused.
fn refused(program: &Program, options: &str) -> Command {
    let mut command = command(program, options);
    command.env("BULK_TRIAGE_TOKEN", super::token("https://graph.microsoft.com", "Incident.ReadWrite.All", 3_600));
    command
}

/// A command whose settings are wrong.
fn wrong(program: &Program) -> Command {
    program.command("doctor --profile contoso")
}

/// Without the row of the state directory, whose disk is another one on each machine.
fn settled(program: &Program, text: &str) -> String {
    let mut is_left_out = false;
    let mut settled = String::new();
    for line in redacted(program, text).lines() {
        is_left_out = line.starts_with("state directory") || is_left_out && line.starts_with(' ');
        if !is_left_out {
            settled.extend([line, "\n"]);
        }
    }
    settled
}

/// At a terminal of this width, with its colors if it has any.
fn shown(program: &Program, command: Command, columns: u16, color: bool) -> String {
    let pty = Pty::new(columns);
    let line = line_of(&command);
    pty.run(command);
    let text = if color {
        let bytes = String::from_utf8(pty.bytes_to_the_end()).expect("text");
        bytes.replace("\r\n", "\n").replace('\u{1b}', "ESC")
    } else {
        pty.last_screen()
    };
    settled(program, &format!("{columns} columns$ {line}\n{}\n", text.trim_end())) + "\n"
}

#[test]
fn report_at_each_width() {
    let program = with_problems();
    let mut text = String::new();
    for columns in [60, 80, 120] {
        for mut command in [command(&program, ""), refused(&program, "--contract defender"), wrong(&program)] {
            command.env("TERM", "xterm");
            text += &shown(&program, command, columns, false);
        }
    }
    let mut colored = refused(&program, "--color always");
    colored.env("TERM", "xterm");
    text += &shown(&program, colored, 80, true);
    assert_text("doctor", &text);
}

#[test]
fn report_in_a_pipe() {
    let program = with_problems();
    let mut text = String::new();
    for command in [
        command(&program, ""),
        refused(&program, "-q"),
        refused(&program, "-q --color always"),
        wrong(&program),
        program.command("doctor --profile contoso --format json"),
    ] {
        let line = line_of(&command);
        let ended = started(command).end();
        let printed = ended.printed().replace('\u{1b}', "ESC");
        let _ = writeln!(text, "$ {line}\n{printed}exit {}\n", ended.code.expect("no signal"));
    }
    assert_text("doctor-piped", &settled(&program, &text));
}
