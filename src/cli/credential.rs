//! The credential: which one the command line, the settings and the environment choose, and its tokens.
//!
//! Promises: it is chosen once, in the documented order; if it is incomplete or refused, no other identity is tried, and
//! the others that are set are named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum as _;
use secrecy::SecretString;

use super::arguments::{AuthKind, CallArgs, SignInArgs, TokenFileMode};
use super::environment::{self, AzureVariables, Environment};
use super::global::GlobalArgs;
use super::site::Site;
use super::terminal::say;
use super::tokens;
use crate::cli::error::{Error, token_hint};
use crate::client::{
    Application, EndpointError, Entra, GithubJob, IdentityEndpoint, ManagedIdentity, Platform, Proof, Secret,
    SecretFile, SignInHost, TokenCache, TokenCommand, TokenError, TokenFile, TokenSource, is_tenant, is_tenant_id,
};
use crate::clock::Clock;
use crate::model::setting::{Origin, Settings};
use crate::text::printable;

/// The metadata service of Azure's virtual machines, at its link-local address.
const METADATA_HOST: &str = "http://169.254.169.254";
/// Its path, which the Arc agent has, too.
const METADATA_PATH: &str = "/metadata/identity/oauth2/token";
/// Where the Arc agent listens if no variable says so, and the program that shows that it is installed.
const ARC_ENDPOINT: &str = "http://localhost:40342/metadata/identity/oauth2/token";
const ARC_AGENT: &str = "/opt/azcmagent/bin/himds";
/// Where the Arc agent keeps its keys.
const ARC_KEYS: &str = "/var/opt/azcmagent/tokens";

/// A credential that was chosen.
#[derive(Clone, Debug)]
pub(super) struct Credential {
    choice: Choice,
    sign_in: SignInArgs,
    /// `BULK_TRIAGE_TOKEN`
    token: Option<SecretString>,
    azure: AzureVariables,
    credentials_directory: Option<PathBuf>,
    patience: Duration,
    is_quiet: bool,
}

/// What was chosen, and what chose it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Choice {
    /// `BULK_TRIAGE_TOKEN`: a token that can't be renewed.
    Token,
    Kind(AuthKind, Origin),
}

impl Credential {
    /// The first that is set: `--auth`; `--token-file` or `--token-command`; `BULK_TRIAGE_TOKEN`; then the kinds by their
    /// variables. `None`: none is.
    ///
    /// # Errors
    /// If the options contradict each other.
    pub(super) fn chosen(
        calls: &CallArgs,
        env: &Environment,
        global: &GlobalArgs,
    ) -> Result<Option<Credential>, Error> {
        let choice = choose(&calls.sign_in, env, &global.settings)?;
        Ok(choice.map(|choice| Credential {
            choice,
            sign_in: calls.sign_in.clone(),
            token: env.token.clone(),
            azure: env.azure.clone(),
            credentials_directory: env.credentials_directory.clone(),
            patience: calls.patience,
            is_quiet: global.quiet > 0,
        }))
    }

    /// Its kind; `None` for a token that was given.
    fn kind(&self) -> Option<AuthKind> {
        match &self.choice {
            Choice::Token => None,
            Choice::Kind(kind, _) => Some(*kind),
        }
    }

    fn is_application(&self) -> bool {
        self.kind().is_some_and(AuthKind::is_application)
    }

    /// `--tenant`, else `AZURE_TENANT_ID`, which only an application reads.
    fn tenant(&self) -> Option<&String> {
        self.sign_in.tenant.as_ref().or(self.azure.tenant.as_ref().filter(|_| self.is_application()))
    }

    /// `--client-id`, else `AZURE_CLIENT_ID`.
    fn client_id(&self) -> Option<&String> {
        self.sign_in.client_id.as_ref().or(self.azure.client_id.as_ref())
    }

    /// The tenant that it signs in to, if it is named by its id.
    pub(super) fn tenant_id(&self) -> Option<String> {
        self.tenant().filter(|tenant| is_tenant_id(tenant)).cloned()
    }

    /// The client ID of the application that signs in, if it is one.
    pub(super) fn application_id(&self) -> Option<String> {
        self.client_id().filter(|_| self.is_application()).cloned()
    }

    /// Its kind, or the variable that holds the token.
    pub(super) fn name(&self) -> String {
        self.kind().map_or_else(|| environment::TOKEN.to_owned(), |kind| kind.to_string())
    }

    /// How it is shown before the prompt: its kind, and where it signs in unless that is one of Microsoft's hosts.
    pub(super) fn shown(&self) -> Option<String> {
        let kind = self.kind().filter(|kind| *kind != AuthKind::TokenFile)?;
        let named = if kind.is_application() { self.named_host().ok().flatten() } else { None };
        let host = named.filter(|host| !host.is_microsofts());
        Some(host.map_or_else(|| kind.to_string(), |host| format!("{kind} at {}", host.origin())))
    }

    /// Adds it to the settings that are kept with a run.
    pub(super) fn add_to(&self, settings: &mut Settings) {
        match &self.choice {
            Choice::Token => {
                let variable = Origin::Variable(environment::TOKEN.to_owned());
                settings.push("token", Some("(set)".to_owned()), variable);
            }
            Choice::Kind(kind, origin) => settings.push("--auth", Some(kind.to_string()), origin.clone()),
        }
    }

    /// Its tokens; `None` if they would have to be requested, and `may_request` is not set.
    ///
    /// # Errors
    /// If it is incomplete or refused.
    pub(super) fn open(&self, site: &Site, may_request: bool) -> Result<Option<TokenCache>, Error> {
        let Some(kind) = self.kind() else {
            return Ok(self.token.as_ref().map(TokenCache::given).transpose()?);
        };
        let host = if kind.is_application() { Some(self.sign_in_host(site)?) } else { None };
        let announce = || self.announce(kind, host.as_ref(), site);
        if kind != AuthKind::TokenFile && !may_request {
            return Ok(None);
        }
        let resource = site.audiences.first().map_or("", String::as_str);
        let clock = Clock::machine();
        let opened = match kind {
            AuthKind::TokenFile => {
                let path = self.sign_in.token_file.as_ref();
                let path = path.ok_or_else(|| self.incomplete(kind, "--token-file"))?;
                self.tokens_of(TokenFile(self.file("token file", path)), &clock)
            }
            AuthKind::TokenCommand => {
                let line = self.sign_in.token_command.as_ref();
                let line = line.ok_or_else(|| self.incomplete(kind, "--token-command"))?;
                let command = TokenCommand::parse(line, clock.clone())
                    .map_err(|why| Error::usage(format!("--token-command `{}`: {why}", printable(line))))?;
                self.tokens_of(command, &clock)
            }
            AuthKind::AzureCli => {
                let tenant = self.sign_in.tenant.as_deref();
                announce();
                self.tokens_of(TokenCommand::azure_cli(resource, tenant, clock.clone()), &clock)
            }
            AuthKind::ManagedIdentity => {
                let identity = self.managed_identity(resource, &clock)?;
                announce();
                self.tokens_of(identity, &clock)
            }
            kind => {
                let host = host.clone().unwrap_or_else(|| site.sign_in_host());
                let application = self.application(kind, host, resource, &clock)?;
                announce();
                self.tokens_of(application, &clock)
            }
        };
        opened.map(Some)
    }

    fn tokens_of(&self, source: impl TokenSource + 'static, clock: &Clock) -> Result<TokenCache, Error> {
        let name = source.name();
        let opened = tokens::wait(clock, &name, TokenCache::open(source, clock.clone()))?;
        opened.map_err(|error| {
            let others = self.others();
            if others.is_empty() || !matches!(error, TokenError::SignIn(_)) {
                return error.into();
            }
            let hint = Some(hint_with(&error, &others));
            Error::SignIn { message: error.to_string(), hint, is_temporary: error.is_temporary() }
        })
    }

    /// Says where a token is requested, which for, and where it will be sent: before the request for it.
    fn announce(&self, kind: AuthKind, host: Option<&SignInHost>, site: &Site) {
        let foreign = host.filter(|host| !host.is_microsofts());
        if self.is_quiet && foreign.is_none_or(|host| host.origin().is_loopback()) {
            return;
        }
        let at = match (foreign, host) {
            (Some(host), _) => format!(" at {} (AZURE_AUTHORITY_HOST)", host.origin()),
            (None, Some(host)) => format!(" at {host}"),
            (None, None) => String::new(),
        };
        let audience = site.audiences.first().map_or("", String::as_str);
        say(&format!("signing in to {} with {kind}{at}, audience {}", site.origin, printable(audience)));
    }

    fn application(&self, kind: AuthKind, host: SignInHost, resource: &str, clock: &Clock) -> Result<Entra, Error> {
        let tenant = self.tenant().ok_or_else(|| self.incomplete(kind, "a tenant (--tenant or AZURE_TENANT_ID)"))?;
        if !is_tenant(tenant) {
            return Err(Error::Usage {
                message: format!("a token can't be requested for the tenant `{}`", printable(tenant)),
                hint: Some("use its ID (a GUID) or one of its domains".to_owned()),
            });
        }
        let needed = "a client ID (--client-id or AZURE_CLIENT_ID)";
        let client_id = self.client_id().ok_or_else(|| self.incomplete(kind, needed))?;
        expect_client_id(client_id)?;
        let proof = self.proof(kind)?;
        let application = Application { host, tenant: tenant.clone(), client_id: client_id.clone() };
        Ok(Entra::new(application, proof, resource, self.patience, clock.clone())?)
    }

    /// How an application of this kind proves its identity.
    fn proof(&self, kind: AuthKind) -> Result<Proof, Error> {
        Ok(match kind {
            AuthKind::ClientSecret => {
                Proof::Secret(match (&self.sign_in.client_secret_file, &self.azure.client_secret) {
                    (Some(path), _) => Secret::File(self.file("client secret file", path)),
                    (None, Some(secret)) => Secret::Given(secret.clone()),
                    (None, None) => {
                        return Err(self.incomplete(kind, "a secret (--client-secret-file or AZURE_CLIENT_SECRET)"));
                    }
                })
            }
            AuthKind::ClientCertificate => {
                let path = self.sign_in.client_certificate.as_ref().or(self.azure.client_certificate.as_ref());
                let needed = "a certificate (--client-certificate or AZURE_CLIENT_CERTIFICATE_PATH)";
                Proof::Certificate(self.file("certificate file", path.ok_or_else(|| self.incomplete(kind, needed))?))
            }
            AuthKind::GithubOidc => {
                let (url, token) = (self.azure.github_url.as_ref(), self.azure.github_token.as_ref());
                let (Some(url), Some(token)) = (url, token) else {
                    let needed = "ACTIONS_ID_TOKEN_REQUEST_URL and ACTIONS_ID_TOKEN_REQUEST_TOKEN, which GitHub sets for \
                                  a job with `permissions: id-token: write`";
                    return Err(self.incomplete(kind, needed));
                };
                let endpoint = IdentityEndpoint::of_job(url);
                let endpoint = endpoint.map_err(|why| wrong_endpoint("ACTIONS_ID_TOKEN_REQUEST_URL", &why))?;
                if !endpoint.is_githubs() {
                    say(&format!("requesting the job's identity at {endpoint} (ACTIONS_ID_TOKEN_REQUEST_URL)"));
                }
                Proof::Github(Box::new(GithubJob::new(endpoint, token.clone())?))
            }
            _ => {
                let path = self.azure.federated_token_file.as_ref();
                let path = path.ok_or_else(|| self.incomplete(kind, "AZURE_FEDERATED_TOKEN_FILE"))?;
                Proof::FederatedToken(self.file("federated token file", path))
            }
        })
    }

    /// The host that `AZURE_AUTHORITY_HOST` names.
    fn named_host(&self) -> Result<Option<SignInHost>, Error> {
        let named = self.azure.authority_host.as_deref().map(SignInHost::named).transpose();
        named.map_err(|why| wrong_endpoint("AZURE_AUTHORITY_HOST", &why))
    }

    /// Where an application signs in.
    fn sign_in_host(&self, site: &Site) -> Result<SignInHost, Error> {
        let Some(host) = self.named_host()? else { return Ok(site.sign_in_host()) };
        site.expect_sign_in_at(&host)?;
        Ok(host)
    }

    fn managed_identity(&self, resource: &str, clock: &Clock) -> Result<ManagedIdentity, Error> {
        let azure = &self.azure;
        if azure.has_identity_thumbprint {
            return Err(Error::SignIn {
                message: "managed identities of Service Fabric (IDENTITY_SERVER_THUMBPRINT) are not supported"
                    .to_owned(),
                hint: Some("use another --auth".to_owned()),
                is_temporary: false,
            });
        }
        let (variable, url, platform) = match (&azure.identity_endpoint, &azure.identity_header) {
            (Some(url), Some(header)) => {
                ("IDENTITY_ENDPOINT", url.clone(), Platform::AppService { header: header.clone() })
            }
            (Some(url), None) => ("IDENTITY_ENDPOINT", url.clone(), self.arc()),
            (None, _) if azure.metadata_host.is_none() && Path::new(ARC_AGENT).exists() => {
                ("IDENTITY_ENDPOINT", ARC_ENDPOINT.to_owned(), self.arc())
            }
            (None, _) => {
                let host = azure.metadata_host.as_deref().unwrap_or(METADATA_HOST).trim_end_matches('/');
                ("AZURE_POD_IDENTITY_AUTHORITY_HOST", format!("{host}{METADATA_PATH}"), Platform::VirtualMachine)
            }
        };
        let endpoint = IdentityEndpoint::of_machine(&url).map_err(|why| wrong_endpoint(variable, &why))?;
        let client_id = self.client_id().cloned();
        client_id.as_deref().map_or(Ok(()), expect_client_id)?;
        let resource = resource.to_owned();
        Ok(ManagedIdentity::new(platform, endpoint, resource, client_id, self.patience, clock.clone())?)
    }

    fn arc(&self) -> Platform {
        Platform::Arc { keys: self.azure.arc_keys.clone().unwrap_or_else(|| PathBuf::from(ARC_KEYS)) }
    }

    fn file(&self, what: &'static str, path: &Path) -> SecretFile {
        SecretFile {
            what,
            path: path.to_owned(),
            any_mode: self.sign_in.token_file_mode == TokenFileMode::Any,
            credentials_directory: self.credentials_directory.clone(),
        }
    }

    fn incomplete(&self, kind: AuthKind, needed: &str) -> Error {
        let others = self.others();
        let hint = (!others.is_empty()).then(|| format!("also set: {}; choose with --auth", others.join(", ")));
        Error::SignIn { message: format!("{kind} needs {needed}"), hint, is_temporary: false }
    }

    /// The other kinds that are set.
    fn others(&self) -> Vec<String> {
        let set = AuthKind::value_variants().iter().filter(|kind| Some(**kind) != self.kind());
        set.filter(|kind| kind.setter(&self.sign_in, &self.azure).is_some()).map(ToString::to_string).collect()
    }
}

/// What to do about an error, and the kinds that were not tried.
fn hint_with(error: &TokenError, others: &[String]) -> String {
    let others = format!("also set, and not tried: {}; choose with --auth", others.join(", "));
    [token_hint(error), Some(others)].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// Checks that a text can be a client ID: it is shown, and becomes a part of the address at which to consent.
fn expect_client_id(text: &str) -> Result<(), Error> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Ok(());
    }
    let message = format!("`{}` is not a client ID", printable(text));
    Err(Error::Usage { message, hint: Some("copy the Application (client) ID of the registration".to_owned()) })
}

fn wrong_endpoint(variable: &str, why: &EndpointError) -> Error {
    Error::usage(format!("{variable}: {why}"))
}

impl AuthKind {
    /// Whether it is an application that asks Entra for its token.
    fn is_application(self) -> bool {
        use AuthKind::{ClientCertificate, ClientSecret, GithubOidc, WorkloadIdentity};
        matches!(self, ClientSecret | ClientCertificate | WorkloadIdentity | GithubOidc)
    }

    /// What sets this kind without `--auth`, if anything does. Nobody sets a variable to say that a machine has an
    /// identity, or to use `az`.
    fn setter(self, sign_in: &SignInArgs, azure: &AzureVariables) -> Option<&'static str> {
        let (found, name) = match self {
            AuthKind::TokenFile => (sign_in.token_file.is_some(), "--token-file"),
            AuthKind::TokenCommand => (sign_in.token_command.is_some(), "--token-command"),
            AuthKind::WorkloadIdentity => (azure.federated_token_file.is_some(), "AZURE_FEDERATED_TOKEN_FILE"),
            // GitHub sets its variables for every job that may have an identity.
            AuthKind::GithubOidc => {
                let is_set = azure.github_url.is_some() && (azure.client_id.is_some() || sign_in.client_id.is_some());
                (is_set, "ACTIONS_ID_TOKEN_REQUEST_URL")
            }
            AuthKind::ClientCertificate if sign_in.client_certificate.is_some() => (true, "--client-certificate"),
            AuthKind::ClientCertificate => (azure.client_certificate.is_some(), "AZURE_CLIENT_CERTIFICATE_PATH"),
            AuthKind::ClientSecret if sign_in.client_secret_file.is_some() => (true, "--client-secret-file"),
            AuthKind::ClientSecret => (azure.client_secret.is_some(), "AZURE_CLIENT_SECRET"),
            AuthKind::ManagedIdentity | AuthKind::AzureCli => return None,
        };
        found.then_some(name)
    }
}

/// The kinds that variables choose, in their order.
const AUTOMATIC: [AuthKind; 4] =
    [AuthKind::WorkloadIdentity, AuthKind::GithubOidc, AuthKind::ClientCertificate, AuthKind::ClientSecret];

fn choose(sign_in: &SignInArgs, env: &Environment, settings: &Settings) -> Result<Option<Choice>, Error> {
    let origin_of = |option: &str| settings.origin(option).cloned();
    let is_typed = |option: &str| origin_of(option) == Some(Origin::Flag);
    let named = [(AuthKind::TokenFile, "--token-file"), (AuthKind::TokenCommand, "--token-command")];
    let set: Vec<_> = named.into_iter().filter(|(kind, _)| kind.setter(sign_in, &env.azure).is_some()).collect();
    let typed: Vec<_> = set.iter().filter(|(_, option)| is_typed(option)).copied().collect();
    // What is typed outranks what a file or a variable says.
    let auth = sign_in.auth.filter(|_| typed.is_empty() || is_typed("--auth"));
    if let Some(kind) = auth {
        return Ok(Some(Choice::Kind(kind, origin_of("--auth").unwrap_or(Origin::Flag))));
    }
    match if typed.is_empty() { &set[..] } else { &typed[..] } {
        [] => {}
        [(kind, option)] => return Ok(Some(Choice::Kind(*kind, origin_of(option).unwrap_or(Origin::Flag)))),
        _ => {
            return Err(Error::Usage {
                message: "both --token-file and --token-command are set".to_owned(),
                hint: Some("choose with --auth token-file or --auth token-command".to_owned()),
            });
        }
    }
    if env.token.is_some() {
        if let Some(option) = ["--client-secret-file", "--client-certificate"].into_iter().find(|name| is_typed(name)) {
            return Err(Error::Usage {
                message: format!("both {option} and {} are set", environment::TOKEN),
                hint: Some(format!("choose with --auth, or unset {}", environment::TOKEN)),
            });
        }
        return Ok(Some(Choice::Token));
    }
    let mut automatic = AUTOMATIC.into_iter();
    Ok(automatic.find_map(|kind| {
        let setter = kind.setter(sign_in, &env.azure)?;
        let is_option = setter.starts_with("--");
        let origin = if is_option { origin_of(setter) } else { Some(Origin::Variable(setter.to_owned())) };
        Some(Choice::Kind(kind, origin.unwrap_or(Origin::Flag)))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::environment::ColorWish;

    /// What is set: options that were typed, options from a variable (`~--auth`), and variables.
    fn chosen(set: &[(&str, &str)]) -> Result<Option<Choice>, String> {
        let mut settings = Settings::default();
        let value =
            |name: &str| set.iter().find(|(one, _)| one.trim_start_matches('~') == name).map(|(_, value)| *value);
        for (name, value) in set.iter().filter(|(name, _)| name.contains("--")) {
            let origin = if name.starts_with('~') { Origin::Variable("V".to_owned()) } else { Origin::Flag };
            settings.push(name.trim_start_matches('~'), Some((*value).to_owned()), origin);
        }
        let sign_in = SignInArgs {
            auth: value("--auth").map(|kind| AuthKind::from_str(kind, false).expect("a kind")),
            cloud: None,
            region: None,
            tenant: None,
            client_id: value("--client-id").map(str::to_owned),
            token_file: value("--token-file").map(PathBuf::from),
            token_command: value("--token-command").map(str::to_owned),
            client_secret_file: value("--client-secret-file").map(PathBuf::from),
            client_certificate: value("--client-certificate").map(PathBuf::from),
            token_file_mode: TokenFileMode::Private,
        };
        let env = Environment {
            token: value("BULK_TRIAGE_TOKEN").map(|token| token.to_owned().into()),
            azure: AzureVariables {
                client_id: value("AZURE_CLIENT_ID").map(str::to_owned),
                client_secret: value("AZURE_CLIENT_SECRET").map(|secret| secret.to_owned().into()),
                client_certificate: value("AZURE_CLIENT_CERTIFICATE_PATH").map(PathBuf::from),
                federated_token_file: value("AZURE_FEDERATED_TOKEN_FILE").map(PathBuf::from),
                github_url: value("ACTIONS_ID_TOKEN_REQUEST_URL").map(str::to_owned),
                identity_endpoint: value("IDENTITY_ENDPOINT").map(str::to_owned),
                ..AzureVariables::default()
            },
            credentials_directory: None,
            certificates: Vec::new(),
            unusable_proxies: Vec::new(),
            color: ColorWish::None,
            is_dumb: false,
            columns: None,
            step_summary: None,
        };
        choose(&sign_in, &env, &settings).map_err(|error| error.to_string())
    }

    /// From the last to the first: each outranks all that came before it.
    #[test]
    fn first_of_documented_order_is_chosen() {
        let variable = |name: &str| Origin::Variable(name.to_owned());
        let mut set = vec![("IDENTITY_ENDPOINT", "http://127.0.0.1/")];
        assert_eq!(chosen(&set), Ok(None), "a machine's identity is not used unless it is asked for");
        for (name, value, choice) in [
            ("AZURE_CLIENT_SECRET", "s", Choice::Kind(AuthKind::ClientSecret, variable("AZURE_CLIENT_SECRET"))),
            (
                "AZURE_CLIENT_CERTIFICATE_PATH",
                "c",
                Choice::Kind(AuthKind::ClientCertificate, variable("AZURE_CLIENT_CERTIFICATE_PATH")),
            ),
            (
                "ACTIONS_ID_TOKEN_REQUEST_URL",
                "https://g",
                // Without a client ID it is any job's.
                Choice::Kind(AuthKind::ClientCertificate, variable("AZURE_CLIENT_CERTIFICATE_PATH")),
            ),
            ("AZURE_CLIENT_ID", "i", Choice::Kind(AuthKind::GithubOidc, variable("ACTIONS_ID_TOKEN_REQUEST_URL"))),
            (
                "AZURE_FEDERATED_TOKEN_FILE",
                "f",
                Choice::Kind(AuthKind::WorkloadIdentity, variable("AZURE_FEDERATED_TOKEN_FILE")),
            ),
            ("BULK_TRIAGE_TOKEN", "t", Choice::Token),
            ("~--token-file", "t", Choice::Kind(AuthKind::TokenFile, variable("V"))),
            ("~--auth", "azure-cli", Choice::Kind(AuthKind::AzureCli, variable("V"))),
            ("--token-command", "vault", Choice::Kind(AuthKind::TokenCommand, Origin::Flag)),
        ] {
            set.push((name, value));
            assert_eq!(chosen(&set), Ok(Some(choice)), "{name}");
        }
        set.retain(|(name, _)| *name != "~--auth");
        set.push(("--auth", "managed-identity"));
        assert_eq!(chosen(&set), Ok(Some(Choice::Kind(AuthKind::ManagedIdentity, Origin::Flag))));
    }

    #[test]
    fn contradicting_options_are_refused() {
        for set in
            [[("--token-file", "t"), ("--token-command", "c")], [("~--token-file", "t"), ("~--token-command", "c")]]
        {
            assert_eq!(chosen(&set), Err("both --token-file and --token-command are set".to_owned()));
        }
        let set = [("--client-secret-file", "s"), ("BULK_TRIAGE_TOKEN", "t")];
        assert_eq!(chosen(&set), Err("both --client-secret-file and BULK_TRIAGE_TOKEN are set".to_owned()));
        let set = [("~--client-secret-file", "s"), ("BULK_TRIAGE_TOKEN", "t")];
        assert_eq!(chosen(&set), Ok(Some(Choice::Token)));
    }
}
