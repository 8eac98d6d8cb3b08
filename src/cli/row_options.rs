//! The options that change what a row means; those of `check`, and of every command that reads an input.

use std::ffi::OsStr;

use clap::ValueHint;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use super::global::GlobalArgs;
use super::number::number;
use super::settings::load_contract;
use crate::check::{CommentCounts, PropertyOverride, Rules};
use crate::cli::error::Error;
use crate::clock::Clock;
use crate::contract::{BUILT_IN, Contract, Resolving};
use crate::input::{FileKind, Input};
use crate::model::outcome::OutcomeKind;
use crate::report::age;
use crate::report::humanize::counted;

/// The options as typed.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct RowArgs {
    /// Contract (rules and quota of an API version): defender-classic, defender, graph, or a TOML file that extends one
    #[arg(long, value_name = "NAME or FILE", default_value = BUILT_IN[0], value_hint = ValueHint::FilePath)]
    pub(super) contract: String,
    /// Set a property of every row's incident; overrides the file (repeatable)
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(super) set: Vec<String>,
    /// Send the comment of a row that resolves its incident with its status, in one request (--contract graph)
    #[arg(long, value_enum, value_name = "WHAT")]
    pub(super) comment_as: Option<CommentAs>,
    /// Check all rows, but use only the first N
    #[arg(long, value_name = "N", value_parser = number(0_u64, None))]
    pub(super) limit: Option<u64>,
    /// Use only rows of a results file with these outcomes [default: all but updated and unchanged]
    #[arg(long, value_name = "OUTCOME,…", value_delimiter = ',', value_parser = OutcomeParser)]
    pub(super) only: Vec<OutcomeKind>,
}

/// What a comment can be sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum CommentAs {
    /// As the comment of the resolution; other rows add their comment as usual
    Resolving,
}

/// Reads the name of an outcome; blanks around it are ignored.
#[derive(Clone)]
struct OutcomeParser;

impl OutcomeParser {
    fn names() -> PossibleValuesParser {
        PossibleValuesParser::new(OutcomeKind::ALL.map(OutcomeKind::name))
    }
}

impl TypedValueParser for OutcomeParser {
    type Value = OutcomeKind;

    fn parse_ref(
        &self,
        command: &clap::Command,
        arg: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<OutcomeKind, clap::Error> {
        let name = value.to_str().map_or(value, |name| OsStr::new(name.trim()));
        OutcomeParser::names().try_map(|name| name.parse()).parse_ref(command, arg, name)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let names: Vec<_> = OutcomeKind::ALL.map(|kind| PossibleValue::new(kind.name())).into();
        Some(Box::new(names.into_iter()))
    }
}

/// The options resolved.
#[derive(Debug)]
pub(super) struct RowSettings {
    /// What the API accepts.
    pub(super) contract: Contract,
    set: Vec<PropertyOverride>,
    limit: Option<u64>,
    only: Option<Vec<OutcomeKind>>,
    comment_resolves: bool,
}

impl RowArgs {
    /// Loads the contract and checks each `--set` against it.
    ///
    /// # Errors
    /// If one of them can't be used.
    pub(super) fn resolve(&self, global: &GlobalArgs) -> Result<RowSettings, Error> {
        let contract = load_contract(&self.contract, &global.settings, global.is_project_contract)?;
        let comment_resolves = self.comment_as == Some(CommentAs::Resolving);
        if comment_resolves && contract.resolving.as_ref().is_none_or(|rule| rule.comment.is_none()) {
            return Err(Error::Usage {
                message: format!(
                    "`--comment-as resolving`: incidents of `{}` have no resolving comment",
                    contract.name
                ),
                hint: Some("use `--contract graph`, or remove the option".to_owned()),
            });
        }
        let set =
            self.set.iter().map(|typed| PropertyOverride::parse(typed, &contract)).collect::<Result<Vec<_>, _>>()?;
        for (at, one) in set.iter().enumerate() {
            if set[..at].iter().any(|other| other.property == one.property) {
                return Err(Error::usage(format!("`--set {}` is used twice", one.property)));
            }
        }
        let only = (!self.only.is_empty()).then(|| self.only.clone());
        Ok(RowSettings { contract, set, limit: self.limit, only, comment_resolves })
    }
}

impl RowSettings {
    /// The rules for this input.
    ///
    /// # Errors
    /// If `--only` is given for an input without outcomes.
    pub(super) fn rules(&self, input: &Input) -> Result<Rules<'_>, Error> {
        if self.only.is_some() && !input.origin().is_results {
            let message = "`--only` selects rows of a results file, and this input is not one";
            return Err(Error::usage(message));
        }
        let RowSettings { contract, set, limit, only, comment_resolves } = self;
        Ok(Rules { contract, set, limit: *limit, only: only.as_deref(), comment_resolves: *comment_resolves })
    }
}

/// Notes on the kind of the input, a line each: it decides which rows are used, and what they change.
pub(super) fn notes(origin: FileKind, rows: u64, skipped: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if origin.is_portal_export {
        notes.push("portal export: only incident IDs are used; --set says what to change".to_owned());
    }
    if origin.is_results {
        let taken = rows - skipped;
        notes.push(format!("results file: {taken} of {rows} rows are sent, {skipped} skipped"));
    }
    if let Some(read) = origin.fetched_at {
        let time = read.strftime("%Y-%m-%d %H:%M UTC");
        let age = age(read, Clock::machine().now().wall);
        notes.push(format!("fetched {age} ago, {time}; columns current_* are ignored"));
    }
    notes
}

/// A note on rows with comments: how many `--comment-as resolving` leaves as they are, or how many it would send in one
/// request.
pub(super) fn comment_note(contract: &Contract, comment_resolves: bool, comments: CommentCounts) -> Option<String> {
    let Resolving { property, value, comment } = contract.resolving.as_ref()?;
    let (target, status) = (comment.as_deref()?, format!("{property} `{value}`"));
    if comment_resolves {
        let others = counted(comments.others, "row");
        return (comments.others > 0).then(|| format!("{others} without {status}: comments are added as usual"));
    }
    let resolving = counted(comments.resolving, "row");
    (comments.resolving > 0).then(|| {
        format!(
            "{resolving} with a comment and {status}: --comment-as resolving sends the comment as {target}, in one request \
             instead of two, which is safe to repeat"
        )
    })
}
