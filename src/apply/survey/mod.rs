//! The survey: what the incidents of a run look like before anything is sent.
//!
//! It goes by pages of the list where that is cheaper (`route`), else one by one, through [`super::reading`]. What it
//! finds is kept with the rows in the journal; what that means for each row is [`crate::compare`]'s to say.

mod route;

use std::io;

use super::reading::{Heard, Reader};
use crate::attempt::{Answer, Call, Verdict};
use crate::row::IncidentId;
use crate::seen::{Before, Seen};

use route::{WASTE, fewest_calls};

/// Finds out what incidents look like.
#[derive(Debug)]
pub struct Survey {
    route: route::Route,
    /// Incident and row, sorted.
    rows: Vec<(IncidentId, u64)>,
}

impl Survey {
    /// Of these rows.
    #[must_use]
    pub fn new(mut rows: Vec<(IncidentId, u64)>) -> Survey {
        rows.sort_unstable();
        Survey { route: route::Route::new(rows.iter().map(|(incident, _)| *incident)), rows }
    }

    /// How many incidents are looked at.
    #[must_use]
    pub fn incidents(&self) -> u64 {
        self.route.left()
    }

    /// The fewest calls that it can take, and the most.
    #[must_use]
    pub fn calls(&self) -> (u64, u64) {
        let most = self.route.left();
        let mut newest_first: Vec<u64> = self.rows.iter().rev().map(|(incident, _)| incident.get()).collect();
        newest_first.dedup();
        let fewest = fewest_calls(newest_first.into_iter());
        (fewest, if fewest < most { most + WASTE } else { most })
    }

    fn heard(&self, seen: impl Iterator<Item = (IncidentId, Seen)>) -> Heard {
        let mut heard = Heard::default();
        for (incident, seen) in seen {
            heard.incidents += 1;
            let from = self.rows.partition_point(|(one, _)| *one < incident);
            let rows = self.rows[from..].iter().take_while(|(one, _)| *one == incident);
            let text = seen.to_json();
            heard.befores.extend(rows.map(|(_, row)| (*row, text.clone())));
        }
        heard
    }
}

impl Reader for Survey {
    fn next(&mut self) -> Option<Call> {
        self.route.next()
    }

    fn hear(&mut self, call: &Call, answer: &Answer) -> io::Result<Heard> {
        Ok(match (call, &answer.verdict) {
            (Call::List(page), Verdict::Listed(incidents)) => {
                let found = self.route.shown(page.skip, incidents.clone()).into_iter();
                self.heard(found.filter_map(|shown| {
                    let incident = IncidentId::new(shown.id)?;
                    Some((incident, Seen::There(Before::from(shown))))
                }))
            }
            (Call::List(_), verdict) => {
                self.route.failed(matches!(verdict, Verdict::Transient { .. }));
                Heard::default()
            }
            (Call::Read(incident), verdict) => {
                let seen = match verdict {
                    Verdict::Read { incident, .. } => Seen::There(Before::from(incident.clone())),
                    Verdict::NotFound => Seen::Missing { message: answer.message.clone() },
                    _ => Seen::Unreadable { message: answer.message.clone() },
                };
                self.heard(std::iter::once((*incident, seen)))
            }
            (Call::Update(_), _) => Heard::default(),
        })
    }

    fn calls_left(&self) -> u64 {
        self.route.calls_left()
    }

    /// A page that did not come through, or not in time, may be too large: a smaller one, or none, is the better way.
    fn changes_course(&self, call: &Call, answer: &Answer) -> bool {
        matches!(call, Call::List(_)) && answer.http_status.is_none_or(|status| status == 200)
    }
}
