//! Pages: a [`Review`] before a run, and a [`RunReport`] after it, as a self-contained HTML file or as Markdown for a ticket.
//!
//! Promises: text from outside is always shown as text; an HTML page loads and runs nothing, which its content security
//! policy enforces; memory does not grow with the rows; every row occurs once (Markdown has as many rows as fit, and the
//! number of the others).
//!
//! | file | owns |
//! | --- | --- |
//! | `review`, `run_report` | the content of a page |
//! | `from_journal` | both, as far as the journal has them |
//! | `context` | the other columns of a row |
//! | `diff_cell` | a property before and after |
//! | `chart` | requests over time, as geometry |
//! | `wording` | the texts of both formats |
//! | `html`, `table_chunks` | the HTML format; its templates are in `templates/page` |
//! | `markdown` | the Markdown format |
//! | `page_file` | where a page may be written |

mod chart;
mod context;
mod diff_cell;
mod from_journal;
mod html;
mod markdown;
mod page_file;
mod review;
mod run_report;
mod table_chunks;
mod wording;

pub use chart::{POINTS, Point};
pub use context::{Context, ContextColumns, Fetched};
pub use from_journal::{Sent, forecast, review_rows, write_run_report};
pub use page_file::{PageFile, PageFormat};
pub use review::{Review, ReviewRow, Warnings};
pub use run_report::{RunReport, RunReportRow};

#[cfg(test)]
mod tests;
