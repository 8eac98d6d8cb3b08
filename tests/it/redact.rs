//! The output of the program as a text that is the same in every run of the tests, and its snapshots.
//!
//! A snapshot is a file in `tests/it/snapshots`; its diff is what gets reviewed. To accept a changed text, run the
//! failing tests with `INSTA_UPDATE=always`, as in `INSTA_UPDATE=always cargo test --test it help_texts`; then read
//! `git diff`.

use crate::program::Program;

/// What differs from run to run, and its replacement of the same width, so that tables stay aligned. In a pattern `9`
/// is a number, `#` are hexadecimal digits and `~` is a duration such as `9 ms` or `1 min 9 s`.
const PATTERNS: [(&str, &str); 27] = [
    ("9-9-9T9:9:9.9Z", "YYYY-MM-DDThh:mm:ss.mmmZ"),
    ("9-9-9T9:9:9Z", "YYYY-MM-DDThh:mm:ssZ"),
    // Shortly before midnight these times include a date.
    ("at 9-9-9 9:9 UTC", "at hh:mm UTC"),
    ("until 9-9-9 9:9 UTC", "until hh:mm UTC"),
    ("until 9-9-9 9:9:9 UTC", "until hh:mm:ss UTC"),
    ("9-9-9 9:9:9", "YYYY-MM-DD hh:mm:ss"),
    ("9-9-9 9:9", "YYYY-MM-DD hh:mm"),
    ("9:9:9 UTC", "hh:mm:ss UTC"),
    ("9:9 UTC", "hh:mm UTC"),
    ("127.0.0.1:9", "127.0.0.1:PORT"),
    ("in ~", "in DURATION"),
    ("~ ago", "DURATION ago"),
    ("~ behind", "DURATION behind"),
    ("9 min left", "N min left"),
    ("~, done at", "DURATION, done at"),
    ("~ from the first", "DURATION from the first"),
    ("~ at least", "DURATION at least"),
    ("**~**", "**DURATION**"),
    ("took_ms=9", "took_ms=N"),
    ("took_ms\":9", "took_ms\":N"),
    ("process 9", "process PID"),
    ("checksum #", "checksum CHECKSUM"),
    ("checksum: #", "checksum: CHECKSUM"),
    ("sha256:#", "sha256:CHECKSUM"),
    ("\"random\":\"#\"", "\"random\":\"RANDOM\""),
    ("\"plan\":\"#\"", "\"plan\":\"CHECKSUM\""),
    (concat!("bulk-triage ", env!("CARGO_PKG_VERSION")), "bulk-triage VERSION"),
];

/// The words before a run's ID: an English word could be an ID too.
const BEFORE_RUN: [&str; 12] =
    ["run ", "Run ", "| ", "<code>", "show ", "resume ", "results ", "undo ", ".", "\"", "`", "\n"];

/// A text with everything replaced that differs from run to run, and without white space at line ends.
pub(crate) fn redacted(program: &Program, text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim_end).chain([""]).collect();
    let mut text = lines.join("\n").replace(&program.dir().to_string_lossy().into_owned(), "/DIR");
    for (at, run) in runs(program, &text).iter().enumerate() {
        for before in BEFORE_RUN {
            text = word_replaced(&text, &format!("{before}{run}"), &format!("{before}RUN{}", at + 1));
        }
    }
    PATTERNS.iter().fold(text, |text, (pattern, with)| replaced(&text, pattern, with))
}

/// A text in which `words` is replaced where it ends a word: a checksum can begin like an ID.
fn word_replaced(text: &str, words: &str, with: &str) -> String {
    let mut parts = text.split(words);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |done, part| {
        let goes_on = part.starts_with(|next: char| next.is_ascii_alphanumeric());
        done + if goes_on { words } else { with } + part
    })
}

#[test]
fn run_id_is_replaced_as_a_word() {
    let text = redacted(&Program::new(), "run beef: 1 row\n\"beef\" \"beef00\" \"random\":\"beef00\"");
    assert_eq!(text, "run RUN1: 1 row\n\"RUN1\" \"beef00\" \"random\":\"RANDOM\"\n");
}

/// The IDs of all runs: those of the journal, and those in the text whose journal is gone.
fn runs(program: &Program, text: &str) -> Vec<String> {
    let mut runs = Vec::new();
    if program.path("state/journal.db").is_file()
        && let Ok(mut names) = program.journal().prepare("SELECT name FROM runs ORDER BY id")
        && let Ok(names) = names.query_map([], |row| row.get(0))
    {
        runs.extend(names.flatten());
    }
    let of_summary = |line: &str| line.strip_prefix("run ")?.split_once(": ").map(|(run, _)| run.to_owned());
    for run in text.lines().filter_map(of_summary).filter(|run| run.len() == 4) {
        if !runs.contains(&run) {
            runs.push(run);
        }
    }
    runs
}

fn replaced(text: &str, pattern: &str, with: &str) -> String {
    let (mut done, mut rest) = (String::new(), text);
    while let Some(next) = rest.chars().next() {
        let is_inside_word = done.ends_with(|last: char| last.is_ascii_alphanumeric());
        if let Some(length) = taken(pattern, rest).filter(|_| !is_inside_word) {
            done.push_str(with);
            rest = &rest[length..];
        } else {
            done.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    done
}

/// The number of bytes that the pattern matches at the beginning of the text.
fn taken(pattern: &str, text: &str) -> Option<usize> {
    let mut rest = text;
    for wanted in pattern.chars() {
        let is_taken: fn(char) -> bool = match wanted {
            '~' => {
                rest = behind_duration(rest)?;
                continue;
            }
            '9' => |character| character.is_ascii_digit(),
            '#' => |character| character.is_ascii_hexdigit(),
            _ => {
                rest = rest.strip_prefix(wanted)?;
                continue;
            }
        };
        let behind = rest.trim_start_matches(is_taken);
        if behind.len() == rest.len() {
            return None;
        }
        rest = behind;
    }
    Some(text.len() - rest.len())
}

/// The text after the duration of one or two units at its beginning.
fn behind_duration(text: &str) -> Option<&str> {
    let behind_unit = |text: &'_ str| {
        let behind = taken("9 ", text)?;
        let unit = text[behind..].split(|c: char| !c.is_ascii_alphabetic()).next()?;
        ["d", "h", "min", "s", "ms"].contains(&unit).then_some(behind + unit.len())
    };
    let rest = &text[behind_unit(text)?..];
    let second = rest.strip_prefix(' ').and_then(|next| behind_unit(next).map(|length| &next[length..]));
    Some(second.unwrap_or(rest))
}

#[test]
fn patterns_take_whole_numbers_only() {
    assert_eq!(replaced("at 10:20 UTC, 1000:20 UTC", "9:9 UTC", "hh:mm UTC"), "at hh:mm UTC, hh:mm UTC");
    assert_eq!(replaced("in 5 ms, in 1 min 5 s; within 5 ms", "in ~", "in X"), "in X, in X; within 5 ms");
    assert_eq!(replaced("in 5 minutes, in 7, in 1 h 2 rows", "in ~", "in X"), "in 5 minutes, in 7, in X 2 rows");
    assert_eq!(
        replaced("checksum 3fa9, checksum it", "checksum #", "checksum CHECKSUM"),
        "checksum CHECKSUM, checksum it"
    );
}
