//! The numbers of rows by outcome.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::humanize::count;
use crate::model::outcome::OutcomeKind;

/// A count for each outcome. Displays the counts that are not zero; serializes all of them by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts([u64; OutcomeKind::ALL.len()]);

impl OutcomeCounts {
    /// Counts `rows` more rows of this outcome.
    pub fn add(&mut self, kind: OutcomeKind, rows: u64) {
        self.0[kind as usize] += rows;
    }

    /// Adds the counts of several outcomes.
    pub fn add_all(&mut self, counts: &[(OutcomeKind, u64)]) {
        for (kind, rows) in counts {
            self.add(*kind, *rows);
        }
    }

    /// The number of rows with this outcome.
    #[must_use]
    pub fn of(&self, kind: OutcomeKind) -> u64 {
        self.0[kind as usize]
    }

    /// The number of rows with any outcome.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The outcomes with rows, in display order.
    pub fn present(&self) -> impl Iterator<Item = (OutcomeKind, u64)> {
        OutcomeKind::ALL.into_iter().map(|kind| (kind, self.of(kind))).filter(|(_, rows)| *rows > 0)
    }
}

impl fmt::Display for OutcomeCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, rows)) in self.present().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} {kind}", count(rows))?;
        }
        Ok(())
    }
}

impl Serialize for OutcomeCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(OutcomeKind::ALL.len()))?;
        for kind in OutcomeKind::ALL {
            map.serialize_entry(kind.name(), &self.of(kind))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_counts_are_serialized_nonzero_are_shown() {
        let mut counts = OutcomeCounts::default();
        assert_eq!(counts.to_string(), "");
        for (at, kind) in (0..).zip(OutcomeKind::ALL) {
            counts.add(kind, at);
        }
        counts.add(OutcomeKind::Failed, 1_000);
        assert_eq!(counts.to_string(), "1 unchanged, 1,002 failed, 3 invalid, 4 in-doubt, 5 not-attempted");
        assert_eq!(
            serde_json::to_string(&counts).expect("a map"),
            r#"{"updated":0,"unchanged":1,"failed":1002,"invalid":3,"in-doubt":4,"not-attempted":5}"#
        );
        assert_eq!(counts.total(), 1_015);
    }
}
