//! Across rows: incidents that stand in the input more than once.

use super::RowError;
use crate::input::INCIDENT_ID;
use crate::model::diagnostic::{Diagnostic, codes};

/// What is kept of every valid row: 24 bytes. Rows and lines fit, because an input has no more lines than 2³² − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowFingerprint {
    pub(super) incident: u64,
    /// Of the change's body; equal changes have equal hashes.
    pub(super) hash: u64,
    pub(super) row: u32,
    pub(super) line: u32,
}

/// A row of an incident that stands in the input more than once: as many bytes as a [`RowFingerprint`], so that it can take its
/// place in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Repeat {
    incident: u64,
    row: u32,
    line: u32,
    /// The line of the row before that has the same incident; 0 if it is the first one.
    before: u32,
    /// The line of a row that asks for something else: an earlier one if there is one, else a later one; 0 if there is
    /// none.
    other: u32,
}

/// The rows of incidents that stand in the input more than once, in the rows' order. What is to be told of them is made
/// one by one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats(Vec<Repeat>);

impl Repeats {
    /// What is wrong, in the order of the (later) rows.
    pub(super) fn diagnostics(&self, file: &str) -> impl Iterator<Item = Diagnostic> {
        self.0.iter().filter_map(move |repeat| repeat.diagnostic(file))
    }

    /// All rows that contradict another one, in their order, and why.
    pub fn contradicting(&self) -> impl Iterator<Item = (u64, RowError)> {
        self.0.iter().filter(|repeat| repeat.other > 0).map(|repeat| (u64::from(repeat.row), repeat.error()))
    }

    /// How many these are up to the row `last`.
    pub(super) fn count_contradicting(&self, last: u64) -> u64 {
        self.0.iter().filter(|repeat| repeat.other > 0 && u64::from(repeat.row) <= last).count() as u64
    }
}

/// Looks for incidents that stand there twice.
pub(super) fn find(mut seen: Vec<RowFingerprint>) -> Repeats {
    keep_repeated(&mut seen);
    seen.sort_unstable_by_key(|seen| (seen.incident, seen.row));
    seen.chunk_by_mut(|a, b| a.incident == b.incident).for_each(compare);
    let repeat = |RowFingerprint { incident, hash, row, line }| {
        let (before, other) = unpacked(hash);
        Repeat { incident, row, line, before, other }
    };
    // The standard library does this in place.
    let mut repeats: Vec<Repeat> = seen.into_iter().map(repeat).collect();
    repeats.sort_unstable_by_key(|repeat| repeat.row);
    Repeats(repeats)
}

/// Puts into each hash of an incident's rows the line before and the one that asks for something else.
fn compare(group: &mut [RowFingerprint]) {
    let first_change = group.windows(2).position(|pair| pair[0].hash != pair[1].hash);
    let first_other = first_change.map_or(0, |at| group[at + 1].line);
    // Of each row, the nearest earlier one that asks for something else.
    let (mut before, mut other) = (None, 0);
    for this in group {
        if let Some(RowFingerprint { hash, line, .. }) = before
            && hash != this.hash
        {
            other = line;
        }
        let line_before = before.map_or(0, |before| before.line);
        before = Some(*this);
        this.hash = packed(line_before, if other > 0 { other } else { first_other });
    }
}

fn packed(before: u32, other: u32) -> u64 {
    u64::from(before) << 32 | u64::from(other)
}

fn unpacked(lines: u64) -> (u32, u32) {
    let line = |bits: u64| u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
    (line(lines >> 32), line(lines))
}

/// Leaves only the incidents that stand there twice: mostly none.
fn keep_repeated(seen: &mut Vec<RowFingerprint>) {
    let most = seen.iter().map(|seen| seen.incident).max().unwrap_or(0);
    // A tenant numbers its incidents on from 1, so a bit for each number is mostly less than a number for each row.
    let is_dense = usize::try_from(most / 64).is_ok_and(|words| words <= seen.len());
    let repeated = if is_dense { repeated_by_bits(seen, most) } else { repeated_by_sorting(seen) };
    if repeated.is_empty() {
        return seen.clear();
    }
    seen.retain(|seen| repeated.binary_search(&seen.incident).is_ok());
}

/// The incidents that stand there twice, sorted. `most` is the largest.
fn repeated_by_bits(seen: &[RowFingerprint], most: u64) -> Vec<u64> {
    let place = |incident: u64| (usize::try_from(incident / 64).unwrap_or(usize::MAX), 1_u64 << (incident % 64));
    let mut met = vec![0_u64; place(most).0 + 1];
    let mut is_any_repeated = false;
    for seen in seen {
        let (word, bit) = place(seen.incident);
        is_any_repeated |= met[word] & bit != 0;
        met[word] |= bit;
    }
    let mut repeated = Vec::new();
    if is_any_repeated {
        met.fill(0);
        let mut told = met.clone();
        for seen in seen {
            let (word, bit) = place(seen.incident);
            if met[word] & bit != 0 && told[word] & bit == 0 {
                told[word] |= bit;
                repeated.push(seen.incident);
            }
            met[word] |= bit;
        }
    }
    repeated.sort_unstable();
    repeated
}

/// The same for any numbers. Bare ones sort in a fraction of the time.
fn repeated_by_sorting(seen: &[RowFingerprint]) -> Vec<u64> {
    let mut ids: Vec<u64> = seen.iter().map(|seen| seen.incident).collect();
    ids.sort_unstable();
    let mut repeated: Vec<u64> =
        ids.chunk_by(|a, b| a == b).filter(|same| same.len() > 1).map(|same| same[0]).collect();
    repeated.shrink_to_fit();
    repeated
}

impl Repeat {
    fn error(&self) -> RowError {
        let (incident, line) = (self.incident, self.other);
        let message = format!("conflicting changes to incident {incident}: here and on line {line}");
        RowError { code: codes::CONTRADICTION.name, message }
    }

    /// What is told of it, at the later of two rows.
    fn diagnostic(&self, file: &str) -> Option<Diagnostic> {
        let diagnostic = if (1..self.line).contains(&self.other) {
            Diagnostic::new(&codes::CONTRADICTION, file, self.error().message)
        } else if self.before > 0 {
            let message = format!("incident {} has the same change on line {}", self.incident, self.before);
            Diagnostic::new(&codes::DUPLICATE, file, message)
        } else {
            return None;
        };
        Some(Diagnostic {
            line: Some(self.line.into()),
            row: Some(self.row.into()),
            field: Some(INCIDENT_ID.to_owned()),
            value: Some(self.incident.to_string()),
            ..diagnostic
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bitmap_and_sorting_find_equal_duplicates(ids in prop::collection::vec(1u64..200, 0..300)) {
            let rows: Vec<(u64, u64)> = ids.iter().map(|id| (*id, 0)).collect();
            prop_assert_eq!(repeated_by_bits(&seen(&rows), 200), repeated_by_sorting(&seen(&rows)));
        }
    }

    #[test]
    fn largest_ids_are_found_too() {
        let most = i64::MAX.unsigned_abs();
        assert_eq!(codes_of(&[(most, 1), (1, 1), (most, 2)]), [(3, "contradiction")]);
    }

    fn seen(rows: &[(u64, u64)]) -> Vec<RowFingerprint> {
        let rows = rows.iter().zip(1u32..);
        rows.map(|((incident, hash), row)| RowFingerprint { incident: *incident, hash: *hash, row, line: row + 1 })
            .collect()
    }

    fn codes_of(rows: &[(u64, u64)]) -> Vec<(u64, &'static str)> {
        find(seen(rows)).diagnostics("f").map(|found| (found.row.unwrap_or(0), found.code)).collect()
    }

    #[test]
    fn equal_duplicate_warns_conflicting_one_is_error() {
        assert_eq!(codes_of(&[(7, 1), (8, 1), (7, 1)]), [(3, "duplicate")]);
        assert_eq!(codes_of(&[(7, 1), (7, 2)]), [(2, "contradiction")]);
        assert_eq!(codes_of(&[(7, 1), (7, 2), (7, 1), (7, 1)]).len(), 3);
        assert_eq!(codes_of(&[(9, 1), (7, 1), (9, 2), (7, 1)]), [(3, "contradiction"), (4, "duplicate")]);
        assert_eq!(codes_of(&[]), []);
    }

    #[test]
    fn both_conflicting_rows_are_reported() {
        let repeats = find(seen(&[(7, 1), (8, 5), (7, 2), (7, 2)]));
        let contradicting: Vec<_> = repeats.contradicting().collect();
        assert_eq!(contradicting.iter().map(|(row, _)| *row).collect::<Vec<_>>(), [1, 3, 4]);
        assert!(contradicting[0].1.message.ends_with("here and on line 4"));
        assert!(contradicting[1].1.message.ends_with("here and on line 2"));
        let first = repeats.diagnostics("f").next().expect("a diagnostic");
        assert_eq!(first.message, "conflicting changes to incident 7: here and on line 2");
        assert_eq!(repeats.count_contradicting(3), 2);
    }
}
