//! The other columns of a row: they tell a reviewer which incident it is. A fetched file also has the values that the
//! incident had when it was fetched.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::Value;

use crate::contract::{Contract, Property};
use crate::input::{CURRENT, FETCHED_AT, INCIDENT_ID, InputShape, csv, is_portal_export, jsonl, normalized};
use crate::model::edit::Edits;
use crate::output::fetched::cell;
use crate::report::humanize::age;
use crate::text::{printable, unescape_formula};

/// The maximum number of other cells that are shown.
const CELLS: usize = 8;

/// The other columns of a row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Context {
    /// The names and texts of the other cells that are not empty.
    pub cells: Vec<(String, String)>,
    /// The values in a fetched file.
    pub fetched: Option<Fetched>,
}

impl Context {
    /// All other columns, including the fetched values.
    #[must_use]
    pub fn into_cells(self) -> Vec<(String, String)> {
        let was = self.fetched.into_iter().flat_map(|fetched| fetched.was);
        let was =
            was.filter(|(_, text)| !text.is_empty()).map(|(property, text)| (format!("{CURRENT}{property}"), text));
        self.cells.into_iter().chain(was).collect()
    }
}

/// The values of an incident when it was fetched; only for display.
#[derive(Clone, Debug, PartialEq)]
pub struct Fetched {
    /// The time of the fetch.
    pub at: Timestamp,
    /// The properties with their values as in a cell; empty if not set.
    pub was: Vec<(String, String)>,
}

impl Fetched {
    /// The value of a property: `was Active 2 h ago`. `None` if it equals `known`, the current value, if that was read.
    #[must_use]
    pub fn text(&self, property: &str, known: Option<&Value>, now: Timestamp) -> Option<String> {
        let (_, was) = self.was.iter().find(|(name, _)| name == property)?;
        if known.is_some_and(|known| printable(&cell(Some(known))) == *was) {
            return None;
        }
        let was = if was.is_empty() { "empty" } else { was };
        Some(format!("was {was} {} ago", age(self.at, now)))
    }

    /// The values of the properties that a change sets, on a line: `2 h ago: status Active; tags a; b`.
    #[must_use]
    pub fn line(&self, edits: &Edits, now: Timestamp) -> Option<String> {
        let was = self.was.iter().filter(|(property, _)| edits.of(property).is_some());
        let was = was.map(|(property, was)| [property.as_str(), if was.is_empty() { "empty" } else { was }].join(" "));
        let was: Vec<String> = was.collect();
        (!was.is_empty()).then(|| format!("{} ago: {}", age(self.at, now), was.join("; ")))
    }
}

/// Reads the other columns of the rows of an input.
#[derive(Clone, Debug)]
pub struct ContextColumns {
    shape: InputShape,
    /// The normalized columns of the ID and of the contract's properties.
    sent: Vec<String>,
}

impl ContextColumns {
    /// For an input of this shape. Its other columns are those that the contract does not name.
    #[must_use]
    pub fn new(shape: &InputShape, contract: &Contract) -> ContextColumns {
        let properties = contract.properties.iter().map(Property::column);
        let sent = [INCIDENT_ID].into_iter().chain(properties).map(normalized).collect();
        ContextColumns { shape: shape.clone(), sent }
    }

    /// The other columns of a row; empty if the record can't be read.
    #[must_use]
    pub fn of(&self, source: &[u8]) -> Context {
        let Ok(record) = std::str::from_utf8(source) else { return Context::default() };
        match &self.shape {
            InputShape::Csv { delimiter, columns, .. } => {
                self.pick(columns.iter().map(|name| Cow::Borrowed(&**name)).zip(csv::texts(record, *delimiter)))
            }
            InputShape::Jsonl { .. } => {
                let members = jsonl::members(record).unwrap_or_default();
                self.pick(members.into_iter().map(|member| (member.name, text(member.value.get()))))
            }
        }
    }

    fn pick<'r>(&self, cells: impl Iterator<Item = (Cow<'r, str>, Cow<'r, str>)>) -> Context {
        let cells: Vec<_> = cells.collect();
        let is_portal = is_portal_export(&cells.iter().map(|(column, _)| &**column));
        let fetched = fetched(&cells);
        let is_fetched = |name: &str| fetched.is_some() && (name.starts_with(CURRENT) || name.trim() == FETCHED_AT);
        let is_other = |name: &str| {
            let name = normalized(name);
            // The cells of a portal export describe incidents; only the ID is sent.
            if is_portal { name != self.sent[0] } else { !self.sent.contains(&name) }
        };
        let is_shown = |name: &str, text: &str| !text.trim().is_empty() && is_other(name) && !is_fetched(name);
        let others = cells.iter().filter(|(name, text)| is_shown(name, text)).take(CELLS);
        let others = others.map(|(name, text)| (name.to_string(), text.to_string()));
        Context { cells: others.collect(), fetched }
    }
}

/// The fetched values in the cells of a row; `None` if it has no time.
fn fetched(cells: &[(Cow<'_, str>, Cow<'_, str>)]) -> Option<Fetched> {
    let (_, at) = cells.iter().find(|(name, _)| name.trim() == FETCHED_AT)?;
    let at = at.trim().parse().ok()?;
    let was = cells.iter().filter_map(|(name, text)| {
        let property = name.strip_prefix(CURRENT)?;
        let text = unescape_formula(text);
        // A list in JSONL is shown like a CSV cell.
        let list = text.starts_with('[').then(|| serde_json::from_str::<Value>(&text).ok()).flatten();
        let text = list.map_or_else(|| text.clone().into_owned(), |list| cell(Some(&list)));
        Some((property.to_owned(), printable(&text).into_owned()))
    });
    Some(Fetched { at, was: was.collect() })
}

/// The value of a member as text. A value that is not a text stays JSON.
fn text(json: &str) -> Cow<'_, str> {
    match json {
        "null" => Cow::Borrowed(""),
        json => serde_json::from_str(json).map_or(Cow::Borrowed(json), Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::load;

    fn columns(shape: &InputShape) -> ContextColumns {
        ContextColumns::new(shape, &load("defender-classic").expect("a built-in contract"))
    }

    fn csv(names: &[&str]) -> InputShape {
        let columns = names.iter().map(|name| (*name).to_owned()).collect();
        InputShape::Csv { delimiter: ',', bom: false, columns }
    }

    fn shown(context: &Context) -> Vec<(&str, &str)> {
        context.cells.iter().map(|(name, text)| (&**name, &**text)).collect()
    }

    #[test]
    fn columns_that_set_nothing_are_context() {
        let own = columns(&csv(&["Incident-ID", "STATUS", "Title", "Opened"]));
        assert_eq!(shown(&own.of(b"7,Active,\"a, b\",")), [("Title", "a, b")]);
        assert_eq!(shown(&own.of(b"7,\xff,x,")), []);
        let own = columns(&InputShape::Jsonl { bom: false });
        let record = br#"{"incidentId":7,"title":"t\u0041","n":[1],"none":null,"comment":"c"}"#;
        assert_eq!(shown(&own.of(record)), [("title", "tA"), ("n", "[1]")]);
        assert_eq!(shown(&own.of(b"no object")), []);
    }

    #[test]
    fn fetched_rows_show_their_age() {
        let then = "2026-11-24T10:00:00Z";
        let now = "2026-11-24T12:00:00Z".parse().expect("a time");
        let names =
            ["incidentId", "status", "current_status", "current_tags", "current_assignedTo", "title", FETCHED_AT];
        let csv = columns(&csv(&names)).of(format!("7,Resolved,Active,a; b,,'=1,{then}").as_bytes());
        let json = format!(
            r#"{{"incidentId":7,"current_status":"Active","current_tags":["a","b"],"current_assignedTo":null,
                "title":"'=1","fetched_at":"{then}"}}"#
        );
        let jsonl = columns(&InputShape::Jsonl { bom: false }).of(json.as_bytes());
        assert_eq!(csv, jsonl);
        assert_eq!(shown(&csv), [("title", "'=1")]);
        let fetched = csv.fetched.expect("a fetched row");
        let said = |property, known: Option<Value>| fetched.text(property, known.as_ref(), now);
        assert_eq!(said("status", None).as_deref(), Some("was Active 2 h ago"));
        assert_eq!(said("status", Some("Active".into())), None);
        assert_eq!(said("tags", Some(serde_json::json!(["a", "b"]))), None);
        assert_eq!(said("tags", Some(serde_json::json!(["a"]))).as_deref(), Some("was a; b 2 h ago"));
        assert_eq!(said("assignedTo", None).as_deref(), Some("was empty 2 h ago"));
        assert_eq!(said("assignedTo", Some(Value::Null)), None);
        assert_eq!(said("comment", None), None);
        let edits = |body: &str| crate::plan::decode(body, true).expect("a body");
        let line = fetched.line(&edits(r#"{"status":"Resolved","tags":["c"],"comment":"x"}"#), now);
        assert_eq!(line.as_deref(), Some("2 h ago: status Active; tags a; b"));
        assert_eq!(fetched.line(&edits(r#"{"comment":"x"}"#), now), None);
        // A row without a time says nothing that could be told with its age.
        let aged = columns(&csv_of_no_time()).of(b"7,Active");
        assert_eq!((shown(&aged), aged.fetched.is_none()), (vec![("current_status", "Active")], true));
    }

    fn csv_of_no_time() -> InputShape {
        csv(&["incidentId", "current_status"])
    }

    #[test]
    fn portal_export_is_all_context() {
        let own = columns(&csv(&["Incident name", "Incident Id", "Status"]));
        assert_eq!(shown(&own.of(b"Phishing,7,Active")), [("Incident name", "Phishing"), ("Status", "Active")]);
    }
}
