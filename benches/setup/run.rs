//! A run in a journal on disk, and its sending: what the program does after the prompt.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bulk_triage::apply::{EngineSettings, RunEnd, apply};
use bulk_triage::client::{Client, TokenCache, Transport};
use bulk_triage::clock::Clock;
use bulk_triage::contract;
use bulk_triage::journal::{Durability, Journal, LoadRow, RunHandle, RunKey, RunMetadata};
use bulk_triage::model::change::{Change, IncidentId, TenantKey};
use bulk_triage::model::outcome::InputShape;
use bulk_triage::model::quota_spec::Quota;
use bulk_triage::output::results::{Destination, ResultsFile};
use bulk_triage::plan::decode;
use bulk_triage::report::progress::{Progress, Screen};
use bulk_triage::report::reporter::Reporter;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::sync::watch;

use super::Result;

/// A published run that has not been sent.
pub(crate) struct Prepared {
    directory: TempDir,
    journal: Journal,
    run: RunHandle,
    shape: InputShape,
}

impl Prepared {
    /// Creates a run for incidents after `first`, each with a comment, in a new journal.
    pub(crate) fn rows(first: u64, rows: u64) -> Result<Prepared> {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let dir = directory.path().join("state").into();
        let mut journal = Journal::open(&dir, Clock::machine(), Durability::Synced)?;
        let shape = InputShape::Csv { delimiter: ',', bom: false, columns: vec!["incidentId".to_owned()] };
        let facts = RunMetadata {
            input: "bench.csv".to_owned(),
            shape: shape.clone(),
            origin: String::new(),
            contract: String::new(),
            results: String::new(),
            options: Vec::new(),
            typed: bulk_triage::model::typed::Typed::default(),
            remember: Duration::from_hours(12),
        };
        let run = journal.create_run(&TenantKey::named("bench"), "bench", &facts, &mut fastrand::Rng::new())?;
        let rows: Vec<LoadRow> = (1..=rows).filter_map(|row| load_row(row, first + row)).collect();
        journal.load(&run, &rows)?;
        journal.publish(&run, &facts, &RunKey::Changes(Vec::new()))?;
        Ok(Prepared { directory, journal, run, shape })
    }

    /// The request body for an incident.
    pub(crate) fn body(incident: u64) -> String {
        format!(
            r#"{{"status":"Resolved","classification":"FalsePositive","comment":"Rule 4711, incident {incident}"}}"#
        )
    }

    /// Sends all rows, including results file and progress.
    pub(crate) async fn send<T: Transport>(self, transport: T, quota: &str, concurrency: u32) -> Result<Sent> {
        let Prepared { directory, journal, run, shape } = self;
        let clock = Clock::machine();
        let contract = contract::load("defender-classic")?;
        let tokens = Arc::new(TokenCache::given(&SecretString::from("bench"))?);
        let client = Arc::new(Client::new(transport, tokens, &contract, clock.clone()));
        let destination = Destination::examine(&directory.path().join("results.csv"), None, &shape)?;
        let results = ResultsFile::create::<Infallible>(&destination, shape, [])?;
        let progress = Progress::new(Screen::plain(io::sink()), clock.clone(), false);
        let mut reporter = Reporter::new(results, progress);
        let settings = EngineSettings {
            quota: quota.parse::<Quota>()?,
            concurrency,
            max_attempts: 5,
            patience: Duration::from_mins(10),
            max_failures: None,
            stop_after: None,
            remember: Duration::from_hours(12),
            settle: Duration::from_secs(30),
            same_as: contract::SameAs::default(),
            seed: 7,
        };
        let (_stop, stopped) = watch::channel(false);
        let start = clock.now().boot;
        let ends = apply(journal, &run, client, settings, clock.clone(), stopped, &mut reporter).await?;
        Ok(Sent { took: clock.now().boot.since(start), ends })
    }
}

pub(crate) struct Sent {
    pub(crate) took: Duration,
    pub(crate) ends: RunEnd,
}

fn load_row(row: u64, incident: u64) -> Option<LoadRow> {
    let edits = decode(&Prepared::body(incident), true).ok()?;
    let change = Change { incident: IncidentId::new(incident)?, edits };
    Some(LoadRow {
        row,
        line: row + 1,
        incident: incident.to_string(),
        change: Ok(change),
        source: incident.to_string().into_bytes(),
        planned: None,
    })
}
