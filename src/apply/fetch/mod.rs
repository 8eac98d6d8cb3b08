//! Fetching: the list of incidents, page by page, through [`super::reads`].
//!
//! The list changes between two pages: new incidents appear at its start, and others leave it because they no longer
//! match. So a page starts a few incidents before the end of the last page. If it shows none of them, some have left,
//! and an earlier page is requested.
//!
//! Promises: no incident is kept twice; no incident is missed that is in the list during the whole fetch.

mod query;

use std::collections::HashSet;
use std::io;

pub use query::{LocalFilter, ServerFilter, not_newer};

use super::StopReason;
use super::page_size::{PageSize, SmallestFails};
use super::reads::{ReadResult, ReadSource, Wanted};
use crate::contract::ListNames;
use crate::model::call::{Call, CallResult, Incident, Page, Verdict};

/// How many incidents of a page overlap with the previous page.
const OVERLAP: u64 = 5;
/// After this many pages in a row without a new incident, the list has not just grown: it repeats itself.
const MAX_PAGES_WITHOUT_NEW: u32 = 20;

/// Reads the list, and keeps the new incidents of each page.
#[derive(Debug)]
pub struct ListSource<K> {
    filter: Option<String>,
    local_filter: LocalFilter,
    /// How many more matching incidents are to be found.
    left: Option<u64>,
    keep: K,
    known: HashSet<u64>,
    /// The position of the next page.
    skip: u64,
    /// The last page that was taken ended before this position.
    end: u64,
    /// A page too small to overlap with the previous page: whether it follows that page is not known yet.
    unjoined: Option<Part>,
    size: PageSize,
    /// The length of the longest page so far.
    longest: u64,
    /// Whether pages are linked: then the last one has no link, and is not full.
    is_linked: bool,
    /// The link of the last page that was taken to the next one. If that fails, `skip` finds it too.
    link: Option<String>,
    in_flight: bool,
    /// How many pages in a row have shown nothing new.
    pages_without_new: u32,
    is_finished: bool,
}

/// A part of the list, as a page has shown it.
#[derive(Debug)]
struct Part {
    skip: u64,
    top: u32,
    incidents: Vec<Incident>,
    /// Whether a link led to it: it follows the last page.
    is_linked: bool,
    /// Its link to the next page.
    next: Option<String>,
}

impl<K: FnMut(Vec<Incident>) -> io::Result<()>> ListSource<K> {
    /// Reads the incidents that match `filter`, until it has found `limit` that match `local_filter`. `keep` gets
    /// all new ones, page by page, also those that don't match `local_filter`. `list`: the names of the contract.
    #[must_use]
    pub fn new(
        list: &ListNames,
        filter: Option<String>,
        local_filter: LocalFilter,
        limit: Option<u64>,
        keep: K,
    ) -> ListSource<K> {
        ListSource {
            filter,
            local_filter,
            left: limit,
            keep,
            known: HashSet::new(),
            skip: 0,
            end: 0,
            unjoined: None,
            size: PageSize::new(&list.page_sizes),
            longest: 0,
            is_linked: list.next.is_some(),
            link: None,
            in_flight: false,
            pages_without_new: 0,
            is_finished: limit == Some(0),
        }
    }

    /// Marks an incident as read before: reading continues after it.
    pub fn mark_known(&mut self, id: u64, matches: bool) {
        if self.known.insert(id) {
            self.count(matches);
            self.end = self.known.len() as u64;
            self.skip = self.end.saturating_sub(OVERLAP);
        }
    }

    /// How many have been read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.known.len() as u64
    }

    fn count(&mut self, matches: bool) {
        if let Some(left) = self.left.as_mut().filter(|_| matches) {
            *left = left.saturating_sub(1);
            self.is_finished |= *left == 0;
        }
    }

    /// Takes in a page. Returns how many of its incidents are new.
    fn shown(&mut self, page: Part) -> io::Result<u64> {
        if page.is_linked {
            return self.take(&page);
        }
        let shows_known = page.incidents.iter().zip(0..OVERLAP).any(|(incident, _)| self.known.contains(&incident.id));
        if let Some(unjoined) = self.unjoined.take() {
            // This is the preceding incident, unless incidents have left the list meanwhile.
            let joins = shows_known && page.skip + 1 == unjoined.skip;
            return if joins { self.take(&unjoined) } else { Ok(self.go_back(&page)) };
        }
        if page.skip == 0 || shows_known {
            return self.take(&page);
        }
        if page.skip < self.end {
            return Ok(self.go_back(&page));
        }
        // After a page of one incident there is no overlap to check.
        if page.incidents.is_empty() && page.skip == 1 && page.top > 1 {
            self.is_finished = true;
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

    /// Takes a page that follows the last one.
    fn take(&mut self, page: &Part) -> io::Result<u64> {
        let length = page.incidents.len() as u64;
        let is_new = |incident: &&Incident| self.known.insert(incident.id);
        let new: Vec<Incident> = page.incidents.iter().filter(is_new).cloned().collect();
        for incident in &new {
            self.count(self.local_filter.matches(incident));
        }
        let found = new.len() as u64;
        self.longest = self.longest.max(length);
        self.end = page.skip + length;
        // A very short page, too, must not overlap in full.
        self.skip = self.end - OVERLAP.min(length.saturating_sub(1));
        self.link.clone_from(&page.next);
        // A full page without a link proves nothing: `$top` may have cut the list off. Its position leads on.
        self.is_finished |= self.is_linked && page.next.is_none() && length < page.top.into();
        if found > 0 {
            self.pages_without_new = 0;
            (self.keep)(new)?;
        } else {
            self.pages_without_new += 1;
            // The server may return fewer incidents per page: a page is short only if another was longer.
            let is_short = length < self.longest.min(page.top.into());
            self.is_finished |= page.next.is_none() && (is_short || length == 0);
        }
        Ok(found)
    }

    fn call(&self) -> Call {
        let link = self.link.clone();
        // A link continues where the last page ended.
        let skip = if link.is_some() { self.end } else { self.skip };
        Call::List(Page { filter: self.filter.clone(), top: self.size.get(), skip, link })
    }
}

impl<K: FnMut(Vec<Incident>) -> io::Result<()>> ReadSource for ListSource<K> {
    fn next(&mut self) -> Wanted {
        if self.is_finished {
            return Wanted::Nothing;
        }
        if self.in_flight {
            return Wanted::Later;
        }
        self.in_flight = true;
        Wanted::Call(self.call())
    }

    fn on_result(&mut self, call: &Call, result: &CallResult) -> Result<ReadResult, StopReason> {
        let Call::List(page) = call else { return Ok(ReadResult::default()) };
        self.in_flight = false;
        let incidents = match &result.verdict {
            Verdict::Listed { incidents, next } => {
                self.size.succeeded();
                let (incidents, next) = (incidents.clone(), next.clone());
                let is_linked = page.link.is_some();
                let keeping = self.shown(Part { skip: page.skip, top: page.top, incidents, is_linked, next });
                keeping.map_err(|error| StopReason::ListenerFailed { message: error.to_string() })?
            }
            Verdict::Rejected => return Err(StopReason::QueryRejected { message: result.message.clone() }),
            _ => return Err(StopReason::ListFailed { message: result.message.clone() }),
        };
        if self.pages_without_new >= MAX_PAGES_WITHOUT_NEW && !self.is_finished {
            let message = "it shows the same incidents on every page".to_owned();
            return Err(StopReason::ListFailed { message });
        }
        Ok(ReadResult { incidents, ..ReadResult::default() })
    }

    fn page_failed(&mut self, page: &Page, result: &CallResult) -> Result<Option<Call>, StopReason> {
        // A link says how long its page is.
        self.link = None;
        match self.size.failed(result) {
            Ok(()) => Ok(Some(self.call())),
            Err(SmallestFails) => Err(StopReason::ListFailed {
                message: format!("incident {} of the list, alone on its page: {}", page.skip + 1, result.message),
            }),
        }
    }

    /// Only the list shows which incidents exist.
    fn can_read_singly(&self) -> bool {
        false
    }

    /// The length of the list is unknown.
    fn calls_left(&self) -> u64 {
        u64::from(!self.is_finished && !self.in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::super::page_size::tests::{SIZES, failure};
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// The next request; `None` at the end.
    fn next(source: &mut ListSource<impl FnMut(Vec<Incident>) -> io::Result<()>>) -> Option<Call> {
        match source.next() {
            Wanted::Call(call) => Some(call),
            Wanted::Nothing => None,
            Wanted::Later => panic!("nothing is in flight"),
        }
    }

    /// An API whose pages are found by their position.
    fn by_position() -> ListNames {
        ListNames { page_sizes: SIZES.to_vec(), ..ListNames::default() }
    }

    fn listed(incidents: Vec<Incident>) -> Verdict {
        Verdict::Listed { incidents, next: None }
    }

    fn incident(id: u64) -> Incident {
        Incident { id, ..Incident::default() }
    }

    fn result(verdict: Verdict) -> CallResult {
        CallResult { verdict, ..failure(Some(200), false) }
    }

    /// Reads a list that `change` changes after each page; returns the kept incidents and the number of calls.
    fn fetched(list: &mut BTreeSet<u64>, top: usize, mut change: impl FnMut(&mut BTreeSet<u64>)) -> (Vec<u64>, u32) {
        let mut kept = Vec::new();
        let mut source = ListSource::new(&by_position(), None, LocalFilter::default(), None, |new: Vec<Incident>| {
            kept.extend(new.iter().map(|incident| incident.id));
            Ok(())
        });
        let mut calls = 0;
        while let Some(call) = next(&mut source) {
            let Call::List(page) = &call else { panic!("{call:?}") };
            assert_eq!(source.next(), Wanted::Later, "one page at a time");
            let skip = usize::try_from(page.skip).expect("small");
            let shown = list.iter().rev().skip(skip).take(top.min(page.top as usize)).copied().map(incident);
            let verdict = listed(shown.collect());
            source.on_result(&call, &result(verdict)).expect("keeps");
            calls += 1;
            assert!(calls < 5_000, "it never ends");
            change(list);
        }
        drop(source);
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

    /// More than a page of incidents has left the list since the last page: reading goes back almost a page.
    #[test]
    fn page_without_overlap_is_not_used() {
        let mut source = ListSource::new(&by_position(), None, LocalFilter::default(), None, |_| Ok(()));
        (101..=400).rev().for_each(|id| source.mark_known(id, true));
        assert_eq!(source.read(), 300);
        let call = next(&mut source).expect("goes on");
        assert_eq!(call, Call::List(Page { filter: None, top: 100, skip: 295, link: None }));
        let page = (1..=50).rev().map(incident).collect();
        assert_eq!(source.on_result(&call, &result(listed(page))).expect("keeps").incidents, 0);
        assert_eq!(next(&mut source), Some(Call::List(Page { filter: None, top: 100, skip: 200, link: None })));
        assert_eq!(source.read(), 300);
    }

    #[test]
    fn fetch_continues_after_known_incidents_up_to_limit() {
        let mut source = ListSource::new(&by_position(), None, LocalFilter::default(), Some(30), |_| Ok(()));
        (71..=90).rev().for_each(|id| source.mark_known(id, true));
        assert_eq!(source.calls_left(), 1);
        let call = next(&mut source).expect("ten are left");
        assert_eq!(source.calls_left(), 0, "it is running");
        assert_eq!(call, Call::List(Page { filter: None, top: 100, skip: 15, link: None }));
        let page = (1..=75).rev().map(incident).collect();
        assert_eq!(source.on_result(&call, &result(listed(page))).expect("keeps").incidents, 70);
        assert_eq!(next(&mut source), None);
        let mut none = ListSource::new(&by_position(), None, LocalFilter::default(), Some(0), |_| Ok(()));
        assert_eq!((none.calls_left(), none.next()), (0, Wanted::Nothing));
    }

    #[test]
    fn failing_pages_shrink_and_name_the_incident() {
        for (failure, expected) in [
            (failure(Some(200), true), vec![100, 50, 25, 10, 1, 1]),
            (failure(Some(500), false), vec![100, 100, 50, 50, 25, 25, 10, 10, 1, 1]),
        ] {
            let mut source = ListSource::new(&by_position(), None, LocalFilter::default(), None, |_| Ok(()));
            (1..=20).rev().for_each(|id| source.mark_known(id, true));
            let mut call = next(&mut source).expect("a page");
            let mut sizes = Vec::new();
            let stop = loop {
                let Call::List(page) = &call else { panic!("{call:?}") };
                sizes.push(page.top);
                match source.page_failed(page, &failure) {
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
            let mut source =
                ListSource::new(&by_position(), Some("x".to_owned()), LocalFilter::default(), None, |_| Ok(()));
            let call = next(&mut source).expect("a page");
            assert_eq!(source.on_result(&call, &result(verdict)).expect_err("nothing to read"), stop);
        }
    }

    /// A server that takes `$top` for the length of the whole list shows no link.
    #[test]
    fn full_page_without_link_is_not_the_end() {
        let linked = ListNames { next: Some("next".to_owned()), ..by_position() };
        let mut kept = Vec::new();
        let mut source = ListSource::new(&linked, None, LocalFilter::default(), None, |new: Vec<Incident>| {
            kept.extend(new.iter().map(|incident| incident.id));
            Ok(())
        });
        let mut skips = Vec::new();
        while let Some(call) = next(&mut source) {
            let Call::List(page) = &call else { panic!("{call:?}") };
            let first = 250 - page.skip;
            let incidents = (1..=first).rev().take(page.top as usize).map(incident).collect();
            source.on_result(&call, &result(Verdict::Listed { incidents, next: None })).expect("keeps");
            skips.push(page.skip);
        }
        drop(source);
        assert_eq!((skips.len(), kept), (3, (1..=250).rev().collect::<Vec<_>>()));
    }

    /// The links lead on, whatever the length of a page; after a failure the position does.
    #[test]
    fn linked_pages_are_followed_to_the_last() {
        let linked = ListNames { next: Some("next".to_owned()), ..by_position() };
        let mut kept = Vec::new();
        let mut source = ListSource::new(&linked, None, LocalFilter::default(), None, |new: Vec<Incident>| {
            kept.extend(new.iter().map(|incident| incident.id));
            Ok(())
        });
        let page = |ids: std::ops::RangeInclusive<u64>, next: Option<&str>| {
            let incidents = ids.rev().map(incident).collect();
            result(Verdict::Listed { incidents, next: next.map(str::to_owned) })
        };
        let asked = |top, skip, link: Option<&str>| {
            Some(Call::List(Page { filter: None, top, skip, link: link.map(str::to_owned) }))
        };
        let mut calls = Vec::new();
        for response in [page(91..=100, Some("a")), page(88..=90, Some("b"))] {
            let call = next(&mut source).expect("a page");
            source.on_result(&call, &response).expect("keeps");
            calls.push(Some(call));
        }
        let call = next(&mut source).expect("a page");
        calls.push(Some(call.clone()));
        let Call::List(failing) = &call else { panic!("{call:?}") };
        let again = source.page_failed(failing, &failure(Some(504), false)).expect("a smaller page");
        calls.push(again.clone());
        source.on_result(&again.expect("a page"), &page(80..=90, Some("c"))).expect("keeps");
        let last = next(&mut source).expect("a page");
        source.on_result(&last, &page(78..=79, None)).expect("keeps");
        calls.push(Some(last));
        assert_eq!(next(&mut source), None);
        drop(source);
        assert_eq!(kept, (78..=100).rev().collect::<Vec<_>>());
        let expected = [
            asked(100, 0, None),
            asked(100, 10, Some("a")),
            asked(100, 13, Some("b")),
            asked(50, 11, None),
            asked(50, 22, Some("c")),
        ];
        assert_eq!(calls, expected);
    }

    /// A list in pages of one, because the larger ones fail.
    #[test]
    fn pages_of_one_incident_read_the_whole_list() {
        let mut kept = Vec::new();
        let mut source = ListSource::new(&by_position(), None, LocalFilter::default(), None, |new: Vec<Incident>| {
            kept.extend(new.iter().map(|incident| incident.id));
            Ok(())
        });
        let list: Vec<u64> = (1..=30).rev().collect();
        let mut next_call = next(&mut source);
        while let Some(call) = next_call {
            let Call::List(page) = &call else { panic!("{call:?}") };
            next_call = if page.top > 1 {
                match source.page_failed(page, &failure(Some(504), false)) {
                    Ok(Some(call)) => Some(call),
                    other => panic!("{other:?}"),
                }
            } else {
                let at = usize::try_from(page.skip).expect("small");
                let shown = list.iter().skip(at).take(1).copied().map(incident).collect();
                source.on_result(&call, &result(listed(shown))).expect("keeps");
                next(&mut source)
            };
        }
        drop(source);
        assert_eq!(kept, list);
    }

    #[test]
    fn same_page_again_and_again_stops_the_fetch() {
        let mut source = ListSource::new(&by_position(), None, LocalFilter::default(), None, |_| Ok(()));
        let mut calls = 0;
        let stop = loop {
            let call = next(&mut source).expect("no end of the list");
            calls += 1;
            let page = (1..=100).rev().map(incident).collect();
            if let Err(stop) = source.on_result(&call, &result(listed(page))) {
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
