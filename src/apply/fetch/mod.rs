//! Fetching: the list of incidents, page by page, through [`super::reads`].
//!
//! The list is not the same from one page to the next: new incidents come in at its beginning, and others leave it where
//! they no longer match. So a page begins a few incidents before the end of the last one, and if it shows none of them,
//! some have left: then it goes back.
//!
//! Promises: no incident is handed on twice; none is passed over that is in the list from the beginning to the end.

mod query;

use std::collections::HashSet;
use std::io;

pub use query::{LocalFilter, ServerFilter, not_newer};

use super::StopReason;
use super::page_size::{PageSize, SmallestFails};
use super::reads::{ReadResult, ReadSource, Wanted};
use crate::model::call::{Call, CallResult, Incident, Page, Verdict};

/// So many incidents of a page are those of the page before.
const OVERLAP: u64 = 5;
/// So many pages in a row without anything new are no list that has grown meanwhile.
const MAX_PAGES_WITHOUT_NEW: u32 = 20;

/// Reads the list, and hands on what is new of each page.
#[derive(Debug)]
pub struct ListSource<K> {
    filter: Option<String>,
    sieve: LocalFilter,
    /// Of those that are asked for, so many are left to be found.
    left: Option<u64>,
    keep: K,
    known: HashSet<u64>,
    /// The next page begins here.
    skip: u64,
    /// The last page that was taken ended before this place.
    end: u64,
    /// A page that showed none of the incidents before it, because it is too small to: whether it comes after them is
    /// not known yet.
    unjoined: Option<Part>,
    size: PageSize,
    /// The length of the longest page so far.
    longest: u64,
    under_way: bool,
    /// So many pages in a row have shown nothing new.
    vain: u32,
    is_over: bool,
}

/// A part of the list, as a page has shown it.
#[derive(Debug)]
struct Part {
    skip: u64,
    top: u32,
    incidents: Vec<Incident>,
}

impl<K: FnMut(Vec<Incident>) -> io::Result<()>> ListSource<K> {
    /// Of the incidents that `filter` lets through, until `limit` of those that `sieve` takes were found. `keep` gets
    /// all that are new, page by page, those that the sieve doesn't take too. `page_sizes`: those of the contract.
    #[must_use]
    pub fn new(
        page_sizes: &[u32],
        filter: Option<String>,
        sieve: LocalFilter,
        limit: Option<u64>,
        keep: K,
    ) -> ListSource<K> {
        ListSource {
            filter,
            sieve,
            left: limit,
            keep,
            known: HashSet::new(),
            skip: 0,
            end: 0,
            unjoined: None,
            size: PageSize::new(page_sizes),
            longest: 0,
            under_way: false,
            vain: 0,
            is_over: limit == Some(0),
        }
    }

    /// This one was read before: it goes on behind it.
    pub fn mark_known(&mut self, id: u64, is_asked_for: bool) {
        if self.known.insert(id) {
            self.count(is_asked_for);
            self.end = self.known.len() as u64;
            self.skip = self.end.saturating_sub(OVERLAP);
        }
    }

    /// How many have been read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.known.len() as u64
    }

    fn count(&mut self, is_asked_for: bool) {
        if let Some(left) = self.left.as_mut().filter(|_| is_asked_for) {
            *left = left.saturating_sub(1);
            self.is_over |= *left == 0;
        }
    }

    /// A page was read; how many of its incidents are new.
    fn shown(&mut self, page: Part) -> io::Result<u64> {
        let shows_known = page.incidents.iter().zip(0..OVERLAP).any(|(incident, _)| self.known.contains(&incident.id));
        if let Some(unjoined) = self.unjoined.take() {
            // This is the incident before it, if none has left the list meanwhile.
            let joins = shows_known && page.skip + 1 == unjoined.skip;
            return if joins { self.take(&unjoined) } else { Ok(self.go_back(&page)) };
        }
        if page.skip == 0 || shows_known {
            return self.take(&page);
        }
        if page.skip < self.end {
            return Ok(self.go_back(&page));
        }
        // After a list of one incident there is nothing to go back for.
        if page.incidents.is_empty() && page.skip == 1 && page.top > 1 {
            self.is_over = true;
            return Ok(0);
        }
        self.skip = page.skip - 1;
        self.unjoined = Some(page);
        Ok(0)
    }

    /// There is a gap after the last page: more incidents than the overlap have left the list.
    fn go_back(&mut self, page: &Part) -> u64 {
        self.skip = page.skip.saturating_sub(u64::from(page.top).saturating_sub(OVERLAP).max(1));
        0
    }

    /// Takes a page that comes after the last one.
    fn take(&mut self, page: &Part) -> io::Result<u64> {
        let length = page.incidents.len() as u64;
        let is_new = |incident: &&Incident| self.known.insert(incident.id);
        let new: Vec<Incident> = page.incidents.iter().filter(is_new).cloned().collect();
        for incident in &new {
            self.count(self.sieve.matches(incident));
        }
        let found = new.len() as u64;
        self.longest = self.longest.max(length);
        self.end = page.skip + length;
        // Of a very short page, too, less than all is shown again.
        self.skip = self.end - OVERLAP.min(length.saturating_sub(1));
        if found > 0 {
            self.vain = 0;
            (self.keep)(new)?;
        } else {
            self.vain += 1;
            // The server may have a smaller measure of a page: short is what is shorter than another one was.
            let is_short = length < self.longest.min(page.top.into());
            self.is_over |= is_short || length == 0;
        }
        Ok(found)
    }

    fn call(&self) -> Call {
        Call::List(Page { filter: self.filter.clone(), top: self.size.get(), skip: self.skip })
    }
}

impl<K: FnMut(Vec<Incident>) -> io::Result<()>> ReadSource for ListSource<K> {
    fn next(&mut self) -> Wanted {
        if self.is_over {
            return Wanted::Nothing;
        }
        if self.under_way {
            return Wanted::Later;
        }
        self.under_way = true;
        Wanted::Call(self.call())
    }

    fn on_result(&mut self, call: &Call, answer: &CallResult) -> Result<ReadResult, StopReason> {
        let Call::List(page) = call else { return Ok(ReadResult::default()) };
        self.under_way = false;
        let incidents = match &answer.verdict {
            Verdict::Listed(incidents) => {
                self.size.succeeded();
                let keeping = self.shown(Part { skip: page.skip, top: page.top, incidents: incidents.clone() });
                keeping.map_err(|error| StopReason::ListenerFailed { message: error.to_string() })?
            }
            Verdict::Rejected => return Err(StopReason::QueryRejected { message: answer.message.clone() }),
            _ => return Err(StopReason::ListFailed { message: answer.message.clone() }),
        };
        if self.vain >= MAX_PAGES_WITHOUT_NEW && !self.is_over {
            let message = "it shows the same incidents on every page".to_owned();
            return Err(StopReason::ListFailed { message });
        }
        Ok(ReadResult { incidents, ..ReadResult::default() })
    }

    fn page_failed(&mut self, page: &Page, answer: &CallResult) -> Result<Option<Call>, StopReason> {
        match self.size.failed(answer) {
            Ok(()) => Ok(Some(self.call())),
            Err(SmallestFails) => Err(StopReason::ListFailed {
                message: format!("incident {} of the list, alone on its page: {}", page.skip + 1, answer.message),
            }),
        }
    }

    /// Which incidents there are only the list tells.
    fn can_read_singly(&self) -> bool {
        false
    }

    /// How long the list is, is not known.
    fn calls_left(&self) -> u64 {
        u64::from(!self.is_over && !self.under_way)
    }
}

#[cfg(test)]
mod tests {
    use super::super::page_size::tests::{SIZES, failure};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The next request; `None` at the end.
    fn next(fetching: &mut ListSource<impl FnMut(Vec<Incident>) -> io::Result<()>>) -> Option<Call> {
        match fetching.next() {
            Wanted::Call(call) => Some(call),
            Wanted::Nothing => None,
            Wanted::Later => panic!("nothing is in flight"),
        }
    }

    fn incident(id: u64) -> Incident {
        Incident { id, ..Incident::default() }
    }

    fn answer(verdict: Verdict) -> CallResult {
        CallResult { verdict, ..failure(Some(200), false) }
    }

    /// Reads a list that `change` changes after each page; what was handed on, and the calls that it took.
    fn fetched(list: &mut BTreeSet<u64>, top: usize, mut change: impl FnMut(&mut BTreeSet<u64>)) -> (Vec<u64>, u32) {
        let mut kept = Vec::new();
        let mut fetching = ListSource::new(&SIZES, None, LocalFilter::default(), None, |new: Vec<Incident>| {
            kept.extend(new.iter().map(|incident| incident.id));
            Ok(())
        });
        let mut calls = 0;
        while let Some(call) = next(&mut fetching) {
            let Call::List(page) = &call else { panic!("{call:?}") };
            assert_eq!(fetching.next(), Wanted::Later, "one page at a time");
            let skip = usize::try_from(page.skip).expect("small");
            let shown = list.iter().rev().skip(skip).take(top.min(page.top as usize)).copied().map(incident);
            let verdict = Verdict::Listed(shown.collect());
            fetching.on_result(&call, &answer(verdict)).expect("keeps");
            calls += 1;
            assert!(calls < 5_000, "it never ends");
            change(list);
        }
        drop(fetching);
        (kept, calls)
    }

    #[test]
    fn unchanging_list_is_read_once_newest_first() {
        for (length, pages) in [(0, 1), (1, 2), (99, 2), (100, 2), (101, 3), (350, 5)] {
            let (kept, calls) = fetched(&mut (1..=length).collect(), 100, |_| ());
            assert_eq!(kept, (1..=length).rev().collect::<Vec<_>>());
            assert_eq!(calls, pages, "{length}");
        }
    }

    #[test]
    fn smaller_server_pages_are_read_to_the_end() {
        for top in [1, 2, 3, 5, 6, 30] {
            let (kept, _) = fetched(&mut (1..=120).collect(), top, |_| ());
            assert_eq!(kept.len(), 120, "{top}");
        }
    }

    /// So many have left the list that a page is not what comes after the last one: it is gone back by almost a page.
    #[test]
    fn page_without_overlap_is_not_used() {
        let mut fetching = ListSource::new(&SIZES, None, LocalFilter::default(), None, |_| Ok(()));
        (101..=400).rev().for_each(|id| fetching.mark_known(id, true));
        assert_eq!(fetching.read(), 300);
        let call = next(&mut fetching).expect("goes on");
        assert_eq!(call, Call::List(Page { filter: None, top: 100, skip: 295 }));
        let page = (1..=50).rev().map(incident).collect();
        assert_eq!(fetching.on_result(&call, &answer(Verdict::Listed(page))).expect("keeps").incidents, 0);
        assert_eq!(next(&mut fetching), Some(Call::List(Page { filter: None, top: 100, skip: 200 })));
        assert_eq!(fetching.read(), 300);
    }

    #[test]
    fn fetch_continues_after_known_incidents_up_to_limit() {
        let mut fetching = ListSource::new(&SIZES, None, LocalFilter::default(), Some(30), |_| Ok(()));
        (71..=90).rev().for_each(|id| fetching.mark_known(id, true));
        assert_eq!(fetching.calls_left(), 1);
        let call = next(&mut fetching).expect("ten are left");
        assert_eq!(fetching.calls_left(), 0, "it is running");
        assert_eq!(call, Call::List(Page { filter: None, top: 100, skip: 15 }));
        let page = (1..=75).rev().map(incident).collect();
        assert_eq!(fetching.on_result(&call, &answer(Verdict::Listed(page))).expect("keeps").incidents, 70);
        assert_eq!(next(&mut fetching), None);
        let mut none = ListSource::new(&SIZES, None, LocalFilter::default(), Some(0), |_| Ok(()));
        assert_eq!((none.calls_left(), none.next()), (0, Wanted::Nothing));
    }

    #[test]
    fn failing_pages_shrink_and_name_the_incident() {
        for (failure, expected) in [
            (failure(Some(200), true), vec![100, 50, 25, 10, 1, 1]),
            (failure(Some(500), false), vec![100, 100, 50, 50, 25, 25, 10, 10, 1, 1]),
        ] {
            let mut fetching = ListSource::new(&SIZES, None, LocalFilter::default(), None, |_| Ok(()));
            (1..=20).rev().for_each(|id| fetching.mark_known(id, true));
            let mut call = next(&mut fetching).expect("a page");
            let mut sizes = Vec::new();
            let stop = loop {
                let Call::List(page) = &call else { panic!("{call:?}") };
                sizes.push(page.top);
                match fetching.page_failed(page, &failure) {
                    Ok(next) => call = next.expect("a smaller page"),
                    Err(stop) => break stop,
                }
            };
            assert_eq!(sizes, expected);
            let message = "incident 16 of the list, alone on its page: said".to_owned();
            assert_eq!(stop, StopReason::ListFailed { message });
        }
    }

    #[test]
    fn refused_pages_stop_the_fetch() {
        let said = || "said".to_owned();
        for (verdict, stop) in [
            (Verdict::Rejected, StopReason::QueryRejected { message: said() }),
            (Verdict::NotFound, StopReason::ListFailed { message: said() }),
            (Verdict::Unexpected, StopReason::ListFailed { message: said() }),
        ] {
            let mut fetching = ListSource::new(&SIZES, Some("x".to_owned()), LocalFilter::default(), None, |_| Ok(()));
            let call = next(&mut fetching).expect("a page");
            assert_eq!(fetching.on_result(&call, &answer(verdict)).expect_err("nothing to read"), stop);
        }
    }

    /// A list in pages of one, because the larger ones fail.
    #[test]
    fn pages_of_one_incident_read_the_whole_list() {
        let mut kept = Vec::new();
        let mut fetching = ListSource::new(&SIZES, None, LocalFilter::default(), None, |new: Vec<Incident>| {
            kept.extend(new.iter().map(|incident| incident.id));
            Ok(())
        });
        let list: Vec<u64> = (1..=30).rev().collect();
        let mut next_call = next(&mut fetching);
        while let Some(call) = next_call {
            let Call::List(page) = &call else { panic!("{call:?}") };
            next_call = if page.top > 1 {
                match fetching.page_failed(page, &failure(Some(504), false)) {
                    Ok(Some(call)) => Some(call),
                    other => panic!("{other:?}"),
                }
            } else {
                let at = usize::try_from(page.skip).expect("small");
                let shown = list.iter().skip(at).take(1).copied().map(incident).collect();
                fetching.on_result(&call, &answer(Verdict::Listed(shown))).expect("keeps");
                next(&mut fetching)
            };
        }
        drop(fetching);
        assert_eq!(kept, list);
    }

    #[test]
    fn same_page_again_and_again_stops_the_fetch() {
        let mut fetching = ListSource::new(&SIZES, None, LocalFilter::default(), None, |_| Ok(()));
        let mut calls = 0;
        let stop = loop {
            let call = next(&mut fetching).expect("no end of the list");
            calls += 1;
            let page = (1..=100).rev().map(incident).collect();
            if let Err(stop) = fetching.on_result(&call, &answer(Verdict::Listed(page))) {
                break stop;
            }
        };
        assert!(calls < 30 && matches!(stop, StopReason::ListFailed { .. }), "{calls}: {stop:?}");
    }

    proptest! {
        #[test]
        fn changing_list_is_read_without_gaps_or_duplicates(
            length in 0u64..700,
            top in prop::sample::select(vec![1, 30, 100]),
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
