//! Processes that share a state directory.

use std::fs::{DirBuilder, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;

use crate::clock::{BootTime, Clock, Now};
use crate::contract::Contract;
use crate::input::InputShape;
use crate::journal::{
    AttemptEnd, AttemptId, Batch, CallKind, Doubt, Durability, Journal, JournalError, LoadRow, Receipt, Receipts,
    RunHandle, RunKey, RunMetadata, StartRequest, StoreLocation,
};
use crate::model::change::{Change, IncidentId, ResolvedChange, TenantKey};
use crate::model::outcome::{Outcome, OutcomeKind, RowCode};
use crate::model::permit::{Grant, NextPermit, Pause, QuotaUsage};
use crate::model::setting::Settings;
use crate::model::step::Part;

pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const REMEMBERED: Duration = Duration::from_hours(12);

/// A state directory and its machine's clock, which starts 1000 s after boot.
pub(super) struct Place {
    pub(super) directory: TempDir,
    pub(super) clock: Clock,
}

pub(super) fn start_of_the_clock() -> Now {
    Now { boot: BootTime(1_000_000_000), wall: "2026-11-24T10:00:00Z".parse().expect("a time") }
}

impl Place {
    pub(super) fn new() -> Place {
        let directory = tempfile::tempdir().expect("a directory");
        Place { directory, clock: Clock::simulated(start_of_the_clock(), "first") }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.directory.path().join("state")
    }

    pub(super) fn location(&self) -> StoreLocation {
        self.path().into()
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path().join("journal.db")
    }

    /// Creates the directory as the program would.
    pub(super) fn create(&self) {
        DirBuilder::new().mode(0o700).create(self.path()).expect("creates");
    }

    /// Writes a file with the permissions that the program uses.
    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let mut options = File::options();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(self.path().join(name));
        file.and_then(|mut file| file.write_all(content.as_ref())).expect("writes");
    }

    pub(super) fn try_open(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.location(), self.clock.clone(), Durability::Unsynced)
    }

    pub(super) fn open(&self) -> Journal {
        self.try_open().expect("the journal opens")
    }

    /// Another process with a run of these changes.
    pub(super) fn process(&self, changes: &[Change]) -> Process {
        Process::with(self.open(), changes, REMEMBERED)
    }
}

/// A process that sends a run.
pub(super) struct Process {
    pub(super) journal: Journal,
    pub(super) run: RunHandle,
    pub(super) changes: Vec<Change>,
}

impl Process {
    pub(super) fn with(journal: Journal, changes: &[Change], remember: Duration) -> Process {
        Process::under(&contract(), journal, changes, remember)
    }

    /// The same with a run under this contract.
    pub(super) fn under(contract: &Contract, mut journal: Journal, changes: &[Change], remember: Duration) -> Process {
        let run = loaded_under(contract, &mut journal, changes);
        // No other run is the same, whatever it changes.
        let same = RunKey::Changes { digest: run.name.clone().into_bytes(), within: HOUR };
        journal.publish(&run, &facts(), &same).expect("is ready");
        let mut process = Process { journal, run, changes: changes.to_vec() };
        process.begin_session(remember);
        process
    }

    pub(super) fn begin_session(&mut self, remember: Duration) {
        self.journal.begin_session(&self.run, HOUR, remember).expect("begins");
    }

    pub(super) fn commit(&mut self, batch: &Batch) -> Receipts {
        self.journal.commit(batch, grant_all).expect("commits")
    }

    /// Requests the start of the row's update.
    pub(super) fn offer(&mut self, row: usize) -> Receipt {
        self.offer_call(row, CallKind::Update)
    }

    fn offer_call(&mut self, row: usize, kind: CallKind) -> Receipt {
        self.offer_call_of(row, Part::Whole, kind)
    }

    pub(super) fn offer_call_of(&mut self, row: usize, part: Part, kind: CallKind) -> Receipt {
        let whole = &self.changes[row - 1];
        let change = resolved(&Change { edits: part.of(&whole.edits), ..*whole });
        let asked = (part != Part::Whole).then(|| whole.edits.clone());
        let starts = vec![StartRequest { row: row as u64, change, part, kind, asked, ..begin() }];
        self.commit(&Batch { starts, slots: 8, ..Batch::default() }).starts.remove(0)
    }

    /// Requests the start of one step of the row.
    pub(super) fn offer_step(&mut self, row: usize, part: Part) -> Receipt {
        self.offer_call_of(row, part, CallKind::Update)
    }

    /// Requests a read of the row's incident, to resolve these doubts.
    pub(super) fn offer_read(&mut self, row: usize, doubts: &[Doubt]) -> Receipt {
        self.offer_call(row, CallKind::Read(doubts.to_vec()))
    }

    pub(super) fn start(&mut self, row: usize) -> AttemptId {
        match self.offer(row) {
            Receipt::Started(attempt) => attempt,
            other => panic!("row {row} was not started: {other:?}"),
        }
    }

    pub(super) fn end(&mut self, end: AttemptEnd) -> Receipts {
        self.commit(&Batch { ends: vec![end], ..Batch::default() })
    }

    /// Starts and ends an update of the row; `applied` says whether it was applied.
    pub(super) fn make(&mut self, row: usize, applied: Option<bool>) -> AttemptId {
        let attempt = self.start(row);
        self.end(AttemptEnd { applied, ..self.ended(attempt) });
        attempt
    }

    pub(super) fn ended(&self, attempt: AttemptId) -> AttemptEnd {
        updated_at(attempt, self.journal.clock.now().boot)
    }

    /// The quota usage and the pause, from an empty commit.
    pub(super) fn spent(&mut self) -> (QuotaUsage, Option<Pause>) {
        let mut seen = None;
        let look = |spent: &QuotaUsage, pause: Option<Pause>, _: BootTime, _: u32| {
            seen = Some((spent.clone(), pause));
            Grant { permits: 0, next: NextPermit::AfterACallInFlight }
        };
        self.journal.commit(&Batch::default(), look).expect("commits");
        seen.expect("the quota is consulted")
    }

    pub(super) fn seconds_ended(&mut self) -> Vec<i64> {
        self.spent().0.ended.iter().map(|end| end.0 / 1_000_000).collect()
    }
}

/// The end of an update that was applied.
pub(super) fn updated_at(attempt: AttemptId, at: BootTime) -> AttemptEnd {
    AttemptEnd {
        attempt,
        at,
        verdict: "updated",
        applied: Some(true),
        http_status: Some(200),
        request_id: None,
        outcome: None,
        resolved: Vec::new(),
        is_merged: false,
        pause_until: None,
    }
}

/// A start request for row 1.
pub(super) fn begin() -> StartRequest {
    StartRequest {
        row: 1,
        change: resolved(&resolve(1)),
        part: Part::Whole,
        kind: CallKind::Update,
        differed_at: None,
        asked: None,
        merged: None,
    }
}

/// Grants like a quota whose windows are never full: none during a pause, then one for the probe.
pub(super) fn grant_all(_: &QuotaUsage, pause: Option<Pause>, now: BootTime, wanted: u32) -> Grant {
    let permits = match pause {
        Some(pause) if now < pause.until || pause.probing => 0,
        Some(_) => wanted.min(1),
        None => wanted,
    };
    Grant { permits, next: NextPermit::At(now) }
}

pub(super) fn facts() -> RunMetadata {
    RunMetadata {
        input: "close.csv".to_owned(),
        shape: InputShape::Jsonl { bom: false },
        origin: String::new(),
        contract: contract().to_toml(),
        results: String::new(),
        options: Vec::new(),
        typed: Settings::default(),
        settings: Settings::default(),
        remember: Duration::from_hours(12),
    }
}

/// The same key for all runs; an unfinished one counts if it was used within this time.
pub(super) fn key(within: Duration) -> RunKey {
    RunKey::Changes { digest: b"digest".to_vec(), within }
}

pub(super) fn scope() -> TenantKey {
    TenantKey::named("test")
}

pub(super) fn loaded(journal: &mut Journal, changes: &[Change]) -> RunHandle {
    loaded_under(&contract(), journal, changes)
}

fn loaded_under(contract: &Contract, journal: &mut Journal, changes: &[Change]) -> RunHandle {
    let facts = RunMetadata { contract: contract.to_toml(), ..facts() };
    let run = journal.create_run(&scope(), "test", &facts, &mut fastrand::Rng::new()).expect("begins");
    let rows: Vec<LoadRow> = (1..).zip(changes).map(|(row, change)| load_row(row, change)).collect();
    journal.load(&run, &rows).expect("loads");
    run
}

pub(super) fn load_row(row: u64, change: &Change) -> LoadRow {
    LoadRow {
        row,
        line: row,
        incident: change.incident.to_string(),
        change: Ok(change.clone()),
        source: b"{}".to_vec(),
        planned: None,
    }
}

pub(super) fn change(incident: u64, body: &str) -> Change {
    let incident = IncidentId::new(incident).expect("an id");
    Change { incident, edits: crate::plan::decode(body, body.contains("comment")).expect("a body") }
}

/// The change as it is sent.
pub(super) fn resolved(change: &Change) -> ResolvedChange {
    change.resolved().expect("no list edit")
}

pub(super) fn resolve(incident: u64) -> Change {
    change(incident, r#"{"status":"Resolved"}"#)
}

pub(super) fn comment(incident: u64) -> Change {
    change(incident, r#"{"status":"Resolved","comment":"tuned"}"#)
}

/// A contract with one step.
pub(super) fn contract() -> Contract {
    crate::contract::load("defender").expect("built in")
}

pub(super) fn updated() -> Outcome {
    Outcome::new(OutcomeKind::Updated, RowCode::Empty, "")
}
