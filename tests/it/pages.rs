//! The commands of the documentation pages, run in order in a copy of the project, as a reader would type them. Their
//! output must be as shown.
//!
//! In a `console` block, a line that begins with `$ ` is a command, followed by its output: `…` stands for omitted
//! text, IDs of runs for the actual ones, times and checksums for any. There is no list of exceptions: the line above a
//! block tells the reader that it is not run.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::program::{of_the_project, spawned, started_as_it_is};

/// How the line above a block says that it is not run.
const NOT_RUN: &str = "not run by the tests";

/// The beginnings of commands in a block that is not marked as `console`.
const PROGRAMS: [&str; 5] = ["$ ", "bulk-triage ", "cargo ", "tests/", "sudo "];

/// A fenced block of a page.
pub(crate) struct Block<'p> {
    info: &'p str,
    line: usize,
    is_run: bool,
    lines: Vec<&'p str>,
}

/// The blocks of a page.
pub(crate) fn blocks(page: &str) -> Vec<Block<'_>> {
    let (mut blocks, mut above) = (Vec::new(), "");
    let mut lines = page.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if let Some(info) = line.strip_prefix("```") {
            let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
            blocks.push(Block { info, line: at + 1, is_run: !above.contains(NOT_RUN), lines: inside });
        } else if !line.is_empty() {
            above = line;
        }
    }
    blocks
}

impl Block<'_> {
    /// Its commands, each with the shown output; empty if the block has none.
    fn commands(&self, page: &str) -> Vec<(String, Vec<String>)> {
        if !self.is_run {
            return Vec::new();
        }
        if self.info != "console" {
            let hidden = self.lines.iter().find(|line| PROGRAMS.iter().any(|program| line.starts_with(program)));
            assert!(hidden.is_none(), "{page}:{}: `{}` is in no `console` block", self.line, hidden.unwrap_or(&""));
            return Vec::new();
        }
        let mut commands: Vec<(String, Vec<String>)> = Vec::new();
        for line in &self.lines {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
                (None, Some((_, output))) => output.push((*line).to_owned()),
                (None, None) => panic!("{page}:{}: a `console` block begins with a command", self.line),
            }
        }
        commands
    }
}

/// Runs all commands of a page.
pub(crate) fn run(page: &Path) -> usize {
    let text = fs::read_to_string(page).expect("a page");
    let page = &*page.display().to_string();
    let mut reader = Reader::new();
    let mut count = 0;
    for block in blocks(&text) {
        for (command, shown) in block.commands(page) {
            let wrong = reader.types(&command, &shown);
            assert!(wrong.is_none(), "{page}:{}: $ {command}\n{}", block.line, wrong.unwrap_or_default());
            count += 1;
        }
    }
    count
}

/// A reader who follows a page in a clone of the project.
struct Reader {
    clone: tempfile::TempDir,
    /// The IDs and ports of the page, and the actual ones.
    names: HashMap<String, String>,
    servers: Vec<Child>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

impl Reader {
    fn new() -> Reader {
        let clone = tempfile::tempdir().expect("a directory");
        let samples = clone.path().join("samples");
        fs::create_dir(&samples).expect("a directory");
        let all = fs::read_dir(of_the_project("samples")).expect("the samples");
        for sample in all.map(|sample| sample.expect("a sample").path()).filter(|sample| sample.is_file()) {
            fs::copy(&sample, samples.join(sample.file_name().expect("a name"))).expect("a copy");
        }
        Reader { clone, names: HashMap::new(), servers: Vec::new() }
    }

    fn shell(&self, command: &str) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_bulk-triage")).parent().expect("a directory");
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.clone.path()).env_clear().env("HOME", self.clone.path());
        shell.env("BULK_TRIAGE_SYSTEM_CONFIG", "/nowhere/config.toml");
        shell.env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", program.display()));
        shell
    }

    /// Runs a command of the page. Returns what is wrong with its output, if anything.
    fn types(&mut self, command: &str, shown: &[String]) -> Option<String> {
        // The tests can't run themselves.
        if command == "cargo test" {
            return None;
        }
        // The program has already been built.
        let mut typed = command.replace("cargo run --release -- ", "bulk-triage ");
        for (name, real) in &self.names {
            typed = typed.replace(name, real);
        }
        if let Some(server) = typed.strip_suffix(" &") {
            return self.serves(server);
        }
        let (code, output) = self.finishes(&typed, shown);
        let wants = shown.iter().find_map(|line| {
            let rest = line.split("exit ").nth(1).filter(|_| line.contains("exit "))?;
            rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<i32>().ok()
        });
        let fails = shown.iter().any(|line| line.starts_with("error"));
        let as_wanted = wants.map_or((code == Some(0)) != fails, |wants| code == Some(wants));
        if !as_wanted {
            return Some(format!("it ended with {code:?}:\n{output}"));
        }
        self.compare(shown, &output).err().map(|why| format!("{why}\n--- all of it:\n{output}"))
    }

    /// Starts a server at a free port, whatever port the page names.
    fn serves(&mut self, command: &str) -> Option<String> {
        let (before, rest) = command.split_once("--port ")?;
        let (port, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let mut shell = self.shell(&format!("exec {before}--port 0 {after}"));
        let mut server = spawned(shell.stdin(Stdio::null()).stdout(Stdio::piped())).expect("a shell");
        let mut origin = String::new();
        let said = BufReader::new(server.stdout.take().expect("a pipe")).read_line(&mut origin);
        self.servers.push(server);
        let real = origin.trim().rsplit_once(':').map(|(_, port)| port.to_owned());
        match (said, real) {
            (Ok(_), Some(real)) => {
                self.names.insert(format!("127.0.0.1:{port}"), format!("127.0.0.1:{real}"));
                None
            }
            _ => Some("it does not serve".to_owned()),
        }
    }

    /// Runs a command to its end at a terminal, typing the shown replies. Returns its exit code and output.
    fn finishes(&self, command: &str, shown: &[String]) -> (Option<i32>, String) {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("its other end");
        let name = ptsname(&terminal, Vec::new()).expect("its name");
        let path = Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let keyboard = File::options().read(true).write(true).open(path).expect("its other end");
        for line in shown {
            let answer = line.split_once("[y/N] ").or_else(|| line.split_once(" to continue: "));
            if let Some((_, answer)) = answer {
                let mut terminal = File::from(terminal.try_clone().expect("a terminal"));
                terminal.write_all(format!("{answer}\n").as_bytes()).expect("a terminal");
            }
        }
        let mut shell = self.shell(&format!("{{ {command}\n}} 2>&1"));
        shell.stdin(keyboard).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ended = started_as_it_is(shell).end();
        // The typed text ends the line of the prompt.
        let output = ended.stdout.replace("[y/N] ", "[y/N] y\n");
        (ended.code, output)
    }

    /// Whether the output is as shown, apart from empty lines.
    fn compare(&mut self, shown: &[String], output: &str) -> Result<(), String> {
        let output: Vec<&str> = output.lines().filter(|line| !line.trim().is_empty() && !is_progress(line)).collect();
        let (mut at, mut skips) = (0, false);
        for line in shown.iter().filter(|line| !line.trim().is_empty()) {
            if line.trim() == "…" {
                skips = true;
                continue;
            }
            let found = output[at..].iter().take(if skips { usize::MAX } else { 1 }).position(|real| {
                let matches = line_matches(&tokens(line), &tokens(real), &self.names);
                matches.is_some_and(|found| {
                    self.names.extend(found);
                    true
                })
            });
            let Some(found) = found else {
                return Err(format!("`{line}` did not come; there was `{}`", output.get(at).unwrap_or(&"")));
            };
            (at, skips) = (at + found + 1, false);
        }
        // Any output is fine if the page shows none.
        if skips || shown.is_empty() || at == output.len() {
            Ok(())
        } else {
            Err(format!("`{}` is not shown", output[at]))
        }
    }
}

/// Progress, which a terminal draws and erases again.
pub(crate) fn is_progress(line: &str) -> bool {
    let words: Vec<&str> = line.split([' ', ':']).collect();
    let is_number = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
    match words.as_slice() {
        [done, "of", all, what, ..] => {
            is_number(done) && is_number(all) && ["row", "rows", "incident", "incidents"].contains(what)
        }
        [done, "incident" | "incidents", "read", rest @ ..] => is_number(done) && rest.first() != Some(&"in"),
        _ => false,
    }
}

/// A line as words, numbers and marks, with `<time>` for durations, dates and times, and `<sum>` for checksums.
fn tokens(line: &str) -> Vec<String> {
    let mut raw: Vec<String> = Vec::new();
    for character in line.trim().chars() {
        let joins = |last: &String| {
            let last = last.chars().next_back().unwrap_or(' ');
            (last.is_alphanumeric() && character.is_alphanumeric()) || (last == ' ' && character.is_whitespace())
        };
        let shown = if character.is_whitespace() { ' ' } else { character };
        match raw.last_mut() {
            Some(last) if joins(last) => {
                if shown != ' ' {
                    last.push(shown);
                }
            }
            _ => raw.push(shown.to_string()),
        }
    }
    let is_number = |token: &str| !token.is_empty() && token.chars().all(|c| c.is_ascii_digit());
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = raw.as_slice();
    while let [token, after @ ..] = rest {
        let text = |at: usize| after.get(at).map_or("", String::as_str);
        let is_duration = is_number(token) && text(0) == " " && ["ms", "s", "min", "h", "d"].contains(&text(1));
        let is_clock =
            is_number(token) && text(0) == ":" && is_number(text(1)) && token.len() == 2 && text(1).len() == 2;
        let is_date = is_number(token) && token.len() == 4 && text(0) == "-" && is_number(text(1)) && text(2) == "-";
        let is_sum = [12, 64].contains(&token.len()) && token.chars().all(|c| c.is_ascii_hexdigit());
        let (name, taken) = if is_duration || is_clock {
            ("<time>", 2)
        } else if is_date {
            ("<time>", 4)
        } else {
            (if is_sum { "<sum>" } else { token.as_str() }, 0)
        };
        let repeats = name == "<time>" && tokens.ends_with(&["<time>".to_owned(), " ".to_owned()]);
        if repeats {
            tokens.pop();
        } else {
            tokens.push(name.to_owned());
        }
        rest = &after[taken..];
    }
    tokens
}

/// Whether a line is as shown; adds the IDs of runs that it reveals.
fn line_matches(shown: &[String], real: &[String], names: &HashMap<String, String>) -> Option<Vec<(String, String)>> {
    let mut found: Vec<(String, String)> = Vec::new();
    let (mut at, mut skips) = (0, false);
    for (place, token) in shown.iter().enumerate() {
        if token == "…" {
            skips = true;
            continue;
        }
        let is_name = token.len() == 4
            && token.contains(|c: char| c.is_ascii_digit())
            && token.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            && place >= 2
            && shown[place - 2] == "run";
        let known = names
            .get(token)
            .map(String::as_str)
            .or_else(|| found.iter().find(|(name, _)| name == token).map(|(_, real)| real.as_str()));
        let port = (place >= 2 && shown[place - 2] == "1" && shown[place - 1] == ":")
            .then(|| names.get(&format!("127.0.0.1:{token}")));
        let port = port.flatten().and_then(|real| real.rsplit_once(':')).map(|(_, port)| port);
        let is_it = |other: &String| match (port.or(known), is_name) {
            (Some(known), _) => other == known || other == token,
            (None, true) => other.len() == 4,
            (None, false) => other == token,
        };
        let next = real[at..].iter().take(if skips { usize::MAX } else { 1 }).position(is_it)?;
        if is_name && known.is_none() {
            found.push((token.clone(), real[at + next].clone()));
        }
        (at, skips) = (at + next + 1, false);
    }
    (skips || at == real.len()).then_some(found)
}
