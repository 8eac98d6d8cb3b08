//! Across rows: incidents that stand in the input more than once.

use std::collections::BTreeMap;

use super::RowError;
use crate::diagnostic::{Diagnostic, codes};

/// What is kept of every valid row: 24 bytes. Rows and lines fit, because an input has no more lines than 2³² − 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) incident: u64,
    /// Of the change's body; equal changes have equal hashes.
    pub(super) hash: u64,
    pub(super) row: u32,
    pub(super) line: u32,
}

/// What was found: diagnostics in the order of the (later) rows, and all rows that contradict another.
#[derive(Debug, Default)]
pub(super) struct Across {
    pub(super) diagnostics: Vec<Diagnostic>,
    pub(super) contradicting: Vec<(u64, RowError)>,
}

/// Looks for incidents that stand there twice.
pub(super) fn look(mut seen: Vec<Seen>, file: &str) -> Across {
    keep_repeated(&mut seen);
    seen.sort_unstable_by_key(|seen| (seen.incident, seen.row));
    let mut found: BTreeMap<u32, Diagnostic> = BTreeMap::new();
    let mut contradicting = Vec::new();
    for group in seen.chunk_by(|a, b| a.incident == b.incident).filter(|group| group.len() > 1) {
        // Of each row, the nearest earlier one that asks for something else.
        let mut other: Option<&Seen> = None;
        for pair in group.windows(2) {
            let (before, this) = (&pair[0], &pair[1]);
            if before.hash != this.hash {
                other = Some(before);
            }
            found.insert(this.row, diagnostic(this, before, other, file));
        }
        if let Some(other) = other {
            let contradicted = |this: &Seen| {
                let against = if this.hash == other.hash {
                    group.iter().find(|seen| seen.hash != this.hash).unwrap_or(other)
                } else {
                    other
                };
                (u64::from(this.row), error(this, against.line))
            };
            contradicting.extend(group.iter().map(contradicted));
        }
    }
    contradicting.sort_unstable_by_key(|(row, _)| *row);
    Across { diagnostics: found.into_values().collect(), contradicting }
}

/// Leaves only the incidents that stand there twice: mostly none.
fn keep_repeated(seen: &mut Vec<Seen>) {
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
fn repeated_by_bits(seen: &[Seen], most: u64) -> Vec<u64> {
    let place = |incident: u64| (usize::try_from(incident / 64).unwrap_or(usize::MAX), 1_u64 << (incident % 64));
    let mut met = vec![0_u64; place(most).0 + 1];
    let mut repeated = Vec::new();
    for seen in seen {
        let (word, bit) = place(seen.incident);
        if met[word] & bit != 0 {
            repeated.push(seen.incident);
        }
        met[word] |= bit;
    }
    repeated.sort_unstable();
    repeated.dedup();
    repeated
}

/// The same for any numbers. Bare ones sort in a fraction of the time.
fn repeated_by_sorting(seen: &[Seen]) -> Vec<u64> {
    let mut ids: Vec<u64> = seen.iter().map(|seen| seen.incident).collect();
    ids.sort_unstable();
    let mut repeated: Vec<u64> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    repeated
}

fn error(this: &Seen, line: u32) -> RowError {
    let message = format!("incident {} is asked to change in two ways: here and on line {line}", this.incident);
    RowError { code: codes::CONTRADICTION.name, message }
}

fn diagnostic(this: &Seen, before: &Seen, other: Option<&Seen>, file: &str) -> Diagnostic {
    let diagnostic = if let Some(other) = other {
        Diagnostic::new(&codes::CONTRADICTION, file, error(this, other.line).message)
    } else {
        let message = format!("incident {} stands on line {} with the same change", this.incident, before.line);
        Diagnostic::new(&codes::DUPLICATE, file, message)
    };
    Diagnostic {
        line: Some(this.line.into()),
        row: Some(this.row.into()),
        field: Some(super::columns::ID.to_owned()),
        value: Some(this.incident.to_string()),
        ..diagnostic
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bits_and_sorting_find_the_same(ids in prop::collection::vec(1u64..200, 0..300)) {
            let rows: Vec<(u64, u64)> = ids.iter().map(|id| (*id, 0)).collect();
            prop_assert_eq!(repeated_by_bits(&seen(&rows), 200), repeated_by_sorting(&seen(&rows)));
        }
    }

    #[test]
    fn the_largest_ids_are_found_too() {
        let most = i64::MAX.unsigned_abs();
        assert_eq!(codes_of(&[(most, 1), (1, 1), (most, 2)]), [(3, "contradiction")]);
    }

    fn seen(rows: &[(u64, u64)]) -> Vec<Seen> {
        let rows = rows.iter().zip(1u32..);
        rows.map(|((incident, hash), row)| Seen { incident: *incident, hash: *hash, row, line: row + 1 }).collect()
    }

    fn codes_of(rows: &[(u64, u64)]) -> Vec<(u64, &'static str)> {
        let across = look(seen(rows), "f");
        across.diagnostics.iter().map(|found| (found.row.unwrap_or(0), found.code)).collect()
    }

    #[test]
    fn the_same_twice_is_a_warning_and_another_change_an_error_at_the_later_row() {
        assert_eq!(codes_of(&[(7, 1), (8, 1), (7, 1)]), [(3, "duplicate")]);
        assert_eq!(codes_of(&[(7, 1), (7, 2)]), [(2, "contradiction")]);
        assert_eq!(codes_of(&[(7, 1), (7, 2), (7, 1), (7, 1)]).len(), 3);
        assert_eq!(codes_of(&[(9, 1), (7, 1), (9, 2), (7, 1)]), [(3, "contradiction"), (4, "duplicate")]);
        assert_eq!(codes_of(&[]), []);
    }

    #[test]
    fn both_of_two_that_contradict_are_named() {
        let across = look(seen(&[(7, 1), (8, 5), (7, 2), (7, 2)]), "f");
        let rows: Vec<u64> = across.contradicting.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, [1, 3, 4]);
        assert!(across.contradicting[0].1.message.ends_with("here and on line 4"));
        assert!(across.contradicting[1].1.message.ends_with("here and on line 2"));
        assert_eq!(across.diagnostics[0].message, "incident 7 is asked to change in two ways: here and on line 2");
    }
}
