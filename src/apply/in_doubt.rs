//! Doubt: whether an attempt without a usable response was applied, by what reads of its incident show.
//!
//! Promises: pure; a comment that was there before, or that another known update of ours added, is not mistaken for the
//! one in doubt; an attempt counts as not applied only if no comment could be its own.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::clock::{BootTime, Now};
use crate::compare::{differences, may_show};
use crate::contract::SameAs;
use crate::journal::{AttemptId, Doubt, KnownUpdate};
use crate::model::call::{Added, CLOCKS_DIFFER_BY, Comment, Incident, SLACK};
use crate::model::comment_text::may_be;
use crate::model::edit::Edits;

/// The reads that decide about an attempt start at these fractions of the settle time after it ended.
const READS_AFTER: [(u32, u32); 3] = [(1, 15), (1, 3), (1, 1)];

/// When to read the incident next about an attempt that ended at `ended`, after a read that started at `read_at`;
/// `None` if that read was late enough to decide.
pub(super) fn next_read(ended: BootTime, settle: Duration, read_at: Option<BootTime>) -> Option<BootTime> {
    let mut due = READS_AFTER.iter().map(|(part, whole)| ended + settle * *part / *whole);
    due.find(|due| read_at.is_none_or(|read_at| read_at < *due))
}

/// The times of a read.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadTiming {
    /// When the response had arrived.
    pub(super) at: Now,
    /// How long the read took.
    pub(super) took: Duration,
    /// The server's time of the response, if it has a `Date` (whole seconds).
    pub(super) server_time: Option<Timestamp>,
}

/// What reads show of an attempt in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It was applied.
    Applied,
    /// Nothing of it is shown.
    Absent,
    /// A comment is shown that may be its own.
    Unexplained,
}

/// What this process has seen of its own comments.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnComments {
    /// When the process began to send.
    since: BootTime,
    author: Option<String>,
    /// How far the clock of `createdTime` is ahead of ours.
    offset: Option<SignedDuration>,
    /// The service stored another text than was sent.
    are_rewritten: bool,
}

impl OwnComments {
    pub(super) fn new(since: BootTime) -> OwnComments {
        OwnComments { since, ..OwnComments::default() }
    }

    /// Takes in a response at `at`, after `took`, that shows the comment that its update added.
    pub(super) fn record(&mut self, added: &Added, at: Now, took: Duration) {
        self.are_rewritten |= added.is_rewritten;
        let Some(comment) = &added.comment else { return };
        self.author = comment.created_by.clone().or_else(|| self.author.take());
        let offset = comment.created_at.map(|created| created.duration_since(at.wall_at(at.boot - took / 2)));
        // An old comment with the same text tells nothing.
        self.offset = offset.filter(|offset| offset.abs() <= CLOCKS_DIFFER_BY).or(self.offset);
    }

    /// Takes in a comment of ours that a read shows, sent as `sent`.
    fn find(&mut self, comment: &Comment, sent: &str) {
        self.are_rewritten |= comment.text != sent;
        self.author = comment.created_by.clone().or_else(|| self.author.take());
    }

    /// Whether somebody else wrote it. An earlier process may have used another account.
    fn excludes(&self, comment: &Comment, doubt: &Doubt) -> bool {
        match (&self.author, &comment.created_by) {
            (Some(ours), Some(theirs)) => doubt.started >= self.since && !ours.eq_ignore_ascii_case(theirs),
            _ => false,
        }
    }
}

/// The comments that a read showed before the attempt.
#[derive(Clone, Debug)]
pub(super) struct ReadBefore {
    at: BootTime,
    marks: HashSet<u64, BuildHasherDefault<DefaultHasher>>,
}

impl ReadBefore {
    pub(super) fn new(incident: &Incident, at: BootTime) -> ReadBefore {
        ReadBefore { at, marks: incident.comments.iter().map(mark).collect() }
    }

    fn has(&self, comment: &Comment, doubt: &Doubt) -> bool {
        self.at <= doubt.started && self.marks.contains(&mark(comment))
    }
}

fn mark(comment: &Comment) -> u64 {
    let Comment { text, created_by, created_at } = comment;
    BuildHasherDefault::<DefaultHasher>::default().hash_one((text, created_by, created_at))
}

/// Compares the times of comments with those of attempts, for one read.
struct Clocks {
    seen: ReadTiming,
    settle: Duration,
    slack: SignedDuration,
    /// How far the server's clock may be ahead of ours, by all we know.
    offsets: Vec<SignedDuration>,
    /// The best known bounds: those from our own comments, if any were seen.
    best: usize,
}

impl Clocks {
    fn new(seen: ReadTiming, settle: Duration, own: &OwnComments) -> Clocks {
        let took = SignedDuration::try_from(seen.took).unwrap_or(SignedDuration::ZERO);
        let by_date = seen.server_time.map(|theirs| theirs.duration_since(seen.at.wall));
        let offsets: Vec<_> = own.offset.into_iter().chain([SignedDuration::ZERO]).chain(by_date).collect();
        let best = if own.offset.is_some() { 1 } else { offsets.len() };
        Clocks { seen, settle, slack: SLACK + took, offsets, best }
    }

    /// Whether a comment of this time may be of an attempt that lasted from `started` to `ended`.
    fn fit(
        &self,
        at: Timestamp,
        window: (BootTime, BootTime),
        slack: SignedDuration,
        offsets: &[SignedDuration],
    ) -> bool {
        let from = self.seen.at.wall_at(window.0);
        let to = self.seen.at.wall_at(window.1 + self.settle);
        let is_within = |offset: &SignedDuration| {
            from.duration_since(at) + *offset <= slack && at.duration_since(to) - *offset <= slack
        };
        offsets.iter().any(is_within)
    }

    fn is_near(&self, at: Timestamp, window: (BootTime, BootTime)) -> bool {
        self.fit(at, window, self.slack, &self.offsets)
    }

    /// Within the bounds from our own comments.
    fn is_its_time(&self, at: Timestamp, window: (BootTime, BootTime)) -> bool {
        self.fit(at, window, self.slack, &self.offsets[..self.best])
    }

    fn is_far(&self, at: Timestamp, window: (BootTime, BootTime)) -> bool {
        self.fit(at, window, CLOCKS_DIFFER_BY, &self.offsets)
    }
}

/// A read that is to resolve doubts, and its context.
pub(super) struct Evidence<'a> {
    pub(super) incident: &'a Incident,
    pub(super) seen: ReadTiming,
    /// Values that are equal by the contract.
    pub(super) same_as: &'a SameAs,
    /// How long the service may take to show a change.
    pub(super) settle: Duration,
    /// What an earlier read showed.
    pub(super) before: Option<&'a ReadBefore>,
}

/// The finding about each attempt in doubt.
pub(super) fn resolve(doubts: &[Doubt], evidence: &Evidence<'_>, own: &mut OwnComments) -> Vec<(AttemptId, Found)> {
    let Evidence { incident, seen, same_as, settle, before } = *evidence;
    let clocks = Clocks::new(seen, settle, own);
    let mut free: Vec<Option<&Comment>> = incident.comments.iter().map(Some).collect();
    free.sort_by_key(|comment| comment.and_then(|comment| comment.created_at));
    // Updates known to have been applied take their comments first, the earliest update the oldest comment that fits:
    // so each finds its own.
    let mut known: Vec<&KnownUpdate> = doubts.first().map_or(&[][..], |doubt| &doubt.known).iter().collect();
    known.sort_by_key(|known| known.ended);
    let is_near = |comment: &Comment, KnownUpdate { started, ended, .. }: &KnownUpdate| {
        comment.created_at.is_none_or(|at| clocks.is_near(at, (*started, *ended)))
    };
    known.retain(|known| {
        let text = known.change.edits.added_text();
        let fits = |comment: &Comment| is_near(comment, known) && is_text(text, comment);
        take(&mut free, fits).is_none()
    });

    let mut oldest_first: Vec<&Doubt> = doubts.iter().collect();
    oldest_first.sort_by_key(|doubt| doubt.started);
    let is_old = |comment: &Comment, doubt: &Doubt| before.is_some_and(|before| before.has(comment, doubt));
    let is_applied: Vec<bool> = oldest_first
        .iter()
        .map(|doubt| {
            let text = doubt.change.edits.added_text();
            let window = (doubt.started, doubt.ended);
            let fits = |comment: &Comment| {
                let is_its_time = match comment.created_at {
                    Some(at) => clocks.is_its_time(at, window),
                    // Without a time the other properties must confirm it.
                    None => matches(&doubt.change.edits, incident, same_as),
                };
                is_its_time && is_text(text, comment) && !is_old(comment, doubt)
            };
            let found = take(&mut free, fits);
            if let (Some(comment), Some(text)) = (found, text) {
                own.find(comment, text);
            }
            found.is_some()
        })
        .collect();
    // A change known to have been applied is there, in whatever words.
    for known in known {
        take(&mut free, |comment| is_near(comment, known));
    }

    let is_unexplained = |doubt: &Doubt| {
        let text = doubt.change.edits.added_text();
        let window = (doubt.started, doubt.ended);
        free.iter().flatten().any(|comment| {
            let is_new = match comment.created_at {
                None => true,
                Some(at) if clocks.is_near(at, window) => true,
                // Once texts are known to be rewritten, a different text proves nothing.
                Some(at) => clocks.is_far(at, window) && (own.are_rewritten || is_text(text, comment)),
            };
            let may_be_ours = !own.excludes(comment, doubt) || is_text(text, comment);
            is_new && may_be_ours && !is_old(comment, doubt)
        })
    };
    let found = oldest_first.iter().zip(is_applied).map(|(doubt, is_applied)| match is_applied {
        true => (doubt.attempt, Found::Applied),
        false if is_unexplained(doubt) => (doubt.attempt, Found::Unexplained),
        false => (doubt.attempt, Found::Absent),
    });
    found.collect()
}

/// Whether the incident shows every property that the edits set, apart from what they add.
pub(super) fn matches<L: Serialize>(edits: &Edits<L>, incident: &Incident, same_as: &SameAs) -> bool {
    let differences = differences(edits, &incident.values, same_as);
    differences.iter().all(|one| may_show(&one.property, &one.after, &one.before, same_as))
}

fn is_text(sent: Option<&str>, comment: &Comment) -> bool {
    sent.is_some_and(|sent| may_be(sent, &comment.text))
}

/// Takes the first comment that fits, so that it is used once.
fn take<'a>(free: &mut [Option<&'a Comment>], fits: impl Fn(&Comment) -> bool) -> Option<&'a Comment> {
    free.iter_mut().find(|comment| comment.is_some_and(&fits))?.take()
}

#[cfg(test)]
#[path = "tests/in_doubt.rs"]
mod tests;
