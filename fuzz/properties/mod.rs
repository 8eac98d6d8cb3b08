//! What must hold for any bytes: one function for each fuzz target, which panics where it does not. The same functions
//! are held to the kept corpus by the project's tests (`tests/it/fuzz_corpus.rs`), so that there is one truth.
//!
//! What a property compares with is never the program's own code: `serde_json` and `csv` read the input again, and
//! what is safe to print is said here once more.

mod cells;
mod checked;
mod contract;
mod input;
mod journal;
mod quota;
mod response;
mod results;
mod throttling;
mod token;

pub use cells::{cells, ids};
pub use contract::contracts;
pub use input::{csv, encodings, jsonl};
pub use journal::journals;
pub use quota::quotas;
pub use response::responses;
pub use results::results;
pub use throttling::throttling;
pub use token::tokens;

/// A property of arbitrary bytes.
pub type Property = fn(&[u8]);

/// Every property under the name of its target and of its corpus.
pub const ALL: [(&str, Property); 12] = [
    ("cells", cells),
    ("contracts", contracts),
    ("csv", csv),
    ("encodings", encodings),
    ("ids", ids),
    ("journals", journals),
    ("jsonl", jsonl),
    ("quotas", quotas),
    ("responses", responses),
    ("results", results),
    ("throttling", throttling),
    ("tokens", tokens),
];

/// Nothing in what is printed drives a terminal or turns the reading order; line ends aside.
fn assert_safe_to_print(text: &str) {
    let is_hidden = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    assert!(!text.contains(is_hidden), "not safe to print: {text:?}");
}

/// The first bytes as a number, and the others.
fn split_number(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}
