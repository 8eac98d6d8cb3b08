//! What `doctor` checks between this machine and the API: proxy, connection, clocks, token and permission.

use std::io;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::inputs::{CLOCK, CONNECTION, Inputs, PERMISSION, PROXY, TOKEN, failure};
use crate::apply::events::{Event, Listener};
use crate::apply::{Completion, EngineEnd, ReadResult, ReadSource, Requests, StopReason, Wanted, read};
use crate::cli::error::Error;
use crate::cli::exit;
use crate::cli::stop::{code_of, stop_message};
use crate::cli::target::{Access, Target};
use crate::client::{ClockOffset, HttpError, Proxy, ServerClock, TokenFacts};
use crate::journal::Journal;
use crate::model::call::{Call, CallResult, Obstacle, Page, Verdict};
use crate::model::change::TenantKey;
use crate::report::doctor::{Check, State};
use crate::report::humanize::lasting;

/// A larger difference of the clocks is a warning.
const CLOCK_WARNS: SignedDuration = SignedDuration::from_secs(5);
/// A larger one is a failure: Entra refuses assertions that are signed too early or too late.
const CLOCK_FAILS: SignedDuration = SignedDuration::from_mins(5);
/// A token that can't be renewed, and expires earlier, is a warning.
const LITTLE_TIME: SignedDuration = SignedDuration::from_mins(5);
/// How long to wait for a permit, or for the end of a pause.
const WAIT: Duration = Duration::from_secs(5);

/// Checks the proxy, and connects.
pub(super) async fn connection(target: &Target, unusable_proxies: &[&'static str]) -> (Check, Check) {
    let origin = target.origin();
    let proxy = Proxy::for_origin(origin);
    let through = proxy.as_ref().map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
    let used = proxy.as_ref().map_or_else(|| "none for this target".to_owned(), ToString::to_string);
    let proxy_ok = if unusable_proxies.is_empty() {
        Check::ok(PROXY, used)
    } else {
        let names = unusable_proxies.join(", ");
        let help = format!(
            "set {names} to http://HOST:PORT; in a password, write `@` as `%40`, `/` as `%2F` and `#` as `%23`"
        );
        Check::warn(PROXY, format!("{used}; {names} is not the URL of a proxy"), help)
    };
    let refused = |proxy: Check| {
        let connection = Check::skip(CONNECTION, &[&proxy]);
        (proxy, connection)
    };
    let transport = match target.transport(1) {
        Ok(transport) => transport,
        Err(error @ HttpError::ProxyScheme(_)) => return refused(failure(PROXY, &error.into())),
        Err(error) => return (proxy_ok, failure(CONNECTION, &error.into())),
    };
    let Err(error) = transport.connect().await else {
        let certificates = Some(target.shown().certificates).filter(|names| !names.is_empty());
        let certificates = certificates.map_or_else(String::new, |names| format!("; certificates from {names}"));
        return (proxy_ok, Check::ok(CONNECTION, format!("connected to {origin}{through}{certificates}")));
    };
    // It says what to do.
    let unreachable = |name| Check::fail(name, error.message.clone(), None, exit::USAGE);
    match error.obstacle {
        Some(Obstacle::Proxy { .. }) => refused(unreachable(PROXY)),
        Some(_) => (proxy_ok, unreachable(CONNECTION)),
        None => {
            let help = if proxy.is_some() {
                "check that the proxy is the right one (HTTPS_PROXY or ALL_PROXY) and runs, the network and the firewall"
            } else {
                "check that the service runs, the network and the firewall; to use a proxy, set HTTPS_PROXY"
            };
            let finding = format!("{} ({origin}{through})", error.message);
            (proxy_ok, Check::fail(CONNECTION, finding, Some(help.to_owned()), exit::STOPPED))
        }
    }
}

/// Gets a token, and checks what it says about itself.
pub(super) fn token(inputs: Inputs<'_>, target: Target) -> (Check, Option<Target>) {
    let Inputs { args, global, env, clock, .. } = inputs;
    let signed_in = if target.is_emulated { Ok(target) } else { target.signed_in(&args.calls, true, global, env) };
    let usable = signed_in.and_then(|target| target.expect_access(Access::Read, clock).map(|()| target));
    let target = match usable {
        Ok(target) => target,
        Err(error) => return (failure(TOKEN, &error), None),
    };
    let Some(tokens) = &target.tokens else { return (failure(TOKEN, &Error::NoToken), None) };
    let (facts, now) = (tokens.claims(), clock.now().wall);
    let credential = target.credential_name().unwrap_or_else(|| "the emulator's token".to_owned());
    let finding = format!("{credential}: {}", claims(&target, &facts, now));
    let is_short = facts.expires.is_some_and(|expires| expires.duration_since(now) < LITTLE_TIME);
    let check = if is_short && !tokens.can_be_renewed() {
        Check::warn(TOKEN, finding, "get a new token, or sign in with --auth, which renews tokens")
    } else {
        Check::ok(TOKEN, finding)
    };
    (check, Some(target))
}

/// What a token says about itself, and what is known of its tenant.
fn claims(target: &Target, facts: &TokenFacts, now: Timestamp) -> String {
    let tenant = target.scope.as_ref().filter(|scope| !scope.is_origin()).map(TenantKey::described);
    let tenant = facts.tenant.as_ref().map(|tenant| format!("tenant {tenant}")).or(tenant);
    let caller = target.shown().caller.map(|caller| format!("as {caller}"));
    let listed = |before: &str, all: &[String]| (!all.is_empty()).then(|| format!("{before}{}", all.join(" ")));
    let expires = facts.expires.map(|expires| format!("{} min left", expires.duration_since(now).as_mins()));
    let opaque = (!facts.is_jwt).then(|| "opaque, so its claims are unknown".to_owned());
    let audience = listed("for ", &facts.audiences);
    let permissions = listed("may ", &facts.permissions);
    // The longest word comes last, without a separator.
    let all = [opaque, audience, permissions, expires, caller, tenant];
    all.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Reads one incident of the list, and compares the clocks.
pub(super) fn permission(inputs: Inputs<'_>, target: &Target, journal: Journal, runtime: &Runtime) -> (Check, Check) {
    let offset = ClockOffset::default();
    let end = read_one(inputs, target, journal, runtime, offset.clone());
    let permission = match end {
        Ok(end) => permission_check(inputs, target, &end),
        Err(error) => failure(PERMISSION, &error),
    };
    let clock = offset.get().map_or_else(
        || match permission.state {
            State::Ok => Check::warn(CLOCK, "the response has no `Date`", "compare this machine's clock by hand"),
            _ => Check::skip(CLOCK, &[&permission]),
        },
        clock_check,
    );
    (clock, permission)
}

fn read_one(
    inputs: Inputs<'_>,
    target: &Target,
    mut journal: Journal,
    runtime: &Runtime,
    offset: ClockOffset,
) -> Result<EngineEnd, Error> {
    let clock = inputs.clock;
    target.announce(inputs.terminal);
    let client = target.client_of(ServerClock::new(target.transport(1)?, clock.clone(), offset), clock)?;
    let scope = target.scope_or_origin();
    journal.begin_reading(&scope, target.quota.longest())?;
    let settings = inputs.args.calls.options().to_read(&target.for_session(scope), fastrand::u64(..));
    let (stop, stopped) = watch::channel(false);
    let (is_in_flight, mut in_flight) = watch::channel(false);
    let (mut source, mut listener) = (FirstIncident::default(), InFlight { is_in_flight, is_paused: false });
    let wait = WAIT.max(inputs.args.calls.patience);
    runtime.block_on(async {
        let reading = read(journal, client, &settings, stopped, &mut source, &mut listener);
        let stopping = async {
            clock.sleep_until(clock.now().boot + wait).await;
            // What it ends with says more. A request and a token have limits of their own.
            let _ = in_flight.wait_for(|is_in_flight| !is_in_flight).await;
            stop.send_replace(true);
            std::future::pending().await
        };
        tokio::select! { end = reading => Ok(end?), never = stopping => never }
    })
}

/// Hears whether the request is in flight, or waits: for a permit, or for the end of a pause.
struct InFlight {
    is_in_flight: watch::Sender<bool>,
    is_paused: bool,
}

impl Listener for InFlight {
    fn on_event(&mut self, event: Event) -> io::Result<()> {
        match event {
            Event::Throttled { .. } | Event::Busy { .. } => {
                self.is_paused = true;
                self.is_in_flight.send_replace(false);
            }
            Event::Pace(pace) if pace.calls > 0 && !self.is_paused => {
                self.is_in_flight.send_replace(true);
            }
            _ => {}
        }
        Ok(())
    }
}

/// What the end of the request means.
fn permission_check(inputs: Inputs<'_>, target: &Target, end: &EngineEnd) -> Check {
    let Completion::Stopped(stop) = &end.completion else {
        let tokens = target.tokens.as_ref().map(|tokens| tokens.claims()).unwrap_or_default();
        return match target.expect_access(Access::Write, inputs.clock) {
            Ok(()) if tokens.permissions.is_empty() => {
                Check::ok(PERMISSION, "can read incidents; this token doesn't say whether it can update them")
            }
            Ok(()) => Check::ok(PERMISSION, "can read incidents, and update them by its claims"),
            Err(error) => {
                let help = error.hint().unwrap_or_else(|| "get a token that can update incidents".to_owned());
                Check::warn(PERMISSION, format!("can read incidents, but not update them: {error}"), help)
            }
        };
    };
    if *stop == StopReason::Requested {
        let waiting = |why| {
            let help = "runs or other tools use the quota; a run waits";
            Check::warn(PERMISSION, format!("not checked: {why}"), help)
        };
        let Requests { calls, throttled, .. } = end.requests;
        return if calls > throttled {
            let help = "run it again later, or check the service";
            Check::fail(PERMISSION, "the service is busy", Some(help.to_owned()), exit::STOPPED)
        } else if throttled > 0 {
            waiting("the service throttles requests")
        } else {
            waiting("the quota is used up, or the service asked for a pause")
        };
    }
    let code = code_of(stop);
    let help = match code {
        exit::STOPPED if matches!(stop, StopReason::PausedTooLong { .. }) => Some("run it again after that time"),
        exit::STOPPED => Some("run it again later; if that doesn't help, check --base-url and --contract"),
        exit::NOT_ALLOWED if !matches!(stop, StopReason::Forbidden { .. }) => Some("get a new token"),
        _ => None,
    };
    Check::fail(PERMISSION, stop_message(stop, &target.contract), help.map(str::to_owned), code)
}

/// The check of the clock, from how far the server's is ahead.
fn clock_check(ahead: SignedDuration) -> Check {
    let difference = lasting(Duration::from_secs(ahead.unsigned_abs().as_secs()));
    let way = if ahead.is_positive() { "behind" } else { "ahead of" };
    let finding = format!("{difference} {way} the service's clock");
    let help = "synchronize this machine's clock (NTP)";
    if ahead.abs() > CLOCK_FAILS {
        Check::fail(CLOCK, finding, Some(help.to_owned()), exit::USAGE)
    } else if ahead.abs() > CLOCK_WARNS {
        Check::warn(CLOCK, finding, help)
    } else {
        Check::ok(CLOCK, "agrees with the service's clock")
    }
}

/// One page with one incident.
#[derive(Debug, Default)]
struct FirstIncident {
    is_requested: bool,
    is_read: bool,
}

impl ReadSource for FirstIncident {
    fn next(&mut self) -> Wanted {
        if self.is_read {
            return Wanted::Nothing;
        }
        if std::mem::replace(&mut self.is_requested, true) {
            return Wanted::Later;
        }
        Wanted::Call(Call::List(Page { filter: None, top: 1, skip: 0, link: None }))
    }

    fn on_result(&mut self, _: &Call, result: &CallResult) -> Result<ReadResult, StopReason> {
        let message = result.message.clone();
        match result.verdict {
            Verdict::Listed { .. } => self.is_read = true,
            Verdict::Rejected => return Err(StopReason::QueryRejected { message }),
            _ => return Err(StopReason::ListFailed { message }),
        }
        Ok(ReadResult::default())
    }

    /// A run would try again; what is wanted here is what is wrong now.
    fn page_failed(&mut self, _: &Page, result: &CallResult) -> Result<Option<Call>, StopReason> {
        Err(StopReason::ListFailed { message: result.message.clone() })
    }

    fn can_read_singly(&self) -> bool {
        false
    }

    fn calls_left(&self) -> u64 {
        u64::from(!self.is_requested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_five_seconds() {
        for (seconds, state) in [
            (0, State::Ok),
            (5, State::Ok),
            (-6, State::Warn),
            (300, State::Warn),
            (-301, State::Fail { exit: exit::USAGE }),
        ] {
            assert_eq!(clock_check(SignedDuration::from_secs(seconds)).state, state, "{seconds}");
        }
        assert_eq!(clock_check(SignedDuration::from_secs(6)).finding, "6 s behind the service's clock");
        assert_eq!(clock_check(SignedDuration::from_secs(-66)).finding, "1 min 6 s ahead of the service's clock");
    }
}
