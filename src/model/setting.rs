//! The options of a command, each with its value and origin: kept with a run, shown by reports, and repeated
//! by the next command if they were typed.
//!
//! Promises: they contain no secret, only that a secret is set.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Where a value comes from. In JSON it is the text that people read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Origin {
    /// Built in.
    Default,
    /// The contract.
    Contract,
    /// A settings file.
    File {
        /// Its path, as it is displayed: `~/.config/bulk-triage/config.toml`.
        path: String,
        /// The line, from 1.
        line: usize,
        /// The profile that sets it, if one does.
        profile: Option<String>,
    },
    /// An environment variable, by its name.
    Variable(String),
    /// The command line.
    Flag,
}

impl Origin {
    /// Journals of earlier revisions hold only what was typed.
    fn typed() -> Origin {
        Origin::Flag
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::Contract => f.write_str("contract"),
            Origin::File { path, line, profile: None } => write!(f, "{path}:{line}"),
            Origin::File { path, line, profile: Some(profile) } => write!(f, "{path}:{line} [profiles.{profile}]"),
            Origin::Variable(name) => write!(f, "env {name}"),
            Origin::Flag => f.write_str("flag"),
        }
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> String {
        origin.to_string()
    }
}

impl TryFrom<String> for Origin {
    type Error = String;

    fn try_from(text: String) -> Result<Origin, String> {
        Ok(match text.as_str() {
            "default" => Origin::Default,
            "contract" => Origin::Contract,
            "flag" => Origin::Flag,
            other => match other.strip_prefix("env ") {
                Some(name) => Origin::Variable(name.to_owned()),
                None => in_file(other).ok_or_else(|| format!("unknown origin of a setting: `{text}`"))?,
            },
        })
    }
}

/// `config.toml:5`, or `config.toml:5 [profiles.contoso]`
fn in_file(text: &str) -> Option<Origin> {
    let of_profile = text.strip_suffix(']').and_then(|text| text.split_once(" [profiles."));
    let (place, profile) = of_profile.map_or((text, None), |(place, profile)| (place, Some(profile.to_owned())));
    let (path, line) = place.rsplit_once(':')?;
    Some(Origin::File { path: path.to_owned(), line: line.parse().ok()?, profile })
}

/// One option. An option that can be repeated has a setting for each time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Its long name: `--quota`.
    pub name: String,
    /// Its value as it was written, if it takes one.
    pub value: Option<String>,
    /// The origin of the value.
    #[serde(default = "Origin::typed")]
    pub origin: Origin,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} {value} ({})", self.name, self.origin),
            None => write!(f, "{} ({})", self.name, self.origin),
        }
    }
}

/// The options of a command, in their order. An option that is not set is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(Vec<Setting>);

impl Settings {
    /// Adds one.
    pub fn push(&mut self, name: impl Into<String>, value: Option<String>, origin: Origin) {
        self.0.push(Setting { name: name.into(), value, origin });
    }

    /// Whether the option is set.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|setting| setting.name == name)
    }

    /// The origin of an option's value.
    #[must_use]
    pub fn origin(&self, name: &str) -> Option<&Origin> {
        self.0.iter().rfind(|setting| setting.name == name).map(|setting| &setting.origin)
    }

    /// The value of an option, the last one if it is repeated.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0.iter().rfind(|setting| setting.name == name)?.value.as_deref()
    }

    /// Only those that `keep` accepts.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&Setting) -> bool) -> Settings {
        Settings(self.0.iter().filter(|setting| keep(setting)).cloned().collect())
    }

    /// Only the typed ones.
    #[must_use]
    pub fn typed(&self) -> Settings {
        self.filtered(|setting| setting.origin == Origin::Flag)
    }

    /// Only those of these names, in the order of the names; each with its value as the next word.
    #[must_use]
    pub fn words_of(&self, names: &[&str]) -> Vec<String> {
        let named = names.iter().flat_map(|name| self.0.iter().filter(move |setting| setting.name == *name));
        named.flat_map(|setting| [setting.name.clone(), setting.value.clone().unwrap_or_default()]).collect()
    }

    /// These, and those of `others` that are missing here. `--no-compare` outranks the `--compare` of others.
    #[must_use]
    pub fn or(&self, others: &Settings) -> Settings {
        let missing = others.0.iter().filter(|other| !self.has(&other.name) && !self.has(&opposite(&other.name)));
        Settings(self.0.iter().chain(missing).cloned().collect())
    }

    /// Each, in their order.
    pub fn iter(&self) -> impl Iterator<Item = &Setting> {
        self.0.iter()
    }
}

/// The option that undoes a Boolean one: `--no-compare` for `--compare`, and the other way around.
#[must_use]
pub fn opposite(name: &str) -> String {
    match name.strip_prefix("--no-") {
        Some(positive) => format!("--{positive}"),
        None => format!("--no-{}", name.trim_start_matches('-')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(options: &[(&str, Option<&str>)]) -> Settings {
        let mut settings = Settings::default();
        for (name, value) in options {
            settings.push(*name, value.map(str::to_owned), Origin::Flag);
        }
        settings
    }

    #[test]
    fn later_options_win_and_others_stay() {
        let kept = typed(&[("--quota", Some("2/1h")), ("--set", Some("a=1")), ("--set", Some("b=2")), ("--yes", None)]);
        let now = typed(&[("--quota", Some("1/1h"))]);
        let both = [("--quota", Some("1/1h")), ("--set", Some("a=1")), ("--set", Some("b=2")), ("--yes", None)];
        assert_eq!(now.or(&kept), typed(&both));
        assert_eq!(kept.filtered(|setting| setting.name != "--set").iter().count(), 2);
        assert_eq!(kept.words_of(&["--set", "--quota"]), ["--set", "a=1", "--set", "b=2", "--quota", "2/1h"]);
        assert_eq!((kept.value("--set"), kept.value("--yes"), kept.value("--limit")), (Some("b=2"), None, None));
        assert_eq!(typed(&[("--no-yes", None)]).or(&typed(&[("--yes", None)])), typed(&[("--no-yes", None)]));
        assert_eq!(typed(&[("--yes", None)]).or(&typed(&[("--no-yes", None)])), typed(&[("--yes", None)]));
    }

    #[test]
    fn settings_are_kept_as_documented() {
        let mut settings = typed(&[("--yes", None)]);
        settings.push("--quota", Some("2/1h".to_owned()), Origin::Contract);
        settings.push("token", Some("(set)".to_owned()), Origin::Variable("BULK_TRIAGE_TOKEN".to_owned()));
        let file = |profile: Option<&str>| Origin::File {
            path: "a dir: x/config.toml".to_owned(),
            line: 5,
            profile: profile.map(str::to_owned),
        };
        settings.push("--compare", None, file(None));
        settings.push("--tenant", Some("contoso".to_owned()), file(Some("contoso [eu]")));
        let json = serde_json::to_string(&settings).expect("plain data");
        insta::assert_snapshot!(json, @r#"[{"name":"--yes","value":null,"origin":"flag"},{"name":"--quota","value":"2/1h","origin":"contract"},{"name":"token","value":"(set)","origin":"env BULK_TRIAGE_TOKEN"},{"name":"--compare","value":null,"origin":"a dir: x/config.toml:5"},{"name":"--tenant","value":"contoso","origin":"a dir: x/config.toml:5 [profiles.contoso [eu]]"}]"#);
        assert_eq!(serde_json::from_str::<Settings>(&json).expect("its own"), settings);
        serde_json::from_str::<Origin>(r#""guessed""#).expect_err("no origin");
        let shown: Vec<String> = settings.iter().map(ToString::to_string).collect();
        assert_eq!(shown[..3], ["--yes (flag)", "--quota 2/1h (contract)", "token (set) (env BULK_TRIAGE_TOKEN)"]);
    }

    #[test]
    fn pairs_of_earlier_revisions_are_typed_options() {
        let read: Settings = serde_json::from_str(r#"[["--quota","2/1h"],["--yes",null]]"#).expect("pairs");
        assert_eq!(read, typed(&[("--quota", Some("2/1h")), ("--yes", None)]));
    }
}
