//! Stand-in.
use bulk_triage::cli::emulator::{EmulatorArgs, run};
use bulk_triage::contract::*;
use clap::Parser;
#[derive(Parser)]
enum Cmd {
    Emulator(EmulatorArgs),
}
fn classic() -> Contract {
    let choice = |values: &[&str]| {
        PropertyKind::Choice(
            values.iter().map(|v| Choice { value: v.to_string(), aliases: vec![], doubtful: None }).collect(),
        )
    };
    let d = ["NotAvailable", "Apt", "Malware", "SecurityPersonnel", "SecurityTesting", "UnwantedSoftware", "Other"];
    Contract {
        name: "defender-classic".into(),
        title: String::new(),
        origin: "https://api.security.microsoft.com".into(),
        path: "/api/incidents/{id}".into(),
        permission_application: String::new(),
        permission_delegated: String::new(),
        quota: "50/1m,1500/1h".parse().unwrap(),
        properties: [
            ("status", choice(&["Active", "Resolved", "Redirected"])),
            ("assignedTo", PropertyKind::Text),
            ("classification", choice(&["Unknown", "FalsePositive", "TruePositive"])),
            ("determination", choice(&d)),
            ("tags", PropertyKind::List),
            ("comment", PropertyKind::Append { shown_in: "comments".into() }),
        ]
        .map(|(n, kind)| Property { name: n.into(), kind })
        .into(),
        dependencies: vec![Dependency {
            property: "determination".into(),
            on: "classification".into(),
            allowed: vec![("TruePositive".into(), d.map(str::to_owned).into())],
        }],
    }
}
fn main() {
    let Cmd::Emulator(args) = Cmd::parse();
    tokio::runtime::Runtime::new().unwrap().block_on(run(args, classic(), None)).unwrap();
}
