//! Which requests a fault affects, and how often: the part of the syntax `NAME[:CHANCE%][@WHERE][*TIMES][=DETAIL]` that all
//! faults share.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::model::quota_spec::parse_duration;

/// The properties of a request that select faults.
pub(super) struct Arrival {
    /// Counted from 1.
    pub(super) number: u64,
    pub(super) since_start: Duration,
    pub(super) incident: Option<u64>,
    /// One of the kinds that its faults can select, such as `updates`.
    pub(super) kind: Option<&'static str>,
}

/// Which requests a fault can affect, beyond those that numbers and periods select.
pub(super) struct Selectable {
    /// The words that select a kind of request.
    pub(super) kinds: &'static [&'static str],
    /// Whether `#1042` selects the requests for an incident.
    pub(super) has_incidents: bool,
}

/// When a fault strikes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trigger {
    /// From 0 to 1.
    chance: f64,
    /// The requests that it can affect; all if empty.
    selectors: Vec<Selector>,
    /// How many more requests it can affect.
    left: u64,
}

#[derive(Clone, Debug, PartialEq)]
enum Selector {
    Requests(RangeInclusive<u64>),
    Incident(u64),
    Kind(&'static str),
    Span(RangeInclusive<Duration>),
}

/// A fault as it was written, in parts.
pub(super) struct Parts<'a> {
    pub(super) name: &'a str,
    pub(super) trigger: Trigger,
    pub(super) detail: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// Splits a fault from its end.
    ///
    /// # Errors
    /// What is wrong with the chance, the requests or the number of times.
    pub(super) fn parse(text: &'a str, selectable: &Selectable) -> Result<Parts<'a>, String> {
        let (rest, detail) = split(text, '=');
        let (rest, times) = split(rest, '*');
        let (rest, selectors) = split(rest, '@');
        let (name, chance) = split(rest, ':');

        let parse_selector = |text| parse_selector(text, selectable);
        let selectors = selectors.map_or(Ok(Vec::new()), |list| list.split(',').map(parse_selector).collect())?;
        let chance = chance.map_or(Ok(1.0), parse_chance)?;
        let left = match times.map(|times| (times, times.parse())) {
            None => u64::MAX,
            Some((_, Ok(times))) if times > 0 => times,
            Some((times, _)) => return Err(format!("`*{times}` is not a number of times: enter `*1` or more")),
        };
        Ok(Parts { name, trigger: Trigger { chance, selectors, left }, detail })
    }

    /// Added to what is wrong with the name or the detail, if the parts are in another order.
    pub(super) fn hint(&self) -> &'static str {
        let misplaced = self.detail.is_some_and(|detail| detail.contains([':', '@', '*']));
        if misplaced { "; `=DETAIL` comes last, after `:CHANCE%`, `@WHERE` and `*TIMES`" } else { "" }
    }
}

impl Trigger {
    /// Whether the fault affects this request; then it can affect one less.
    pub(super) fn strikes(&mut self, arrival: &Arrival, dice: &mut fastrand::Rng) -> bool {
        let strikes = self.left > 0 && self.selects(arrival) && dice.f64() < self.chance;
        self.left -= u64::from(strikes);
        strikes
    }

    fn selects(&self, arrival: &Arrival) -> bool {
        self.selectors.is_empty()
            || self.selectors.iter().any(|selector| match selector {
                Selector::Requests(numbers) => numbers.contains(&arrival.number),
                Selector::Incident(id) => arrival.incident == Some(*id),
                Selector::Kind(kind) => arrival.kind == Some(*kind),
                Selector::Span(span) => span.contains(&arrival.since_start),
            })
    }
}

fn parse_chance(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.parse::<f64>().ok());
    let chance = percent.filter(|percent| (0.0..=100.0).contains(percent)).map(|percent| percent / 100.0);
    chance.ok_or_else(|| format!("`:{text}` is not a chance: enter a percentage, such as `:5%`"))
}

fn parse_selector(text: &str, selectable: &Selectable) -> Result<Selector, String> {
    let wrong = || {
        let incident = if selectable.has_incidents { "an incident (`#1042`), " } else { "" };
        let kinds: Vec<String> = selectable.kinds.iter().map(|kind| format!("`{kind}`")).collect();
        format!(
            "`@{text}` selects no requests: enter request numbers (`3`, `7-9`, `20-`), {incident}{}, or a period \
             (`5s-15s`)",
            kinds.join(", ")
        )
    };
    if let Some(kind) = selectable.kinds.iter().find(|kind| **kind == text) {
        return Ok(Selector::Kind(kind));
    }
    if let Some(id) = text.strip_prefix('#').filter(|_| selectable.has_incidents) {
        return id.parse().map(Selector::Incident).map_err(|_| wrong());
    }
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let requests = || Some(from.parse().ok()?..=if to.is_empty() { u64::MAX } else { to.parse().ok()? });
    let span = || {
        let to = if to.is_empty() { Duration::MAX } else { parse_duration(to).ok()? };
        Some(parse_duration(from).ok()?..=to)
    };
    let selector = requests()
        .filter(|numbers| *numbers.start() > 0 && !numbers.is_empty())
        .map(Selector::Requests)
        .or_else(|| span().filter(|span| span.start() < span.end()).map(Selector::Span));
    selector.ok_or_else(wrong)
}

fn split(text: &str, separator: char) -> (&str, Option<&str>) {
    text.split_once(separator).map_or((text, None), |(before, after)| (before, Some(after)))
}
