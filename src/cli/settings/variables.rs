//! Settings from variables: `BULK_TRIAGE_QUOTA` sets `--quota`, if a file can set it.

use std::collections::BTreeMap;
use std::ffi::OsString;

use super::layers::{CONFIG, Layer, PROFILE, is_of_command_line, is_path, names, place};
use crate::check::nearest;
use crate::cli::error::Error;
use crate::model::setting::Origin;
use crate::text::printable;

/// The beginning of the names of our variables.
pub(crate) const PREFIX: &str = "BULK_TRIAGE_";

/// The variables of ours that may be settings and are not empty, by name.
pub(crate) type Variables = BTreeMap<String, OsString>;

/// What variables say.
#[derive(Clone, Debug, Default)]
pub(super) struct FromVariables {
    /// The options that they set.
    pub(super) values: Layer,
    /// Those that set nothing, each with the reason.
    pub(super) unknown: Vec<String>,
}

/// The variable that sets the option of this name, `quota`.
pub(super) fn variable_of(name: &str) -> String {
    format!("{PREFIX}{}", name.replace('-', "_").to_uppercase())
}

/// Reads the settings in variables.
///
/// # Errors
/// If a value is not UTF-8 and no path.
pub(super) fn from_variables(variables: &Variables) -> Result<FromVariables, Error> {
    let mut found = FromVariables::default();
    for (variable, value) in variables {
        let name = variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase().replace('_', "-");
        let is_setting = place(&name).is_some() || [PROFILE, CONFIG].contains(&format!("--{name}").as_str());
        if !is_setting || variable_of(&name) != *variable {
            found.unknown.push(unknown(variable, &name));
            continue;
        }
        if value.to_str().is_none() && !is_path(&name) && name != "config" {
            return Err(Error::usage(format!("{variable} is not UTF-8")));
        }
        found.values.insert(format!("--{name}"), (value.clone(), Origin::Variable(variable.clone())));
    }
    Ok(found)
}

/// Why a variable sets nothing.
fn unknown(variable: &str, name: &str) -> String {
    let shown = printable(variable);
    if let Some(positive) = name.strip_prefix("no-").filter(|positive| place(positive).is_some()) {
        return format!("{shown} sets nothing: set {} to false", variable_of(positive));
    }
    if is_of_command_line(name) {
        return format!("{shown} sets nothing: `--{name}` is for the command line only");
    }
    let known: Vec<String> = names().chain(["profile", "config", "token"]).map(variable_of).collect();
    let meant = nearest(variable, known.iter().map(String::as_str));
    let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
    format!("{shown} sets nothing: there is no such setting{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_variables_are_named_with_the_reason() {
        let names = ["QUOTA", "QOUTA", "YES", "PROFILE", "CONFIG", "Compare", "NO_PROGRESS"];
        let variables = names.map(|name| (format!("{PREFIX}{name}"), "1/1m".into()));
        let found = from_variables(&Variables::from(variables)).expect("UTF-8");
        assert_eq!(found.values.keys().collect::<Vec<_>>(), ["--config", "--profile", "--quota"]);
        assert_eq!(
            found.unknown,
            [
                "BULK_TRIAGE_Compare sets nothing: there is no such setting; did you mean BULK_TRIAGE_COMPARE?",
                "BULK_TRIAGE_NO_PROGRESS sets nothing: set BULK_TRIAGE_PROGRESS to false",
                "BULK_TRIAGE_QOUTA sets nothing: there is no such setting; did you mean BULK_TRIAGE_QUOTA?",
                "BULK_TRIAGE_YES sets nothing: `--yes` is for the command line only",
            ]
        );
    }
}
