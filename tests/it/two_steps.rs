//! A process that sends rows in two steps, for those who kill it: no built-in contract has two, and no file can add one, so
//! it is not the program itself, but the library's session.

use std::error::Error;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use bulk_triage::apply::Completion;
use bulk_triage::check::Rules;
use bulk_triage::client::{Client, ConsentedOrigin, HttpTransport, TokenCache};
use bulk_triage::clock::Clock;
use bulk_triage::input::{Input, Source};
use bulk_triage::journal::{Durability, Journal};
use bulk_triage::model::change::TenantKey;
use bulk_triage::output::results::{Destination, ResultsFile};
use bulk_triage::report::progress::{Progress, Screen};
use bulk_triage::report::reporter::Reporter;
use bulk_triage::report::summary::RunStats;
use bulk_triage::session::{CallOptions, RunInput, SendOptions, Session, Target, result_rows};
use tokio::sync::watch;

use crate::faults::setting;
use crate::program::{Program, TOKEN};
use crate::simulation::two_steps::contract;

/// The variable with the emulator's origin, for a process of its own.
const ORIGIN: &str = "TWO_STEPS_ORIGIN";

/// A process that sends `a.csv` in two steps, with its results in `r.csv`, and ends with 0 when every row has finished, else
/// with 4. It is this test program, with one test.
pub(crate) fn command(program: &Program) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "--nocapture", "two_steps::rows_are_sent_in_two_steps"])
        .current_dir(program.dir())
        .env_clear()
        .env("HOME", program.dir())
        .env(ORIGIN, program.origin())
        .stdin(Stdio::null());
    command
}

/// Of itself it does nothing: see [`command`].
#[test]
fn rows_are_sent_in_two_steps() {
    let Some(origin) = setting(ORIGIN) else { return };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let code = runtime.block_on(send(&origin)).expect("a journal, and a service");
    drop(runtime);
    std::process::exit(code);
}

async fn send(origin: &str) -> Result<i32, Box<dyn Error>> {
    let clock = Clock::machine();
    let origin = ConsentedOrigin::by_user(origin.parse()?);
    let tokens = Arc::new(TokenCache::given(&TOKEN.to_owned().into())?);
    let client = Client::new(HttpTransport::new(&origin, 8)?, tokens, contract(), clock.clone());
    let target = Target {
        contract: contract().clone(),
        origin: origin.origin().to_string(),
        tenant: TenantKey::named("two steps"),
        quota: "100000/1s".parse()?,
    };
    let journal = Journal::open(&Path::new("state").to_owned().into(), clock.clone(), Durability::Synced)?;
    let rules = Rules::new(contract());
    let input = Input::open(&Source::named("a.csv".as_ref()))?;
    let shape = input.shape().clone();
    let options = SendOptions {
        calls: CallOptions { max_attempts: 20, patience: std::time::Duration::ZERO, ..CallOptions::default() },
        settle: std::time::Duration::from_millis(150),
        ..SendOptions::default()
    };
    let run =
        Session::open(target, journal, clock.clone()).import(RunInput::new(input, "a.csv", &rules), &mut |_| ())?;
    let mut run = run.or_resume_matching(options.remember)?;
    run.publish("r.csv".to_owned())?;
    let name = run.handle.name.clone();
    let destination = Destination::examine("r.csv".as_ref(), None, &shape)?;
    let results = ResultsFile::create(&destination, shape, result_rows(&run.journal, &name, true))?;
    let mut reporter =
        Reporter::new(results, Progress::new(Screen::plain(std::io::sink()), clock, false), RunStats::default());
    let (_stop, stopped) = watch::channel(false);
    let end = run.send(Arc::new(client), &options, stopped, &mut reporter).await?;
    let (results, _) = reporter.into_results_and_stats();
    results.finish(result_rows(&end.journal, &name, false))?;
    Ok(if end.failed.is_none() && end.completion == Completion::Finished { 0 } else { 4 })
}
