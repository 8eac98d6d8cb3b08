//! What every page begins with, and why it could not be written.

use std::io;

use crate::files::PathError;

/// What a page begins with, so that a later one may take its place.
pub(super) const MARK: &str = "<!-- bulk-triage page 1 -->\n";

/// Before the mark, in HTML.
pub(super) const DOCTYPE: &str = "<!doctype html>\n";

/// Why a page could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PageError<E> {
    /// The place is taken by something that may not be replaced.
    #[error(transparent)]
    Place(PathError),
    /// The disk is full, or the directory does not take it.
    #[error(transparent)]
    Write(#[from] io::Error),
    /// The rows could not be had.
    #[error(transparent)]
    Rows(E),
}
