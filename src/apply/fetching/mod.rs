//! Fetching: the list of incidents, page by page, through [`super::reading`].
//!
//! The list is not the same from one page to the next: new incidents come in at its beginning, and others leave it where
//! they no longer match. So a page begins a few incidents before the end of the last one, and if it shows none of them,
//! some have left: then it goes back.
//!
//! Promises: no incident is handed on twice; none is passed over that is in the list from the beginning to the end.

mod query;

use std::collections::HashSet;
use std::io;

pub use query::{Filter, Sieve, not_newer};

use super::reading::{Heard, Reader};
use crate::attempt::{Answer, Call, Incident, Page, Verdict};

/// The most incidents of one page, by the API's rule.
const LARGEST_PAGE: u32 = 100;
/// A page that is too large to be read comes through in pieces, down to this size.
const SMALLEST_PAGE: u32 = 10;
/// So many incidents of a page are those of the page before.
const OVERLAP: u64 = 5;
/// So many pages in a row without anything new are no list that has grown meanwhile.
const MOST_IN_VAIN: u32 = 20;

/// Reads the list, and hands on what is new of each page.
#[derive(Debug)]
pub struct Fetching<K> {
    filter: Option<String>,
    sieve: Sieve,
    /// Of those that are asked for, so many are left to be found.
    left: Option<u64>,
    keep: K,
    known: HashSet<u64>,
    /// The next page begins here.
    skip: u64,
    top: u32,
    /// The length of the longest page so far.
    longest: u64,
    under_way: bool,
    /// So many pages in a row have shown nothing new.
    vain: u32,
    is_over: bool,
    refused: Option<Refused>,
}

/// Why the list can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What the API said, in one line.
    pub message: String,
    /// Whether the question is wrong (400), and not the moment.
    pub is_the_question: bool,
}

impl<K: FnMut(Vec<Incident>) -> io::Result<()>> Fetching<K> {
    /// Of the incidents that `filter` lets through, until `limit` of those that `sieve` takes were found. `keep` gets
    /// all that are new, page by page, those that the sieve doesn't take too.
    #[must_use]
    pub fn new(filter: Option<String>, sieve: Sieve, limit: Option<u64>, keep: K) -> Fetching<K> {
        Fetching {
            filter,
            sieve,
            left: limit,
            keep,
            known: HashSet::new(),
            skip: 0,
            top: LARGEST_PAGE,
            longest: 0,
            under_way: false,
            vain: 0,
            is_over: limit == Some(0),
            refused: None,
        }
    }

    /// This one was read before: it goes on behind it.
    pub fn knows(&mut self, id: u64, is_asked_for: bool) {
        if self.known.insert(id) {
            self.count(is_asked_for);
            self.skip = (self.known.len() as u64).saturating_sub(OVERLAP);
        }
    }

    /// How many have been read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.known.len() as u64
    }

    /// Why the list could not be read to its end, where that is so.
    #[must_use]
    pub fn refused(&self) -> Option<&Refused> {
        self.refused.as_ref()
    }

    fn count(&mut self, is_asked_for: bool) {
        if let Some(left) = self.left.as_mut().filter(|_| is_asked_for) {
            *left = left.saturating_sub(1);
            self.is_over |= *left == 0;
        }
    }

    /// Takes a page; how many of it are new.
    fn shown(&mut self, skip: u64, page: &[Incident]) -> io::Result<u64> {
        let length = page.len() as u64;
        let mut first = page.iter().zip(0..OVERLAP);
        let goes_on = skip == 0 || first.any(|(incident, _)| self.known.contains(&incident.id));
        if !goes_on {
            // So many have left the list that this is not what comes after the last page.
            self.skip = skip.saturating_sub(u64::from(self.top) - OVERLAP);
            return Ok(0);
        }
        let new: Vec<Incident> = page.iter().filter(|incident| self.known.insert(incident.id)).cloned().collect();
        for incident in &new {
            self.count(self.sieve.takes(incident));
        }
        let found = new.len() as u64;
        self.longest = self.longest.max(length);
        // Of a very short page, too, less than all is shown again.
        self.skip = (skip + length).saturating_sub(OVERLAP.min(length.saturating_sub(1).max(1)));
        if found > 0 {
            self.vain = 0;
            (self.keep)(new)?;
        } else {
            self.vain += 1;
            // The server may have a smaller measure of a page: short is what is shorter than another one was.
            let is_short = length < self.longest.min(self.top.into());
            self.is_over |= is_short || self.skip <= skip;
        }
        Ok(found)
    }

    fn refuse(&mut self, message: &str, is_the_question: bool) {
        self.is_over = true;
        self.refused = Some(Refused { message: message.to_owned(), is_the_question });
    }
}

impl<K: FnMut(Vec<Incident>) -> io::Result<()>> Reader for Fetching<K> {
    fn next(&mut self) -> Option<Call> {
        if self.under_way || self.is_over {
            return None;
        }
        if self.vain >= MOST_IN_VAIN {
            self.refuse("the list shows the same incidents again and again", false);
            return None;
        }
        self.under_way = true;
        Some(Call::List(Page { filter: self.filter.clone(), top: self.top, skip: self.skip }))
    }

    fn hear(&mut self, call: &Call, answer: &Answer) -> io::Result<Heard> {
        let Call::List(page) = call else { return Ok(Heard::default()) };
        self.under_way = false;
        let incidents = match &answer.verdict {
            Verdict::Listed(incidents) => self.shown(page.skip, incidents)?,
            // It may be too large.
            Verdict::Transient { .. } if self.top > SMALLEST_PAGE => {
                self.top = (self.top / 4).max(SMALLEST_PAGE);
                0
            }
            verdict => {
                self.refuse(&answer.message, *verdict == Verdict::Rejected);
                0
            }
        };
        Ok(Heard { incidents, ..Heard::default() })
    }

    /// How long the list is, is not known.
    fn calls_left(&self) -> u64 {
        u64::from(!self.is_over && !self.under_way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn incident(id: u64) -> Incident {
        Incident { id, ..Incident::default() }
    }

    fn answer(verdict: Verdict) -> Answer {
        Answer { verdict, http_status: Some(200), request_id: None, message: "said".to_owned() }
    }

    /// Reads a list that `change` changes after each page; what was handed on, and the calls that it took.
    fn fetched(list: &mut BTreeSet<u64>, top: usize, mut change: impl FnMut(&mut BTreeSet<u64>)) -> (Vec<u64>, u32) {
        let mut kept = Vec::new();
        let mut fetching = Fetching::new(None, Sieve::default(), None, |new: Vec<Incident>| {
            kept.extend(new.iter().map(|incident| incident.id));
            Ok(())
        });
        let mut calls = 0;
        while let Some(call) = fetching.next() {
            let Call::List(page) = &call else { panic!("{call:?}") };
            assert!(fetching.next().is_none(), "one page at a time");
            let skip = usize::try_from(page.skip).expect("small");
            let shown = list.iter().rev().skip(skip).take(top.min(page.top as usize)).copied().map(incident);
            let verdict = Verdict::Listed(shown.collect());
            fetching.hear(&call, &answer(verdict)).expect("keeps");
            calls += 1;
            assert!(calls < 1_000, "it never ends");
            change(list);
        }
        assert_eq!(fetching.refused(), None);
        drop(fetching);
        (kept, calls)
    }

    #[test]
    fn a_list_that_stays_is_read_once_from_the_newest_to_the_oldest() {
        for (length, pages) in [(0, 1), (1, 2), (99, 2), (100, 2), (101, 3), (350, 5)] {
            let (kept, calls) = fetched(&mut (1..=length).collect(), 100, |_| ());
            assert_eq!(kept, (1..=length).rev().collect::<Vec<_>>());
            assert_eq!(calls, pages, "{length}");
        }
    }

    #[test]
    fn a_server_with_smaller_pages_is_read_to_its_end() {
        for top in [2, 3, 5, 6, 30] {
            let (kept, _) = fetched(&mut (1..=120).collect(), top, |_| ());
            assert_eq!(kept.len(), 120, "{top}");
        }
    }

    /// So many have left the list that a page is not what comes after the last one: it is gone back by almost a page.
    #[test]
    fn a_page_that_does_not_join_the_last_one_is_none() {
        let mut fetching = Fetching::new(None, Sieve::default(), None, |_| Ok(()));
        (101..=400).rev().for_each(|id| fetching.knows(id, true));
        assert_eq!(fetching.read(), 300);
        let call = fetching.next().expect("goes on");
        assert_eq!(call, Call::List(Page { filter: None, top: 100, skip: 295 }));
        let page = (1..=50).rev().map(incident).collect();
        assert_eq!(fetching.hear(&call, &answer(Verdict::Listed(page))).expect("keeps").incidents, 0);
        assert_eq!(fetching.next(), Some(Call::List(Page { filter: None, top: 100, skip: 200 })));
        assert_eq!(fetching.read(), 300);
    }

    #[test]
    fn it_ends_at_the_limit_and_goes_on_behind_what_is_known() {
        let mut fetching = Fetching::new(None, Sieve::default(), Some(30), |_| Ok(()));
        (71..=90).rev().for_each(|id| fetching.knows(id, true));
        assert_eq!(fetching.calls_left(), 1);
        let call = fetching.next().expect("ten are left");
        assert_eq!(fetching.calls_left(), 0, "it is under way");
        assert_eq!(call, Call::List(Page { filter: None, top: 100, skip: 15 }));
        let page = (1..=75).rev().map(incident).collect();
        assert_eq!(fetching.hear(&call, &answer(Verdict::Listed(page))).expect("keeps").incidents, 70);
        assert_eq!(fetching.next(), None);
        let mut none = Fetching::new(None, Sieve::default(), Some(0), |_| Ok(()));
        assert_eq!((none.calls_left(), none.next()), (0, None));
    }

    #[test]
    fn a_page_that_can_not_be_read_is_asked_for_in_smaller_ones_and_then_said() {
        let mut fetching = Fetching::new(None, Sieve::default(), None, |_| Ok(()));
        let mut sizes = Vec::new();
        while let Some(call) = fetching.next() {
            let Call::List(page) = &call else { panic!("{call:?}") };
            sizes.push(page.top);
            let verdict = Verdict::Transient { may_have_applied: false };
            fetching.hear(&call, &answer(verdict)).expect("keeps");
        }
        assert_eq!(sizes, [100, 25, 10]);
        assert!(fetching.refused().is_some_and(|refused| !refused.is_the_question && refused.message == "said"));

        let mut fetching = Fetching::new(Some("x".to_owned()), Sieve::default(), None, |_| Ok(()));
        let call = fetching.next().expect("a page");
        fetching.hear(&call, &answer(Verdict::Rejected)).expect("keeps");
        assert!(fetching.next().is_none() && fetching.refused().is_some_and(|refused| refused.is_the_question));
    }

    #[test]
    fn a_server_that_shows_the_same_page_for_ever_is_not_read_for_ever() {
        let mut fetching = Fetching::new(None, Sieve::default(), None, |_| Ok(()));
        let mut calls = 0;
        while let Some(call) = fetching.next() {
            let page = (1..=100).rev().map(incident).collect();
            fetching.hear(&call, &answer(Verdict::Listed(page))).expect("keeps");
            calls += 1;
        }
        assert!(calls < 30 && fetching.refused().is_some());
    }

    proptest! {
        #[test]
        fn of_a_list_that_changes_none_is_twice_and_none_is_lost_that_stays(
            length in 0u64..700,
            top in prop::sample::select(vec![30, 100]),
            changes in prop::collection::vec((0u64..30, prop::collection::vec(0u64..700, 0..120)), 0..12),
        ) {
            let mut list: BTreeSet<u64> = (1..=length).collect();
            let mut stays = list.clone();
            let mut changes = changes.into_iter();
            let (kept, _) = fetched(&mut list, top, |list| {
                let Some((come, leave)) = changes.next() else { return };
                list.retain(|id| !leave.contains(id));
                let newest = 1_000 + list.last().copied().unwrap_or(0);
                list.extend(newest..newest + come);
                stays.retain(|id| list.contains(id));
            });
            let once: BTreeSet<u64> = kept.iter().copied().collect();
            prop_assert_eq!(once.len(), kept.len(), "one came twice");
            prop_assert!(stays.is_subset(&once), "{:?} were lost", stays.difference(&once).collect::<Vec<_>>());
        }
    }
}
