//! Which incidents are fetched: the filter that the API applies, and the local filter for the rest.
//!
//! Promise: a text in the filter is one literal, whatever it contains. Pure.

use jiff::Timestamp;
use serde_json::Value;

use crate::contract::{IncidentMembers, ListFilters};
use crate::model::call::Incident;

/// What the API filters by, combined with AND.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerFilter {
    /// A `$filter` as it was typed.
    pub raw: Option<String>,
    /// As the API spells it.
    pub status: Option<String>,
    /// Exactly.
    pub assigned_to: Option<String>,
    /// No owner. Ignored by an API without a condition for that.
    pub unassigned: bool,
    /// Created then, or later.
    pub created_since: Option<Timestamp>,
    /// Changed then, or later.
    pub updated_since: Option<Timestamp>,
}

impl ServerFilter {
    /// As `OData` writes it; `None` if it selects all incidents.
    #[must_use]
    pub fn to_odata(&self, filters: &ListFilters) -> Option<String> {
        let text = |template, text: &Option<String>| {
            text.as_ref().map(|text| condition(template, &format!("'{}'", text.replace('\'', "''"))))
        };
        let since = |template, time: Option<Timestamp>| time.map(|time| condition(template, &time.to_string()));
        let own = [
            text(&filters.status, &self.status),
            text(&filters.assigned_to, &self.assigned_to),
            filters.unassigned.clone().filter(|_| self.unassigned),
            since(&filters.created_since, self.created_since),
            since(&filters.updated_since, self.updated_since),
        ];
        let own: Vec<String> = own.into_iter().flatten().collect();
        let raw = self.raw.as_ref().map(|raw| if own.is_empty() { raw.clone() } else { as_one(raw) });
        let parts: Vec<String> = raw.into_iter().chain(own).collect();
        (!parts.is_empty()).then(|| parts.join(" and "))
    }
}

/// The filter to resume with. It excludes incidents created after `newest`, when the newest incident read was created:
/// so the incidents read before are the start of the list.
#[must_use]
pub fn not_newer(filter: Option<&str>, newest: Timestamp, filters: &ListFilters) -> String {
    let before = condition(&filters.created_until, &newest.to_string());
    filter.map_or(before.clone(), |filter| format!("{} and {before}", as_one(filter)))
}

fn condition(template: &str, literal: &str) -> String {
    template.replace("{}", literal)
}

/// In parentheses, so that an `or` in it doesn't include the other conditions.
fn as_one(filter: &str) -> String {
    let has_or = filter.split_whitespace().any(|word| word.eq_ignore_ascii_case("or"));
    if has_or { format!("({filter})") } else { filter.to_owned() }
}

/// Conditions that the API can't filter by: applied here, page by page, combined with AND.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocalFilter {
    /// The names of the compared members.
    pub members: IncidentMembers,
    /// Has each of these tags, in any case.
    pub tags: Vec<String>,
    /// Of this severity, in any case.
    pub severity: Option<String>,
    /// Has this in its title, in any case.
    pub title_contains: Option<String>,
}

impl LocalFilter {
    /// Whether an incident matches.
    #[must_use]
    pub fn matches(&self, incident: &Incident) -> bool {
        let text = |name: &str| incident.context.get(name).and_then(Value::as_str).unwrap_or_default().to_lowercase();
        let tags = incident.values.get(&self.members.tags).and_then(Value::as_array);
        let has_tag = |wanted: &String| {
            let mut tags = tags.into_iter().flatten().filter_map(Value::as_str);
            tags.any(|tag| tag.trim().to_lowercase() == wanted.trim().to_lowercase())
        };
        self.tags.iter().all(has_tag)
            && self.severity.as_ref().is_none_or(|wanted| text(&self.members.severity) == wanted.to_lowercase())
            && self
                .title_contains
                .as_ref()
                .is_none_or(|wanted| text(&self.members.title).contains(&wanted.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{Api, load};
    use proptest::prelude::*;
    use serde_json::json;

    fn api() -> Api {
        load("defender").expect("built in").api
    }

    fn time(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn filter_parts_are_joined_by_and() {
        let filter = ServerFilter {
            raw: None,
            status: Some("Active".to_owned()),
            assigned_to: Some("o'neill@contoso.com".to_owned()),
            created_since: Some(time("2026-11-24T10:00:00Z")),
            updated_since: Some(time("2026-11-24T10:00:00.5Z")),
            ..ServerFilter::default()
        };
        let expected = "status eq 'Active' and assignedTo eq 'o''neill@contoso.com' \
                        and createdTime ge 2026-11-24T10:00:00Z and lastUpdateTime ge 2026-11-24T10:00:00.5Z";
        assert_eq!(filter.to_odata(&api().list.filters).as_deref(), Some(expected));
        assert_eq!(ServerFilter::default().to_odata(&api().list.filters), None);
    }

    #[test]
    fn filters_of_graph_have_its_spellings() {
        let filters = load("graph").expect("built in").api.list.filters;
        let filter = ServerFilter {
            raw: None,
            status: Some("inProgress".to_owned()),
            assigned_to: None,
            unassigned: true,
            created_since: Some(time("2026-11-24T10:00:00Z")),
            updated_since: Some(time("2026-11-24T11:00:00Z")),
        };
        let expected = "status eq 'inProgress' and assignedTo eq null and createdDateTime ge 2026-11-24T10:00:00Z \
                        and lastUpdateDateTime ge 2026-11-24T11:00:00Z";
        assert_eq!(filter.to_odata(&filters).as_deref(), Some(expected));
        let newest = not_newer(None, time("2026-11-24T10:00:00Z"), &filters);
        assert_eq!(newest, "createdDateTime le 2026-11-24T10:00:00Z");
    }

    #[test]
    fn raw_filter_is_passed_unchanged_in_parentheses() {
        let raw = |raw: &str, status: Option<&str>| {
            let filter = ServerFilter {
                raw: Some(raw.to_owned()),
                status: status.map(str::to_owned),
                ..ServerFilter::default()
            };
            filter.to_odata(&api().list.filters).expect("a filter")
        };
        assert_eq!(raw("a eq 1 or b eq 2", None), "a eq 1 or b eq 2");
        assert_eq!(raw("a eq 1 OR b eq 2", Some("Active")), "(a eq 1 OR b eq 2) and status eq 'Active'");
        assert_eq!(raw("a eq 1\tor\nb eq 2", Some("Active")), "(a eq 1\tor\nb eq 2) and status eq 'Active'");
        assert_eq!(raw("a eq 1", Some("Active")), "a eq 1 and status eq 'Active'");
        let newest = time("2026-11-24T10:00:00.1234567Z");
        let filters = &api().list.filters;
        assert_eq!(not_newer(None, newest, filters), "createdTime le 2026-11-24T10:00:00.1234567Z");
        let either = not_newer(Some("a eq 1 or b eq 2"), newest, filters);
        assert_eq!(either, "(a eq 1 or b eq 2) and createdTime le 2026-11-24T10:00:00.1234567Z");
    }

    #[test]
    fn unsupported_filters_are_applied_locally() {
        let incident = Incident {
            values: json!({"tags": ["Tuned", "a; b"]}).as_object().expect("an object").clone(),
            context: json!({"severity": "High", "incidentName": "Größe of a File"}).as_object().expect("one").clone(),
            ..Incident::default()
        };
        let sieve = |tags: &[&str], severity: Option<&str>, title: Option<&str>| {
            let tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
            let sieve = LocalFilter {
                members: api().incident,
                tags,
                severity: severity.map(str::to_owned),
                title_contains: title.map(str::to_owned),
            };
            sieve.matches(&incident)
        };
        assert!(sieve(&[], None, None));
        assert!(sieve(&["tuned", "a; b"], Some("high"), Some("GRÖßE OF")));
        assert!(!sieve(&["tuned", "a"], None, None));
        assert!(!sieve(&[], Some("Medium"), None));
        assert!(!sieve(&[], None, Some("files")));
        assert!(
            !LocalFilter { severity: Some("High".to_owned()), ..LocalFilter::default() }.matches(&Incident::default())
        );
    }

    proptest! {
        #[test]
        fn text_becomes_one_quoted_literal(owner in "['a b=()]{0,12}") {
            let filter = ServerFilter { assigned_to: Some(owner.clone()), ..ServerFilter::default() };
            let filter = filter.to_odata(&api().list.filters).expect("a filter");
            let literal = filter.strip_prefix("assignedTo eq '").and_then(|rest| rest.strip_suffix('\''));
            let literal = literal.expect("quotes at both ends");
            // Every quote in it is doubled, so none of them ends it.
            prop_assert!(literal.replace("''", "").find('\'').is_none());
            prop_assert_eq!(literal.replace("''", "'"), owner);
        }
    }
}
