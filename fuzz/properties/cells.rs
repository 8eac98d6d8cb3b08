//! Rows that are whole, with any cells.

use bulk_triage::check::PropertyOverride;
use bulk_triage::contract::PropertyKind;
use bulk_triage::model::change::IncidentId;
use serde_json::{Map, Value, json};

use super::checked::{CONTRACT, Check};

const PROPERTIES: [&str; 6] = ["status", "assignedTo", "classification", "determination", "tags", "comment"];

/// A cell means the same in CSV, in JSONL and after `--set`; what is sent is what was asked for.
///
/// The data are the six cells, with a line end between them.
pub fn cells(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut cells = text.splitn(PROPERTIES.len(), '\n');
    let cells = PROPERTIES.map(|_| cells.next().unwrap_or_default());

    let checked = Check::plain().of("f.csv", &csv_of(&PROPERTIES, &cells));
    // Of CSV alone: NUL bytes are no text there.
    if text.contains('\0') {
        return;
    }
    let verdict = checked.verdicts().remove(0);
    let mut line = Map::from_iter([("incidentId".to_owned(), json!(7))]);
    for (name, cell) in PROPERTIES.into_iter().zip(cells) {
        line.insert(name.to_owned(), cell.into());
    }
    let mut set = Vec::new();
    if let Ok(body) = &verdict {
        let body: Map<String, Value> = serde_json::from_str(body).expect("JSON");
        for (name, cell) in PROPERTIES.into_iter().zip(cells) {
            assert_asked(name, cell, body.get(name));
            if body.contains_key(name) {
                set.push(PropertyOverride::parse(&format!("{name}={cell}"), &CONTRACT).expect("a sound cell"));
            }
        }
        let tags = body.get("tags").map_or(Value::Null, |tags| match tags.as_array() {
            Some(tags) if tags.is_empty() => "<clear>".into(),
            _ => tags.clone(),
        });
        line.insert("tags".to_owned(), tags);
        let all_set = Check { set: &set, ..Check::plain() }.of("f.csv", &csv_of(&["x"], &["y"]));
        assert_eq!(all_set.verdicts(), std::slice::from_ref(&verdict));
    } else {
        // Tags are a list there, so that their errors are others.
        line.remove("tags");
    }
    let in_json = Check::plain().of("f.jsonl", Value::Object(line).to_string().as_bytes());
    if verdict.is_ok() || cells[4].is_empty() {
        assert_eq!(in_json.verdicts(), std::slice::from_ref(&verdict));
    }
}

/// An id is a whole number in digits alone, whatever stands there, and nothing else of it comes into the path. A
/// spreadsheet's `'` before it is taken off.
pub fn ids(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let digits = text.trim();
    let digits = digits.strip_prefix('\'').filter(|rest| !rest.starts_with('\'')).unwrap_or(digits);
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    let expected = digits.parse().ok().filter(|id| is_plain && i64::try_from(*id).is_ok());

    let csv = csv_with_id(&text, &["status"], &["Active"]);
    let quoted = json!({"incidentId": text, "status": "Active"}).to_string();
    let bare = format!("{{\"incidentId\":{digits},\"status\":\"Active\"}}");
    let is_number = serde_json::from_str::<serde_json::Number>(digits).is_ok();
    let files = [("f.csv", csv), ("f.jsonl", quoted.into_bytes()), ("f.jsonl", bare.into_bytes())];
    for (name, file) in files.into_iter().take(if is_number { 3 } else { 2 }) {
        let checked = Check::plain().of(name, &file);
        let found = checked.rows[0].verdict.as_ref().ok().map(|change| change.incident);
        assert_eq!(found.map(IncidentId::get), expected, "{name}: {text:?}");
        if let Some(id) = found {
            assert_eq!(CONTRACT.incident_path(id), format!("/api/incidents/{digits}"));
        }
    }
}

/// A value that is sent is what its cell asks for.
fn assert_asked(name: &str, cell: &str, sent: Option<&Value>) {
    let bare = cell.trim();
    let is_clear = bare.eq_ignore_ascii_case("<clear>");
    let Some(sent) = sent else {
        let is_left = if matches!(name, "assignedTo" | "comment") { cell.is_empty() } else { bare.is_empty() };
        return assert!(is_left, "{name} is not sent: {cell:?}");
    };
    match &CONTRACT.property(name).expect("a property").kind {
        PropertyKind::Choice(choices) => {
            let words = |text: &str| {
                let is_between = |c: char| c.is_whitespace() && !c.is_control() || "-_,‐‑‒–—".contains(c);
                text.to_lowercase().split(is_between).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
            };
            let is_meant = |spelling: &String| words(spelling) == words(bare);
            let choice = choices.iter().find(|choice| choice.value == *sent).expect("a value of the contract");
            assert!(choice.aliases.iter().chain([&choice.value]).any(is_meant), "{cell:?} is sent as {sent}");
        }
        PropertyKind::Text => assert_eq!(sent, if is_clear { "" } else { cell }),
        PropertyKind::Append { .. } => assert_eq!(sent, cell),
        PropertyKind::List if is_clear => assert_eq!(*sent, json!([])),
        PropertyKind::List if bare.starts_with('[') => {
            assert_eq!(*sent, serde_json::from_str::<Value>(bare).expect("a JSON list"));
        }
        PropertyKind::List if bare.starts_with('{') => {
            let asked: Value = serde_json::from_str(bare).expect("a JSON object");
            let list = |name: &str| asked.get(name).cloned().unwrap_or(json!([]));
            assert_eq!(*sent, json!({ "add": list("add"), "remove": list("remove") }));
        }
        PropertyKind::List => {
            let tags: Vec<&str> = bare.split(';').map(str::trim).filter(|tag| !tag.is_empty()).collect();
            if !tags.iter().any(|tag| tag.starts_with(['+', '-'])) {
                return assert_eq!(*sent, json!(tags));
            }
            assert!(tags.iter().all(|tag| tag.starts_with(['+', '-'])), "{cell:?} is half a change");
            let signed = |sign| tags.iter().filter_map(|tag| tag.strip_prefix(sign)).map(str::trim).collect::<Vec<_>>();
            assert_eq!(*sent, json!({ "add": signed('+'), "remove": signed('-') }));
        }
    }
}

/// A header and one row for incident 7.
fn csv_of(columns: &[&str], cells: &[&str]) -> Vec<u8> {
    csv_with_id("7", columns, cells)
}

fn csv_with_id(id: &str, columns: &[&str], cells: &[&str]) -> Vec<u8> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["incidentId"].iter().chain(columns)).expect("memory");
    writer.write_record([id].iter().chain(cells)).expect("memory");
    writer.into_inner().expect("memory")
}
