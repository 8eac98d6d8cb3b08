//! The rules of one API, typed.

use serde::{Deserialize, Serialize};

use super::api::Api;
use crate::model::change::IncidentId;
use crate::model::cloud::Cloud;
use crate::model::edit::Spelling;
use crate::model::operation::{OperationId, Operations};
use crate::model::quota_spec::Quota;

/// What one API accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    /// `defender-classic`, or the name in a user's file.
    pub name: String,
    /// What it is, in a sentence.
    pub title: String,
    /// Where the API is, without a path: `https://api.security.microsoft.com`.
    pub origin: String,
    /// Its operations.
    pub operations: Operations,
    /// The names in its requests and responses.
    pub api: Api,
    /// What a token for this API names as its audience (`aud`), with or without a slash at its end.
    pub audiences: Vec<String>,
    /// The permission that an application needs to update.
    pub permission_application: String,
    /// The permission that a signed-in user needs to update.
    pub permission_delegated: String,
    /// The permission that is enough for an application to read.
    pub read_application: String,
    /// The permission that is enough for a signed-in user to read.
    pub read_delegated: String,
    /// The API's own limits.
    pub quota: Quota,
    /// How far a user's contract file may loosen them, and nothing else; `None`: not at all.
    pub quota_limit: Option<Quota>,
    /// The members of an incident that identify it for people. They are read and shown, and never sent.
    pub context: Vec<String>,
    /// The properties that can be set, in the order in which they are sent.
    pub properties: Vec<Property>,
    /// Which values of one property require which values of another in the same row.
    pub dependencies: Vec<Dependency>,
    /// When a row resolves its incident.
    pub resolving: Option<Resolving>,
}

/// When a row resolves its incident, and what its comment can be sent as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolving {
    /// A row resolves its incident if it sets this property …
    pub property: String,
    /// … to this value.
    pub value: String,
    /// The property that the comment becomes with `--comment-as resolving`, if the API has one for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

/// One property of an incident that can be set. Unless it has others, its name is the API's member and, in any case and
/// spacing, the column's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    /// Its name in files, options and messages.
    pub name: String,
    /// What it holds.
    pub kind: PropertyKind,
    /// The operation that sets it.
    pub operation: OperationId,
    /// The API's member, if it has another name.
    pub member: Option<String>,
    /// The only column that sets it, if that has another name: a column with the property's own name is context.
    pub column: Option<String>,
    /// Whether `<clear>` sends `null`, not an empty value.
    pub clear_with_null: bool,
}

impl Property {
    /// A property whose member and column have its name, set by the update.
    #[must_use]
    pub fn new(name: &str, kind: PropertyKind) -> Property {
        Property {
            name: name.to_owned(),
            kind,
            operation: OperationId::Update,
            member: None,
            column: None,
            clear_with_null: false,
        }
    }

    /// The API's member.
    #[must_use]
    pub fn member(&self) -> &str {
        self.member.as_deref().unwrap_or(&self.name)
    }

    /// The column that sets it.
    #[must_use]
    pub fn column(&self) -> &str {
        self.column.as_deref().unwrap_or(&self.name)
    }
}

/// What a property holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PropertyKind {
    /// One of these values.
    Choice(Vec<Choice>),
    /// Any text, replaced as a whole; `<clear>` sends `""` or `null`.
    Text,
    /// A list of texts, replaced as a whole; `<clear>` sends `[]`.
    List,
    /// A text that is added to existing ones (a comment). `shown_in` is the member of an incident that lists
    /// them.
    Append {
        /// `comments`
        shown_in: String,
    },
}

/// One value of a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// As the API spells it.
    pub value: String,
    /// Other accepted spellings, the portal's label among them; in any case.
    pub aliases: Vec<String>,
    /// Why it may be refused or cause harm: a warning.
    pub doubtful: Option<String>,
    /// Whether only its spelling is in doubt: then an alias, whose meaning is certain, gives no warning.
    pub doubtful_spelling: bool,
    /// Values that the service may show instead.
    pub same_as: Vec<String>,
}

/// Values that are equal to the API, by property.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SameAs(Vec<(String, Vec<String>)>);

impl SameAs {
    /// Whether two values of a property are equal, in any case.
    #[must_use]
    pub fn holds(&self, property: &str, one: &str, other: &str) -> bool {
        let is_in = |values: &[String], wanted: &str| values.iter().any(|value| value.eq_ignore_ascii_case(wanted));
        let mut groups = self.0.iter().filter(|(of, _)| of == property).map(|(_, values)| values);
        groups.any(|values| is_in(values, one) && is_in(values, other))
    }
}

/// Values of `property` need `on` to be set in the same row, to one of the values listed for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// `determination`
    pub property: String,
    /// `classification`
    pub on: String,
    /// Whether other values, and a missing `on`, only give a warning.
    pub advisory: bool,
    /// For each value of `on`, the values of `property` that are valid with it. A value of `on` that is not listed
    /// allows none.
    pub allowed: Vec<(String, Vec<String>)>,
}

/// A host at which an API is known to be. Requests go there by https, at the usual port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// In lower case.
    pub name: String,
    /// The clouds whose tenants it serves.
    pub clouds: Vec<Cloud>,
    /// The region, if it is for one.
    pub region: Option<String>,
    /// What a token for it names, if that is not what the contract says.
    #[serde(default)]
    pub(super) audiences: Vec<String>,
}

/// A cloud that an API is not in, as far as is known.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absence {
    /// The cloud.
    pub cloud: Cloud,
    /// The hosts there, which lack what this program needs.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Worded for a person.
    pub why: String,
}

impl Host {
    /// `https://graph.microsoft.us`
    #[must_use]
    pub fn origin(&self) -> String {
        format!("https://{}", self.name)
    }

    /// Whether it serves this cloud; and, if one is named, this region.
    #[must_use]
    pub fn is_in(&self, cloud: Cloud, region: Option<&str>) -> bool {
        self.clouds.contains(&cloud) && region.is_none_or(|region| self.region.as_deref() == Some(region))
    }
}

impl Contract {
    /// The API that it describes: contracts with the same one update the same incidents by the same requests.
    #[must_use]
    pub fn api_path(&self) -> &str {
        &self.operations.update.path
    }

    /// Whether both describe the same API.
    #[must_use]
    pub fn is_same_api(&self, other: &Contract) -> bool {
        self.api_path() == other.api_path()
    }

    /// The property of this name, spelled as in the API.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// Its values that are equal to the API, aliases included.
    #[must_use]
    pub fn same_as(&self) -> SameAs {
        let mut groups = Vec::new();
        for property in &self.properties {
            let PropertyKind::Choice(choices) = &property.kind else { continue };
            for choice in choices {
                let values =
                    [&choice.value].into_iter().chain(&choice.aliases).chain(&choice.same_as).cloned().collect();
                groups.push((property.name.clone(), values));
            }
        }
        SameAs(groups)
    }

    /// How bodies spell the properties that they don't spell in the usual way.
    #[must_use]
    pub fn spellings(&self) -> Vec<Spelling> {
        let unusual = self.properties.iter().filter(|property| property.member.is_some() || property.clear_with_null);
        let spelling = |property: &Property| Spelling {
            property: property.name.clone(),
            member: property.member().to_owned(),
            clear_with_null: property.clear_with_null,
        };
        unusual.map(spelling).collect()
    }

    /// The path that shows one incident.
    #[must_use]
    pub fn incident_path(&self, incident: IncidentId) -> String {
        self.operations.read.path_of(incident)
    }

    /// The property whose values are added (a comment), if there is one.
    #[must_use]
    pub fn appended(&self) -> Option<&str> {
        let appends = |property: &&Property| matches!(property.kind, PropertyKind::Append { .. });
        self.properties.iter().find(appends).map(|property| property.name.as_str())
    }
}
