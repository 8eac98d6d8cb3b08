//! A run in a journal on disk, and its sending: what the program does after the prompt.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bulk_triage::check::Rules;
use bulk_triage::client::{Client, TokenCache, Transport};
use bulk_triage::clock::Clock;
use bulk_triage::contract;
use bulk_triage::input::{Input, Source};
use bulk_triage::journal::{Durability, Journal};
use bulk_triage::model::change::TenantKey;
use bulk_triage::output::results::{Destination, ResultsFile};
use bulk_triage::report::progress::{Progress, Screen};
use bulk_triage::report::reporter::Reporter;
use bulk_triage::report::summary::RunStats;
use bulk_triage::session::{CallOptions, PreparedRun, RunEnd, RunInput, SendOptions, Session, Target, result_rows};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::watch;

use super::Result;

/// A published run that has not been sent.
pub(crate) struct Prepared {
    directory: TempDir,
    run: PreparedRun,
}

impl Prepared {
    /// Imports a file with incidents after `first`, each with a comment, into a new journal.
    pub(crate) fn rows(first: u64, rows: u64, quota: &str) -> Result<Prepared> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let clock = Clock::machine();
        let journal = Journal::open(&directory.path().join("state").into(), clock.clone(), Durability::Synced)?;
        let contract = contract::load("defender-classic")?;
        let target = Target {
            contract: contract.clone(),
            origin: "http://127.0.0.1".to_owned(),
            tenant: TenantKey::named("bench"),
            quota: quota.parse()?,
        };
        let file = directory.path().join("bench.csv");
        let mut lines = "incidentId,status,classification,comment\n".to_owned();
        for incident in first + 1..=first + rows {
            writeln!(lines, "{incident},Resolved,FalsePositive,\"Rule 4711, incident {incident}\"")?;
        }
        std::fs::write(&file, lines)?;
        let rules = Rules::new(&contract);
        let input = RunInput::new(Input::open(&Source::File(file))?, "bench.csv", &rules);
        let mut run = Session::open(target, journal, clock).with_seed(7).import(input, &mut |_| ())?;
        run.publish(String::new())?;
        Ok(Prepared { directory, run })
    }

    /// Sends all rows, including results file and progress.
    pub(crate) async fn send<T: Transport>(self, transport: T, concurrency: u32) -> Result<Sent> {
        let Prepared { directory, run } = self;
        let clock = Clock::machine();
        let tokens = Arc::new(TokenCache::given(&SecretString::from("bench"))?);
        let client = Arc::new(Client::new(transport, tokens, &run.target.contract, clock.clone()));
        let destination = Destination::examine(&directory.path().join("results.csv"), None, &run.metadata.shape)?;
        let rows = result_rows(&run.journal, &run.handle.name, true);
        let results = ResultsFile::create(&destination, run.metadata.shape.clone(), rows)?;
        let progress = Progress::new(Screen::plain(io::sink()), clock.clone(), false);
        let mut reporter = Reporter::new(results, progress, RunStats::default());
        let calls = CallOptions { concurrency, ..CallOptions::default() };
        let options = SendOptions { calls, ..SendOptions::default() };
        let (_stop, stopped) = watch::channel(false);
        let start = clock.now().boot;
        let end = run.send(client, &options, stopped, &mut reporter).await?;
        Ok(Sent { took: clock.now().boot.since(start), end })
    }
}

pub(crate) struct Sent {
    pub(crate) took: Duration,
    pub(crate) end: RunEnd,
}
