//! What a row of the input says beside what it asks for: its other columns, so that a reviewer sees which incident it is.

use std::borrow::Cow;

use crate::contract::Contract;
use crate::input::{PORTAL_COLUMNS, csv, jsonl, normalized};
use crate::outcome::InputShape;

/// No more of a row's other cells are shown; all of them are in the input.
const CELLS: usize = 8;

/// Reads the other columns of rows of one input.
#[derive(Clone, Debug)]
pub struct ContextColumns {
    shape: InputShape,
    /// The names that ask for something, as they are compared.
    asking: Vec<String>,
}

impl ContextColumns {
    /// Of an input of this shape, whose other columns are what the contract does not name.
    #[must_use]
    pub fn new(shape: &InputShape, contract: &Contract) -> ContextColumns {
        let properties = contract.properties.iter().map(|property| property.name.as_str());
        let asking = ["incidentId"].into_iter().chain(properties).map(normalized).collect();
        ContextColumns { shape: shape.clone(), asking }
    }

    /// The names and texts of a row's other cells, those that are not empty; none where the record can't be read.
    #[must_use]
    pub fn of(&self, source: &[u8]) -> Vec<(String, String)> {
        let Ok(record) = std::str::from_utf8(source) else { return Vec::new() };
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

    fn pick<'r>(&self, cells: impl Iterator<Item = (Cow<'r, str>, Cow<'r, str>)>) -> Vec<(String, String)> {
        let cells: Vec<_> = cells.collect();
        let is_portal = PORTAL_COLUMNS.iter().all(|name| cells.iter().any(|(column, _)| column.trim() == *name));
        let is_other = |name: &str| {
            let name = normalized(name);
            // The cells of a portal export say what incidents are; of them only the id asks for something.
            if is_portal { name != self.asking[0] } else { !self.asking.contains(&name) }
        };
        let others = cells.into_iter().filter(|(name, text)| !text.trim().is_empty() && is_other(name));
        others.take(CELLS).map(|(name, text)| (name.into_owned(), text.into_owned())).collect()
    }
}

/// A member's value as a text: what is no text stays JSON.
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

    fn shown(context: &[(String, String)]) -> Vec<(&str, &str)> {
        context.iter().map(|(name, text)| (&**name, &**text)).collect()
    }

    #[test]
    fn what_asks_for_nothing_is_context() {
        let own = columns(&csv(&["Incident-ID", "STATUS", "Title", "Opened"]));
        assert_eq!(shown(&own.of(b"7,Active,\"a, b\",")), [("Title", "a, b")]);
        assert_eq!(shown(&own.of(b"7,\xff,x,")), []);
        let own = columns(&InputShape::Jsonl { bom: false });
        let record = br#"{"incidentId":7,"title":"t\u0041","n":[1],"none":null,"comment":"c"}"#;
        assert_eq!(shown(&own.of(record)), [("title", "tA"), ("n", "[1]")]);
        assert_eq!(shown(&own.of(b"no object")), []);
    }

    #[test]
    fn all_of_a_portal_export_is() {
        let own = columns(&csv(&["Incident name", "Incident Id", "Status"]));
        assert_eq!(shown(&own.of(b"Phishing,7,Active")), [("Incident name", "Phishing"), ("Status", "Active")]);
    }
}
