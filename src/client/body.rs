//! Bodies: reads the few members in use from JSON responses of any size, and the API's errors.
//!
//! Promises: unwanted members are skipped without being built (an incident can have megabytes of alerts), and no depth
//! of nesting overflows the stack: skipping needs none, and values are built no deeper than `serde_json` allows.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::contract::ErrorMembers;

/// The longest message that is kept, in characters.
const LONGEST_MESSAGE: usize = 400;

/// Some members of a JSON object, unparsed.
pub(super) struct Members<'w, 'a>(Vec<(&'w str, &'a RawValue)>);

impl<'a> Members<'_, 'a> {
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(found, _)| *found == name).map(|(_, value)| *value)
    }
}

/// The members of the object `json` that are named in `wanted`; of repeated names, the last.
pub(super) fn members<'w, 'a>(json: &'a [u8], wanted: &[&'w str]) -> serde_json::Result<Members<'w, 'a>> {
    let mut json = serde_json::Deserializer::from_slice(json);
    let members = json.deserialize_map(Wanted(wanted))?;
    json.end()?;
    Ok(members)
}

/// Reads an object for its wanted members.
struct Wanted<'n, 'w>(&'n [&'w str]);

impl<'w, 'de> Visitor<'de> for Wanted<'_, 'w> {
    type Value = Members<'w, 'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Members<'w, 'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(name) = object.next_key_seed(Name(self.0))? {
            let Some(name) = name else {
                object.next_value::<IgnoredAny>()?;
                continue;
            };
            let value = object.next_value()?;
            match members.iter_mut().find(|(found, _)| *found == name) {
                Some(earlier) => earlier.1 = value,
                None => members.push((name, value)),
            }
        }
        Ok(Members(members))
    }
}

/// Finds a name among the wanted ones, without copying it.
struct Name<'n, 'w>(&'n [&'w str]);

impl<'w, 'de> DeserializeSeed<'de> for Name<'_, 'w> {
    type Value = Option<&'w str>;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<Option<&'w str>, D::Error> {
        name.deserialize_str(self)
    }
}

impl<'w> Visitor<'_> for Name<'_, 'w> {
    type Value = Option<&'w str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<&'w str>, E> {
        Ok(self.0.iter().find(|wanted| **wanted == name).copied())
    }
}

/// Whether a member has no value.
pub(super) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// An error of the API, or of a gateway before it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ErrorBody {
    pub(super) code: Option<String>,
    pub(super) message: Option<String>,
    /// The tracking id.
    pub(super) target: Option<String>,
}

/// The text of a member, if it is a text and not only white space.
pub(super) fn text(members: &Members<'_, '_>, name: &str) -> Option<String> {
    let text: String = serde_json::from_str(members.get(name)?.get()).ok()?;
    (!text.trim().is_empty()).then_some(text)
}

/// The tracking ID in an object beside the code and the message.
fn inner_id(error: &Members<'_, '_>, names: &ErrorMembers) -> Option<String> {
    names.inner.iter().find_map(|name| {
        let inner = members(error.get(name)?.get().as_bytes(), &[&names.inner_id]).ok()?;
        text(&inner, &names.inner_id)
    })
}

impl ErrorBody {
    /// `None` if the body is not an object, or has no error.
    pub(super) fn read(body: &[u8], names: &ErrorMembers) -> Option<ErrorBody> {
        let texts = names.texts.iter().map(String::as_str);
        let wanted: Vec<&str> = [names.object.as_str()].into_iter().chain(texts.clone()).collect();
        let outer = members(body, &wanted).ok()?;
        let error = outer.get(&names.object).and_then(|error| {
            let wanted: Vec<&str> = [names.code.as_str(), &names.message, &names.target]
                .into_iter()
                .chain(names.inner.iter().map(String::as_str))
                .collect();
            let inner = members(error.get().as_bytes(), &wanted).ok()?;
            let text = |name| text(&inner, name);
            let target = inner_id(&inner, names).or_else(|| text(&names.target));
            Some(ErrorBody { code: text(&names.code), message: text(&names.message), target })
        });
        let error = error.unwrap_or_else(|| ErrorBody {
            code: text(&outer, &names.object),
            message: texts.clone().find_map(|name| text(&outer, name)),
            target: None,
        });
        (error != ErrorBody::default()).then_some(error)
    }
}

impl fmt::Display for ErrorBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.code, &self.message) {
            (Some(code), Some(message)) => write!(f, "{code}: {message}"),
            (Some(text), None) | (None, Some(text)) => f.write_str(text),
            (None, None) => Ok(()),
        }
    }
}

/// The start of a body for people: an HTML page without its markup.
pub(super) fn plain_text(body: &[u8]) -> String {
    const ENOUGH: usize = 64 * 1024;
    let text = String::from_utf8_lossy(&body[..body.len().min(ENOUGH)]);
    let looks_like_markup = text.trim_start_matches('\u{feff}').trim_start().starts_with('<');
    if looks_like_markup { without_markup(&text) } else { text.into_owned() }
}

/// Each tag becomes a space; scripts and style sheets are removed with their content.
fn without_markup(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, tag)) = rest.split_once('<') {
        text.push_str(before);
        text.push(' ');
        let starts_with = |name: &str| tag.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name));
        let end = if starts_with("script") {
            after_ignoring_case(tag, "</script>")
        } else if starts_with("style") {
            after_ignoring_case(tag, "</style>")
        } else {
            tag.find('>').map(|at| at + 1)
        };
        let Some(end) = end else { return text };
        rest = &tag[end..];
    }
    text.push_str(rest);
    text.replace("&nbsp;", " ")
}

/// The position in `text` after the first `ascii`.
fn after_ignoring_case(text: &str, ascii: &str) -> Option<usize> {
    let windows = text.as_bytes().windows(ascii.len());
    windows.enumerate().find(|(_, found)| found.eq_ignore_ascii_case(ascii.as_bytes())).map(|(at, _)| at + ascii.len())
}

/// `text` in one line, truncated for a message. Control characters and runs of white space become one space.
pub(super) fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > 4 * LONGEST_MESSAGE {
            break;
        }
    }
    cut(&line, LONGEST_MESSAGE).into_owned()
}

/// The first `longest` characters, with a mark if the text is longer.
pub(super) fn cut(text: &str, longest: usize) -> Cow<'_, str> {
    match text.char_indices().nth(longest) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

#[cfg(test)]
mod tests {
    use super::super::classify::tests::contract;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_error_format_is_parsed() {
        let error = |code: &str, message: &str, target: &str| {
            let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Some(ErrorBody { code: text(code), message: text(message), target: text(target) })
        };
        for (body, expected) in [
            (
                r#"{"error":{"code":"ResourceNotFound","message":"No such incident","target":"a-b"}}"#,
                error("ResourceNotFound", "No such incident", "a-b"),
            ),
            (
                r#"{"error":{"code":"a","message":"b","target":"status","innerError":{"request-id":"c-d","date":"x"}}}"#,
                error("a", "b", "status"),
            ),
            (r#"{"statusCode":429,"message":"Try again"}"#, error("", "Try again", "")),
            (r#"{"error":"invalid_token","error_description":"Expired"}"#, error("invalid_token", "Expired", "")),
            (r#"{"error":{"code":7,"message":null}}"#, None),
            (r#"{"error":null,"message":"odd"}"#, error("", "odd", "")),
            ("{}", None),
            ("[1]", None),
            ("<html>", None),
            ("", None),
        ] {
            assert_eq!(ErrorBody::read(body.as_bytes(), &contract().api.error), expected, "{body}");
        }
    }

    #[test]
    fn graph_shows_its_id_in_an_inner_error() {
        let names = crate::contract::load("graph").expect("built in").api.error;
        for (inner, id) in [
            (r#""innerError":{"date":"x","request-id":"a-b","client-request-id":"c"}"#, Some("a-b")),
            (r#""innererror":{"request-id":"a-b"}"#, Some("a-b")),
            (r#""innerError":{},"innererror":{"request-id":"a-b"}"#, Some("a-b")),
            (r#""innerError":{"request-id":7}"#, None),
            (r#""innerError":"a-b""#, None),
            (r#""target":"status""#, None),
        ] {
            let body = format!(r#"{{"error":{{"code":"BadRequest","message":"no",{inner}}}}}"#);
            let error = ErrorBody::read(body.as_bytes(), &names).expect("an error");
            assert_eq!((error.to_string().as_str(), error.target.as_deref()), ("BadRequest: no", id), "{inner}");
        }
    }

    #[test]
    fn deep_nesting_does_not_overflow() {
        let deep = "[".repeat(1_000_000);
        for body in [deep.clone(), format!(r#"{{"alerts":{deep}"#), format!(r#"{{"error":{deep}"#)] {
            assert!(members(body.as_bytes(), &["error"]).is_err());
        }
        let closed = format!(r#"{{"alerts":{deep}{},"status":"Active"}}"#, "]".repeat(1_000_000));
        let found = members(closed.as_bytes(), &["status"]).expect("what is skipped may be as deep as it likes");
        assert_eq!(found.get("status").map(RawValue::get), Some(r#""Active""#));
        let twice = members(br#"{"a":1,"\u0061":2,"b":3}"#, &["a"]).expect("an object");
        assert_eq!((twice.get("a").map(RawValue::get), twice.get("b").is_none()), (Some("2"), true));
    }

    #[test]
    fn html_error_page_is_shown_without_markup() {
        let page = "<!doctype html><STYLE>p { transition: 9s }</Style><p>Try again in <b>37</b>&nbsp;seconds.</p>";
        assert_eq!(one_line(&plain_text(page.as_bytes())), "Try again in 37 seconds.");
        assert_eq!(plain_text(b"1 < 2"), "1 < 2");
        assert_eq!(one_line(&plain_text(b"<script>never closed 5 s")), "");
    }

    #[test]
    fn message_is_one_bounded_line() {
        assert_eq!(one_line(" a\r\n\tb\u{1b}[31m\u{85}c "), "a b [31m c");
        assert_eq!(one_line(&"ä".repeat(10_000)).chars().count(), LONGEST_MESSAGE + 1);
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_parsed(body: Vec<u8>, text in "(?s)[<>a-z/ ]{0,40}") {
            let _ = ErrorBody::read(&body, &contract().api.error);
            let _ = one_line(&plain_text(&body));
            let _ = plain_text(text.as_bytes());
        }
    }
}
