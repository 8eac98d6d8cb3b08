//! `bulk-triage contract`: the rules in force, as a table, as TOML or as JSON.

use std::io::{self, Write};

use clap::{ValueEnum, ValueHint};

use super::terminal::Terminal;
use crate::cli::error::Error;
use crate::contract::{BUILT_IN, Choice, Contract, Property, PropertyKind, load};
use crate::report::Layout;
use crate::report::table::{Cell, Table};
use crate::text::{escape_json, escape_toml, printable};

/// The arguments as typed.
#[derive(Debug, clap::Args)]
pub(super) struct ContractArgs {
    /// Contract (rules and quota of an API version): defender-classic, defender, graph, or a TOML file that extends one
    #[arg(default_value = BUILT_IN[0], value_name = "NAME or FILE", value_hint = ValueHint::FilePath)]
    pub(super) contract: String,
    /// Format of the output
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = ContractFormat::Table)]
    pub(super) format: ContractFormat,
}

/// How a contract is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ContractFormat {
    /// A table; in a pipe, lines with tab-separated cells
    #[value(alias = "human")]
    Table,
    /// The contract as a TOML file
    Toml,
    /// The contract as one JSON object
    Json,
}

pub(super) fn run(args: &ContractArgs, terminal: &Terminal) -> Result<(), Error> {
    let contract = load(&args.contract)?;
    let mut out = io::stdout().lock();
    match args.format {
        ContractFormat::Toml => out.write_all(escape_toml(&contract.to_toml()).as_bytes())?,
        ContractFormat::Json => writeln!(out, "{}", escape_json(&json(&contract)))?,
        ContractFormat::Table => write_table(&contract, &mut out, terminal.out)?,
    }
    Ok(())
}

/// The members of the file, in JSON.
fn json(contract: &Contract) -> String {
    let file: toml::Table = contract.to_toml().parse().expect("what is written as TOML is TOML");
    serde_json::to_string(&file).expect("a table of texts, numbers and lists")
}

fn write_table(contract: &Contract, out: &mut impl Write, layout: Layout) -> io::Result<()> {
    let width = layout.width;
    let name = [printable(&contract.name), printable(&contract.title)];
    if width.is_some() {
        writeln!(out, "{}", layout.wrap(&name.join(": ")))?;
    }
    table(contract, width.is_some()).write(out, width)?;
    let update = &contract.operations.update;
    let request = format!("{} {}", update.method, printable(&format!("{}{}", contract.origin, update.path)));
    let quota = contract.quota.to_string();
    let (application, delegated) =
        (printable(&contract.permission_application), printable(&contract.permission_delegated));
    if width.is_some() {
        writeln!(out, "\n{}", layout.wrap(&format!("{request}, quota {quota}")))?;
        let needs = format!("needs {application} (application) or {delegated} (delegated)");
        return writeln!(out, "{}", layout.wrap(&needs));
    }
    writeln!(out, "contract\t{}\nrequest\t{request}\nquota\t{quota}", name.join("\t"))?;
    writeln!(out, "permission\t{application}\t{delegated}")
}

/// A record for each value. `names_once`: the property is named with its first value only.
fn table(contract: &Contract, names_once: bool) -> Table {
    let mut table = Table::new(&["property", "value", "also written", "rule"], &["also written", "rule"]);
    for property in &contract.properties {
        let mut add = |name: &str, value: &str, also: Cell, rule: &str| {
            table.add([Cell::whole(name), Cell::whole(value), also, Cell::words(rule)]);
        };
        match &property.kind {
            PropertyKind::Choice(choices) => {
                for (place, choice) in choices.iter().enumerate() {
                    let name = if place == 0 || !names_once { property.name.as_str() } else { "" };
                    let aliases: Vec<&str> = choice.aliases.iter().map(String::as_str).collect();
                    add(name, &choice.value, Cell::list(&aliases, ';'), &rule(contract, property, choice));
                }
            }
            PropertyKind::Text => add(&property.name, "any text", Cell::default(), "`<clear>` empties it"),
            PropertyKind::List => {
                let also = Cell::whole("[\"a\",\"b\"]");
                add(&property.name, "a; b", also, "replaces the list; `<clear>` empties it");
            }
            PropertyKind::Append { shown_in } => {
                add(&property.name, "any text", Cell::default(), &format!("is added to {shown_in}"));
            }
        }
    }
    table
}

/// Which values it goes with, and what is doubtful about it.
fn rule(contract: &Contract, property: &Property, choice: &Choice) -> String {
    let needs = contract.dependencies.iter().filter(|rule| rule.property == property.name).map(|rule| {
        let with = rule.allowed.iter().filter(|(_, values)| values.contains(&choice.value));
        let with: Vec<&str> = with.map(|(on, _)| on.as_str()).collect();
        let usually = if rule.advisory { "usually " } else { "" };
        (!with.is_empty()).then(|| format!("{usually}with {}", with.join(" or ")))
    });
    let needs = needs.flatten();
    needs.chain(choice.doubtful.clone()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, width: Option<usize>) -> String {
        let mut out = Vec::new();
        write_table(&load(name).expect("built in"), &mut out, Layout { width, color: false }).expect("a Vec takes all");
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn every_value_is_unbroken_at_any_width() {
        for name in BUILT_IN {
            let contract = load(name).expect("built in");
            for width in (20..=200).map(Some).chain([None]) {
                let text = shown(name, width);
                for property in &contract.properties {
                    let PropertyKind::Choice(choices) = &property.kind else { continue };
                    for choice in choices {
                        let is_there =
                            text.lines().any(|line| line.split([' ', '\t']).any(|word| word == choice.value));
                        assert!(is_there, "{} of {name} at {width:?}:\n{text}", choice.value);
                    }
                }
            }
        }
    }

    #[test]
    fn every_alias_is_unbroken_where_there_is_room() {
        for name in BUILT_IN {
            let contract = load(name).expect("built in");
            for width in [Some(120), Some(200), None] {
                let text = shown(name, width);
                for property in &contract.properties {
                    let PropertyKind::Choice(choices) = &property.kind else { continue };
                    for alias in choices.iter().flat_map(|choice| &choice.aliases) {
                        assert!(text.contains(alias.as_str()), "{alias} of {name} at {width:?}:\n{text}");
                    }
                }
            }
        }
    }

    #[test]
    fn table_fits_60_80_and_120_columns() {
        for name in BUILT_IN {
            for width in [60, 80, 120] {
                for line in shown(name, Some(width)).lines() {
                    assert!(line.chars().count() <= width, "{name} at {width}: {line}");
                }
            }
        }
    }

    #[test]
    fn contract_at_60_columns() {
        insta::assert_snapshot!(shown("defender", Some(60)), @r"
        defender: Microsoft Defender XDR incidents, as the API's
        page describes them today
        property        value
        status          Active
                        InProgress
                        Resolved
                        Redirected
        assignedTo      any text
        classification  TruePositive
                        InformationalExpectedActivity
                        FalsePositive
        determination   MultiStagedAttack
                        MaliciousUserActivity
                        CompromisedAccount
                        Malware
                        Phishing
                        UnwantedSoftware
                        SecurityTesting
                        LineOfBusinessApplication
                        ConfirmedActivity
                        Clean
                        NotMalicious
                        NoEnoughDataToValidate
                        NotEnoughDataToValidate
                        Other
        tags            a; b
        comment         any text

        PATCH https://api.security.microsoft.com/api/incidents/{id},
        quota 50/1m,1500/1h
        needs Incident.ReadWrite.All (application) or
        Incident.ReadWrite (delegated)
        ");
    }

    #[test]
    fn contract_at_80_columns() {
        insta::assert_snapshot!(shown("defender", Some(80)), @r#"
        defender: Microsoft Defender XDR incidents, as the API's page describes them
        today
        property        value                          rule
        status          Active
                        InProgress
                        Resolved
                        Redirected                     only the service should set it;
                                                       the portal may not open the
                                                       incident
        assignedTo      any text                       `<clear>` empties it
        classification  TruePositive
                        InformationalExpectedActivity
                        FalsePositive
        determination   MultiStagedAttack              with TruePositive
                        MaliciousUserActivity          with TruePositive
                        CompromisedAccount             with TruePositive
                        Malware                        with TruePositive
                        Phishing                       with TruePositive
                        UnwantedSoftware               with TruePositive
                        SecurityTesting                with
                                                       InformationalExpectedActivity
                        LineOfBusinessApplication      with
                                                       InformationalExpectedActivity
                        ConfirmedActivity              with
                                                       InformationalExpectedActivity
                        Clean                          with FalsePositive; the service
                                                       is known to refuse `Clean`:
                                                       `NotMalicious` is what clients
                                                       send
                        NotMalicious                   with FalsePositive
                        NoEnoughDataToValidate         with FalsePositive; the service
                                                       may expect
                                                       `NotEnoughDataToValidate`: pages
                                                       disagree about the spelling
                        NotEnoughDataToValidate        with FalsePositive; the service
                                                       may expect
                                                       `NoEnoughDataToValidate`, which
                                                       its page documents
                        Other                          with FalsePositive or
                                                       InformationalExpectedActivity or
                                                       TruePositive
        tags            a; b                           replaces the list; `<clear>`
                                                       empties it
        comment         any text                       is added to comments

        PATCH https://api.security.microsoft.com/api/incidents/{id}, quota 50/1m,1500/1h
        needs Incident.ReadWrite.All (application) or Incident.ReadWrite (delegated)
        "#);
    }

    #[test]
    fn contract_at_120_columns() {
        insta::assert_snapshot!(shown("defender", Some(120)), @r#"
        defender: Microsoft Defender XDR incidents, as the API's page describes them today
        property        value                          also written                                rule
        status          Active
                        InProgress                     In progress
                        Resolved
                        Redirected                                                                 only the service should set
                                                                                                   it; the portal may not open
                                                                                                   the incident
        assignedTo      any text                                                                   `<clear>` empties it
        classification  TruePositive                   True positive
                        InformationalExpectedActivity  Informational, expected activity
                        FalsePositive                  False positive
        determination   MultiStagedAttack              Multi staged attack; Multi-stage attack;    with TruePositive
                                                       Multistage attack
                        MaliciousUserActivity          Malicious user activity                     with TruePositive
                        CompromisedAccount             Compromised account; CompromisedUser        with TruePositive
                        Malware                                                                    with TruePositive
                        Phishing                                                                   with TruePositive
                        UnwantedSoftware               Unwanted software                           with TruePositive
                        SecurityTesting                Security test; Security testing             with
                                                                                                   InformationalExpectedActivity
                        LineOfBusinessApplication      Line-of-business application                with
                                                                                                   InformationalExpectedActivity
                        ConfirmedActivity              Confirmed activity; ConfirmedUserActivity   with
                                                                                                   InformationalExpectedActivity
                        Clean                                                                      with FalsePositive; the
                                                                                                   service is known to refuse
                                                                                                   `Clean`: `NotMalicious` is
                                                                                                   what clients send
                        NotMalicious                   Not malicious                               with FalsePositive
                        NoEnoughDataToValidate         Not enough data to validate;                with FalsePositive; the
                                                       InsufficientData                            service may expect
                                                                                                   `NotEnoughDataToValidate`:
                                                                                                   pages disagree about the
                                                                                                   spelling
                        NotEnoughDataToValidate                                                    with FalsePositive; the
                                                                                                   service may expect
                                                                                                   `NoEnoughDataToValidate`,
                                                                                                   which its page documents
                        Other                                                                      with FalsePositive or
                                                                                                   InformationalExpectedActivity
                                                                                                   or TruePositive
        tags            a; b                           ["a","b"]                                   replaces the list; `<clear>`
                                                                                                   empties it
        comment         any text                                                                   is added to comments

        PATCH https://api.security.microsoft.com/api/incidents/{id}, quota 50/1m,1500/1h
        needs Incident.ReadWrite.All (application) or Incident.ReadWrite (delegated)
        "#);
    }

    #[test]
    fn contract_in_a_pipe() {
        insta::assert_snapshot!(shown("defender", None), @r#"
        property	value	also written	rule
        status	Active		
        status	InProgress	In progress	
        status	Resolved		
        status	Redirected		only the service should set it; the portal may not open the incident
        assignedTo	any text		`<clear>` empties it
        classification	TruePositive	True positive	
        classification	InformationalExpectedActivity	Informational, expected activity	
        classification	FalsePositive	False positive	
        determination	MultiStagedAttack	Multi staged attack; Multi-stage attack; Multistage attack	with TruePositive
        determination	MaliciousUserActivity	Malicious user activity	with TruePositive
        determination	CompromisedAccount	Compromised account; CompromisedUser	with TruePositive
        determination	Malware		with TruePositive
        determination	Phishing		with TruePositive
        determination	UnwantedSoftware	Unwanted software	with TruePositive
        determination	SecurityTesting	Security test; Security testing	with InformationalExpectedActivity
        determination	LineOfBusinessApplication	Line-of-business application	with InformationalExpectedActivity
        determination	ConfirmedActivity	Confirmed activity; ConfirmedUserActivity	with InformationalExpectedActivity
        determination	Clean		with FalsePositive; the service is known to refuse `Clean`: `NotMalicious` is what clients send
        determination	NotMalicious	Not malicious	with FalsePositive
        determination	NoEnoughDataToValidate	Not enough data to validate; InsufficientData	with FalsePositive; the service may expect `NotEnoughDataToValidate`: pages disagree about the spelling
        determination	NotEnoughDataToValidate		with FalsePositive; the service may expect `NoEnoughDataToValidate`, which its page documents
        determination	Other		with FalsePositive or InformationalExpectedActivity or TruePositive
        tags	a; b	["a","b"]	replaces the list; `<clear>` empties it
        comment	any text		is added to comments
        contract	defender	Microsoft Defender XDR incidents, as the API's page describes them today
        request	PATCH https://api.security.microsoft.com/api/incidents/{id}
        quota	50/1m,1500/1h
        permission	Incident.ReadWrite.All	Incident.ReadWrite
        "#);
    }
}
