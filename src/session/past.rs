//! Earlier runs, as an unsent run sees them: from its own journal or, for a dry run, from a journal opened read-only.

use crate::clock::Clock;
use crate::journal::{JournalError, ReadOnlyJournal, StoreLocation};
use crate::model::change::TenantKey;

/// Where earlier runs are found.
#[derive(Debug)]
pub enum Past {
    /// In the run's own journal.
    Own,
    /// In another journal.
    Other(Box<ReadOnlyJournal>),
    /// There are no earlier runs.
    None,
    /// Whose incidents are changed is unknown.
    Unknown,
}

impl Past {
    /// The journal there, opened read-only. `tenant`: whose incidents are changed, if known.
    ///
    /// # Errors
    /// If there is a journal that can't be read.
    pub fn read_only(location: &StoreLocation, tenant: Option<&TenantKey>, clock: Clock) -> Result<Past, JournalError> {
        let Some(tenant) = tenant else { return Ok(Past::Unknown) };
        Ok(ReadOnlyJournal::open(location, tenant, clock)?.map_or(Past::None, |found| Past::Other(Box::new(found))))
    }
}
