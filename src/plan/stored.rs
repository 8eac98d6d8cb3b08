//! Edits stored as a request's body: in the journal, in plans of format 1 and in results of earlier revisions.
//!
//! Promise: a body is accepted only if its edits serialize to exactly this body. So a preview shows all that is sent.

use serde::Deserialize as _;
use serde_json::{Map, Value};

use super::row_rules::SHOWN;
use crate::contract::is_appended;
use crate::model::edit::{Edit, Edits, PropertyEdit};
use crate::model::list_edit::ListEdit;
use crate::text::truncate;

/// The edits that were stored as this body. `appends`: whether it adds a comment.
///
/// # Errors
/// Describes what is wrong.
pub fn decode(body: &str, appends: bool) -> Result<Edits, String> {
    let members: Map<String, Value> =
        serde_json::from_str(body).map_err(|_| format!("the change {} is not an object", truncate(body, SHOWN)))?;
    let edit = |(name, value): (String, Value)| {
        let edit = match value {
            Value::String(text) if appends && is_appended(&name) => Edit::Append(text),
            Value::Object(_) => Edit::EditList(ListEdit::deserialize(&value).map_err(|_| {
                format!("{} is not a value of `{}`", truncate(&value.to_string(), SHOWN), truncate(&name, SHOWN))
            })?),
            value => Edit::set(value),
        };
        Ok(PropertyEdit::new(&*name, edit))
    };
    let edits = members.into_iter().map(edit).collect::<Result<Edits, String>>()?;
    if edits.added().is_some() != appends {
        return Err("`appends` does not say whether a comment is added".to_owned());
    }
    // The parser accepts duplicate members, for example.
    if edits.to_json() != body {
        return Err("the change is not in the form that `plan` writes: it may have a duplicate member".into());
    }
    Ok(edits)
}
