//! Exact sliding windows: each request counts from its arrival for one full window, whether it is throttled or not.
//!
//! Independent of `quota` on purpose: tests would otherwise check the client's arithmetic against itself.

use std::collections::VecDeque;

use crate::clock::BootTime;
use crate::model::quota_spec::{Quota, Window, duration_text};

/// The windows of a quota and the requests in each.
pub(super) struct Windows(Vec<Count>);

struct Count {
    window: Window,
    /// The name in the log: `50/1m`.
    name: String,
    /// The requests in the window, oldest first.
    arrivals: VecDeque<BootTime>,
}

impl Windows {
    pub(super) fn new(quota: &Quota) -> Windows {
        let count = |window: &Window| Count {
            window: *window,
            name: format!("{}/{}", window.calls, duration_text(window.length)),
            arrivals: VecDeque::new(),
        };
        Windows(quota.windows().iter().map(count).collect())
    }

    /// Counts a request that arrives at `now`, which never decreases. If it exceeds the quota, returns the time from which
    /// a request is accepted again, provided that none arrives before.
    pub(super) fn arrive(&mut self, now: BootTime) -> Option<BootTime> {
        self.0.iter_mut().for_each(|count| count.arrive(now));
        let over = self.0.iter().any(|count| count.arrivals.len() > count.calls());
        // A window that is exactly full has accepted this request, but would reject the next one.
        if over { self.0.iter().filter_map(Count::full_until).max() } else { None }
    }

    /// The requests in each window, by the window's name.
    pub(super) fn used(&self) -> impl Iterator<Item = (&str, usize)> {
        self.0.iter().map(|count| (count.name.as_str(), count.arrivals.len()))
    }
}

impl Count {
    fn calls(&self) -> usize {
        usize::try_from(self.window.calls).unwrap_or(usize::MAX)
    }

    fn arrive(&mut self, now: BootTime) {
        while self.arrivals.front().is_some_and(|oldest| *oldest + self.window.length <= now) {
            self.arrivals.pop_front();
        }
        self.arrivals.push_back(now);
    }

    /// When the window has room for one more request; `None` if it has now.
    fn full_until(&self) -> Option<BootTime> {
        let last_to_leave = self.arrivals.len().checked_sub(self.calls())?;
        Some(*self.arrivals.get(last_to_leave)? + self.window.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn windows(quota: &str) -> Windows {
        Windows::new(&quota.parse().expect("a quota"))
    }

    fn at(millis: i64) -> BootTime {
        BootTime(millis * 1_000)
    }

    #[test]
    fn request_51_waits_until_the_first_expires() {
        let mut windows = windows("50/1m,1500/1h");
        for call in 0..50 {
            assert_eq!(windows.arrive(at(call * 10)), None, "call {call}");
        }
        assert_eq!(windows.arrive(at(59_000)), Some(at(60_010)));
        assert_eq!(windows.used().collect::<Vec<_>>(), [("50/1m", 51), ("1500/1h", 51)]);
    }

    #[test]
    fn refused_requests_prolong_the_throttling() {
        let mut windows = windows("2/1s");
        assert_eq!([0, 1].map(|t| windows.arrive(at(t))), [None, None]);
        for time in (500..5_000).step_by(400) {
            assert!(windows.arrive(at(time)).is_some(), "{time}");
        }
        assert_eq!(windows.arrive(at(6_000)), None);
    }

    #[test]
    fn longest_wait_of_all_windows_is_returned() {
        let mut windows = windows("1/1s,1/10s");
        assert_eq!(windows.arrive(at(0)), None);
        assert_eq!(windows.arrive(at(500)), Some(at(10_500)));
    }

    proptest! {
        #[test]
        fn no_window_admits_too_many_requests(
            gaps in prop::collection::vec(0i64..400, 1..80),
            calls in 1u32..20,
            millis in 1u64..3_000,
        ) {
            let length = Duration::from_millis(millis);
            let quota = Quota::new(vec![Window { calls, length }]).expect("one window");
            let mut windows = Windows::new(&quota);
            let (mut now, mut all, mut admitted) = (0, Vec::new(), Vec::new());
            for gap in gaps {
                now += gap;
                // What the specification says, counted the slow way.
                let before = all.iter().filter(|call| **call + length > at(now)).count();
                let resume = windows.arrive(at(now));
                prop_assert_eq!(resume.is_none(), before < calls as usize);
                all.push(at(now));
                if resume.is_none() {
                    admitted.push(at(now));
                }
            }
            for first in &admitted {
                let together = admitted.iter().filter(|call| *first <= **call && **call < *first + length).count();
                prop_assert!(together <= calls as usize);
            }
        }

        #[test]
        fn retry_passes_at_named_time_not_before(
            gaps in prop::collection::vec(0i64..200, 1..50),
        ) {
            let mut now = 0;
            let mut seen = Vec::new();
            for gap in gaps {
                now += gap;
                seen.push(at(now));
                let replay = |then: BootTime| {
                    let mut windows = windows("5/1s,8/3s");
                    let last = seen.iter().map(|call| windows.arrive(*call)).last().flatten();
                    (last, windows.arrive(then))
                };
                if let (Some(resume), _) = replay(at(now)) {
                    prop_assert_eq!(replay(resume).1, None);
                    prop_assert!(replay(BootTime(resume.0 - 1)).1.is_some());
                }
            }
        }
    }
}
