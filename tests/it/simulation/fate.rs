//! What happens to one request on its way, drawn before it leaves.
//!
//! Promises: what the design relies on holds for every fate. The server counts a request before the client has its
//! response, or less than two seconds after the client knows that there is none. Reads show its effect within the
//! settle time after its end. A request takes at most a minute.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A request takes no longer than this in total.
const WHOLE_CALL_MS: u64 = 60_000;
/// The server counts no request later than this after its end.
const LATEST_COUNT_MS: u64 = 1_900;

/// What happens, in times since the request left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fate {
    /// When the server counts it; `None` if it does not arrive.
    pub(super) counted: Option<Duration>,
    /// When an update takes effect (or a read looks it up); `None` if the server ignores it.
    pub(super) effect: Option<Duration>,
    /// When the client knows the end.
    pub(super) end: Duration,
    pub(super) how: How,
}

/// What the client receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// What the server responds.
    CallResult,
    /// This status, whatever the effect.
    Status(u16),
    /// A 200 whose body is cut in the middle.
    Half,
    /// A success that does not show the incident.
    Unreadable(u16, &'static str),
    /// A success in another form: this status, and a byte order mark before the incident.
    Marked(u16),
    /// A success that can't be decompressed: an unknown content coding, or a damaged body.
    Coded { is_damaged: bool },
    /// No response. Whether the client must assume that its bytes may have arrived.
    Nothing { may_have_arrived: bool },
    /// Others use up the quota, from when it is counted until so much later.
    Throttled { others: Duration },
}

const UNREADABLE: [(u16, &str); 9] = [
    (200, "<html><body>Sign in</body></html>"),
    (200, ""),
    (200, "\u{feff}"),
    (200, "{}"),
    (200, r#"{"error":{"code":"InternalServerError","message":"sorry"}}"#),
    (200, r#"{"incidentId":4,"id":"4","status":"Resolved","comments":[]}"#),
    (201, ""),
    (202, ""),
    (204, ""),
];

impl Fate {
    /// A request without faults.
    pub(super) fn fine(dice: &mut fastrand::Rng, latency_ms: u64) -> Fate {
        let end = dice.u64(2..=latency_ms.max(2));
        let counted = dice.u64(0..end);
        let effect = dice.u64(counted..end);
        Fate { counted: Some(ms(counted)), effect: Some(ms(effect)), end: ms(end), how: How::CallResult }
    }

    /// A request that finds the quota used up by others.
    pub(super) fn throttled(dice: &mut fastrand::Rng, latency_ms: u64) -> Fate {
        let how = How::Throttled { others: ms(dice.u64(50..=20_000)) };
        Fate { effect: None, how, ..Fate::fine(dice, latency_ms) }
    }

    /// A request during an outage.
    pub(super) fn down(dice: &mut fastrand::Rng, latency_ms: u64) -> Fate {
        let fine = Fate { effect: None, ..Fate::fine(dice, latency_ms) };
        match dice.u8(..3) {
            0 => Fate { how: How::Nothing { may_have_arrived: false }, ..fine.unseen(dice, 0..=10_000) },
            1 => Fate { how: How::Nothing { may_have_arrived: true }, ..fine },
            _ => Fate { how: How::Status(503), ..fine },
        }
    }

    /// The server closes a kept connection as the request is sent, before or after seeing it.
    pub(super) fn closed(dice: &mut fastrand::Rng, latency_ms: u64, late_ms: u64) -> Fate {
        let fate = Fate::fine(dice, latency_ms).lost();
        if dice.bool() { fate.unseen(dice, 0..=5) } else { fate.with_late_effect(dice, late_ms) }
    }

    /// Whether the connection was lost, other than by a timeout.
    pub(super) fn is_cut(&self) -> bool {
        self.how == How::Nothing { may_have_arrived: true } && self.end < ms(WHOLE_CALL_MS)
    }

    /// One of the faults. In more than a third of them the update takes effect and the response is lost.
    pub(super) fn fault(dice: &mut fastrand::Rng, latency_ms: u64, late_ms: u64) -> Fate {
        let fine = Fate::fine(dice, latency_ms);
        let not_done = Fate { effect: None, ..fine };
        match dice.u8(..19) {
            // Refused, or no connection within ten seconds.
            0 => Fate { how: How::Nothing { may_have_arrived: false }, ..fine.unseen(dice, 0..=10_000) },
            // Cut on the way there.
            1 => Fate { how: How::Nothing { may_have_arrived: true }, ..fine.unseen(dice, 0..=2_000) },
            // Cut on the way back, or earlier: the effect may come afterwards.
            2..=6 => Fate { how: How::Nothing { may_have_arrived: true }, ..fine.with_late_effect(dice, late_ms) },
            7 => Fate { how: How::Half, ..fine },
            // No response until the timeout.
            8 | 9 => {
                let fate = Fate { end: ms(WHOLE_CALL_MS), how: How::Nothing { may_have_arrived: true }, ..fine };
                let counted = dice.u64(0..WHOLE_CALL_MS);
                let effect = dice.bool().then(|| ms(dice.u64(counted..=WHOLE_CALL_MS + late_ms)));
                Fate { counted: Some(ms(counted)), effect, ..fate }
            }
            // Slow, without an error.
            10 => Fate { end: ms(dice.u64(latency_ms.max(2)..WHOLE_CALL_MS)), ..fine },
            11 | 12 => Fate { how: How::Status(dice.choice([500, 502, 503, 504]).unwrap_or(500)), ..not_done },
            13 => Fate { how: How::Status(504), ..fine.with_late_effect(dice, late_ms) },
            14 => Fate {
                how: How::Status(408),
                ..if dice.bool() { not_done } else { fine.with_late_effect(dice, late_ms) }
            },
            15 | 16 => {
                let (status, body) = dice.choice(UNREADABLE).unwrap_or((204, ""));
                let how = How::Unreadable(status, body);
                // The server has accepted it, and works on it.
                if dice.bool() { Fate { how, ..fine } } else { Fate { how, ..fine.with_late_effect(dice, late_ms) } }
            }
            17 => {
                let forms = [
                    How::Marked(200),
                    How::Marked(201),
                    How::Coded { is_damaged: false },
                    How::Coded { is_damaged: true },
                ];
                Fate { how: dice.choice(forms).unwrap_or(How::CallResult), ..fine }
            }
            _ => Fate { how: How::Status(401), ..not_done },
        }
    }

    /// The same request at a server that counts at the end of its latency: just before the response, or after a cut.
    pub(super) fn counted_late(self, dice: &mut fastrand::Rng) -> Fate {
        if self.counted.is_none() {
            return self;
        }
        let counted = match self.how {
            How::Nothing { .. } => self.end + ms(dice.u64(0..=LATEST_COUNT_MS)),
            _ => self.end.saturating_sub(ms(1)),
        };
        Fate { counted: Some(counted), effect: self.effect.map(|effect| effect.max(counted)), ..self }
    }

    fn unseen(self, dice: &mut fastrand::Rng, end_ms: RangeInclusive<u64>) -> Fate {
        Fate { counted: None, effect: None, end: ms(dice.u64(end_ms)), ..self }
    }

    /// Its response is lost, whatever else happens to it.
    pub(super) fn lost(self) -> Fate {
        Fate { how: How::Nothing { may_have_arrived: true }, ..self }
    }

    fn with_late_effect(self, dice: &mut fastrand::Rng, late_ms: u64) -> Fate {
        let late = if dice.bool() { ms(dice.u64(0..=late_ms)) } else { Duration::ZERO };
        Fate { effect: self.effect.map(|effect| effect.max(self.end + late)), ..self }
    }
}

/// The latest time after its client's death at which a request is counted.
pub(super) fn counted_after_death(dice: &mut fastrand::Rng) -> Option<Duration> {
    dice.bool().then(|| ms(dice.u64(0..=LATEST_COUNT_MS)))
}

/// The latest time after its client's death at which a request takes effect.
pub(super) fn effect_after_death(dice: &mut fastrand::Rng, late_ms: u64) -> Option<Duration> {
    dice.bool().then(|| ms(dice.u64(0..=late_ms)))
}

fn ms(number: u64) -> Duration {
    Duration::from_millis(number)
}
