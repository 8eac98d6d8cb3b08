//! The JSON Schema of settings files, made from the options of the command line.

use clap::{Arg, Command};
use serde_json::{Map, Value, json};

use super::layers::{Place, names, place};
use super::rows::find;

/// The schema of a system or user file, in JSON; `#/$defs/project` is that of a project file.
pub(crate) fn schema(command: &Command) -> String {
    let mut options: Vec<&str> = names().collect();
    options.sort_unstable();
    let reference = |name: &&str| ((*name).to_owned(), json!({ "$ref": format!("#/$defs/{name}") }));
    let all: Map<String, Value> = options.iter().map(reference).collect();
    let of_project = |name: &&&str| place(name) == Some(Place::AnyFile);
    let of_project: Map<String, Value> = options.iter().filter(of_project).map(reference).collect();
    let mut own = all.clone();
    let profiles = json!({ "type": "object", "additionalProperties": { "$ref": "#/$defs/profile" } });
    own.insert("profiles".to_owned(), profiles);
    let table = |properties| json!({ "type": "object", "properties": properties, "additionalProperties": false });
    let mut definitions = Map::new();
    for name in &options {
        definitions.insert((*name).to_owned(), find(command, name).map_or(Value::Bool(true), definition));
    }
    definitions.insert("profile".to_owned(), table(all));
    definitions.insert("project".to_owned(), table(of_project));
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Settings of bulk-triage",
        "description": "A system or user file. A project file, bulk-triage.toml, has the schema #/$defs/project.",
        "type": "object", "properties": own, "additionalProperties": false, "$defs": definitions,
    });
    serde_json::to_string_pretty(&schema).expect("texts as keys")
}

/// What one option accepts.
fn definition(arg: &Arg) -> Value {
    let mut definition = Map::new();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    definition.insert("description".to_owned(), help.into());
    let default = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    let choices: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    let is = |value_name: &str| {
        arg.get_value_names().is_some_and(|names| names.iter().any(|name| name.as_str() == value_name))
    };
    if !arg.get_action().takes_values() {
        definition.insert("type".to_owned(), "boolean".into());
        definition.insert("default".to_owned(), (default.as_deref() == Some("true")).into());
        return definition.into();
    }
    if !choices.is_empty() {
        definition.insert("enum".to_owned(), choices.into());
    } else if is("N") {
        definition.insert("type".to_owned(), "integer".into());
        definition.insert("minimum".to_owned(), 1.into());
    } else if is("DURATION") {
        // 0 needs no unit.
        definition.insert("type".to_owned(), json!(["string", "integer"]));
    } else {
        definition.insert("type".to_owned(), "string".into());
    }
    if let Some(default) = default {
        let number = default.parse::<u64>().ok().filter(|_| is("N"));
        definition.insert("default".to_owned(), number.map_or_else(|| default.into(), Into::into));
    }
    definition.into()
}
