//! Earlier runs, as a run before it is sent knows them: from its own journal, or for a dry run from one that is only read.

use crate::clock::Clock;
use crate::journal::{JournalError, ReadOnlyJournal, StoreLocation};
use crate::model::change::TenantKey;

/// Where earlier runs are.
#[derive(Debug)]
pub enum Past {
    /// In the run's own journal.
    Own,
    /// In another journal.
    Other(Box<ReadOnlyJournal>),
    /// There are none.
    None,
    /// It is not known whose incidents are changed.
    Unknown,
}

impl Past {
    /// The journal there, of which nothing is changed. `tenant`: whose incidents are changed, if that is known.
    ///
    /// # Errors
    /// If there is a journal that can't be read.
    pub fn read_only(location: &StoreLocation, tenant: Option<&TenantKey>, clock: Clock) -> Result<Past, JournalError> {
        let Some(tenant) = tenant else { return Ok(Past::Unknown) };
        Ok(ReadOnlyJournal::open(location, tenant, clock)?.map_or(Past::None, |found| Past::Other(Box::new(found))))
    }
}
