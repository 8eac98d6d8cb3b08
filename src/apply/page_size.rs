//! Page sizes: how many incidents a request for a page of the list asks for, depending on the last results.
//!
//! Promises: every reader of the list uses these sizes; a page that is too large to be read is requested again
//! smaller, and the list keeps that size; an outage does not make the pages small for good. Pure.

use super::health::DOWN_AFTER;
use crate::model::call::CallResult;

/// A page of one size may fail this often before a smaller size is used.
pub(super) const FAILURES: u32 = 2;

/// The size of the next page.
#[derive(Debug)]
pub(super) struct PageSize {
    /// The sizes, largest first.
    sizes: Box<[u32]>,
    /// Index of the size in use.
    at: usize,
    /// Index of the largest size that is used again.
    largest: usize,
    /// What `largest` was before the first of the failures in a row.
    largest_before: usize,
    /// Failures of this size.
    failures: u32,
    /// Failures in a row, of any size.
    streak: u32,
}

/// There is no smaller page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SmallestFails;

impl PageSize {
    /// Starts with the first of these sizes, the largest.
    pub(super) fn new(sizes: &[u32]) -> PageSize {
        PageSize { sizes: sizes.into(), at: 0, largest: 0, largest_before: 0, failures: 0, streak: 0 }
    }

    /// Incidents per page.
    pub(super) fn get(&self) -> u32 {
        self.sizes[self.at]
    }

    /// The maximum number of incidents on a page, by the API's rule.
    pub(super) fn most(&self) -> u32 {
        self.sizes[0]
    }

    /// Takes in a page that was read. After an outage the size grows back step by step.
    pub(super) fn succeeded(&mut self) {
        if self.streak >= DOWN_AFTER {
            self.largest = self.largest_before;
        }
        self.largest_before = self.largest;
        (self.failures, self.streak) = (0, 0);
        if self.at > self.largest {
            self.at -= 1;
        }
    }

    /// Takes in a failed page. A truncated response and a 504 suggest that it was too large: the next is smaller.
    ///
    /// # Errors
    /// If the smallest size, too, has failed too often.
    pub(super) fn failed(&mut self, result: &CallResult) -> Result<(), SmallestFails> {
        self.streak = self.streak.saturating_add(1);
        self.failures += 1;
        let may_be_too_large = result.is_truncated || result.http_status == Some(504);
        if self.failures < FAILURES && !(may_be_too_large && self.at + 1 < self.sizes.len()) {
            return Ok(());
        }
        self.failures = 0;
        if self.at + 1 == self.sizes.len() {
            return Err(SmallestFails);
        }
        self.at += 1;
        self.largest = self.at;
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::call::Verdict;

    /// Those of both built-in contracts.
    pub(crate) const SIZES: [u32; 5] = [100, 50, 25, 10, 1];

    /// A transient error with this status.
    pub(crate) fn failure(http_status: Option<u16>, is_truncated: bool) -> CallResult {
        let verdict = Verdict::Transient { may_have_applied: false };
        CallResult { verdict, http_status, request_id: None, message: "said".to_owned(), is_truncated, resume: None }
    }

    fn sizes(failures: &[CallResult]) -> Vec<u32> {
        let mut size = PageSize::new(&SIZES);
        failures
            .iter()
            .map(|failure| {
                let _ = size.failed(failure);
                size.get()
            })
            .collect()
    }

    #[test]
    fn truncated_pages_and_504s_shrink_at_once() {
        for failure in [failure(Some(200), true), failure(Some(504), false)] {
            assert_eq!(sizes(&vec![failure; 4]), [50, 25, 10, 1]);
        }
    }

    #[test]
    fn other_failures_shrink_after_two() {
        for (status, is_html) in [(Some(500), false), (Some(502), false), (None, false), (Some(200), true)] {
            let failure = failure(status, false);
            assert_eq!(sizes(&vec![failure; 8]), [100, 50, 50, 25, 25, 10, 10, 1], "{status:?}, HTML: {is_html}");
        }
    }

    #[test]
    fn size_is_kept_after_successes() {
        let mut size = PageSize::new(&SIZES);
        size.failed(&failure(Some(200), true)).expect("there are smaller ones");
        for _ in 0..3 {
            size.succeeded();
            assert_eq!(size.get(), 50);
        }
    }

    #[test]
    fn size_grows_back_after_outage() {
        let mut size = PageSize::new(&SIZES);
        size.failed(&failure(Some(200), true)).expect("there are smaller ones");
        size.succeeded();
        for _ in 0..7 {
            size.failed(&failure(Some(503), false)).expect("there are smaller ones");
        }
        assert_eq!(size.get(), 1);
        let grown: Vec<u32> = (0..5)
            .map(|_| {
                size.succeeded();
                size.get()
            })
            .collect();
        assert_eq!(grown, [10, 25, 50, 50, 50]);
    }

    #[test]
    fn smallest_page_fails_after_two() {
        let mut size = PageSize::new(&SIZES);
        for _ in 0..4 {
            size.failed(&failure(Some(200), true)).expect("there are smaller ones");
        }
        assert_eq!(size.failed(&failure(Some(200), true)), Ok(()));
        assert_eq!(size.failed(&failure(Some(200), true)), Err(SmallestFails));
        assert_eq!(size.get(), 1);
    }
}
