//! A plan in a file: verified when it is read, and again when it is imported.

use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::error::SessionError;
use crate::contract::Contract;
use crate::files::open_input;
use crate::model::change::TenantKey;
use crate::plan::{self, Header, PlanError, PlanRow, Verified};

/// A plan whose checksum was verified.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its file.
    pub path: PathBuf,
    /// Its header.
    pub header: Header,
    /// Its contract.
    pub contract: Contract,
    /// Its checksum.
    pub checksum: String,
}

impl Plan {
    /// Reads and verifies all of it.
    ///
    /// # Errors
    /// If it is not a plan, or was modified.
    pub fn read(path: &Path) -> Result<Plan, SessionError> {
        let Verified { header, contract, checksum } = read(path, |_| Ok(()))?;
        Ok(Plan { path: path.to_owned(), header, contract, checksum })
    }

    /// Whose incidents it changes, if that was known.
    #[must_use]
    pub fn tenant(&self) -> Option<TenantKey> {
        self.header.scope.clone().map(TenantKey::from_stored)
    }

    /// Passes its rows to `take`, in their order.
    ///
    /// # Errors
    /// If the file has changed since it was read, or `take` fails.
    pub(super) fn each_row(&self, take: impl FnMut(PlanRow) -> Result<(), SessionError>) -> Result<(), SessionError> {
        if read(&self.path, take)?.checksum == self.checksum {
            return Ok(());
        }
        Err(SessionError::Plan { path: self.path.clone(), error: PlanError::Exchanged })
    }
}

fn read(path: &Path, take: impl FnMut(PlanRow) -> Result<(), SessionError>) -> Result<Verified, SessionError> {
    let opened = || {
        // Opening a pipe would block, and it can't be read twice.
        if path.metadata()?.is_file() { Ok(open_input(path)?) } else { Err(PlanError::NoPlan) }
    };
    let read = opened().map_err(SessionError::from).and_then(|file| plan::read(BufReader::new(file), take));
    read.map_err(|error| match error {
        SessionError::Plan { error, .. } => SessionError::Plan { path: path.to_owned(), error },
        other => other,
    })
}
