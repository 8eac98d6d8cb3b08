//! Journals with anything in them.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use bulk_triage::clock::Clock;
use bulk_triage::input::InputShape;
use bulk_triage::journal::{
    AttemptEnd, Batch, CallKind, Durability, Journal, JournalError, LoadRow, PriorRuns, ReadOnlyJournal, Receipt,
    RunHandle, RunKey, RunMetadata, StartRequest, StoreLocation,
};
use bulk_triage::model::change::{Change, IncidentId, TenantKey};
use bulk_triage::model::outcome::{Outcome, OutcomeKind};
use bulk_triage::model::setting::Settings;
use bulk_triage::model::step::Part;
use bulk_triage::plan::decode;
use bulk_triage::quota::Buckets;
use bulk_triage::text::printable;

use super::checked::CONTRACT;
use super::{assert_safe_to_print, split_number};

const MINUTE: Duration = Duration::from_mins(1);
const DAY: Duration = Duration::from_hours(24);

/// A journal is used or refused, whatever is in it.
///
/// The data are a whole database, or changes to a sound one (or its log): four bytes each, a place and two bytes that
/// are put there.
pub fn journals(data: &[u8]) {
    let (kind, data) = split_number(data);
    let [mut database, mut log] = SOUND.clone();
    match kind % 4 {
        0 => (database, log) = (data.to_vec(), Vec::new()),
        1 => change(&mut log, data),
        _ => {
            change(&mut database, data);
            log.clear();
        }
    }
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("journal.db"), database).expect("writes");
    if !log.is_empty() {
        fs::write(directory.path().join("journal.db-wal"), log).expect("writes");
    }
    for used in [peek(directory.path()), show(directory.path()), send(directory.path())] {
        if let Err(error) = used {
            assert_safe_to_print(&printable(&error.to_string()));
        }
    }
}

fn location(directory: &Path) -> StoreLocation {
    directory.to_owned().into()
}

fn change(bytes: &mut [u8], changes: &[u8]) {
    for change in changes.chunks_exact(4) {
        // Most of a page is empty: its places are spread over all of the file.
        let place = usize::from(u16::from_le_bytes([change[0], change[1]]));
        if let Some(bytes) = bytes.get_mut(place..place + 2) {
            bytes.copy_from_slice(&change[2..]);
        }
    }
}

/// What a dry run does.
fn peek(directory: &Path) -> Result<(), JournalError> {
    if let Some(peek) = ReadOnlyJournal::open(&location(directory), &scope(), Clock::machine())? {
        peek.add_prior_runs(&[&update(1)], &CONTRACT, DAY, &mut PriorRuns::default())?;
        peek.ledger(MINUTE)?;
    }
    Ok(())
}

/// What `runs` does.
fn show(directory: &Path) -> Result<(), JournalError> {
    let journal = Journal::open(&location(directory), Clock::machine(), Durability::Unsynced)?;
    for run in journal.runs()? {
        let _all = run.rows();
        journal.results(&run.name, 0, 100, false)?;
        journal.results(&run.name, 0, 100, true)?;
    }
    journal.unfinished_same(&scope(), &CONTRACT.name, b"digest", DAY)?;
    Ok(())
}

/// What a run that goes on does.
fn send(directory: &Path) -> Result<(), JournalError> {
    let mut journal = Journal::open(&location(directory), Clock::machine(), Durability::Unsynced)?;
    let Some(name) = journal.runs()?.into_iter().map(|run| run.name).next() else { return Ok(()) };
    let run = journal.acquire(&name)?;
    let rows = journal.pending(&run, 0, 1_000)?;
    journal.add_prior_runs(&run, &rows.iter().collect::<Vec<_>>(), &CONTRACT, DAY, &mut PriorRuns::default())?;
    let numbers: Vec<u64> = rows.iter().map(|row| row.row).collect();
    journal.snapshots(&run, &numbers)?;
    journal.ledger(&run, MINUTE)?;
    journal.first_outcomes(&run, 5)?;
    session(&mut journal, &run)?;
    journal.close(&run)?;
    journal.prune(Duration::ZERO)?;
    Ok(())
}

/// Sends each row once: some are updated, some end in doubt.
fn session(journal: &mut Journal, run: &RunHandle) -> Result<(), JournalError> {
    journal.begin_session(run, MINUTE, DAY)?;
    let buckets = Buckets::new(&CONTRACT.quota);
    let rows = journal.sendable(run, 0, 100)?;
    let mut kinds = vec![CallKind::Update; rows.len()];
    // Those that are in doubt after the first time are told of it at the second, and read at the third.
    for _ in 0..3 {
        let starts =
            rows.iter().zip(&kinds).map(|(row, kind)| StartRequest::new(row, Part::Whole, kind.clone())).collect();
        let batch = Batch { starts, slots: 100, ..Batch::default() };
        let receipts = journal.commit(&batch, |spent, pause, now, wanted| buckets.grant(spent, pause, now, wanted))?;
        let mut started = Vec::new();
        for ((pending, kind), receipt) in rows.iter().zip(&mut kinds).zip(receipts.starts) {
            match receipt {
                Receipt::Started(attempt) => started.push((pending.row, *kind == CallKind::Update, attempt)),
                Receipt::InDoubt(doubts) => *kind = CallKind::Read(doubts),
                _ => {}
            }
        }
        let ends = started.into_iter().map(|(row, is_update, attempt)| {
            let is_updated = is_update && row % 2 == 0;
            AttemptEnd {
                attempt,
                at: journal.clock().now().boot,
                verdict: if is_updated { "updated" } else { "in-doubt" },
                applied: is_updated.then_some(true),
                http_status: Some(200),
                request_id: Some("c2b1".to_owned()),
                outcome: is_updated.then(|| (row, Outcome::new(OutcomeKind::Updated, "", ""))),
                resolved: Vec::new(),
                is_merged: false,
                pause_until: None,
            }
        });
        let batch = Batch { ends: ends.collect(), ..Batch::default() };
        journal.commit(&batch, |spent, pause, now, wanted| buckets.grant(spent, pause, now, wanted))?;
    }
    Ok(())
}

/// A sound database, as a process leaves it, and the log that one leaves which was killed.
static SOUND: LazyLock<[Vec<u8>; 2]> = LazyLock::new(|| {
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| fs::read(directory.path().join(name)).expect("reads");
    let journal = written(directory.path()).expect("a journal");
    let log = file("journal.db-wal");
    drop(journal);
    [file("journal.db"), log]
});

/// A journal with a run that is over and one that is not.
fn written(directory: &Path) -> Result<Journal, JournalError> {
    let mut journal = Journal::open(&location(directory), Clock::machine(), Durability::Unsynced)?;
    let mut rng = fastrand::Rng::with_seed(7);
    for rows in [[2, 4, 6], [7, 8, 9]] {
        let facts = RunMetadata {
            input: "close.csv".to_owned(),
            shape: InputShape::Csv { delimiter: ',', bom: false, columns: vec!["incidentId".to_owned()] },
            origin: CONTRACT.origin.clone(),
            contract: bulk_triage::contract::load("defender").expect("is built in").to_toml(),
            results: "close.results.csv".to_owned(),
            options: Vec::new(),
            typed: Settings::default(),
            settings: Settings::default(),
            remember: Duration::from_hours(12),
        };
        let run = journal.create_run(&scope(), &CONTRACT.name, &facts, &mut rng)?;
        let load = |row: u64| LoadRow {
            row,
            line: row + 1,
            incident: row.to_string(),
            change: Ok(update(row)),
            source: row.to_string().into_bytes(),
            planned: None,
        };
        journal.load(&run, &rows.map(load))?;
        journal.publish(&run, &facts, &RunKey::Changes { digest: b"digest".to_vec(), within: DAY })?;
        session(&mut journal, &run)?;
        journal.close(&run)?;
    }
    Ok(journal)
}

fn scope() -> TenantKey {
    TenantKey::named("fuzz")
}

fn update(incident: u64) -> Change {
    let incident = IncidentId::new(incident).expect("an id");
    Change { incident, edits: decode(r#"{"status":"Resolved","comment":"done"}"#, true).expect("a body") }
}
