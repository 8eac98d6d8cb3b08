//! The layers, from low to high: system file, user file, project file, profile, variables. Each file is read once.
//!
//! Promises: a system or user file that others own or can write is refused, and so is a file or a profile that was named
//! and is not there.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::Command;

use super::file::{Content, SettingsFile};
use super::layers::{CONFIG, Defaults, Layer, PROFILE};
use super::project::expect_quota;
use super::variables::{Variables, from_variables, variable_of};
use crate::check::nearest;
use crate::cli::error::Error;
use crate::files::{Refusal, WrittenBy, read_settings};
use crate::model::setting::Settings;
use crate::report::next_command::NextCommand;
use crate::text::printable;

/// What is read from the command line before the rest is parsed, and however wrong the rest is.
#[derive(Clone, Debug, Default)]
pub(crate) struct EarlyOptions {
    /// The command: `runs resume`.
    pub(crate) command: String,
    /// `--metrics-file`
    pub(crate) metrics_file: Option<OsString>,
    /// `--tenant`
    pub(crate) tenant: Option<OsString>,
    /// `--dry-run`
    pub(crate) is_dry_run: bool,
    /// `--profile`
    pub(crate) profile: Option<OsString>,
    /// `--config`
    pub(crate) config: Option<OsString>,
    /// `--no-config`
    pub(crate) no_config: bool,
}

/// What settings are read from, besides the command line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Surroundings {
    /// Our variables.
    pub(crate) variables: Variables,
    /// The system file.
    pub(crate) system: PathBuf,
    /// The user file, if there is a home directory.
    pub(crate) user: Option<PathBuf>,
    /// The project file.
    pub(crate) project: PathBuf,
    /// The home directory, which is displayed as `~`.
    pub(crate) home: Option<PathBuf>,
}

/// A layer of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The system file.
    System,
    /// The user file.
    User,
    /// The project file.
    Project,
    /// The file of `--config`, in place of the others.
    Config,
}

/// A file that may be there.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    /// Its layer.
    pub(crate) kind: Kind,
    /// Its path.
    pub(crate) path: PathBuf,
}

/// What files and variables set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loaded {
    /// The values in force, unless the command line has others.
    pub(crate) defaults: Defaults,
    /// What the project file sets, in force or not.
    pub(super) project: Layer,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// The variables that set nothing, each with the reason.
    pub(crate) unknown_variables: Vec<String>,
}

/// The early options of a command line. Settings files hold the defaults of the rest, so they come first. What is wrong with
/// the rest is found when it is parsed with these defaults.
pub(crate) fn early_options(command: Command, arguments: &[OsString]) -> EarlyOptions {
    // It would end with the help, before anything behind `--help` is seen.
    let command = command.ignore_errors(true).disable_help_flag(true).disable_version_flag(true);
    let Ok(matches) = command.disable_help_subcommand(true).try_get_matches_from(arguments) else {
        return EarlyOptions::default();
    };
    let (mut called, mut names) = (&matches, Vec::new());
    while let Some((name, below)) = called.subcommand() {
        called = below;
        names.push(name);
    }
    let typed = |id: &str| called.try_get_raw(id).ok().flatten().and_then(Iterator::last).map(OsStr::to_owned);
    EarlyOptions {
        command: names.join(" "),
        metrics_file: typed("metrics_file"),
        tenant: typed("tenant"),
        is_dry_run: called.try_get_one("dry_run").is_ok_and(|is_dry_run| is_dry_run == Some(&true)),
        profile: typed("profile"),
        config: typed("config"),
        no_config: called.get_flag("no_config"),
    }
}

impl Loaded {
    /// Whether the project file sets the value of an option that is used.
    pub(crate) fn is_of_project(&self, option: &str, used: &Settings) -> bool {
        self.project.get(option).is_some_and(|(_, origin)| used.origin(option) == Some(origin))
    }
}

/// Reads the settings.
///
/// # Errors
/// If a file can't be read, is not to be trusted or sets what it can't; if a profile is unknown.
pub(crate) fn load(early: &EarlyOptions, around: &Surroundings) -> Result<Loaded, Error> {
    let variables = from_variables(&around.variables)?;
    let sources = sources(early, around)?;
    let profile = early.profile.as_ref().or_else(|| variables.values.get(PROFILE).map(|(value, _)| value));
    let profile = profile.map(|name| name.to_string_lossy().into_owned());
    let (mut own, mut project, mut of_profile) = (Layer::new(), Layer::new(), None);
    let (mut files, mut profiles) = (Vec::new(), Vec::new());
    for source in sources {
        let Some(mut content) = source.read(around)? else { continue };
        if source.kind == Kind::Project {
            project = content.values;
        } else {
            own.extend(content.values);
            if let Some(found) = profile.as_ref().and_then(|name| content.profiles.remove(name)) {
                of_profile.get_or_insert_with(Layer::new).extend(found);
            }
            profiles.extend(content.profiles.into_keys());
        }
        files.push(source.path);
    }
    expect_quota(&project, &own)?;
    let of_profile = match (profile, of_profile) {
        (Some(name), None) => return Err(unknown_profile(&name, &profiles, early.no_config)),
        (_, found) => found.unwrap_or_default(),
    };
    let mut defaults = own;
    for layer in [project.clone(), of_profile, variables.values] {
        defaults.extend(layer);
    }
    Ok(Loaded { defaults, project, files, unknown_variables: variables.unknown })
}

/// The files that may be there, from low to high.
///
/// # Errors
/// If `--config` and `--no-config` were both typed.
pub(crate) fn sources(early: &EarlyOptions, around: &Surroundings) -> Result<Vec<Source>, Error> {
    let variable = || around.variables.get(&variable_of(CONFIG.trim_start_matches('-')));
    match (&early.config, early.no_config) {
        (Some(_), true) => Err(Error::Usage {
            message: "--config names a settings file, and --no-config reads none".to_owned(),
            hint: Some("remove one of them".to_owned()),
        }),
        (None, true) => Ok(Vec::new()),
        (typed, false) => Ok(if let Some(path) = typed.as_ref().or_else(variable) {
            vec![Source { kind: Kind::Config, path: path.into() }]
        } else {
            let system = Source { kind: Kind::System, path: around.system.clone() };
            let user = around.user.clone().map(|path| Source { kind: Kind::User, path });
            let project = Source { kind: Kind::Project, path: around.project.clone() };
            [Some(system), user, Some(project)].into_iter().flatten().collect()
        }),
    }
}

impl Source {
    /// What it says; `None` if it is not there.
    fn read(&self, around: &Surroundings) -> Result<Option<Content>, Error> {
        let shown = shown(&self.path, around.home.as_deref());
        let Some(text) = self.text().map_err(|why| refused(&self.path, &shown, &why))? else {
            if self.kind == Kind::Config {
                return Err(Error::usage(format!("there is no settings file {shown}")));
            }
            return Ok(None);
        };
        let file = SettingsFile { path: self.path.clone(), shown, is_project: self.kind == Kind::Project };
        file.parse(&text).map(Some)
    }

    /// Its text; `None` if it is not there.
    ///
    /// # Errors
    /// If it can't be read, or others could have written a file that only the user and root may write.
    pub(crate) fn text(&self) -> Result<Option<String>, Refusal> {
        let by = if self.kind == Kind::Project { WrittenBy::Anyone } else { WrittenBy::UserOrRoot };
        read_settings(&self.path, by)
    }
}

/// A path as it is displayed: safe to print, and the same for every user.
fn shown(path: &Path, home: Option<&Path>) -> String {
    let below = home.and_then(|home| path.strip_prefix(home).ok());
    let short = below.map_or_else(|| path.to_owned(), |below| Path::new("~").join(below));
    printable(&short.to_string_lossy()).into_owned()
}

fn refused(path: &Path, shown: &str, why: &Refusal) -> Error {
    let chmod = |path: &Path, fix: &str| format!("run `{}`", NextCommand::new("chmod").word(fix).path(path));
    let hint = match why {
        Refusal::Mode { fix, .. } => Some(chmod(path, fix)),
        Refusal::Directory(why) => match (&**why, path.parent()) {
            (Refusal::Mode { fix, .. }, Some(parent)) if !parent.as_os_str().is_empty() => Some(chmod(parent, fix)),
            (Refusal::Mode { fix, .. }, _) => Some(chmod(Path::new("."), fix)),
            _ => None,
        },
        _ => None,
    };
    let hint = hint.or_else(|| Some("read no settings files with --no-config".to_owned()));
    Error::Usage { message: format!("cannot use the settings file {shown}: {}", printable(&why.to_string())), hint }
}

fn unknown_profile(name: &str, known: &[String], no_config: bool) -> Error {
    let message = format!("there is no profile `{}`", printable(name));
    let hint = if no_config {
        "--no-config reads no profiles".to_owned()
    } else if let Some(meant) = nearest(name, known.iter().map(String::as_str)) {
        format!("did you mean `{}`?", printable(meant))
    } else if known.is_empty() {
        "no settings file has a profile; `bulk-triage config path` lists the files".to_owned()
    } else {
        format!("profiles: {}", known.iter().map(|name| printable(name)).collect::<Vec<_>>().join(", "))
    };
    Error::Usage { message, hint: Some(hint) }
}
