//! A connection without a request: a layer around the HTTP client's connector that discards what it has connected.
//!
//! Promise: no byte of a request leaves.

use std::error::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

type BoxError = Box<dyn Error + Send + Sync>;

/// The layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct ConnectOnly;

/// There was a connection: the error with which each request ends.
#[derive(Debug, thiserror::Error)]
#[error("connected")]
struct Connected;

/// Whether a request has failed only because of [`ConnectOnly`].
pub(super) fn is_connected(error: &reqwest::Error) -> bool {
    std::iter::successors(error.source(), |&cause| cause.source()).any(<dyn Error>::is::<Connected>)
}

impl<S> Layer<S> for ConnectOnly {
    type Service = Discarding<S>;

    fn layer(&self, connector: S) -> Discarding<S> {
        Discarding(connector)
    }
}

/// A connector that connects, and gives nobody the connection.
#[derive(Clone, Debug)]
pub(super) struct Discarding<S>(S);

impl<S, R> Service<R> for Discarding<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let connecting = self.0.call(request);
        Box::pin(async move { connecting.await.and_then(|_| Err(Connected.into())) })
    }
}
