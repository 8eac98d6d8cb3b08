//! The rows of an HTML page, in tables of up to 200 rows. The browser lays out only the visible tables, so that a page with
//! ten thousand rows opens as fast as one with a hundred.

use std::io::{self, Write};

use askama::Template;

/// The maximum number of rows of a table.
const ROWS: u64 = 200;

/// The maximum size of a table in bytes, because comments can be long.
const BYTES: usize = 1024 * 1024;

/// A column.
#[derive(Clone, Debug)]
pub(super) struct Column {
    pub(super) name: String,
    /// The CSS class, which sets the width.
    pub(super) class: &'static str,
}

/// One table.
#[derive(Template)]
#[template(path = "page/table.html")]
struct Table<'a> {
    first: u64,
    last: u64,
    columns: &'a [Column],
    rows: &'a str,
}

/// Collects rows, and writes a table when there are enough.
pub(super) struct Chunks {
    columns: Vec<Column>,
    rows: String,
    count: u64,
    first: u64,
    last: u64,
}

impl Chunks {
    pub(super) fn new(columns: Vec<Column>) -> Chunks {
        Chunks { columns, rows: String::new(), count: 0, first: 0, last: 0 }
    }

    /// Adds row `number`.
    ///
    /// # Errors
    /// If `out` fails.
    pub(super) fn add(&mut self, out: &mut dyn Write, number: u64, row: &impl Template) -> io::Result<()> {
        if self.count == 0 {
            self.first = number;
        }
        self.count += 1;
        self.last = number;
        row.render_into(&mut self.rows).map_err(io::Error::other)?;
        self.rows.push('\n');
        if self.count == ROWS || self.rows.len() > BYTES { self.finish(out) } else { Ok(()) }
    }

    /// Writes the remaining rows.
    ///
    /// # Errors
    /// If `out` fails.
    pub(super) fn finish(&mut self, out: &mut dyn Write) -> io::Result<()> {
        if self.count > 0 {
            let table = Table { first: self.first, last: self.last, columns: &self.columns, rows: &self.rows };
            table.write_into(out)?;
        }
        self.count = 0;
        self.rows.clear();
        Ok(())
    }
}
