//! Reading: calls that only look, made under the same quota, journal and care for the service as those for rows.
//!
//! What is read, and in which order, is a [`ReadSource`]'s to say; here it waits for its permit, has its intent on the disk
//! before it is sent, and is tried again. A read does no harm: nothing of it is ever in doubt.
//!
//! Promise: the loop ends as [`ReadEnd::Exhausted`] only if the reader says that its source has nothing left to read.
//! An empty queue is no such statement: in an outage, too, nothing is in flight.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::callers::{Callers, CompletedCall};
use super::events::{Event, Listener, Pace};
use super::health::HealthEvent;
use super::service::{Effects, ServiceState};
use super::{ApplyError, EngineSettings, GUESSED_LATENCY, LOOK, PACE, StopReason, log};
use crate::client::{Client, Transport};
use crate::clock::{BootTime, Clock, Now};
use crate::journal::{AttemptEnd, AttemptId, Batch, Journal};
use crate::model::call::{Call, CallResult, Page, Verdict};
use crate::model::permit::NextPermit;
use crate::quota::{Buckets, Forecast, arrival};
use crate::retry::{Policy, RetryDecision, delay};

/// Says what is read, and takes it.
pub trait ReadSource {
    /// What to read next.
    fn next(&mut self) -> Wanted;

    /// Takes what a call has shown: a read, a list, or an answer that stays an error.
    ///
    /// # Errors
    /// If nothing more can be read, or what was read can't be kept.
    fn on_result(&mut self, call: &Call, answer: &CallResult) -> Result<ReadResult, StopReason>;

    /// What to request after a transient error of a page.
    ///
    /// # Errors
    /// If there is no other way to read what the page would have shown.
    fn page_failed(&mut self, page: &Page, answer: &CallResult) -> Result<Course, StopReason>;

    /// Whether reads of single incidents can replace a page: then its failure does not mean an outage.
    fn can_read_singly(&self) -> bool;

    /// How many calls are left, as far as is known: for the time of arrival.
    fn calls_left(&self) -> u64;
}

/// What a reader wants next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This request.
    Call(Call),
    /// It depends on the requests in flight.
    Later,
    /// The source has nothing left to read.
    Nothing,
}

/// What follows for a page that was not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Course {
    /// This request takes its place, after a delay.
    Request(Call),
    /// The reader names other requests when it is asked.
    Ask,
}

/// Why a read loop ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReadEnd {
    /// The source has nothing left to read: what was read is complete.
    Exhausted,
    /// It was stopped before: what was read is incomplete.
    Stopped(StopReason),
}

/// What [`read`] returns.
#[derive(Debug)]
pub struct ReadEnds {
    /// Why it ended.
    pub end: ReadEnd,
    /// The journal.
    pub journal: Journal,
    /// Calls made by this process.
    pub calls: u64,
    /// 429s seen by this process.
    pub throttled: u64,
}

/// What came of a call.
#[derive(Debug, Default)]
pub struct ReadResult {
    /// What rows' incidents look like, as JSON, for the journal.
    pub befores: Vec<(u64, String)>,
    /// So many incidents more are known.
    pub incidents: u64,
}

/// Makes the reader's calls until its source has nothing left to read, or until it is stopped. The journal's session has
/// begun. The journal is written to where this is polled.
///
/// # Errors
/// Where the journal can't be read or written.
pub async fn read<T: Transport>(
    journal: Journal,
    client: Arc<Client<T>>,
    settings: EngineSettings,
    clock: Clock,
    stop: watch::Receiver<bool>,
    reader: &mut impl ReadSource,
    listener: &mut impl Listener,
) -> Result<ReadEnds, ApplyError> {
    let latency = journal.latency()?.unwrap_or(GUESSED_LATENCY);
    let reading = ReadLoop {
        buckets: Buckets::new(&settings.quota),
        policy: Policy { max_attempts: settings.max_attempts.max(1) },
        rng: fastrand::Rng::with_seed(settings.seed),
        service: ServiceState::new(&settings.quota, settings.patience),
        journal,
        callers: Callers::new(client, clock.clone()),
        settings,
        clock,
        reader,
        listener,
        last_wanted: None,
        ready: VecDeque::new(),
        waiting: BTreeMap::new(),
        serial: 0,
        flights: HashMap::new(),
        batch: Batch::default(),
        gate: BootTime(i64::MIN),
        told_pace: None,
        pace_changed: true,
        latency,
        calls: 0,
        stop: None,
    };
    reading.run(stop).await
}

/// A call and how often it was tried in vain.
#[derive(Debug)]
struct PendingRead {
    call: Call,
    tries: u32,
}

struct ReadLoop<'a, T: Transport, R: ReadSource, L: Listener> {
    journal: Journal,
    callers: Callers<T>,
    settings: EngineSettings,
    clock: Clock,
    reader: &'a mut R,
    listener: &'a mut L,
    buckets: Buckets,
    policy: Policy,
    rng: fastrand::Rng,
    service: ServiceState,

    /// What the reader said last, if it named no request and none has ended since.
    last_wanted: Option<Wanted>,
    /// Wait for nothing but a permit.
    ready: VecDeque<PendingRead>,
    /// Wait for their time; the number keeps equal times apart.
    waiting: BTreeMap<(BootTime, u64), PendingRead>,
    serial: u64,
    flights: HashMap<AttemptId, PendingRead>,
    /// What has ended, for the next commit.
    batch: Batch,
    /// Permits are asked for again at this time.
    gate: BootTime,
    told_pace: Option<BootTime>,
    pace_changed: bool,
    latency: Duration,
    calls: u64,
    stop: Option<StopReason>,
}

impl<T: Transport, R: ReadSource, L: Listener> ReadLoop<'_, T, R, L> {
    async fn run(mut self, mut stop: watch::Receiver<bool>) -> Result<ReadEnds, ApplyError> {
        let mut token_changes = self.callers.tokens().changes();
        let end = loop {
            let now = self.clock.now();
            if *stop.borrow() {
                self.stop(StopReason::Requested);
            }
            while let Some(ended) = self.callers.try_ended() {
                self.take_in(ended);
            }
            let slots = self.choose(now);
            if slots > 0 || !self.batch.ends.is_empty() {
                self.commit(slots)?;
                continue;
            }
            if let Some(end) = self.end() {
                break end;
            }
            // A wait is told before it begins, with what is true then.
            self.tell_pace(now);
            let wake = self.wake(now).min(self.pace_due().unwrap_or(BootTime(i64::MAX)));
            tokio::select! {
                biased; // The same seed shall go the same way.
                ended = self.callers.ended() => {
                    self.take_in(ended);
                    // What has ended at the same moment shares the commit.
                    tokio::task::yield_now().await;
                }
                () = self.clock.sleep_briefly_until(wake) => {}
                Ok(()) = token_changes.changed() => {}
                Ok(()) = stop.changed() => {}
            }
        };
        Ok(ReadEnds { end, journal: self.journal, calls: self.calls, throttled: self.service.throttled })
    }

    /// Whether this is the end, and which one.
    fn end(&self) -> Option<ReadEnd> {
        if !self.flights.is_empty() {
            return None;
        }
        if let Some(stop) = &self.stop {
            return Some(ReadEnd::Stopped(stop.clone()));
        }
        match self.last_wanted.as_ref().filter(|_| self.is_idle())? {
            Wanted::Nothing => Some(ReadEnd::Exhausted),
            // Nothing is in flight that it could depend on.
            Wanted::Later | Wanted::Call(_) => {
                Some(ReadEnd::Stopped(StopReason::ListFailed { message: "the reader waits for nothing".to_owned() }))
            }
        }
    }

    /// Whether no request is at hand, those in flight aside.
    fn is_idle(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty()
    }

    /// Asks the reader for one more request. Returns whether it named one.
    fn ask_reader(&mut self) -> bool {
        if self.last_wanted.is_some() {
            return false;
        }
        match self.reader.next() {
            Wanted::Call(call) => {
                self.ready.push_back(PendingRead { call, tries: 0 });
                true
            }
            other => {
                self.last_wanted = Some(other);
                false
            }
        }
    }

    /// Fills `ready` as far as calls may go now; how many that is.
    fn choose(&mut self, now: Now) -> u32 {
        if self.stop.is_some() {
            return 0;
        }
        // Whether the source is exhausted is asked also while no call may go.
        if self.flights.is_empty() && self.is_idle() {
            self.ask_reader();
        }
        let under_way = u32::try_from(self.flights.len()).unwrap_or(u32::MAX);
        let slots = self.service.health.slots(self.settings.concurrency.max(1).saturating_sub(under_way), now.boot);
        if now.boot < self.gate || self.is_paused(now) {
            return 0;
        }
        while self.ready.len() < slots as usize {
            let is_due = self.waiting.first_key_value().is_some_and(|((due, _), _)| *due <= now.boot);
            let due = if is_due { self.waiting.pop_first().map(|(_, one)| one) } else { None };
            match due {
                Some(due) => self.ready.push_back(due),
                None if self.ask_reader() => {}
                None => break,
            }
        }
        if self.is_paused(now) {
            return 0;
        }
        slots.min(u32::try_from(self.ready.len()).unwrap_or(u32::MAX))
    }

    /// Whether no call may start now, for a pause of the service or for want of a valid token.
    fn is_paused(&mut self, now: Now) -> bool {
        // Without a call to make none is asked for.
        if !self.ready.is_empty() {
            if let Some(stop) = self.service.check_token(self.callers.tokens(), now) {
                self.stop(stop);
                return true;
            }
            self.pace_changed |= self.service.awaits_token;
        }
        self.service.is_paused(now.boot)
    }

    /// Commits what has ended, and sends the calls that have a permit and an intent on the disk.
    fn commit(&mut self, slots: u32) -> Result<(), ApplyError> {
        let mut batch = std::mem::take(&mut self.batch);
        batch.slots = slots;
        batch.looks = self.ready.iter().take(slots as usize).map(|next| next.call.incident()).collect();
        let grant = |spent: &_, pause, now, wanted| self.buckets.grant(spent, pause, now, wanted);
        let receipts = self.journal.commit(&batch, grant)?;
        let now = self.clock.now();
        let started = receipts.looks.len();
        for attempt in receipts.looks {
            if let Some(next) = self.ready.pop_front() {
                self.send(attempt, next, now);
            }
        }
        if started < slots as usize {
            if let Some(stop) = self.service.stored_pause(receipts.pause, now) {
                self.stop(stop);
            }
            self.gate = match receipts.next {
                NextPermit::At(at) => at,
                // It opens when one of ours ends.
                NextPermit::AfterACallInFlight if !receipts.others_under_way => BootTime(i64::MAX),
                NextPermit::AfterACallInFlight => now.boot + LOOK,
            };
        }
        self.pace_changed = true;
        self.tell_pace(now);
        Ok(())
    }

    fn send(&mut self, attempt: AttemptId, next: PendingRead, started: Now) {
        self.calls += 1;
        self.service.health.begins();
        let call = next.call.clone();
        self.flights.insert(attempt, next);
        self.callers.call(attempt, call, started);
    }

    /// A call has ended: what follows for it and for all others.
    fn take_in(&mut self, ended: CompletedCall) {
        let CompletedCall { attempt, answer, at, took } = ended;
        let Some(mut tried) = self.flights.remove(&attempt) else { return };
        self.latency = (self.latency * 7 + took) / 8;
        if self.gate == BootTime(i64::MAX) {
            self.gate = at.boot;
        }
        log::look(&tried.call, &answer, took);
        self.last_wanted = None;
        let is_transient = matches!(answer.verdict, Verdict::Transient { .. } | Verdict::Unsent { .. });
        let failed_page =
            if let (Call::List(page), true) = (&tried.call, is_transient) { Some(page.clone()) } else { None };
        let counts = self.service.health.counts_tries();
        // In an outage every request tells whether it is over.
        let says_nothing = matches!(answer.verdict, Verdict::Transient { .. })
            && failed_page.is_some()
            && self.reader.can_read_singly()
            && !self.service.health.is_down();
        let news = if says_nothing { HealthEvent::None } else { self.service.health.record(&answer.verdict, at.boot) };
        tried.tries += u32::from(counts && is_transient);
        let mut end = AttemptEnd::of(attempt, at.boot, &answer);
        if let Some((kept, follows)) = self.service.pause(&answer, at) {
            end.pause_until = Some(kept);
            self.follow(follows);
        }
        let stop = if let Some(page) = failed_page {
            self.page_failed(&page, tried, &answer, at)
        } else {
            self.decide(tried, &answer, at)
        };
        self.batch.ends.push(end);
        // A missing permission says more than the failure that it causes.
        self.follow(ServiceState::follows(news, at, &answer.message));
        if let Some(stop) = stop {
            self.stop(stop);
        }
    }

    /// A page was not read: what takes its place, or why nothing more is read.
    fn page_failed(&mut self, page: &Page, tried: PendingRead, answer: &CallResult, at: Now) -> Option<StopReason> {
        let after = at.boot + delay(tried.tries.max(1), &mut self.rng);
        match self.reader.page_failed(page, answer) {
            Ok(Course::Request(call)) => {
                let tries = if call == tried.call { tried.tries } else { 0 };
                self.wait(after, PendingRead { call, tries });
            }
            Ok(Course::Ask) => {}
            // An outage is no reason to give up before its time.
            Err(_) if self.service.health.is_down() && !answer.is_truncated => self.wait(after, tried),
            Err(why) => return Some(why),
        }
        None
    }

    /// What follows for any other call that has ended.
    fn decide(&mut self, tried: PendingRead, answer: &CallResult, at: Now) -> Option<StopReason> {
        match self.policy.decide(&answer.verdict, tried.tries.max(1), &mut self.rng) {
            RetryDecision::Again { after } => self.wait(at.boot + after, tried),
            // Whether it is this call or the service is not clear yet: it waits for the others, if there are any.
            RetryDecision::GiveUp { .. } if self.may_be_the_service() => {
                self.wait(at.boot + crate::retry::outage_pause(1), tried);
            }
            // Of reads none is unconfirmed.
            RetryDecision::Done { .. }
            | RetryDecision::Compare
            | RetryDecision::Look
            | RetryDecision::GiveUp { .. } => {
                return self.on_result(&tried.call, answer).err();
            }
            RetryDecision::AtOnce | RetryDecision::Pause => self.ready.push_front(tried),
        }
        None
    }

    /// Whether the service may be down: it is, or there is something else to tell by.
    fn may_be_the_service(&self) -> bool {
        let is_alone = self.flights.is_empty() && self.is_idle() && self.reader.calls_left() == 0;
        let health = &self.service.health;
        health.is_down() || (health.is_uncertain() && !is_alone)
    }

    fn on_result(&mut self, call: &Call, answer: &CallResult) -> Result<(), StopReason> {
        let heard = self.reader.on_result(call, answer)?;
        self.batch.befores.extend(heard.befores);
        self.tell(Event::IncidentsRead(heard.incidents));
        Ok(())
    }

    fn wait(&mut self, due: BootTime, tried: PendingRead) {
        self.serial += 1;
        self.waiting.insert((due, self.serial), tried);
    }

    fn follow(&mut self, follows: Effects) {
        if follows.forgives {
            let tries = self.flights.values_mut().chain(self.waiting.values_mut()).chain(&mut self.ready);
            tries.for_each(|tried| tried.tries = 0);
        }
        if let Some(event) = follows.event {
            self.tell(event);
        }
        if let Some(stop) = follows.stop {
            self.stop(stop);
        }
    }

    /// When to look again, if no call ends before.
    fn wake(&self, now: Now) -> BootTime {
        let never = now.boot + Duration::from_hours(1);
        let is_full = self.flights.len() >= self.settings.concurrency.max(1) as usize;
        if self.stop.is_some() || is_full {
            return never;
        }
        if self.service.awaits_token {
            return now.boot + PACE;
        }
        let due = match self.waiting.first_key_value().filter(|_| self.ready.is_empty()) {
            Some(((due, _), _)) => *due,
            // The reader waits for what is under way.
            None if self.ready.is_empty() && self.last_wanted.is_some() => return never,
            None => now.boot,
        };
        let down = self.service.health.wake(never).unwrap_or(now.boot);
        self.service.not_before_pause(due.max(self.gate).max(down)).min(never)
    }

    /// When the pace is to be told, if something has changed since it was.
    fn pace_due(&self) -> Option<BootTime> {
        self.pace_changed.then(|| self.told_pace.map_or(BootTime(i64::MIN), |told| told + PACE))
    }

    fn tell_pace(&mut self, now: Now) {
        if self.pace_due().is_none_or(|due| now.boot < due) {
            return;
        }
        self.pace_changed = false;
        self.told_pace = Some(now.boot);
        let Some((spent, pause)) = self.journal.spent() else { return };
        let ahead = Forecast {
            calls: self.reader.calls_left() + (self.ready.len() + self.waiting.len()) as u64,
            concurrency: self.settings.concurrency.max(1),
            latency: self.latency,
        };
        let arrival = self.service.not_before_pause(arrival(&self.buckets, spent, pause, now.boot, ahead));
        let next_call = (self.gate > now.boot && self.gate < BootTime(i64::MAX)).then_some(self.gate);
        let pace = Pace {
            windows: self.buckets.in_use(spent, now.boot),
            next_call: next_call.map(|at| now.wall_at(self.service.not_before_pause(at))),
            arrival: now.wall_at(arrival),
            in_flight: spent.in_flight,
            calls: self.calls,
            throttled: self.service.throttled,
        };
        self.tell(Event::Pace(pace));
    }

    fn stop(&mut self, why: StopReason) {
        if self.stop.is_none() {
            self.stop = Some(why.clone());
            self.tell(Event::Stopping { reason: why, in_flight: self.flights.len() });
        }
    }

    fn tell(&mut self, event: Event) {
        log::event(&event);
        if let Err(error) = self.listener.on_event(event) {
            self.stop(StopReason::ListenerFailed { message: error.to_string() });
        }
    }
}
