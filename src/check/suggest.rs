//! "Did you mean …?": finds similar names, and lists alternatives.

use std::fmt::Write as _;

use strsim::osa_distance;

/// The edit distance of two texts (insertions, deletions, replacements and swaps of neighbors), if it is at most `max`.
pub(super) fn distance(from: &str, to: &str, max: usize) -> Option<usize> {
    // A quick test.
    let may_be_similar = from.chars().count().abs_diff(to.chars().count()) <= max;
    may_be_similar.then(|| osa_distance(from, to)).filter(|distance| *distance <= max)
}

/// The maximum number of listed names: a contract may have thousands of values.
const MAX_LISTED: usize = 40;

/// A list of alternatives: `a`, `b` or `c`.
pub(super) fn either<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let mut list = String::new();
    let count = names.len();
    for (at, name) in names.take(MAX_LISTED).enumerate() {
        let separator = match at {
            0 => "",
            _ if at + 1 == count => " or ",
            _ => ", ",
        };
        write!(list, "{separator}`{name}`").expect("writing to a String does not fail");
    }
    if count > MAX_LISTED {
        write!(list, " or one of {} others", count - MAX_LISTED).expect("writing to a String does not fail");
    }
    list
}

/// The maximum number of candidates. Comparing more of them for each problem would take too long.
const MAX_COMPARED: usize = 100;

/// The candidate that `typed` probably means, whatever its case.
pub(crate) fn nearest<'a>(typed: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let candidates: Vec<&str> = candidates.take(MAX_COMPARED + 1).collect();
    // Longer text is not a typo of any name, and slow to compare.
    if candidates.len() > MAX_COMPARED || typed.len() > 100 {
        return None;
    }
    let typed = typed.to_lowercase();
    let max = (typed.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter_map(|candidate| Some((distance(&typed, &candidate.to_lowercase(), max)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn distances_count_swaps_as_one() {
        assert_eq!(distance("clasification", "classification", 2), Some(1));
        assert_eq!(distance("calssification", "classification", 2), Some(1));
        assert_eq!(distance("state", "status", 2), Some(2));
        assert_eq!(distance("owner", "status", 2), None);
        assert_eq!(distance("", "ab", 2), Some(2));
    }

    #[test]
    fn nearest_name_is_suggested_distant_ones_are_not() {
        let values = ["FalsePositive", "TruePositive", "Unknown"];
        assert_eq!(nearest("FalsPositive", values.into_iter()), Some("FalsePositive"));
        assert_eq!(nearest("falsepositve", values.into_iter()), Some("FalsePositive"));
        assert_eq!(nearest("banana", values.into_iter()), None);
    }

    #[test]
    fn many_names_are_neither_compared_nor_listed() {
        let names: Vec<String> = (0..15_000).map(|number| format!("Value{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(nearest("Valeu1", names.iter().copied()), None);
        assert_eq!(nearest("Valeu1", names[..100].iter().copied()), Some("Value1"));
        let listed = either(names.iter().copied());
        assert!(listed.ends_with("`Value39` or one of 14960 others") && listed.len() < 600, "{listed}");
        assert_eq!(either(names[..2].iter().copied()), "`Value0` or `Value1`");
    }

    proptest! {
        #[test]
        fn distance_is_symmetric(a in "[ab]{0,6}", b in "[ab]{0,6}") {
            prop_assert_eq!(distance(&a, &b, 6), distance(&b, &a, 6));
            prop_assert_eq!(distance(&a, &a, 0), Some(0));
        }
    }
}
