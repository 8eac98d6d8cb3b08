//! Runs that are longer than the life of their tokens: tokens are renewed in time, a refused one is replaced, an outage of
//! the service that issues them is waited for, and every row is updated.

use std::time::Duration;

use bulk_triage::clock::Clock;

use super::kinds::{Job, KINDS, Kind};
use crate::program::{at_once, closing, started};

/// How long each token lives.
const LIFETIME: Duration = Duration::from_secs(6);

/// When the next one is due: a quarter of its lifetime before its end, which a JWT states in whole seconds.
const UNTIL_RENEWAL: Duration = Duration::from_millis(3_750);

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
