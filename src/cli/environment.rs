//! The environment: the one reader of it, and of where things are kept by default.

use std::ffi::OsString;
use std::path::PathBuf;

use etcetera::BaseStrategy as _;
use secrecy::SecretString;

use super::global::GlobalArgs;
use super::settings::{PREFIX, Surroundings, Variables};
use crate::cli::error::Error;
use crate::client::Proxy;

/// The variable that holds the token itself.
pub(super) const TOKEN: &str = "BULK_TRIAGE_TOKEN";

/// The variable that names another system file, for tests and packages.
pub(super) const SYSTEM_CONFIG: &str = "BULK_TRIAGE_SYSTEM_CONFIG";

/// The variable that names the directory of the Arc agent's keys.
const ARC_KEYS: &str = "BULK_TRIAGE_ARC_KEYS";

/// What settings are read from.
pub(super) fn surroundings() -> Surroundings {
    let xdg = etcetera::base_strategy::Xdg::new().ok();
    Surroundings {
        variables: ours(),
        system: variable(SYSTEM_CONFIG).unwrap_or_else(|| "/etc/bulk-triage/config.toml".into()).into(),
        user: xdg.as_ref().map(|xdg| xdg.config_dir().join("bulk-triage/config.toml")),
        // Parent directories are not searched.
        project: "bulk-triage.toml".into(),
        home: xdg.as_ref().map(|xdg| xdg.home_dir().to_owned()),
    }
}

/// What the environment says.
#[derive(Debug)]
pub(super) struct Environment {
    /// `BULK_TRIAGE_TOKEN`, where it is set and not empty.
    pub(super) token: Option<SecretString>,
    /// What the variables of Azure's tools and platforms say about identities.
    pub(super) azure: AzureVariables,
    /// `CREDENTIALS_DIRECTORY`: where systemd mounts a unit's secrets.
    pub(super) credentials_directory: Option<PathBuf>,
    /// Those of `SSL_CERT_FILE` and `SSL_CERT_DIR` that are set: they say whose certificates are trusted.
    pub(super) certificates: Vec<&'static str>,
    /// Those of `HTTPS_PROXY` and `ALL_PROXY` that are set, but name no proxy.
    pub(super) unusable_proxies: Vec<&'static str>,
    /// What it says of colors.
    pub(super) color: ColorWish,
    /// Whether the terminal is `dumb`: it takes text, and no more.
    pub(super) is_dumb: bool,
    /// `COLUMNS`, where it is a number.
    pub(super) columns: Option<usize>,
    /// `GITHUB_STEP_SUMMARY`: a file of Markdown that GitHub Actions shows, to which steps append.
    pub(super) step_summary: Option<PathBuf>,
}

/// The variables that Azure's tools, Kubernetes, GitHub and Azure's machines set for an identity. Only the credential that
/// needs one looks at it.
#[derive(Clone, Debug, Default)]
pub(super) struct AzureVariables {
    /// `AZURE_TENANT_ID`
    pub(super) tenant: Option<String>,
    /// `AZURE_CLIENT_ID`
    pub(super) client_id: Option<String>,
    /// `AZURE_CLIENT_SECRET`
    pub(super) client_secret: Option<SecretString>,
    /// `AZURE_CLIENT_CERTIFICATE_PATH`
    pub(super) client_certificate: Option<PathBuf>,
    /// `AZURE_FEDERATED_TOKEN_FILE`
    pub(super) federated_token_file: Option<PathBuf>,
    /// `AZURE_AUTHORITY_HOST`
    pub(super) authority_host: Option<String>,
    /// `ACTIONS_ID_TOKEN_REQUEST_URL`
    pub(super) github_url: Option<String>,
    /// `ACTIONS_ID_TOKEN_REQUEST_TOKEN`
    pub(super) github_token: Option<SecretString>,
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST`
    pub(super) metadata_host: Option<String>,
    /// `IDENTITY_ENDPOINT`
    pub(super) identity_endpoint: Option<String>,
    /// `IDENTITY_HEADER`
    pub(super) identity_header: Option<SecretString>,
    /// Whether `IDENTITY_SERVER_THUMBPRINT` is set: by Service Fabric.
    pub(super) has_identity_thumbprint: bool,
    /// `BULK_TRIAGE_ARC_KEYS`: where the Arc agent keeps its keys.
    pub(super) arc_keys: Option<PathBuf>,
}

impl AzureVariables {
    fn read() -> AzureVariables {
        let secret =
            |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned()).map(SecretString::from);
        // A value that is not UTF-8 is refused where it is used, and not taken for a missing one.
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        AzureVariables {
            tenant: text("AZURE_TENANT_ID"),
            client_id: text("AZURE_CLIENT_ID"),
            client_secret: secret("AZURE_CLIENT_SECRET"),
            client_certificate: variable("AZURE_CLIENT_CERTIFICATE_PATH").map(PathBuf::from),
            federated_token_file: variable("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
            authority_host: text("AZURE_AUTHORITY_HOST"),
            github_url: text("ACTIONS_ID_TOKEN_REQUEST_URL"),
            github_token: secret("ACTIONS_ID_TOKEN_REQUEST_TOKEN"),
            metadata_host: text("AZURE_POD_IDENTITY_AUTHORITY_HOST"),
            identity_endpoint: text("IDENTITY_ENDPOINT"),
            identity_header: secret("IDENTITY_HEADER"),
            has_identity_thumbprint: variable("IDENTITY_SERVER_THUMBPRINT").is_some(),
            arc_keys: variable(ARC_KEYS).map(PathBuf::from),
        }
    }
}

/// What the environment says of colors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColorWish {
    /// Nothing: colors at a terminal.
    None,
    /// `CLICOLOR_FORCE`, not `0` (<https://bixense.com/clicolors>): in pipes too.
    Always,
    /// `NO_COLOR` (<https://no-color.org>), which outranks the others, `CLICOLOR=0` or `TERM=dumb`.
    Never,
}

impl ColorWish {
    /// By the values of the variables, in the order in which they count.
    fn of(no_color: bool, force: Option<&str>, clicolor: Option<&str>, is_dumb: bool) -> ColorWish {
        match (no_color, force.is_some_and(|force| force != "0"), clicolor == Some("0") || is_dumb) {
            (true, _, _) | (false, false, true) => ColorWish::Never,
            (false, true, _) => ColorWish::Always,
            (false, false, false) => ColorWish::None,
        }
    }
}

impl Environment {
    /// Reads it.
    #[must_use]
    pub(super) fn read() -> Environment {
        let is_dumb = text("TERM").as_deref() == Some("dumb");
        let (no_color, force, clicolor) = (variable("NO_COLOR"), text("CLICOLOR_FORCE"), text("CLICOLOR"));
        Environment {
            // Text that is not UTF-8 is reported as a bad token, not as a missing one.
            token: variable(TOKEN).map(|token| SecretString::from(token.to_string_lossy().into_owned())),
            azure: AzureVariables::read(),
            credentials_directory: variable("CREDENTIALS_DIRECTORY").map(PathBuf::from),
            certificates: ["SSL_CERT_FILE", "SSL_CERT_DIR"]
                .into_iter()
                .filter(|name| variable(name).is_some())
                .collect(),
            unusable_proxies: ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
                .into_iter()
                .filter(|name| variable(name).is_some_and(|value| !value.to_str().is_some_and(Proxy::is_named_by)))
                .collect(),
            color: ColorWish::of(no_color.is_some(), force.as_deref(), clicolor.as_deref(), is_dumb),
            is_dumb,
            columns: text("COLUMNS").and_then(|columns| columns.parse().ok()).filter(|columns| *columns > 0),
            step_summary: variable("GITHUB_STEP_SUMMARY").map(PathBuf::from),
        }
    }
}

/// A variable that is not empty, where it is UTF-8.
fn text(name: &str) -> Option<String> {
    variable(name).and_then(|value| value.into_string().ok())
}

#[expect(clippy::disallowed_methods, reason = "the one reader of the environment")]
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// The variables of ours that are not empty and may be settings. A name that is not UTF-8 is nobody's.
fn ours() -> Variables {
    let named = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value)));
    let is_ours = |name: &str| name.starts_with(PREFIX) && ![TOKEN, SYSTEM_CONFIG, ARC_KEYS].contains(&name);
    named.filter(|(name, value)| is_ours(name) && !value.is_empty()).collect()
}

/// Where the journal is kept: `--state-dir`, else `$XDG_STATE_HOME/bulk-triage`.
///
/// # Errors
/// If neither is set and there is no home directory.
pub(super) fn state_dir(global: &GlobalArgs) -> Result<PathBuf, Error> {
    if let Some(dir) = &global.state_dir {
        return Ok(dir.clone());
    }
    let base = etcetera::base_strategy::Xdg::new().ok().and_then(|xdg| xdg.state_dir());
    base.map(|base| base.join("bulk-triage")).ok_or_else(|| Error::Usage {
        message: "no home directory for the journal".to_owned(),
        hint: Some("name a directory with --state-dir".to_owned()),
    })
}

/// Keeps the memory, with a token in it, from the disk and from other processes of this user. A limit on core dumps does
/// not stop a crash handler to which the kernel pipes them; a process that is not dumpable has none.
pub(super) fn protect_memory() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    // Where that is refused, it is by somebody who has the right to look into this process anyway.
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_outranks_clicolor_force() {
        assert_eq!(ColorWish::of(true, Some("1"), None, false), ColorWish::Never);
        assert_eq!(ColorWish::of(false, Some("1"), Some("0"), true), ColorWish::Always);
        assert_eq!(ColorWish::of(false, Some("0"), None, false), ColorWish::None);
        assert_eq!(ColorWish::of(false, None, Some("0"), false), ColorWish::Never);
        assert_eq!(ColorWish::of(false, None, Some("1"), true), ColorWish::Never);
        assert_eq!(ColorWish::of(false, None, None, false), ColorWish::None);
    }
}
