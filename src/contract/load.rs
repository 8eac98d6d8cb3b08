//! Finding a contract: a built-in one by its name, or a user's TOML file that extends one.
//!
//! Promises: a user's file can't loosen the quota of the contract that it extends, or change its operations and names;
//! an error names the file and the line.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::definition::{Choice, Contract, Dependency, PropertyKind};
use super::file::{ChoiceEntry, ContractFile, DependencyEntry, Extension};
use crate::model::quota_spec::Quota;
use crate::text::printable;

/// The names of the built-in contracts; the first is the default.
pub const BUILT_IN: [&str; 3] = ["defender-classic", "defender", "graph"];

/// In bytes. A user's contract is a page or two; a longer file is something else, or endless.
const LONGEST_FILE: u64 = 1024 * 1024;

/// Why there is no such contract.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// Neither a built-in contract nor a file.
    #[error("no contract is named `{}`: enter {}, or the path of a TOML file", printable(.name), BUILT_IN.join(", "))]
    Unknown {
        /// The name as it was typed.
        name: String,
    },
    /// The file can't be read.
    #[error("cannot read the contract `{}`: {source}", printable(&.path.to_string_lossy()))]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not a contract.
    #[error("{}{}: {message}", printable(&.path.to_string_lossy()), .line.map(|line| format!(":{line}")).unwrap_or_default())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// The line, from 1, if known.
        line: Option<usize>,
        /// What is wrong, safe to print.
        message: String,
    },
}

/// The contract of this name, or of the TOML file at this path.
///
/// # Errors
/// See [`ContractError`].
pub fn load(name_or_file: &str) -> Result<Contract, ContractError> {
    if let Some(contract) = built_in(name_or_file) {
        return Ok(contract);
    }
    let path = Path::new(name_or_file);
    let looks_like_a_path = name_or_file.contains(['/', '.']);
    if !looks_like_a_path && !path.exists() {
        return Err(ContractError::Unknown { name: name_or_file.to_owned() });
    }
    let text = read(path).map_err(|source| ContractError::Unreadable { path: path.to_owned(), source })?;
    extend(&text).map_err(|Wrong { offset, message }| ContractError::Invalid {
        path: path.to_owned(),
        line: offset.map(|offset| text.as_bytes()[..offset.min(text.len())].split(|byte| *byte == b'\n').count()),
        message: printable(&message).into_owned(),
    })
}

/// Whether a built-in contract adds the values of this property to existing ones. No other contract has properties of
/// its own.
#[must_use]
pub fn is_appended(property: &str) -> bool {
    BUILT_IN_FILES.iter().any(|file| file.appends(property))
}

/// The built-in contract of this name.
pub(super) fn built_in(name: &str) -> Option<Contract> {
    let place = BUILT_IN.iter().position(|known| *known == name)?;
    Some(BUILT_IN_FILES[place].clone().into_contract().expect("the tests read every built-in contract"))
}

/// The built-in contracts as files.
pub(super) fn built_in_files() -> &'static [ContractFile] {
    &*BUILT_IN_FILES
}

/// In the order of [`BUILT_IN`], read once.
static BUILT_IN_FILES: LazyLock<[ContractFile; 3]> = LazyLock::new(|| {
    [include_str!("defender-classic.toml"), include_str!("defender.toml"), include_str!("graph.toml")]
        .map(|text| toml::from_str(text).expect("the tests read every built-in contract"))
});

fn read(path: &Path) -> std::io::Result<String> {
    use std::io::Read as _;
    // Reading a pipe would block.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let mut text = String::new();
    let read = crate::files::open_input(path)?.take(LONGEST_FILE + 1).read_to_string(&mut text)?;
    if read as u64 > LONGEST_FILE { Err(std::io::Error::other("it is larger than 1 MiB")) } else { Ok(text) }
}

/// What is wrong with a user's file, and at which byte.
struct Wrong {
    offset: Option<usize>,
    message: String,
}

fn extend(text: &str) -> Result<Contract, Wrong> {
    let extension: Extension = toml::from_str(text)
        .map_err(|error| Wrong { offset: error.span().map(|span| span.start), message: error.message().to_owned() })?;
    // The TOML is valid from here on: a problem is located by searching for its text.
    let at = |wanted: &str, message: String| Wrong { offset: text.rfind(&format!("\"{wanted}\"")), message };
    let base = &extension.extends;
    let mut contract = built_in(base).ok_or_else(|| {
        at(base, format!("`extends` names no built-in contract: `{base}`; enter {}", BUILT_IN.join(" or ")))
    })?;
    contract.name = extension.name.unwrap_or_else(|| format!("{base} (extended)"));
    if BUILT_IN.contains(&contract.name.as_str()) {
        let name = &contract.name;
        return Err(at(name, format!("`{name}` is the name of a built-in contract: choose another")));
    }
    contract.title = extension.title.unwrap_or(contract.title);
    if let Some(origin) = extension.origin {
        contract.origin = checked_origin(&origin).map_err(|message| at(&origin, message))?;
    }
    if let Some(audiences) = extension.audiences {
        if let Some(empty) = audiences.iter().find(|audience| audience.trim().is_empty()) {
            return Err(at(empty, "an audience is empty".to_owned()));
        }
        contract.audiences = audiences;
    }
    if let Some(quota) = extension.quota {
        let parsed: Quota = quota.parse().map_err(|error| at(&quota, format!("{error}")))?;
        let limit = contract.quota_limit.as_ref().unwrap_or(&contract.quota);
        if !parsed.is_within(limit) {
            let whose = if contract.quota_limit.is_some() { "the limit" } else { "that" };
            return Err(at(&quota, format!("the quota `{quota}` exceeds {whose} of `{base}`, `{limit}`")));
        }
        contract.quota = parsed;
    }
    for property in extension.properties {
        let known = contract.properties.iter_mut().find(|known| known.name == property.name);
        let Some(known) = known else {
            return Err(at(&property.name, format!("`{base}` has no property `{}`", property.name)));
        };
        let PropertyKind::Choice(choices) = &mut known.kind else {
            return Err(at(&property.name, format!("`{}` accepts any text: it has no values", property.name)));
        };
        property.values.into_iter().for_each(|entry| add_choice(choices, entry));
        check_spellings(choices).map_err(|(spelling, message)| at(&spelling, message))?;
    }
    for entry in extension.dependencies {
        add_dependency(&mut contract, entry).map_err(|(name, message)| at(&name, message))?;
    }
    Ok(contract)
}

/// Adds a value, or new aliases and doubts to an existing one.
fn add_choice(choices: &mut Vec<Choice>, entry: ChoiceEntry) {
    match choices.iter_mut().find(|choice| choice.value == entry.value) {
        Some(choice) => {
            choice.aliases.extend(entry.aliases);
            if let Some(doubtful) = entry.doubtful {
                choice.doubtful = Some(doubtful).filter(|doubtful| !doubtful.is_empty());
                choice.doubtful_spelling = entry.doubtful_spelling;
            }
        }
        None => choices.push(entry.into()),
    }
}

/// Whether each spelling, whatever its case, means one value.
fn check_spellings(choices: &[Choice]) -> Result<(), (String, String)> {
    let mut meanings = HashMap::new();
    for choice in choices {
        for spelling in choice.aliases.iter().chain([&choice.value]) {
            let value = &choice.value;
            if spelling.trim().is_empty() || spelling.trim() != spelling {
                let message = format!("`{spelling}` is empty, or has white space at an end");
                return Err((spelling.clone(), message));
            }
            match meanings.insert(spelling.to_lowercase(), value) {
                Some(other) if other != value => {
                    return Err((spelling.clone(), format!("`{spelling}` would mean both `{other}` and `{value}`")));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// Replaces the lists of the same values.
fn add_dependency(contract: &mut Contract, entry: DependencyEntry) -> Result<(), (String, String)> {
    let knows = |property: &str, value: &str| match contract.property(property).map(|property| &property.kind) {
        Some(PropertyKind::Choice(choices)) => choices.iter().any(|choice| choice.value == value),
        _ => false,
    };
    for (on, values) in &entry.allowed {
        if !knows(&entry.on, on) {
            return Err((entry.on.clone(), format!("`{}` has no value `{on}`", entry.on)));
        }
        if let Some(value) = values.iter().find(|value| !knows(&entry.property, value)) {
            return Err((value.clone(), format!("`{}` has no value `{value}`", entry.property)));
        }
    }
    let same = |known: &&mut Dependency| known.property == entry.property && known.on == entry.on;
    match contract.dependencies.iter_mut().find(same) {
        Some(there) => {
            there.allowed.retain(|(on, _)| !entry.allowed.contains_key(on));
            there.allowed.extend(entry.allowed);
        }
        None => contract.dependencies.push(entry.into()),
    }
    Ok(())
}

/// An origin is a scheme, a host and perhaps a port. The client decides whether http is allowed.
fn checked_origin(origin: &str) -> Result<String, String> {
    let origin = origin.strip_suffix('/').unwrap_or(origin);
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
    let plain = |host: &str| {
        !host.is_empty() && !host.contains(['/', '?', '#', '@', '\\']) && !host.contains(char::is_whitespace)
    };
    match host {
        Some(host) if plain(host) => Ok(origin.to_owned()),
        _ => Err(format!("`{origin}` is not an origin: enter `https://` and the host, without a path")),
    }
}

impl Contract {
    /// Reads a contract that [`Contract::to_toml`] wrote, as a run stores it. What an earlier revision lacks is taken
    /// from the built-in contract that it names or extends.
    ///
    /// # Errors
    /// The problem, if the text is not a whole contract, or has an earlier format and extends no built-in contract.
    pub fn from_toml(text: &str) -> Result<Contract, String> {
        let mut file: ContractFile = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        if !file.hosts.is_empty() || !file.absent.is_empty() || file.portal.is_some() {
            return Err("`hosts`, `absent` and `portal` belong to built-in contracts only".to_owned());
        }
        if file.path.is_some() && (file.operations.is_some() || file.api.is_some()) {
            return Err("`path` belongs to contract format 1, `operations` and `api` to format 2".to_owned());
        }
        if let Some(path) = file.path.take() {
            file.complete(&path)?;
        }
        if file.resolving.is_none()
            && let Some(own) = &file.operations
            && let Some(base) = BUILT_IN_FILES.iter().find(|base| base.is_of_api(&own.update.path))
        {
            file.resolving.clone_from(&base.resolving);
        }
        file.into_contract()
    }

    /// The contract as TOML, as a built-in one is written.
    ///
    /// # Panics
    /// Never: names, texts and lists can all be written as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        toml::to_string(&ContractFile::from(self)).expect("names, texts and lists can all be written as TOML")
    }
}

impl ContractFile {
    /// Takes what contract format 1 lacks from the built-in contract of this name, else from the first one with
    /// this path.
    ///
    /// # Errors
    /// If no built-in contract has the path: this one can't be completed.
    fn complete(&mut self, path: &str) -> Result<(), String> {
        let fits = |base: &&ContractFile| base.is_of_api(path);
        let named = BUILT_IN_FILES.iter().filter(|base| base.name == self.name);
        let base = named.chain(BUILT_IN_FILES.iter()).find(fits).ok_or_else(|| {
            format!("its contract, of format 1, has the path `{path}`, which no built-in contract has")
        })?;
        self.operations.clone_from(&base.operations);
        self.api.clone_from(&base.api);
        // The earliest contracts lack these too.
        if self.permissions.read_application.is_empty() {
            self.audiences.clone_from(&base.audiences);
            self.permissions.read_application.clone_from(&base.permissions.read_application);
            self.permissions.read_delegated.clone_from(&base.permissions.read_delegated);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices<'a>(contract: &'a Contract, property: &str) -> Vec<&'a str> {
        match &contract.property(property).expect("a property of every contract").kind {
            PropertyKind::Choice(choices) => choices.iter().map(|choice| choice.value.as_str()).collect(),
            _ => Vec::new(),
        }
    }

    fn allowed(contract: &Contract, classification: &str) -> Vec<String> {
        let lists = &contract.dependencies[0].allowed;
        lists.iter().find(|(on, _)| on == classification).map(|(_, values)| values.clone()).unwrap_or_default()
    }

    fn message(text: &str) -> (Option<usize>, String) {
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
        std::fs::write(file.path(), text).expect("a temporary file takes bytes");
        match load(&file.path().to_string_lossy()) {
            Err(ContractError::Invalid { line, message, .. }) => (line, message),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn defender_classic_matches_the_older_api_page() {
        let contract = load("defender-classic").expect("built in");
        assert_eq!(contract.quota.to_string(), "50/1m,1500/1h");
        let names: Vec<_> = contract.properties.iter().map(|property| property.name.as_str()).collect();
        assert_eq!(names, ["status", "assignedTo", "classification", "determination", "tags", "comment"]);
        assert_eq!(choices(&contract, "status"), ["Active", "Resolved", "Redirected"]);
        assert_eq!(choices(&contract, "classification"), ["Unknown", "FalsePositive", "TruePositive"]);
        let determinations =
            ["NotAvailable", "Apt", "Malware", "SecurityPersonnel", "SecurityTesting", "UnwantedSoftware", "Other"];
        assert_eq!(choices(&contract, "determination"), determinations);
        assert_eq!(allowed(&contract, "TruePositive"), determinations);
        assert_eq!(allowed(&contract, "FalsePositive"), [""; 0]);
    }

    #[test]
    fn graph_matches_its_api_pages() {
        let contract = load("graph").expect("built in");
        assert_eq!(Contract::from_toml(&contract.to_toml()).as_ref(), Ok(&contract));
        assert_eq!(contract.origin, "https://graph.microsoft.com");
        assert_eq!(contract.audiences, ["https://graph.microsoft.com", "00000003-0000-0000-c000-000000000000"]);
        assert_eq!(contract.quota.to_string(), "50/1m,1500/1h");
        assert_eq!(contract.quota_limit.as_ref().map(ToString::to_string).as_deref(), Some("150/1m"));
        let permissions = [&contract.permission_application, &contract.permission_delegated];
        assert_eq!(permissions, ["SecurityIncident.ReadWrite.All"; 2]);
        assert_eq!([&contract.read_application, &contract.read_delegated], ["SecurityIncident.Read.All"; 2]);
        assert_eq!(contract.api.list.page_sizes, [50, 25, 10, 1]);
        assert_eq!(contract.api.list.filters.unassigned.as_deref(), Some("assignedTo eq null"));
        let classic = ["defender-classic", "defender"].map(|name| load(name).expect("built in"));
        assert!(classic[0].is_same_api(&classic[1]) && !classic[0].is_same_api(&contract));
    }

    #[test]
    fn quota_of_graph_is_loosened_by_file_only() {
        let extension = |quota: &str| format!("extends = \"graph\"\nname = \"ours\"\nquota = \"{quota}\"\n");
        let file = tempfile::Builder::new().suffix(".toml").tempfile().expect("a temporary file");
        std::fs::write(file.path(), extension("150/1m")).expect("a temporary file takes bytes");
        let contract = load(&file.path().to_string_lossy()).expect("within the limit");
        assert_eq!(contract.quota.to_string(), "150/1m");
        let exceeds = "the quota `151/1m` exceeds the limit of `graph`, `150/1m`".to_owned();
        assert_eq!(message(&extension("151/1m")), (Some(3), exceeds));
        let limit = "extends = \"graph\"\nquota-limit = \"500/1m\"\n";
        assert!(message(limit).1.contains("unknown field"), "{:?}", message(limit));
    }

    #[test]
    fn defender_matches_the_current_api_page() {
        let contract = load("defender").expect("built in");
        assert_eq!(choices(&contract, "status"), ["Active", "InProgress", "Resolved", "Redirected"]);
        assert_eq!(
            choices(&contract, "classification"),
            ["TruePositive", "InformationalExpectedActivity", "FalsePositive"]
        );
        assert_eq!(
            allowed(&contract, "TruePositive"),
            [
                "MultiStagedAttack",
                "MaliciousUserActivity",
                "CompromisedAccount",
                "Malware",
                "Phishing",
                "UnwantedSoftware",
                "Other"
            ]
        );
        assert_eq!(
            allowed(&contract, "InformationalExpectedActivity"),
            ["SecurityTesting", "LineOfBusinessApplication", "ConfirmedActivity", "Other"]
        );
        assert_eq!(
            allowed(&contract, "FalsePositive"),
            ["Clean", "NotMalicious", "NoEnoughDataToValidate", "NotEnoughDataToValidate", "Other"]
        );
        let PropertyKind::Choice(determinations) = &contract.property("determination").expect("there").kind else {
            panic!("a choice")
        };
        let doubtful = determinations.iter().filter(|choice| choice.doubtful.is_some());
        let doubtful: Vec<_> = doubtful.map(|choice| (choice.value.as_str(), choice.doubtful_spelling)).collect();
        assert_eq!(doubtful, [("Clean", false), ("NoEnoughDataToValidate", true), ("NotEnoughDataToValidate", true)]);
    }

    #[test]
    fn built_in_contracts_round_trip_through_toml() {
        for name in BUILT_IN {
            let contract = load(name).expect("built in");
            assert_eq!(contract.name, name);
            let file: ContractFile = toml::from_str(&contract.to_toml()).expect("it was just written");
            assert_eq!(file.into_contract().expect("a quota"), contract);
            let sizes = &contract.api.list.page_sizes;
            assert!(!sizes.is_empty() && sizes.is_sorted_by(|one, next| one > next) && sizes.last() == Some(&1));
            assert_eq!(checked_origin(&contract.origin).as_ref(), Ok(&contract.origin));
            for property in &contract.properties {
                if let PropertyKind::Choice(choices) = &property.kind {
                    assert_eq!(check_spellings(choices), Ok(()));
                }
            }
            for dependency in &contract.dependencies {
                for (on, values) in &dependency.allowed {
                    assert!(choices(&contract, &dependency.on).contains(&on.as_str()), "{on}");
                    for value in values {
                        assert!(choices(&contract, &dependency.property).contains(&value.as_str()), "{value}");
                    }
                }
            }
        }
    }

    /// `contract-format-1.toml` is what revision 7a4bdfe stored for a user's file that extends `defender`.
    #[test]
    fn stored_contract_of_format_1_is_completed() {
        let stored = include_str!("../../tests/stored/contract-format-1.toml");
        let contract = Contract::from_toml(stored).expect("complete");
        let base = load("defender").expect("built in");
        assert_eq!((contract.name.as_str(), contract.quota.to_string().as_str()), ("ours", "40/1m,1000/1h"));
        assert_eq!((&contract.operations, &contract.api), (&base.operations, &base.api));
        assert_eq!(contract.expect_extension(), Ok(()));
        assert_eq!(Contract::from_toml(&contract.to_toml()).as_ref(), Ok(&contract));
        // Earlier revisions had no audiences, and no permission to read.
        let is_later = |line: &&str| ["audiences", "read_"].iter().any(|new| line.starts_with(new));
        let earlier: Vec<&str> = stored.lines().filter(|line| !is_later(line)).collect();
        assert_eq!(earlier.len(), stored.lines().count() - 3);
        assert_eq!(Contract::from_toml(&earlier.join("\n")), Ok(contract));
    }

    #[test]
    fn incomplete_contract_is_refused_by_its_format() {
        let stored = include_str!("../../tests/stored/contract-format-1.toml");
        for (text, says) in [
            (
                stored.replace("/api/incidents/{id}", "/api/machines/{id}"),
                "format 1, has the path `/api/machines/{id}`",
            ),
            (stored.replace("path = ", "# path = "), "it has no `operations`"),
            (load("defender").expect("built in").to_toml() + "\n[filters]\n", "unknown field `filters`"),
        ] {
            let why = Contract::from_toml(&text).expect_err(says);
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn user_file_extends_its_base_contract() {
        let Ok(contract) = extend(
            r#"
            extends = "defender"
            name = "ours"
            origin = "https://api-eu.security.microsoft.com/"
            audiences = ["https://api-eu.security.microsoft.com"]
            quota = "40/1m,1000/1h"
            [[properties]]
            name = "determination"
            values = [
                { value = "Clean", doubtful = "" },
                { value = "Benign", aliases = ["Harmless"] },
            ]
            [[dependencies]]
            property = "determination"
            on = "classification"
            allowed.FalsePositive = ["Benign", "Other"]
            "#,
        ) else {
            panic!("a sound file")
        };
        assert_eq!(contract.name, "ours");
        assert_eq!(contract.origin, "https://api-eu.security.microsoft.com");
        assert_eq!(contract.quota.to_string(), "40/1m,1000/1h");
        assert_eq!(contract.audiences, ["https://api-eu.security.microsoft.com"]);
        assert_eq!(contract.read_delegated, "Incident.Read");
        assert!(choices(&contract, "determination").contains(&"Benign"));
        assert_eq!(allowed(&contract, "FalsePositive"), ["Benign", "Other"]);
        assert_eq!(allowed(&contract, "TruePositive").len(), 7);
    }

    #[test]
    fn user_file_error_names_its_line() {
        for (text, line, part) in [
            ("extends = \"defender\"\nqouta = \"1/1m\"\n", 2, "unknown field `qouta`"),
            ("extends = \"defender\"\n\nquota = \"60/1m\"\n", 3, "exceeds"),
            ("extends = \"graphs\"\n", 1, "no built-in contract"),
            ("extends = \"defender\"\norigin = \"http://h/path\"\n", 2, "not an origin"),
            ("extends = \"defender\"\n[[properties]]\nname = \"severity\"\nvalues = []\n", 3, "no property"),
            ("extends = \"defender\"\nname = \"defender\"\n", 2, "built-in"),
            ("extends = [", 1, ""),
            ("extends = \"defender\"\n[api.incident]\nid = \"number\"\n", 2, "unknown field `api`"),
            ("extends = \"defender\"\n[operations]\n", 2, "unknown field `operations`"),
            ("extends = \"defender\"\npath = \"/other\"\n", 2, "unknown field `path`"),
            (
                "extends = \"defender\"\n[[properties]]\nname = \"status\"\nvalues = [\n\
                 { value = \"Resolved\", aliases = [\"active\"] }]\n",
                5,
                "would mean both",
            ),
        ] {
            let (at, message) = message(text);
            assert_eq!(at, Some(line), "{text}: {message}");
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn unknown_contract_name_lists_the_known_ones() {
        let error = load("defnder").expect_err("no such contract");
        assert_eq!(
            error.to_string(),
            "no contract is named `defnder`: enter defender-classic, defender, graph, or the path of a TOML file"
        );
        assert!(matches!(load("no/such.toml"), Err(ContractError::Unreadable { .. })));
    }
}
