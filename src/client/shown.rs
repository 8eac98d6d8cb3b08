//! What a 200 shows: the incident, as far as it is of interest here, and where it is otherwise than asked.

use std::cell::LazyCell;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::{ErrorBody, Members, cut, is_null, members};
use super::date::iso;
use super::http::WHOLE_CALL;
use super::member_filter::Keep;
use crate::attempt::{Added, CLOCKS_DIFFER_BY, Comment, SLACK};
use crate::comment_text::may_be;
use crate::compare;
use crate::contract::{Contract, PropertyKind, SameAs};
use crate::row::Change;

/// An incident as an answer shows it.
pub(super) struct Shown {
    /// `None` where the answer leaves it out.
    pub(super) id: Option<u64>,
    pub(super) redirect: Option<u64>,
    pub(super) values: serde_json::Map<String, Value>,
    pub(super) context: serde_json::Map<String, Value>,
    /// `None` where the answer leaves them out, and nothing is known of them.
    pub(super) comments: Option<Vec<Comment>>,
}

impl Shown {
    /// Reads the body of a 200, or says why it is none.
    pub(super) fn read(body: &[u8], contract: &Contract) -> Result<Shown, String> {
        /// The longest value of a property: far above what the API takes, and too short to be built into much memory.
        const LONGEST_VALUE: usize = 1024 * 1024;
        /// The longest value that is only shown.
        const LONGEST_CONTEXT: usize = 4 * 1024;
        let shown_in = shown_in(contract);
        let replaced = || contract.properties.iter().filter(|property| !is_appended(&property.kind));
        let members = members(body, &names_in_use(contract).chain(shown_in).collect::<Vec<_>>())
            .map_err(|error| error.to_string())?;

        if members.get("error").is_some_and(|error| !is_null(error)) {
            let error = ErrorBody::read(body).map_or_else(String::new, |error| error.to_string());
            return Err(format!("it carries an error: {error}"));
        }
        let mut values = serde_json::Map::new();
        for property in replaced() {
            if let Some(value) = members.get(&property.name) {
                let value = Some(value.get()).filter(|text| text.len() <= LONGEST_VALUE);
                let value = value.and_then(|text| serde_json::from_str(text).ok());
                values.insert(property.name.clone(), value.ok_or_else(|| format!("`{}` is too much", property.name))?);
            }
        }
        let context = contract.context.iter().filter_map(|name| {
            let value = members.get(name).filter(|value| value.get().len() <= LONGEST_CONTEXT)?;
            Some((name.clone(), serde_json::from_str(value.get()).ok()?))
        });
        let comments = shown_in.and_then(|name| members.get(name));
        let comments = comments.map(|list| comments_of(list.get()).map_err(|error| error.to_string())).transpose()?;
        Ok(Shown {
            id: number(&members, "incidentId")?,
            redirect: number(&members, "redirectIncidentId")?,
            values,
            context: context.collect(),
            comments,
        })
    }

    /// Reads the body of a list's 200: its incidents, in its order.
    pub(super) fn list(body: &[u8], contract: &Contract) -> Result<Vec<Shown>, String> {
        let members = members(body, &["error", "value"]).map_err(|error| error.to_string())?;
        if members.get("error").is_some_and(|error| !is_null(error)) {
            let error = ErrorBody::read(body).map_or_else(String::new, |error| error.to_string());
            return Err(format!("it carries an error: {error}"));
        }
        let list = members.get("value").ok_or("it has no `value`")?;
        let list: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|error| error.to_string())?;
        list.into_iter().map(|incident| Shown::read(incident.get().as_bytes(), contract)).collect()
    }

    /// Whether nothing of an incident is there.
    pub(super) fn is_empty(&self) -> bool {
        self.id.is_none() && self.values.is_empty() && self.comments.is_none()
    }

    /// Without the comments that can't be of an update answered at `answered`, the earlier one of what the clocks say.
    pub(super) fn without_earlier_comments(mut self, answered: Timestamp) -> Shown {
        let longest = CLOCKS_DIFFER_BY + SignedDuration::from_secs(WHOLE_CALL.as_secs().cast_signed());
        let is_earlier = |comment: &Comment| comment.created_at.is_some_and(|at| answered.duration_since(at) > longest);
        self.comments.iter_mut().for_each(|comments| comments.retain(|comment| !is_earlier(comment)));
        self
    }

    /// Whether a comment is shown that is not dated earlier than the attempt, by any of the clocks that say when it was
    /// `answered`. If none fits what was sent, it may be that in other words.
    fn has_new_comment(&self, answered: &[Timestamp]) -> bool {
        let longest = SLACK + SignedDuration::from_secs(WHOLE_CALL.as_secs().cast_signed());
        let is_new = |at: Timestamp| answered.iter().any(|answered| answered.duration_since(at) <= longest);
        self.comments.iter().flatten().any(|comment| comment.created_at.is_none_or(is_new))
    }

    /// What the response shows of `change`. Lists are compared as sets.
    pub(super) fn effect(&self, change: &Change, contract: &Contract, answered: &[Timestamp]) -> Effect {
        let asked: serde_json::Map<String, Value> = serde_json::from_str(&change.body).unwrap_or_default();
        let same_as = LazyCell::new(|| contract.same_as());
        let (mut is_shown, mut differences) = (asked.is_empty(), Vec::new());
        let mut in_other_words = None;
        for (name, asked) in &asked {
            let is_appended = contract.property(name).is_some_and(|property| is_appended(&property.kind));
            let difference = match (&self.comments, self.values.get(name)) {
                (Some(comments), _) if is_appended => {
                    let sent = asked.as_str().unwrap_or_default();
                    let is_there = comments.iter().any(|comment| may_be(sent, &comment.text));
                    let is_in_doubt = !is_there && self.has_new_comment(answered);
                    in_other_words = is_in_doubt.then(|| name.clone()).or(in_other_words);
                    let how = if is_in_doubt { "may be there in other words" } else { "has not been added" };
                    (!is_there).then(|| format!("`{name}` {how}"))
                }
                (_, Some(shown)) => {
                    // The table of equal values is made only for what is not plainly so.
                    let is_so = compare::same(name, asked, shown, &SameAs::default())
                        || compare::may_show(name, asked, shown, &same_as);
                    (!is_so).then(|| format!("`{name}` is {}, not {}", brief(shown), brief(asked)))
                }
                // A response may leave out what is empty.
                (_, None) if !is_appended && compare::is_empty(asked) => None,
                (_, None) => return Effect::Unknown { missing: name.clone() },
            };
            is_shown |= difference.is_none();
            differences.extend(difference);
        }
        let differs = format!("the response shows otherwise: {}", differences.join("; "));
        match (is_shown, differences.is_empty(), in_other_words) {
            (_, true, _) => Effect::Applied,
            (true, false, _) => Effect::Partly { differs },
            (false, false, Some(missing)) => Effect::Unknown { missing },
            (false, false, None) => Effect::NotApplied { differs },
        }
    }
}

/// What a response shows of an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// All that was asked for.
    Applied,
    /// Some of it.
    Partly { differs: String },
    /// Nothing of it.
    NotApplied { differs: String },
    /// It leaves out something that was asked for, or shows nothing of it but a comment in other words.
    Unknown { missing: String },
}

impl Shown {
    /// What the response to `change` shows of the comment that it added: the newest one whose text fits.
    pub(super) fn added(&self, change: &Change, contract: &Contract, answered: &[Timestamp]) -> Option<Added> {
        let asked: serde_json::Map<String, Value> = serde_json::from_str(&change.body).ok()?;
        let sent = asked.get(contract.appended()?)?.as_str()?;
        let comments = self.comments.as_ref().filter(|comments| !comments.is_empty())?;
        let fitting = comments.iter().filter(|comment| may_be(sent, &comment.text));
        let comment = fitting.max_by_key(|comment| comment.created_at);
        let is_rewritten = comment.map_or_else(|| self.has_new_comment(answered), |comment| comment.text != sent);
        Some(Added { comment: comment.cloned(), is_rewritten })
    }
}

/// What is in use of an incident: where it stands alone, its comments too.
pub(super) fn in_use(contract: &Contract, is_page: bool) -> Keep {
    let comments = shown_in(contract).filter(|_| !is_page);
    Keep { members: names_in_use(contract).chain(comments).map(str::to_owned).collect(), is_page }
}

/// The members of an incident that are in use everywhere.
fn names_in_use(contract: &Contract) -> impl Iterator<Item = &str> {
    let properties = contract.properties.iter().filter(|property| !is_appended(&property.kind));
    ["error", "incidentId", "redirectIncidentId"]
        .into_iter()
        .chain(properties.map(|property| property.name.as_str()))
        .chain(contract.context.iter().map(String::as_str))
}

/// The member that lists what the contract's appended property was set to.
pub(super) fn shown_in(contract: &Contract) -> Option<&str> {
    contract.properties.iter().find_map(|property| match &property.kind {
        PropertyKind::Append { shown_in } => Some(shown_in.as_str()),
        _ => None,
    })
}

fn is_appended(kind: &PropertyKind) -> bool {
    matches!(kind, PropertyKind::Append { .. })
}

/// A number, as such or in quotes; `None` where it is missing or null.
fn number(members: &Members<'_>, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = members.get(name).filter(|value| !is_null(value)) else { return Ok(None) };
    let number = value.get().trim_matches('"').parse();
    number.map(Some).map_err(|_| format!("`{name}` is {}", cut(value.get(), 40)))
}

/// Every entry is a comment, also without a text: it may be the one that is looked for.
fn comments_of(list: &str) -> serde_json::Result<Vec<Comment>> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shown {
        comment: Option<String>,
        created_by: Option<String>,
        created_time: Option<String>,
    }

    let list: Option<Vec<Option<Shown>>> = serde_json::from_str(list)?;
    let comments = list.into_iter().flatten().map(|shown| {
        let Shown { comment, created_by, created_time } = shown.unwrap_or_default();
        // `0001-01-01T00:00:00Z` is how .NET writes a time that is not set.
        let created_at = created_time.as_deref().and_then(iso).filter(|at| *at > Timestamp::UNIX_EPOCH);
        Comment { text: comment.unwrap_or_default(), created_by, created_at }
    });
    Ok(comments.collect())
}

fn brief(value: &Value) -> String {
    if value.is_null() { "not set".to_owned() } else { cut(&value.to_string(), 60).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::answer::tests::contract;
    use super::*;
    use crate::row::IncidentId;

    fn effect(asked: &str, shown: &str) -> Effect {
        let incident = IncidentId::new(7).expect("an id");
        let change = Change { incident, body: asked.into(), appends: true };
        Shown::read(shown.as_bytes(), &contract()).expect(shown).effect(&change, &contract(), &[answered()])
    }

    fn answered() -> Timestamp {
        "2026-11-24T10:00:00Z".parse().expect("a time")
    }

    const ASKED: &str = r#"{"status":"Resolved","assignedTo":"","tags":["a","b"],"comment":"done"}"#;

    #[test]
    fn response_that_shows_all_is_applied() {
        for shown in [
            r#"{"incidentId":7,"error":null,"status":"Resolved","tags":["b","a"],"comments":[{"comment":"done"}]}"#,
            r#"{"status":"resolved","assignedTo":null,"tags":["b","a","b"],"comments":[{"comment":" done"}]}"#,
        ] {
            assert_eq!(effect(ASKED, shown), Effect::Applied, "{shown}");
        }
        assert_eq!(effect(r#"{"tags":[]}"#, r#"{"tags":null}"#), Effect::Applied);
        assert_eq!(effect("{}", r#"{"incidentId":7}"#), Effect::Applied);
    }

    #[test]
    fn response_that_leaves_something_out_tells_nothing() {
        for (shown, missing) in [
            (r#"{"incidentId":"7","alerts":[{"status":"Active"}]}"#, "status"),
            (r#"{"status":"Resolved","tags":["a","b"]}"#, "comment"),
            (r#"{"status":"Active","assignedTo":"x@y","comments":[]}"#, "tags"),
        ] {
            assert_eq!(effect(ASKED, shown), Effect::Unknown { missing: missing.to_owned() }, "{shown}");
        }
    }

    #[test]
    fn response_that_shows_otherwise_says_what() {
        let shown = r#"{"status":"Active","assignedTo":"x@y","tags":null,"comments":[
            {"comment":"don't","createdTime":"2026-11-24T09:56:00Z"}]}"#;
        let says = concat!(
            r#"the response shows otherwise: `status` is "Active", not "Resolved"; `assignedTo` is "x@y", not ""; "#,
            r#"`tags` is not set, not ["a","b"]; `comment` has not been added"#
        );
        assert_eq!(effect(ASKED, shown), Effect::NotApplied { differs: says.to_owned() });
        let shown = r#"{"status":"Resolved","tags":["a"],"comments":[{"comment":"done"}]}"#;
        let says = r#"the response shows otherwise: `tags` is ["a"], not ["a","b"]"#;
        assert_eq!(effect(ASKED, shown), Effect::Partly { differs: says.to_owned() });
    }

    #[test]
    fn new_comment_in_other_words_may_be_ours() {
        let answers = |status: &str, comment: &str| {
            effect(
                r#"{"status":"Resolved","comment":"done"}"#,
                &format!(r#"{{"status":"{status}","comments":[{comment}]}}"#),
            )
        };
        let differs = "the response shows otherwise: `comment` may be there in other words".to_owned();
        for new in ["null", "{}", r#"{"comment":"x"}"#, r#"{"comment":"x","createdTime":"2026-11-24T09:57:10Z"}"#] {
            assert_eq!(answers("Resolved", new), Effect::Partly { differs: differs.clone() }, "{new}");
            assert_eq!(answers("Active", new), Effect::Unknown { missing: "comment".to_owned() }, "{new}");
        }
        let old = r#"{"comment":"x","createdTime":"2026-11-24T09:56:50Z"}"#;
        assert!(matches!(answers("Active", old), Effect::NotApplied { .. }));
        let differs = "the response shows otherwise: `comment` has not been added".to_owned();
        assert_eq!(answers("Resolved", old), Effect::Partly { differs });
    }

    #[test]
    fn comment_without_text_or_time_is_a_comment() {
        let list = r#"[{"comment":null,"createdTime":"2026-11-24T10:00:37Z"},{},null,{"createdBy":"a@b"},
            {"comment":"done","createdTime":"0001-01-01T00:00:00Z"}]"#;
        let comments = comments_of(list).expect("a list");
        let times: Vec<bool> = comments.iter().map(|comment| comment.created_at.is_some()).collect();
        assert_eq!(times, [true, false, false, false, false]);
        let texts: Vec<&str> = comments.iter().map(|comment| comment.text.as_str()).collect();
        assert_eq!(texts, ["", "", "", "", "done"]);
    }

    #[test]
    fn a_value_that_is_too_long_or_too_deep_is_no_value() {
        let long = format!(r#"{{"tags":[{}0]}}"#, "0,".repeat(1_000_000));
        let deep = format!(r#"{{"tags":{}{}}}"#, "[".repeat(9_999), "]".repeat(9_999));
        for body in [long, deep] {
            assert_eq!(Shown::read(body.as_bytes(), &contract()).err().as_deref(), Some("`tags` is too much"));
        }
    }
}
