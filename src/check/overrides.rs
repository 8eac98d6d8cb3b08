//! `--set FIELD=VALUE`: a property that is set on every row.

use bumpalo::Bump;

use super::rules::ReadyContract;
use super::suggest::{either, nearest};
use super::value::Requested;
use crate::contract::{BUILT_IN, Contract, load};
use crate::input::normalized;
use crate::model::diagnostic::{Repetition, Severity};
use crate::text::{printable, truncate};

/// A property to set on every row. The value is written as in a CSV cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropertyOverride {
    /// The property, as the contract spells it.
    pub property: String,
    /// The value as it was typed.
    pub cell: String,
}

/// Why a `--set` can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`--set {}`: {message}", truncate(.typed, 60))]
pub struct SetError {
    typed: String,
    message: String,
}

impl PropertyOverride {
    /// Reads `FIELD=VALUE` by the contract's rules.
    ///
    /// # Errors
    /// If the contract has no such property, or the property no such value.
    pub fn parse(typed: &str, contract: &Contract) -> Result<PropertyOverride, SetError> {
        let wrong = |message: String| SetError { typed: typed.to_owned(), message };
        let (field, cell) =
            typed.split_once('=').ok_or_else(|| wrong("enter FIELD=VALUE, such as `status=Resolved`".to_owned()))?;
        let ready = ReadyContract::new(contract);
        let names: Vec<&str> = contract.properties.iter().map(|property| property.name.as_str()).collect();
        let index = position(field, contract).ok_or_else(|| {
            let others = || BUILT_IN.iter().filter_map(|name| load(name).ok());
            let other = others().find(|other| position(field, other).is_some());
            let help = match (other, nearest(field, names.iter().copied())) {
                (Some(other), _) => format!("use `--contract {}`", other.name),
                (None, Some(meant)) => format!("did you mean `{meant}`?"),
                (None, None) => format!("enter {}", either(names.iter().copied())),
            };
            wrong(format!("`{}` cannot be set: {help}", printable(field)))
        })?;
        let mut problems = Vec::new();
        let arena = Bump::new();
        let requested = ready.read_cell(index, cell, &arena, &mut problems);
        let error = problems.iter().find(|problem| problem.code.severity == Severity::Error);
        if let Some(problem) = error {
            let first = if let Repetition::FirstHelp(help) = &problem.repetition { Some(&**help) } else { None };
            let help = first.or(problem.help.as_deref()).unwrap_or(problem.code.advice);
            return Err(wrong(format!("{}: {help}", problem.message)));
        }
        if requested == Requested::Leave {
            return Err(wrong(format!("no value; to clear {}, enter `<clear>`", names[index])));
        }
        Ok(PropertyOverride { property: names[index].to_owned(), cell: cell.to_owned() })
    }
}

/// The property that `field` names: its name or its column.
fn position(field: &str, contract: &Contract) -> Option<usize> {
    contract.properties.iter().position(|property| {
        [property.name.as_str(), property.column()].iter().any(|name| normalized(name) == normalized(field))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_takes_column_and_cell_spellings() {
        let contract = load("defender-classic").expect("built in");
        let set = PropertyOverride::parse("assigned_to=<clear>", &contract).expect("valid");
        assert_eq!(set, PropertyOverride { property: "assignedTo".to_owned(), cell: "<clear>".to_owned() });
        assert!(PropertyOverride::parse("Classification=False positive", &contract).is_ok());
        assert!(PropertyOverride::parse("comment=a=b", &contract).is_ok());
    }

    #[test]
    fn invalid_set_is_rejected_with_a_hint() {
        let contract = load("defender-classic").expect("built in");
        for (typed, part) in [
            ("status", "enter FIELD=VALUE"),
            ("statsu=Resolved", "did you mean `status`?"),
            ("incidentId=7", "cannot be set"),
            ("status=resolvd", "did you mean `Resolved`?"),
            ("status=InProgress", "--contract defender"),
            ("severity=high", "--contract graph"),
            ("newSeverity=high", "--contract graph"),
            ("resolvingComment=x", "--contract graph"),
            ("status=", "no value"),
            ("comment= ", "white space"),
            ("tags=+a; b", "sign"),
        ] {
            let error = PropertyOverride::parse(typed, &contract).expect_err(typed).to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
