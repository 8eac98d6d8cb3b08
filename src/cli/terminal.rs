//! The terminal and the log: what is drawn where, in which colors.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::rc::Rc;
use std::sync::Mutex;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use super::command_stats::CommandStats;
use super::environment::{ColorWish, Environment, state_dir};
use super::global::{Color, GlobalArgs, LogFormat};
use super::log_file::LogFile;
use crate::cli::error::Error;
use crate::clock::Clock;
use crate::files::{Refusal, read_kernel_text};
use crate::report::Layout;
use crate::report::progress::Screen;
use crate::text::printable;

/// What the streams are, and what the user wants of them.
#[derive(Debug)]
pub(super) struct Terminal {
    /// How text is laid out on standard output.
    pub(super) out: Layout,
    /// How text is laid out on standard error.
    pub(super) err: Layout,
    /// Whether nothing but errors is wanted.
    pub(super) quiet: bool,
    /// Whether the summary is not wanted either.
    pub(super) silent: bool,
    /// What the command has done, for its metrics.
    pub(super) stats: Rc<CommandStats>,
    screen: Screen,
}

impl Terminal {
    /// Looks at the streams and starts the log.
    ///
    /// # Errors
    /// If the log file can't be created.
    pub(super) fn set_up(args: &GlobalArgs, env: &Environment, stats: &Rc<CommandStats>) -> Result<Terminal, Error> {
        let color = |is_terminal: bool| match (args.color, env.color) {
            (Color::Always, _) | (Color::Auto, ColorWish::Always) => true,
            (Color::Never, _) | (Color::Auto, ColorWish::Never) => false,
            (Color::Auto, ColorWish::None) => is_terminal,
        };
        let quiet = args.quiet > 0;
        let draws = io::stderr().is_terminal() && !env.is_dumb && args.progress() && !quiet;
        let screen = if draws { Screen::terminal(io::stderr()) } else { Screen::plain(io::stderr()) };
        start_log(args, &screen, color(io::stderr().is_terminal()))?;
        Ok(Terminal {
            out: Layout::of(&io::stdout(), env.columns, color(io::stdout().is_terminal())),
            err: Layout::of(&io::stderr(), env.columns, color(io::stderr().is_terminal())),
            quiet,
            silent: args.quiet > 1,
            stats: Rc::clone(stats),
            screen,
        })
    }

    /// The screen for what a signal asks for, which is shown however quiet it is.
    pub(super) fn asked_for(&self) -> Screen {
        self.screen.clone()
    }

    /// The screen for the progress.
    pub(super) fn screen(&self) -> Screen {
        if self.quiet { Screen::plain(io::sink()) } else { self.screen.clone() }
    }
}

/// From now on a panic says in two lines that it is a defect of the program, and where; without a backtrace.
pub(super) fn announce_defects() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let what = panic.payload_as_str().unwrap_or("no message");
        say(&format!("error: internal error (a bug){place}: {what}"));
        say("  help: nothing is lost: run the same command again, and report these two lines");
    }));
}

/// Lines for the person at the terminal, safe to print whatever is in them.
pub(super) fn say(lines: &str) {
    let lines: Vec<Cow<'_, str>> = lines.split('\n').map(printable).collect();
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "{}", lines.join("\n"));
}

fn start_log(args: &GlobalArgs, screen: &Screen, color: bool) -> Result<(), Error> {
    // A log that a machine reads, or that goes to a file, tells what happened without being asked to.
    let is_kept = args.log_file.is_some() || args.log_format == LogFormat::Json;
    let level = match (args.quiet > 0 && !is_kept, args.verbose + u8::from(is_kept)) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let (writer, color) = if let Some(path) = &args.log_file {
        if path.as_os_str() == "-" {
            return Err(Error::usage("the log needs a file; without --log-file it goes to standard error"));
        }
        let file = LogFile::open(path, &args.values, state_dir(args).ok(), Clock::machine());
        let file = file.map_err(|why| log_refused(path, &why))?;
        (BoxMakeWriter::new(Mutex::new(file)), false)
    } else {
        let writer = screen.writer();
        (BoxMakeWriter::new(move || writer.clone()), color)
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(color).with_target(false);
    let lines = match args.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Of the libraries only warnings: what they say of requests is not ours to vouch for.
    let wanted = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level).with_default(level.min(LevelFilter::WARN));
    // A second start in one process keeps the first log.
    let _ = tracing_subscriber::registry().with(lines.with_filter(wanted)).try_init();
    Ok(())
}

fn log_refused(path: &Path, why: &Refusal) -> Error {
    let why = why.to_string();
    Error::Usage {
        message: format!("cannot write the log file {}: {}", printable(&path.to_string_lossy()), printable(&why)),
        hint: Some("name another file with --log-file".to_owned()),
    }
}

/// Whether the process was started with this signal ignored; where `/proc` doesn't say, no.
pub(super) fn is_ignored(signal: i32) -> bool {
    let status = read_kernel_text("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
