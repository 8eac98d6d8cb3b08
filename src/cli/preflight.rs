//! The preflight with its progress and the signals that stop it.

use tokio::runtime::Runtime;

use super::arguments::CallArgs;
use super::read_calls::ProgressListener;
use super::signals::until_ended;
use super::stop::{code_of, stop_message};
use super::target::{Access, Target};
use super::terminal::{Terminal, say};
use crate::cli::error::Error;
use crate::contract::Contract;
use crate::session::{PreflightOptions, PreparedRun, SessionError};

/// How incidents are read before anything is sent.
pub(super) struct Preflight<'a> {
    /// Where they are.
    pub(super) target: &'a Target,
    /// How requests are made.
    pub(super) calls: &'a CallArgs,
    /// Which are read.
    pub(super) options: PreflightOptions,
}

impl Preflight<'_> {
    /// Reads the incidents of a run, if that is asked for or needed, and compares its rows with them.
    ///
    /// # Errors
    /// If the journal fails, there is no token, or it is stopped.
    pub(super) fn run(&self, run: PreparedRun, runtime: &Runtime, terminal: &Terminal) -> Result<PreparedRun, Error> {
        if !run.needs_preflight(self.options.scope)? {
            return Ok(run);
        }
        let (clock, calls) = (run.clock().clone(), self.calls.options());
        // What needs no request to fail fails before it is said that incidents are read.
        self.target.expect_access(Access::Read, &clock)?;
        let client = self.target.client(calls.concurrency, &clock)?;
        let mut listener = ProgressListener::new(self.target, &clock, terminal);
        let shows = listener.shows_progress();
        let preflight =
            until_ended(clock, shows, |stop| run.preflight(client, self.options, &calls, stop, &mut listener));
        runtime.block_on(preflight)?.map_err(|error| stopped(error, &self.target.contract))
    }

    /// Reads the incidents of a run, and compares nothing.
    ///
    /// # Errors
    /// If the journal fails, there is no token, or it is stopped.
    pub(super) fn read(&self, run: PreparedRun, runtime: &Runtime, terminal: &Terminal) -> Result<PreparedRun, Error> {
        let (clock, calls) = (run.clock().clone(), self.calls.options());
        let client = self.target.client(calls.concurrency, &clock)?;
        let mut listener = ProgressListener::new(self.target, &clock, terminal);
        let shows = listener.shows_progress();
        let read =
            until_ended(clock, shows, |stop| run.read_incidents(client, self.options, &calls, stop, &mut listener));
        let (run, _) = runtime.block_on(read)?.map_err(|error| stopped(error, &self.target.contract))?;
        Ok(run)
    }
}

fn stopped(error: SessionError, contract: &Contract) -> Error {
    let SessionError::Stopped(stop) = error else { return error.into() };
    let message = format!("stopped before anything was sent: {}", stop_message(&stop, contract));
    say(&message);
    Error::Ended { code: code_of(&stop), message }
}
