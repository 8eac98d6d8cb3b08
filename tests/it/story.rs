//! What a person sees of one or more commands, as a snapshot: each command line, its output and its exit code.

use std::fmt::Write as _;
use std::process::Command;

use crate::pages::is_progress;
use crate::program::{Ended, Program, started};
use crate::redact::redacted;

/// Commands of one program, in order.
pub(crate) struct Story<'p> {
    program: &'p Program,
    text: String,
}

impl<'p> Story<'p> {
    pub(crate) fn of(program: &'p Program) -> Story<'p> {
        Story { program, text: String::new() }
    }

    /// As [`Program::run`].
    pub(crate) fn run(&mut self, arguments: &str) -> &mut Self {
        self.command("", self.program.command(arguments))
    }

    /// As [`Program::run`], to the emulator of the program.
    pub(crate) fn run_there(&mut self, arguments: &str) -> &mut Self {
        self.run(&format!("{arguments} --base-url {}", self.program.origin()))
    }

    /// As [`Program::send`].
    pub(crate) fn send(&mut self, arguments: &str) -> &mut Self {
        self.command("", self.program.send_command(arguments))
    }

    /// Runs a command to its end. `before` says what is special about it: a variable, or an earlier event.
    pub(crate) fn command(&mut self, before: &str, command: Command) -> &mut Self {
        let shown = format!("{before}{}", line_of(&command));
        self.ended(&shown, &started(command).end())
    }

    /// A command that has ended. Which progress lines appear depends on the time, so they are left out.
    pub(crate) fn ended(&mut self, shown: &str, ended: &Ended) -> &mut Self {
        let stderr: Vec<_> = ended.stderr.lines().filter(|line| !is_progress(line)).collect();
        self.typed(shown).part("stderr", &stderr.join("\n")).part("stdout", &ended.stdout).code(ended)
    }

    /// A command line. Its parts and its exit code follow.
    pub(crate) fn typed(&mut self, shown: &str) -> &mut Self {
        let _ = writeln!(self.text, "{}$ {shown}", if self.text.is_empty() { "" } else { "\n" });
        self
    }

    /// A text under a heading, unless it is empty.
    pub(crate) fn part(&mut self, heading: &str, text: &str) -> &mut Self {
        if !text.is_empty() {
            let _ = writeln!(self.text, "--- {heading}\n{}", text.trim_end());
        }
        self
    }

    /// A written file.
    pub(crate) fn file(&mut self, name: &str) -> &mut Self {
        self.part(name, &self.program.read(name))
    }

    /// The exit code.
    pub(crate) fn code(&mut self, ended: &Ended) -> &mut Self {
        let code = ended.code.map_or_else(|| "killed".to_owned(), |code| format!("exit {code}"));
        let _ = writeln!(self.text, "--- {code}");
        self
    }

    /// The whole story, redacted.
    pub(crate) fn text(&self) -> String {
        redacted(self.program, &self.text)
    }

    /// Fails unless the story equals the snapshot of this name.
    #[track_caller]
    pub(crate) fn is(&self, name: &str) {
        assert_text(name, &self.text());
    }
}

/// A command as it is typed.
pub(crate) fn line_of(command: &Command) -> String {
    let quoted = |word: &str| if word.contains(' ') { format!("'{word}'") } else { word.to_owned() };
    command.get_args().fold("bulk-triage".to_owned(), |line, word| line + " " + &quoted(&word.to_string_lossy()))
}

/// Fails unless the text equals the snapshot of this name.
#[track_caller]
pub(crate) fn assert_text(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}
