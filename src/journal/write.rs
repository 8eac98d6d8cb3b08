//! What a commit writes: ends of attempts, outcomes, snapshots, the pause, intents.

use rusqlite::{Transaction, params};

use super::attempt::AttemptId;
use super::batch::{AttemptEnd, Batch, Receipt, Receipts};
use super::columns::write_outcome;
use super::decide::{Decision, Intent};
use super::ledger::Ledger;
use super::ledger_store::LedgerKey;
use super::sql::stored_id;
use crate::clock::Now;
use crate::model::call::REDIRECTED;
use crate::model::permit::Pause;

/// Where and when a commit writes.
pub(super) struct Writer<'a, 'c> {
    pub(super) tx: &'a Transaction<'c>,
    pub(super) key: LedgerKey,
    pub(super) run: i64,
    pub(super) now: Now,
}

impl Writer<'_, '_> {
    /// Writes a batch and what was decided about it; the ledger takes in the intents.
    pub(super) fn write(
        &self,
        batch: &Batch,
        decision: Decision,
        ledger: &mut Ledger,
    ) -> Result<Receipts, rusqlite::Error> {
        for end in &batch.ends {
            self.end(end)?;
        }
        for (row, outcome) in &batch.finished {
            write_outcome(self.tx, self.run, *row, outcome)?;
        }
        for (row, before) in &batch.snapshots {
            self.tx
                .prepare_cached("UPDATE rows SET before = ?3 WHERE run = ?1 AND row = ?2")?
                .execute(params![self.run, row, before])?;
        }
        if decision.pause_changed {
            self.pause(ledger)?;
        }
        let mut starts = Vec::with_capacity(decision.starts.len());
        for start in decision.starts {
            starts.push(match start {
                Ok(intent) => Receipt::Started(self.intent(&intent, ledger)?),
                Err(receipt) => receipt,
            });
        }
        let reads = decision.reads.iter().map(|intent| self.intent(intent, ledger)).collect::<Result<_, _>>()?;
        Ok(Receipts {
            starts,
            reads,
            next: decision.next,
            others_in_flight: ledger.others() > 0,
            pause: ledger.pause.map(Pause::from),
        })
    }

    fn end(&self, end: &AttemptEnd) -> Result<(), rusqlite::Error> {
        self.tx
            .prepare_cached(
                "UPDATE attempts
                 SET ended = ?3, ended_wall = ?4, verdict = ?5, applied = ?6, http_status = ?7, request_id = ?8
                 WHERE id = ?1 AND process = ?2 AND ended IS NULL",
            )?
            .execute(params![
                end.attempt.number,
                end.attempt.session,
                end.at.0,
                self.now.wall_at(end.at).as_microsecond(),
                end.verdict,
                end.applied,
                end.http_status,
                end.request_id,
            ])?;
        for (attempt, applied) in &end.resolved {
            let verdict = (end.is_merged && *applied).then_some(REDIRECTED);
            self.tx
                .prepare_cached(
                    "UPDATE attempts SET applied = ?3, verdict = ifnull(?4, verdict)
                     WHERE id = ?1 AND process = ?2 AND applied IS NULL",
                )?
                .execute(params![attempt.number, attempt.session, applied, verdict])?;
        }
        if let Some((row, outcome)) = &end.outcome {
            write_outcome(self.tx, self.run, *row, outcome)?;
        }
        Ok(())
    }

    fn pause(&self, ledger: &Ledger) -> Result<(), rusqlite::Error> {
        let until = ledger.pause.map(|pause| pause.until);
        self.tx
            .prepare_cached("UPDATE scopes SET pause_until = ?2, pause_until_wall = ?3, probe = NULL WHERE id = ?1")?
            .execute(params![
                self.key.scope,
                until.map(|until| until.0),
                until.map(|until| self.now.wall_at(until).as_microsecond()),
            ])?;
        Ok(())
    }

    /// An attempt is on the disk before its request is sent. In a pause it is the probe.
    fn intent(&self, intent: &Intent, ledger: &mut Ledger) -> Result<AttemptId, rusqlite::Error> {
        let LedgerKey { scope, process } = self.key;
        self.tx
            .prepare_cached(
                "INSERT INTO attempts (scope, run, row, incident, kind, process, started, started_wall, step)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                scope,
                self.run,
                intent.row,
                intent.incident.map_or(0, stored_id),
                intent.kind as u8,
                process,
                self.now.boot.0,
                self.now.wall.as_microsecond(),
                intent.step,
            ])?;
        let number = self.tx.last_insert_rowid();
        ledger.start(number);
        if let Some(pause) = &mut ledger.pause {
            pause.probe = Some(number);
            self.tx.execute("UPDATE scopes SET probe = ?2 WHERE id = ?1", [scope, number])?;
        }
        Ok(AttemptId { session: process, number })
    }
}
