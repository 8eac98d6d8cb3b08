//! `bulk-triage config`: the settings in force with their origins, the files that are read, and their JSON Schema.
//!
//! Promises: no secret is shown; a value is the one that the command would use, and one that it would refuse is an error.

use std::ffi::OsString;
use std::io::{self, Write as _};

use clap::{Command, Subcommand};
use serde_json::{Value, json};

use super::destination::absolute;
use super::environment::{self, Environment};
use super::global::{Format, GlobalArgs};
use super::origin_sources::OriginSources;
use super::settings::{self, Defaults, Kind, Loaded, Row, load_contract, wrong_setting};
use super::site::{CloudAndRegion, Site};
use super::terminal::Terminal;
use super::usage::{self, usage_error};
use crate::cli::error::Error;
use crate::cli::exit;
use crate::client::Origin as BaseUrl;
use crate::model::setting::{Origin, Settings};
use crate::report::table::{Cell, Table};
use crate::text::escape_json;

/// `bulk-triage config`
#[derive(Debug, clap::Args)]
pub(super) struct ConfigArgs {
    /// What to show instead of settings.
    #[command(subcommand)]
    pub(super) command: Option<ConfigCommand>,
    /// Show all options of this command, such as: run --quota 10/1m [default: settings of all commands]
    #[arg(value_name = "COMMAND", trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
    /// Format of the output
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t = Format::Human)]
    format: Format,
}

/// `bulk-triage config …`
#[derive(Clone, Copy, Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// List the settings files and whether they exist
    Path,
    /// Print a JSON Schema of settings files
    Schema,
}

/// Runs it. `plain` is the command line without settings, `loaded` what was read for this command. Returns the exit code.
///
/// # Errors
/// If a setting or the command is wrong.
pub(super) fn run(
    args: &ConfigArgs,
    plain: &Command,
    loaded: &Loaded,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, Error> {
    match args.command {
        Some(ConfigCommand::Path) => list_files(args.format, plain, global, terminal)?,
        Some(ConfigCommand::Schema) => writeln!(io::stdout(), "{}", escape_json(&settings::schema(plain)))?,
        None if args.words.is_empty() => {
            let rows = all(plain, loaded, global, env)?;
            write_rows(args.format, None, &rows, terminal)?;
        }
        None => return of_command(args, plain, global, env, terminal),
    }
    Ok(exit::OK)
}

/// Shows every option of the command that was named.
fn of_command(
    args: &ConfigArgs,
    plain: &Command,
    global: &GlobalArgs,
    env: &Environment,
    terminal: &Terminal,
) -> Result<u8, Error> {
    // What was typed before the command counts for it, too.
    let before = global.typed.filtered(|setting| setting.name != "--format");
    let before = before.iter().flat_map(|setting| [Some(setting.name.clone()), setting.value.clone()]);
    let arguments: Vec<OsString> = [OsString::from("bulk-triage")]
        .into_iter()
        .chain(before.flatten().map(Into::into))
        .chain(args.words.iter().cloned())
        .collect();
    let loaded = settings::load(&settings::early_options(plain.clone(), &arguments), &environment::surroundings())?;
    let mut command = relaxed(plain, &loaded.defaults);
    let matches = match command.try_get_matches_from_mut(&arguments) {
        Ok(matches) => matches,
        Err(help) if !help.use_stderr() => {
            let printable = settings::with_defaults(plain.clone(), &settings::escaped(loaded.defaults));
            usage::tell(&help, printable, &arguments);
            return Ok(exit::OK);
        }
        Err(error) => return Err(wrong(&error, plain, &arguments, &loaded)),
    };
    let (name, rows) = settings::rows(&command, &matches, &loaded.defaults);
    let used = settings::resolve(&command, &matches, &loaded.defaults);
    let rows = completed(rows, &used, loaded.is_of_project("--contract", &used), env)?;
    // `config run --format json` asks for the same as `config --format json run`.
    let format = if used.value("--format") == Some("json") { Format::Json } else { args.format };
    write_rows(format, Some(&name), &rows, terminal)?;
    Ok(exit::OK)
}

/// The command line with these defaults, of which nothing is required.
fn relaxed(plain: &Command, defaults: &Defaults) -> Command {
    fn relax(command: Command) -> Command {
        let command = command.mut_args(|arg| arg.required(false)).subcommand_required(false);
        command.arg_required_else_help(false).mut_subcommands(relax)
    }
    relax(settings::with_defaults(plain.clone(), defaults))
}

fn wrong(error: &clap::Error, plain: &Command, arguments: &[OsString], loaded: &Loaded) -> Error {
    let by_itself = relaxed(plain, &Defaults::new());
    wrong_setting(error, by_itself, arguments, loaded).unwrap_or_else(|| usage_error(error))
}

/// Every setting that a file can set.
fn all(plain: &Command, loaded: &Loaded, global: &GlobalArgs, env: &Environment) -> Result<Vec<Row>, Error> {
    // Each command checks its own.
    for words in settings::commands(plain) {
        let arguments: Vec<OsString> = ["bulk-triage".into()].into_iter().chain(words).collect();
        let parsed = relaxed(plain, &loaded.defaults).try_get_matches_from(&arguments);
        parsed.map_err(|error| wrong(&error, plain, &arguments, loaded))?;
    }
    let rows = settings::all_rows(plain, &global.typed, &loaded.defaults);
    let mut used = Settings::default();
    for row in &rows {
        used.push(format!("--{}", row.name), row.value.clone(), row.origin.clone());
    }
    completed(rows, &used, loaded.is_of_project("--contract", &used), env)
}

/// The rows with what the contract adds to them, and with the token.
fn completed(mut rows: Vec<Row>, used: &Settings, is_of_project: bool, env: &Environment) -> Result<Vec<Row>, Error> {
    if let Some(url) = used.value("--base-url") {
        // A URL that can't be used may hold a secret.
        url.parse::<BaseUrl>().map_err(|error| settings::blame(used, "--base-url", error.into()))?;
    }
    if let Some(name) = used.value("--contract") {
        let contract = load_contract(name, used, is_of_project)?;
        let sources = OriginSources::of_contract(used.value("--base-url"), &contract);
        let site = Site::of(&contract, &sources, CloudAndRegion::of_settings(used), used)?;
        for (name, value) in [("quota", contract.quota.to_string()), ("base-url", site.origin.to_string())] {
            if let Some(row) = rows.iter_mut().find(|row| row.name == name && row.value.is_none()) {
                (row.value, row.origin) = (Some(value), Origin::Contract);
            }
        }
    }
    if env.token.is_some()
        && let Some(at) = rows.iter().position(|row| row.name == "token-file")
    {
        let origin = Origin::Variable(environment::TOKEN.to_owned());
        rows.insert(at, Row { name: "token".to_owned(), value: Some("(set)".to_owned()), origin });
    }
    Ok(rows)
}

fn write_rows(format: Format, command: Option<&str>, rows: &[Row], terminal: &Terminal) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if format == Format::Json {
        let row = |row: &Row| json!({ "name": row.name, "value": row.value, "origin": row.origin.to_string() });
        let settings: Vec<Value> = rows.iter().map(row).collect();
        let object = json!({ "command": command, "settings": settings });
        return writeln!(out, "{}", escape_json(&object.to_string()));
    }
    let mut table = Table::new(&["option", "value", "origin"], &[]);
    for row in rows {
        let value = row.value.as_deref().unwrap_or("-");
        table.add([Cell::whole(&row.name), Cell::whole(value), Cell::words(&row.origin.to_string())]);
    }
    table.write(&mut out, terminal.out.width)
}

fn list_files(format: Format, plain: &Command, global: &GlobalArgs, terminal: &Terminal) -> Result<(), Error> {
    let early = settings::early_options(plain.clone(), &global.words);
    let sources = settings::sources(&early, &environment::surroundings())?;
    let mut out = io::stdout().lock();
    let files: Vec<(&str, String, String)> = sources
        .into_iter()
        .map(|source| {
            let state = match source.text() {
                Ok(Some(_)) => "read".to_owned(),
                Ok(None) => "missing".to_owned(),
                Err(why) => format!("refused: {why}"),
            };
            (name_of(source.kind), absolute(&source.path), state)
        })
        .collect();
    if format == Format::Json {
        let file =
            |(layer, path, state): &(&str, String, String)| json!({ "layer": layer, "path": path, "state": state });
        let files: Vec<Value> = files.iter().map(file).collect();
        return Ok(writeln!(out, "{}", escape_json(&json!({ "files": files }).to_string()))?);
    }
    if files.is_empty() {
        return Ok(writeln!(out, "no settings files are read (--no-config)")?);
    }
    let mut table = Table::new(&["layer", "path", "state"], &[]);
    for (layer, path, state) in files {
        table.add([Cell::whole(layer), Cell::whole(path), Cell::words(&state)]);
    }
    Ok(table.write(&mut out, terminal.out.width)?)
}

fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::System => "system",
        Kind::User => "user",
        Kind::Project => "project",
        Kind::Config => "--config",
    }
}
