//! A wrong value of a file or variable: the parser of the command line finds it, and the error names its origin.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue};

use super::layers::Defaults;
use super::load::Loaded;
use crate::cli::error::Error;
use crate::model::setting::Origin;
use crate::text::printable;

/// The error about a file or a variable, if the command line is right by itself: without defaults.
pub(crate) fn wrong_setting(
    error: &clap::Error,
    by_itself: clap::Command,
    arguments: &[OsString],
    loaded: &Loaded,
) -> Option<Error> {
    let is_right = || by_itself.try_get_matches_from(arguments).is_ok();
    wrong_value(error, &loaded.defaults).filter(|_| is_right())
}

/// The parser's error about a default, in terms of its origin; `None` if it is about no default.
fn wrong_value(error: &clap::Error, defaults: &Defaults) -> Option<Error> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // `--concurrency <N>`
    let option = text(ContextKind::InvalidArg)?.split([' ', '=']).next()?;
    let (_, origin) = defaults.get(option)?;
    let name = option.trim_start_matches('-');
    let value = printable(text(ContextKind::InvalidValue).unwrap_or_default());
    let why = error.source().map(|why| format!(": {}", printable(&why.to_string()))).unwrap_or_default();
    let at = match origin {
        Origin::Variable(variable) => variable.clone(),
        origin => origin.to_string(),
    };
    let allowed = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) if !values.is_empty() => Some(format!("enter {}", values.join(", "))),
        _ => None,
    };
    let meant = text(ContextKind::SuggestedValue).map(|meant| format!("did you mean `{meant}`?"));
    Some(Error::Usage { message: format!("{at}: invalid value `{value}` for `{name}`{why}"), hint: meant.or(allowed) })
}
