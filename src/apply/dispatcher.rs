//! The dispatcher: one task that gives every step its order.
//!
//! Each turn of its loop: take in what has ended; decide, row by row, what follows; choose who is next; commit all of it
//! at once; start the calls that have a permit and an intent on the disk; wait for something to happen. What ends during
//! a commit is the next commit, so many calls share one sync without a timer.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::events::{Event, Listener, Pace};
use super::health::{Failures, Health, News, TooMany};
use super::queue::Queue;
use super::row::{Ended, Hand, Rules, Streak, Then};
use super::{ApplyError, Settings, Stop, log};
use crate::attempt::Call;
use crate::client::{Client, Renewal, Transport};
use crate::clock::{BootTime, Clock, Now};
use crate::journal::{AttemptId, Batch, Begin, Journal, JournalError, Receipt, Receipts, RunHandle, What};
use crate::outcome::{Outcome, OutcomeKind, ResultRow};
use crate::permit::NextPermit;
use crate::quota::{Buckets, Forecast, arrival};
use crate::retry::Policy;

/// Tokens that other processes free are looked for this often.
const LOOK: Duration = Duration::from_millis(50);
/// The pace is told no more often than this.
const PACE: Duration = Duration::from_millis(250);
/// Rows without a permit that are looked at ahead: those made before need none, and are over at once.
const AHEAD: usize = 1_000;
/// At most so many rows are looked at in one commit: a neighbour waits for its turn.
const OFFER: usize = 256;

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every row that can be sent has its outcome.
    Over,
    /// It was stopped before.
    Stopped(Stop),
}

/// What [`apply`] gives back.
#[derive(Debug)]
pub struct Ends {
    /// How it ended.
    pub ending: Ending,
    /// The journal.
    pub journal: Journal,
    /// Calls made by this process.
    pub calls: u64,
    /// 429s seen by this process.
    pub throttled: u64,
}

/// Sends what is left of a run, and returns when all of it is over or when it was stopped and no call is under way.
/// `stop` turns true when the user asks to stop.
///
/// The journal is written to where this is polled: on a thread of its own, since a commit waits for the disk. A runtime's
/// `block_on` is one.
///
/// # Errors
/// Where the journal can't be read or written. Calls that were under way are then in doubt, and the next start clears
/// them up.
pub async fn apply<T: Transport>(
    mut journal: Journal,
    run: &RunHandle,
    client: Arc<Client<T>>,
    settings: Settings,
    clock: Clock,
    stop: watch::Receiver<bool>,
    listener: &mut impl Listener,
) -> Result<Ends, ApplyError> {
    let begun = begin(&mut journal, run, &settings)?;
    let (returns, returned) = mpsc::unbounded_channel();
    let started = clock.now();
    let mut dispatcher = Dispatcher {
        buckets: Buckets::new(&settings.quota),
        rules: Rules {
            policy: Policy { max_attempts: settings.max_attempts.max(1) },
            shortest_window: settings.quota.shortest(),
            appended: settings.appended.clone().unwrap_or_default(),
        },
        rng: fastrand::Rng::with_seed(settings.seed),
        health: Health::new(settings.patience),
        failures: Failures::new(settings.max_failures, begun.first),
        deadline: settings.stop_after.map(|after| started.boot + after),
        left: begun.left,
        journal,
        run,
        client,
        settings,
        clock,
        listener,
        queue: Queue::default(),
        flights: HashMap::new(),
        over: Vec::new(),
        ends: Vec::new(),
        finished: Vec::new(),
        returns,
        gate: Gate::Open,
        offer: 1,
        own_pause: None,
        told_pause: None,
        told_pace: None,
        pace_changed: true,
        latency: Duration::from_millis(400),
        token_generation: 0,
        calls: 0,
        throttled: 0,
        stop: None,
    };
    dispatcher.tell(Event::Started { rows: begun.rows, before: begun.before });
    dispatcher.run(returned, stop).await
}

/// What the journal knows of the run when it begins, or goes on.
struct Begun {
    rows: u64,
    left: u64,
    before: Vec<(OutcomeKind, u64)>,
    first: Vec<(OutcomeKind, String)>,
}

fn begin(journal: &mut Journal, run: &RunHandle, settings: &Settings) -> Result<Begun, JournalError> {
    journal.begin_session(run, settings.quota.longest(), settings.remember, settings.appended.as_deref())?;
    let outcomes = journal.outcomes(&run.name)?;
    Ok(Begun {
        rows: outcomes.iter().map(|(_, count)| count).sum(),
        left: outcomes.iter().filter(|(kind, _)| kind.is_none()).map(|(_, count)| count).sum(),
        before: outcomes.iter().filter_map(|(kind, count)| Some(((*kind)?, *count))).collect(),
        first: journal.first_outcomes(run, 5)?,
    })
}

struct Dispatcher<'a, T: Transport, L: Listener> {
    journal: Journal,
    run: &'a RunHandle,
    client: Arc<Client<T>>,
    settings: Settings,
    clock: Clock,
    listener: &'a mut L,
    buckets: Buckets,
    rules: Rules,
    rng: fastrand::Rng,
    health: Health,
    failures: Failures,
    deadline: Option<BootTime>,

    queue: Queue,
    /// Calls under way.
    flights: HashMap<AttemptId, Hand>,

    /// For the next commit: rows that are over without a call, and calls that have ended.
    over: Vec<(u64, Outcome)>,
    ends: Vec<crate::journal::End>,
    /// Rows that are over with the next commit.
    finished: Vec<ResultRow>,
    returns: mpsc::UnboundedSender<Ended>,

    /// When to ask for permits again.
    gate: Gate,
    /// How many rows are offered: more, as long as they turn out to be over without a call.
    offer: usize,
    /// A pause that is longer than what the journal keeps of it.
    own_pause: Option<BootTime>,
    told_pause: Option<BootTime>,
    told_pace: Option<BootTime>,
    pace_changed: bool,
    /// A moving average, for the time of arrival.
    latency: Duration,
    token_generation: u64,
    /// Rows without an outcome.
    left: u64,
    calls: u64,
    throttled: u64,
    stop: Option<Stop>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gate {
    Open,
    Until(BootTime),
    /// Until a call of ours, or of another process, ends.
    UntilAnEnd,
}

impl<T: Transport, L: Listener> Dispatcher<'_, T, L> {
    async fn run(
        mut self,
        mut returned: mpsc::UnboundedReceiver<Ended>,
        mut stop: watch::Receiver<bool>,
    ) -> Result<Ends, ApplyError> {
        loop {
            let now = self.clock.now();
            if *stop.borrow() {
                self.stop(Stop::Asked);
            }
            if self.deadline.is_some_and(|deadline| now.boot >= deadline) {
                self.stop(Stop::Deadline);
            }
            while let Ok(ended) = returned.try_recv() {
                self.take_in(&ended);
            }
            self.let_go_of_held(now);
            let (offered, slots) = self.choose(now)?;
            if !(self.ends.is_empty() && self.over.is_empty() && offered.is_empty()) {
                self.commit(offered, slots)?;
                continue;
            }
            if self.flights.is_empty() && (self.stop.is_some() || self.queue.is_empty()) {
                break;
            }
            self.tell_pace(now);
            // Nothing can be done now: until a call ends, a time comes, or the user asks to stop.
            let wake = self.wake(now).min(self.pace_due().unwrap_or(BootTime(i64::MAX)));
            tokio::select! {
                biased; // The same seed shall go the same way.
                ended = returned.recv() => {
                    if let Some(ended) = ended {
                        self.take_in(&ended);
                    }
                    // What has ended at the same moment shares the commit.
                    tokio::task::yield_now().await;
                }
                () = self.clock.nap_until(wake) => {}
                Ok(()) = stop.changed() => {}
            }
        }
        let ending = self.stop.map_or(Ending::Over, Ending::Stopped);
        Ok(Ends { ending, journal: self.journal, calls: self.calls, throttled: self.throttled })
    }

    /// A call has ended: what follows for its row.
    fn take_in(&mut self, ended: &Ended) {
        let Some(mut hand) = self.flights.remove(&ended.attempt) else { return };
        self.latency = (self.latency * 7 + ended.took) / 8;
        if matches!(self.gate, Gate::UntilAnEnd) {
            self.gate = Gate::Open;
        }
        log::call(&hand, ended);
        // A row's try belongs to the streak in which it failed, also where it is the one that ends the patience.
        let streak = Streak { id: self.health.streak_id, counts: self.health.counts_tries() };
        let news = self.health.hear(&ended.answer.verdict, ended.at.boot);
        let (mut end, then) = hand.settle(ended, streak, &self.rules, &mut self.rng);
        if let Some(until) = end.pause_until {
            self.throttled += 1;
            end.pause_until = Some(self.pause(until, ended));
        }
        if news == News::Forbidden {
            // Not the row's fault: it is sent when the permission is there.
            end.outcome = None;
        }
        if let Some((_, outcome)) = &end.outcome {
            self.finished.push(hand.result(outcome.clone()));
            self.count(outcome.kind, &outcome.code);
        }
        self.ends.push(end);
        match then {
            Then::Over if news == News::Forbidden => self.queue.first(hand),
            Then::Over => self.queue.let_go(&hand),
            Then::Ready => self.queue.first(hand),
            Then::At(due) => {
                let (row, tries) = (hand.row.row, hand.tries());
                let (at, message) = (ended.at.wall_at(due), ended.answer.message.clone());
                self.tell(Event::Retry { row, tries, at, message });
                self.queue.wait(due, hand);
            }
            Then::UsedUp => self.queue.hold(hand),
            Then::Renew { token_generation } => {
                self.queue.first(hand);
                self.renew(token_generation, &ended.answer.message);
            }
        }
        self.follow(news, ended);
    }

    /// What an attempt's end says about the service.
    fn follow(&mut self, news: News, ended: &Ended) {
        let message = ended.answer.message.clone();
        match news {
            News::None => {}
            News::Down { until } => {
                self.forgive();
                self.tell(Event::ServiceDown { until: ended.at.wall_at(until), message });
            }
            News::GivenUp => {
                self.forgive();
                self.stop(Stop::ServiceDown { message });
            }
            News::Up => self.tell(Event::ServiceUp),
            News::Forbidden => self.stop(Stop::Forbidden { message }),
            News::Unauthorized => self.stop(Stop::Unauthorized { message }),
        }
    }

    /// It was the service, not the rows: the tries of this streak do not count.
    fn forgive(&mut self) {
        let streak = self.health.streak_id;
        self.flights.values_mut().for_each(|hand| hand.forgive(streak));
        self.queue.forgive(streak);
    }

    /// Rows whose tries are used up end when it is clear that it was not the service: it has answered since, or nothing
    /// else is left to try it with.
    fn let_go_of_held(&mut self, now: Now) {
        let nothing_else = self.flights.is_empty() && self.queue.has_only_held();
        if self.stop.is_some() || (self.health.is_uncertain() && !nothing_else) {
            return;
        }
        for mut hand in self.queue.take_held() {
            match hand.use_up(now) {
                Ok(due) => self.queue.wait(due, hand),
                Err(outcome) => self.end_without_call(&hand, outcome),
            }
        }
    }

    fn renew(&mut self, generation: u64, message: &str) {
        match self.health.token_refused(generation, self.token_generation) {
            News::Unauthorized => self.stop(Stop::Unauthorized { message: message.to_owned() }),
            _ if generation < self.token_generation => {}
            _ => match self.client.tokens().renew(generation) {
                Renewal::Renewed => self.token_generation = self.client.tokens().current().1,
                Renewal::Same => {}
                Renewal::OtherTenant => {
                    let message = "the new token is for another tenant".to_owned();
                    self.stop(Stop::Unauthorized { message });
                }
                Renewal::Failed(error) => self.stop(Stop::Unauthorized { message: error.to_string() }),
            },
        }
    }

    /// A 429: until when the scope pauses, as the journal keeps it.
    fn pause(&mut self, until: BootTime, ended: &Ended) -> BootTime {
        let longest = self.settings.quota.longest();
        let wait = until.since(ended.at.boot);
        let wall = ended.at.wall_at(until);
        if wait > longest && wait > self.settings.patience {
            self.stop(Stop::PausedTooLong { until: wall });
        }
        if self.own_pause.is_none_or(|own| own < until) {
            self.own_pause = Some(until);
        }
        // Told again only where it is worth a line.
        if self.told_pause.is_none_or(|told| until > told + Duration::from_secs(1)) {
            self.told_pause = Some(until);
            self.tell(Event::Throttled { until: wall, message: ended.answer.message.clone() });
        }
        until.min(ended.at.boot + longest)
    }

    /// Who is next: rows for the next commit, and how many of them may begin a call.
    fn choose(&mut self, now: Now) -> Result<(Vec<Hand>, u32), JournalError> {
        if self.stop.is_some() {
            return Ok((Vec::new(), 0));
        }
        let under_way = u32::try_from(self.flights.len()).unwrap_or(u32::MAX);
        let slots = self.health.slots(self.settings.concurrency.max(1).saturating_sub(under_way), now.boot);
        let paused = self.own_pause.filter(|own| now.boot < *own);
        if paused.is_none() {
            self.own_pause = None;
        }
        let is_open = paused.is_none()
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
    fn take_up(&mut self) -> Result<Option<Hand>, JournalError> {
        while self.queue.wants_rows() {
            self.queue.add(self.journal.pending(self.run, self.queue.last_read(), 256)?);
        }
        Ok(self.queue.take_up())
    }

    /// Commits what has ended and who is next, starts the calls that may go, and tells of the rows that are over.
    fn commit(&mut self, offered: Vec<Hand>, slots: u32) -> Result<(), JournalError> {
        let begins: Vec<Begin> = offered
            .iter()
            .map(|hand| Begin { row: hand.row.row, change: hand.row.change.clone(), what: hand.what.clone() })
            .collect();
        let batch = Batch { ends: std::mem::take(&mut self.ends), over: std::mem::take(&mut self.over), begins, slots };
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
    fn serve(&mut self, offered: Vec<Hand>, slots: u32, receipts: Receipts, now: Now) {
        let (mut started, mut unserved, all) = (0, Vec::new(), offered.len());
        for (mut hand, receipt) in offered.into_iter().zip(receipts.begins) {
            match receipt {
                Receipt::Started(attempt) => {
                    started += 1;
                    hand.row.attempts += 1;
                    self.send(attempt, hand, now);
                }
                Receipt::NoPermit => unserved.push(hand),
                Receipt::UnderWay => self.queue.wait(now.boot + LOOK, hand),
                Receipt::Made(made) => {
                    let outcome = Hand::made_before(&made, now);
                    self.end_without_call(&hand, outcome);
                }
                Receipt::InDoubt(doubts) => {
                    let due = hand.read_first(doubts);
                    self.queue.wait(due, hand);
                }
                Receipt::ClearedUp => match hand.was_not_made(now) {
                    None => self.queue.first(hand),
                    Some(outcome) => self.end_without_call(&hand, outcome),
                },
            }
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
    fn send(&mut self, attempt: AttemptId, hand: Hand, started: Now) {
        let call = match hand.what {
            What::Update => Call::Update(hand.row.change.clone()),
            What::Read(_) => Call::Read(hand.row.change.incident),
        };
        self.calls += 1;
        self.health.begins();
        self.flights.insert(attempt, hand);
        let (client, clock, returns) = (Arc::clone(&self.client), self.clock.clone(), self.returns.clone());
        tokio::spawn(async move {
            let answer = client.call(&call).await;
            let at = clock.now();
            let took = at.boot.since(started.boot);
            // Nobody listens any more only where the whole run was given up.
            let _ = returns.send(Ended { attempt, answer, at, took });
        });
    }

    fn end_without_call(&mut self, hand: &Hand, outcome: Outcome) {
        self.count(outcome.kind, &outcome.code);
        self.finished.push(hand.result(outcome.clone()));
        self.over.push((hand.row.row, outcome));
        self.queue.let_go(hand);
    }

    /// A row's outcome is known: are there too many that failed?
    fn count(&mut self, kind: OutcomeKind, code: &str) {
        self.left = self.left.saturating_sub(1);
        match self.failures.hear(kind, code) {
            Some(TooMany::Failures(failed)) => self.stop(Stop::TooManyFailures { failed }),
            // With nothing left, five calls were all that the file could cost.
            Some(TooMany::FirstRows { rows, code }) if self.left > 0 => self.stop(Stop::FirstRowsFailed { rows, code }),
            _ => {}
        }
    }

    /// When to look again, if no call ends before.
    fn wake(&self, now: Now) -> BootTime {
        let never = now.boot + Duration::from_hours(1);
        let deadline = self.deadline.filter(|_| self.stop.is_none()).unwrap_or(never);
        if self.stop.is_some() || self.flights.len() >= self.settings.concurrency.max(1) as usize {
            return deadline;
        }
        let Some(next) = self.queue.next_due(now.boot) else { return deadline };
        let gate = match self.gate {
            Gate::Open => now.boot,
            Gate::Until(at) => at,
            Gate::UntilAnEnd => never,
        };
        let down =
            self.health.pause().map_or(now.boot, |until| if self.health.slots(1, until) == 0 { never } else { until });
        next.max(gate).max(self.own_pause.unwrap_or(now.boot)).max(down).min(deadline)
    }

    fn stop(&mut self, why: Stop) {
        if self.stop.is_some() {
            return;
        }
        self.stop = Some(why.clone());
        let in_flight = self.flights.len();
        self.tell(Event::Stopping { reason: why, in_flight });
    }

    fn tell(&mut self, event: Event) {
        log::event(&event);
        if let Err(error) = self.listener.hear(event) {
            self.stop(Stop::ListenerFailed { message: error.to_string() });
        }
    }

    /// When the pace is to be told, if something has changed since it was.
    fn pace_due(&self) -> Option<BootTime> {
        // What it costs grows with what is left.
        let pause = PACE + Duration::from_micros(200) * u32::try_from(self.left).unwrap_or(u32::MAX);
        self.pace_changed.then(|| self.told_pace.map_or(BootTime(i64::MIN), |told| told + pause))
    }

    fn tell_pace(&mut self, now: Now) {
        if self.pace_due().is_none_or(|due| now.boot < due) {
            return;
        }
        self.pace_changed = false;
        self.told_pace = Some(now.boot);
        let ahead = Forecast { calls: self.left, concurrency: self.settings.concurrency.max(1), latency: self.latency };
        let own_pause = self.own_pause;
        let Some((spent, pause)) = self.journal.spent() else { return };
        let (windows, in_flight) = (self.buckets.in_use(spent, now.boot), spent.in_flight);
        let arrival = arrival(&self.buckets, spent, pause, now.boot, ahead);
        let arrival = arrival.max(own_pause.unwrap_or(arrival));
        let next_call = match self.gate {
            Gate::Until(at) if at > now.boot => Some(now.wall_at(at.max(own_pause.unwrap_or(at)))),
            _ => None,
        };
        self.tell(Event::Pace(Pace {
            windows,
            next_call,
            arrival: now.wall_at(arrival),
            in_flight,
            calls: self.calls,
            throttled: self.throttled,
        }));
    }
}
