//! `bulk-triage contract`: the rules in force, as a table or as TOML.

use std::io::{self, Write};

use clap::ValueEnum;
use comfy_table::{ContentArrangement, Table, presets};

use crate::contract::{BUILT_IN, Choice, Contract, Property, PropertyKind, load};
use crate::error::Error;
use crate::text::printable;

/// The arguments as typed.
#[derive(Debug, clap::Args)]
pub(super) struct ContractArgs {
    /// defender-classic, defender, or a TOML file that extends one
    #[arg(default_value = BUILT_IN[0], value_name = "NAME or FILE")]
    pub(super) contract: String,
    /// How the contract is written
    #[arg(long, value_enum, default_value_t = ContractFormat::Table)]
    pub(super) format: ContractFormat,
}

/// How a contract is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ContractFormat {
    /// For a person.
    Table,
    /// As a contract's file.
    Toml,
}

pub(super) fn run(args: &ContractArgs) -> Result<(), Error> {
    let contract = load(&args.contract)?;
    let text = match args.format {
        ContractFormat::Toml => contract.to_toml(),
        ContractFormat::Table => table(&contract),
    };
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

fn table(contract: &Contract) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic).set_width(100);
    table.set_header(["property", "value", "also written", "rule"]);
    for property in &contract.properties {
        match &property.kind {
            PropertyKind::Choice(choices) => {
                for (place, choice) in choices.iter().enumerate() {
                    let name = if place == 0 { property.name.as_str() } else { "" };
                    let cells = [name, &choice.value, &choice.aliases.join("; "), &rule(contract, property, choice)];
                    table.add_row(cells.map(|cell| printable(cell).into_owned()));
                }
            }
            PropertyKind::Text => {
                table.add_row([&property.name, "any text", "", "`<clear>` empties it"]);
            }
            PropertyKind::List => {
                table.add_row([&property.name, "a; b", "[\"a\",\"b\"]", "replaces the list; `<clear>` empties it"]);
            }
            PropertyKind::Append { shown_in } => {
                table.add_row([property.name.as_str(), "any text", "", &format!("is added to {shown_in}")]);
            }
        }
    }
    let (name, title) = (printable(&contract.name), printable(&contract.title));
    let quota = &contract.quota;
    let (application, delegated) = (&contract.permission_application, &contract.permission_delegated);
    let place = format!("{}{}", contract.origin, contract.path);
    format!(
        "{name}: {title}\n{table}\n\nPATCH {}, quota {quota}\nneeds {application} (application) or {delegated} (delegated)\n",
        printable(&place),
    )
}

/// Which values it goes with, and what is doubtful about it.
fn rule(contract: &Contract, property: &Property, choice: &Choice) -> String {
    let needs = contract.dependencies.iter().filter(|rule| rule.property == property.name).map(|rule| {
        let with = rule.allowed.iter().filter(|(_, values)| values.contains(&choice.value));
        let with: Vec<&str> = with.map(|(on, _)| on.as_str()).collect();
        format!("with {}", with.join(" or "))
    });
    needs.chain(choice.doubtful.clone()).collect::<Vec<_>>().join("; ")
}
