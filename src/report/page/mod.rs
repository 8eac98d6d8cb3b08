//! Pages: what is sent out for review before a run ([`Review`]), and what was done ([`RunReport`]), as one HTML file that
//! needs nothing else, or as Markdown for a ticket.
//!
//! Promises: all text from outside is shown as text, whatever stands in it; an HTML page loads nothing and runs nothing,
//! and its own content policy says so; memory does not grow with the rows; every row is in it once (of Markdown, as many
//! as fit, and the others are counted).
//!
//! | file | owns |
//! | --- | --- |
//! | `review`, `run_report` | what a page shows |
//! | `context` | what a row of the input says beside what it asks for |
//! | `change` | a property before and after |
//! | `chart` | calls over time, as geometry |
//! | `wording` | what both forms say in the same words |
//! | `html`, `chunks` | the HTML form; its templates lie in `templates/page` |
//! | `markdown` | the Markdown form |
//! | `file` | where a page may be written |

mod chart;
mod context;
mod diff_cell;
mod html;
mod markdown;
mod page_file;
mod review;
mod run_report;
mod table_chunks;
mod wording;

pub use chart::{POINTS, Point};
pub use context::{Context, ContextColumns, Fetched};
pub use page_file::PageFile;
pub use review::{Review, ReviewRow, Warnings};
pub use run_report::{RunReport, RunReportRow};

#[cfg(test)]
mod tests;
