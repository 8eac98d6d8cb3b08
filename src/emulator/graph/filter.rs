//! The conditions of a `$filter`: comparisons joined by `and` and `or`, with parentheses.

use serde_json::Value;

use super::values::{CLASSIFICATION, DETERMINATION, SEVERITY, STATUS};
use crate::emulator::comparison::{Comparison, Operand};

/// How deep parentheses may be nested.
const DEEPEST: usize = 16;

/// A condition on an incident as Graph shows it.
#[derive(Debug, PartialEq)]
pub(super) enum Condition {
    All(Vec<Condition>),
    Any(Vec<Condition>),
    Comparison(Comparison),
}

#[derive(Clone, Debug, PartialEq)]
enum Token<'a> {
    Open,
    Close,
    Quoted(String),
    Word(&'a str),
}

impl Condition {
    /// Parses a filter; `None` if Graph does not support it.
    pub(super) fn parse(text: &str) -> Option<Condition> {
        let mut parser = Parser { tokens: tokens(text)?, at: 0 };
        let condition = parser.any(0)?;
        (parser.at == parser.tokens.len()).then_some(condition)
    }

    /// Whether an incident, as Graph shows it, satisfies the condition.
    pub(super) fn matches(&self, incident: &Value) -> bool {
        match self {
            Condition::All(parts) => parts.iter().all(|part| part.matches(incident)),
            Condition::Any(parts) => parts.iter().any(|part| part.matches(incident)),
            Condition::Comparison(comparison) => comparison.matches(incident),
        }
    }
}

struct Parser<'a> {
    tokens: Vec<Token<'a>>,
    at: usize,
}

impl<'a> Parser<'a> {
    /// Parts joined by `or`, which binds less than `and`.
    fn any(&mut self, depth: usize) -> Option<Condition> {
        let mut parts = vec![self.all(depth)?];
        while self.take(&Token::Word("or")) {
            parts.push(self.all(depth)?);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Condition::Any(parts) })
    }

    fn all(&mut self, depth: usize) -> Option<Condition> {
        let mut parts = vec![self.part(depth)?];
        while self.take(&Token::Word("and")) {
            parts.push(self.part(depth)?);
        }
        Some(if parts.len() == 1 { parts.remove(0) } else { Condition::All(parts) })
    }

    fn part(&mut self, depth: usize) -> Option<Condition> {
        if self.take(&Token::Open) {
            let inner = if depth < DEEPEST { self.any(depth + 1)? } else { return None };
            return self.take(&Token::Close).then_some(inner);
        }
        let (Token::Word(member), Token::Word(operator)) = (self.next()?, self.next()?) else { return None };
        comparison(member, operator, self.next()?)
    }

    fn take(&mut self, token: &Token<'_>) -> bool {
        let is_next = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(is_next);
        is_next
    }

    fn next(&mut self) -> Option<Token<'a>> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }
}

fn comparison(member: &str, operator: &str, operand: Token<'_>) -> Option<Condition> {
    let is_equality = ["eq", "ne"].contains(&operator);
    let enumeration = match member {
        "status" => Some(&STATUS),
        "classification" => Some(&CLASSIFICATION),
        "determination" => Some(&DETERMINATION),
        "severity" => Some(&SEVERITY),
        _ => None,
    };
    let operand = match (member, enumeration, operand) {
        ("createdDateTime" | "lastUpdateDateTime", _, Token::Word(time)) => Operand::Time(time.parse().ok()?),
        ("assignedTo", _, Token::Word("null")) if is_equality => Operand::Text(None),
        ("assignedTo", _, Token::Quoted(text)) if is_equality => Operand::Text(Some(text)),
        (_, Some(of), Token::Quoted(text)) if is_equality && of.has(&text) => Operand::Text(Some(text)),
        _ => return None,
    };
    Comparison::new(member, operator, operand).map(Condition::Comparison)
}

/// The tokens of a filter; `None` if a quotation does not end.
fn tokens(text: &str) -> Option<Vec<Token<'_>>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '\'' => {
                let (text, length) = quoted(rest)?;
                (Token::Quoted(text), length)
            }
            _ => {
                let length = rest.find(|c: char| c.is_whitespace() || "()'".contains(c)).unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

/// The text of a quotation at the start, in which a quote is doubled, and its length with its quotes.
fn quoted(text: &str) -> Option<(String, usize)> {
    let mut end = 1;
    loop {
        end += text[end..].find('\'')? + 1;
        if !text[end..].starts_with('\'') {
            return Some((text[1..end - 1].replace("''", "'"), end));
        }
        end += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn matches(filter: &str) -> Option<bool> {
        let incident = json!({
            "status": "active", "assignedTo": "O'Neill and sons", "classification": "truePositive",
            "determination": "malware", "severity": "high",
            "createdDateTime": "2026-11-24T10:00:00.0000000Z", "lastUpdateDateTime": "2026-11-24T11:00:00.0000000Z",
        });
        Condition::parse(filter).map(|condition| condition.matches(&incident))
    }

    #[test]
    fn filter_compares_each_documented_property() {
        for (filter, expected) in [
            ("status eq 'active'", true),
            ("status ne 'active'", false),
            ("status eq 'awaitingAction' or status eq 'active'", true),
            ("assignedTo eq 'O''Neill and sons'", true),
            ("assignedTo eq null", false),
            ("assignedTo ne null and severity eq 'high'", true),
            ("classification eq 'truePositive' and determination ne 'phishing'", true),
            ("createdDateTime ge 2026-11-24T10:00:00Z and lastUpdateDateTime le 2026-11-24T10:30:00Z", false),
            ("createdDateTime lt 2026-11-24T12:00:00+01:00", true),
            ("severity eq 'low' and status eq 'active' or status eq 'active'", true),
            ("severity eq 'low' and (status eq 'active' or status eq 'resolved')", false),
        ] {
            assert_eq!(matches(filter), Some(expected), "{filter}");
        }
    }

    #[test]
    fn unsupported_filter_is_refused() {
        for filter in [
            "",
            "status",
            "status eq",
            "status eq active",
            "status eq 'Active'",
            "status eq 'new'",
            "status ge 'active'",
            "status eq null",
            "assignedTo eq 'a",
            "assignedTo eq 'a' 'b'",
            "assignedTo gt 'a'",
            "createdDateTime ge '2026-11-24T10:00:00Z'",
            "createdDateTime ge yesterday",
            "displayName eq 'a'",
            "customTags eq 'a'",
            "status eq 'active' AND severity eq 'high'",
            "(status eq 'active'",
            "status eq 'active')",
            "not status eq 'active'",
            &"(".repeat(10_000),
        ] {
            assert_eq!(matches(filter), None, "{filter}");
        }
    }

    proptest! {
        #[test]
        fn any_filter_is_parsed_or_refused(filter in "[a-z'() é]{0,40}|.*") {
            let _ = Condition::parse(&filter);
        }
    }
}
