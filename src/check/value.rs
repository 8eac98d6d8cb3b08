//! Parses a value: what a cell or a member requests for a property.

use std::borrow::Cow;
use std::hash::Hasher;

use bumpalo::Bump;
use serde_json::value::RawValue;

use super::placeholder::{is_placeholder, may_be_placeholder};
use super::rules::{Choices, ReadyContract, ReadyKind};
use super::suggest::{either, nearest};
use crate::input::jsonl::Text;
use crate::model::diagnostic::{Code, Repetition, codes};
use crate::model::edit::Edit;
use crate::model::list_edit::ListEdit;
use crate::text::{trimmed, truncate};

/// What a row requests for a property. Texts are borrowed from the row, or from an arena.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Requested<'r> {
    /// Nothing: the property keeps its value.
    Leave,
    /// An invalid value, which was reported.
    Invalid,
    /// The value with this index in the contract's list.
    Choice(usize),
    /// This exact text; empty if the property is cleared.
    Text(&'r str),
    /// This list; empty if the property is cleared.
    List(&'r [&'r str]),
    /// Items to add to the list and to remove from it; the others stay.
    Edits { add: &'r [&'r str], remove: &'r [&'r str] },
}

impl Requested<'_> {
    /// Hashes the request for the property with this index. A number encodes the kind and the length of the bytes that
    /// follow.
    #[inline]
    pub(super) fn hash_into(self, index: usize, hasher: &mut impl Hasher) {
        let what = |kind: usize, length: usize| (length as u64) << 16 | (index as u64) << 3 | kind as u64;
        match self {
            Requested::Leave | Requested::Invalid => {}
            Requested::Choice(value) => hasher.write_u64(what(1, value)),
            Requested::Text(text) => {
                hasher.write_u64(what(2, text.len()));
                hasher.write(text.as_bytes());
            }
            Requested::List(list) => {
                hasher.write_u64(what(3, list.len()));
                add_list(list, hasher);
            }
            Requested::Edits { add, remove } => {
                hasher.write_u64(what(4, add.len()));
                add_list(add, hasher);
                hasher.write_u64(what(5, remove.len()));
                add_list(remove, hasher);
            }
        }
    }
}

fn add_list(list: &[&str], hasher: &mut impl Hasher) {
    for text in list {
        hasher.write_u64(text.len() as u64);
        hasher.write(text.as_bytes());
    }
}

/// A problem of a value, without its location.
pub(super) struct Problem {
    pub(super) code: &'static Code,
    pub(super) message: String,
    /// Replaces the code's general advice.
    pub(super) help: Option<String>,
    pub(super) repetition: Repetition,
}

impl Problem {
    pub(super) fn new(code: &'static Code, message: impl Into<String>) -> Problem {
        Problem { code, message: message.into(), help: None, repetition: Repetition::Each }
    }

    pub(super) fn with_help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    /// Reported once per file, with the number of rows.
    pub(super) fn counted(self) -> Problem {
        Problem { repetition: Repetition::Counted, ..self }
    }

    /// With different help for the first diagnostic of a file, if there is any.
    pub(super) fn first_with_help(self, help: Option<String>) -> Problem {
        Problem { repetition: help.map_or(Repetition::Each, Repetition::FirstHelp), ..self }
    }
}

/// Clears a property.
const CLEAR: &str = "<clear>";

/// The longest part of a value in a message, in characters.
const SHOWN: usize = 40;

impl<'a> ReadyContract<'a> {
    /// A fast path of [`ReadyContract::read_cell`] for most cells: an exact value, or a text without anything special.
    /// `unprintable`: whether the cell may have characters other than printable ASCII.
    #[inline]
    pub(super) fn read_simple_cell<'r>(
        &self,
        property: usize,
        cell: &'r str,
        unprintable: bool,
    ) -> Option<Requested<'r>> {
        match &self.properties[property].kind {
            ReadyKind::Choice(choices) => choices.exact(cell).map(Requested::Choice),
            ReadyKind::Text if is_plain(cell) => Some(Requested::Text(cell)),
            ReadyKind::Append if is_plain(cell) && cell.len() <= LONGEST_COMMENT => {
                (!unprintable || !may_have_control(cell)).then_some(Requested::Text(cell))
            }
            _ => None,
        }
    }

    /// Parses a CSV cell, or a value of `--set`.
    pub(super) fn read_cell<'r>(
        &self,
        property: usize,
        cell: &'r str,
        arena: &'r Bump,
        problems: &mut Vec<Problem>,
    ) -> Requested<'r> {
        let ready = &self.properties[property];
        match &ready.kind {
            _ if cell.is_empty() => Requested::Leave,
            ReadyKind::Choice(choices) => self.read_choice(property, choices, trimmed(cell), problems),
            ReadyKind::Text => read_text(ready.name, cell, problems),
            ReadyKind::Append => read_append(ready.name, cell, problems),
            ReadyKind::List => check_tags(read_tags(trimmed(cell), ready.name, arena), ready.name, problems),
        }
    }

    /// Parses a JSON member.
    pub(super) fn read_member<'r>(
        &self,
        property: usize,
        value: &'r RawValue,
        arena: &'r Bump,
        problems: &mut Vec<Problem>,
    ) -> Requested<'r> {
        let ready = &self.properties[property];
        let raw = value.get();
        let is_list = matches!(ready.kind, ReadyKind::List);
        match raw.as_bytes() {
            b"null" | b"\"\"" => Requested::Leave,
            [b'"', ..] => match serde_json::from_str::<Text<'r>>(raw) {
                Ok(Text(text)) if !is_list => self.read_cell(property, kept(text, arena), arena, problems),
                Ok(Text(text)) if text.trim().eq_ignore_ascii_case(CLEAR) => Requested::List(&[]),
                Ok(Text(text)) if is_placeholder(&text) => wrong(problems, placeholder(ready.name, &text, true)),
                Ok(_) => {
                    wrong(problems, Problem::new(&codes::WRONG_TYPE, format!("`{}` is a text, not a list", ready.name)))
                }
                Err(_) => {
                    let message = "the text has an escape that is not a character";
                    wrong(problems, Problem::new(&codes::JSON_SYNTAX, message))
                }
            },
            [b'[', ..] if is_list => check_tags(read_json_list(raw, arena), ready.name, problems),
            [b'{', ..] if is_list => check_tags(read_json_edits(raw, arena), ready.name, problems),
            _ => {
                let expected = if is_list { "a list of texts" } else { "a text" };
                let message = format!("`{}` is {}, not {expected}", ready.name, json_type(raw));
                wrong(problems, Problem::new(&codes::WRONG_TYPE, message))
            }
        }
    }

    fn read_choice<'r>(
        &self,
        property: usize,
        choices: &Choices<'a>,
        text: &str,
        problems: &mut Vec<Problem>,
    ) -> Requested<'r> {
        if text.is_empty() {
            return Requested::Leave;
        }
        let name = self.properties[property].name;
        if let Some(index) = choices.find(text) {
            if let Some(doubt) = choices.doubt(index, text) {
                problems.push(Problem::new(&codes::DOUBTFUL_VALUE, doubt));
            }
            return Requested::Choice(index);
        }
        if text.eq_ignore_ascii_case(CLEAR) {
            return wrong(problems, cannot_clear(name));
        }
        if is_placeholder(text) {
            return wrong(problems, placeholder(name, text, false));
        }
        let message = format!("`{}` is not a value of {name}", truncate(text, SHOWN));
        let problem = Problem::new(&codes::UNKNOWN_VALUE, message);
        if let Some((columns, elsewhere)) = self.two_values(text) {
            let first = elsewhere.map(|elsewhere| format!("{columns}; {elsewhere}"));
            return wrong(problems, problem.with_help(columns).first_with_help(first));
        }
        let meant = nearest(text, choices.spellings()).map(|meant| format!("did you mean `{meant}`?"));
        let help = meant.unwrap_or_else(|| {
            let values = choices.list.iter().map(|choice| choice.value.as_str());
            format!("enter {}; an empty cell leaves {name} unchanged", either(values))
        });
        // Another contract that accepts exactly this value is a better suggestion than a similar value.
        wrong(problems, problem.with_help(help).first_with_help(self.suggest_contract_for(name, text)))
    }
}

impl ReadyKind<'_> {
    /// The edit that a row requests for a property of this kind; `None` if it requests nothing.
    pub(super) fn edit(&self, requested: Requested<'_>) -> Option<Edit> {
        Some(match (requested, self) {
            (Requested::Choice(index), ReadyKind::Choice(choices)) => {
                Edit::Set(choices.list[index].value.as_str().into())
            }
            (Requested::Text(text), ReadyKind::Append) => Edit::Append(text.to_owned()),
            (Requested::Text(text), _) => Edit::set(text.into()),
            (Requested::List(list), _) => Edit::set(list.into()),
            (Requested::Edits { add, remove }, _) => {
                let owned = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
                Edit::EditList(ListEdit { add: owned(add), remove: owned(remove) })
            }
            _ => return None,
        })
    }
}

fn wrong<'r>(problems: &mut Vec<Problem>, problem: Problem) -> Requested<'r> {
    problems.push(problem);
    Requested::Invalid
}

fn cannot_clear(name: &str) -> Problem {
    let help = format!("leave the cell empty to keep {name} unchanged");
    Problem::new(&codes::CANNOT_CLEAR, format!("{name} cannot be cleared")).with_help(help)
}

/// The problem of a text that means "no value".
fn placeholder(name: &str, text: &str, can_be_cleared: bool) -> Problem {
    let message = format!("`{}` means \"no value\" and is not a value of {name}", truncate(trimmed(text), SHOWN));
    let clear = if can_be_cleared { ", or enter `<clear>` to clear it" } else { "" };
    let help = format!("leave the cell empty to keep the value{clear}");
    Problem::new(&codes::PLACEHOLDER_VALUE, message).with_help(help)
}

/// Whether the cell has no white space at its ends and can't be a placeholder or `<clear>`.
#[inline]
fn is_plain(cell: &str) -> bool {
    matches!(cell.as_bytes(), [b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z', .., b'!'..=b'~']) && !may_be_placeholder(cell)
}

/// The longest comment, in characters.
const LONGEST_COMMENT: usize = 30_000;

/// Whether the cell may have a control character: a quick test with a few false positives.
fn may_have_control(cell: &str) -> bool {
    // 0xC2 is the first byte of U+0080 to U+009F.
    cell.bytes().any(|byte| byte < b' ' || byte == 0x7f || byte == 0xc2)
}

fn read_text<'r>(name: &str, cell: &'r str, problems: &mut Vec<Problem>) -> Requested<'r> {
    let bare = trimmed(cell);
    if bare.eq_ignore_ascii_case(CLEAR) {
        return Requested::Text("");
    }
    if is_placeholder(bare) {
        return wrong(problems, placeholder(name, bare, true));
    }
    if bare.len() != cell.len() {
        let message = format!("{name} begins or ends with white space, which is sent too");
        problems.push(Problem::new(&codes::SPACE_AROUND, message));
    }
    Requested::Text(cell)
}

fn read_append<'r>(name: &str, cell: &'r str, problems: &mut Vec<Problem>) -> Requested<'r> {
    let bare = trimmed(cell);
    if bare.is_empty() {
        return wrong(problems, Problem::new(&codes::BLANK_COMMENT, format!("the {name} is only white space")));
    }
    if bare.eq_ignore_ascii_case(CLEAR) {
        return wrong(problems, cannot_clear(name));
    }
    if is_placeholder(bare) {
        let message = format!("the {name} `{}` means \"no value\", and is sent as is", truncate(bare, SHOWN));
        problems.push(Problem::new(&codes::PLACEHOLDER_COMMENT, message));
    }
    if bare.len() != cell.len() {
        let message = format!("the {name} begins or ends with white space, which the service may remove");
        problems.push(Problem::new(&codes::SPACE_AROUND, message));
    }
    if let Some(control) = cell.chars().find(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r')) {
        let message = format!("the {name} contains the control character U+{:04X}", u32::from(control));
        problems.push(Problem::new(&codes::CONTROL_CHARACTER, message));
    }
    let length = cell.chars().count();
    if length > LONGEST_COMMENT {
        let message = format!("the {name} has {length} characters, more than {LONGEST_COMMENT}");
        problems.push(Problem::new(&codes::LONG_COMMENT, message));
    }
    Requested::Text(cell)
}

/// Checks parsed tags: none that are set may be a placeholder, and a comma leads to a warning.
fn check_tags<'r>(parsed: Result<Requested<'r>, Problem>, name: &str, problems: &mut Vec<Problem>) -> Requested<'r> {
    let requested = match parsed {
        Ok(requested) => requested,
        Err(problem) => return wrong(problems, problem),
    };
    // Removed tags may be anything: an earlier mistake, for example.
    let (Requested::List(set) | Requested::Edits { add: set, .. }) = requested else { return requested };
    if let Some(tag) = set.iter().find(|tag| is_placeholder(tag)) {
        return wrong(problems, placeholder(name, tag, true));
    }
    if let Some(tag) = set.iter().find(|tag| tag.contains(',')) {
        let message = format!("the tag `{}` contains a comma and is sent as one tag", truncate(tag, SHOWN));
        problems.push(Problem::new(&codes::COMMA_IN_TAG, message));
    }
    requested
}

/// Tags in a CSV cell: `a; b`, `+a; -b`, or JSON.
fn read_tags<'r>(cell: &'r str, name: &str, arena: &'r Bump) -> Result<Requested<'r>, Problem> {
    if cell.is_empty() {
        return Ok(Requested::Leave);
    }
    if cell.eq_ignore_ascii_case(CLEAR) {
        return Ok(Requested::List(&[]));
    }
    if is_placeholder(cell) {
        return Err(placeholder(name, cell, true));
    }
    if cell.starts_with('[') {
        return read_json_list(cell, arena);
    }
    if cell.starts_with('{') {
        return read_json_edits(cell, arena);
    }
    let mut tags = bumpalo::collections::Vec::with_capacity_in(4, arena);
    let mut rest = Some(cell);
    while let Some(cell) = rest {
        let end = memchr::memchr(b';', cell.as_bytes());
        let tag = trimmed(&cell[..end.unwrap_or(cell.len())]);
        if !tag.is_empty() {
            tags.push(tag);
        }
        rest = end.map(|end| &cell[end + 1..]);
    }
    if tags.iter().any(|tag| tag.starts_with(['+', '-'])) {
        if let Some(tag) = tags.iter().find(|tag| !tag.starts_with(['+', '-'])) {
            let message = format!("the tag `{}` has no sign, but others do", truncate(tag, SHOWN));
            return Err(Problem::new(&codes::TAG_CHANGE, message));
        }
        let signed = |sign: char| tags.iter().filter_map(move |tag| tag.strip_prefix(sign).map(trimmed));
        let collected = |sign| bumpalo::collections::Vec::from_iter_in(signed(sign), arena).into_bump_slice();
        return edits(collected('+'), collected('-'));
    }
    if tags.iter().any(|tag| tag.eq_ignore_ascii_case(CLEAR)) {
        return Err(Problem::new(&codes::CANNOT_CLEAR, "`<clear>` is used with other tags"));
    }
    if tags.is_empty() {
        return Err(Problem::new(&codes::EMPTY_LIST, "the list has no tag"));
    }
    Ok(Requested::List(tags.into_bump_slice()))
}

/// Tags as a JSON list. They are sent unchanged, whatever they begin with.
fn read_json_list<'r>(raw: &'r str, arena: &'r Bump) -> Result<Requested<'r>, Problem> {
    let tags: Vec<Text<'r>> = serde_json::from_str(raw).map_err(|_| {
        let message = "tags begin with `[` and are not a JSON list of texts";
        Problem::new(&codes::TAGS_NOT_JSON, message)
    })?;
    if tags.is_empty() {
        return Err(Problem::new(&codes::EMPTY_LIST, "the list is empty: `<clear>` removes all tags").counted());
    }
    if tags.iter().any(|Text(tag)| tag.trim().is_empty()) {
        return Err(Problem::new(&codes::EMPTY_LIST, "a tag is empty"));
    }
    Ok(Requested::List(arena.alloc_slice_fill_iter(tags.into_iter().map(|Text(tag)| kept(tag, arena)))))
}

/// Tag edits as JSON: `{"add":["a"],"remove":["b"]}`.
fn read_json_edits<'r>(raw: &'r str, arena: &'r Bump) -> Result<Requested<'r>, Problem> {
    let ListEdit { add, remove } = serde_json::from_str(raw).map_err(|_| {
        let message = "tags begin with `{` and are not lists of texts by the names `add` and `remove`";
        Problem::new(&codes::TAGS_NOT_JSON, message)
    })?;
    let kept_all = |tags: Vec<String>| &*arena.alloc_slice_fill_iter(tags.iter().map(|tag| &*arena.alloc_str(tag)));
    edits(kept_all(add), kept_all(remove))
}

/// Validated tag edits.
fn edits<'r>(add: &'r [&'r str], remove: &'r [&'r str]) -> Result<Requested<'r>, Problem> {
    if add.is_empty() && remove.is_empty() || add.iter().chain(remove).any(|tag| tag.trim().is_empty()) {
        return Err(Problem::new(&codes::EMPTY_LIST, "a tag to add or remove is empty or missing"));
    }
    if let Some(tag) = add.iter().find(|tag| remove.contains(tag)) {
        let message = format!("the tag `{}` is added and removed", truncate(tag, SHOWN));
        return Err(Problem::new(&codes::TAG_CHANGE, message));
    }
    Ok(Requested::Edits { add, remove })
}

/// A text that lives as long as the row.
pub(super) fn kept<'r>(text: Cow<'r, str>, arena: &'r Bump) -> &'r str {
    match text {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => arena.alloc_str(&text),
    }
}

/// The type of a JSON value, with an article.
pub(super) fn json_type(raw: &str) -> &'static str {
    match raw.bytes().next() {
        Some(b'"') => "a text",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{BUILT_IN, load};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn fast_path_agrees_with_full_parsing(
            cell in "[ <a;+\"ü]{0,4}|[Cc]lean|Resolved|resolved|False ?[Pp]ositive| Other", property in 0_usize..6,
        ) {
            let arena = Bump::new();
            for name in BUILT_IN {
                let contract = load(name).expect("built in");
                let ready = ReadyContract::new(&contract);
                if let Some(seen) = ready.read_simple_cell(property, &cell, true) {
                    let mut problems = Vec::new();
                    prop_assert_eq!(seen, ready.read_cell(property, &cell, &arena, &mut problems));
                    prop_assert!(problems.is_empty());
                }
            }
        }
    }
}
