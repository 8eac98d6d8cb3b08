//! A contract with two steps: a comment is a request of its own, as in Microsoft Graph.

use std::sync::OnceLock;

use bulk_triage::contract::{Contract, load};
use toml::{Table, Value};

/// The member that a comment's body always has.
pub(crate) const COMMENT_TYPE: &str = r#""@odata.type":"microsoft.graph.security.alertComment""#;

/// A built-in contract with an operation for comments.
const OPERATION: &str = r#"
    method = "POST"
    path = "/api/incidents/{id}/comments"
    shown_in = "value"
    body = { "@odata.type" = "microsoft.graph.security.alertComment" }
"#;

pub(crate) fn contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let mut file: Table = load("defender").expect("is built in").to_toml().parse().expect("TOML");
        let operations = file["operations"].as_table_mut().expect("a table");
        operations.insert("comment".to_owned(), Value::Table(OPERATION.parse().expect("TOML")));
        for property in file["properties"].as_array_mut().expect("a list") {
            let property = property.as_table_mut().expect("a table");
            if property["kind"].as_str() == Some("append") {
                property.insert("operation".to_owned(), "comment".into());
            }
        }
        Contract::from_toml(&file.to_string()).expect("a contract")
    })
}
