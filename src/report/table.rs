//! Tables. On a terminal, the least important columns are omitted until the others fit, and cells wrap between their parts.
//! In a pipe, each record is a line of tab-separated cells.
//!
//! Promises: no part of a cell is ever split or cut; a pipe gets every column.

use std::io::{self, Write};

use super::humanize::{columns_of, filled};
use super::layout::{Layout, painted};
use crate::text::printable;

/// The spaces between two columns.
const GAP: usize = 2;

/// A cell: its parts, which are safe to print and never split.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    parts: Vec<String>,
    /// An SGR color.
    color: Option<&'static str>,
}

impl Cell {
    /// Text that stays on one line.
    pub fn whole(text: impl Into<String>) -> Cell {
        Cell::of([text.into()])
    }

    /// Text that may be wrapped between its words.
    #[must_use]
    pub fn words(text: &str) -> Cell {
        Cell::of(text.split(' ').map(str::to_owned))
    }

    /// Items with a separator such as a comma, after which the cell may be wrapped.
    #[must_use]
    pub fn list(items: &[&str], mark: char) -> Cell {
        let last = items.len().saturating_sub(1);
        let part = |(at, item): (usize, &&str)| if at < last { format!("{item}{mark}") } else { (*item).to_owned() };
        Cell::of(items.iter().enumerate().map(part))
    }

    /// The same in this color, if colors are on.
    pub(super) fn painted(self, layout: Layout, color: Option<&'static str>) -> Cell {
        Cell { color: color.filter(|_| layout.color), ..self }
    }

    fn of(parts: impl IntoIterator<Item = String>) -> Cell {
        Cell { parts: parts.into_iter().map(|part| printable(&part).into_owned()).collect(), color: None }
    }

    fn text(&self) -> String {
        self.parts.join(" ")
    }

    /// A line of the cell in its color.
    fn in_color(&self, line: &str) -> String {
        match self.color {
            Some(color) if !line.is_empty() => painted(line, color),
            _ => line.to_owned(),
        }
    }

    fn longest_part(&self) -> usize {
        self.parts.iter().map(|part| columns_of(part)).max().unwrap_or(0)
    }

    /// The lines of the cell in a column of this width, which is at least that of its longest part.
    fn lines(&self, width: usize) -> Vec<String> {
        filled(self.parts.iter().map(String::as_str), width)
    }
}

/// A table: a title for each column, and records.
#[derive(Clone, Debug)]
pub struct Table {
    titles: Vec<&'static str>,
    /// The columns that may be omitted, the least important one first.
    optional: Vec<&'static str>,
    records: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with these columns. `optional` columns may be omitted, the least important one first.
    #[must_use]
    pub fn new(titles: &[&'static str], optional: &[&'static str]) -> Table {
        Table { titles: titles.to_vec(), optional: optional.to_vec(), records: Vec::new() }
    }

    /// Adds a record: a cell for each column.
    pub fn add<const N: usize>(&mut self, cells: [Cell; N]) {
        self.records.push(cells.into());
    }

    /// Writes it for a terminal of this width, or for a pipe (`None`).
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write(&self, out: &mut impl Write, width: Option<usize>) -> io::Result<()> {
        if let Some(width) = width {
            return self.write_fitted(out, width);
        }
        writeln!(out, "{}", self.titles.join("\t"))?;
        self.records.iter().try_for_each(|record| {
            let cells: Vec<String> = record.iter().map(|cell| cell.in_color(&cell.text())).collect();
            writeln!(out, "{}", cells.join("\t"))
        })
    }

    fn write_fitted(&self, out: &mut impl Write, width: usize) -> io::Result<()> {
        let mut shown: Vec<usize> = (0..self.titles.len()).collect();
        let mut optional = self.optional.iter();
        while self.needed(&shown) > width
            && let Some(least) = optional.next()
        {
            shown.retain(|column| self.titles[*column] != *least);
        }
        let widths = self.widths(&shown, width);
        let titles = self.titles.iter().map(|title| Cell::whole(*title)).collect();
        for record in [&titles].into_iter().chain(&self.records) {
            let cells: Vec<Vec<String>> =
                shown.iter().zip(&widths).map(|(column, width)| record[*column].lines(*width)).collect();
            for line in 0..cells.iter().map(Vec::len).max().unwrap_or(0) {
                let mut text = String::new();
                for ((cell, width), column) in cells.iter().zip(&widths).zip(&shown) {
                    let part = cell.get(line).map_or("", String::as_str);
                    let padding = width.saturating_sub(columns_of(part)) + GAP;
                    text.push_str(&record[*column].in_color(part));
                    text.extend(std::iter::repeat_n(' ', padding));
                }
                writeln!(out, "{}", text.trim_end())?;
            }
        }
        Ok(())
    }

    fn cells(&self, column: usize) -> impl Iterator<Item = &Cell> {
        self.records.iter().map(move |record| &record[column])
    }

    fn min_width(&self, column: usize) -> usize {
        self.cells(column).map(Cell::longest_part).chain([columns_of(self.titles[column])]).max().unwrap_or(0)
    }

    fn max_width(&self, column: usize) -> usize {
        self.cells(column)
            .map(|cell| columns_of(&cell.text()))
            .chain([columns_of(self.titles[column])])
            .max()
            .unwrap_or(0)
    }

    /// The minimum width of these columns.
    fn needed(&self, shown: &[usize]) -> usize {
        shown.iter().map(|column| self.min_width(*column) + GAP).sum::<usize>().saturating_sub(GAP)
    }

    /// The width of each column: its minimum; the first columns that need more get the rest.
    fn widths(&self, shown: &[usize], width: usize) -> Vec<usize> {
        let mut left = width.saturating_sub(self.needed(shown));
        let wanted = |column: &usize| {
            let min = self.min_width(*column);
            let more = left.min(self.max_width(*column) - min);
            left -= more;
            min + more
        };
        shown.iter().map(wanted).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(&["name", "values", "note"], &["note"]);
        table.add([
            Cell::whole("one"),
            Cell::list(&["first value", "second value"], ';'),
            Cell::words("some words on it"),
        ]);
        table
    }

    fn written(width: Option<usize>) -> String {
        let mut out = Vec::new();
        table().write(&mut out, width).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn wide_terminal_shows_all_on_one_line() {
        assert_eq!(
            written(Some(80)),
            "name  values                     note\none   first value; second value  some words on it\n"
        );
    }

    #[test]
    fn cells_wrap_between_their_parts() {
        let lines = [
            "name  values         note",
            "one   first value;   some",
            "      second value   words",
            "                     on it",
        ];
        assert_eq!(written(Some(26)), lines.map(|line| line.to_owned() + "\n").concat());
    }

    #[test]
    fn least_important_column_goes_first() {
        assert_eq!(written(Some(20)), "name  values\none   first value;\n      second value\n");
    }

    #[test]
    fn no_part_is_split_at_any_width() {
        for width in 0..100 {
            let text = written(Some(width));
            assert!(text.contains("first value") && text.contains("second value"), "{width}: {text}");
        }
    }

    #[test]
    fn pipe_gets_tabs_and_all_columns() {
        assert_eq!(written(None), "name\tvalues\tnote\none\tfirst value; second value\tsome words on it\n");
    }
}
