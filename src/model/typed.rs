//! The options of a command line as they were typed: kept with a run, for the command that is suggested after it.
//!
//! Promises: nothing of it comes from a file, a variable or a default.

use serde::{Deserialize, Serialize};

/// One option: its long name (`--quota`), and its value if it takes one.
pub type TypedOption = (String, Option<String>);

/// The options of a command line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Typed(Vec<TypedOption>);

impl Typed {
    /// Adds an option as it was typed.
    pub fn push(&mut self, option: impl Into<String>, value: Option<String>) {
        self.0.push((option.into(), value));
    }

    /// Whether the option was typed.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.0.iter().any(|(name, _)| name == option)
    }

    /// Only the options that `keep` wants, by their names.
    #[must_use]
    pub fn filtered(&self, keep: impl Fn(&str) -> bool) -> Typed {
        Typed(self.0.iter().filter(|(name, _)| keep(name)).cloned().collect())
    }

    /// These options, and those of `others` that are missing here.
    #[must_use]
    pub fn or(&self, others: &Typed) -> Typed {
        let missing = others.0.iter().filter(|(name, _)| !self.has(name));
        Typed(self.0.iter().chain(missing).cloned().collect())
    }

    /// The options in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(options: &[(&str, Option<&str>)]) -> Typed {
        Typed(options.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect())
    }

    #[test]
    fn later_options_win_and_others_stay() {
        let kept = typed(&[("--quota", Some("2/1h")), ("--set", Some("a=1")), ("--set", Some("b=2")), ("--yes", None)]);
        let now = typed(&[("--quota", Some("1/1h"))]);
        let both = [("--quota", Some("1/1h")), ("--set", Some("a=1")), ("--set", Some("b=2")), ("--yes", None)];
        assert_eq!(now.or(&kept), typed(&both));
        assert_eq!(kept.filtered(|name| name != "--set").iter().count(), 2);
    }

    #[test]
    fn typed_options_are_kept_as_pairs() {
        let options = typed(&[("--quota", Some("2/1h")), ("--yes", None)]);
        let json = serde_json::to_string(&options).expect("plain data");
        assert_eq!(json, r#"[["--quota","2/1h"],["--yes",null]]"#);
        assert_eq!(serde_json::from_str::<Typed>(&json).expect("its own"), options);
    }
}
