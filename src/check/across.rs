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

/// Leaves only the incidents that stand there twice: mostly none. Bare numbers sort in a fraction of the time.
fn keep_repeated(seen: &mut Vec<Seen>) {
    let mut ids: Vec<u64> = seen.iter().map(|seen| seen.incident).collect();
    ids.sort_unstable();
    let mut repeated: Vec<u64> = ids.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    if repeated.is_empty() {
        return seen.clear();
    }
    seen.retain(|seen| repeated.binary_search(&seen.incident).is_ok());
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
