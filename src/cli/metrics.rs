//! `--metrics-file`: what a monitor reads about the last run, written when a command has ended, whatever its end.
//!
//! Promises: a command whose command line is wrong writes it, too, if its option could be read; a file that can't be
//! written changes no exit code.

use std::cell::Cell;
use std::ffi::OsStr;
use std::path::PathBuf;

use super::command_stats::CommandStats;
use super::settings::{EarlyOptions, Loaded};
use super::terminal::say;
use crate::clock::{BootTime, Clock};
use crate::files::PathError;
use crate::output::metrics_file;
use crate::report::metrics::Metrics;

/// The commands that have the option. A dry run leaves no trace.
const COMMANDS: [&str; 4] = ["run", "apply", "fetch", "runs resume"];

/// The file that the command line or a setting names, and what is known of the command at its start.
#[derive(Debug)]
pub(super) struct MetricsFile {
    path: PathBuf,
    tenant: String,
    profile: String,
    clock: Clock,
    started_at: BootTime,
    /// The command has failed, and said so, because metrics can't be written there.
    is_refused: Cell<bool>,
}

impl MetricsFile {
    /// The file, if the command has one. `tenant`: that of the environment.
    pub(super) fn find(early: &EarlyOptions, loaded: &Loaded, tenant: Option<&str>) -> Option<MetricsFile> {
        if early.is_dry_run || !COMMANDS.contains(&&*early.command) {
            return None;
        }
        let value = |typed: &Option<_>, option: &str| {
            let set = || loaded.defaults.get(option).map(|(value, _)| value.clone());
            typed.clone().or_else(set)
        };
        let text = |value: Option<&OsStr>| value.map(|value| value.to_string_lossy().into_owned());
        let clock = Clock::machine();
        Some(MetricsFile {
            path: value(&early.metrics_file, "--metrics-file")?.into(),
            tenant: text(value(&early.tenant, "--tenant").as_deref()).or(tenant.map(str::to_owned)).unwrap_or_default(),
            profile: text(value(&early.profile, "--profile").as_deref()).unwrap_or_default(),
            started_at: clock.now().boot,
            clock,
            is_refused: Cell::new(false),
        })
    }

    /// Checks that the metrics can be written.
    ///
    /// # Errors
    /// If they can't.
    pub(super) fn expect_writable(&self) -> Result<(), PathError> {
        let examined = metrics_file::examine(&self.path);
        self.is_refused.set(examined.is_err());
        examined
    }

    /// Writes the metrics of the command that ends now.
    pub(super) fn write(self, stats: &CommandStats, exit_code: u8) {
        let (now, requests) = (self.clock.now(), stats.requests());
        let metrics = Metrics {
            tenant: self.tenant,
            profile: self.profile,
            ended_at: now.wall,
            exit_code,
            outcomes: stats.outcomes(),
            calls: requests.calls,
            throttled: requests.throttled,
            quota_wait: requests.quota_wait,
            lasted: now.boot.since(self.started_at),
        };
        if let Err(error) = metrics_file::write(&self.path, &metrics.to_text())
            && !self.is_refused.get()
        {
            say(&format!("warning: {error}"));
        }
    }
}
