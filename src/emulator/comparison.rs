//! One comparison of a `$filter`: a member, an operator and an operand. What may be compared is a question of each API.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

/// A comparison with a member of an incident, as an API shows it.
#[derive(Debug, PartialEq)]
pub(super) struct Comparison {
    member: String,
    /// The orderings of value and operand that satisfy it.
    satisfied_by: &'static [Ordering],
    operand: Operand,
}

/// What a member is compared with.
#[derive(Debug, PartialEq)]
pub(super) enum Operand {
    /// A text, or `null`.
    Text(Option<String>),
    /// A time.
    Time(Timestamp),
}

impl Comparison {
    /// With one of the operators `eq`, `ne`, `gt`, `ge`, `lt` and `le`; `None` with another.
    pub(super) fn new(member: &str, operator: &str, operand: Operand) -> Option<Comparison> {
        use Ordering::{Equal, Greater, Less};
        let satisfied_by: &[Ordering] = match operator {
            "eq" => &[Equal],
            "ne" => &[Less, Greater],
            "gt" => &[Greater],
            "ge" => &[Greater, Equal],
            "lt" => &[Less],
            "le" => &[Less, Equal],
            _ => return None,
        };
        Some(Comparison { member: member.to_owned(), satisfied_by, operand })
    }

    /// Whether an incident satisfies it.
    pub(super) fn matches(&self, incident: &Value) -> bool {
        let value = incident.get(&self.member).and_then(Value::as_str);
        let order = match &self.operand {
            Operand::Text(text) => Some(value.cmp(&text.as_deref())),
            Operand::Time(time) => value.and_then(|value| value.parse::<Timestamp>().ok()).map(|value| value.cmp(time)),
        };
        order.is_some_and(|order| self.satisfied_by.contains(&order))
    }
}
