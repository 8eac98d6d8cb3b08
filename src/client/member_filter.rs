//! A filter for JSON that arrives in pieces: keeps the members in use, and drops all others as they pass.
//!
//! Promises: kept members read exactly as in the whole body, and are not JSON if the body is not. Memory holds what is
//! kept and the open brackets, whatever the size of the body.

use std::borrow::Cow;
use std::sync::Arc;

/// The members of a response that are in use; all others are dropped while it arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keep {
    /// Names of members of an incident.
    pub members: Arc<[String]>,
    /// If the body is a page of incidents: the members around them.
    pub page: Option<PageNames>,
}

/// The members around a page of incidents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageNames {
    /// The one with the incidents.
    pub items: String,
    /// The one with an error.
    pub error: String,
    /// The one with the URL of the next page.
    pub next: Option<String>,
}

/// Reading stops at a body with more open brackets than this.
const DEEPEST: usize = 1 << 20;

/// Never occurs in JSON, so that the kept bytes can't be parsed.
const NO_JSON: u8 = 0;

/// Takes a body in pieces.
#[derive(Debug)]
pub(super) struct MemberFilter {
    keep: Option<Keep>,
    state: State,
    kept: Vec<u8>,
    /// The open brackets.
    open: Vec<u8>,
    /// Inside an incident of a page.
    is_inner: bool,
    /// Whether the object whose members are chosen has a kept member already: of the page, of the incident.
    has_kept: [bool; 2],
    name: Vec<u8>,
    in_string: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Before the first byte.
    Start,
    /// In an object whose members are chosen, before a name; `after_comma`: not before its end.
    Name {
        after_comma: bool,
    },
    InName,
    Colon,
    Value {
        is_kept: bool,
        is_empty: bool,
    },
    /// Between the incidents of a page.
    Items,
    /// After the object.
    AttemptEnd,
    /// Everything is kept: the body is not an object, or has no filter.
    Whole,
}

/// Whether a byte outside strings marks the start or end of a value.
fn means_something(byte: u8) -> bool {
    matches!(byte, b'"' | b'{' | b'[' | b'}' | b']' | b',')
}

impl MemberFilter {
    /// Without `keep` everything is kept.
    pub(super) fn new(keep: Option<Keep>) -> MemberFilter {
        MemberFilter {
            state: if keep.is_some() { State::Start } else { State::Whole },
            keep,
            // An incident usually fits.
            kept: Vec::with_capacity(1024),
            open: Vec::new(),
            is_inner: false,
            has_kept: [false; 2],
            name: Vec::new(),
            in_string: false,
            escaped: false,
        }
    }

    /// What is kept.
    pub(super) fn into_kept(self) -> Vec<u8> {
        self.kept
    }

    /// Takes the next piece, and returns whether no more than `most_kept` bytes had to be kept.
    pub(super) fn push(&mut self, piece: &[u8], most_kept: usize) -> bool {
        let mut rest = piece;
        while let [byte, ..] = *rest {
            let used = match self.state {
                State::Whole => {
                    let used = rest.len().min(most_kept.saturating_sub(self.kept.len()));
                    self.kept.extend_from_slice(&rest[..used]);
                    used
                }
                State::InName => {
                    let used = self.in_string(rest);
                    self.name.extend_from_slice(&rest[..used]);
                    if !self.in_string {
                        self.state = State::Colon;
                    }
                    used
                }
                State::Value { is_kept, .. } if self.in_string => {
                    let used = self.in_string(rest);
                    if is_kept {
                        self.kept.extend_from_slice(&rest[..used]);
                    }
                    used
                }
                State::Value { is_kept, is_empty } if !means_something(byte) => {
                    let used = rest.iter().position(|byte| means_something(*byte)).unwrap_or(rest.len());
                    let is_empty = is_empty && rest[..used].iter().all(u8::is_ascii_whitespace);
                    self.state = State::Value { is_kept, is_empty };
                    if is_kept {
                        self.kept.extend_from_slice(&rest[..used]);
                    }
                    used
                }
                _ => {
                    self.take(byte);
                    1
                }
            };
            if used == 0 || self.kept.len() > most_kept {
                self.kept.truncate(most_kept);
                return false;
            }
            rest = &rest[used..];
        }
        true
    }

    /// How many bytes belong to the rest of the string, its end included.
    fn in_string(&mut self, bytes: &[u8]) -> usize {
        if self.escaped {
            self.escaped = false;
            return 1;
        }
        match memchr::memchr2(b'"', b'\\', bytes) {
            None => bytes.len(),
            Some(at) => {
                self.escaped = bytes[at] == b'\\';
                self.in_string = self.escaped;
                at + 1
            }
        }
    }

    fn take(&mut self, byte: u8) {
        let is_space = byte.is_ascii_whitespace();
        match self.state {
            State::Start | State::AttemptEnd | State::Name { .. } | State::Colon if is_space => {}
            State::Start if byte == b'{' => self.open_object(),
            State::Name { after_comma } => match byte {
                b'"' => {
                    self.name.clear();
                    self.name.push(byte);
                    self.in_string = true;
                    self.state = State::InName;
                }
                b'}' if !after_comma => self.close_object(),
                _ => self.give_up(byte),
            },
            State::Colon if byte == b':' => self.begin_value(),
            State::Value { is_kept, is_empty } => self.take_of_value(byte, is_kept, is_empty),
            State::Items => match byte {
                b'{' => {
                    self.is_inner = true;
                    self.open_object();
                }
                b']' => {
                    self.open.pop();
                    self.kept.push(byte);
                    self.state = State::Value { is_kept: true, is_empty: false };
                }
                b',' => self.kept.push(byte),
                _ if is_space => {}
                _ => self.give_up(byte),
            },
            _ => self.give_up(byte),
        }
    }

    fn take_of_value(&mut self, byte: u8, is_kept: bool, is_empty: bool) {
        let own_depth = if self.is_inner { 3 } else { 1 };
        let is_at_its_end = self.open.len() == own_depth;
        self.state = State::Value { is_kept, is_empty: is_empty && byte.is_ascii_whitespace() };
        match byte {
            b',' | b'}' if is_at_its_end => {
                if is_empty {
                    return self.give_up(byte);
                }
                if byte == b',' {
                    self.state = State::Name { after_comma: true };
                } else {
                    self.close_object();
                }
                return;
            }
            b'"' => self.in_string = true,
            b'{' | b'[' => {
                if self.open.len() >= DEEPEST {
                    return self.give_up(byte);
                }
                self.open.push(byte);
                if is_at_its_end && !self.is_inner && byte == b'[' && self.is_in_items() {
                    self.state = State::Items;
                }
            }
            b'}' | b']' => {
                let opened = if byte == b'}' { b'{' } else { b'[' };
                if is_at_its_end || self.open.pop() != Some(opened) {
                    return self.give_up(byte);
                }
            }
            _ => {}
        }
        if is_kept {
            self.kept.push(byte);
        }
    }

    /// Whether the member with a page's incidents is being read, its name written without escapes.
    fn is_in_items(&self) -> bool {
        let page = self.keep.as_ref().and_then(|keep| keep.page.as_ref());
        let plain = self.name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
        page.is_some_and(|page| plain == Some(page.items.as_bytes()))
    }

    fn open_object(&mut self) {
        self.open.push(b'{');
        self.kept.push(b'{');
        self.has_kept[usize::from(self.is_inner)] = false;
        self.state = State::Name { after_comma: false };
    }

    fn close_object(&mut self) {
        self.open.pop();
        self.kept.push(b'}');
        self.state = if self.is_inner { State::Items } else { State::AttemptEnd };
        self.is_inner = false;
    }

    fn begin_value(&mut self) {
        // An escaped name is compared unescaped; a malformed name is kept, so that parsing fails.
        let plain = self.name.strip_prefix(b"\"").and_then(|name| name.strip_suffix(b"\""));
        let plain = plain.filter(|name| name.iter().all(|byte| *byte >= b' ' && *byte != b'\\'));
        let name = match plain {
            Some(name) => std::str::from_utf8(name).ok().map(Cow::Borrowed),
            None => serde_json::from_slice(&self.name).ok().map(Cow::Owned),
        };
        let is_kept = name.is_none_or(|name| match &self.keep {
            Some(Keep { page: Some(page), .. }) if !self.is_inner => {
                *name == page.items || *name == page.error || page.next.as_deref() == Some(&*name)
            }
            Some(keep) => keep.members.iter().any(|member| *member == *name),
            None => true,
        });
        if is_kept {
            if std::mem::replace(&mut self.has_kept[usize::from(self.is_inner)], true) {
                self.kept.push(b',');
            }
            self.kept.extend_from_slice(&self.name);
            self.kept.push(b':');
        }
        self.state = State::Value { is_kept, is_empty: true };
    }

    /// It is not JSON: makes the kept bytes invalid, and keeps the rest for a message.
    fn give_up(&mut self, byte: u8) {
        if self.state != State::Start {
            self.kept.push(NO_JSON);
        }
        self.kept.push(byte);
        self.state = State::Whole;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn keep(is_page: bool) -> Keep {
        let page = PageNames { items: "value".to_owned(), error: "error".to_owned(), next: None };
        Keep { members: ["incidentId", "status", "tags"].map(str::to_owned).into(), page: is_page.then_some(page) }
    }

    fn kept(pieces: &[&[u8]], is_page: bool) -> String {
        let mut filter = MemberFilter::new(Some(keep(is_page)));
        for piece in pieces {
            assert!(filter.push(piece, usize::MAX));
        }
        String::from_utf8_lossy(&filter.into_kept()).into_owned()
    }

    #[test]
    fn used_members_are_kept_verbatim() {
        for (body, expected) in [
            (r#"{"incidentId":7}"#, r#"{"incidentId":7}"#),
            (
                r#" {"a":[{"status":"no"}],"status" : "Active\"}" , "b":{}, "tags":["x",{"a":"]"}] } "#,
                r#"{"status": "Active\"}" ,"tags":["x",{"a":"]"}] }"#,
            ),
            (r#"{"a":"\\","stat\u0075s":1,"b":"{"}"#, r#"{"stat\u0075s":1}"#),
            ("{}", "{}"),
        ] {
            assert_eq!(kept(&[body.as_bytes()], false), expected);
        }
        let page =
            r#"{"@odata.context":"x","value":[{"alerts":[1],"incidentId":1},{"incidentId":2,"value":[]}],"n":1}"#;
        assert_eq!(kept(&[page.as_bytes()], true), r#"{"value":[{"incidentId":1},{"incidentId":2}]}"#);
    }

    #[test]
    fn invalid_json_stays_invalid() {
        for body in [
            r#"{"incidentId":7} trailing"#,
            r#"{"incidentId":7,}"#,
            r#"{"incidentId":7,,"status":1}"#,
            r#"{"alerts":,"incidentId":7}"#,
            r#"{"alerts":[},"incidentId":7}"#,
            r#"{"alerts":{]},"incidentId":7}"#,
            r#"{"alerts":[],"incidentId":7"#,
            r#"{"alerts" 1,"incidentId":7}"#,
            r#"{alerts:1,"incidentId":7}"#,
            r#"{"alerts":"}"#,
            "{\"al\nerts\":1,\"incidentId\":7}",
            r#"{"al\erts":1,"incidentId":7}"#,
            "[]",
            "<html>",
            "",
        ] {
            let kept = kept(&[body.as_bytes()], false);
            assert!(serde_json::from_str::<Map<String, Value>>(&kept).is_err(), "{body}: {kept}");
        }
        assert_eq!(kept(&[b"<html>sign in</html>"], false), "<html>sign in</html>");
    }

    #[test]
    fn only_kept_members_count_toward_the_limit() {
        let mut filter = MemberFilter::new(Some(keep(false)));
        let piece = [b'x'; 1000];
        assert!(filter.push(br#"{"status":"Active","alerts":""#, 30));
        for _ in 0..1000 {
            assert!(filter.push(&piece, 30));
        }
        assert!(filter.push(br#"","tags":["1","#, 40));
        assert!(!filter.push(br#""2","3","4"]}"#, 40));
        assert_eq!(filter.kept.len(), 40);
    }

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            r#"["\\{}\[\],:a-zé]{0,6}"#.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let name = prop_oneof![Just("status".to_owned()), Just("incidentId".to_owned()), r#"["\\va-z]{0,3}"#];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name, inner), 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn object_in_pieces_keeps_its_members(
            members in prop::collection::vec((prop_oneof![Just("tags".to_owned()), r#"["\\a-z]{0,3}"#], json()), 0..5),
            is_pretty: bool,
            cut: prop::sample::Index,
        ) {
            let object: Map<String, Value> = members.into_iter().collect();
            let text = if is_pretty { format!("{:#}", Value::Object(object.clone())) } else { serde_json::to_string(&object).expect("JSON") };
            let (one, other) = text.as_bytes().split_at(cut.index(text.len()));
            let kept: Map<String, Value> = serde_json::from_str(&kept(&[one, other], false)).expect("JSON");
            let expected: Map<String, Value> =
                object.into_iter().filter(|(name, _)| ["incidentId", "status", "tags"].contains(&name.as_str())).collect();
            prop_assert_eq!(kept, expected);
        }

        #[test]
        fn any_bytes_are_accepted(body: Vec<u8>, json in r#"[\[\]{}":,\\a ]{0,30}"#, is_page: bool) {
            for bytes in [body.as_slice(), json.as_bytes()] {
                let kept = kept(&[bytes], is_page);
                // Dropping members never makes an invalid body valid.
                let is_object = serde_json::from_slice::<Map<String, Value>>(bytes).is_ok();
                if is_object && !is_page {
                    prop_assert!(serde_json::from_str::<Map<String, Value>>(&kept).is_ok());
                }
            }
        }
    }
}
