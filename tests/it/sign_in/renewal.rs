//! Runs that are longer than the life of their tokens: tokens are renewed in time, a refused one is replaced, an outage of
//! the service that issues them is waited for, and every row is updated.

use std::time::Duration;

use bulk_triage::clock::Clock;

use super::kinds::{HOUR, Job, KINDS, Kind};
use crate::program::{at_once, closing, started};

/// How long each token lives.
const LIFETIME: Duration = Duration::from_secs(6);

/// When the next one is due: a quarter of its lifetime before its end.
const UNTIL_RENEWAL: Duration = Duration::from_millis(4_500);

/// Sent at five a second.
const ROWS: u64 = 75;

/// What goes wrong with the second token: its request is lost, then answered with an error.
fn outage(kind: Kind) -> Vec<String> {
    let faults = match kind {
        // A program that fails is run again when its token expires, once.
        Kind::TokenFile | Kind::TokenCommand | Kind::AzureCli => vec!["503@2"],
        // The second request for a token is lost as a whole, the third one at its second step.
        _ if kind.requests_for_a_token() == 2 => vec!["drop@3", "503@5"],
        _ => vec!["drop@2", "503@3"],
    };
    faults.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_row_is_updated_across_token_lifetimes() {
    at_once(KINDS, |kind| {
        let job = Job::new(kind, LIFETIME, |settings, sign_in| {
            settings.quota = "6/1s".parse().ok();
            sign_in.revoked_at = vec![ROWS * 2 / 3];
            sign_in.faults = outage(kind).iter().map(|fault| fault.parse().expect("a fault")).collect();
        });
        job.program.write("a.csv", closing(1..=ROWS));
        let clock = Clock::machine();
        let start = clock.now().boot;
        let ended = started(job.command("a.csv --quota 5/1s")).end();
        let took = clock.now().boot.since(start);
        let ended = ended.expect_code(0).expect_outcomes(&[("updated", usize::try_from(ROWS).expect("a few"))]);
        let refused = job.program.requests().iter().filter(|request| request.status() == 401).count();
        let failed = job.program.sign_in_requests().iter().filter(|request| request.fault.is_some()).count();
        assert_eq!(failed, outage(kind).len(), "{kind:?}: the outage was felt");
        let fetched = job.fetched();
        assert!(took > LIFETIME * 2, "{kind:?}: {took:?}");
        assert!(refused > 0, "{kind:?}: no token was refused");
        assert!(fetched > 2, "{kind:?}: {fetched} tokens");
        // One for each renewal that is due, the first one, and one for the token that was refused.
        let due = took.as_millis().div_ceil(UNTIL_RENEWAL.as_millis());
        let most = u64::try_from(due).expect("a few") + 1;
        // A file is renewed by its keeper, at its own pace.
        assert!(fetched <= most || kind == Kind::TokenFile, "{kind:?}: {fetched} tokens in {took:?}, not {most}");
        let shown = ended.printed();
        assert!(!shown.contains("error:"), "{kind:?}: {shown}");
        #[expect(clippy::print_stdout, reason = "the table of the figures")]
        {
            println!("| {kind:?} | {:.1} s | {LIFETIME:?} | 1 | {fetched} | {most} | {ROWS} |", took.as_secs_f64());
        }
    });
}

/// A service that renews slowly must not slow down what has a valid token.
#[test]
fn slow_renewal_holds_up_no_request() {
    const SLOW: Duration = Duration::from_secs(2);
    at_once([Kind::ClientSecret, Kind::VirtualMachine, Kind::TokenCommand, Kind::AzureCli], |kind| {
        let job = Job::new(kind, SLOW * 8, |settings, sign_in| {
            settings.quota = "6/1s".parse().ok();
            sign_in.faults = vec!["slow@2-=2s".parse().expect("a fault")];
        });
        job.program.write("a.csv", closing(1..=80));
        started(job.command("a.csv --quota 1/200ms")).end().expect_code(0).expect_outcomes(&[("updated", 80)]);
        assert_eq!(job.fetched(), 2, "{kind:?}");
        let requests = job.program.requests();
        assert!(requests.iter().all(|request| request.status() == 200), "{kind:?}");
        let gaps = requests.windows(2).map(|pair| pair[1].at_us - pair[0].at_us);
        let longest = Duration::from_micros(gaps.max().expect("two requests").unsigned_abs());
        assert!(longest < SLOW, "{kind:?}: no request for {longest:?}");
    });
}

/// Only the response says when it expires.
#[test]
fn opaque_tokens_are_renewed_before_they_expire() {
    at_once(
        [Kind::ClientSecret, Kind::GithubOidc, Kind::VirtualMachine, Kind::AppService, Kind::Arc, Kind::AzureCli],
        |kind| {
            // A machine that stands still for a quarter of it is no fault of ours.
            let job = Job::new(kind, Duration::from_secs(10), |settings, sign_in| {
                settings.quota = "6/1s".parse().ok();
                sign_in.is_opaque = true;
            });
            job.program.write("a.csv", closing(1..=75));
            started(job.command("a.csv --quota 1/200ms")).end().expect_code(0).expect_outcomes(&[("updated", 75)]);
            assert!((2..=3).contains(&job.fetched()), "{kind:?}: {} tokens", job.fetched());
            let refused = job.program.requests().iter().filter(|request| request.status() == 401).count();
            assert_eq!(refused, 0, "{kind:?}");
        },
    );
}

/// The endpoint says when to renew: long before the end.
#[test]
fn refresh_time_of_the_endpoint_counts() {
    let job = Job::new(Kind::ClientSecret, HOUR, |settings, sign_in| {
        settings.quota = "6/1s".parse().ok();
        sign_in.refresh_in = Some(Duration::from_secs(2));
    });
    job.program.write("a.csv", closing(1..=25));
    started(job.command("a.csv --quota 5/1s")).end().expect_code(0).expect_outcomes(&[("updated", 25)]);
    assert!((2..=4).contains(&job.fetched()), "{} tokens", job.fetched());
}

#[test]
fn many_refusals_at_once_cost_one_token() {
    at_once([Kind::ClientCertificate, Kind::GithubOidc, Kind::AppService, Kind::TokenCommand], |kind| {
        let job = Job::new(kind, HOUR, |settings, sign_in| {
            settings.latency = Duration::from_millis(100)..=Duration::from_millis(200);
            sign_in.revoked_at = vec![40];
        });
        job.program.write("a.csv", closing(1..=100));
        let ended = started(job.command("a.csv --concurrency 16")).end();
        ended.expect_code(0).expect_outcomes(&[("updated", 100)]);
        let refused = job.program.requests().iter().filter(|request| request.status() == 401).count();
        assert!(refused > 1, "{kind:?}: {refused} refusals");
        assert_eq!(job.fetched(), 2, "{kind:?}");
    });
}
