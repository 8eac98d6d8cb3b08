//! The layout of text on a stream: columns and colors.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use super::humanize::wrapped;

/// The assumed columns of a terminal that does not report them.
pub(super) const DEFAULT_COLUMNS: usize = 80;

/// Colors of the terminal (SGR).
pub(super) const RED: &str = "31";
pub(super) const GREEN: &str = "32";
pub(super) const YELLOW: &str = "33";
pub(super) const BOLD_YELLOW: &str = "1;33";

/// The layout of text on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The columns of the terminal; `None` for a pipe, where lines are not wrapped.
    pub width: Option<usize>,
    /// Whether the text is colored.
    pub color: bool,
}

impl Layout {
    /// The layout of this stream. `columns` applies if the terminal does not report its own.
    pub fn of(stream: &(impl IsTerminal + AsFd), columns: Option<usize>, color: bool) -> Layout {
        let width = || columns_of_terminal(stream).or(columns).unwrap_or(DEFAULT_COLUMNS);
        Layout { width: stream.is_terminal().then(width), color }
    }

    /// The layout of a pipe without colors.
    pub const PIPE: Layout = Layout { width: None, color: false };

    /// Wraps text between words, unless the stream is a pipe.
    #[must_use]
    pub fn wrap(self, text: &str) -> String {
        self.width.map_or_else(|| text.to_owned(), |width| wrapped(text, width))
    }

    /// The text in this color, if colors are on.
    pub(super) fn painted(self, text: &str, color: &str) -> String {
        if self.color { painted(text, color) } else { text.to_owned() }
    }
}

/// The text in this color.
pub(super) fn painted(text: &str, color: &str) -> String {
    format!("\u{1b}[{color}m{text}\u{1b}[0m")
}

/// The current number of columns, if the terminal reports it.
pub(super) fn columns_of_terminal(stream: &impl AsFd) -> Option<usize> {
    rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_col.into()).filter(|columns| *columns > 0)
}
