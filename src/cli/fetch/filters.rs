//! The filters of `fetch`: which incidents it downloads.

use clap::builder::NonEmptyStringValueParser;
use jiff::Timestamp;

use crate::apply::{LocalFilter, ServerFilter};
use crate::cli::error::Error;
use crate::contract::{Contract, PropertyKind};
use crate::model::quota_spec::parse_duration;
use crate::text::printable;

/// The options that make a query, in the order in which partial files have them.
pub(super) const QUERY: [&str; 10] = [
    "--filter",
    "--status",
    "--created-since",
    "--updated-since",
    "--assigned-to",
    "--unassigned",
    "--severity",
    "--title-contains",
    "--tag",
    "--limit",
];

/// Filters, which an incident must all pass.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Filters (combined with AND)")]
pub(super) struct FilterArgs {
    /// A `$filter` expression, sent to the API unchanged
    #[arg(long, value_name = "FILTER", value_parser = NonEmptyStringValueParser::new())]
    filter: Option<String>,
    /// Only incidents with this status
    #[arg(long, value_name = "STATUS")]
    status: Option<String>,
    /// Only incidents created since this time, this date, or this long ago (24h)
    #[arg(long, value_name = "WHEN")]
    created_since: Option<String>,
    /// Only incidents updated since this time (as for --created-since)
    #[arg(long, value_name = "WHEN")]
    updated_since: Option<String>,
    /// Only incidents assigned to exactly this user
    #[arg(long, value_name = "OWNER", value_parser = NonEmptyStringValueParser::new())]
    assigned_to: Option<String>,
    /// Only incidents without an owner, if the API can filter by that (graph)
    #[arg(long, conflicts_with = "assigned_to")]
    unassigned: bool,
    /// Only incidents with this tag, ignoring case (filtered locally; repeat to require several)
    #[arg(long, value_name = "TAG", value_parser = NonEmptyStringValueParser::new())]
    tag: Vec<String>,
    /// Only incidents with this severity, ignoring case (filtered locally)
    #[arg(long, value_name = "SEVERITY", value_parser = NonEmptyStringValueParser::new())]
    severity: Option<String>,
    /// Only incidents whose title contains this text, ignoring case (filtered locally)
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    title_contains: Option<String>,
}

impl FilterArgs {
    /// What the API filters by.
    ///
    /// # Errors
    /// If a status or a time can't be read, or the API has no filter for incidents without an owner.
    pub(super) fn on_server(&self, contract: &Contract, now: Timestamp) -> Result<ServerFilter, Error> {
        if self.unassigned && contract.api.list.filters.unassigned.is_none() {
            return Err(Error::Usage {
                message: format!("`--unassigned`: the API of `{}` has no filter for that", contract.name),
                hint: Some("use `--contract graph`, or fetch all and filter the file".to_owned()),
            });
        }
        let since = |name, typed: &Option<String>| typed.as_ref().map(|typed| since(name, typed, now)).transpose();
        Ok(ServerFilter {
            raw: self.filter.clone(),
            status: self.status.as_ref().map(|typed| status(contract, typed)).transpose()?,
            assigned_to: self.assigned_to.clone(),
            unassigned: self.unassigned,
            created_since: since("--created-since", &self.created_since)?,
            updated_since: since("--updated-since", &self.updated_since)?,
        })
    }

    /// What is filtered here.
    pub(super) fn local(&self, contract: &Contract) -> LocalFilter {
        LocalFilter {
            members: contract.api.incident.clone(),
            tags: self.tag.clone(),
            severity: self.severity.clone(),
            title_contains: self.title_contains.clone(),
        }
    }
}

/// A status as the API spells it.
fn status(contract: &Contract, typed: &str) -> Result<String, Error> {
    let choices = match contract.property(&contract.api.incident.status).map(|property| &property.kind) {
        Some(PropertyKind::Choice(choices)) => choices.as_slice(),
        _ => &[],
    };
    let is_it = |spelling: &String| spelling.eq_ignore_ascii_case(typed.trim());
    let found = choices.iter().find(|choice| is_it(&choice.value) || choice.aliases.iter().any(is_it));
    found.map(|choice| choice.value.clone()).ok_or_else(|| {
        let values: Vec<&str> = choices.iter().map(|choice| choice.value.as_str()).collect();
        Error::Usage {
            message: format!("`--status {}` is not a status of `{}`", printable(typed), contract.name),
            hint: Some(format!("write {}", values.join(", "))),
        }
    })
}

/// A time, the beginning of a day (UTC), or so long ago.
fn since(name: &str, typed: &str, now: Timestamp) -> Result<Timestamp, Error> {
    let time = || typed.parse::<Timestamp>().ok();
    let date = || format!("{typed}T00:00:00Z").parse().ok();
    // To the second: the API takes no more than seven decimals.
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let ago = || now.checked_sub(parse_duration(typed).ok()?).ok();
    time().or_else(date).or_else(ago).ok_or_else(|| Error::Usage {
        message: format!("`{name} {}` is not a time", printable(typed)),
        hint: Some("enter 2026-11-24T10:00:00Z, 2026-11-24, or an age such as 24h or 7d".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::load;

    #[test]
    fn time_option_takes_time_date_or_age() {
        let now: Timestamp = "2026-11-24T10:00:00.123456789Z".parse().expect("a time");
        for (typed, meant) in [
            ("2026-11-20T12:00:00+02:00", "2026-11-20T10:00:00Z"),
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("24h", "2026-11-23T10:00:00Z"),
            ("90s", "2026-11-24T09:58:30Z"),
            ("7d", "2026-11-17T10:00:00Z"),
        ] {
            assert_eq!(since("--created-since", typed, now).expect("a time").to_string(), meant, "{typed}");
        }
        for typed in ["", "yesterday", "2026-13-01", "2026-11-20T12:00:00", "7w", "-1h"] {
            assert!(since("--created-since", typed, now).is_err(), "{typed}");
        }
    }

    #[test]
    fn status_takes_the_spelling_of_the_contract() {
        let contract = load("defender").expect("built in");
        assert_eq!(status(&contract, "in progress").expect("an alias"), "InProgress");
        assert_eq!(status(&contract, "ACTIVE").expect("a value"), "Active");
        assert!(status(&contract, "open").is_err());
    }
}
