//! The terminal and the log: what is drawn where, in which colours, and which signals end what.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::sync::Mutex;

use tokio::sync::{oneshot, watch};
use tracing::Level;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use super::{Color, GlobalArgs, LogFormat};
use crate::error::Error;
use crate::exit;
use crate::report::progress::Screen;
use crate::text::printable;

/// What the streams are, and what the user wants of them.
#[derive(Debug)]
pub(super) struct Terminal {
    /// Colour on standard output.
    pub(super) colour_out: bool,
    /// Colour on standard error.
    pub(super) colour_err: bool,
    /// Whether nothing but errors is wanted.
    pub(super) quiet: bool,
    screen: Option<Screen>,
}

impl Terminal {
    /// Looks at the streams and starts the log.
    ///
    /// # Errors
    /// Where the log file can't be made.
    pub(super) fn set_up(args: &GlobalArgs, no_color: bool) -> Result<Terminal, Error> {
        let colour = |is_terminal: bool| match args.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !no_color,
        };
        let draws = io::stderr().is_terminal() && !args.no_progress && !args.quiet;
        let screen = if draws { Screen::terminal(io::stderr()) } else { Screen::plain(io::stderr()) };
        start_log(args, &screen)?;
        Ok(Terminal {
            colour_out: colour(io::stdout().is_terminal()),
            colour_err: colour(io::stderr().is_terminal()),
            quiet: args.quiet,
            screen: Some(screen),
        })
    }

    /// The screen for the progress; once.
    pub(super) fn take_screen(&mut self) -> Screen {
        let screen = self.screen.take();
        if self.quiet { Screen::plain(io::sink()) } else { screen.unwrap_or_else(|| Screen::plain(io::stderr())) }
    }
}

fn start_log(args: &GlobalArgs, screen: &Screen) -> Result<(), Error> {
    let level = match (args.quiet, args.verbose) {
        (true, _) => Level::ERROR,
        (false, 0) => Level::WARN,
        (false, 1) => Level::INFO,
        (false, 2) => Level::DEBUG,
        (false, _) => Level::TRACE,
    };
    let writer = if let Some(path) = &args.log_file {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path).map_err(|error| {
            Error::usage(format!("can't write the log file {}: {error}", printable(&path.to_string_lossy())))
        })?;
        BoxMakeWriter::new(Mutex::new(file))
    } else {
        let writer = screen.writer();
        BoxMakeWriter::new(move || writer.clone())
    };
    // Without colours: what is logged is text, at a terminal too.
    let builder =
        tracing_subscriber::fmt().with_max_level(level).with_writer(writer).with_ansi(false).with_target(false);
    // A second start in one process (tests) keeps the first log.
    let _ = match args.log_format {
        LogFormat::Text => builder.try_init().is_ok(),
        LogFormat::Json => builder.json().flatten_event(true).try_init().is_ok(),
    };
    Ok(())
}

/// What signals ask for.
pub(super) struct Signals {
    /// Turns true at the first one.
    pub(super) stop: watch::Receiver<bool>,
    /// Gets the exit code at the second one.
    pub(super) end_at_once: oneshot::Receiver<u8>,
}

/// Listens for Ctrl-C, SIGTERM and SIGHUP from now on.
///
/// # Errors
/// Where the runtime can't listen.
pub(super) fn listen() -> Result<Signals, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let listen = |kind| signal(kind).map_err(|source| Error::Io { what: "can't listen for signals", source });
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut hangup = listen(SignalKind::hangup())?;
    let (stop, stopped) = watch::channel(false);
    let (end, ended) = oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => exit::INTERRUPTED,
                _ = terminate.recv() => exit::TERMINATED,
                _ = hangup.recv() => exit::TERMINATED,
            }
        };
        next().await;
        // Nobody listens any more where the run is over: then nothing is to be stopped.
        let _ = stop.send(true);
        let _ = end.send(next().await);
    });
    Ok(Signals { stop: stopped, end_at_once: ended })
}
