//! The body of a 200: the members in use of the incident, and where it differs from the request.

use std::cell::LazyCell;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

use super::body::{ErrorBody, Members, cut, is_null, members};
use super::date::iso;
use super::member_filter::{Keep, PageNames};
use super::transport::WHOLE_CALL;
use crate::compare;
use crate::contract::{Api, CommentMembers, Contract, ErrorMembers, Property, PropertyKind, SameAs};
use crate::model::call::{Added, CLOCKS_DIFFER_BY, Call, Comment, SLACK};
use crate::model::comment_text::may_be;
use crate::model::edit::{Edit, Edits, Never, PropertyEdit};
use crate::model::operation::OperationId;
use crate::model::step::Step;

/// The longest value of a property, in bytes: far more than the API accepts, and little memory.
const LONGEST_VALUE: usize = 1024 * 1024;
/// The longest value that is only shown, in bytes.
const LONGEST_CONTEXT: usize = 4 * 1024;

/// An incident as a response shows it. Its values are parsed on demand.
pub(super) struct Shown<'a> {
    contract: &'a Contract,
    members: Members<'a, 'a>,
    /// The member that lists the comments.
    comments_in: Option<&'a str>,
    /// `None` if the response leaves it out.
    pub(super) id: Option<u64>,
    pub(super) redirect: Option<u64>,
}

impl<'a> Shown<'a> {
    /// Reads the body of a 200, or returns why it is malformed.
    pub(super) fn read(body: &'a [u8], contract: &'a Contract) -> Result<Shown<'a>, String> {
        Shown::read_with(body, contract, shown_in(contract))
    }

    /// Reads the body of a 200 for a step.
    pub(super) fn read_step(body: &'a [u8], contract: &'a Contract, step: &Step) -> Result<Shown<'a>, String> {
        let comments = comments_in(contract).filter(|_| step.operation == OperationId::Comment);
        Shown::read_with(body, contract, comments.or_else(|| shown_in(contract)))
    }

    fn read_with(body: &'a [u8], contract: &'a Contract, comments_in: Option<&'a str>) -> Result<Shown<'a>, String> {
        let names: Vec<&str> = names_in_use(contract).chain(comments_in).collect();
        let members = members(body, &names).map_err(|error| error.to_string())?;
        expect_no_error(&members, body, &contract.api.error)?;
        let names = &contract.api.incident;
        let (id, redirect) = (number(&members, &names.id)?, number(&members, &names.redirect)?);
        Ok(Shown { contract, members, comments_in, id, redirect })
    }

    /// Reads the body of a list's 200: its incidents, in its order, and the URL of the next page.
    pub(super) fn list(body: &'a [u8], contract: &'a Contract) -> Result<(Vec<Shown<'a>>, Option<String>), String> {
        let (errors, items, next) = (&contract.api.error, &contract.api.list.items, contract.api.list.next.as_deref());
        let names: Vec<&str> = [errors.object.as_str(), items].into_iter().chain(next).collect();
        let members = members(body, &names).map_err(|error| error.to_string())?;
        expect_no_error(&members, body, errors)?;
        let list = members.get(items).ok_or_else(|| format!("it has no `{items}`"))?;
        let list: Vec<&RawValue> = serde_json::from_str(list.get()).map_err(|error| error.to_string())?;
        let shown = list.into_iter().map(|incident| Shown::read(incident.get().as_bytes(), contract));
        let link = next.and_then(|name| Some((name, members.get(name).filter(|link| !is_null(link))?)));
        let link = link.map(|(name, link)| {
            serde_json::from_str(link.get()).map_err(|_| format!("`{name}` is {}", cut(link.get(), 40)))
        });
        Ok((shown.collect::<Result<_, _>>()?, link.transpose()?))
    }

    /// The value of a property that is replaced when it is set.
    fn value(&self, property: &str) -> Result<Option<Value>, String> {
        let name = self.contract.property(property).map_or(property, Property::member);
        let Some(value) = self.members.get(name) else { return Ok(None) };
        let value = Some(value.get()).filter(|text| text.len() <= LONGEST_VALUE);
        let value = value.and_then(|text| serde_json::from_str(text).ok());
        value.map(Some).ok_or_else(|| format!("`{name}` is too much"))
    }

    /// Its properties.
    pub(super) fn values(&self) -> Result<serde_json::Map<String, Value>, String> {
        let names = replaced(self.contract).map(|property| property.name.as_str());
        names.filter_map(|name| Some(self.value(name).transpose()?.map(|value| (name.to_owned(), value)))).collect()
    }

    /// Its context: name, times, and the link to the portal.
    pub(super) fn context(&self) -> serde_json::Map<String, Value> {
        let context = context_names(self.contract).filter_map(|name| {
            let value = self.members.get(name).filter(|value| value.get().len() <= LONGEST_CONTEXT)?;
            Some((name.to_owned(), serde_json::from_str(value.get()).ok()?))
        });
        context.collect()
    }

    /// `None` if the response leaves them out, so that nothing is known. An incident without comments may have `null`.
    pub(super) fn comments(&self) -> Result<Option<Vec<Comment>>, String> {
        let list = self.comments_in.and_then(|name| self.members.get(name));
        let names = &self.contract.api.comment;
        list.map(|list| comments_of(list.get(), names).map_err(|error| error.to_string())).transpose()
    }

    /// Whether it lists comments: `null` doesn't show that one is missing which was just sent.
    fn lists_comments(&self) -> bool {
        self.comments_in.and_then(|name| self.members.get(name)).is_some_and(|list| !is_null(list))
    }

    /// Whether it has no member of an incident.
    pub(super) fn is_empty(&self) -> bool {
        let mut names = replaced(self.contract).map(Property::member).chain(self.comments_in);
        self.id.is_none() && names.all(|name| self.members.get(name).is_none())
    }

    /// What the response shows of these edits, and of the comment that they added. `arrived`: when it arrived, by each
    /// of the known clocks. Lists are compared as sets.
    pub(super) fn effect(
        &self,
        edits: &Edits<Never>,
        arrived: [Timestamp; 2],
    ) -> Result<(Effect, Option<Added>), String> {
        let comment = match edits.added_text() {
            Some(sent) if self.lists_comments() => {
                self.comments()?.map(|comments| ShownComment::new(sent, comments, arrived))
            }
            _ => None,
        };
        let same_as = LazyCell::new(|| self.contract.same_as());
        let (mut is_shown, mut differences) = (edits.is_empty(), Vec::new());
        let mut in_other_words = None;
        for PropertyEdit { property: name, edit } in edits.iter() {
            let difference = match (edit, &comment) {
                (Edit::Append(_), Some(comment)) => {
                    let is_in_doubt = comment.is_in_other_words();
                    in_other_words = is_in_doubt.then(|| name.to_string()).or(in_other_words);
                    let how = if is_in_doubt { "may have been rewritten" } else { "was not added" };
                    comment.fitting.is_none().then(|| format!("`{name}` {how}"))
                }
                (Edit::Append(_), None) => return Ok((Effect::Unknown { missing: name.to_string() }, None)),
                _ => match (self.value(name)?, &edit.value()) {
                    (Some(shown), asked) => {
                        // The table of equal values is built only for values that are not identical.
                        let is_so = compare::same(name, asked, &shown, &SameAs::default())
                            || compare::may_show(name, asked, &shown, &same_as);
                        (!is_so).then(|| format!("`{name}` is {}, not {}", brief(&shown), brief(asked)))
                    }
                    // A response may leave out what is empty.
                    (None, asked) if compare::is_empty(asked) => None,
                    (None, _) => return Ok((Effect::Unknown { missing: name.to_string() }, None)),
                },
            };
            is_shown |= difference.is_none();
            differences.extend(difference);
        }
        let differs = || format!("the response shows other values: {}", differences.join("; "));
        let effect = match (is_shown, differences.is_empty(), in_other_words) {
            (_, true, _) => Effect::Applied,
            (true, false, _) => Effect::Partly { differs: differs() },
            (false, false, Some(missing)) => Effect::Unknown { missing },
            (false, false, None) => Effect::NotApplied { differs: differs() },
        };
        Ok((effect, comment.and_then(ShownComment::into_added)))
    }
}

/// What a response shows of an update.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// Everything that was requested.
    Applied,
    /// A part of it.
    Partly { differs: String },
    /// None of it.
    NotApplied { differs: String },
    /// It leaves out something that was requested, or shows only a comment in other words.
    Unknown { missing: String },
}

/// What a response shows of the comment that was sent.
struct ShownComment<'a> {
    sent: &'a str,
    /// Whether there is any that may be from this update.
    is_any: bool,
    /// The newest one whose text fits.
    fitting: Option<Comment>,
    /// Whether a comment is not dated earlier than the attempt, by any of the clocks. If no text fits what was sent, it
    /// may be that text in other words.
    is_any_new: bool,
}

impl ShownComment<'_> {
    fn new(sent: &str, mut comments: Vec<Comment>, arrived: [Timestamp; 2]) -> ShownComment<'_> {
        let call = SignedDuration::from_secs(WHOLE_CALL.as_secs().cast_signed());
        let [ours, theirs] = arrived;
        let earlier = |comment: &Comment| {
            comment.created_at.is_some_and(|at| ours.min(theirs).duration_since(at) > CLOCKS_DIFFER_BY + call)
        };
        comments.retain(|comment| !earlier(comment));
        let is_new = |at: Timestamp| arrived.iter().any(|arrived| arrived.duration_since(at) <= SLACK + call);
        let is_any_new = comments.iter().any(|comment| comment.created_at.is_none_or(is_new));
        let is_any = !comments.is_empty();
        let fitting = comments.into_iter().filter(|comment| may_be(sent, &comment.text));
        ShownComment { sent, is_any, fitting: fitting.max_by_key(|comment| comment.created_at), is_any_new }
    }

    fn is_in_other_words(&self) -> bool {
        self.fitting.is_none() && self.is_any_new
    }

    fn into_added(self) -> Option<Added> {
        let is_rewritten = self.fitting.as_ref().map_or(self.is_any_new, |comment| comment.text != self.sent);
        self.is_any.then_some(Added { comment: self.fitting, is_rewritten })
    }
}

/// The members in use of the responses to each call.
#[derive(Debug)]
pub(super) struct InUse {
    incident: Keep,
    page: Keep,
    comments: Keep,
}

impl InUse {
    pub(super) fn of_contract(contract: &Contract) -> InUse {
        let keep = |names: &[Option<&str>]| {
            names_in_use(contract).chain(names.iter().copied().flatten()).map(str::to_owned).collect()
        };
        let Api { list, error, .. } = &contract.api;
        let page = PageNames { items: list.items.clone(), error: error.object.clone(), next: list.next.clone() };
        InUse {
            incident: Keep { members: keep(&[shown_in(contract)]), page: None },
            page: Keep { members: keep(&[]), page: Some(page) },
            comments: Keep { members: keep(&[shown_in(contract), comments_in(contract)]), page: None },
        }
    }

    pub(super) fn of(&self, call: &Call) -> &Keep {
        match call {
            Call::List(_) => &self.page,
            Call::Step(step) if step.operation == OperationId::Comment => &self.comments,
            Call::Step(_) | Call::Read(_) => &self.incident,
        }
    }
}

/// The members of an incident that are in use everywhere.
fn names_in_use(contract: &Contract) -> impl Iterator<Item = &str> {
    let Api { incident, error, .. } = &contract.api;
    [error.object.as_str(), &incident.id, &incident.redirect]
        .into_iter()
        .chain(replaced(contract).map(Property::member))
        .chain(context_names(contract))
}

/// The members that are only shown.
fn context_names(contract: &Contract) -> impl Iterator<Item = &str> {
    contract.context.iter().map(String::as_str).chain(contract.portal_member())
}

/// The properties that are replaced when they are set.
fn replaced(contract: &Contract) -> impl Iterator<Item = &Property> {
    contract.properties.iter().filter(|property| !matches!(property.kind, PropertyKind::Append { .. }))
}

/// The member that lists the comments in the response to a comment, if that does not show the incident.
pub(super) fn comments_in(contract: &Contract) -> Option<&str> {
    contract.operations.comment.as_ref()?.shown_in.as_deref()
}

/// The member that lists what the contract's appended property was set to.
pub(super) fn shown_in(contract: &Contract) -> Option<&str> {
    contract.properties.iter().find_map(|property| match &property.kind {
        PropertyKind::Append { shown_in } => Some(shown_in.as_str()),
        _ => None,
    })
}

fn expect_no_error(members: &Members<'_, '_>, body: &[u8], names: &ErrorMembers) -> Result<(), String> {
    if members.get(&names.object).is_none_or(is_null) {
        return Ok(());
    }
    let error = ErrorBody::read(body, names).map_or_else(String::new, |error| error.to_string());
    Err(format!("it carries an error: {error}"))
}

/// A number, bare or in quotes; `None` if it is missing or null.
fn number(members: &Members<'_, '_>, name: &str) -> Result<Option<u64>, String> {
    let Some(value) = members.get(name).filter(|value| !is_null(value)) else { return Ok(None) };
    let number = value.get().trim_matches('"').parse();
    number.map(Some).map_err(|_| format!("`{name}` is {}", cut(value.get(), 40)))
}

/// Every entry counts as a comment, also without a text: it may be the one in question.
fn comments_of(list: &str, names: &CommentMembers) -> serde_json::Result<Vec<Comment>> {
    let list: Option<Vec<Option<&RawValue>>> = serde_json::from_str(list)?;
    let comment = |shown: Option<&RawValue>| {
        let shown = shown.map_or("{}", RawValue::get).as_bytes();
        let members = members(shown, &[&names.text, &names.author, &names.created])?;
        let text =
            |name| members.get(name).map_or(Ok(None), |value| serde_json::from_str::<Option<String>>(value.get()));
        // `0001-01-01T00:00:00Z` is how .NET writes a time that is not set.
        let created_at = text(&names.created)?.as_deref().and_then(iso).filter(|at| *at > Timestamp::UNIX_EPOCH);
        Ok(Comment { text: text(&names.text)?.unwrap_or_default(), created_by: text(&names.author)?, created_at })
    };
    list.into_iter().flatten().map(comment).collect()
}

fn brief(value: &Value) -> String {
    if value.is_null() { "not set".to_owned() } else { cut(&value.to_string(), 60).into_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::classify::tests::contract;
    use super::*;
    use crate::model::change::{Change, IncidentId};
    use crate::model::operation::Operation;

    fn effect(asked: &str, shown: &str) -> Effect {
        let edits =
            crate::plan::decode(asked, asked.contains("comment")).expect("a body").resolved().expect("no list edit");
        let contract = contract();
        let shown = Shown::read(shown.as_bytes(), &contract).expect(shown);
        shown.effect(&edits, [arrived(); 2]).expect("values of usual lengths").0
    }

    fn arrived() -> Timestamp {
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
    fn response_without_a_set_property_is_inconclusive() {
        for (shown, missing) in [
            (r#"{"incidentId":"7","alerts":[{"status":"Active"}]}"#, "status"),
            (r#"{"status":"Resolved","tags":["a","b"]}"#, "comment"),
            (r#"{"status":"Resolved","tags":["a","b"],"comments":null}"#, "comment"),
            (r#"{"status":"Active","assignedTo":"x@y","comments":[]}"#, "tags"),
        ] {
            assert_eq!(effect(ASKED, shown), Effect::Unknown { missing: missing.to_owned() }, "{shown}");
        }
    }

    #[test]
    fn differing_response_names_the_differences() {
        let shown = r#"{"status":"Active","assignedTo":"x@y","tags":null,"comments":[
            {"comment":"don't","createdTime":"2026-11-24T09:56:00Z"}]}"#;
        let says = concat!(
            r#"the response shows other values: `status` is "Active", not "Resolved"; `assignedTo` is "x@y", not ""; "#,
            r#"`tags` is not set, not ["a","b"]; `comment` was not added"#
        );
        assert_eq!(effect(ASKED, shown), Effect::NotApplied { differs: says.to_owned() });
        let shown = r#"{"status":"Resolved","tags":["a"],"comments":[{"comment":"done"}]}"#;
        let says = r#"the response shows other values: `tags` is ["a"], not ["a","b"]"#;
        assert_eq!(effect(ASKED, shown), Effect::Partly { differs: says.to_owned() });
    }

    #[test]
    fn new_comment_in_other_words_may_be_ours() {
        let effect_of = |status: &str, comment: &str| {
            effect(
                r#"{"status":"Resolved","comment":"done"}"#,
                &format!(r#"{{"status":"{status}","comments":[{comment}]}}"#),
            )
        };
        let differs = "the response shows other values: `comment` may have been rewritten".to_owned();
        for new in ["null", "{}", r#"{"comment":"x"}"#, r#"{"comment":"x","createdTime":"2026-11-24T09:57:10Z"}"#] {
            assert_eq!(effect_of("Resolved", new), Effect::Partly { differs: differs.clone() }, "{new}");
            assert_eq!(effect_of("Active", new), Effect::Unknown { missing: "comment".to_owned() }, "{new}");
        }
        let old = r#"{"comment":"x","createdTime":"2026-11-24T09:56:50Z"}"#;
        assert!(matches!(effect_of("Active", old), Effect::NotApplied { .. }));
        let differs = "the response shows other values: `comment` was not added".to_owned();
        assert_eq!(effect_of("Resolved", old), Effect::Partly { differs });
    }

    #[test]
    fn comment_without_text_or_time_still_counts() {
        let list = r#"[{"comment":null,"createdTime":"2026-11-24T10:00:37Z"},{},null,{"createdBy":"a@b"},
            {"comment":"done","createdTime":"0001-01-01T00:00:00Z"}]"#;
        let comments = comments_of(list, &contract().api.comment).expect("a list");
        let times: Vec<bool> = comments.iter().map(|comment| comment.created_at.is_some()).collect();
        assert_eq!(times, [true, false, false, false, false]);
        let texts: Vec<&str> = comments.iter().map(|comment| comment.text.as_str()).collect();
        assert_eq!(texts, ["", "", "", "", "done"]);
    }

    #[test]
    fn too_long_or_deep_value_is_ignored() {
        let long = format!(r#"{{"tags":[{}0]}}"#, "0,".repeat(1_000_000));
        let deep = format!(r#"{{"tags":{}{}}}"#, "[".repeat(9_999), "]".repeat(9_999));
        for body in [long, deep] {
            let contract = contract();
            let shown = Shown::read(body.as_bytes(), &contract).expect("JSON");
            assert_eq!(shown.values().err().as_deref(), Some("`tags` is too much"));
        }
    }

    #[test]
    fn response_to_a_comment_lists_the_comments() {
        let mut contract = contract();
        let comment = Operation { shown_in: Some("value".to_owned()), ..contract.operations.update.clone() };
        contract.operations.comment = Some(comment);
        let edits = crate::plan::decode(r#"{"comment":"done"}"#, true).expect("a body").resolved();
        let change = Change { incident: IncidentId::new(7).expect("an id"), edits: edits.expect("no list edit") };
        let step = contract.steps(&change).next().expect("one step");
        let effect = |body: &str| {
            let shown = Shown::read_step(body.as_bytes(), &contract, &step)?;
            assert!(!shown.is_empty() || !body.contains("value"), "{body}");
            shown.effect(&step.body.edits, [arrived(); 2]).map(|(effect, _)| effect)
        };
        assert_eq!(
            effect(r#"{"@odata.context":"x","value":[{"comment":"seen"},{"comment":"done"}]}"#),
            Ok(Effect::Applied)
        );
        let differs = "the response shows other values: `comment` was not added".to_owned();
        assert_eq!(effect(r#"{"value":[]}"#), Ok(Effect::NotApplied { differs }));
        for inconclusive in [r#"{"value":[{"comment":"x"}]}"#, r#"{"comments":[{"comment":"done"}]}"#, "{}"] {
            assert_eq!(effect(inconclusive), Ok(Effect::Unknown { missing: "comment".to_owned() }), "{inconclusive}");
        }
        effect(r#"{"value":[{"comment":"done"}],"error":{"code":"x"}}"#).expect_err("carries an error");
    }
}
