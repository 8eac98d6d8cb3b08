//! Reading: calls that only look, made under the same quota, journal and care for the service as those for rows.
//!
//! What is read, and in which order, is a [`Reader`]'s to say; here it waits for its permit, has its intent on the disk
//! before it is sent, and is tried again. A read does no harm: nothing of it is ever in doubt.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::events::{Event, Listener, Pace};
use super::service::{Follows, Service, resumes_at};
use super::{ApplyError, Ending, Ends, LOOK, PACE, Settings, Stop, log};
use crate::attempt::{Answer, Call, Verdict};
use crate::client::{Client, Transport};
use crate::clock::{BootTime, Clock, Now};
use crate::journal::{AttemptId, Batch, End, Journal};
use crate::permit::NextPermit;
use crate::quota::{Buckets, Forecast, arrival};
use crate::retry::{Next, Policy};

/// Says what is read, and takes it.
pub trait Reader {
    /// The next call, if one can be named now; what is under way may lead to more.
    fn next(&mut self) -> Option<Call>;

    /// Takes what a call has shown: a read, a list, or an answer that stays an error.
    ///
    /// # Errors
    /// Where it can't be kept: nothing more is read.
    fn hear(&mut self, call: &Call, answer: &Answer) -> io::Result<Heard>;

    /// How many calls are left, as far as is known: for the time of arrival.
    fn calls_left(&self) -> u64;

    /// Whether a call that has failed in this way, which may pass, is better made otherwise than again.
    fn changes_course(&self, _: &Call, _: &Answer) -> bool {
        false
    }
}

/// What came of a call.
#[derive(Debug, Default)]
pub struct Heard {
    /// What rows' incidents look like, as JSON, for the journal.
    pub befores: Vec<(u64, String)>,
    /// So many incidents more are known.
    pub incidents: u64,
}

/// Makes the reader's calls until it names none and none is under way. The journal's session has begun. The journal is
/// written to where this is polled.
///
/// # Errors
/// Where the journal can't be read or written.
pub async fn read<T: Transport>(
    journal: Journal,
    client: Arc<Client<T>>,
    settings: Settings,
    clock: Clock,
    stop: watch::Receiver<bool>,
    reader: &mut impl Reader,
    listener: &mut impl Listener,
) -> Result<Ends, ApplyError> {
    let (returns, returned) = mpsc::unbounded_channel();
    let reading = Reading {
        buckets: Buckets::new(&settings.quota),
        policy: Policy { max_attempts: settings.max_attempts.max(1) },
        rng: fastrand::Rng::with_seed(settings.seed),
        service: Service::new(&settings.quota, settings.patience),
        journal,
        client,
        settings,
        clock,
        reader,
        listener,
        ready: VecDeque::new(),
        waiting: BTreeMap::new(),
        serial: 0,
        flights: HashMap::new(),
        batch: Batch::default(),
        returns,
        gate: BootTime(i64::MIN),
        told_pace: None,
        latency: Duration::from_millis(400),
        calls: 0,
        stop: None,
    };
    reading.run(returned, stop).await
}

/// A call and how often it was tried in vain.
#[derive(Debug)]
struct Try {
    call: Call,
    tries: u32,
}

/// A call that has ended.
struct Ended {
    attempt: AttemptId,
    answer: Answer,
    at: Now,
    took: Duration,
}

struct Reading<'a, T: Transport, R: Reader, L: Listener> {
    journal: Journal,
    client: Arc<Client<T>>,
    settings: Settings,
    clock: Clock,
    reader: &'a mut R,
    listener: &'a mut L,
    buckets: Buckets,
    policy: Policy,
    rng: fastrand::Rng,
    service: Service,

    /// Wait for nothing but a permit.
    ready: VecDeque<Try>,
    /// Wait for their time; the number keeps equal times apart.
    waiting: BTreeMap<(BootTime, u64), Try>,
    serial: u64,
    flights: HashMap<AttemptId, Try>,
    /// What has ended, for the next commit.
    batch: Batch,
    returns: mpsc::UnboundedSender<Ended>,
    /// Permits are asked for again at this time.
    gate: BootTime,
    told_pace: Option<BootTime>,
    latency: Duration,
    calls: u64,
    stop: Option<Stop>,
}

impl<T: Transport, R: Reader, L: Listener> Reading<'_, T, R, L> {
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
            while let Ok(ended) = returned.try_recv() {
                self.take_in(ended);
            }
            let slots = self.choose(now);
            if slots > 0 || !self.batch.ends.is_empty() {
                self.commit(slots)?;
                continue;
            }
            if self.flights.is_empty() && (self.stop.is_some() || self.is_done()) {
                break;
            }
            let wake = self.wake(now);
            tokio::select! {
                biased; // The same seed shall go the same way.
                ended = returned.recv() => {
                    if let Some(ended) = ended {
                        self.take_in(ended);
                    }
                    // What has ended at the same moment shares the commit.
                    tokio::task::yield_now().await;
                }
                () = self.clock.nap_until(wake) => {}
                Ok(()) = stop.changed() => {}
            }
        }
        let ending = self.stop.map_or(Ending::Over, Ending::Stopped);
        Ok(Ends { ending, journal: self.journal, calls: self.calls, throttled: self.service.throttled })
    }

    fn is_done(&self) -> bool {
        self.ready.is_empty() && self.waiting.is_empty()
    }

    /// Fills `ready` as far as calls may go now; how many that is.
    fn choose(&mut self, now: Now) -> u32 {
        let under_way = u32::try_from(self.flights.len()).unwrap_or(u32::MAX);
        let slots = self.service.health.slots(self.settings.concurrency.max(1).saturating_sub(under_way), now.boot);
        if self.stop.is_some() || now.boot < self.gate || self.is_paused(now) {
            return 0;
        }
        while self.ready.len() < slots as usize {
            let is_due = self.waiting.first_key_value().is_some_and(|((due, _), _)| *due <= now.boot);
            let due = if is_due { self.waiting.pop_first().map(|(_, one)| one) } else { None };
            let next = due.or_else(|| self.reader.next().map(|call| Try { call, tries: 0 }));
            match next {
                Some(next) => self.ready.push_back(next),
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
        if !self.ready.is_empty()
            && let Some(stop) = self.service.look_for_token(now, self.client.tokens())
        {
            self.stop(stop);
            return true;
        }
        self.service.own_pause(now.boot).is_some()
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
            self.gate = match receipts.next {
                NextPermit::At(at) => at,
                // It opens when one of ours ends.
                NextPermit::AfterACallInFlight if !receipts.others_under_way => BootTime(i64::MAX),
                NextPermit::AfterACallInFlight => now.boot + LOOK,
            };
        }
        self.tell_pace(now);
        Ok(())
    }

    fn send(&mut self, attempt: AttemptId, next: Try, started: Now) {
        self.calls += 1;
        self.service.health.begins();
        let call = next.call.clone();
        self.flights.insert(attempt, next);
        let (client, clock, returns) = (Arc::clone(&self.client), self.clock.clone(), self.returns.clone());
        tokio::spawn(async move {
            let answer = client.call(&call).await;
            let at = clock.now();
            // Nobody listens any more only where all was given up.
            let _ = returns.send(Ended { attempt, answer, at, took: at.boot.since(started.boot) });
        });
    }

    /// A call has ended: what follows for it and for all others.
    fn take_in(&mut self, ended: Ended) {
        let Ended { attempt, answer, at, took } = ended;
        let Some(mut tried) = self.flights.remove(&attempt) else { return };
        self.latency = (self.latency * 7 + took) / 8;
        if self.gate == BootTime(i64::MAX) {
            self.gate = at.boot;
        }
        log::look(&tried.call, &answer, took);
        let counts = self.service.health.counts_tries();
        let news = self.service.health.hear(&answer.verdict, at.boot);
        tried.tries +=
            u32::from(counts && matches!(answer.verdict, Verdict::Transient { .. } | Verdict::Unsent { .. }));
        let mut end = End {
            attempt,
            at,
            verdict: answer.verdict.name(),
            made: None,
            http_status: answer.http_status,
            request_id: answer.request_id.clone(),
            outcome: None,
            resolved: Vec::new(),
            pause_until: None,
        };
        match self.policy.decide(&answer.verdict, tried.tries.max(1), &mut self.rng) {
            Next::Again { .. } if self.reader.changes_course(&tried.call, &answer) => self.hear(&tried.call, &answer),
            Next::Again { after } => self.wait(at.boot + after, tried),
            // Whether it is this call or the service is not clear yet: it waits for the others, if there are any.
            Next::GiveUp { .. } if self.may_be_the_service() => {
                self.wait(at.boot + crate::retry::outage_pause(1), tried);
            }
            // Of reads none is unconfirmed.
            Next::Done { .. } | Next::Compare | Next::Look | Next::GiveUp { .. } => self.hear(&tried.call, &answer),
            Next::Pause { resume } => {
                let until = resumes_at(resume, at, self.settings.quota.shortest());
                let (kept, follows) = self.service.pause(until, at, &answer.message);
                end.pause_until = Some(kept);
                self.follow(follows);
                self.ready.push_front(tried);
            }
            Next::Renew { token_generation } => {
                let tokens = self.client.tokens();
                if let Some(stop) = self.service.token_refused(token_generation, at, tokens, &answer.message) {
                    self.stop(stop);
                }
                self.ready.push_front(tried);
            }
        }
        self.batch.ends.push(end);
        self.follow(Service::follows(news, at, &answer.message));
    }

    /// Whether the service may be down, and there is something else to tell by.
    fn may_be_the_service(&self) -> bool {
        let is_alone = self.flights.is_empty() && self.is_done() && self.reader.calls_left() == 0;
        let health = &self.service.health;
        !is_alone && (health.is_uncertain() || health.wake(BootTime(i64::MAX)).is_some())
    }

    fn hear(&mut self, call: &Call, answer: &Answer) {
        match self.reader.hear(call, answer) {
            Ok(heard) => {
                self.batch.befores.extend(heard.befores);
                self.tell(Event::Looked(heard.incidents));
            }
            Err(error) => self.stop(Stop::ListenerFailed { message: error.to_string() }),
        }
    }

    fn wait(&mut self, due: BootTime, tried: Try) {
        self.serial += 1;
        self.waiting.insert((due, self.serial), tried);
    }

    fn follow(&mut self, follows: Follows) {
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
        if self.stop.is_some() || self.flights.len() >= self.settings.concurrency.max(1) as usize {
            return never;
        }
        let due = match (self.ready.is_empty(), self.waiting.first_key_value()) {
            (false, _) => now.boot,
            (true, Some(((due, _), _))) => *due,
            // The reader waits for what is under way.
            (true, None) => return never,
        };
        let down = self.service.health.wake(never).unwrap_or(now.boot);
        self.service.not_before_pause(due.max(self.gate).max(down)).min(never)
    }

    fn tell_pace(&mut self, now: Now) {
        if self.told_pace.is_some_and(|told| now.boot < told + PACE) {
            return;
        }
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

    fn stop(&mut self, why: Stop) {
        if self.stop.is_none() {
            self.stop = Some(why.clone());
            self.tell(Event::Stopping { reason: why, in_flight: self.flights.len() });
        }
    }

    fn tell(&mut self, event: Event) {
        log::event(&event);
        if let Err(error) = self.listener.hear(event) {
            self.stop(Stop::ListenerFailed { message: error.to_string() });
        }
    }
}
