//! The query of a list: `$filter`, `$top`, `$skip`, `$count`, `$expand=alerts`, and the link to the next page.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;
use url::form_urlencoded;

use super::filter::Condition;
use super::incident::incident;
use crate::emulator::response::Refusal;

/// The query of a list.
#[derive(Debug, PartialEq)]
pub(in crate::emulator) struct Query {
    /// The size of the page.
    pub(in crate::emulator) top: usize,
    /// How many incidents come before the page.
    pub(in crate::emulator) skip: usize,
    /// Whether the response says how many incidents match.
    pub(in crate::emulator) counts: bool,
    /// Whether incidents are shown with their alerts.
    pub(in crate::emulator) shows_alerts: bool,
    filter: Option<Condition>,
    /// What the next page repeats.
    repeated: Vec<(String, String)>,
}

impl Query {
    /// Parses the query part of a URL, for pages up to a size.
    ///
    /// # Errors
    /// 400 if Graph would refuse it.
    pub(in crate::emulator) fn parse(query: &str, largest: usize) -> Result<Query, Refusal> {
        let wrong = |what: String| Refusal::new(400, "BadRequest", what);
        let mut parsed =
            Query { top: largest, skip: 0, counts: false, shows_alerts: false, filter: None, repeated: Vec::new() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let invalid = || wrong(format!("Invalid value '{value}' for {name}."));
            match &*name {
                "$top" => parsed.top = value.parse().map_err(|_| invalid())?,
                "$skip" => parsed.skip = value.parse().map_err(|_| invalid())?,
                "$skiptoken" => parsed.skip = read_token(&value).ok_or_else(invalid)?,
                "$count" => parsed.counts = value.parse().map_err(|_| invalid())?,
                "$expand" if value == "alerts" => parsed.shows_alerts = true,
                "$filter" => parsed.filter = Some(Condition::parse(&value).ok_or_else(invalid)?),
                _ => return Err(wrong(format!("The query option '{name}' with '{value}' is not supported."))),
            }
            if !["$skip", "$skiptoken"].contains(&&*name) {
                parsed.repeated.push((name.into_owned(), value.into_owned()));
            }
        }
        if parsed.top > largest {
            return Err(wrong(format!("Invalid page size specified: '{}'. Must be at most {largest}.", parsed.top)));
        }
        Ok(parsed)
    }

    pub(in crate::emulator) fn has_no_filter(&self) -> bool {
        self.filter.is_none()
    }

    /// Whether the filter matches this stored incident.
    pub(in crate::emulator) fn matches(&self, stored: &Value) -> bool {
        self.filter.as_ref().is_none_or(|filter| filter.matches(&incident(stored, true)))
    }

    /// The link to the page after this one, at this origin.
    pub(in crate::emulator) fn next_link(&self, origin: &str, path: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let token = BASE64_URL_SAFE_NO_PAD.encode(format!("after {}", self.skip.saturating_add(self.top)));
        query.extend_pairs(&self.repeated).append_pair("$skiptoken", &token);
        format!("{origin}{path}?{}", query.finish())
    }
}

/// The incidents before the page that a token names.
fn read_token(token: &str) -> Option<usize> {
    let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix("after ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(query: &str) -> Result<Query, Refusal> {
        Query::parse(query, 50)
    }

    #[test]
    fn query_has_page_count_and_alerts() {
        let query = parse("$top=10&$skip=20&$count=true&$expand=alerts").expect("a query");
        assert_eq!((query.top, query.skip, query.counts, query.shows_alerts), (10, 20, true, true));
        let query = parse("").expect("a query");
        assert_eq!((query.top, query.skip, query.counts, query.shows_alerts), (50, 0, false, false));
    }

    #[test]
    fn unsupported_query_is_a_bad_request() {
        for query in [
            "$top=51",
            "$top=-1",
            "$skip=x",
            "$count=yes",
            "$skiptoken=20",
            "$expand=comments",
            "$filter=status eq active",
            "$orderby=createdDateTime",
            "$x=1",
        ] {
            let refusal = parse(query).expect_err(query);
            assert_eq!((refusal.status, &*refusal.code), (400, "BadRequest"), "{query}");
        }
        assert_eq!(Query::parse("$top=100", 100).expect("a query").top, 100);
    }

    #[test]
    fn next_link_repeats_all_but_the_position() {
        let query = parse("$filter=status+eq+'active'&$top=10&$skip=20").expect("a query");
        let link = query.next_link("http://127.0.0.1:9", "/v1.0/security/incidents");
        let (path, next) = link.split_once('?').expect("a query");
        assert_eq!(path, "http://127.0.0.1:9/v1.0/security/incidents");
        assert!(!next.contains("30"), "the token is opaque: {next}");
        assert_eq!(parse(next).expect("a query"), Query { skip: 30, ..query });
    }
}
