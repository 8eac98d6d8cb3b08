//! Lines of an input: their number, and the first few.

/// Maximum number of lines named.
pub(super) const NAMED: usize = 5;

/// Lines of an input, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NamedLines {
    /// How many.
    pub rows: u64,
    /// The first five of them.
    pub first: Vec<u64>,
}

impl NamedLines {
    /// Adds a line.
    pub fn add(&mut self, line: u64) {
        self.rows += 1;
        if self.first.len() < NAMED {
            self.first.push(line);
        }
    }
}
