//! Sign-in: the services that issue tokens, on the port of the API. They play the token endpoint of Entra, the metadata
//! services of virtual machines (IMDS) and of Azure Arc, the identity endpoint of App Service, and the OIDC endpoint of
//! GitHub Actions.
//!
//! Every request whose path is not below `/api` or `/v1.0` is a sign-in request. It takes no quota and is neither counted nor logged
//! as a request to the API. The endpoints are strict: they refuse what the documentation does not allow, even if the real
//! services may be lenient.
//!
//! Promises: nothing secret is logged or printed; the requests are kept in memory for tests, which see all of them.
//!
//! | file | owns |
//! | --- | --- |
//! | `settings` | what the endpoints accept and issue |
//! | `request` | a request, its endpoint, and how it was answered |
//! | `token_endpoint`, `managed_identity`, `github` | the endpoints: whether a request is granted |
//! | `jwt` | reading and writing JWTs |
//! | `grant` | the token and the response of a granted request |
//! | `denied` | the error of a refused one |
//! | `faults` | what goes wrong, and the syntax of these faults |
//! | `log` | the log file |

mod denied;
mod faults;
mod github;
mod grant;
mod jwt;
mod log;
mod managed_identity;
mod request;
mod settings;
#[cfg(test)]
mod tests;
mod token_endpoint;

use std::io;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value, json};

pub use faults::{SIGN_IN_GRAMMAR, SignInFault};
pub(super) use grant::NewToken;
pub use request::{Endpoint, SignInRequest};
pub use settings::{GITHUB_ISSUER, GITHUB_SUBJECT, IDENTITY_CLIENT_ID, SignIn, TENANT_ID};

use self::denied::{Denied, entra_error, entra_message, entra_response};
use self::faults::{Alteration, SignInFaultKind};
use self::github::Assertions;
use self::grant::Grant;
use self::log::SignInLog;
use self::managed_identity::ArcKey;
use self::token_endpoint::TokenEndpoint;
use super::response::{ApiResponse, Delivery, html_page};
use crate::clock::{BootTime, Now};

/// The beginning of an endless response.
const ENDLESS: &str = r#"{"token_type":"Bearer","expires_in":3599,"access_token":""#;

/// The state of the sign-in endpoints.
pub(super) struct SignInService {
    settings: SignIn,
    token_endpoint: TokenEndpoint,
    assertions: Assertions,
    arc: ArcKey,
    /// For chances and tracking IDs.
    dice: fastrand::Rng,
    /// For tokens and keys: two emulators never issue the same ones.
    secrets: fastrand::Rng,
    log: Option<SignInLog>,
    start: BootTime,
    requests: Vec<SignInRequest>,
}

/// The answer to a sign-in request.
pub(super) struct Answer {
    pub(super) response: ApiResponse,
    pub(super) delivery: Delivery,
    /// The access token that the response carries.
    pub(super) token: Option<NewToken>,
    error: Option<String>,
}

impl Answer {
    fn of(response: ApiResponse) -> Answer {
        Answer { response, delivery: Delivery::Whole, token: None, error: None }
    }

    fn delivered(self, delivery: Delivery) -> Answer {
        Answer { delivery, ..self }
    }
}

impl SignInService {
    /// Endpoints that start `now`.
    ///
    /// # Errors
    /// If the log can't be opened.
    pub(super) fn new(settings: SignIn, seed: u64, now: Now) -> io::Result<SignInService> {
        Ok(SignInService {
            log: settings.log.as_deref().map(SignInLog::open).transpose()?,
            settings,
            token_endpoint: TokenEndpoint::default(),
            assertions: Assertions::default(),
            arc: ArcKey::default(),
            dice: fastrand::Rng::with_seed(seed),
            secrets: fastrand::Rng::new(),
            start: now.boot,
            requests: Vec::new(),
        })
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> &[SignInRequest] {
        &self.requests
    }

    /// The assertions and keys so far.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.assertions.all().iter().chain(self.arc.all())
    }

    /// Whether the API refuses the token of this request, counted from 1, from now on.
    pub(super) fn revokes_at(&self, api_request: u64) -> bool {
        self.settings.revoked_at.contains(&api_request)
    }

    /// Decides a request that arrives `now`, keeps it and writes it to the log.
    ///
    /// # Errors
    /// If the log or a key file can't be written.
    pub(super) fn decide(&mut self, mut request: SignInRequest, now: Now) -> io::Result<Answer> {
        let number = self.requests.len() as u64 + 1;
        let since_start = now.boot.since(self.start);
        let fault = faults::draw(&mut self.settings.faults, number, since_start, request.endpoint, &mut self.dice);
        let fault = fault.cloned();
        let answer = match &fault {
            None => self.execute(&request, None, now)?,
            Some(fault) => self.inject(&fault.kind, &request, now)?,
        };
        request.at = now.wall;
        request.status = match answer.delivery {
            Delivery::Cut | Delivery::Stall => None,
            _ => Some(answer.response.status),
        };
        request.error.clone_from(&answer.error);
        request.fault = fault.map(|fault| fault.text().to_owned());
        if let Some(log) = &mut self.log {
            log.write(number, &request)?;
        }
        self.requests.push(request);
        Ok(answer)
    }

    /// Executes a request. A fault may change the token.
    fn execute(&mut self, request: &SignInRequest, alteration: Option<Alteration>, now: Now) -> io::Result<Answer> {
        let settings = &self.settings;
        let granted = match request.endpoint {
            Endpoint::Github => {
                let decided = self.assertions.decide(request, settings, &mut self.secrets, now.wall);
                return Ok(decided.map_or_else(|denied| self.deny(&denied, now), Answer::of));
            }
            Endpoint::Token => self.token_endpoint.decide(request, settings, &self.assertions, now.wall),
            Endpoint::Imds => managed_identity::imds(request, settings),
            Endpoint::AppService => managed_identity::app_service(request, settings),
            Endpoint::Arc => self.arc.decide(request, settings, &mut self.secrets)?,
            Endpoint::Other => Err(Denied::Plain { status: 404, message: "there is no such endpoint" }),
        };
        Ok(match granted {
            Ok(grant) => self.issue(grant, alteration, now),
            Err(denied) => self.deny(&denied, now),
        })
    }

    fn issue(&mut self, grant: Grant, alteration: Option<Alteration>, now: Now) -> Answer {
        let (token, response) = grant.issue(&self.settings, alteration, &mut self.secrets, now);
        Answer { token: Some(token), ..Answer::of(response) }
    }

    fn deny(&mut self, denied: &Denied, now: Now) -> Answer {
        let response = denied.response(&mut self.dice, now.wall);
        Answer { error: Some(denied.summary()), ..Answer::of(response) }
    }

    fn inject(&mut self, fault: &SignInFaultKind, request: &SignInRequest, now: Now) -> io::Result<Answer> {
        let empty = || Answer::of(ApiResponse::json_text(200, String::new()));
        let mut entra = |status, error: &str, code, message: &str, separator: &str| {
            let response = entra_response(status, error, code, message, separator, &mut self.dice, now.wall);
            Answer { error: Some(format!("{error} AADSTS{code}")), ..Answer::of(response) }
        };
        Ok(match fault {
            SignInFaultKind::Aadsts { code, has_lines } => {
                let (status, error) = entra_error(*code);
                entra(status, error, *code, entra_message(*code), if *has_lines { "\r\n" } else { " " })
            }
            SignInFaultKind::Unavailable(status) => {
                let message = "A transient error has occurred. Please try again.";
                entra(*status, "temporarily_unavailable", 90_033, message, " ")
            }
            SignInFaultKind::Status(status, wait) => {
                let page = html_page("Error", &format!("The emulator was told to return {status}."));
                let response = ApiResponse::html(*status, page);
                Answer::of(match wait {
                    Some(wait) => response.with("retry-after", whole_seconds(*wait).to_string()),
                    None => response,
                })
            }
            SignInFaultKind::Drop => empty().delivered(Delivery::Cut),
            SignInFaultKind::Stall => empty().delivered(Delivery::Stall),
            SignInFaultKind::Huge => empty().delivered(Delivery::Endless(ENDLESS)),
            SignInFaultKind::NotJson { is_text: true } => Answer::of(ApiResponse::text(200, "unauthorized".to_owned())),
            SignInFaultKind::NotJson { is_text: false } => {
                Answer::of(ApiResponse::html(200, html_page("Sign in", "Please sign in to the proxy.")))
            }
            SignInFaultKind::Echo(status) => Answer::of(ApiResponse::json(*status, echo(request))),
            SignInFaultKind::NoIdentity => self.deny(&Denied::identity("Identity not found"), now),
            SignInFaultKind::Redirect(to) => {
                Answer::of(ApiResponse::text(302, String::new()).with("location", to.clone()))
            }
            SignInFaultKind::Slow(delay) => self.execute(request, None, now)?.delivered(Delivery::Late(*delay)),
            SignInFaultKind::Altered(alteration) => self.execute(request, Some(*alteration), now)?,
        })
    }
}

/// An error that repeats all that the request has, after a sequence that would turn a terminal's text red.
fn echo(request: &SignInRequest) -> Value {
    let values = request.form.iter().chain(&request.headers).map(|(_, value)| value.as_str());
    let text = format!("\u{1b}[31m{}", values.collect::<Vec<_>>().join(" "));
    json!({"error": "invalid_request", "error_description": text, "message": text})
}

fn whole_seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX)
}
