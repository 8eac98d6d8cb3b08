//! What a contract may change in the built-in one. Plans and runs store whole contracts, to which the same rules apply.

use super::definition::{Contract, Property, PropertyKind};
use super::load::{BUILT_IN, built_in};

impl Contract {
    /// Whether it equals a built-in contract.
    #[must_use]
    pub fn is_built_in(&self) -> bool {
        load_built_in().any(|built_in| built_in == *self)
    }

    /// Its audiences that no built-in contract has.
    pub fn own_audiences(&self) -> impl Iterator<Item = &str> {
        let built_in: Vec<String> = load_built_in().flat_map(|built_in| built_in.audiences).collect();
        self.audiences.iter().filter(move |audience| !built_in.contains(audience)).map(String::as_str)
    }

    /// Checks that it extends a built-in contract as a user's file may: with the same operations, names, permissions
    /// and properties, and no looser quota.
    ///
    /// # Errors
    /// The forbidden change.
    pub fn expect_extension(&self) -> Result<(), String> {
        let mut why = None;
        for base in load_built_in() {
            let Err(change) = self.expect_within(&base) else { return Ok(()) };
            if why.is_none() || self.is_same_api(&base) {
                why = Some(change);
            }
        }
        Err(why.unwrap_or_else(|| "no built-in contract".to_owned()))
    }

    /// Whether its quota is looser than that of the built-in contract that it extends, which only a user's contract file
    /// may do.
    #[must_use]
    pub fn has_loosened_quota(&self) -> bool {
        !load_built_in().any(|base| self.expect_within(&base).is_ok() && self.quota.is_within(&base.quota))
    }

    /// Checks that it changes only what rows mean: that it extends a built-in contract, and has its origin, quota and
    /// audiences.
    ///
    /// # Errors
    /// The first other change.
    pub fn expect_same_service(&self) -> Result<(), String> {
        self.expect_extension()?;
        let mut why = Ok(());
        for base in load_built_in().filter(|base| self.expect_within(base).is_ok()) {
            why = if self.origin != base.origin {
                Err(format!("it has another origin, `{}`", self.origin))
            } else if self.quota != base.quota {
                Err(format!("it has another quota, `{}`", self.quota))
            } else if self.audiences != base.audiences {
                Err(format!("it has other audiences, `{}`", self.audiences.join("`, `")))
            } else {
                return Ok(());
            };
        }
        why
    }

    fn expect_within(&self, base: &Contract) -> Result<(), String> {
        let known = &base.operations;
        let own = &self.operations;
        for (own, known) in [(&own.update, &known.update), (&own.read, &known.read), (&own.list, &known.list)] {
            if own.path != known.path {
                return Err(format!(
                    "its contract has the path `{}`, and no contract may have another than `{}`",
                    own.path, known.path
                ));
            }
        }
        if self.operations != *known {
            return Err("its contract has other operations than a built-in one".to_owned());
        }
        if self.api != base.api {
            return Err("its contract has other names for members than a built-in one".to_owned());
        }
        if self.resolving != base.resolving {
            return Err("its contract has another `resolving` than a built-in one".to_owned());
        }
        if self.quota_limit != base.quota_limit {
            return Err("its contract has another `quota-limit` than a built-in one".to_owned());
        }
        let limit = base.quota_limit.as_ref().unwrap_or(&base.quota);
        if !self.quota.is_within(limit) {
            return Err(format!("its contract has the quota `{}`, which exceeds `{limit}`", self.quota));
        }
        let permissions = |contract: &Contract| {
            [
                contract.permission_application.clone(),
                contract.permission_delegated.clone(),
                contract.read_application.clone(),
                contract.read_delegated.clone(),
            ]
        };
        if permissions(self) != permissions(base) {
            return Err("its contract has other permissions than a built-in one".to_owned());
        }
        for property in &self.properties {
            let known = base.property(&property.name);
            let is_like = |known: &Property| {
                let plain = |property: &Property| Property { kind: PropertyKind::Text, ..property.clone() };
                plain(property) == plain(known) && property.kind.is_like(&known.kind)
            };
            if !known.is_some_and(is_like) {
                return Err(format!("its contract has a property `{}` that no built-in one has", property.name));
            }
        }
        for (at, property) in self.properties.iter().enumerate() {
            if self.properties[..at].iter().any(|other| other.name == property.name) {
                return Err(format!("its contract has the property `{}` twice", property.name));
            }
        }
        Ok(())
    }
}

impl PropertyKind {
    /// Whether both have the same kind, whatever the values of a choice.
    fn is_like(&self, other: &PropertyKind) -> bool {
        use PropertyKind::Choice;
        matches!((self, other), (Choice(_), Choice(_))) || self == other
    }
}

fn load_built_in() -> impl Iterator<Item = Contract> {
    BUILT_IN.iter().filter_map(|name| built_in(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::load;
    use crate::model::operation::{Method, OperationId};

    #[test]
    fn extension_with_a_forbidden_change_is_rejected() {
        let built_in = load("defender").expect("built in");
        assert_eq!(built_in.expect_extension(), Ok(()));
        assert!(built_in.is_built_in());
        let changed = |change: &dyn Fn(&mut Contract)| {
            let mut contract = built_in.clone();
            contract.name = "ours".to_owned();
            change(&mut contract);
            assert!(!contract.is_built_in());
            contract.expect_extension()
        };
        assert_eq!(changed(&|_| ()), Ok(()));
        assert_eq!(changed(&|contract| contract.quota = "1/1m,2/1h".parse().expect("a quota")), Ok(()));
        assert!(
            changed(&|contract| contract.operations.update.path = "/api/machines/{id}/isolate".to_owned()).is_err()
        );
        assert!(changed(&|contract| contract.operations.list.method = Method::Post).is_err());
        assert!(changed(&|contract| contract.operations.comment = Some(contract.operations.update.clone())).is_err());
        assert!(changed(&|contract| contract.properties[0].operation = OperationId::Comment).is_err());
        assert!(changed(&|contract| contract.api.incident.id = "number".to_owned()).is_err());
        assert!(changed(&|contract| contract.quota = "100000/1s".parse().expect("a quota")).is_err());
        assert!(changed(&|contract| contract.permission_delegated = "User.Read".to_owned()).is_err());
        assert!(changed(&|contract| contract.properties[0].name = "action".to_owned()).is_err());
        assert!(changed(&|contract| contract.properties[0].kind = PropertyKind::Text).is_err());
        assert!(changed(&|contract| contract.properties.push(built_in.properties[0].clone())).is_err());
    }

    #[test]
    fn quota_may_be_loosened_up_to_the_limit() {
        let graph = load("graph").expect("built in");
        let with =
            |quota: &str| Contract { name: "ours".to_owned(), quota: quota.parse().expect("a quota"), ..graph.clone() };
        for (quota, is_allowed, is_looser) in [
            ("50/1m,1500/1h", true, false),
            ("10/1m", true, false),
            ("150/1m", true, true),
            ("100/1m,2000/1h", true, true),
            ("151/1m", false, true),
            ("200/1m,9000/1h", false, true),
        ] {
            let contract = with(quota);
            let found = (contract.expect_extension().is_ok(), contract.has_loosened_quota());
            assert_eq!(found, (is_allowed, is_looser), "{quota}");
            assert_eq!(contract.expect_same_service().is_ok(), quota == "50/1m,1500/1h", "{quota}");
        }
        let unlimited = Contract { quota_limit: Some("9000/1m".parse().expect("a quota")), ..with("9000/1m") };
        unlimited.expect_extension().expect_err("a limit of its own");
        let renamed = |change: &dyn Fn(&mut Contract)| {
            let mut contract = with("10/1m");
            change(&mut contract);
            contract.expect_extension().expect_err("another request");
        };
        renamed(&|contract| contract.properties[4].member = None);
        renamed(&|contract| contract.properties[1].clear_with_null = false);
        renamed(&|contract| contract.properties[6].column = None);
        renamed(&|contract| contract.operations.read.headers.clear());
    }

    #[test]
    fn contract_of_same_service_keeps_its_target() {
        for name in BUILT_IN {
            let built_in = load(name).expect("built in");
            let changed = |change: &dyn Fn(&mut Contract)| {
                let mut contract = built_in.clone();
                contract.name = "ours".to_owned();
                change(&mut contract);
                contract.expect_same_service()
            };
            let set_dependencies = |contract: &mut Contract| contract.dependencies.clear();
            assert_eq!(changed(&set_dependencies), Ok(()));
            for change in [
                &(|contract: &mut Contract| contract.origin = "https://evil.example".to_owned())
                    as &dyn Fn(&mut Contract),
                &|contract| contract.quota = "1/1m,2/1h".parse().expect("a quota"),
                &|contract| contract.audiences.push("https://evil.example".to_owned()),
                &|contract| contract.operations.update.path = "/api/machines/{id}/isolate".to_owned(),
                &|contract| contract.read_application = "User.Read".to_owned(),
                &|contract| contract.api.incident.id = "number".to_owned(),
            ] {
                changed(change).expect_err("more than what rows mean");
            }
        }
    }
}
