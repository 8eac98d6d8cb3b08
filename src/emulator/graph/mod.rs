//! Microsoft Graph: its spelling of an incident, its rules for an update, its lists and its errors. The incidents are those
//! of the classic API: what one of the APIs changes, the other shows.
//!
//! Everything is written out here, from Graph's documentation and schema, and nothing comes from a contract. Where the
//! documentation leaves a doubt, the emulator is strict.
//!
//! | file | owns |
//! | --- | --- |
//! | `values` | the members of the enumerations, and the classic API's names for them |
//! | `incident` | an incident and its comments as Graph shows them |
//! | `rules` | which updates are accepted, and what they change |
//! | `filter` | the conditions of a `$filter` |
//! | `query` | the query of a list, and the link to the next page |
//! | `error` | Graph's codes and error body |

mod error;
mod filter;
mod incident;
mod query;
mod rules;
#[cfg(test)]
mod tests;
mod values;

pub(super) use error::error_body;
pub(super) use incident::{comments, incident, is_graph_only};
pub(super) use query::Query;
pub(super) use rules::read_change;

/// Where Graph is, as its responses write it, whatever the address of the emulator.
const SERVICE: &str = "https://graph.microsoft.com/v1.0";

/// The context of a response: what its members are.
pub(super) fn context(of: &str) -> String {
    format!("{SERVICE}/$metadata#{of}")
}
