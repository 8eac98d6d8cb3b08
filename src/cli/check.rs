//! `bulk-triage check`: every row of an input against the contract.

use std::io::{self, BufWriter, Write};

use super::arguments::source;
use super::global::GlobalArgs;
use super::next_step;
use super::row_options::{RowArgs, RowSettings, comment_note, notes};
use super::terminal::Terminal;
use crate::check::{CheckStats, check};
use crate::cli::error::Error;
use crate::cli::exit;
use crate::client::ConsentedOrigin;
use crate::contract::Contract;
use crate::input::{FileKind, Input, InputError, Source};
use crate::model::diagnostic::Diagnostic;
use crate::model::setting::Settings;
use crate::report::annotations::{AnnotationStyle, Annotations};
use crate::report::diagnostics::{HumanDiagnostics, JsonDiagnostics};
use crate::report::left_alone;

/// The arguments as typed.
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// A CSV or JSONL file, or `-` for standard input
    #[arg(value_parser = source())]
    pub(super) input: Source,
    /// What a row means.
    #[command(flatten)]
    pub(super) rows: RowArgs,
    /// Format of the output
    #[arg(long, value_enum, default_value_t = CheckFormat::Human)]
    pub(super) format: CheckFormat,
}

/// How diagnostics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CheckFormat {
    /// Text for people
    Human,
    /// One JSON object
    Json,
    /// Annotations for GitHub Actions
    Github,
    /// Annotations for Azure Pipelines
    Azure,
}

/// Checks, and returns the exit code.
///
/// # Errors
/// If the input can't be read to its end, or the output can't be written.
pub(super) fn run(args: &CheckArgs, global: &GlobalArgs, terminal: &Terminal) -> Result<u8, Error> {
    let settings = args.rows.resolve(global)?;
    let out = BufWriter::new(io::stdout().lock());
    match args.format {
        CheckFormat::Json => {
            let mut json = JsonDiagnostics::new(out)?;
            let mut kind = FileKind::default();
            let stats = checked(args, &settings, &mut kind, &mut |found| json.add(found));
            match stats.flatten() {
                Ok(stats) => {
                    json.finish(Some(stats.rows), Some(stats.valid))?.flush()?;
                    Ok(exit_code(&stats))
                }
                // What is wrong with the input as a whole is among the diagnostics.
                Err(error) if error.is_reported() => {
                    json.finish(None, None)?.flush()?;
                    Err(Error::InJson(Box::new(error)))
                }
                Err(error) => {
                    json.finish_early(&error.to_json())?.flush()?;
                    Err(Error::InJson(Box::new(error)))
                }
            }
        }
        CheckFormat::Github => annotate(args, &settings, Annotations::new(out, AnnotationStyle::GitHub)),
        CheckFormat::Azure => annotate(args, &settings, Annotations::new(out, AnnotationStyle::Azure)),
        CheckFormat::Human => {
            let mut human = HumanDiagnostics::new(out, terminal.out.color);
            let mut kind = FileKind::default();
            let stats = checked(args, &settings, &mut kind, &mut |found| {
                human.add(found);
                Ok(())
            })?;
            let contract = &settings.contract;
            let mut out = human.finish()?;
            if let Ok(stats) = &stats
                && !terminal.silent
            {
                summarize(&mut out, args, &global.typed, stats, kind, contract)?;
            }
            out.flush()?;
            Ok(exit_code(&stats?))
        }
    }
}

/// Checks, and writes what is found as annotations. Returns the exit code.
fn annotate(args: &CheckArgs, settings: &RowSettings, mut out: Annotations<impl Write>) -> Result<u8, Error> {
    let mut kind = FileKind::default();
    let stats = checked(args, settings, &mut kind, &mut |found| out.add(found))?;
    out.finish(stats.as_ref().map_or_else(Error::is_reported, |_| true))?.flush()?;
    Ok(exit_code(&stats?))
}

/// Opens and checks the input, and tells what is found. What is wrong with the input as a whole is told too, and is the
/// inner error.
fn checked(
    args: &CheckArgs,
    settings: &RowSettings,
    kind: &mut FileKind,
    tell: &mut dyn FnMut(&Diagnostic) -> io::Result<()>,
) -> Result<Result<CheckStats, Error>, Error> {
    let mut told = Ok(());
    let mut tell = |found: &Diagnostic| {
        if told.is_ok() {
            told = tell(found);
        }
    };
    let checked = match Input::open(&args.input) {
        Ok(input) => {
            *kind = input.origin();
            let rules = settings.rules(&input)?;
            check(input, &rules, None, &mut |found| tell(&found))
        }
        Err(error) => Err(error),
    };
    if let Err(InputError::Invalid(found)) = &checked {
        found.iter().for_each(&mut tell);
    }
    told?;
    Ok(checked.map_err(Error::from))
}

/// The exit code: what is wrong with the rows has been told.
fn exit_code(stats: &CheckStats) -> u8 {
    if stats.has_errors() { exit::INPUT } else { exit::OK }
}

/// Writes how many rows there are, how many are valid, and the next command.
fn summarize(
    out: &mut dyn Write,
    args: &CheckArgs,
    typed: &Settings,
    stats: &CheckStats,
    kind: FileKind,
    contract: &Contract,
) -> io::Result<()> {
    let of_comments = comment_note(contract, typed.has("--comment-as"), stats.comments);
    for note in notes(kind, stats.rows, stats.skipped).into_iter().chain(of_comments) {
        writeln!(out, "{note}")?;
    }
    if stats.nothing_asked > 0 {
        writeln!(out, "{}.", left_alone(stats.nothing_asked))?;
    }
    let rows = stats.rows;
    let plural = if rows == 1 { "row" } else { "rows" };
    if stats.has_errors() {
        let verb = if stats.valid == 1 || rows == 1 { "is" } else { "are" };
        return writeln!(out, "{} of {rows} {plural} {verb} valid; nothing would be sent", stats.valid);
    }
    match rows {
        0 => return writeln!(out, "no rows: nothing to do"),
        1 => writeln!(out, "1 row, valid")?,
        _ => writeln!(out, "{rows} rows, all valid")?,
    }
    let Some(path) = args.input.path() else { return Ok(()) };
    let mut next = next_step::dry_run(path, typed);
    let origin = &contract.origin;
    if origin.parse().is_ok_and(|origin| ConsentedOrigin::named(origin, contract).is_err()) {
        writeln!(
            out,
            "The contract's origin is not built in: `--base-url` confirms that your token may be sent there."
        )?;
        next = next.option("--base-url", origin);
    }
    writeln!(out, "\nnext, to see what would be sent:\n  {next}")
}
