//! The layout of text on a stream: the columns of a terminal, and colors.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use super::humanize::wrapped;

/// The columns of a terminal that does not report them.
pub(super) const USUAL: usize = 80;

/// The layout of text on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The columns of the terminal; `None` for a pipe, in which no line is wrapped.
    pub width: Option<usize>,
    /// Whether it is colored.
    pub colour: bool,
}

impl Layout {
    /// The layout of this stream. `columns` counts if the terminal does not report its own.
    pub fn of(stream: &(impl IsTerminal + AsFd), columns: Option<usize>, colour: bool) -> Layout {
        let width = || columns_of_terminal(stream).or(columns).unwrap_or(USUAL);
        Layout { width: stream.is_terminal().then(width), colour }
    }

    /// The layout of a pipe without colors.
    pub const PIPE: Layout = Layout { width: None, colour: false };

    /// Wraps text between words; in a pipe it stays on one line.
    #[must_use]
    pub fn wrap(self, text: &str) -> String {
        self.width.map_or_else(|| text.to_owned(), |width| wrapped(text, width))
    }

    /// Text in this color of the terminal (SGR), if colors are on.
    pub(super) fn painted(self, text: &str, colour: u8) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// The terminal's present number of columns, if it reports it.
pub(super) fn columns_of_terminal(stream: &impl AsFd) -> Option<usize> {
    rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_col.into()).filter(|columns| *columns > 0)
}
