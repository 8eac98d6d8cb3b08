//! The query of a list: `$top`, `$skip` and a `$filter` of comparisons joined by `and`, on the four properties that the
//! API accepts.

use serde_json::Value;
use url::form_urlencoded;

use super::comparison::{Comparison, Operand};
use super::response::Refusal;

/// The largest page.
const LARGEST_PAGE: usize = 100;

/// The query of a list.
#[derive(Debug, PartialEq)]
pub(super) struct Query {
    pub(super) top: usize,
    pub(super) skip: usize,
    filter: Vec<Comparison>,
}

impl Query {
    /// Parses the query part of a URL.
    ///
    /// # Errors
    /// 400 `ODataError` if the API would reject it.
    pub(super) fn parse(query: &str) -> Result<Query, Refusal> {
        let wrong = |what: String| Refusal::new(400, "ODataError", what);
        let mut parsed = Query { top: LARGEST_PAGE, skip: 0, filter: Vec::new() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let number = || value.parse::<usize>().map_err(|_| wrong(format!("'{value}' is not a number for {name}.")));
            match &*name {
                "$top" => parsed.top = number()?,
                "$skip" => parsed.skip = number()?,
                "$filter" => {
                    parsed.filter = split_unquoted(&value, " and ")
                        .into_iter()
                        .map(|part| comparison(part.trim()))
                        .collect::<Option<_>>()
                        .ok_or_else(|| wrong(format!("The filter '{value}' is not supported.")))?;
                }
                _ => return Err(wrong(format!("The query option '{name}' is not supported."))),
            }
        }
        if parsed.top > LARGEST_PAGE {
            return Err(wrong(format!("$top is at most {LARGEST_PAGE}.")));
        }
        Ok(parsed)
    }

    pub(super) fn has_no_filter(&self) -> bool {
        self.filter.is_empty()
    }

    /// Whether the filter matches this incident.
    pub(super) fn matches(&self, incident: &Value) -> bool {
        self.filter.iter().all(|comparison| comparison.matches(incident))
    }
}

/// `status eq 'Active'`, `lastUpdateTime ge 2026-11-24T10:00:00Z`.
fn comparison(text: &str) -> Option<Comparison> {
    let (property, rest) = text.split_once(' ')?;
    let (operator, operand) = rest.trim().split_once(' ')?;
    let operand = operand.trim();
    let operand = match property {
        "lastUpdateTime" | "createdTime" => Operand::Time(operand.parse().ok()?),
        "status" | "assignedTo" if operand == "null" => Operand::Text(None),
        "status" | "assignedTo" => {
            let text = operand.strip_prefix('\'')?.strip_suffix('\'')?;
            // A quote that is not doubled ends the text: the rest is not part of this comparison.
            let is_one_text = !text.replace("''", "").contains('\'');
            is_one_text.then(|| Operand::Text(Some(text.replace("''", "'"))))?
        }
        _ => return None,
    };
    Comparison::new(property, operator, operand)
}

/// Splits at separators outside single quotes.
fn split_unquoted<'text>(text: &'text str, separator: &str) -> Vec<&'text str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    for (at, _) in text.match_indices(separator) {
        if text[start..at].matches('\'').count().is_multiple_of(2) {
            parts.push(&text[start..at]);
            start = at + separator.len();
        }
    }
    parts.push(&text[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn matches(filter: &str) -> bool {
        let incident = json!({
            "status": "Active",
            "assignedTo": "O'Neill and sons",
            "createdTime": "2026-11-24T10:00:00.0000000Z",
            "lastUpdateTime": "2026-11-24T11:00:00.0000000Z",
        });
        Query::parse(&format!("$filter={filter}")).expect("a filter").matches(&incident)
    }

    #[test]
    fn filter_compares_texts_and_times() {
        for (filter, expected) in [
            ("status eq 'Active'", true),
            ("status%20eq%20%27Resolved%27", false),
            ("status+ne+'Resolved'", true),
            ("assignedTo eq 'O''Neill and sons' and status eq 'Active'", true),
            ("assignedTo eq null", false),
            ("createdTime ge 2026-11-24T10:00:00Z and lastUpdateTime lt 2026-11-24T10:30:00Z", false),
            ("createdTime le 2026-11-24T12:00:00%2B02:00", true),
            ("createdTime gt 2026-11-24T10:00:00Z", false),
        ] {
            assert_eq!(matches(filter), expected, "{filter}");
        }
    }

    #[test]
    fn unsupported_filter_is_an_odata_error() {
        for query in [
            "$top=101",
            "$top=-1",
            "$skip=x",
            "$filter=severity eq 'High'",
            "$filter=status eq Active",
            "$filter=status eq 'a' or status eq 'b'",
            "$x=1",
        ] {
            assert_eq!(Query::parse(query).expect_err(query).code, "ODataError", "{query}");
        }
        assert_eq!(Query::parse("").expect("nothing asked").top, 100);
    }

    proptest! {
        #[test]
        fn any_query_is_parsed_or_rejected(query in ".*") {
            let _ = Query::parse(&query);
        }
    }
}
