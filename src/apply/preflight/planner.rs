//! The plan of a preflight: which request shows the most of the incidents that are still to be read.
//!
//! A page of the list shows a hundred incidents, newest first, and can start at any position. The position of an
//! incident is unknown, but can be guessed from the pages seen. So a page is worth its request where wanted incidents
//! are close together; where they are not, single reads are.
//!
//! Promises: never more than [`MAX_EXTRA_CALLS`] calls over one per incident, wherever they are and whatever the list
//! shows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::super::page_size::{FAILURES, PageSize};
use super::super::reads::Wanted;
use crate::model::call::{Call, CallResult, Incident, Page};
use crate::model::change::IncidentId;

/// Pages may cost this many more calls than they have saved.
pub(super) const MAX_EXTRA_CALLS: u64 = 3;
/// New incidents move all others while pages are read: a page starts this many positions before the guess.
const OVERLAP: u64 = 2;

/// The incidents still to be read, and what is known about the list.
#[derive(Debug)]
pub(super) struct ReadPlanner {
    wanted: BTreeSet<u64>,
    /// Of these, the ones to be read singly: they are not where the list should show them, or the list can't be used.
    one_by_one: BTreeSet<u64>,
    /// The positions of incidents in the list, by ID: those at the ends of the pages seen.
    places: BTreeMap<u64, u64>,
    page_in_flight: bool,
    no_more_pages: bool,
    size: PageSize,
    /// How often the page in flight has failed, in any size.
    failures: u32,
    /// The calls that pages have saved, minus those that they cost.
    saved: i64,
}

impl ReadPlanner {
    pub(super) fn new(wanted: impl Iterator<Item = IncidentId>, page_sizes: &[u32]) -> ReadPlanner {
        ReadPlanner {
            wanted: wanted.map(IncidentId::get).collect(),
            one_by_one: BTreeSet::new(),
            places: BTreeMap::new(),
            page_in_flight: false,
            no_more_pages: false,
            size: PageSize::new(page_sizes),
            failures: 0,
            saved: 0,
        }
    }

    /// How many incidents are wanted, apart from those of calls in flight.
    pub(super) fn left(&self) -> u64 {
        (self.wanted.len() + self.one_by_one.len()) as u64
    }

    /// The estimated number of calls needed.
    pub(super) fn calls_left(&self) -> u64 {
        if self.no_more_pages {
            self.left()
        } else {
            self.fewest_calls(self.wanted.iter().rev().copied()) + self.one_by_one.len() as u64
        }
    }

    /// What to read next.
    pub(super) fn next(&mut self) -> Wanted {
        if let Some(incident) = self.one_by_one.pop_first().and_then(IncidentId::new) {
            return Wanted::Call(Call::Read(incident));
        }
        let Some(newest) = self.wanted.last().copied() else { return Wanted::Nothing };
        if self.page_in_flight {
            return Wanted::Later;
        }
        if self.pages_pay() && self.on_a_page_with(newest).len() >= 2 {
            self.page_in_flight = true;
            self.failures = 0;
            return Wanted::Call(self.page_with(newest));
        }
        self.wanted.remove(&newest);
        IncidentId::new(newest).map_or(Wanted::Nothing, |incident| Wanted::Call(Call::Read(incident)))
    }

    fn pages_pay(&self) -> bool {
        !self.no_more_pages && self.saved > -i64::try_from(MAX_EXTRA_CALLS).unwrap_or(0)
    }

    fn page_with(&self, newest: u64) -> Call {
        let skip = self.place_of(newest).saturating_sub(OVERLAP);
        Call::List(Page { filter: None, top: self.size.get(), skip, link: None })
    }

    /// Takes in the incidents of a page. Returns those that were wanted.
    pub(super) fn shown(&mut self, asked: &Page, page: Vec<Incident>) -> Vec<Incident> {
        let skip = asked.skip;
        self.page_in_flight = false;
        self.size.succeeded();
        self.saved -= 1;
        let ids: Vec<u64> = page.iter().map(|incident| incident.id).collect();
        let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) else {
            // Past the end of the list: there is nothing older.
            self.no_more_pages = true;
            return Vec::new();
        };
        if !ids.is_sorted_by(|one, next| one > next) {
            // The IDs are not in the list's order: nothing can be guessed from them.
            self.no_more_pages = true;
        }
        self.places.insert(first, skip);
        self.places.insert(last, skip + ids.len() as u64 - 1);
        let found: Vec<Incident> = page.into_iter().filter(|incident| self.wanted.remove(&incident.id)).collect();
        self.saved += i64::try_from(found.len()).unwrap_or(0);
        // An incident that should be on this page and is not is read singly.
        let missing: Vec<u64> = self.wanted.range(last.min(first)..=first.max(last)).copied().collect();
        for id in missing {
            self.wanted.remove(&id);
            self.one_by_one.insert(id);
        }
        // Nothing is older than the last incident of a page that is not full.
        if ids.len() < asked.top as usize {
            let older: Vec<u64> = self.wanted.range(..last).copied().collect();
            for id in older {
                self.wanted.remove(&id);
                self.one_by_one.insert(id);
            }
        }
        found
    }

    /// Takes in that pages are refused.
    pub(super) fn refused(&mut self) {
        self.page_in_flight = false;
        self.saved -= 1;
        self.no_more_pages = true;
    }

    /// After a failed page: another request for it, or `None` if its incidents are read one by one.
    pub(super) fn failed(&mut self, result: &CallResult) -> Option<Call> {
        self.saved -= 1;
        self.failures += 1;
        let newest = self.wanted.last().copied()?;
        let of_page = self.on_a_page_with(newest);
        let smaller = self.size.failed(result);
        if smaller.is_ok() && self.pages_pay() && (result.is_truncated || self.failures < FAILURES) {
            return Some(self.page_with(newest));
        }
        self.page_in_flight = false;
        for id in of_page {
            self.wanted.remove(&id);
            self.one_by_one.insert(id);
        }
        None
    }

    /// The estimated number of wanted incidents on a page that starts with this incident.
    fn on_a_page_with(&self, newest: u64) -> Vec<u64> {
        let reach = (f64::from(self.size.get()) * self.ids_for_a_place(newest)).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 1, and cut at the largest"
        )]
        let reach = reach as u64;
        self.wanted.range(newest.saturating_sub(reach.saturating_sub(1))..=newest).copied().collect()
    }

    /// The estimated position of an incident in the list.
    fn place_of(&self, id: u64) -> u64 {
        let newer = self.places.range(id..).next();
        let older = self.places.range(..id).next_back();
        let density = 1.0 / self.ids_for_a_place(id);
        #[expect(clippy::cast_precision_loss, reason = "a guess")]
        let distance = |ids: u64| (ids as f64 * density).round();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a guess, not below zero")]
        let whole = |places: f64| places.max(0.0) as u64;
        match (newer, older) {
            (Some((newer, at)), _) => at + whole(distance(newer - id)),
            // It is newer than all incidents seen.
            (None, Some((older, at))) => at.saturating_sub(whole(distance(id - older))),
            (None, None) => 0,
        }
    }

    /// The distance between the IDs of neighbors in the list near this ID: at least 1.
    fn ids_for_a_place(&self, id: u64) -> f64 {
        let newer = self.places.range(id..).next().or_else(|| self.places.last_key_value());
        let older = self.places.range(..id).next_back().or_else(|| self.places.first_key_value());
        let (Some((newer, at)), Some((older, older_at))) = (newer, older) else { return 1.0 };
        let ends = if older_at > at { Some((newer - older, older_at - at)) } else { None };
        // Beyond the pages seen: the same distance as on the last page.
        let all = self.places.last_key_value().zip(self.places.first_key_value());
        let all = all.map(|((newest, first), (oldest, last))| (newest - oldest, last.saturating_sub(*first)));
        #[expect(clippy::cast_precision_loss, reason = "a guess")]
        let apart = |(ids, places): (u64, u64)| if places == 0 { 1.0 } else { (ids as f64 / places as f64).max(1.0) };
        ends.or(all).map_or(1.0, apart)
    }

    /// The minimum number of calls for `newest_first` IDs: in full pages, if the list had no gaps and all positions
    /// were known.
    pub(super) fn fewest_calls(&self, newest_first: impl Iterator<Item = u64>) -> u64 {
        let mut calls = 0;
        let mut oldest_on_page = None;
        for id in newest_first {
            if oldest_on_page.is_none_or(|oldest| id < oldest) {
                calls += 1;
                oldest_on_page = Some(id.saturating_sub(u64::from(self.size.most()) - 1));
            }
        }
        calls
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::page_size::tests::{SIZES, failure};
    use super::*;
    use proptest::prelude::*;

    fn id(number: u64) -> IncidentId {
        IncidentId::new(number).expect("positive")
    }

    /// The calls that it takes, with a list of these incidents; each wanted one is seen or asked for.
    fn calls(wanted: &BTreeSet<u64>, there: &BTreeSet<u64>) -> (u64, u64) {
        let mut planner = ReadPlanner::new(wanted.iter().copied().map(id), &SIZES);
        let list: Vec<u64> = there.iter().rev().copied().collect();
        let (mut pages, mut reads, mut known) = (0, 0, BTreeSet::new());
        while let Wanted::Call(call) = planner.next() {
            match call {
                Call::Read(incident) => {
                    reads += 1;
                    assert!(known.insert(incident.get()), "{incident} is read twice");
                }
                Call::List(asked) => {
                    pages += 1;
                    let skip_to = usize::try_from(asked.skip).expect("small");
                    let page = list.iter().skip(skip_to).take(asked.top as usize);
                    let page = page.map(|id| Incident { id: *id, ..Incident::default() }).collect();
                    for found in planner.shown(&asked, page) {
                        assert!(known.insert(found.id), "{} is found twice", found.id);
                    }
                }
                Call::Step(_) => unreachable!("it only reads"),
            }
        }
        assert_eq!(&known, wanted);
        (pages, reads)
    }

    #[test]
    fn dense_ids_use_pages_scattered_ones_single_reads() {
        let there: BTreeSet<u64> = (1..=50_000).collect();
        let neighbours = (20_001..=23_000).collect();
        assert_eq!(calls(&neighbours, &there), (32, 0));
        let scattered = (1..=300).map(|n| n * 150).collect();
        assert_eq!(calls(&scattered, &there), (0, 300));
        let newest = (49_701..=50_000).collect();
        assert_eq!(calls(&newest, &there), (4, 0));
    }

    #[test]
    fn planner_learns_the_gaps_of_a_list() {
        let there: BTreeSet<u64> = (1..=20_000).map(|n| n * 7).collect();
        let wanted: BTreeSet<u64> = (4_000..7_000).map(|n| n * 7).collect();
        let (pages, reads) = calls(&wanted, &there);
        assert!(pages + reads <= 40, "{pages} pages and {reads} reads for 3,000 in a row");
    }

    #[test]
    fn incidents_missing_from_pages_are_read_singly() {
        let there: BTreeSet<u64> = (1..=1_000).filter(|n| n % 10 != 0).collect();
        let wanted: BTreeSet<u64> = (901..=1_000).collect();
        assert_eq!(calls(&wanted, &there).1, 10);
    }

    /// The list shows everything about where they should be, and none of them.
    #[test]
    fn pages_without_wanted_incidents_are_abandoned() {
        let there: BTreeSet<u64> = (1..=1_000).map(|n| n * 2).collect();
        let wanted = (1..=1_000).map(|n| n * 2 - 1).collect();
        assert_eq!(calls(&wanted, &there), (MAX_EXTRA_CALLS, 1_000));
    }

    /// The calls for a hundred neighbors if every page fails in this way: sizes of pages, then how many single reads.
    fn with_failing_pages(result: &CallResult) -> (Vec<u32>, usize) {
        let mut planner = ReadPlanner::new((901..=1_000).map(id), &SIZES);
        let (mut tops, mut reads) = (Vec::new(), 0);
        loop {
            match planner.next() {
                Wanted::Call(Call::List(page)) => {
                    tops.push(page.top);
                    while let Some(Call::List(page)) = planner.failed(result) {
                        tops.push(page.top);
                    }
                }
                Wanted::Call(Call::Read(_)) => reads += 1,
                Wanted::Nothing => return (tops, reads),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn failing_pages_are_replaced_by_single_reads() {
        assert_eq!(with_failing_pages(&failure(Some(500), false)), (vec![100, 100], 100));
        assert_eq!(with_failing_pages(&failure(Some(200), false)), (vec![100, 100], 100), "HTML");
        assert_eq!(with_failing_pages(&failure(None, false)), (vec![100, 100], 100));
        assert_eq!(with_failing_pages(&failure(Some(504), false)), (vec![100, 50, 25], 100));
        assert_eq!(with_failing_pages(&failure(Some(200), true)), (vec![100, 50, 25], 100));
    }

    #[test]
    fn refused_pages_are_not_requested_again() {
        let mut planner = ReadPlanner::new((901..=1_000).map(id), &SIZES);
        assert!(matches!(planner.next(), Wanted::Call(Call::List(_))));
        planner.refused();
        assert!(matches!(planner.next(), Wanted::Call(Call::Read(_))));
    }

    #[test]
    fn remaining_reads_include_incidents_missing_from_pages() {
        let mut planner = ReadPlanner::new((901..=1_000).map(id), &SIZES);
        assert_eq!((planner.left(), planner.calls_left()), (100, 1));
        let Wanted::Call(Call::List(asked)) = planner.next() else { panic!("no page") };
        let page = (901..=1_000).rev().filter(|id| id % 10 != 0).map(|id| Incident { id, ..Incident::default() });
        assert_eq!(planner.shown(&asked, page.collect()).len(), 90);
        // Of 901 to 1000 those that a page can speak of: 1000 is newer than the first that it has shown.
        assert_eq!((planner.left(), planner.calls_left()), (10, 10));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn pages_never_cost_much_more_than_single_reads(
            wanted in prop::collection::btree_set(1_u64..5_000, 0..300),
            there in prop::collection::btree_set(1_u64..5_000, 0..1_000),
        ) {
            let (pages, reads) = calls(&wanted, &there);
            prop_assert!(pages + reads <= wanted.len() as u64 + MAX_EXTRA_CALLS);
            prop_assert!(pages + reads >= ReadPlanner::new(std::iter::empty(), &SIZES).fewest_calls(wanted.iter().rev().copied()));
        }
    }
}
