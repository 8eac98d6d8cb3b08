//! Finds incidents that occur in several rows.

use super::RowError;
use crate::input::INCIDENT_ID;
use crate::model::diagnostic::{Diagnostic, codes};

/// The part of a valid row that is kept: 24 bytes. Rows and lines fit, because an input has at most 2³² − 1 lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowFingerprint {
    pub(super) incident: u64,
    /// The hash of the change; equal changes have equal hashes.
    pub(super) hash: u64,
    pub(super) row: u32,
    pub(super) line: u32,
}

/// A row of an incident that occurs several times. It has the size of a [`RowFingerprint`], so that a `Vec` can be
/// converted in index.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Repeat {
    incident: u64,
    row: u32,
    line: u32,
    /// The line of the previous row with the same incident, or 0.
    before: u32,
    /// The line of a row with a different change, an earlier one if possible, or 0.
    other: u32,
}

/// The rows of incidents that occur several times, in the order of the rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repeats(Vec<Repeat>);

impl Repeats {
    /// The diagnostics, in the order of the rows that they are about.
    pub(super) fn diagnostics(&self, file: &str) -> impl Iterator<Item = Diagnostic> {
        self.0.iter().filter_map(move |repeat| repeat.diagnostic(file))
    }

    /// All rows that contradict another row, in order, and why.
    pub fn contradicting(&self) -> impl Iterator<Item = (u64, RowError)> {
        self.0.iter().filter(|repeat| repeat.other > 0).map(|repeat| (u64::from(repeat.row), repeat.error()))
    }

    /// The number of contradicting rows up to the row `last`.
    pub(super) fn count_contradicting(&self, last: u64) -> u64 {
        self.0.iter().filter(|repeat| repeat.other > 0 && u64::from(repeat.row) <= last).count() as u64
    }
}

/// Finds incidents that occur several times.
pub(super) fn find(mut rows: Vec<RowFingerprint>) -> Repeats {
    keep_repeated(&mut rows);
    rows.sort_unstable_by_key(|row| (row.incident, row.row));
    rows.chunk_by_mut(|a, b| a.incident == b.incident).for_each(compare);
    let repeat = |RowFingerprint { incident, hash, row, line }| {
        let (before, other) = unpacked(hash);
        Repeat { incident, row, line, before, other }
    };
    // The standard library does this in index.
    let mut repeats: Vec<Repeat> = rows.into_iter().map(repeat).collect();
    repeats.sort_unstable_by_key(|repeat| repeat.row);
    Repeats(repeats)
}

/// Compares the rows of an incident. Replaces each hash by the line before and a line with a different change.
fn compare(group: &mut [RowFingerprint]) {
    let first_change = group.windows(2).position(|pair| pair[0].hash != pair[1].hash);
    let first_other = first_change.map_or(0, |at| group[at + 1].line);
    // `other` is the nearest earlier line with a different change.
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

/// Removes the rows of incidents that occur only once, which are usually all of them.
fn keep_repeated(rows: &mut Vec<RowFingerprint>) {
    let max = rows.iter().map(|row| row.incident).max().unwrap_or(0);
    // A tenant numbers its incidents from 1, so a bit set is usually smaller than a list of the rows.
    let is_dense = usize::try_from(max / 64).is_ok_and(|words| words <= rows.len());
    let repeated = if is_dense { repeated_by_bits(rows, max) } else { repeated_by_sorting(rows) };
    if repeated.is_empty() {
        return rows.clear();
    }
    rows.retain(|row| repeated.binary_search(&row.incident).is_ok());
}

/// The incidents that occur several times, sorted. `max` is the largest ID.
fn repeated_by_bits(rows: &[RowFingerprint], max: u64) -> Vec<u64> {
    let position = |incident: u64| (usize::try_from(incident / 64).unwrap_or(usize::MAX), 1_u64 << (incident % 64));
    let mut seen = vec![0_u64; position(max).0 + 1];
    let mut is_any_repeated = false;
    for row in rows {
        let (word, bit) = position(row.incident);
        is_any_repeated |= seen[word] & bit != 0;
        seen[word] |= bit;
    }
    let mut repeated = Vec::new();
    if is_any_repeated {
        seen.fill(0);
        let mut added = seen.clone();
        for row in rows {
            let (word, bit) = position(row.incident);
            if seen[word] & bit != 0 && added[word] & bit == 0 {
                added[word] |= bit;
                repeated.push(row.incident);
            }
            seen[word] |= bit;
        }
    }
    repeated.sort_unstable();
    repeated
}

/// The same for sparse IDs. Sorting only the IDs takes a fraction of the time.
fn repeated_by_sorting(rows: &[RowFingerprint]) -> Vec<u64> {
    let mut ids: Vec<u64> = rows.iter().map(|row| row.incident).collect();
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

    /// The diagnostic about the later of two rows.
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
