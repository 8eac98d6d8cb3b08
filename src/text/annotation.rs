//! Escapes text for the commands by which a CI job annotates lines of files.
//!
//! Promises: the text is printable, stays within its part of the command, and is shown as it is printed elsewhere.

use super::printable;

/// The text of an annotation in GitHub Actions
/// (<https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts>).
#[must_use]
pub fn github_message(text: &str) -> String {
    printable(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of an annotation in GitHub Actions.
#[must_use]
pub fn github_property(text: &str) -> String {
    github_message(text).replace(':', "%3A").replace(',', "%2C")
}

/// The text of an issue in Azure Pipelines
/// (<https://github.com/microsoft/azure-pipelines-agent/blob/master/src/Agent.Sdk/CommandStringConvertor.cs>).
#[must_use]
pub fn azure_message(text: &str) -> String {
    printable(text).replace('%', "%AZP25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of an issue in Azure Pipelines.
#[must_use]
pub fn azure_property(text: &str) -> String {
    azure_message(text).replace(';', "%3B").replace(']', "%5D")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As the services do, `%` last.
    fn unescaped(text: &str, escapes: &[(&str, &str)]) -> String {
        escapes.iter().fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character))
    }

    const GITHUB: [(&str, &str); 5] = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
    const AZURE: [(&str, &str); 5] = [("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%AZP25", "%")];

    #[test]
    fn escapes_are_as_documented() {
        assert_eq!(github_message("100%: a,b\n"), "100%25: a,b\\n");
        assert_eq!(github_property("a:b,c%"), "a%3Ab%2Cc%25");
        assert_eq!(azure_message("100%; [a]"), "100%AZP25; [a]");
        assert_eq!(azure_property("a;[b]%"), "a%3B[b%5D%AZP25");
    }

    proptest! {
        #[test]
        fn annotations_keep_text_within_bounds(text in "(%|25|AZP25|3A|0A|:|,|;|\\]|#|vso\\[|\r|\n|\\PC){0,12}") {
            let shown = printable(&text).into_owned();
            for github in [github_message(&text), github_property(&text)] {
                prop_assert_eq!(unescaped(&github, &GITHUB), shown.as_str());
            }
            for azure in [azure_message(&text), azure_property(&text)] {
                prop_assert!(!azure.contains("##vso["));
                prop_assert_eq!(unescaped(&azure, &AZURE), shown.as_str());
            }
            prop_assert!(!github_property(&text).contains([':', ',', '\r', '\n']));
            prop_assert!(!azure_property(&text).contains([';', ']', '\r', '\n']));
        }
    }
}
