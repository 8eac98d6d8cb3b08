//! JSONL records: the members of an object.
//!
//! Promises: the values of members are not parsed, however deep they are; a duplicate member is an error.

use std::borrow::Cow;
use std::fmt;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::model::outcome::RESULT_COLUMNS;

/// A member of an object: its name, and its exact value.
#[derive(Clone, Debug)]
pub struct Member<'r> {
    /// The name, with escapes resolved.
    pub name: Cow<'r, str>,
    /// The value as it is in the record.
    pub value: &'r RawValue,
}

/// Why a line is not a valid object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineError {
    /// It is not JSON.
    Syntax {
        /// The parser's message.
        message: String,
        /// The byte offset in the line, which is the start of a character or the end of the line.
        at: usize,
    },
    /// It is JSON of a different type.
    NotAnObject,
    /// It has a member of this name twice.
    Twice(String),
}

/// The members of the object on a line, in order.
///
/// # Errors
/// If the line is not one JSON object, or a member occurs twice.
pub fn members(line: &str) -> Result<Vec<Member<'_>>, LineError> {
    let is_object = line.trim_ascii_start().starts_with('{');
    let mut deserializer = serde_json::Deserializer::from_str(line);
    let read = if is_object {
        deserializer.deserialize_map(Members)
    } else {
        // Checks whether it is valid JSON, without recursion.
        <&RawValue as serde::Deserialize>::deserialize(&mut deserializer).map(|_| Vec::new())
    };
    let members =
        read.and_then(|members| deserializer.end().map(|()| members)).map_err(|error| syntax(line, &error))?;
    if !is_object {
        return Err(LineError::NotAnObject);
    }
    let mut names: Vec<&str> = members.iter().map(|member| member.name.as_ref()).collect();
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(LineError::Twice(pair[0].to_owned())),
        None => Ok(members),
    }
}

/// Whether a line with these members is from a results file: it has the ten columns, and `input`.
#[must_use]
pub fn is_result(members: &[Member<'_>]) -> bool {
    // No member occurs twice, so the number and the names are enough.
    members.len() == RESULT_COLUMNS.len() + 1
        && members.iter().all(|member| member.name == "input" || RESULT_COLUMNS.contains(&member.name.as_ref()))
}

/// The original line in a line of a results file: the object in `input`, or its text if the line was not an object.
#[must_use]
pub fn own_record<'r>(members: &[Member<'r>]) -> Option<Cow<'r, str>> {
    let value = members.iter().find(|member| member.name == "input")?.value.get();
    if value.starts_with('"') {
        serde_json::from_str::<String>(value).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(value))
    }
}

fn syntax(line: &str, error: &serde_json::Error) -> LineError {
    let message = error.to_string();
    // The diagnostic has the position; the parser would always report line 1.
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(text, _)| text).to_owned();
    // The parser counts bytes, and may point into the middle of a character.
    LineError::Syntax { message, at: line.floor_char_boundary(error.column().saturating_sub(1)) }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Vec<Member<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::with_capacity(8);
        while let Some(Text(name)) = map.next_key()? {
            members.push(Member { name, value: map.next_value()? });
        }
        Ok(members)
    }
}

/// A JSON text, borrowed if it has no escapes (serde deserializes a plain `Cow` as owned).
#[derive(serde::Deserialize)]
pub struct Text<'r>(#[serde(borrow)] pub Cow<'r, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_spelling() {
        let line = r#" {"incidentId": 7, "n\u0061me":{"a":[1, 2]},"x":1.0} "#;
        let members = members(line).expect("an object");
        let pairs: Vec<_> = members.iter().map(|member| (member.name.as_ref(), member.value.get())).collect();
        assert_eq!(pairs, [("incidentId", "7"), ("name", r#"{"a":[1, 2]}"#), ("x", "1.0")]);
    }

    #[test]
    fn other_lines_than_objects_are_distinguished() {
        assert_eq!(members("[1]").err(), Some(LineError::NotAnObject));
        assert_eq!(members("7").err(), Some(LineError::NotAnObject));
        assert_eq!(members(r#"{"a":1,"b":2,"\u0061":3}"#).err(), Some(LineError::Twice("a".to_owned())));
        for (line, at) in
            [("{", 0), (r#"{"a":1} x"#, 8), (r#"{"a":}"#, 5), ("nope", 1), ("{\"a\":\"\u{1}\"}", 5), ("{\"ü", 2)]
        {
            match members(line) {
                Err(LineError::Syntax { at: found, message }) => assert_eq!(found, at, "{line}: {message}"),
                other => panic!("{line}: {other:?}"),
            }
        }
    }

    #[test]
    fn deep_nesting_is_skipped() {
        let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
        let line = format!(r#"{{"a":{open}{close},"b":1}}"#);
        assert_eq!(members(&line).expect("an object").len(), 2);
        assert_eq!(members(&format!("{open}{close}")).err(), Some(LineError::NotAnObject));
        assert!(matches!(members(&open), Err(LineError::Syntax { .. })));
        assert!(matches!(members(&format!(r#"{{"a":{open}"#)), Err(LineError::Syntax { .. })));
        let objects = r#"{"a":"#.repeat(100_000);
        assert!(matches!(members(&objects), Err(LineError::Syntax { .. })));
    }
}
