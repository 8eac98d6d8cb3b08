//! Decisions of a commit: which requests may start, and what is written. Pure.
//!
//! The rule of deduplication, for each step: a row is not sent if a run of this tenant key has applied the same change,
//! unless a later update set one of its properties to another value, or its response showed only a part of it. Then its
//! properties are sent again, and its comment only if the response did not show it. A row waits while the same change is
//! in flight elsewhere; comments go to an incident one at a time, and an attempt in doubt is resolved first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::attempt::{AppliedBy, AttemptId, Doubt, KnownUpdate};
use super::batch::{AttemptEnd, Batch, CallKind, Receipt, StartRequest};
use super::ledger::{Ledger, StoredPause};
use crate::clock::{BootTime, Now};
use crate::model::call::{PARTLY, PARTLY_WITH_COMMENT, REDIRECTED, UNSENT};
use crate::model::change::{Change, IncidentId};
use crate::model::edit::{Edit, Edits};
use crate::model::permit::{Grant, NextPermit, Pause, QuotaUsage};
use crate::model::step::{Part, Repeat};

/// What stays the same for all decisions of one session.
#[derive(Clone, Debug, Default)]
pub(super) struct Rules {
    pub(super) run: i64,
    /// How long a change that another run applied is remembered.
    pub(super) remember: Duration,
}

/// One update of an incident, in flight or ended.
#[derive(Clone, Debug)]
pub(super) struct PriorUpdate {
    pub(super) attempt: AttemptId,
    pub(super) run: i64,
    pub(super) row: u64,
    pub(super) run_name: String,
    pub(super) run_is_finished: bool,
    pub(super) started: BootTime,
    pub(super) ended: Option<BootTime>,
    pub(super) ended_wall: Timestamp,
    pub(super) applied: Option<bool>,
    pub(super) verdict: Option<String>,
    /// What was sent.
    pub(super) change: Change,
    /// Which part of its row that is.
    pub(super) part: Part,
    /// What the row asked for. Changes are compared by this, not by the complete lists that were sent.
    pub(super) asked: Edits,
}

impl PriorUpdate {
    /// Whether a request asked for the same.
    fn is_same(&self, query: &DedupQuery<'_>) -> bool {
        let own = self.asked.iter().filter(|one| self.part.holds(one));
        own.eq(query.asked.iter().filter(|one| query.part.holds(one)))
    }

    fn has_verdict(&self, name: &str) -> bool {
        self.verdict.as_deref() == Some(name)
    }

    /// It went to an incident that had been merged into another.
    fn was_redirected(&self) -> bool {
        self.has_verdict(REDIRECTED)
    }

    /// The response showed only a part of it: the properties are sent again, and a comment that was not shown.
    fn was_partly_shown(&self) -> bool {
        self.has_verdict(PARTLY) || self.has_verdict(PARTLY_WITH_COMMENT)
    }

    /// Whether it added its comment, as far as known.
    fn appends(&self) -> bool {
        self.change.edits.repeat() == Repeat::AppendsOnce && !self.has_verdict(PARTLY)
    }
}

/// What the store knows of some incidents.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// The updates of each incident, oldest first.
    pub(super) updates: BTreeMap<IncidentId, Vec<PriorUpdate>>,
    /// The reads in flight.
    pub(super) reads: BTreeSet<(IncidentId, AttemptId)>,
}

impl Facts {
    /// The updates of an incident, oldest first. If the row's own incident, `merged`, was merged into this one, earlier
    /// updates of that incident count too.
    pub(super) fn updates_of(&self, incident: IncidentId, merged: Option<IncidentId>) -> Vec<&PriorUpdate> {
        let of = |incident: &IncidentId| self.updates.get(incident).into_iter().flatten();
        let mut updates: Vec<&PriorUpdate> = of(&incident).collect();
        if let Some(merged) = merged {
            updates.extend(of(&merged).filter(|update| update.applied == Some(true) && !update.was_redirected()));
            updates.sort_by_key(|update| update.attempt.number);
        }
        updates
    }

    fn is_read(&self, incident: IncidentId) -> bool {
        self.reads.iter().any(|(read, _)| *read == incident)
    }

    /// Takes in the end of an attempt. `was_open`: it was in flight until now.
    fn apply_end(&mut self, end: &AttemptEnd, now: Now, was_open: bool) {
        if was_open {
            self.reads.retain(|(_, attempt)| *attempt != end.attempt);
        }
        for update in self.updates.values_mut().flatten() {
            if was_open && update.attempt == end.attempt {
                update.ended = Some(end.at);
                update.ended_wall = now.wall_at(end.at);
                update.applied = end.applied;
                update.verdict = Some(end.verdict.to_owned());
            }
            let resolved = end.resolved.iter().find(|(attempt, _)| *attempt == update.attempt);
            if let Some((_, applied)) = resolved
                && update.applied.is_none()
            {
                update.applied = Some(*applied);
                if end.is_merged && *applied {
                    update.verdict = Some(REDIRECTED.to_owned());
                }
            }
        }
    }
}

/// A request that is about to be sent. A read for no row has row 0; a list has no incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Intent {
    pub(super) row: u64,
    pub(super) incident: Option<IncidentId>,
    pub(super) kind: AttemptKind,
    pub(super) step: u8,
}

/// What an attempt does, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptKind {
    Read = 0,
    Update = 1,
    /// Its row adds a comment that the incident already has: the update leaves it out.
    UpdateWithoutComment = 2,
    /// A step of a row whose comment is a separate step.
    Step = 3,
}

/// The number of the step that sends a part.
pub(super) fn step_of(part: Part) -> u8 {
    match part {
        Part::Whole | Part::Properties => 0,
        Part::Comment => 1,
    }
}

/// The part that an attempt sends, by its kind and step as they are stored.
pub(super) fn part_of(kind: u8, step: u8) -> Part {
    match (kind, step) {
        (kind, 0) if kind == AttemptKind::Step as u8 => Part::Properties,
        (kind, _) if kind == AttemptKind::Step as u8 => Part::Comment,
        _ => Part::Whole,
    }
}

/// What a commit has decided.
#[derive(Clone, Debug)]
pub(super) struct Decision {
    /// Per request, in their order: its intent, or why it has none.
    pub(super) starts: Vec<Result<Intent, Receipt>>,
    /// The reads that start: the first ones.
    pub(super) reads: Vec<Intent>,
    pub(super) next: NextPermit,
    /// Whether the pause has changed and must be written.
    pub(super) pause_changed: bool,
}

/// Decides about a batch, from the facts before it. The ledger takes in the ends of attempts.
pub(super) fn decide(
    rules: &Rules,
    mut facts: Facts,
    ledger: &mut Ledger,
    batch: &Batch,
    now: Now,
    grant: impl FnOnce(&QuotaUsage, Option<Pause>, BootTime, u32) -> Grant,
) -> Decision {
    let mut pause_changed = false;
    for end in &batch.ends {
        let counts = (end.verdict != UNSENT).then_some((end.at, end.http_status.is_some()));
        let was_open = ledger.end(end.attempt.number, counts);
        facts.apply_end(end, now, was_open);
        pause_changed |= apply_pause(&mut ledger.pause, end);
    }
    let mut starts = Vec::with_capacity(batch.starts.len());
    for request in &batch.starts {
        starts.push(match receipt(rules, &facts, request, now) {
            Receipt::NoPermit => Ok(intent_of(request)),
            receipt => Err(receipt),
        });
    }
    let clear = starts.iter().filter(|start| start.is_ok()).count() + batch.reads.len();
    let wanted = u32::try_from(clear).unwrap_or(u32::MAX).min(batch.slots);
    let grant = grant(&ledger.usage, ledger.pause.map(Pause::from), now.boot, wanted);
    let mut permits = grant.permits as usize;
    for start in starts.iter_mut().filter(|start| start.is_ok()) {
        match permits.checked_sub(1) {
            Some(left) => permits = left,
            None => *start = Err(Receipt::NoPermit),
        }
    }
    let read = |incident: &Option<IncidentId>| Intent { row: 0, incident: *incident, kind: AttemptKind::Read, step: 0 };
    let reads = batch.reads.iter().take(permits).map(read).collect();
    Decision { starts, reads, next: grant.next, pause_changed }
}

/// A 429 starts or prolongs the pause, and the attempt that probed it has failed. Any other end of the probe lifts the
/// pause, unless it was not sent: then the next request probes. An older request that succeeds late does not lift it.
/// Returns whether the pause has changed.
fn apply_pause(pause: &mut Option<StoredPause>, end: &AttemptEnd) -> bool {
    if let Some(until) = end.pause_until {
        let until = pause.map_or(until, |pause| pause.until.max(until));
        *pause = Some(StoredPause { until, probe: None });
        true
    } else if let Some(StoredPause { until, probe }) = *pause
        && probe == Some(end.attempt.number)
    {
        *pause = (end.verdict == UNSENT).then_some(StoredPause { until, probe: None });
        true
    } else {
        false
    }
}

fn intent_of(request: &StartRequest) -> Intent {
    let adds = request.change.edits.repeat() == Repeat::AppendsOnce;
    let asks_for_comment = || request.asked.as_ref().is_some_and(|asked| asked.added().is_some());
    let kind = match request.kind {
        CallKind::Read(_) => AttemptKind::Read,
        CallKind::Update if request.part != Part::Whole => AttemptKind::Step,
        CallKind::Update if !adds && asks_for_comment() => AttemptKind::UpdateWithoutComment,
        CallKind::Update => AttemptKind::Update,
    };
    Intent { row: request.row, incident: Some(request.change.incident), kind, step: step_of(request.part) }
}

/// The intent of a request, or why it has none; [`Receipt::NoPermit`] if only a permit is missing.
fn receipt(rules: &Rules, facts: &Facts, request: &StartRequest, now: Now) -> Receipt {
    let adds = request.change.edits.repeat() == Repeat::AppendsOnce;
    let in_doubt = match &request.kind {
        CallKind::Update => None,
        // Without a comment there are no doubts: the incident is simply read.
        CallKind::Read(_) if !adds => return Receipt::NoPermit,
        CallKind::Read(doubts) => Some(doubts),
    };
    let (since, comments_since) = since(now, rules.remember, request.differed_at);
    let asked = request.asked();
    let query =
        DedupQuery { run: rules.run, row: request.row, since, comments_since, asked: &asked, part: request.part };
    let prior = facts.updates_of(request.change.incident, request.merged);
    match deduplicate(&prior, &request.change.edits, query) {
        DedupDecision::Applied(applied) => Receipt::AlreadyApplied(applied),
        DedupDecision::InFlight => Receipt::InFlight,
        DedupDecision::CommentApplied => Receipt::CommentApplied,
        // A comment sent during a read could be mistaken for the one in doubt; and one reader is enough.
        _ if adds && facts.is_read(request.change.incident) => Receipt::InFlight,
        DedupDecision::Send if in_doubt.is_some() => Receipt::Resolved,
        DedupDecision::Send => Receipt::NoPermit,
        DedupDecision::InDoubt(doubts) if in_doubt == Some(&doubts) => Receipt::NoPermit,
        DedupDecision::InDoubt(doubts) => Receipt::InDoubt(doubts),
    }
}

/// The decision of deduplication about a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DedupDecision {
    /// No earlier update prevents it.
    Send,
    /// The same change is in flight, or both add a comment.
    InFlight,
    /// It has been applied.
    Applied(AppliedBy),
    /// Its comment has been added; its properties are not set.
    CommentApplied,
    /// A comment may have been added by these attempts: read the incident first.
    InDoubt(Vec<Doubt>),
}

/// The row to decide about, and which earlier updates count.
#[derive(Clone, Copy, Debug)]
pub(super) struct DedupQuery<'a> {
    pub(super) run: i64,
    pub(super) row: u64,
    /// Updates that other runs applied before this don't count.
    pub(super) since: BootTime,
    /// The same for comments: a read can't show whether somebody else has removed one.
    pub(super) comments_since: BootTime,
    /// What the row asks for, before list edits were resolved.
    pub(super) asked: &'a Edits,
    /// Which part of that is to be sent.
    pub(super) part: Part,
}

/// A read may lag: our updates in this time before it take precedence over what it shows.
pub(super) const READS_LAG: Duration = Duration::from_mins(1);

/// Start of the dedup window, for properties and for comments. After a read that differs, only later updates of
/// properties count; remembered comments always count.
pub(super) fn since(now: Now, remember: Duration, differed_at: Option<Timestamp>) -> (BootTime, BootTime) {
    let remembered = now.boot - remember;
    let differed = differed_at.map(|at| now.boot_at(at) - READS_LAG);
    (differed.map_or(remembered, |at| remembered.max(at)), remembered)
}

/// Whether an update of ours that ended since `since`, or is in flight, set one of the properties of `asked` to another
/// value, and none set it back.
pub(super) fn was_set_differently(prior: &[&PriorUpdate], asked: &Edits, since: BootTime) -> bool {
    let recent = prior.iter().rev().filter(|prior| prior.applied != Some(false));
    let recent = recent.take_while(|prior| prior.ended.is_none_or(|ended| ended > since));
    // A comment alone reverts nothing.
    let mut until_same = recent.take_while(|prior| prior.part == Part::Comment || prior.asked != *asked);
    until_same.any(|prior| sets_differently(&prior.change.edits, asked))
}

/// The rule of deduplication.
pub(super) fn deduplicate<L>(prior: &[&PriorUpdate], ours: &Edits<L>, query: DedupQuery<'_>) -> DedupDecision {
    let applied = |prior: &PriorUpdate| {
        DedupDecision::Applied(AppliedBy {
            run: prior.run_name.clone(),
            own_run: prior.run == query.run,
            own_row: prior.run == query.run && prior.row == query.row,
            was_redirected: prior.was_redirected(),
            was_partly_shown: prior.was_partly_shown(),
            at: prior.ended_wall,
        })
    };
    let is_same = |prior: &PriorUpdate| prior.is_same(&query);
    // A change is applied once in one run, whatever others have set since.
    let is_own = |prior: &&&PriorUpdate| prior.run == query.run && prior.applied == Some(true) && is_same(prior);
    if let Some(prior) = prior.iter().rev().find(is_own) {
        return applied(prior);
    }
    // If two comments with the same text were sent at the same time, no read could tell which was added.
    let excludes = |prior: &PriorUpdate| is_same(prior) || prior.appends() && ours.added().is_some();
    if prior.iter().any(|prior| prior.ended.is_none() && excludes(prior)) {
        return DedupDecision::InFlight;
    }
    if ours.added().is_some() {
        let doubts = doubts(prior, query);
        if !doubts.is_empty() {
            return DedupDecision::InDoubt(doubts);
        }
    }
    for prior in prior.iter().rev().filter(|prior| prior.applied != Some(false)) {
        let is_remembered = prior.ended.is_some_and(|ended| ended > query.since);
        if is_same(prior) && prior.applied == Some(true) && is_remembered {
            if prior.was_partly_shown() {
                break;
            }
            return applied(prior);
        }
        if !is_same(prior) && sets_differently(&prior.change.edits, query.asked) {
            break;
        }
    }
    match comment_applied(prior, ours.added(), query) {
        Some(prior) if !ours.sets_any() => applied(prior),
        Some(_) => DedupDecision::CommentApplied,
        None => DedupDecision::Send,
    }
}

/// The last update within the dedup window that added the same comment.
fn comment_applied<'a>(
    prior: &[&'a PriorUpdate],
    ours: Option<(&str, &str)>,
    query: DedupQuery<'_>,
) -> Option<&'a PriorUpdate> {
    let ours = ours?;
    prior.iter().rev().copied().find(|prior| {
        let is_remembered = prior.run == query.run || prior.ended.is_some_and(|ended| ended > query.comments_since);
        prior.applied == Some(true) && prior.appends() && is_remembered && prior.change.edits.added() == Some(ours)
    })
}

fn doubts(prior: &[&PriorUpdate], query: DedupQuery<'_>) -> Vec<Doubt> {
    let known: Arc<[KnownUpdate]> = prior
        .iter()
        .filter(|prior| prior.applied == Some(true) && prior.appends())
        .filter_map(|prior| {
            Some(KnownUpdate { change: prior.change.clone(), started: prior.started, ended: prior.ended? })
        })
        .collect();
    prior
        .iter()
        .filter(|prior| prior.applied.is_none() && prior.appends())
        .filter_map(|prior| {
            Some(Doubt {
                attempt: prior.attempt,
                change: prior.change.clone(),
                started: prior.started,
                ended: prior.ended?,
                own_row: prior.run == query.run && prior.row == query.row,
                known: Arc::clone(&known),
            })
        })
        .collect()
}

/// Whether `theirs` sets a property to another value than `ours` asks for. A comment is added, not set.
fn sets_differently(theirs: &Edits, ours: &Edits) -> bool {
    let differs = |ours: &Edit, theirs: &Edit| match ours {
        // Their list is as ours asks for if our edit changes nothing in it.
        Edit::EditList(edit) => {
            let theirs = theirs.value();
            edit.apply_to(&theirs).is_none_or(|list| list != theirs)
        }
        ours => ours != theirs,
    };
    ours.sets().any(|one| theirs.of(&one.property).is_some_and(|theirs| differs(&one.edit, theirs)))
}
