//! The forms of a 429: each names a time, or none, and each is kept.

use std::time::Duration;

use bulk_triage::client::Reply;
use bulk_triage::clock::micros;
use jiff::SignedDuration;

use super::network::http_date;
use super::world::World;

/// A 429 in one of its forms. What it says is written down, so that whoever comes back earlier is seen.
pub(super) fn throttled(world: &World, attempt: i64, mut headers: Vec<(String, String)>) -> Reply {
    let now = world.time();
    let busy = world.state().server.busy_until.saturating_sub(now);
    let ends = now + busy;
    let shortest = world.scenario.quota.shortest();
    let seconds = busy.as_secs() + 1;
    let wall = world.server_wall() + SignedDuration::from_micros(micros(busy));
    // A time of day means what it says where the clocks agree, or where the answer says what time it is.
    let is_clear = world.scenario.dated || world.scenario.server_skew_ms == 0;
    let at_a_time = if is_clear { ends } else { now };
    let mut retry_after = |value: String| headers.push(("retry-after".to_owned(), value));
    let form = world.state().dice.u8(..9);
    let (body, until) = match form {
        0 => {
            retry_after(seconds.to_string());
            (String::new(), now + Duration::from_secs(seconds))
        }
        1 => {
            retry_after(http_date(wall + SignedDuration::from_secs(1)));
            (String::new(), at_a_time)
        }
        2 => (json(&format!("Too many calls. Try again at {wall:.7}.")), at_a_time),
        3 => (json(&format!("Try again in {seconds} seconds.")), now + Duration::from_secs(seconds)),
        // The later of the two.
        4 => {
            retry_after("1".to_owned());
            (json(&format!("Retry after {seconds} sec.")), now + Duration::from_secs(seconds.max(1)))
        }
        5 => {
            let window = Duration::from_mins(1);
            (json("API calls quota exceeded! maximum admitted 50 per 1m."), now + window)
        }
        6 => {
            retry_after(http_date(world.server_wall() - SignedDuration::from_secs(3_600 * 30)));
            (String::new(), now + shortest)
        }
        7 => ("<html>Too many requests</html>".to_owned(), now + shortest),
        _ => (String::new(), now + shortest),
    };
    world.state().witness.is_told(attempt, now, until);
    world.note(format_args!("a 429 in form {form}: not before {until:?}"));
    Reply { status: 429, headers, body: body.into_bytes(), incomplete: None }
}

/// A response that is no 429 names a time, too: some seconds from now.
pub(super) fn name_time(world: &World, attempt: i64, headers: &mut Vec<(String, String)>) {
    let now = world.time();
    let seconds = world.state().dice.u64(1..=15);
    headers.push(("retry-after".to_owned(), seconds.to_string()));
    let until = now + Duration::from_secs(seconds);
    world.state().witness.is_told(attempt, now, until);
    world.note(format_args!("named: not before {until:?}"));
}

fn json(message: &str) -> String {
    serde_json::json!({"error": {"code": "TooManyRequests", "message": message, "target": "1f3a"}}).to_string()
}
