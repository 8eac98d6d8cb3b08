//! Contracts in a user's TOML file.

use std::io::Write as _;

use bulk_triage::contract::{Contract, ContractError, Property, PropertyKind, load};

use super::assert_safe_to_print;
use super::checked::Check;

/// A file is a contract or an error at a line of it; a contract keeps the operations and the quota of the one that it
/// extends, can be kept as text, and takes each spelling for its value.
pub fn contracts(data: &[u8]) {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
    file.write_all(data).expect("a temporary file takes bytes");
    let contract = match load(&file.path().to_string_lossy()) {
        Ok(contract) => contract,
        Err(error) => {
            assert_safe_to_print(&error.to_string());
            if let ContractError::Invalid { line: Some(line), .. } = error {
                assert!((1..=data.split(|byte| *byte == b'\n').count()).contains(&line));
            }
            return;
        }
    };
    let text: toml::Table = toml::from_str(&String::from_utf8_lossy(data)).expect("it was TOML to the program");
    let base = load(text["extends"].as_str().expect("a name")).expect("built in");
    assert_eq!(contract.operations, base.operations);
    assert!(contract.quota.is_within(&base.quota));
    let kept = contract.to_toml();
    assert_eq!(Contract::from_toml(&kept).map(|contract| contract.to_toml()), Ok(kept));
    contract.properties.iter().for_each(|property| assert_spellings(&contract, property));
}

/// Every spelling, in any case, is sent as its value, or the row is an error (values that need another one).
fn assert_spellings(contract: &Contract, property: &Property) {
    let PropertyKind::Choice(choices) = &property.kind else { return };
    let mut expected = Vec::new();
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.write_record(["incidentId", property.column()]).expect("memory");
    for choice in choices {
        for spelling in choice.aliases.iter().chain([&choice.value]).filter(|spelling| !spelling.contains('\0')) {
            for typed in [spelling.clone(), spelling.to_ascii_uppercase()] {
                writer.write_record(["7", &typed]).expect("memory");
                expected.push(serde_json::json!({ property.member(): choice.value }).to_string());
            }
        }
    }
    let file = writer.into_inner().expect("memory");
    let checked = Check { contract, ..Check::plain() }.of("f.csv", &file);
    for (verdict, expected) in checked.verdicts().into_iter().zip(&expected) {
        match verdict {
            Ok(body) => assert_eq!(body, *expected),
            Err(code) => assert_eq!(code, "value-missing", "{expected}"),
        }
    }
    assert_eq!(checked.rows.len(), expected.len());
}
