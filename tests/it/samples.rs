//! The samples do what the documentation promises to newcomers, above all in the first command of the README.

use std::collections::BTreeSet;
use std::fs;

use crate::program::{Ended, Program, names_in, of_the_project};

/// The project's samples, next to an empty directory to work in.
fn with_sample(name: &str) -> Program {
    let sample = fs::read(of_the_project("samples").join(name)).expect("a sample");
    Program::new().file(name, sample)
}

/// As they are typed. With two requests for each row, the first command would take longer than a minute.
const CONTRACTS: [&str; 2] = ["", " --contract graph --quota 1000/1s"];

fn expect_all_updated(ended: Ended, rows: usize) -> Ended {
    ended.expect_code(0).expect_outcomes(&[("updated", rows)])
}

#[test]
fn first_command_of_the_readme_works_twice() {
    for contract in CONTRACTS {
        let program = with_sample("close-false-positives.csv");
        for _ in 0..2 {
            let command = format!("run close-false-positives.csv --emulator --yes{contract}");
            let ended = expect_all_updated(program.run(&command), 30);
            ended.expect_text("EMULATOR: nothing real changes");
        }
        assert_eq!(program.names(), ["close-false-positives.csv", "close-false-positives.emulator.results.csv"]);
    }
}

#[test]
fn jsonl_sample_works_twice() {
    for contract in CONTRACTS {
        let program = with_sample("mixed-updates.jsonl");
        for _ in 0..2 {
            expect_all_updated(program.run(&format!("run mixed-updates.jsonl --emulator --yes{contract}")), 10);
        }
        assert_eq!(program.names(), ["mixed-updates.emulator.results.jsonl", "mixed-updates.jsonl"]);
    }
}

#[test]
fn only_ids_of_the_portal_export_are_used() {
    let program = with_sample("portal-export.csv");
    program.run("run portal-export.csv --emulator --yes").expect_code(3).expect_text("--set");
    for contract in CONTRACTS {
        let ended = program.run(&format!("run portal-export.csv --emulator --yes --set status=Resolved{contract}"));
        let ended = expect_all_updated(ended, 5);
        assert!(ended.results().iter().all(|row| row.contains_key("Incident name")));
    }
}

#[test]
fn mistakes_sample_has_every_diagnostic() {
    let program = with_sample("mistakes.csv");
    program.run("check mistakes.csv").expect_code(3);
    let ended = program.run("check mistakes.csv --format json").expect_code(3);
    let found = ended.json();
    let diagnostics = found["diagnostics"].as_array().expect("a list");
    let codes: BTreeSet<&str> = diagnostics.iter().filter_map(|found| found["code"].as_str()).collect();
    for code in [
        "unknown-value",
        "id-missing",
        "id-invalid",
        "values-disagree",
        "value-missing",
        "nothing-to-set",
        "cannot-clear",
        "tag-change",
        "tags-not-json",
        "blank-comment",
        "space-around",
        "too-few-cells",
        "too-many-cells",
        "duplicate",
        "contradiction",
        "not-utf8",
        "nul-byte",
    ] {
        assert!(codes.contains(code), "{code} is missing among {codes:?}");
    }
    assert!(diagnostics.iter().all(|found| found["line"].is_u64() && found["help"].is_string()));
    assert!(found["rows"].as_u64() > found["valid"].as_u64());
}

#[test]
fn each_sample_has_its_test() {
    let here = include_str!("samples.rs");
    // Those of scheduled jobs have tests of their own.
    for name in names_in(&of_the_project("samples")).iter().filter(|name| *name != "unattended") {
        assert!(here.contains(&format!("with_sample({name:?})")), "no test uses samples/{name}");
    }
}
