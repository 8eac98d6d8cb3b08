//! The screen: lines that stay, and below them lines that are redrawn by indicatif.

use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::report::layout::{DEFAULT_COLUMNS, columns_of_terminal};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressFinish, ProgressState, ProgressStyle};

/// Standard error, shared by log and progress, so that neither tears the other.
#[derive(Clone)]
pub struct Screen {
    out: Arc<Mutex<dyn Write + Send>>,
    /// A single bar, because a `MultiProgress` panics when the terminal is closed.
    bar: ProgressBar,
    target: Arc<Mutex<Option<ProgressDrawTarget>>>,
    draws: bool,
}

impl Screen {
    /// A terminal: lines are drawn on standard error, and `out` must be standard error, too.
    #[must_use]
    pub fn terminal(out: impl Write + Send + 'static) -> Screen {
        Screen::new(out, Some(ProgressDrawTarget::stderr()))
    }

    /// A pipe, a file, or `--no-progress`: nothing is drawn, `out` gets plain lines.
    #[must_use]
    pub fn plain(out: impl Write + Send + 'static) -> Screen {
        Screen::new(out, None)
    }

    fn new(out: impl Write + Send + 'static, target: Option<ProgressDrawTarget>) -> Screen {
        let bar =
            ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_finish(ProgressFinish::AndClear);
        let draws = target.as_ref().is_some_and(|target| !target.is_hidden());
        Screen { out: Arc::new(Mutex::new(out)), bar, target: Arc::new(Mutex::new(target)), draws }
    }

    /// A writer that writes above the drawn lines.
    #[must_use]
    pub fn writer(&self) -> ScreenWriter {
        ScreenWriter { screen: self.clone(), incomplete: Vec::new() }
    }

    fn write_above(&self, bytes: &[u8]) -> io::Result<()> {
        self.bar.suspend(|| {
            let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
            out.write_all(bytes)?;
            out.flush()
        })
    }

    /// Whether lines are drawn; if not, plain lines are printed.
    pub(super) fn draws(&self) -> bool {
        self.draws
    }

    /// Draws the result of `lines`, which gets the terminal's columns. It is called at each tick, because the width can
    /// change.
    pub(super) fn draw(&self, tick: Duration, lines: impl Fn(usize) -> String + Clone + Send + Sync + 'static) {
        if !self.draws {
            return;
        }
        let style = ProgressStyle::with_template("{lines}").expect("a template of one key");
        let lines = move |_: &ProgressState, out: &mut dyn fmt::Write| {
            // Writing to a String does not fail.
            let _ = out.write_str(&lines(columns_of_terminal(&io::stderr()).unwrap_or(DEFAULT_COLUMNS)));
        };
        self.bar.set_style(style.with_key("lines", lines));
        match self.target.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(target) => self.bar.set_draw_target(target),
            // It was drawn and cleared before.
            None => self.bar.reset(),
        }
        self.bar.enable_steady_tick(tick);
    }

    /// Writes a line that stays. Ignores errors: if the terminal is closed, sending continues.
    pub(super) fn line(&self, line: &str) {
        let _ = self.write_above(format!("{line}\n").as_bytes());
    }

    /// Ends the drawing.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl fmt::Debug for Screen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Screen").field("draws", &self.draws).finish_non_exhaustive()
    }
}

/// Writes complete lines to a [`Screen`], above the drawn lines. A redraw would break an incomplete line.
#[derive(Clone, Debug)]
pub struct ScreenWriter {
    screen: Screen,
    /// An incomplete line.
    incomplete: Vec<u8>,
}

impl Write for ScreenWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.incomplete.extend_from_slice(bytes);
        if let Some(end) = memchr::memrchr(b'\n', &self.incomplete) {
            let rest = self.incomplete.split_off(end + 1);
            let lines = std::mem::replace(&mut self.incomplete, rest);
            self.screen.write_above(&lines)?;
        }
        Ok(bytes.len())
    }

    /// Does nothing: complete lines are written immediately, and an incomplete one is kept.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;

    /// A terminal of 80 columns that has the capabilities for drawing.
    #[derive(Clone, Debug, Default)]
    struct Terminal(Arc<Mutex<(Vec<String>, usize)>>);

    impl Terminal {
        fn text(&self) -> String {
            let lines = &self.0.lock().expect("not poisoned").0;
            lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n").trim_end().to_owned()
        }
        fn moved(&self, by: isize) {
            let mut state = self.0.lock().expect("not poisoned");
            state.1 = state.1.saturating_add_signed(by);
        }
    }

    impl Write for Terminal {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.lock().expect("not poisoned");
            for c in String::from_utf8_lossy(bytes).chars() {
                let full = state.0.get(state.1).is_some_and(|line| line.len() == 80);
                let row = state.1 + usize::from(full && c != '\n');
                state.1 = row;
                let height = state.0.len().max(row + 1);
                state.0.resize(height, String::new());
                match c {
                    '\n' => state.1 += 1,
                    '\r' => {}
                    c => state.0[row].push(c),
                }
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, n: usize) -> io::Result<()> {
            self.moved(-n.cast_signed());
            Ok(())
        }
        fn move_cursor_down(&self, n: usize) -> io::Result<()> {
            self.moved(n.cast_signed());
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.clone().write_all(format!("{text}\n").as_bytes())
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.clone().write_all(text.as_bytes())
        }
        fn clear_line(&self) -> io::Result<()> {
            let mut state = self.0.lock().expect("not poisoned");
            let row = state.1;
            if let Some(line) = state.0.get_mut(row) {
                line.clear();
            }
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn log_lines_appear_above_the_progress() {
        let terminal = Terminal::default();
        let target = ProgressDrawTarget::term_like(Box::new(terminal.clone()));
        let screen = Screen::new(terminal.clone(), Some(target));
        screen.draw(Duration::from_hours(1), |_| "first\nsecond".to_owned());
        let mut log = screen.writer();
        log.write_all(b"one\n").expect("writes");
        log.write_all(b"t").expect("writes");
        log.write_all(b"wo\n").expect("writes");
        assert_eq!(terminal.text(), "one\ntwo\nfirst\nsecond");
        screen.clear();
        log.write_all(b"three\n").expect("writes");
        assert_eq!(terminal.text(), "one\ntwo\nthree");
    }

    #[test]
    fn closed_terminal_is_not_an_error() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let screen = Screen::plain(Gone);
        screen.line("x");
        assert!(screen.writer().write_all(b"x\n").is_err());
    }
}
