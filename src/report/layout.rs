//! How text is laid out on a stream: the columns of a terminal, and colors.

use std::io::IsTerminal;
use std::os::fd::AsFd;

use super::humanize::wrapped;

/// Of a terminal that does not say how many columns it has.
pub(super) const USUAL: usize = 80;

/// How text is laid out on a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The columns of the terminal; `None`: a pipe, in which no line is wrapped.
    pub width: Option<usize>,
    /// Whether it is colored.
    pub colour: bool,
}

impl Layout {
    /// Of this stream. `columns`: those of a terminal that does not say.
    pub fn of(stream: &(impl IsTerminal + AsFd), columns: Option<usize>, colour: bool) -> Layout {
        let width = || columns_of_terminal(stream).or(columns).unwrap_or(USUAL);
        Layout { width: stream.is_terminal().then(width), colour }
    }

    /// A pipe without colors.
    pub const PIPE: Layout = Layout { width: None, colour: false };

    /// Text on as many lines as it takes, broken between words; on one in a pipe.
    #[must_use]
    pub fn wrap(self, text: &str) -> String {
        self.width.map_or_else(|| text.to_owned(), |width| wrapped(text, width))
    }

    /// Text in this color of the terminal (SGR), where there are colors.
    pub(super) fn painted(self, text: &str, colour: u8) -> String {
        if self.colour { format!("\u{1b}[{colour}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// How many columns a terminal has now, where it says.
pub(super) fn columns_of_terminal(stream: &impl AsFd) -> Option<usize> {
    rustix::termios::tcgetwinsize(stream).ok().map(|size| size.ws_col.into()).filter(|columns| *columns > 0)
}
