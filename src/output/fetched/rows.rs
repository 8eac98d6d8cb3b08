//! An incident as a row: its columns and cells. Pure.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::incident::Fetched;
use crate::contract::{Contract, PropertyKind};
use crate::input::csv::join;
use crate::input::{CURRENT, FETCHED_AT, INCIDENT_ID, jsonl};
use crate::text::{BOM, escape_formula, escape_json, printable};

/// The columns of a fetch under one contract.
pub(super) struct Columns<'a> {
    /// The columns to fill in.
    empty: Vec<String>,
    /// The current values: the API's member, and the column.
    current: Vec<(String, String)>,
    /// The context of the incident, such as its title: the API's member, and the column.
    context: Vec<(String, String)>,
    contract: &'a Contract,
}

/// The column with the link to an incident in the portal.
const URL: &str = "url";

impl<'a> Columns<'a> {
    pub(super) fn new(contract: &'a Contract) -> Columns<'a> {
        let readable = contract.properties.iter().filter(|it| !matches!(it.kind, PropertyKind::Append { .. }));
        let title =
            |name: &String| if *name == contract.api.incident.title { "title".to_owned() } else { name.clone() };
        let context = contract.context.iter().map(|name| (name.clone(), title(name)));
        let url = contract.portal_member().map(|name| (name.to_owned(), URL.to_owned()));
        Columns {
            empty: contract.properties.iter().map(|property| property.column().to_owned()).collect(),
            current: readable.map(|it| (it.name.clone(), format!("{CURRENT}{}", it.name))).collect(),
            context: context.chain(url).collect(),
            contract,
        }
    }

    /// The header line of a CSV file, after the byte order mark by which spreadsheets recognize UTF-8.
    pub(super) fn header(&self) -> Vec<u8> {
        let filled = self.current.iter().chain(&self.context).map(|(_, column)| column.as_str());
        let empty = self.empty.iter().map(String::as_str);
        let names = [INCIDENT_ID].into_iter().chain(empty).chain(filled).chain([FETCHED_AT]);
        [BOM.as_bytes(), &line(names.map(Cow::Borrowed))].concat()
    }

    /// A member of an incident's context; of its link only one to the portal.
    fn context_of(&self, incident: &Fetched, name: &str) -> Option<Value> {
        let context = &incident.before.context;
        if self.contract.portal_member() == Some(name) {
            return self.contract.portal_link(context).map(Value::from);
        }
        context.get(name).cloned()
    }

    /// The line of an incident in a CSV file.
    pub(super) fn csv(&self, incident: &Fetched) -> Vec<u8> {
        let empty = self.empty.iter().map(|_| String::new());
        let current = self.current.iter().map(|(name, _)| cell(incident.before.values.get(name)));
        let context = self.context.iter().map(|(name, _)| cell(self.context_of(incident, name).as_ref()));
        let cells = [incident.id.to_string()].into_iter().chain(empty).chain(current).chain(context);
        line(
            cells
                .chain([incident.fetched_at.clone()])
                .map(|cell| Cow::Owned(escape_formula(&printable(&cell)).into_owned())),
        )
    }

    /// The line of an incident in a JSONL file.
    pub(super) fn jsonl(&self, incident: &Fetched) -> Vec<u8> {
        let mut members = Map::new();
        members.insert(INCIDENT_ID.to_owned(), incident.id.into());
        for (name, member) in &self.current {
            members.insert(member.clone(), incident.before.values.get(name).cloned().unwrap_or_default());
        }
        for (name, member) in &self.context {
            members.insert(member.clone(), self.context_of(incident, name).unwrap_or_default());
        }
        members.insert(FETCHED_AT.to_owned(), incident.fetched_at.clone().into());
        let mut line = escape_json(&Value::Object(members).to_string()).into_owned().into_bytes();
        line.push(b'\n');
        line
    }
}

/// The number of columns to fill in of a fetched file; `None` if it is the header of a different file.
pub(super) fn empty_columns<'a>(names: impl Iterator<Item = &'a str>) -> Option<usize> {
    let names: Vec<&str> = names.collect();
    let first_current = names.iter().position(|name| name.starts_with(CURRENT))?;
    let is_fetched = names.first() == Some(&INCIDENT_ID) && names.last() == Some(&FETCHED_AT);
    (is_fetched && first_current > 1).then(|| first_current - 1)
}

/// The number of members of a fetched line that were filled in; `None` if it is a line of a different file.
pub(super) fn empty_members(line: &str) -> Option<usize> {
    let members = jsonl::members(line).ok()?;
    let names: Vec<&str> = members.iter().map(|member| &*member.name).collect();
    let first_current = names.iter().position(|name| name.starts_with(CURRENT))?;
    let is_fetched = names.contains(&INCIDENT_ID) && names.contains(&FETCHED_AT);
    let last = names.iter().position(|name| *name == FETCHED_AT).map_or(0, |at| names.len() - 1 - at);
    is_fetched.then(|| first_current.saturating_sub(1) + last)
}

/// A value as a cell.
pub(crate) fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(list)) if list.is_empty() => String::new(),
        Some(Value::Array(list)) => {
            let plain: Option<Vec<&str>> = list.iter().map(|item| item.as_str().filter(|tag| is_plain(tag))).collect();
            plain.map_or_else(|| json_list(list), |tags| tags.join("; "))
        }
        Some(other) => other.to_string(),
    }
}

/// A list as JSON that needs no formula escape, so that a copy of its cell is the same list. Formula characters are
/// written as JSON escapes.
fn json_list(list: &[Value]) -> String {
    let joined =
        |item: &dyn Fn(&Value) -> String| format!("[{}]", list.iter().map(item).collect::<Vec<_>>().join(", "));
    let plain = joined(&Value::to_string);
    if escape_formula(&plain) == plain {
        return plain;
    }
    let escaped = |character: char| match character {
        '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' => format!("\\u{:04x}", u32::from(character)),
        other => other.to_string(),
    };
    joined(&|item| {
        let json = item.to_string();
        if item.is_string() { json.chars().map(escaped).collect() } else { json }
    })
}

/// Whether a tag can be written into a cell unchanged, and read back exactly.
fn is_plain(tag: &str) -> bool {
    let has_a_meaning = tag.starts_with(['[', '+', '-', '<', '\'', '"']) || tag.contains(';');
    let needs_escape = escape_formula(tag) != tag || printable(tag) != tag;
    !tag.is_empty() && tag.trim() == tag && !has_a_meaning && !needs_escape
}

fn line<'a>(cells: impl Iterator<Item = Cow<'a, str>>) -> Vec<u8> {
    let mut line = join(cells.map(|cell| cell.into_owned().into_bytes()), ',');
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{BUILT_IN, load};
    use crate::model::snapshot::IncidentState;
    use serde_json::json;

    fn classic() -> Contract {
        load("defender-classic").expect("a built-in contract")
    }

    fn fetched(values: Value, context: Value) -> Fetched {
        let map = |value: Value| value.as_object().expect("an object").clone();
        let before = IncidentState { values: map(values), redirect: None, context: map(context) };
        Fetched { id: 7, fetched_at: "2026-11-24T10:00:00Z".to_owned(), before }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn columns_come_from_the_contract() {
        assert_eq!(
            text(Columns::new(&classic()).header()),
            "\u{feff}incidentId,status,assignedTo,classification,determination,tags,comment,current_status,current_assignedTo,\
             current_classification,current_determination,current_tags,title,severity,createdTime,lastUpdateTime,url,\
             fetched_at\n"
        );
        let graph = "\u{feff}incidentId,status,assignedTo,classification,determination,tags,resolvingComment,newSeverity,comment,\
                     current_status,current_assignedTo,current_classification,current_determination,current_tags,\
                     current_resolvingComment,current_severity,title,severity,createdDateTime,lastUpdateDateTime,url,\
                     fetched_at\n";
        assert_eq!(text(Columns::new(&load("graph").expect("built in")).header()), graph);
        for (contract, count) in BUILT_IN.into_iter().zip([6, 6, 8]) {
            let header = text(Columns::new(&load(contract).expect("built in")).header());
            assert_eq!(empty_columns(header.trim_start_matches(BOM).trim_end().split(',')), Some(count));
        }
        assert_eq!(empty_columns(["incidentId", "status", "fetched_at"].into_iter()), None);
    }

    #[test]
    fn incident_row_has_no_formula() {
        let incident = fetched(
            json!({"status": "Active", "assignedTo": null, "tags": ["a b", "c"], "determination": 7}),
            json!({"incidentName": "=1+1", "severity": "High", "createdTime": "2026-11-24T10:00:00.0000000Z"}),
        );
        assert_eq!(
            text(Columns::new(&classic()).csv(&incident)),
            "7,,,,,,,Active,,,7,\"a b; c\",'=1+1,High,2026-11-24T10:00:00.0000000Z,,,2026-11-24T10:00:00Z\n"
        );
        let line = text(Columns::new(&classic()).jsonl(&incident));
        assert!(line.starts_with(r#"{"incidentId":7,"current_status":"Active","current_assignedTo":null,"#), "{line}");
        assert!(line.ends_with("\"fetched_at\":\"2026-11-24T10:00:00Z\"}\n"), "{line}");
        assert_eq!(empty_members(&line), Some(0));
        assert_eq!(empty_members(&line.replace("\"current_status\"", "\"status\":\"x\",\"current_status\"")), Some(1));
        assert_eq!(empty_members(&line.replace("Z\"}\n", "Z\",\"status\":\"x\"}")), Some(1));
        assert_eq!(empty_members("{\"incidentId\":7}"), None);
    }

    #[test]
    fn only_links_to_the_portal_are_written() {
        let contract = classic();
        let columns = Columns::new(&contract);
        let link = "https://security.microsoft.com/incidents/7?tid=a";
        for (shown, url) in [(link, link), ("https://security.microsoft.com.evil.example/incidents/7", "")] {
            let incident = fetched(json!({}), json!({ "incidentUri": shown }));
            let csv = text(columns.csv(&incident));
            assert!(csv.ends_with(&format!(",{url},2026-11-24T10:00:00Z\n")), "{csv}");
            let line: Value = serde_json::from_slice(&columns.jsonl(&incident)).expect("JSON");
            assert_eq!(line["url"].as_str().unwrap_or_default(), url, "{line}");
        }
    }

    #[test]
    fn ambiguous_tag_turns_cell_into_json_list() {
        for tag in ["a;b", " a", "", "+a", "-a", "[a", "<clear>", "=a", "'=a", "a\u{202e}b", "'a", "x,=a", "x|＝a"] {
            let shown = cell(Some(&json!(["x", tag])));
            assert_eq!(escape_formula(&shown), shown);
            assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), json!(["x", tag]), "{tag}");
        }
        assert_eq!(cell(Some(&json!(["x y", "z"]))), "x y; z");
        assert_eq!(cell(Some(&json!([]))), "");
    }
}
