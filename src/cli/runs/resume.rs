//! `bulk-triage runs resume`: sends what is left of a run.

use std::path::Path;
use std::time::Duration;

use crate::cli::arguments::SendArgs;
use crate::cli::confirm::can_ask;
use crate::cli::destination::expect_retention;
use crate::cli::environment::Environment;
use crate::cli::error::Error;
use crate::cli::global::GlobalArgs;
use crate::cli::known_options::takes;
use crate::cli::next_step::NextStep;
use crate::cli::page::page_file;
use crate::cli::run_target::target_of;
use crate::cli::send::{self, Sending};
use crate::cli::target::Access;
use crate::cli::terminal::Terminal;
use crate::input::Source;
use crate::journal::{Journal, ReadScope, RunMetadata};
use crate::model::setting::Settings;
use crate::session::{PreflightOptions, Session};

/// `bulk-triage runs resume`
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    /// ID of the run
    run: String,
    /// Base URL of the run; needed if it isn't a built-in one
    #[arg(long, value_name = "URL")]
    base_url: Option<String>,
    /// How requests are sent.
    #[command(flatten)]
    send: SendArgs,
}

/// Resumes a run. Returns the exit code.
///
/// # Errors
/// If there is no such run or no token, nothing was sent, or the journal failed.
pub(super) fn run(
    journal: Journal,
    args: &ResumeArgs,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, Error> {
    let ResumeArgs { run: name, base_url, send: args } = args;
    expect_retention(args, &global.typed)?;
    let summary = journal.run(name)?;
    let facts = summary.facts.clone();
    let results = args.results.as_deref().unwrap_or(Path::new(&facts.results));
    let input = Source::named(facts.input.as_ref());
    let beside = [&[input.path(), Some(results)], &args.calls.sign_in.files()[..]].concat();
    let page = page_file(args.report.as_ref(), args.report_format, &beside, global, env)?;
    let target = target_of(&journal, &summary, base_url.as_deref(), Access::Write, &args.calls, global, env)?;
    can_ask(args, &input)?;
    let clock = journal.clock().clone();
    let (remember, settings) = options_of_resumed(args, &facts, target.settings(global), global);
    let mut run = Session::open(target.for_session(summary.scope.clone()), journal, clock).resume(summary)?;
    run.metadata.typed = global.to_keep.or(&facts.typed);
    run.metadata.settings = settings;
    // What was read may be old.
    let options = PreflightOptions { scope: ReadScope::Needed, follow_redirects: false };
    let next = NextStep::Resume { run: name, facts: &facts, typed: &global.typed };
    let sending = Sending { target: &target, args, remember, input: &input, page, next };
    sending.confirm_and_send(run, Some(options), &send::runtime()?, terminal)
}

/// Options of `runs resume` whose value stays that of the run.
const OF_THE_RUN: [&str; 6] = ["--base-url", "--cloud", "--region", "--remember", "--results", "--results-dir"];

/// The dedup window and the settings of a run that is resumed: its own, where this command line says or can say nothing.
fn options_of_resumed(
    args: &SendArgs,
    facts: &RunMetadata,
    mut settings: Settings,
    global: &GlobalArgs,
) -> (Duration, Settings) {
    let mut remember = args.remember;
    if !global.typed.has("--remember") {
        remember = facts.remember;
        settings = settings.filtered(|setting| setting.name != "--remember");
    }
    let is_kept = |name: &str| OF_THE_RUN.contains(&name) || !takes("runs resume", name);
    (remember, settings.or(&facts.settings().filtered(|setting| is_kept(&setting.name))))
}
