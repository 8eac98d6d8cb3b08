//! Settings: what files, variables and the command line say about options, in layers.
//!
//! Promises: a value is checked as if it was typed, and its origin is known; a project file can't say where a token goes.
//! A new option needs only its place in [`layers`].
//!
//! | file | owns |
//! | --- | --- |
//! | `layers` | which option can be set where |
//! | `load` | the files and their order, profiles |
//! | `file`, `variables` | one settings file, all variables |
//! | `project` | what a project file can't loosen |
//! | `defaults` | values of the layers as defaults of the command line |
//! | `resolved` | every option's value and its origin |
//! | `rows`, `schema` | what `config` shows |
//! | `wrong_value` | the error about a wrong value |

mod defaults;
mod file;
mod layers;
mod load;
mod project;
mod resolved;
mod rows;
mod schema;
mod variables;
mod wrong_value;

#[cfg(test)]
mod tests;

pub(super) use defaults::{argument, escaped, with_defaults};
pub(super) use layers::Defaults;
pub(super) use load::{EarlyOptions, Kind, Loaded, Surroundings, early_options, load, sources};
pub(super) use project::load_contract;
pub(super) use resolved::{OUTPUT, blame, of_run, resolve, values};
pub(super) use rows::{Row, all_rows, commands, rows};
pub(super) use schema::schema;
pub(super) use variables::{PREFIX, Variables};
pub(super) use wrong_value::wrong_setting;
