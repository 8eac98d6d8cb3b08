//! Who is next: rows are chosen and offered, and those that have a permit and an intent on the disk are sent.

use super::super::LOOK;
use super::super::events::{Event, Listener};
use super::super::row_state::RowState;
use super::{Dispatcher, Gate};
use crate::client::Transport;
use crate::clock::Now;
use crate::journal::{AttemptId, Batch, CallKind, JournalError, Receipt, Receipts, StartRequest};
use crate::model::call::Call;
use crate::model::permit::NextPermit;
use crate::model::step::Part;

/// Rows without a permit that are looked at ahead: those made before need none, and are over at once.
const AHEAD: usize = 1_000;
/// At most so many rows are looked at in one commit: a neighbour waits for its turn.
const OFFER: usize = 256;

impl<T: Transport, L: Listener> Dispatcher<'_, T, L> {
    /// Who is next: rows for the next commit, and how many of them may begin a call.
    pub(super) fn choose(&mut self, now: Now) -> Result<(Vec<RowState>, u32), JournalError> {
        if self.stop.is_some() {
            return Ok((Vec::new(), 0));
        }
        let under_way = u32::try_from(self.in_flight.len()).unwrap_or(u32::MAX);
        let slots = self.service.health.slots(self.settings.concurrency.max(1).saturating_sub(under_way), now.boot);
        let is_open = !self.service.is_paused(now.boot)
            && match self.gate {
                Gate::Open => true,
                Gate::Until(at) => now.boot >= at,
                Gate::UntilAnEnd => false,
            };
        if slots == 0 {
            return Ok((Vec::new(), 0));
        }
        let mut offered = Vec::new();
        if is_open {
            let most = self.offer.max(slots as usize).min(OFFER);
            while offered.len() < most {
                let hand = match self.queue.due(now.boot) {
                    Some(hand) => Some(hand),
                    None => self.take_up()?,
                };
                match hand {
                    Some(hand) => offered.push(hand),
                    None => break,
                }
            }
            return Ok((offered, slots));
        }
        // No permit: look ahead for rows that need none.
        while self.queue.ready() + offered.len() < AHEAD && offered.len() < OFFER {
            match self.take_up()? {
                Some(hand) => offered.push(hand),
                None => break,
            }
        }
        Ok((offered, 0))
    }

    /// The next row that was not taken up yet, if its incident is free.
    fn take_up(&mut self) -> Result<Option<RowState>, JournalError> {
        while self.queue.wants_rows() {
            self.queue.add(self.journal.sendable(self.run, self.queue.last_read(), 256)?);
        }
        Ok(self.queue.take_up())
    }

    /// Commits what has ended and who is next, starts the calls that may go, and tells of the rows that are over.
    pub(super) fn commit(&mut self, offered: Vec<RowState>, slots: u32) -> Result<(), JournalError> {
        let begins = offered
            .iter()
            .map(|RowState { row, what, .. }| StartRequest::new(row, Part::Whole, what.clone()))
            .collect();
        let (ends, over) = (std::mem::take(&mut self.ends), std::mem::take(&mut self.over));
        let batch = Batch { ends, over, begins, slots, ..Batch::default() };
        let grant = |spent: &_, pause, now, wanted| self.buckets.grant(spent, pause, now, wanted);
        let receipts = self.journal.commit(&batch, grant)?;
        let now = self.clock.now();
        let finished = std::mem::take(&mut self.finished);
        // The calls first: to tell of the others takes its time.
        self.serve(offered, slots, receipts, now);
        if !finished.is_empty() {
            self.tell(Event::Finished(finished));
        }
        self.pace_changed = true;
        self.tell_pace(now);
        Ok(())
    }

    /// What became of the rows that were offered.
    fn serve(&mut self, offered: Vec<RowState>, slots: u32, receipts: Receipts, now: Now) {
        let (mut started, mut unserved, all) = (0, Vec::new(), offered.len());
        for (mut hand, receipt) in offered.into_iter().zip(receipts.begins) {
            match receipt {
                Receipt::Started(attempt) => {
                    started += 1;
                    hand.row.attempts += 1;
                    self.send(attempt, hand, now);
                }
                Receipt::NoPermit => unserved.push(hand),
                Receipt::InFlight => self.queue.wait(now.boot + LOOK, hand),
                Receipt::AlreadyApplied(made) => {
                    let outcome = RowState::made_before(&made, now);
                    self.end_without_call(&hand, outcome);
                }
                Receipt::CommentMade => {
                    hand.leave_out_comment();
                    match hand.was_not_made(now) {
                        None => self.queue.first(hand),
                        Some(outcome) => self.end_without_call(&hand, outcome),
                    }
                }
                Receipt::InDoubt(doubts) => {
                    let due = hand.read_first(doubts, self.rules.settle);
                    self.queue.wait(due, hand);
                }
                Receipt::Resolved => match hand.was_not_made(now) {
                    None => self.queue.first(hand),
                    Some(outcome) => self.end_without_call(&hand, outcome),
                },
            }
        }
        // Rows that need no request are done in a long pause, too.
        if !unserved.is_empty()
            && let Some(stop) = self.service.stored_pause(receipts.pause, now)
        {
            self.stop(stop);
        }
        let nobody_needed_a_call = started == 0 && unserved.is_empty();
        self.offer = if nobody_needed_a_call && all > 0 { (all * 2).min(OFFER) } else { 1 };
        self.gate = match receipts.next {
            _ if unserved.is_empty() || started >= slots.max(1) => Gate::Open,
            NextPermit::At(at) => Gate::Until(at),
            NextPermit::AfterACallInFlight if receipts.others_under_way => Gate::Until(now.boot + LOOK),
            NextPermit::AfterACallInFlight => Gate::UntilAnEnd,
        };
        if slots == 0 {
            // Looked at ahead: they stand behind those that were there before.
            for hand in unserved {
                self.queue.last(hand);
            }
        } else {
            for hand in unserved.into_iter().rev() {
                self.queue.first(hand);
            }
        }
    }

    /// Sends a call whose intent is on the disk. The one thing here that runs beside the dispatcher.
    fn send(&mut self, attempt: AttemptId, hand: RowState, started: Now) {
        let call = match hand.what {
            CallKind::Update => Call::Step(self.rules.contract.step(Part::Whole, hand.row.change.clone())),
            CallKind::Read(_) => Call::Read(hand.row.change.incident),
        };
        self.calls += 1;
        self.reads += u64::from(matches!(call, Call::Read(_)));
        self.service.health.begins();
        self.in_flight.insert(attempt, hand);
        self.callers.call(attempt, call, started);
    }
}
