//! Access tokens: what an endpoint grants, the token that is issued for it, and the response that carries it.

use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::faults::Alteration;
use super::jwt::{random_text, write};
use super::settings::SignIn;
use crate::clock::Now;
use crate::emulator::request::ApiKind;
use crate::emulator::response::{ApiResponse, new_id};

/// An audience that the API refuses, though older pages name it.
const WRONG_AUDIENCE: &str = "https://api.securitycenter.microsoft.com";

/// A tenant that nobody asked for.
const OTHER_TENANT: &str = "0f0f0f0f-dead-4bad-8bad-0123456789ab";

/// How a response writes numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberForm {
    /// `3599`, as version 2 of the token endpoint.
    Numbers,
    /// `"3599"`, as managed identities, which also say when the token expires.
    Strings,
}

/// What an endpoint grants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) resource: String,
    /// The ID of the tenant.
    pub(super) tenant: String,
    pub(super) client: String,
    pub(super) numbers: NumberForm,
}

/// A token that was issued.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct NewToken {
    pub(in crate::emulator) text: SecretString,
    pub(in crate::emulator) expires: Timestamp,
    /// The API that is its audience, if any is.
    pub(in crate::emulator) is_for: Option<ApiKind>,
    pub(in crate::emulator) roles: Vec<String>,
}

impl Grant {
    /// Issues the token, and returns it with the response.
    pub(super) fn issue(
        self,
        settings: &SignIn,
        alteration: Option<Alteration>,
        secrets: &mut fastrand::Rng,
        now: Now,
    ) -> (NewToken, ApiResponse) {
        let Grant { mut resource, mut tenant, client, numbers } = self;
        let is_for_graph = settings.api_of(&resource) == Some(ApiKind::Graph);
        let mut roles = if is_for_graph { settings.graph_roles.clone() } else { settings.roles.clone() };
        match alteration {
            Some(Alteration::WrongAudience) => WRONG_AUDIENCE.clone_into(&mut resource),
            Some(Alteration::OtherTenant) => OTHER_TENANT.clone_into(&mut tenant),
            Some(Alteration::NoRoles) => roles.clear(),
            None => {}
        }
        let expires = now.wall_at(now.boot + settings.lifetime);
        let text = if settings.is_opaque {
            random_text(48, secrets)
        } else {
            let issued = now.wall.as_second();
            let mut claims = json!({
                "aud": resource,
                "iss": format!("https://sts.windows.net/{tenant}/"),
                "iat": issued,
                "nbf": issued,
                "exp": expires.as_second(),
                "appid": client,
                "tid": tenant,
                "uti": random_text(16, secrets),
                "ver": "1.0",
            });
            // Without consent, a token has no such claim.
            if !roles.is_empty() {
                claims["roles"] = json!(roles);
            }
            write(&json!({"typ": "JWT", "alg": "RS256", "kid": new_id(secrets)}), &claims, secrets)
        };
        let response = response(&text, &resource, settings, numbers, expires);
        let is_for = settings.api_of(&resource);
        (NewToken { text: text.into(), expires, is_for, roles }, response)
    }
}

fn response(token: &str, resource: &str, settings: &SignIn, numbers: NumberForm, expires: Timestamp) -> ApiResponse {
    let number = |number: i64| match numbers {
        NumberForm::Numbers => Value::from(number),
        NumberForm::Strings => Value::from(number.to_string()),
    };
    let seconds = |time: Duration| number(i64::try_from(time.as_secs()).unwrap_or(i64::MAX));
    let lifetime = seconds(settings.lifetime);
    let mut body = Map::new();
    let mut set = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
    set("token_type", "Bearer".into());
    set("expires_in", lifetime.clone());
    set("ext_expires_in", lifetime);
    if let Some(refresh_in) = settings.refresh_in {
        set("refresh_in", seconds(refresh_in));
    }
    if numbers == NumberForm::Strings {
        set("expires_on", number(expires.as_second()));
        set("resource", resource.into());
    }
    set("access_token", token.into());
    ApiResponse::json(200, Value::Object(body)).with("cache-control", "no-store, no-cache".to_owned())
}
