//! The route of a survey: which call shows the most of the incidents that are still wanted.
//!
//! A page of the list shows a hundred incidents, newest first, and can begin anywhere in it; where an incident stands
//! there is not known, but can be guessed from the pages seen. So a page is worth its call where wanted incidents lie
//! close together, and a read of one incident is where they do not.
//!
//! Promises: never more than [`WASTE`] calls over one for each incident, wherever they are and whatever the list shows.
//! Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::attempt::{Call, Incident, Page};
use crate::row::IncidentId;

/// The most incidents of one page, by the API's rule.
const LARGEST_PAGE: u32 = 100;
/// Pages may cost so many calls more than they have saved.
pub(super) const WASTE: u64 = 3;
/// Incidents that come into being while pages are read move all others: a page begins so many earlier than is guessed.
const OVERLAP: u64 = 2;

/// What is still wanted, and what is known of the list.
#[derive(Debug)]
pub(super) struct Route {
    wanted: BTreeSet<u64>,
    /// Of these: they are not where the list should show them, or the list is no good.
    one_by_one: BTreeSet<u64>,
    /// Where incidents stand in the list, by their ids: those at the ends of the pages seen.
    places: BTreeMap<u64, u64>,
    page_under_way: bool,
    no_more_pages: bool,
    top: u32,
    /// The calls that pages have saved, those that they cost subtracted.
    saved: i64,
}

impl Route {
    pub(super) fn new(wanted: impl Iterator<Item = IncidentId>) -> Route {
        Route {
            wanted: wanted.map(IncidentId::get).collect(),
            one_by_one: BTreeSet::new(),
            places: BTreeMap::new(),
            page_under_way: false,
            no_more_pages: false,
            top: LARGEST_PAGE,
            saved: 0,
        }
    }

    /// How many are wanted, calls under way aside.
    pub(super) fn left(&self) -> u64 {
        (self.wanted.len() + self.one_by_one.len()) as u64
    }

    /// How many calls will be needed, as far as can be guessed.
    pub(super) fn calls_left(&self) -> u64 {
        if self.no_more_pages {
            self.left()
        } else {
            fewest_calls(self.wanted.iter().rev().copied()) + self.one_by_one.len() as u64
        }
    }

    /// The next call, if there is one to be made now.
    pub(super) fn next(&mut self) -> Option<Call> {
        if let Some(id) = self.one_by_one.pop_first() {
            return IncidentId::new(id).map(Call::Read);
        }
        if self.page_under_way {
            return None;
        }
        let newest = *self.wanted.last()?;
        let pages_pay = !self.no_more_pages && self.saved > -i64::try_from(WASTE).unwrap_or(0);
        if pages_pay && self.on_a_page_with(newest) >= 2 {
            let skip = self.place_of(newest).saturating_sub(OVERLAP);
            self.page_under_way = true;
            return Some(Call::List(Page { filter: None, top: self.top, skip }));
        }
        self.wanted.remove(&newest);
        IncidentId::new(newest).map(Call::Read)
    }

    /// A page that began at `skip` has shown these. Gives back those that were wanted.
    pub(super) fn shown(&mut self, skip: u64, page: Vec<Incident>) -> Vec<Incident> {
        self.page_under_way = false;
        self.saved -= 1;
        let ids: Vec<u64> = page.iter().map(|incident| incident.id).collect();
        let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) else {
            // Past the end of the list: there is nothing older.
            self.no_more_pages = true;
            return Vec::new();
        };
        if !ids.is_sorted_by(|one, next| one > next) {
            // Ids do not follow the list's order: nothing can be guessed from them.
            self.no_more_pages = true;
        }
        self.places.insert(first, skip);
        self.places.insert(last, skip + ids.len() as u64 - 1);
        let found: Vec<Incident> = page.into_iter().filter(|incident| self.wanted.remove(&incident.id)).collect();
        self.saved += i64::try_from(found.len()).unwrap_or(0);
        // What should be on this page and is not is asked for by its own id.
        let missing: Vec<u64> = self.wanted.range(last.min(first)..=first.max(last)).copied().collect();
        for id in missing {
            self.wanted.remove(&id);
            self.one_by_one.insert(id);
        }
        // Nothing is older than the last incident of a page that is not full.
        if ids.len() < self.top as usize {
            let older: Vec<u64> = self.wanted.range(..last).copied().collect();
            for id in older {
                self.wanted.remove(&id);
                self.one_by_one.insert(id);
            }
        }
        found
    }

    /// A page could not be read; a smaller one may come through, unless pages are refused.
    pub(super) fn failed(&mut self, may_be_too_large: bool) {
        self.page_under_way = false;
        self.saved -= 1;
        if may_be_too_large && self.top > 10 { self.top /= 4 } else { self.no_more_pages = true }
    }

    /// How many of the wanted incidents a page shows that begins with this one, as far as can be guessed.
    fn on_a_page_with(&self, newest: u64) -> usize {
        let reach = (f64::from(self.top) * self.ids_for_a_place(newest)).max(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at least 1, and cut at the largest"
        )]
        let reach = reach as u64;
        self.wanted.range(newest.saturating_sub(reach.saturating_sub(1))..=newest).count()
    }

    /// Where an incident stands in the list, as far as can be guessed.
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
            // It is newer than all that was seen.
            (None, Some((older, at))) => at.saturating_sub(whole(distance(id - older))),
            (None, None) => 0,
        }
    }

    /// How far apart ids of neighbours in the list are, near this one: at least 1.
    fn ids_for_a_place(&self, id: u64) -> f64 {
        let newer = self.places.range(id..).next().or_else(|| self.places.last_key_value());
        let older = self.places.range(..id).next_back().or_else(|| self.places.first_key_value());
        let (Some((newer, at)), Some((older, older_at))) = (newer, older) else { return 1.0 };
        let ends = if older_at > at { Some((newer - older, older_at - at)) } else { None };
        // Beyond the pages seen: as far apart as they are there.
        let all = self.places.last_key_value().zip(self.places.first_key_value());
        let all = all.map(|((newest, first), (oldest, last))| (newest - oldest, last.saturating_sub(*first)));
        #[expect(clippy::cast_precision_loss, reason = "a guess")]
        let apart = |(ids, places): (u64, u64)| if places == 0 { 1.0 } else { (ids as f64 / places as f64).max(1.0) };
        ends.or(all).map_or(1.0, apart)
    }
}

/// The calls without which it can't be done, even if the list had no gaps and it were known where each one stands:
/// `newest_first` ids, a page for each hundred of them.
pub(super) fn fewest_calls(newest_first: impl Iterator<Item = u64>) -> u64 {
    let mut calls = 0;
    let mut oldest_on_page = None;
    for id in newest_first {
        if oldest_on_page.is_none_or(|oldest| id < oldest) {
            calls += 1;
            oldest_on_page = Some(id.saturating_sub(u64::from(LARGEST_PAGE) - 1));
        }
    }
    calls
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(number: u64) -> IncidentId {
        IncidentId::new(number).expect("positive")
    }

    /// The calls that it takes, with a list of these incidents; each wanted one is seen or asked for.
    fn calls(wanted: &BTreeSet<u64>, there: &BTreeSet<u64>) -> (u64, u64) {
        let mut route = Route::new(wanted.iter().copied().map(id));
        let list: Vec<u64> = there.iter().rev().copied().collect();
        let (mut pages, mut reads, mut known) = (0, 0, BTreeSet::new());
        while let Some(call) = route.next() {
            match call {
                Call::Read(incident) => {
                    reads += 1;
                    assert!(known.insert(incident.get()), "{incident} is read twice");
                }
                Call::List(Page { top, skip, .. }) => {
                    pages += 1;
                    let skip_to = usize::try_from(skip).expect("small");
                    let page = list.iter().skip(skip_to).take(top as usize);
                    let page = page.map(|id| Incident { id: *id, ..Incident::default() }).collect();
                    for found in route.shown(skip, page) {
                        assert!(known.insert(found.id), "{} is found twice", found.id);
                    }
                }
                Call::Update(_) => unreachable!("it only looks"),
            }
        }
        assert_eq!(&known, wanted);
        (pages, reads)
    }

    #[test]
    fn neighbours_come_by_pages_and_scattered_ones_alone() {
        let there: BTreeSet<u64> = (1..=50_000).collect();
        let neighbours = (20_001..=23_000).collect();
        assert_eq!(calls(&neighbours, &there), (32, 0));
        let scattered = (1..=300).map(|n| n * 150).collect();
        assert_eq!(calls(&scattered, &there), (0, 300));
        let newest = (49_701..=50_000).collect();
        assert_eq!(calls(&newest, &there), (4, 0));
    }

    #[test]
    fn a_list_with_gaps_is_learnt() {
        let there: BTreeSet<u64> = (1..=20_000).map(|n| n * 7).collect();
        let wanted: BTreeSet<u64> = (4_000..7_000).map(|n| n * 7).collect();
        let (pages, reads) = calls(&wanted, &there);
        assert!(pages + reads <= 40, "{pages} pages and {reads} reads for 3,000 in a row");
    }

    #[test]
    fn what_the_list_does_not_show_is_asked_for_alone() {
        let there: BTreeSet<u64> = (1..=1_000).filter(|n| n % 10 != 0).collect();
        let wanted: BTreeSet<u64> = (901..=1_000).collect();
        assert_eq!(calls(&wanted, &there).1, 10);
    }

    /// The list shows everything about where they should be, and none of them.
    #[test]
    fn pages_that_show_nothing_are_given_up() {
        let there: BTreeSet<u64> = (1..=1_000).map(|n| n * 2).collect();
        let wanted = (1..=1_000).map(|n| n * 2 - 1).collect();
        assert_eq!(calls(&wanted, &there), (WASTE, 1_000));
    }

    #[test]
    fn pages_that_fail_get_smaller_and_cost_as_much_as_others() {
        let tops = |may_be_too_large| {
            let mut route = Route::new((901..=1_000).map(id));
            let mut tops = Vec::new();
            while let Some(Call::List(page)) = route.next() {
                tops.push(page.top);
                route.failed(may_be_too_large);
            }
            tops
        };
        assert_eq!(tops(true), [100, 25, 6]);
        assert_eq!(tops(false), [100]);
    }

    #[test]
    fn what_is_left_counts_those_that_a_page_did_not_show() {
        let mut route = Route::new((901..=1_000).map(id));
        assert_eq!((route.left(), route.calls_left()), (100, 1));
        assert!(matches!(route.next(), Some(Call::List(_))));
        let page = (901..=1_000).rev().filter(|id| id % 10 != 0).map(|id| Incident { id, ..Incident::default() });
        assert_eq!(route.shown(0, page.collect()).len(), 90);
        // Of 901 to 1000 those that a page can speak of: 1000 is newer than the first that it has shown.
        assert_eq!((route.left(), route.calls_left()), (10, 10));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_never_costs_much_more_than_one_by_one(
            wanted in prop::collection::btree_set(1_u64..5_000, 0..300),
            there in prop::collection::btree_set(1_u64..5_000, 0..1_000),
        ) {
            let (pages, reads) = calls(&wanted, &there);
            prop_assert!(pages + reads <= wanted.len() as u64 + WASTE);
            prop_assert!(pages + reads >= fewest_calls(wanted.iter().rev().copied()));
        }
    }
}
