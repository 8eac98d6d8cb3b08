//! The summary of a fetch, as text and as JSON.

use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;

use crate::report::humanize::{count, counted};
use crate::report::next_command::NextCommand;
use crate::text::{escape_json, printable};

/// The warning of a fetch that did not read the complete list.
#[must_use]
pub fn incomplete(read: u64) -> String {
    format!("list incomplete: {} read", counted(read, "incident"))
}

/// The summary of a fetch.
#[derive(Clone, Debug)]
pub struct FetchSummary {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The tenant key, as it is displayed.
    pub scope: String,
    /// The API's origin.
    pub origin: String,
    /// The number of incidents in the file.
    pub incidents: u64,
    /// The number of rows in the file that was replaced.
    pub replaced: u64,
    /// The number of incidents that were read, before local filtering.
    pub read: u64,
    /// The requests of this process.
    pub calls: u64,
    /// The 429s among their responses.
    pub throttled: u64,
    /// The start of this process.
    pub started_at: Timestamp,
    /// The end of the fetch.
    pub finished_at: Timestamp,
    /// The command to run next, if there is a file.
    pub next: Option<NextCommand>,
}

impl FetchSummary {
    /// Writes it as text.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write_text(&self, mut out: impl Write) -> io::Result<()> {
        let file = self.file.to_string_lossy();
        let of = if self.read == self.incidents { String::new() } else { format!(" of {} read", count(self.read)) };
        let (incidents, requests) = (counted(self.incidents, "incident"), counted(self.calls, "request"));
        if file == "-" {
            writeln!(out, "{incidents}{of} written to standard output, {requests}")?;
        } else if self.incidents == 0 && self.replaced > 0 {
            writeln!(out, "{incidents}{of} ({} had {}), {requests}", printable(&file), count(self.replaced))?;
        } else {
            writeln!(out, "{incidents}{of} in {}, {requests}", printable(&file))?;
        }
        let scope = if self.scope == self.origin { String::new() } else { format!("{}, ", printable(&self.scope)) };
        writeln!(out, "from: {scope}{}", printable(&self.origin))?;
        if let Some(next) = self.next.as_ref().filter(|_| self.incidents > 0) {
            writeln!(out, "\nedit the rows, or set a property on every row with --set; to see what would be sent:")?;
            writeln!(out, "  {next}")?;
        }
        Ok(())
    }

    /// Writes it as a JSON object on one line.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write_json(&self, mut out: impl Write) -> io::Result<()> {
        let object = json!({
            "file": self.file.to_string_lossy(),
            "scope": self.scope,
            "origin": self.origin,
            "incidents": self.incidents,
            "replaced": self.replaced,
            "read": self.read,
            "calls": self.calls,
            "throttled": self.throttled,
            "started_at": format!("{:.3}", self.started_at),
            "finished_at": format!("{:.3}", self.finished_at),
            "exit": 0,
        });
        writeln!(out, "{}", escape_json(&object.to_string()))
    }
}
