//! Callers: the tasks that make calls beside the loop, as many as the most calls in flight so far.
//!
//! A task holds some kilobytes for a call. It is kept for the next call, because allocating them again from the
//! allocator took longer than the rest of the call's own work.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::client::{Client, TokenCache, Transport};
use crate::clock::{Clock, Now};
use crate::journal::AttemptId;
use crate::model::call::{Call, CallResult};
use crate::model::operation::OperationId;

/// An attempt that has ended.
#[derive(Clone, Debug)]
pub(super) struct CompletedCall {
    pub(super) attempt: AttemptId,
    /// The operation of a step; `None` for a read.
    pub(super) operation: Option<OperationId>,
    pub(super) result: CallResult,
    /// When the response had arrived, or the wait for it ended.
    pub(super) at: Now,
    /// How long it took.
    pub(super) took: Duration,
}

/// A call whose intent is on the disk since `at`.
struct Started {
    attempt: AttemptId,
    call: Call,
    at: Now,
}

/// The callers of one loop. Their tasks end with it.
pub(super) struct Callers<T: Transport> {
    client: Arc<Client<T>>,
    clock: Clock,
    all: Vec<UnboundedSender<Started>>,
    /// The indices of the idle ones.
    idle: Vec<usize>,
    returns: UnboundedSender<(usize, CompletedCall)>,
    returned: UnboundedReceiver<(usize, CompletedCall)>,
}

impl<T: Transport> Callers<T> {
    pub(super) fn new(client: Arc<Client<T>>, clock: Clock) -> Callers<T> {
        let (returns, returned) = unbounded_channel();
        Callers { client, clock, all: Vec::new(), idle: Vec::new(), returns, returned }
    }

    /// Where the tokens of its requests come from.
    pub(super) fn tokens(&self) -> &TokenCache {
        self.client.tokens()
    }

    /// Makes a call whose intent is on the disk since `at`. Its result comes from [`Callers::ended`].
    pub(super) fn call(&mut self, attempt: AttemptId, call: Call, at: Now) {
        let place = self.idle.pop().unwrap_or_else(|| self.add());
        // Nobody receives it only if the runtime has ended.
        let _ = self.all[place].send(Started { attempt, call, at });
    }

    fn add(&mut self) -> usize {
        let place = self.all.len();
        let (sender, mut started) = unbounded_channel();
        self.all.push(sender);
        let (client, clock, returns) = (Arc::clone(&self.client), self.clock.clone(), self.returns.clone());
        tokio::spawn(async move {
            while let Some(Started { attempt, call, at: start }) = started.recv().await {
                let operation = if let Call::Step(step) = &call { Some(step.operation) } else { None };
                let result = client.call(&call).await;
                let at = clock.now();
                let ended = CompletedCall { attempt, operation, result, at, took: at.boot.since(start.boot) };
                // Nobody listens any more only if the engine was dropped.
                let _ = returns.send((place, ended));
            }
        });
        place
    }

    /// The next call that has ended.
    pub(super) async fn ended(&mut self) -> CompletedCall {
        match self.returned.recv().await {
            Some((place, ended)) => self.back(place, ended),
            // The channel is open as long as `returns` exists.
            None => std::future::pending().await,
        }
    }

    /// The next call that has ended, if one has.
    pub(super) fn try_ended(&mut self) -> Option<CompletedCall> {
        let (place, ended) = self.returned.try_recv().ok()?;
        Some(self.back(place, ended))
    }

    fn back(&mut self, place: usize, ended: CompletedCall) -> CompletedCall {
        self.idle.push(place);
        ended
    }
}
