//! `bulk-triage runs list`: the runs of the journal, as a table or as JSON.

use std::io::{self, Write};

use serde_json::{Value, json};

use crate::cli::error::Error;
use crate::cli::exit;
use crate::cli::global::Format;
use crate::cli::terminal::Terminal;
use crate::journal::{History, RunState, RunSummary, is_run_name};
use crate::report::outcome_counts::OutcomeCounts;
use crate::report::table::{Cell, Table};
use crate::text::escape_json;

/// `bulk-triage runs list`
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Format of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
    /// Print only the IDs
    #[arg(long, conflicts_with = "format")]
    ids: bool,
}

/// Lists the runs; without a journal there are none. Returns the exit code.
///
/// # Errors
/// If the journal can't be read.
pub(super) fn run(journal: Option<&History>, args: ListArgs, terminal: &Terminal) -> Result<u8, Error> {
    let runs = journal.map_or_else(|| Ok(Vec::new()), History::runs)?;
    let mut out = io::stdout().lock();
    if args.ids {
        // A shell expands the words it completes, so a name in a manipulated journal could be a command.
        let mut ids = runs.iter().map(|run| &run.name).filter(|name| is_run_name(name));
        ids.try_for_each(|id| writeln!(out, "{id}"))?;
        return Ok(exit::OK);
    }
    match (args.format, &*runs) {
        (Format::Json, runs) => {
            let runs: Vec<Value> = runs.iter().map(object).collect();
            writeln!(out, "{}", escape_json(&Value::from(runs).to_string()))?;
        }
        (Format::Human, []) => writeln!(out, "no runs")?,
        (Format::Human, runs) => table(runs).write(&mut out, terminal.out.width)?,
    }
    Ok(exit::OK)
}

/// The runs, a line each.
fn table(runs: &[RunSummary]) -> Table {
    let titles = ["run", "started (UTC)", "state", "rows", "outcomes", "input"];
    let mut table = Table::new(&titles, &["outcomes", "input", "started (UTC)", "rows"]);
    for run in runs {
        table.add([
            Cell::whole(&run.name),
            Cell::whole(run.created.strftime("%Y-%m-%d %H:%M").to_string()),
            Cell::whole(state(run).0),
            Cell::whole(run.rows().to_string()),
            Cell::list(&counts(run).to_string().split(", ").collect::<Vec<_>>(), ','),
            Cell::whole(&run.facts.input),
        ]);
    }
    table
}

/// A run as a JSON object.
pub(super) fn object(run: &RunSummary) -> Value {
    json!({
        "run": run.name, "state": state(run).1, "scope": run.scope.to_string(), "contract": run.contract,
        "origin": run.facts.origin, "input": run.facts.input, "options": run.facts.options,
        "settings": run.facts.settings(),
        "rows": run.rows(), "outcomes": counts(run), "calls": run.calls, "throttled": run.throttled,
        "started_at": format!("{:.3}", run.created),
        "finished_at": run.finished.map(|at| format!("{at:.3}")), "results": run.facts.results,
        "plan": run.plan,
    })
}

/// The state as people read it, and as `state` in JSON, whose spelling is kept.
pub(super) fn state(run: &RunSummary) -> (&'static str, &'static str) {
    match (run.is_held, run.state) {
        (true, _) => ("running", "under way"),
        (false, RunState::Unfinished) => ("unfinished", "unfinished"),
        (false, RunState::Over) => ("finished", "over"),
    }
}

/// Its rows by outcome.
pub(super) fn counts(run: &RunSummary) -> OutcomeCounts {
    let mut counts = OutcomeCounts::default();
    counts.add_all(&run.outcomes);
    counts
}
