//! The steps of a change, by the contract: without an operation for comments, they are sent with the update.

use super::definition::Contract;
use crate::model::change::{Change, ResolvedChange};
use crate::model::edit::Edits;
use crate::model::step::{Body, Part, Step};

impl Contract {
    /// The requests that make a change, in their order.
    pub fn steps(&self, change: &ResolvedChange) -> impl Iterator<Item = Step> {
        self.parts(&change.edits).map(|part| self.step(part, Change { edits: part.of(&change.edits), ..*change }))
    }

    /// The request for this part of a row's change; `change` is already narrowed to it.
    #[must_use]
    pub fn step(&self, part: Part, change: ResolvedChange) -> Step {
        let operation = part.operation();
        let request = self.operations.get(operation);
        Step {
            operation,
            method: request.method,
            path: request.path_of(change.incident),
            incident: change.incident,
            repeat: change.edits.repeat(),
            body: Body { always: request.body.clone(), spellings: self.spellings(), edits: change.edits },
        }
    }

    /// The parts of a change that are sent separately, in their order.
    pub fn parts<L>(&self, edits: &Edits<L>) -> impl Iterator<Item = Part> + use<L> {
        let parts = match (self.operations.comment.is_some() && edits.added().is_some(), edits.sets_any()) {
            (false, _) => [Some(Part::Whole), None],
            (true, false) => [Some(Part::Comment), None],
            (true, true) => [Some(Part::Properties), Some(Part::Comment)],
        };
        parts.into_iter().flatten()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::super::file::ContractFile;
    use super::*;
    use crate::contract::load;
    use crate::model::change::IncidentId;
    use crate::model::edit::{Edit, Empty, Never, PropertyEdit};
    use crate::model::operation::{Method, OperationId};
    use crate::model::step::Repeat;

    const UPDATE: &str = "PATCH /api/incidents/7";
    const COMMENT: &str = "POST /api/incidents/7/comments";

    const LIST: &str = "list = { method = \"GET\", path = \"/api/incidents\" }";
    const OPERATION: &str = "\ncomment = { method = \"POST\", path = \"/api/incidents/{id}/comments\", \
                             shown_in = \"value\", body = { \"@odata.type\" = \"x\" } }";
    const SHOWN_IN: &str = "shown_in = \"comments\"";
    const PROPERTY: &str = "\noperation = \"comment\"";

    fn one_step() -> Contract {
        load("defender").expect("built in")
    }

    fn toml_of_two_steps() -> String {
        let text = include_str!("defender.toml").replace(LIST, &format!("{LIST}{OPERATION}"));
        text.replace(SHOWN_IN, &format!("{SHOWN_IN}{PROPERTY}"))
    }

    fn read(text: &str) -> Result<Contract, String> {
        toml::from_str::<ContractFile>(text).expect("a contract").into_contract()
    }

    /// An API with a separate request for comments, with a constant member.
    pub(crate) fn two_steps() -> Contract {
        read(&toml_of_two_steps()).expect("complete")
    }

    fn steps<const N: usize>(contract: &Contract, edits: [(&str, Edit<Never>); N]) -> Vec<(String, String, Repeat)> {
        let edits = edits.into_iter().map(|(property, edit)| PropertyEdit::new(property, edit)).collect();
        let change = Change { incident: IncidentId::new(7).expect("an ID"), edits };
        let shown = |step: Step| (format!("{} {}", step.method, step.path), step.body.to_json(), step.repeat);
        contract.steps(&change).map(shown).collect()
    }

    fn step(request: &str, body: &str, repeat: Repeat) -> (String, String, Repeat) {
        (request.to_owned(), body.to_owned(), repeat)
    }

    fn set() -> (&'static str, Edit<Never>) {
        ("status", Edit::Set("Resolved".into()))
    }

    fn comment() -> (&'static str, Edit<Never>) {
        ("comment", Edit::Append("a\"b".to_owned()))
    }

    #[test]
    fn update_carries_the_comment_of_one_step() {
        let contract = one_step();
        let both = r#"{"status":"Resolved","comment":"a\"b"}"#;
        assert_eq!(steps(&contract, [set(), comment()]), [step(UPDATE, both, Repeat::AppendsOnce)]);
        let alone = r#"{"comment":"a\"b"}"#;
        assert_eq!(steps(&contract, [comment()]), [step(UPDATE, alone, Repeat::AppendsOnce)]);
        let plain = r#"{"status":"Resolved","tags":[]}"#;
        let edits = [set(), ("tags", Edit::Clear(Empty::List))];
        assert_eq!(steps(&contract, edits), [step(UPDATE, plain, Repeat::Harmless)]);
        assert_eq!(steps(&contract, []), [step(UPDATE, "{}", Repeat::Harmless)]);
    }

    #[test]
    fn comment_operation_is_a_step_after_the_update() {
        let contract = two_steps();
        let update = step(UPDATE, r#"{"status":"Resolved"}"#, Repeat::Harmless);
        let then = step(COMMENT, r#"{"@odata.type":"x","comment":"a\"b"}"#, Repeat::AppendsOnce);
        assert_eq!(steps(&contract, [set(), comment()]), [update.clone(), then.clone()]);
        assert_eq!(steps(&contract, [comment()]), [then]);
        assert_eq!(steps(&contract, [set()]), [update]);
        assert_eq!(steps(&contract, []), [step(UPDATE, "{}", Repeat::Harmless)]);
    }

    #[test]
    fn comment_operation_round_trips_through_toml() {
        let contract = two_steps();
        let id = contract.property("comment").expect("there").operation;
        let (comment, update) = (contract.operations.get(id), contract.operations.get(OperationId::Update));
        assert_eq!((id, comment.method, update.method), (OperationId::Comment, Method::Post, Method::Patch));
        assert_eq!(comment.path_of(IncidentId::new(7).expect("an ID")), "/api/incidents/7/comments");
        assert_eq!((comment.body["@odata.type"].as_str(), comment.shown_in.as_deref()), ("x", Some("value")));
        assert_eq!(Contract::from_toml(&contract.to_toml()).as_ref(), Ok(&contract));
        contract.expect_extension().expect_err("no file may add an operation");
        for half in [OPERATION, PROPERTY] {
            read(&toml_of_two_steps().replace(half, "")).expect_err(half);
        }
    }
}
