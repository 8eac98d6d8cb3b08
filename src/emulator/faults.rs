//! Faults: what goes wrong, for which requests and how often, and their syntax ([`GRAMMAR`]).
//!
//! Promises: the same seed and the same order of requests lead to the same faults; the error for an invalid fault says
//! what is allowed.

use std::str::FromStr;
use std::time::Duration;

use clap::ValueEnum as _;

use super::throttle::ThrottleForm;
use super::trigger::{Arrival, Parts, Selectable, Trigger};
use crate::contract::Contract;
use crate::model::quota_spec::parse_duration;

/// The syntax of faults, for `--help`.
pub const GRAMMAR: &str = include_str!("faults.txt");

/// The kinds of requests that `@` selects.
pub(super) const UPDATES: &str = "updates";
/// As [`UPDATES`].
pub(super) const LISTS: &str = "lists";

const SELECTABLE: Selectable = Selectable { kinds: &[UPDATES, LISTS], has_incidents: true };

/// What happens instead of the normal response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FaultKind {
    /// This status, with a `Retry-After` if a time is given.
    Status(u16, Option<Duration>),
    Throttle {
        form: Option<ThrottleForm>,
        wait: Option<Duration>,
    },
    Cut,
    CutHalf,
    Stall,
    Slow(Duration),
    Html,
    Other,
    Error200,
    Huge,
    Gzip,
    Deflate,
    Bom,
    Empty,
    /// The update, or these properties of it, is not applied.
    Ignore(Vec<String>),
    Redirect(String),
    /// As Conditional Access answers.
    InsufficientClaims,
    Down,
}

/// One fault: what, where, how often.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// The fault as it was written.
    text: String,
    pub(super) kind: FaultKind,
    /// Whether the update is applied nevertheless.
    pub(super) takes_effect: bool,
    trigger: Trigger,
}

/// Faults, tried in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The first fault that affects this request, among those that satisfy `eligible`.
    pub(super) fn draw(
        &mut self,
        arrival: &Arrival,
        dice: &mut fastrand::Rng,
        eligible: impl Fn(&FaultKind) -> bool,
    ) -> Option<&Fault> {
        self.0.iter_mut().find_map(|fault| {
            let strikes = eligible(&fault.kind) && fault.trigger.strikes(arrival, dice);
            strikes.then_some(&*fault)
        })
    }
}

impl FromIterator<Fault> for Faults {
    fn from_iter<I: IntoIterator<Item = Fault>>(faults: I) -> Faults {
        Faults(faults.into_iter().collect())
    }
}

impl Fault {
    /// The fault as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A property of the detail that the contract doesn't have.
    #[must_use]
    pub fn unknown_property(&self, contract: &Contract) -> Option<&str> {
        let FaultKind::Ignore(names) = &self.kind else { return None };
        names.iter().map(String::as_str).find(|name| contract.property(name).is_none())
    }
}

/// Why a fault is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{fault}` is not a fault: {problem}")]
pub struct ParseFaultError {
    fault: String,
    problem: String,
}

impl ParseFaultError {
    pub(super) fn new(fault: &str, problem: String) -> ParseFaultError {
        ParseFaultError { fault: fault.to_owned(), problem }
    }
}

impl FromStr for Fault {
    type Err = ParseFaultError;

    fn from_str(text: &str) -> Result<Fault, ParseFaultError> {
        let text = text.trim();
        parse(text).map_err(|problem| ParseFaultError::new(text, problem))
    }
}

/// Parses `NAME[:CHANCE%][@WHERE][*TIMES][=DETAIL]` from its end.
fn parse(text: &str) -> Result<Fault, String> {
    let parts = Parts::parse(text, &SELECTABLE)?;
    let (name, effect) = match (parts.name.strip_suffix("-after"), parts.name.strip_suffix("-before")) {
        (Some(name), _) => (name, Some(true)),
        (_, Some(name)) => (name, Some(false)),
        _ => (parts.name, None),
    };
    let kind = parse_kind(name, parts.detail).map_err(|problem| problem + parts.hint())?;
    let takes_effect_by_default = matches!(kind, FaultKind::CutHalf | FaultKind::Slow(_) | FaultKind::Huge);
    if effect.is_some() && matches!(kind, FaultKind::Ignore(_)) {
        return Err("enter `ignore`, or list the properties to ignore, such as `ignore=status+tags`".to_owned());
    }
    if effect == Some(true) && kind == FaultKind::Down {
        return Err("a service that is down applies no update: enter `down` or `cut-after`".to_owned());
    }
    let takes_effect = effect.unwrap_or(takes_effect_by_default);
    Ok(Fault { text: text.to_owned(), kind, takes_effect, trigger: parts.trigger })
}

fn parse_kind(name: &str, detail: Option<&str>) -> Result<FaultKind, String> {
    let kind = match name {
        "429" => return parse_throttle(detail.unwrap_or_default()),
        "slow" => {
            let each = parse_duration(detail.unwrap_or("100ms")).map_err(|error| error.to_string())?;
            return Ok(FaultKind::Slow(each));
        }
        "redirect" => {
            let to = detail.unwrap_or("/elsewhere");
            let sendable = !to.is_empty() && to.bytes().all(|byte| byte.is_ascii_graphic());
            return if sendable { Ok(FaultKind::Redirect(to.to_owned())) } else { Err(format!("`{to}` is not a URL")) };
        }
        "ignore" => {
            let names: Vec<&str> = detail.unwrap_or_default().split('+').filter(|name| !name.is_empty()).collect();
            return match names.iter().find(|name| !name.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
                Some(name) => Err(format!("`{name}` is not a property")),
                None => Ok(FaultKind::Ignore(names.into_iter().map(str::to_owned).collect())),
            };
        }
        "cut" => FaultKind::Cut,
        "cut-half" => FaultKind::CutHalf,
        "stall" => FaultKind::Stall,
        "html" => FaultKind::Html,
        "other" => FaultKind::Other,
        "error-200" => FaultKind::Error200,
        "huge" => FaultKind::Huge,
        "gzip" => FaultKind::Gzip,
        "deflate" => FaultKind::Deflate,
        "bom" => FaultKind::Bom,
        "empty" => FaultKind::Empty,
        "insufficient-claims" => FaultKind::InsufficientClaims,
        "down" => FaultKind::Down,
        _ => {
            if let Ok(status @ 201..=599) = name.parse() {
                let wait = detail.map(parse_duration).transpose().map_err(|error| error.to_string())?;
                return Ok(FaultKind::Status(status, wait));
            }
            let names = "enter a status from 201 to 599, cut, cut-half, stall, slow, html, \
                     other, error-200, huge, gzip, deflate, bom, empty, ignore, redirect, \
                     insufficient-claims or down";
            return Err(names.to_owned());
        }
    };
    match detail {
        None => Ok(kind),
        Some(detail) => {
            Err(format!("`{name}` accepts no `={detail}`: only a status, slow, ignore and redirect accept a detail"))
        }
    }
}

/// `FORMAT/DURATION`, or one of them.
fn parse_throttle(detail: &str) -> Result<FaultKind, String> {
    let (mut form, mut wait) = (None, None);
    for part in detail.split('/').filter(|part| !part.is_empty()) {
        match (ThrottleForm::from_str(part, false), parse_duration(part)) {
            (Ok(parsed), _) => form = Some(parsed),
            (_, Ok(parsed)) => wait = Some(parsed),
            _ => {
                let names = ThrottleForm::names().join(", ");
                return Err(format!("`{part}` is not a format of a 429 ({names}), or a duration such as `37s`"));
            }
        }
    }
    Ok(FaultKind::Throttle { form, wait })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fault(text: &str) -> Fault {
        text.parse().expect("a fault")
    }

    fn struck(text: &str, requests: u64) -> Vec<u64> {
        let mut faults: Faults = [fault(text)].into_iter().collect();
        let mut dice = fastrand::Rng::with_seed(7);
        let mut is_struck = |number: &u64| {
            let since_start = Duration::from_secs(*number);
            let kind = match number % 10 {
                4 => Some(LISTS),
                digit => digit.is_multiple_of(2).then_some(UPDATES),
            };
            let arrival = Arrival { number: *number, since_start, incident: Some(1_000 + *number % 3), kind };
            faults.draw(&arrival, &mut dice, |_| true).is_some()
        };
        (1..=requests).filter(|number| is_struck(number)).collect()
    }

    #[test]
    fn faults_select_by_number_incident_time_count() {
        assert_eq!(struck("503@3,7-9", 20), [3, 7, 8, 9]);
        assert_eq!(struck("503@18-", 20), [18, 19, 20]);
        assert_eq!(struck("cut-after@#1001*2", 20), [1, 4]);
        assert_eq!(struck("down@5s-7s", 20), [5, 6, 7]);
        assert_eq!(struck("stall*3", 20), [1, 2, 3]);
        assert_eq!(struck("503-after@updates*3", 20), [2, 6, 8]);
        assert_eq!(struck("500@lists", 20), [4, 14]);
        assert_eq!(struck("stall:0%", 20), [0; 0]);
        assert_eq!(struck("stall:100%@2*1", 20), [2]);
    }

    #[test]
    fn same_seed_strikes_the_same_expected_share() {
        let often = struck("429:5%", 10_000);
        assert!((400..600).contains(&often.len()), "{}", often.len());
        assert_eq!(often, struck("429:5%", 10_000));
    }

    #[test]
    fn fault_name_gives_kind_and_update_effect() {
        for (text, kind, takes_effect) in [
            ("503", FaultKind::Status(503, None), false),
            ("503=8s", FaultKind::Status(503, Some(Duration::from_secs(8))), false),
            ("503-after", FaultKind::Status(503, None), true),
            ("cut", FaultKind::Cut, false),
            ("cut-before:5%", FaultKind::Cut, false),
            ("cut-after@3", FaultKind::Cut, true),
            ("cut-half", FaultKind::CutHalf, true),
            ("stall-after*1", FaultKind::Stall, true),
            ("slow", FaultKind::Slow(Duration::from_millis(100)), true),
            ("slow-before=5ms", FaultKind::Slow(Duration::from_millis(5)), false),
            ("redirect@1=http://127.0.0.1:9/x@y", FaultKind::Redirect("http://127.0.0.1:9/x@y".to_owned()), false),
            ("error-200", FaultKind::Error200, false),
            ("gzip-after", FaultKind::Gzip, true),
            ("bom", FaultKind::Bom, false),
            ("ignore", FaultKind::Ignore(Vec::new()), false),
            ("ignore=status+tags", FaultKind::Ignore(vec!["status".to_owned(), "tags".to_owned()]), false),
            ("429", FaultKind::Throttle { form: None, wait: None }, false),
            (
                "429:5%=gateway/37s",
                FaultKind::Throttle { form: Some(ThrottleForm::Gateway), wait: Some(Duration::from_secs(37)) },
                false,
            ),
        ] {
            let fault = fault(text);
            assert_eq!((fault.kind.clone(), fault.takes_effect, fault.text()), (kind, takes_effect, text));
        }
    }

    #[test]
    fn invalid_fault_error_lists_the_faults() {
        for (text, says) in [
            ("", "enter a status"),
            ("200", "a status from 201"),
            ("cutt", "cut-half"),
            ("503:5", "percentage"),
            ("503:101%", "percentage"),
            ("503:NaN%", "percentage"),
            ("503@", "`@` selects no requests"),
            ("503@0", "`@0` selects no requests"),
            ("503@9-7", "`@9-7` selects no requests"),
            ("503@7-9s", "`@7-9s` selects no requests"),
            ("503*0", "number of times"),
            ("cut=1s", "accepts no `=1s`"),
            ("429=soon", "time-long, time-no-zone"),
            ("429=37s:5%", "comes last"),
            ("redirect=a b", "is not a URL"),
            ("down-after", "applies no update"),
            ("ignore-after", "the properties to ignore"),
            ("ignore=comment@updates", "`comment@updates` is not a property; `=DETAIL` comes last"),
        ] {
            let error = text.parse::<Fault>().expect_err(text).to_string();
            assert!(error.contains(says), "{error}");
            assert!(error.starts_with(&format!("`{text}`")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_fault_or_an_error(text in "[a-z0-9:@*=#%,s-]{0,20}") {
            let _ = text.parse::<Fault>();
        }
    }
}
