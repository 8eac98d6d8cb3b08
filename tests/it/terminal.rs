//! At a terminal: colors, tables and progress that fit, the prompt, and what a first Ctrl-C prints. The tests read the
//! other end of a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::program::{Ended, Program, Started, closing, eventually, started_as_it_is};

/// A terminal, and what was written to it.
pub(crate) struct Pty {
    keyboard: File,
    screen: OwnedFd,
    written: Arc<Mutex<Vec<u8>>>,
    columns: u16,
}

impl Pty {
    /// A terminal of this width.
    pub(crate) fn new(columns: u16) -> Pty {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).expect("a terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("its other end");
        let name = ptsname(&master, Vec::new()).expect("its name");
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let screen = File::options().read(true).write(true).open(path).expect("its other end");
        let pty = Pty { keyboard: master.into(), screen: screen.into(), written: Arc::default(), columns };
        pty.resize(columns);
        let (mut reader, written) = (pty.keyboard.try_clone().expect("a terminal"), Arc::clone(&pty.written));
        std::thread::spawn(move || {
            let mut bytes = [0; 4_096];
            // Reading fails when the last program has closed the terminal.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                written.lock().expect("not poisoned").extend_from_slice(&bytes[..count]);
            }
        });
        pty
    }

    fn resize(&self, columns: u16) {
        let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.keyboard, size).expect("a terminal");
    }

    fn stream(&self) -> Stdio {
        self.screen.try_clone().expect("the terminal").into()
    }

    /// Starts a command with all its streams on the terminal.
    pub(crate) fn start(&self, mut command: Command) -> Started {
        command.stdin(self.stream()).stdout(self.stream()).stderr(self.stream());
        started_as_it_is(command)
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, command: Command) -> Ended {
        self.start(command).end()
    }

    /// All bytes that have been written to it so far.
    pub(crate) fn bytes_to_the_end(&self) -> Vec<u8> {
        const END: &[u8] = b"<the end>";
        File::from(self.screen.try_clone().expect("the terminal")).write_all(END).expect("a terminal");
        let written = || self.written.lock().expect("not poisoned").clone();
        eventually("the end", || written().ends_with(END));
        written().strip_suffix(END).expect("it came").to_vec()
    }

    pub(crate) fn types(&self, text: &str) {
        (&self.keyboard).write_all(text.as_bytes()).expect("a terminal");
    }

    /// What the terminal shows now, if its width has not changed.
    pub(crate) fn screen(&self) -> String {
        screen(&self.written.lock().expect("not poisoned"), self.columns.into())
    }

    /// What the terminal shows after its programs have ended.
    pub(crate) fn last_screen(&self) -> String {
        screen(&self.bytes_to_the_end(), self.columns.into())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.written.lock().expect("not poisoned")).replace("\r\n", "\n")
    }

    /// Waits for this text, and returns everything written so far.
    pub(crate) fn wait_for(&self, text: &str) -> String {
        eventually(text, || self.text().contains(text));
        self.text()
    }
}

/// What these bytes leave on a terminal of this width, without colors.
fn screen(bytes: &[u8], columns: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    let (mut lines, mut row, mut column) = (vec![Vec::new()], 0, 0);
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        match character {
            '\u{1b}' => {
                let sequence = rest.as_str();
                // An incomplete escape sequence is the last.
                let Some(end) = sequence.find(|c: char| c.is_ascii_alphabetic()) else { break };
                let count = sequence[..end].trim_start_matches('[').parse().unwrap_or(1);
                match &sequence[end..=end] {
                    "A" => row = usize::saturating_sub(row, count),
                    "B" => row += count,
                    "K" => lines[row].clear(),
                    "m" => {}
                    other => panic!("{other} in {text:?}"),
                }
                rest = sequence[end + 1..].chars();
            }
            '\r' => column = 0,
            '\n' => row += 1,
            character => {
                if column == columns {
                    (row, column) = (row + 1, 0);
                    lines.resize(lines.len().max(row + 1), Vec::new());
                }
                let line: &mut Vec<char> = &mut lines[row];
                line.resize(line.len().max(column + 1), ' ');
                line[column] = character;
                column += 1;
            }
        }
        lines.resize(lines.len().max(row + 1), Vec::new());
    }
    let line = |line: Vec<char>| format!("{}\n", line.into_iter().collect::<String>().trim_end());
    lines.into_iter().map(line).collect()
}

/// Lines without cursor movements and colors.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        if character == '\u{1b}' {
            rest.by_ref().skip(1).find(char::is_ascii_alphabetic);
        } else {
            plain.push(character);
        }
    }
    plain.replace('\r', "\n")
}

#[test]
fn contract_fits_60_80_and_120_columns() {
    let program = Program::new();
    for (columns, shows_rules, shows_aliases) in [(60, false, false), (80, true, false), (120, true, true)] {
        let pty = Pty::new(columns);
        pty.run(program.command("contract defender")).expect_code(0);
        let shown = pty.wait_for("(delegated)\n");
        assert!(shown.lines().all(|line| line.chars().count() <= columns.into()), "{shown}");
        assert!(shown.contains(" InformationalExpectedActivity"), "{shown}");
        assert_eq!((shown.contains("with "), shown.contains("In progress")), (shows_rules, shows_aliases), "{shown}");
    }
    let piped = program.run("contract defender").expect_code(0).stdout;
    assert!(piped.contains("\nclassification\tInformationalExpectedActivity\tInformational, expected activity\t\n"));
}

#[test]
fn list_of_runs_leaves_columns_out() {
    let program = Program::new().file("a-long-name.csv", closing(1..=3)).emulator(|_| ());
    program.send("a-long-name.csv").expect_code(0);
    let shown = |columns| {
        let pty = Pty::new(columns);
        pty.run(program.command("runs")).expect_code(0);
        pty.wait_for("finished")
    };
    let run = program.last_run();
    assert!(shown(120).contains("3 updated") && shown(120).contains("a-long-name.csv"));
    let narrow = shown(60);
    assert!(narrow.contains(&run) && narrow.contains("a-long-name.csv"), "{narrow}");
    assert!(!narrow.contains("3 updated"), "{narrow}");
    assert!(shown(20).contains(&run));
    let piped = program.run("runs").expect_code(0).stdout;
    assert!(piped.contains("\tfinished\t3\t3 updated\ta-long-name.csv\n"), "{piped}");
}

#[test]
fn each_change_is_one_colored_line() {
    let program = Program::new().file("a.csv", closing(1..=1)).emulator(|_| ());
    let pty = Pty::new(80);
    pty.run(program.command(&format!("run a.csv --compare -n --base-url {}", program.origin()))).expect_code(0);
    let shown = pty.wait_for("to send it:");
    let lines = "  line 2, 1:\n    status \u{1b}[31mActive\u{1b}[0m \u{1b}[32m→ Resolved\u{1b}[0m\n    comment \u{1b}[32m+ Comment on 1";
    assert!(shown.contains(lines), "{shown}");
}

#[test]
fn dumb_terminal_has_no_color_and_no_cursor() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("bad.csv", "incidentId\nx\n").emulator(|_| ());
    for arguments in ["check bad.csv", "-"] {
        let shown = |term: &str| {
            let pty = Pty::new(80);
            let mut command =
                if arguments == "-" { program.send_command("a.csv --remember 0") } else { program.command(arguments) };
            command.env("TERM", term);
            pty.run(command);
            pty.wait_for(if arguments == "-" { "updated" } else { "error" })
        };
        assert!(shown("xterm").contains('\u{1b}'));
        let dumb = shown("dumb");
        assert!(!dumb.contains('\u{1b}'), "{dumb:?}");
    }
}

#[test]
fn clicolor_force_colors_pipes() {
    let program = Program::new().file("bad.csv", "incidentId\nx\n");
    let said = |variables: &[(&str, &str)], arguments: &str| {
        let mut command = program.command(arguments);
        command.envs(variables.iter().copied());
        crate::program::started(command).end().expect_code(3).printed()
    };
    assert!(said(&[("CLICOLOR_FORCE", "1")], "check bad.csv").contains('\u{1b}'));
    assert!(!said(&[("CLICOLOR_FORCE", "0")], "check bad.csv").contains('\u{1b}'));
    assert!(!said(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], "check bad.csv").contains('\u{1b}'));
    assert!(!said(&[("CLICOLOR_FORCE", "1")], "check bad.csv --color never").contains('\u{1b}'));
}

#[test]
fn progress_is_drawn_for_the_present_width() {
    let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["stall@#3*1"]);
    let pty = Pty::new(120);
    let mut command = program.send_command("a.csv --concurrency 1");
    command.env("TERM", "xterm");
    let running = pty.start(command);
    eventually("it is drawn", || plain(&pty.text()).contains("2 of 3 rows"));
    pty.resize(40);
    let before = pty.text().len();
    eventually("it is drawn again", || plain(&pty.text()[before..]).matches("2 of 3 rows").count() >= 3);
    // A frame may have been half drawn when the size changed.
    let later = pty.text();
    let cells = |frame: &str| frame.chars().filter(|c| matches!(c, '█' | '░')).count();
    // Beside the shortest text there is room for this many cells of the bar.
    let most = 39 - " 2 of 3 rows".len();
    let wide = later[..before].split("2 of 3 rows").map(cells).max();
    assert!(wide > Some(most), "{wide:?}");
    assert!(later[before..].split("2 of 3 rows").skip(2).all(|frame| cells(frame) <= most), "{later}");
    running.kill();
}

#[test]
fn first_ctrl_c_says_what_second_does() {
    let program = Program::new().file("a.csv", closing(1..=3)).faulty_emulator(&["stall"]);
    let pty = Pty::new(100);
    let running = pty.start(program.send_command("a.csv"));
    program.wait_for_requests(3);
    running.signal(Signal::INT);
    pty.wait_for("stopping: 3 requests in flight (another Ctrl-C or SIGTERM stops immediately)");
    running.signal(Signal::INT);
    running.end().expect_code(130);
}

#[test]
fn y_where_number_is_asked_says_number() {
    let rows = "incidentId,assignedTo\n1,<clear>\n2,<clear>\n";
    let program = Program::new().file("a.csv", rows).emulator(|_| ());
    let mut asking = program.command(&format!("run a.csv --base-url {}", program.origin()));
    asking.args(["--quota", "1000/1s"]);
    let pty = Pty::new(100);
    let running = pty.start(asking);
    pty.wait_for("Type ");
    pty.types("y\n");
    pty.wait_for("type 2 to confirm: ");
    assert!(program.requests().is_empty());
    pty.types("2\n");
    running.end().expect_code(0);
    assert_eq!(program.updates().len(), 2);
}
