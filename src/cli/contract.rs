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
    let (update, comment) = (&contract.operations.update, contract.operations.comment.as_ref());
    let request = format!("{} {}", update.method, printable(&format!("{}{}", contract.origin, update.path)));
    let comment = comment.map(|comment| format!("{} {}", comment.method, printable(&comment.path)));
    let quota = contract.quota.to_string();
    let limit = contract.quota_limit.as_ref();
    let (application, delegated) =
        (printable(&contract.permission_application), printable(&contract.permission_delegated));
    if width.is_some() {
        let limit = limit.map(|limit| format!(" (up to {limit} in a contract file)")).unwrap_or_default();
        writeln!(out, "\n{}", layout.wrap(&format!("{request}, quota {quota}{limit}")))?;
        if let Some(comment) = comment {
            writeln!(out, "{}", layout.wrap(&format!("comments: {comment}")))?;
        }
        let needs = format!("needs {application} (application) or {delegated} (delegated)");
        return writeln!(out, "{}", layout.wrap(&needs));
    }
    writeln!(out, "contract\t{}", name.join("\t"))?;
    writeln!(out, "request\t{request}")?;
    comment.map_or(Ok(()), |comment| writeln!(out, "request\t{comment}"))?;
    writeln!(out, "quota\t{quota}")?;
    limit.map_or(Ok(()), |limit| writeln!(out, "quota-limit\t{limit}"))?;
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
                    let column = property.column.as_ref().filter(|_| place == 0);
                    let column = column.map(|column| format!("set by a column {column}"));
                    let rules = column.into_iter().chain(rules(contract, property, choice));
                    let rules = rules.collect::<Vec<_>>().join("; ");
                    add(name, &choice.value, Cell::list(&aliases, ';'), &rules);
                }
            }
            PropertyKind::Text => {
                let rule = if property.clear_with_null { "`<clear>` sends null" } else { "`<clear>` empties it" };
                add(&property.name, "any text", Cell::default(), rule);
            }
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
fn rules<'a>(contract: &'a Contract, property: &'a Property, choice: &'a Choice) -> impl Iterator<Item = String> + 'a {
    let needs = contract.dependencies.iter().filter(|rule| rule.property == property.name).filter_map(|rule| {
        let with = rule.allowed.iter().filter(|(_, values)| values.contains(&choice.value));
        let with: Vec<&str> = with.map(|(on, _)| on.as_str()).collect();
        let usually = if rule.advisory { "usually " } else { "" };
        (!with.is_empty()).then(|| format!("{usually}with {}", with.join(" or ")))
    });
    needs.chain(choice.doubtful.clone())
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
    fn contract_of_two_requests() {
        insta::assert_snapshot!(shown("graph", Some(100)), @r#"
        graph: Microsoft Defender XDR incidents in Microsoft Graph
        property          value                          rule
        status            active
                          inProgress
                          resolved
        assignedTo        any text                       `<clear>` sends null
        classification    unknown
                          falsePositive
                          truePositive
                          informationalExpectedActivity
        determination     unknown                        usually with unknown
                          multiStagedAttack              usually with truePositive
                          maliciousUserActivity          usually with truePositive
                          compromisedAccount             usually with truePositive
                          malware                        usually with truePositive
                          phishing                       usually with truePositive
                          unwantedSoftware               usually with truePositive
                          securityTesting                usually with informationalExpectedActivity
                          lineOfBusinessApplication      usually with informationalExpectedActivity
                          confirmedActivity              usually with informationalExpectedActivity
                          notMalicious                   usually with falsePositive
                          notEnoughDataToValidate        usually with falsePositive
                          other                          usually with falsePositive or
                                                         informationalExpectedActivity or truePositive
                          apt                            the portal no longer has `apt`; the service may
                                                         refuse it
                          securityPersonnel              the portal no longer has `securityPersonnel`; the
                                                         service may refuse it
        tags              a; b                           replaces the list; `<clear>` empties it
        resolvingComment  any text                       `<clear>` empties it
        severity          informational                  set by a column newSeverity
                          low
                          medium
                          high
                          unknown                        `unknown` is what an incident without a severity
                                                         shows; the service may refuse it
        comment           any text                       is added to comments

        PATCH https://graph.microsoft.com/v1.0/security/incidents/{id}, quota 50/1m,1500/1h (up to 150/1m in
        a contract file)
        comments: POST /v1.0/security/incidents/{id}/comments
        needs SecurityIncident.ReadWrite.All (application) or SecurityIncident.ReadWrite.All (delegated)
        "#);
        insta::assert_snapshot!(shown("graph", None), @r#"
        property	value	also written	rule
        status	active		
        status	inProgress	In progress	
        status	resolved		
        assignedTo	any text		`<clear>` sends null
        classification	unknown		
        classification	falsePositive	False positive	
        classification	truePositive	True positive	
        classification	informationalExpectedActivity	Informational, expected activity	
        determination	unknown	NotAvailable; Not available	usually with unknown
        determination	multiStagedAttack	Multi staged attack; Multi-stage attack; Multistage attack	usually with truePositive
        determination	maliciousUserActivity	Malicious user activity	usually with truePositive
        determination	compromisedAccount	Compromised account; compromisedUser	usually with truePositive
        determination	malware		usually with truePositive
        determination	phishing		usually with truePositive
        determination	unwantedSoftware	Unwanted software	usually with truePositive
        determination	securityTesting	Security test; Security testing	usually with informationalExpectedActivity
        determination	lineOfBusinessApplication	Line-of-business application	usually with informationalExpectedActivity
        determination	confirmedActivity	Confirmed activity; confirmedUserActivity	usually with informationalExpectedActivity
        determination	notMalicious	Not malicious; clean	usually with falsePositive
        determination	notEnoughDataToValidate	Not enough data to validate; noEnoughDataToValidate; insufficientData	usually with falsePositive
        determination	other		usually with falsePositive or informationalExpectedActivity or truePositive
        determination	apt		the portal no longer has `apt`; the service may refuse it
        determination	securityPersonnel	Security personnel	the portal no longer has `securityPersonnel`; the service may refuse it
        tags	a; b	["a","b"]	replaces the list; `<clear>` empties it
        resolvingComment	any text		`<clear>` empties it
        severity	informational		set by a column newSeverity
        severity	low		
        severity	medium		
        severity	high		
        severity	unknown		`unknown` is what an incident without a severity shows; the service may refuse it
        comment	any text		is added to comments
        contract	graph	Microsoft Defender XDR incidents in Microsoft Graph
        request	PATCH https://graph.microsoft.com/v1.0/security/incidents/{id}
        request	POST /v1.0/security/incidents/{id}/comments
        quota	50/1m,1500/1h
        quota-limit	150/1m
        permission	SecurityIncident.ReadWrite.All	SecurityIncident.ReadWrite.All
        "#);
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
