//! What a fetch came to.

use std::io::{self, Write};
use std::path::PathBuf;

use jiff::Timestamp;
use serde_json::json;

use crate::report::humanize::{count, counted};
use crate::report::next_command::NextCommand;
use crate::text::{escape_json, printable};

/// What is said of a fetch that did not read its list to the end.
#[must_use]
pub fn incomplete(read: u64) -> String {
    format!("list incomplete: {} read", counted(read, "incident"))
}

/// What a fetch came to.
#[derive(Clone, Debug)]
pub struct FetchSummary {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The scope, as it is displayed.
    pub scope: String,
    /// Where the requests went.
    pub origin: String,
    /// So many incidents are in it.
    pub incidents: u64,
    /// The number of rows of the file that it replaces.
    pub replaced: u64,
    /// So many were read for it.
    pub read: u64,
    /// By so many calls of this process.
    pub calls: u64,
    /// The 429s that this process has seen.
    pub throttled: u64,
    /// When this process began.
    pub started_at: Timestamp,
    /// When it was over.
    pub finished_at: Timestamp,
    /// What fits to be done next, if there is a file.
    pub next: Option<NextCommand>,
}

impl FetchSummary {
    /// For a person.
    ///
    /// # Errors
    /// Where `out` fails.
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

    /// For a script: one object in one line.
    ///
    /// # Errors
    /// Where `out` fails.
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
