//! The steps by which a run gets into the journal, reported after each commit.

use std::fmt;

/// A step of a run that has just been committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The run was created; no other process sees it.
    Created,
    /// A batch of its rows was added.
    Loaded,
    /// A page of its rows was compared with their incidents.
    Compared,
    /// The run was published: other processes see it.
    Published,
}

/// Calls the observer, if there is one, after each [`Step`].
#[derive(Default)]
pub(super) struct Observer(Option<Box<dyn FnMut(Step) + Send>>);

impl Observer {
    pub(super) fn new(on_step: impl FnMut(Step) + Send + 'static) -> Observer {
        Observer(Some(Box::new(on_step)))
    }

    pub(super) fn tell(&mut self, step: Step) {
        if let Some(on_step) = &mut self.0 {
            on_step(step);
        }
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Observer").field(&self.0.is_some()).finish()
    }
}
