//! The one transaction of sending. In this order: attempts end, with their rows' outcomes; the ledger is brought up to
//! date; what has been made before is looked up; permits are granted; intents are written.
//!
//! Promises: when [`Journal::commit`] returns, all of it is on the disk (a [`Receipt::Started`] may be sent), or none
//! of it is. `now` is read inside the transaction, after the wait for the turn.

use std::sync::Arc;

use jiff::Timestamp;
use rusqlite::{Transaction, TransactionBehavior, params};

use super::dedup::{AppliedBy, DedupDecision, DedupQuery, Doubt, is_read, since, standing, updates_for};
use super::rows::PendingRow;
use super::{History, Journal, JournalError, Session, stored_id};
use crate::clock::{BootTime, Now};
use crate::compare::parts;
use crate::model::call::{CallResult, REDIRECTED, UNSENT};
use crate::model::change::{Change, IncidentId};
use crate::model::list_edit::changes_lists;
use crate::model::outcome::Outcome;
use crate::model::permit::{Grant, NextPermit, Pause, QuotaUsage};

/// Names an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(pub i64);

/// What is committed together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Attempts that have ended.
    pub ends: Vec<AttemptEnd>,
    /// Rows that are over without a call.
    pub over: Vec<(u64, Outcome)>,
    /// Calls that want to begin, in the order in which they are to be served.
    pub begins: Vec<StartRequest>,
    /// Reads that clear up nothing: of an incident, or (`None`) of a list. They come after the calls for rows.
    pub looks: Vec<Option<IncidentId>>,
    /// At most so many of both may begin.
    pub slots: u32,
    /// What rows' incidents looked like before, as JSON.
    pub befores: Vec<(u64, String)>,
}

/// The end of an attempt.
#[derive(Clone, Debug)]
pub struct AttemptEnd {
    /// Which.
    pub attempt: AttemptId,
    /// When the answer had come, or the wait for it was over.
    pub at: Now,
    /// The verdict's name.
    pub verdict: &'static str,
    /// Of an update: whether it was made; `None` where that is in doubt. Of a read: `None`.
    pub made: Option<bool>,
    /// Of the answer.
    pub http_status: Option<u16>,
    /// Of the answer.
    pub request_id: Option<String>,
    /// The row that is over with it.
    pub outcome: Option<(u64, Outcome)>,
    /// Attempts about which it has cleared up the doubt, and whether they were made.
    pub resolved: Vec<(AttemptId, bool)>,
    /// Of a read: the incident was merged into another one, and what was made went to the old one.
    pub is_merged: bool,
    /// After a 429: the scope pauses until then.
    pub pause_until: Option<BootTime>,
}

impl AttemptEnd {
    /// The end of an attempt with this result, which ends no row and resolves nothing.
    #[must_use]
    pub fn of(attempt: AttemptId, at: Now, result: &CallResult) -> AttemptEnd {
        AttemptEnd {
            attempt,
            at,
            verdict: result.verdict.name(),
            made: None,
            http_status: result.http_status,
            request_id: result.request_id.clone(),
            outcome: None,
            resolved: Vec::new(),
            is_merged: false,
            pause_until: None,
        }
    }
}

/// A call that wants to begin.
#[derive(Clone, Debug)]
pub struct StartRequest {
    /// The row for which it is.
    pub row: u64,
    /// The row's change.
    pub change: Change,
    /// Which call.
    pub what: CallKind,
    /// When its incident was read and was otherwise: what other runs made before that counts no more.
    pub differed_at: Option<Timestamp>,
    /// Where it changes lists: the body as it was asked for.
    pub asked: Option<Arc<str>>,
    /// The row's own incident, where that was merged into the one that is updated.
    pub merged: Option<IncidentId>,
}

impl StartRequest {
    /// Of this row.
    #[must_use]
    pub fn new(row: &PendingRow, what: CallKind) -> StartRequest {
        let PendingRow { row, change, differed_at, asked, merged, .. } = row;
        let (change, asked) = (change.clone(), asked.clone());
        StartRequest { row: *row, change, what, differed_at: *differed_at, asked, merged: *merged }
    }
}

/// The kinds of calls.
#[derive(Clone, Debug, PartialEq)]
pub enum CallKind {
    /// The change is sent, if it has not been made before.
    Update,
    /// The incident is read; for a change with a comment to clear up these doubts, if they are those that there are.
    Read(Vec<Doubt>),
}

/// What became of a [`StartRequest`].
#[derive(Clone, Debug, PartialEq)]
pub enum Receipt {
    /// It has a permit, and its intent is on the disk: send it.
    Started(AttemptId),
    /// There was no permit or no slot for it: ask again.
    NoPermit,
    /// The same change is under way; or, for a comment, another comment or a read of the incident: ask again when that
    /// has ended.
    InFlight,
    /// The change has been made before: the row is over.
    AlreadyApplied(AppliedBy),
    /// Its comment has been added by another change: ask again with the change without it.
    CommentMade,
    /// Read the incident first; not before the server can have had the last byte of these attempts.
    InDoubt(Vec<Doubt>),
    /// What was to be cleared up has been meanwhile, and the change was not made: no read is needed.
    Resolved,
}

/// What a commit returns.
#[derive(Clone, Debug)]
pub struct Receipts {
    /// One for each begin, in their order.
    pub begins: Vec<Receipt>,
    /// The attempts of the looks that may begin: the first ones.
    pub looks: Vec<AttemptId>,
    /// When another permit is free.
    pub next: NextPermit,
    /// Whether calls of other processes are under way: their end can't be foreseen, so it is looked for.
    pub others_under_way: bool,
    /// The pause, if there is one.
    pub pause: Option<Pause>,
}

impl Journal {
    /// Commits a batch of the session's run. `grant` tells how many calls may go, by what was spent: it is given the
    /// ledger, the pause, the time, and how many are wanted.
    ///
    /// # Errors
    /// Where the journal can't be written: then nothing of the batch has happened.
    pub fn commit(
        &mut self,
        batch: &Batch,
        grant: impl FnOnce(&QuotaUsage, Option<Pause>, BootTime, u32) -> Grant,
    ) -> Result<Receipts, JournalError> {
        let result = self.try_commit(batch, grant);
        if result.is_err()
            && let Some(session) = &mut self.session
        {
            session.ledger.forget();
        }
        result.map_err(|error| self.dir.explain(error))
    }

    fn try_commit(
        &mut self,
        batch: &Batch,
        grant: impl FnOnce(&QuotaUsage, Option<Pause>, BootTime, u32) -> Grant,
    ) -> Result<Receipts, JournalError> {
        let Journal { history: History { db, dir, clock }, session, turn, file, process, .. } = self;
        let session = session
            .as_mut()
            .ok_or_else(|| JournalError::Damaged { path: dir.database(), why: "no run is being sent".to_owned() })?;
        let _turn = turn.take()?;
        dir.expect_there(*file)?;
        let tx = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let now = clock.now();
        let horizon = now.boot - session.longest_hold;

        session.ledger.look(&tx, dir.path(), session.scope, *process, now, horizon)?;
        for end in &batch.ends {
            write_end(&tx, session, end)?;
        }
        for (row, outcome) in &batch.over {
            write_outcome(&tx, session.run, *row, outcome)?;
        }
        for (row, before) in &batch.befores {
            tx.prepare_cached("UPDATE rows SET before = ?3 WHERE run = ?1 AND row = ?2")?.execute(params![
                session.run,
                row,
                before
            ])?;
        }

        let mut receipts = Vec::with_capacity(batch.begins.len());
        for begin in &batch.begins {
            // Every row was looked at before it came here: this is the last place where one that was not can be stopped.
            if changes_lists(&begin.change.body) {
                let why = format!("row {} holds a change of a list in the place of the list", begin.row);
                return Err(JournalError::Damaged { path: dir.database(), why });
            }
            receipts.push(deduplicate(&tx, session, begin, now)?);
        }
        let clear = receipts.iter().filter(|receipt| **receipt == Receipt::NoPermit).count() + batch.looks.len();
        let wanted = u32::try_from(clear).unwrap_or(u32::MAX).min(batch.slots);
        let pause = session.ledger.pause.map(Pause::from);
        let grant = grant(&session.ledger.spent, pause, now.boot, wanted);
        let waiting = receipts.iter_mut().zip(&batch.begins).filter(|(receipt, _)| **receipt == Receipt::NoPermit);
        let mut permits = grant.permits as usize;
        for (receipt, begin) in waiting.take(permits) {
            let kind = kind_of(begin, session.appended.as_deref());
            let incident = Some(begin.change.incident);
            let intent = Intent { row: begin.row, incident, kind, process: *process, now };
            *receipt = Receipt::Started(write_intent(&tx, session, &intent)?);
            permits -= 1;
        }
        let mut looks = Vec::new();
        for incident in batch.looks.iter().take(permits) {
            let intent = Intent { row: 0, incident: *incident, kind: READ, process: *process, now };
            looks.push(write_intent(&tx, session, &intent)?);
        }
        tx.commit()?;
        Ok(Receipts {
            begins: receipts,
            looks,
            next: grant.next,
            others_under_way: session.ledger.others > 0,
            pause: session.ledger.pause.map(Pause::from),
        })
    }

    /// The ledger and the pause as the last commit left them.
    #[must_use]
    pub fn spent(&self) -> Option<(&QuotaUsage, Option<Pause>)> {
        self.session.as_ref().map(|session| (&session.ledger.spent, session.ledger.pause.map(Pause::from)))
    }
}

/// [`Receipt::NoPermit`] where nothing but a permit is missing.
fn deduplicate(
    tx: &Transaction<'_>,
    session: &Session,
    begin: &StartRequest,
    now: Now,
) -> Result<Receipt, JournalError> {
    let in_doubt = match &begin.what {
        CallKind::Update => None,
        // Without a comment there are no doubts: it is looked at as it is.
        CallKind::Read(_) if !begin.change.appends => return Ok(Receipt::NoPermit),
        CallKind::Read(doubts) => Some(doubts),
    };
    let (properties, comments) = since(now, session.remember, begin.differed_at);
    let asker = DedupQuery {
        run: session.run,
        row: begin.row,
        since: properties,
        comments_since: comments,
        appended: session.appended.as_deref(),
        asked: begin.asked.as_deref().unwrap_or(&begin.change.body),
    };
    let pasts = updates_for(tx, session.scope, begin.change.incident, begin.merged)?;
    Ok(match standing(&pasts, &begin.change, asker) {
        DedupDecision::Made(made) => Receipt::AlreadyApplied(made),
        DedupDecision::UnderWay => Receipt::InFlight,
        DedupDecision::CommentMade => Receipt::CommentMade,
        // A comment that is sent during a read could be taken for the one in doubt; and one reader is enough.
        _ if begin.change.appends && is_read(tx, session.scope, begin.change.incident)? => Receipt::InFlight,
        DedupDecision::Send if in_doubt.is_some() => Receipt::Resolved,
        DedupDecision::Send => Receipt::NoPermit,
        DedupDecision::InDoubt(doubts) if in_doubt == Some(&doubts) => Receipt::NoPermit,
        DedupDecision::InDoubt(doubts) => Receipt::InDoubt(doubts),
    })
}

const READ: u8 = 0;
const UPDATE: u8 = 1;
/// Its row adds a comment, and the update does not.
const UPDATE_WITHOUT_COMMENT: u8 = 2;

fn kind_of(begin: &StartRequest, appended: Option<&str>) -> u8 {
    if matches!(begin.what, CallKind::Read(_)) {
        return READ;
    }
    let asks_for_comment = || {
        let asked = begin.asked.as_deref().unwrap_or(&begin.change.body);
        appended.is_some_and(|appended| parts(asked, appended).1.is_some())
    };
    if !begin.change.appends && asks_for_comment() { UPDATE_WITHOUT_COMMENT } else { UPDATE }
}

/// A call that is about to be sent. Of a look: row 0; of a list: no incident.
struct Intent {
    row: u64,
    incident: Option<IncidentId>,
    /// [`READ`], [`UPDATE`] or [`UPDATE_WITHOUT_COMMENT`].
    kind: u8,
    process: i64,
    now: Now,
}

fn write_intent(tx: &Transaction<'_>, session: &mut Session, intent: &Intent) -> Result<AttemptId, JournalError> {
    let Intent { row, incident, kind, process, now } = *intent;
    tx.prepare_cached(
        "INSERT INTO attempts (scope, run, row, incident, kind, process, started, started_wall)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        session.scope,
        session.run,
        row,
        incident.map_or(0, stored_id),
        kind,
        process,
        now.boot.0,
        now.wall.as_microsecond(),
    ])?;
    let attempt = AttemptId(tx.last_insert_rowid());
    session.ledger.spent.in_flight += 1;
    if let Some(pause) = &mut session.ledger.pause {
        pause.probe = Some(attempt.0);
        tx.execute("UPDATE scopes SET probe = ?2 WHERE id = ?1", [session.scope, attempt.0])?;
    }
    Ok(attempt)
}

fn write_end(tx: &Transaction<'_>, session: &mut Session, end: &AttemptEnd) -> Result<(), JournalError> {
    let changed = tx
        .prepare_cached(
            "UPDATE attempts
             SET ended = ?2, ended_wall = ?3, verdict = ?4, applied = ?5, http_status = ?6, request_id = ?7
             WHERE id = ?1 AND ended IS NULL",
        )?
        .execute(params![
            end.attempt.0,
            end.at.boot.0,
            end.at.wall.as_microsecond(),
            end.verdict,
            end.made,
            end.http_status,
            end.request_id,
        ])?;
    if changed == 1 {
        if end.verdict == UNSENT {
            session.ledger.unsent();
        } else {
            session.ledger.ended(end.at.boot, end.http_status.is_some());
        }
    }
    for (attempt, made) in &end.resolved {
        let verdict = (end.is_merged && *made).then_some(REDIRECTED);
        tx.prepare_cached(
            "UPDATE attempts SET applied = ?2, verdict = ifnull(?3, verdict) WHERE id = ?1 AND applied IS NULL",
        )?
        .execute(params![attempt.0, made, verdict])?;
    }
    if let Some((row, outcome)) = &end.outcome {
        write_outcome(tx, session.run, *row, outcome)?;
    }
    write_pause(tx, session, end)
}

/// A 429 makes or prolongs the pause, and whoever was trying it out has failed. Any other end of the call that went
/// first lifts it; an older call that succeeds late does not.
fn write_pause(tx: &Transaction<'_>, session: &mut Session, end: &AttemptEnd) -> Result<(), JournalError> {
    let pause = &mut session.ledger.pause;
    if let Some(until) = end.pause_until {
        let until = pause.map_or(until, |pause| pause.until.max(until));
        *pause = Some(super::ledger::StoredPause { until, probe: None });
        tx.prepare_cached("UPDATE scopes SET pause_until = ?2, pause_until_wall = ?3, probe = NULL WHERE id = ?1")?
            .execute(params![session.scope, until.0, end.at.wall_at(until).as_microsecond()])?;
    } else if pause.is_some_and(|pause| pause.probe == Some(end.attempt.0)) {
        *pause = None;
        tx.prepare_cached("UPDATE scopes SET pause_until = NULL, pause_until_wall = NULL, probe = NULL WHERE id = ?1")?
            .execute([session.scope])?;
    }
    Ok(())
}

pub(super) fn write_outcome(tx: &Transaction<'_>, run: i64, row: u64, outcome: &Outcome) -> Result<(), JournalError> {
    tx.prepare_cached(
        "UPDATE rows
         SET outcome = ?3, code = ?4, message = ?5, http_status = ?6, request_id = ?7, finished_wall = ?8
         WHERE run = ?1 AND row = ?2",
    )?
    .execute(params![
        run,
        row,
        outcome.kind.name(),
        outcome.code,
        outcome.message,
        outcome.http_status,
        outcome.request_id,
        outcome.finished_at.map(Timestamp::as_microsecond),
    ])?;
    Ok(())
}
