//! The formats of a 429: each names a time, or none, and each is obeyed. A server that counts by fixed windows rounds
//! it.

use std::time::Duration;

use bulk_triage::client::Reply;
use bulk_triage::clock::micros;
use jiff::{SignedDuration, Timestamp};

use super::network::{Network, http_date};
use super::world::World;

const SECOND: Duration = Duration::from_secs(1);
/// A time has just passed if it is no longer ago than this.
const JUST_PASSED: SignedDuration = SignedDuration::from_secs(2);

/// What a response says: nothing may be sent before the first time, and the pause may last until the second, if that is
/// known.
type Named = (Duration, Option<Duration>);

/// A 429 in one of its formats. The time is recorded, so that an earlier request and a longer pause are noticed.
pub(super) fn throttled(network: &Network, attempt: i64, mut headers: Vec<(String, String)>) -> Reply {
    let world = &network.world;
    let now = world.time();
    let (body, named) = if world.scenario.has_fixed_windows {
        rounded(network, &mut headers)
    } else {
        in_any_form(network, &mut headers)
    };
    world.state().witness.is_told(attempt, now, named.0, named.1);
    world.note(format_args!("a 429, {headers:?} {body}: {named:?}"));
    Reply { status: 429, headers, body: body.into_bytes(), incomplete: None }
}

fn in_any_form(network: &Network, headers: &mut Vec<(String, String)>) -> (String, Named) {
    let world = &network.world;
    let now = world.time();
    let busy = world.state().server.busy_until.saturating_sub(now);
    let seconds = busy.as_secs() + 1;
    let wall = world.server_wall() + SignedDuration::from_micros(micros(busy));
    let exactly = |wait: Duration| (now + wait, Some(now + wait));
    let mut retry_after = |value: String| headers.push(("retry-after".to_owned(), value));
    let form = world.state().dice.u8(..9);
    match form {
        0 => {
            retry_after(seconds.to_string());
            (String::new(), exactly(Duration::from_secs(seconds)))
        }
        1 => {
            let at = whole_second(wall + SignedDuration::from_secs(1));
            retry_after(http_date(at));
            (String::new(), at_time(network, at))
        }
        2 => (json(&format!("Too many calls. Try again at {wall:.7}.")), at_time(network, wall)),
        3 => (json(&format!("Try again in {seconds} seconds.")), exactly(Duration::from_secs(seconds))),
        // The later of the two.
        4 => {
            retry_after("1".to_owned());
            (json(&format!("Retry after {seconds} sec.")), exactly(Duration::from_secs(seconds)))
        }
        5 => {
            let window = Duration::from_mins(1);
            (json("API calls quota exceeded! maximum admitted 50 per 1m."), exactly(window))
        }
        6 => {
            retry_after(http_date(world.server_wall() - SignedDuration::from_secs(3_600 * 30)));
            (String::new(), exactly(world.scenario.quota.shortest()))
        }
        7 => ("<html>Too many requests</html>".to_owned(), exactly(world.scenario.quota.shortest())),
        _ => (String::new(), exactly(world.scenario.quota.shortest())),
    }
}

/// The end of a fixed window in whole seconds, rounded down or up; it may have passed while the response was on its
/// way.
fn rounded(network: &Network, headers: &mut Vec<(String, String)>) -> (String, Named) {
    let world = &network.world;
    let now = world.time();
    let end = world.state().server.busy_until;
    let wall = world.server_wall() + SignedDuration::from_micros(micros(end) - micros(now));
    let up = u64::from(world.state().dice.bool());
    let at = whole_second(wall) + SignedDuration::from_secs(i64::from(up > 0));
    let seconds = Duration::from_secs(end.saturating_sub(now).as_secs() + up);
    let form = world.state().dice.u8(..4);
    match form {
        0 => {
            headers.push(("retry-after".to_owned(), seconds.as_secs().to_string()));
            // "0" names no time.
            let longest = if seconds.is_zero() { world.scenario.quota.shortest() } else { seconds };
            (String::new(), (now + seconds, Some(now + longest)))
        }
        1 | 2 => {
            headers.push(("retry-after".to_owned(), http_date(at)));
            (String::new(), at_time(network, at))
        }
        _ => (json(&format!("Wait until {at}.")), at_time(network, at)),
    }
}

/// What a time of day means. It is measured from the response's `Date`; without one, by the machine's clock, which
/// tells nothing if the server's differs.
fn at_time(network: &Network, named: Timestamp) -> Named {
    let world = &network.world;
    let (now, shortest) = (world.time(), world.scenario.quota.shortest());
    let wall = world.server_wall();
    let wait = match world.scenario.dated {
        true => named.duration_since(whole_second(wall)),
        false if world.scenario.server_skew_ms == 0 => named.duration_since(wall),
        false => return (now, None),
    };
    let until = match Duration::try_from(wait) {
        Ok(wait) if !wait.is_zero() => now + wait,
        _ if wait < -JUST_PASSED => now + shortest,
        _ => {
            let mut passed = network.just_passed.lock().expect("no panic");
            match *passed {
                // It was in flight when the pause began.
                Some(until) if now < until => until,
                // The request that tested the end of the pause was refused, too.
                Some(_) => now + shortest,
                None => *passed.insert(now + SECOND.min(shortest)),
            }
        }
    };
    (until, Some(until))
}

/// A response other than a 429 names a time, too: some seconds from now.
pub(super) fn name_time(world: &World, attempt: i64, headers: &mut Vec<(String, String)>) {
    let now = world.time();
    let seconds = world.state().dice.u64(1..=15);
    headers.push(("retry-after".to_owned(), seconds.to_string()));
    let until = now + Duration::from_secs(seconds);
    world.state().witness.is_told(attempt, now, until, Some(until));
    world.note(format_args!("named: not before {until:?}"));
}

fn whole_second(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).expect("a time")
}

fn json(message: &str) -> String {
    serde_json::json!({"error": {"code": "TooManyRequests", "message": message, "target": "1f3a"}}).to_string()
}
