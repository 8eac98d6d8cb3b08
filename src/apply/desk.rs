//! The desk: where the dispatcher gives the journal its work.
//!
//! The journal is synchronous. Under real time its work is done on a blocking thread (it goes in and comes back), so
//! that calls go on during a sync; in a simulation inline, so that one seed gives one trace.

use crate::journal::Journal;

/// How the journal's work is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commits {
    /// On a blocking thread.
    OnAThread,
    /// In place: for a paused clock.
    Inline,
}

/// A journal that is lent to whatever is done with it.
#[derive(Debug)]
pub struct Desk {
    /// Away only while [`Desk::with`] runs.
    journal: Option<Journal>,
    commits: Commits,
}

impl Desk {
    /// A desk for this journal.
    #[must_use]
    pub fn new(journal: Journal, commits: Commits) -> Desk {
        Desk { journal: Some(journal), commits }
    }

    /// Does `work` with the journal.
    ///
    /// # Panics
    /// Where `work` panics; or where it is called again after a call that was dropped before it ended.
    pub async fn with<R: Send + 'static>(&mut self, work: impl FnOnce(&mut Journal) -> R + Send + 'static) -> R {
        let mut journal = self.journal.take().expect("the journal is back before the next work begins");
        let (journal, result) = match self.commits {
            Commits::Inline => {
                let result = work(&mut journal);
                (journal, result)
            }
            Commits::OnAThread => {
                let work = move || {
                    let result = work(&mut journal);
                    (journal, result)
                };
                match tokio::task::spawn_blocking(work).await {
                    Ok(done) => done,
                    Err(error) => std::panic::resume_unwind(error.into_panic()),
                }
            }
        };
        self.journal = Some(journal);
        result
    }

    /// The journal, when nothing is left to do.
    #[must_use]
    pub fn into_journal(self) -> Option<Journal> {
        self.journal
    }
}
