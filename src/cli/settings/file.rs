//! One settings file: its values, each with its line.
//!
//! Promises: every key is known, allowed in this file, and has one value, or the error names its line. Errors show no value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::layers::{Layer, Place, SEND, is_of_command_line, is_path, names, place};
use super::variables::variable_of;
use crate::check::nearest;
use crate::cli::error::Error;
use crate::contract::BUILT_IN;
use crate::model::setting::Origin;
use crate::text::printable;

/// The table of profiles.
const PROFILES: &str = "profiles";

/// A key and its value.
type Entry<'t, 'i> = (&'t Spanned<Cow<'i, str>>, &'t Spanned<DeValue<'i>>);

/// A settings file that can be read.
#[derive(Clone, Debug)]
pub(super) struct SettingsFile {
    /// Its path.
    pub(super) path: PathBuf,
    /// Its path, as it is displayed.
    pub(super) shown: String,
    /// Whether it is a project file, which may not set everything.
    pub(super) is_project: bool,
}

/// What a settings file says.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// At its top level.
    pub(super) values: Layer,
    /// In each profile.
    pub(super) profiles: BTreeMap<String, Layer>,
}

impl SettingsFile {
    /// Parses its text.
    ///
    /// # Errors
    /// If it isn't TOML, or a key is unknown or not allowed here.
    pub(super) fn parse(&self, text: &str) -> Result<Content, Error> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let document = DeTable::parse(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            self.error(text, start, &printable(error.message().lines().next().unwrap_or_default()), None)
        })?;
        let mut content = Content::default();
        for (key, value) in in_order(document.get_ref()) {
            if key.get_ref() != PROFILES {
                self.add(text, (key, value), None, &mut content.values)?;
                continue;
            }
            if self.is_project {
                return Err(self.refusal(text, key, SEND, "name profiles in your own settings file"));
            }
            for (name, profile) in in_order(self.table(text, value, PROFILES)?) {
                let mut values = Layer::new();
                let shown = printable(name.get_ref()).into_owned();
                for entry in in_order(self.table(text, profile, &format!("{PROFILES}.{shown}"))?) {
                    self.add(text, entry, Some(&shown), &mut values)?;
                }
                content.profiles.insert(name.get_ref().clone().into_owned(), values);
            }
        }
        Ok(content)
    }

    /// The table that a value must be.
    fn table<'t, 'i>(&self, text: &str, value: &'t Spanned<DeValue<'i>>, name: &str) -> Result<&'t DeTable<'i>, Error> {
        let message = || format!("`{name}` must be a table, such as `[profiles.NAME]`");
        value.get_ref().as_table().ok_or_else(|| self.error(text, value.span().start, &message(), None))
    }

    /// Adds one entry of a table to a layer.
    fn add(&self, text: &str, (key, value): Entry<'_, '_>, profile: Option<&str>, to: &mut Layer) -> Result<(), Error> {
        let name = key.get_ref().as_ref();
        match (place(name), self.is_project) {
            (None, _) => return Err(self.unknown(text, key)),
            (Some(Place::OwnFiles(harm)), true) => {
                let own =
                    format!("set it in your own settings file, with {}, or on the command line", variable_of(name));
                return Err(self.refusal(text, key, harm, &own));
            }
            _ => {}
        }
        let wrong = |message: &str| self.error(text, value.span().start, message, None);
        let value = match value.get_ref() {
            DeValue::String(value) => value.to_string(),
            DeValue::Boolean(value) => value.to_string(),
            DeValue::Integer(value) => i128::from_str_radix(value.as_str(), value.radix())
                .map_err(|_| wrong(&format!("the number of `{name}` is too large")))?
                .to_string(),
            _ => return Err(wrong(&format!("`{name}` takes a text, a whole number, `true` or `false`"))),
        };
        if value.is_empty() {
            return Err(wrong(&format!("`{name}` is empty; to leave it unset, remove the line")));
        }
        let origin = Origin::File {
            path: self.shown.clone(),
            line: line_of(text, key.span().start),
            profile: profile.map(str::to_owned),
        };
        to.insert(format!("--{name}"), (self.relative(name, value), origin));
        Ok(())
    }

    /// A path is relative to its file.
    fn relative(&self, name: &str, value: String) -> OsString {
        let directory = self.path.parent().unwrap_or(Path::new(""));
        let path = directory.join(&value);
        let is_file = match name {
            // The name of a contract is no path.
            "contract" => !BUILT_IN.contains(&&*value) && (value.contains(['/', '.']) || path.exists()),
            _ => is_path(name),
        };
        if is_file { path.into() } else { value.into() }
    }

    /// A key that no file may set.
    fn unknown(&self, text: &str, key: &Spanned<Cow<'_, str>>) -> Error {
        let name = key.get_ref().as_ref();
        let at = key.span().start;
        let typed = name.replace('_', "-").to_lowercase();
        if let Some(positive) = typed.strip_prefix("no-").filter(|positive| place(positive).is_some()) {
            let hint = format!("enter `{positive} = false`");
            return self.error(text, at, &format!("unknown setting `{}`", printable(name)), Some(hint));
        }
        if is_of_command_line(name) {
            let message = format!("`{name}` can't be set in a file: it is for the command line only");
            return self.error(text, at, &message, None);
        }
        let hint = match typed.as_str() {
            "token" => Some("name a file that holds the token with `token-file`".to_owned()),
            typed => nearest(typed, names()).map(|meant| format!("did you mean `{meant}`?")),
        };
        self.error(text, at, &format!("unknown setting `{}`", printable(name)), hint)
    }

    /// A key that this file must not set.
    fn refusal(&self, text: &str, key: &Spanned<Cow<'_, str>>, harm: &str, hint: &str) -> Error {
        let message = format!("`{}` can't be set in a project file: a cloned folder must not {harm}", key.get_ref());
        self.error(text, key.span().start, &message, Some(hint.to_owned()))
    }

    fn error(&self, text: &str, at: usize, message: &str, hint: Option<String>) -> Error {
        Error::Usage { message: format!("{}:{}: {message}", self.shown, line_of(text, at)), hint }
    }
}

/// The line of a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()[..at.min(text.len())].split(|byte| *byte == b'\n').count()
}

/// The entries of a table in the order of its lines, so that the first error is reported.
fn in_order<'t, 'i>(table: &'t DeTable<'i>) -> Vec<Entry<'t, 'i>> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(is_project: bool) -> SettingsFile {
        SettingsFile { path: "/etc/x/config.toml".into(), shown: "config.toml".to_owned(), is_project }
    }

    fn told(text: &str, is_project: bool) -> String {
        let error = file(is_project).parse(text).expect_err(text);
        format!("{error}{}", error.hint().map(|hint| format!(" ({hint})")).unwrap_or_default())
    }

    #[test]
    fn values_have_their_lines_and_profiles() {
        let text = "# ours\nquota = \"30/1m\"\nconcurrency = 0x10\ncompare = true\n\n[profiles.contoso]\n\
                    token-file = \"token\"\ncontract = \"defender\"\nstate-dir = '/var'\n";
        let content = file(false).parse(text).expect("settings");
        let shown = |layer: &Layer| {
            let one = |(name, (value, origin)): (&String, &(OsString, Origin))| {
                format!("{name} {} {origin}", value.to_string_lossy())
            };
            layer.iter().map(one).collect::<Vec<_>>()
        };
        assert_eq!(
            shown(&content.values),
            ["--compare true config.toml:4", "--concurrency 16 config.toml:3", "--quota 30/1m config.toml:2"]
        );
        assert_eq!(
            shown(&content.profiles["contoso"]),
            [
                "--contract defender config.toml:8 [profiles.contoso]",
                "--state-dir /var config.toml:9 [profiles.contoso]",
                "--token-file /etc/x/token config.toml:7 [profiles.contoso]",
            ]
        );
    }

    #[test]
    fn errors_name_their_line_and_no_value() {
        for (text, expected) in [
            ("\nconcurency = 1", "config.toml:2: unknown setting `concurency` (did you mean `concurrency`?)"),
            (
                "max_attempts = 1\nnonsense = 1",
                "config.toml:1: unknown setting `max_attempts` (did you mean `max-attempts`?)",
            ),
            ("no-progress = true", "config.toml:1: unknown setting `no-progress` (enter `progress = false`)"),
            ("yes = true", "config.toml:1: `yes` can't be set in a file: it is for the command line only"),
            (
                "token = \"canary\"",
                "config.toml:1: unknown setting `token` (name a file that holds the token with `token-file`)",
            ),
            ("quota = 1.5", "config.toml:1: `quota` takes a text, a whole number, `true` or `false`"),
            ("quota = [\"1/1m\"]", "config.toml:1: `quota` takes a text, a whole number, `true` or `false`"),
            ("quota = ''", "config.toml:1: `quota` is empty; to leave it unset, remove the line"),
            ("profiles = 1", "config.toml:1: `profiles` must be a table, such as `[profiles.NAME]`"),
            ("[profiles]\na = 1", "config.toml:2: `profiles.a` must be a table, such as `[profiles.NAME]`"),
            ("[profiles.a]\n\nyse = true", "config.toml:3: unknown setting `yse`"),
        ] {
            assert_eq!(told(text, false), expected);
        }
        for text in ["quota = canary", "canary", "quota = 'canary", "a = 1\na = 2", "\"\\u001b\" = 1"] {
            let told = told(text, false);
            assert!(told.starts_with("config.toml:") && !told.contains(" = ") && !told.contains('\u{1b}'), "{told}");
        }
    }

    #[test]
    fn project_file_sets_only_what_rows_mean() {
        for (name, harm) in super::super::layers::OWN_FILES {
            let expected =
                format!("config.toml:1: `{name}` can't be set in a project file: a cloned folder must not {harm}");
            assert!(told(&format!("{name} = \"x\""), true).starts_with(&expected), "{name}");
        }
        assert!(told("[profiles.a]", true).contains("a cloned folder must not send your token elsewhere"));
        file(true).parse("quota = '1/1m'\nprogress = false").expect("allowed");
    }

    proptest! {
        #[test]
        fn any_text_is_settings_or_an_error(text in ".*") {
            let _ = file(false).parse(&text);
        }
    }
}
