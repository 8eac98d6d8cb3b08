//! Each endpoint accepts exactly what the documentation allows, and each fault has its effect.

use axum::body::Bytes;
use axum::http::Request;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};

use super::jwt::Jwt;
use super::*;

const TENANT: &str = "3b0a1d52-6c7e-4f80-9a1b-2c3d4e5f6071";
const CLIENT: &str = "6f2c1a94-0b3d-4e5f-8a7b-9c0d1e2f3a4b";
const SECRET: &str = "p+A&b%2~c";
const SCOPE: &str = "https://api.security.microsoft.com/.default";
const RESOURCE: &str = "https://api.security.microsoft.com";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// A certificate and its key, for tests.
const PEM: &str = include_str!("../../client/credentials/certificate-for-tests.pem");
const HOST: &str = "127.0.0.1:4000";

fn at(second: i64) -> Now {
    let wall = Timestamp::from_second(1_795_514_400 + second).expect("a time");
    Now { boot: BootTime(second * 1_000_000), wall }
}

fn service(faults: &[&str], change: impl FnOnce(&mut SignIn)) -> SignInService {
    let mut settings = SignIn::new(Duration::from_hours(1));
    settings.faults = faults.iter().map(|fault| fault.parse().expect("a fault")).collect();
    change(&mut settings);
    SignInService::new(settings, 0, at(0)).expect("there is no log to open")
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> SignInRequest {
    let mut request = Request::builder().method(method).uri(path).header("host", HOST);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).expect("a request").into_parts();
    SignInRequest::new(&parts, &Bytes::copy_from_slice(body.as_bytes()))
}

/// A form with these fields, in the place of the defaults.
fn form(changed: &[(&str, &str)]) -> String {
    let defaults = [("grant_type", "client_credentials"), ("client_id", CLIENT), ("scope", SCOPE)];
    let is_kept = |(name, _): &(&str, &str)| !changed.iter().any(|(other, _)| other == name);
    let fields = defaults.into_iter().filter(is_kept).chain(changed.iter().copied());
    let fields = fields.filter(|(_, value)| !value.is_empty());
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn token_request(fields: &[(&str, &str)]) -> SignInRequest {
    post(&format!("/{TENANT}/oauth2/v2.0/token"), &form(fields))
}

fn post(path: &str, body: &str) -> SignInRequest {
    request("POST", path, &[("content-type", "application/x-www-form-urlencoded")], body)
}

fn with_secret() -> SignInRequest {
    token_request(&[("client_secret", SECRET)])
}

fn with_assertion(assertion: &str) -> SignInRequest {
    token_request(&[("client_assertion", assertion), ("client_assertion_type", ASSERTION_TYPE)])
}

fn imds(query: &str) -> SignInRequest {
    let path = format!("/metadata/identity/oauth2/token?{query}&resource={RESOURCE}");
    request("GET", &path, &[("metadata", "true")], "")
}

fn decide(service: &mut SignInService, request: SignInRequest, second: i64) -> Answer {
    service.decide(request, at(second)).expect("there is no log to fail")
}

fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.response.body).unwrap_or_else(|error| panic!("{error}: {}", answer.response.body))
}

/// The code of the error, after a check of its form.
#[track_caller]
fn code(answer: &Answer) -> u64 {
    let body = json_of(answer);
    let code = body["error_codes"][0].as_u64().unwrap_or_else(|| panic!("no code: {body}"));
    let description = body["error_description"].as_str().expect("a text");
    let ids = ["trace_id", "correlation_id"].map(|id| body[id].as_str().expect("an ID").to_owned());
    assert!(description.starts_with(&format!("AADSTS{code}: ")), "{description}");
    assert!(description.contains(&format!("Trace ID: {}", ids[0])), "{description}");
    assert!(description.contains(&format!("Correlation ID: {}", ids[1])), "{description}");
    assert!([400, 401].contains(&answer.response.status) && body["error_uri"].is_string());
    assert!(answer.token.is_none() && answer.error.as_ref().is_some_and(|error| error.ends_with(&code.to_string())));
    code
}

/// The claims of the token, which the response and the API know alike.
#[track_caller]
fn claims(answer: &Answer) -> Value {
    let body = json_of(answer);
    let issued = answer.token.as_ref().unwrap_or_else(|| panic!("no token: {body}"));
    assert_eq!(body["access_token"], issued.text.expose_secret());
    Value::Object(Jwt::read(issued.text.expose_secret()).expect("a JWT").claims)
}

fn sign(header: &Value, claims: &Value) -> String {
    let key = PrivateKeyDer::from_pem_slice(PEM.as_bytes()).expect("a key");
    let key = any_supported_type(&key).expect("an RSA key");
    let signer = key.choose_scheme(&[SignatureScheme::RSA_PSS_SHA256]).expect("PS256");
    let encode = |part: &Value| BASE64_URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = signer.sign(signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

fn certificate() -> Vec<u8> {
    CertificateDer::from_pem_slice(PEM.as_bytes()).expect("a certificate").to_vec()
}

fn certificate_header() -> Value {
    json!({"alg": "PS256", "typ": "JWT", "x5t#S256": BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(certificate()))})
}

fn certificate_claims(id: u8) -> Value {
    let now = at(0).wall.as_second();
    json!({
        "aud": format!("http://{HOST}/{TENANT}/oauth2/v2.0/token"), "iss": CLIENT, "sub": CLIENT,
        "jti": format!("00000000-0000-4000-8000-0000000000{id:02x}"), "nbf": now, "iat": now, "exp": now + 600,
    })
}

#[test]
fn secret_is_exchanged_for_a_new_token() {
    let mut service = service(&[], |settings| {
        settings.secret = Some(SECRET.to_owned().into());
        settings.refresh_in = Some(Duration::from_mins(30));
    });
    let first = decide(&mut service, with_secret(), 0);
    let body = json_of(&first);
    assert_eq!((first.response.status, &body["token_type"]), (200, &json!("Bearer")));
    assert_eq!([&body["expires_in"], &body["ext_expires_in"], &body["refresh_in"]], [3600, 3600, 1800]);
    assert!(body.get("expires_on").is_none());
    let claims_of_first = claims(&first);
    let now = at(0).wall.as_second();
    assert_eq!(claims_of_first["aud"], RESOURCE);
    assert_eq!(claims_of_first["tid"], TENANT);
    assert_eq!(claims_of_first["appid"], CLIENT);
    assert_eq!(claims_of_first["roles"], json!(["Incident.ReadWrite.All"]));
    assert_eq!([&claims_of_first["iat"], &claims_of_first["nbf"], &claims_of_first["exp"]], [now, now, now + 3600]);
    assert_ne!(claims_of_first["uti"], claims(&decide(&mut service, with_secret(), 0))["uti"]);
    let wrong = token_request(&[("client_secret", "p A&b%2~c")]);
    let refused = decide(&mut service, wrong, 0);
    assert_eq!((code(&refused), refused.response.status), (7_000_215, 401));
    assert_eq!(json_of(&refused)["error"], "invalid_client");
}

#[test]
fn malformed_token_request_gets_aadsts_error() {
    let form_of = form(&[("client_secret", SECRET)]);
    let path = format!("/{TENANT}/oauth2/v2.0/token");
    for (request, expected) in [
        (request("GET", &path, &[], ""), 900_561),
        (request("POST", &path, &[("content-type", "application/json")], &form_of), 900_144),
        (post("/common/oauth2/v2.0/token", &form_of), 90_002),
        (post("/organizations/oauth2/v2.0/token", &form_of), 90_002),
        (post(&format!("{path}?api-version=1.0"), &form_of), 90_014),
        (token_request(&[("grant_type", "password"), ("client_secret", SECRET)]), 70_003),
        (token_request(&[("client_id", ""), ("client_secret", SECRET)]), 900_144),
        (token_request(&[("client_id", "app"), ("client_secret", SECRET)]), 700_016),
        (token_request(&[("scope", RESOURCE), ("client_secret", SECRET)]), 70_011),
        (token_request(&[("scope", &format!("{SCOPE} {SCOPE}")), ("client_secret", SECRET)]), 70_011),
        (token_request(&[("scope", "https://vault.azure.net/.default"), ("client_secret", SECRET)]), 500_011),
        (token_request(&[]), 7_000_218),
        (token_request(&[("client_secret", SECRET), ("client_assertion", "a.b.c")]), 7_000_218),
        (token_request(&[("client_assertion", "a.b.c"), ("client_assertion_type", ASSERTION_TYPE)]), 50_027),
        (token_request(&[("client_assertion", "a.b.c"), ("client_assertion_type", "jwt")]), 50_027),
    ] {
        let shown = format!("{request:?}");
        assert_eq!(code(&decide(&mut service(&[], |_| ()), request, 0)), expected, "{shown}");
    }
    let mut contoso = service(&[], |settings| settings.tenant = Some("contoso.onmicrosoft.com".to_owned()));
    assert_eq!(code(&decide(&mut contoso, with_secret(), 0)), 90_002);
    let granted = decide(&mut contoso, post("/contoso.onmicrosoft.com/oauth2/v2.0/token", &form_of), 0);
    assert_eq!(claims(&granted)["tid"], TENANT_ID);
    let mut other = service(&[], |settings| settings.client = Some(TENANT.to_owned()));
    assert_eq!(code(&decide(&mut other, with_secret(), 0)), 700_016);
}

#[test]
fn assertion_of_the_certificate_is_verified() {
    let changed = |name: &str, value: Value| {
        let mut claims = certificate_claims(1);
        claims[name] = value;
        sign(&certificate_header(), &claims)
    };
    let now = at(0).wall.as_second();
    let good = sign(&certificate_header(), &certificate_claims(1));
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let mut other_header = certificate_header();
    other_header["x5t#S256"] = json!("c29tZXRoaW5nIGVsc2U");
    let mut old_header = certificate_header();
    old_header["alg"] = json!("RS256");
    for (assertion, expected) in [
        (format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode([7; 256])), 700_027),
        (sign(&other_header, &certificate_claims(1)), 700_027),
        (sign(&old_header, &certificate_claims(1)), 700_027),
        (sign(&json!({"alg": "PS256", "typ": "JWT"}), &certificate_claims(1)), 700_027),
        (changed("aud", json!("https://login.microsoftonline.com")), 700_027),
        (changed("sub", json!(TENANT)), 700_027),
        (changed("jti", json!("1")), 700_027),
        (changed("nbf", Value::Null), 700_027),
        (changed("exp", json!(now + 601)), 700_027),
        (changed("exp", json!(now)), 700_024),
        (changed("nbf", json!(now + 301)), 700_024),
    ] {
        let mut service = service(&[], |settings| settings.certificate = Some(certificate()));
        let refused = decide(&mut service, with_assertion(&assertion), 0);
        assert_eq!(code(&refused), expected, "{}", refused.response.body);
    }
    let mut service = service(&[], |settings| settings.certificate = Some(certificate()));
    assert_eq!(claims(&decide(&mut service, with_assertion(&good), 0))["appid"], CLIENT);
    let replayed = decide(&mut service, with_assertion(&good), 1);
    assert!(code(&replayed) == 700_027 && replayed.response.body.contains("was used before"));
}

#[test]
fn federated_assertion_must_match_and_be_valid() {
    let now = at(0).wall.as_second();
    let assertion = |name: &str, value: Value| {
        let mut claims = json!({
            "iss": "https://cluster.example", "sub": "system:serviceaccount:soc:triage",
            "aud": ["api://AzureADTokenExchange"], "exp": now + 3600,
        });
        claims[name] = value;
        jwt::write(&json!({"alg": "RS256"}), &claims, &mut fastrand::Rng::with_seed(1))
    };
    let good = assertion("nbf", json!(now));
    let mut service = service(&[], |settings| {
        let known = ["https://cluster.example", "system:serviceaccount:soc:triage"].map(str::to_owned);
        settings.federated = Some(known.into());
    });
    for (name, value, expected) in [
        ("iss", json!("https://Cluster.example"), 70_021),
        ("sub", json!("system:serviceaccount:soc:other"), 70_021),
        ("aud", json!(RESOURCE), 700_212),
        ("exp", json!(now), 700_024),
        ("nbf", json!(now + 301), 700_024),
    ] {
        assert_eq!(code(&decide(&mut service, with_assertion(&assertion(name, value)), 0)), expected, "{name}");
    }
    // Kubernetes rewrites its file about hourly: until then it is used again.
    for _ in 0..2 {
        claims(&decide(&mut service, with_assertion(&good), 0));
    }
}

fn github(authorization: &str, query: &str) -> SignInRequest {
    request("GET", &format!("/github/token?{query}"), &[("authorization", authorization)], "")
}

#[test]
fn github_assertion_can_be_used_once() {
    const QUERY: &str = "api-version=2.0&audience=api%3A%2F%2FAzureADTokenExchange";
    let mut service = service(&[], |settings| settings.github_token = Some("request-token".to_owned().into()));
    for (authorization, query, status) in [
        ("Bearer request-token", QUERY, 401),
        ("bearer other", QUERY, 401),
        ("bearer request-token", "audience=api%3A%2F%2FAzureADTokenExchange", 400),
    ] {
        let refused = decide(&mut service, github(authorization, query), 0);
        assert_eq!(refused.response.status, status, "{authorization} {query}");
    }
    let mut assertion = |query: &str| {
        let answer = decide(&mut service, github("bearer request-token", query), 0);
        json_of(&answer)["value"].as_str().expect("an assertion").to_owned()
    };
    let (first, second) = (assertion(QUERY), assertion(QUERY));
    let without_audience = assertion("api-version=2.0");
    let jwt = Jwt::read(&first).expect("a JWT");
    assert_eq!((jwt.claim("iss"), jwt.claim("sub")), (Some(GITHUB_ISSUER), Some(GITHUB_SUBJECT)));
    assert_eq!(jwt.seconds("exp"), Some(at(300).wall.as_second()));
    assert_ne!(first, second);
    claims(&decide(&mut service, with_assertion(&first), 0));
    let replayed = decide(&mut service, with_assertion(&first), 0);
    assert!(code(&replayed) == 700_024 && replayed.response.body.contains("was used before"));
    assert_eq!(code(&decide(&mut service, with_assertion(&second), 300)), 700_024);
    assert_eq!(code(&decide(&mut service, with_assertion(&without_audience), 0)), 700_212);
    let foreign = first.replace(first.rsplit('.').next().expect("a signature"), "c2ln");
    assert_eq!(code(&decide(&mut service, with_assertion(&foreign), 0)), 50_012);
}

#[test]
fn imds_writes_numbers_as_strings() {
    let mut service = service(&[], |settings| settings.client = Some(CLIENT.to_owned()));
    let granted = decide(&mut service, imds("api-version=2018-02-01"), 0);
    let body = json_of(&granted);
    let until = at(3600).wall.as_second().to_string();
    assert_eq!([&body["expires_in"], &body["expires_on"]], ["3600", &until]);
    assert_eq!([&claims(&granted)["appid"], &body["resource"]], [CLIENT, RESOURCE]);
    let named = format!("api-version=2018-02-01&client_id={CLIENT}");
    claims(&decide(&mut service, imds(&named), 0));
    let path = format!("/metadata/identity/oauth2/token?api-version=2018-02-01&resource={RESOURCE}");
    for (request, said) in [
        (request("GET", &path, &[], ""), "header not specified"),
        (request("GET", &format!("{path}/.default"), &[("metadata", "true")], ""), "without `/.default`"),
        (imds("api-version=2021-02-01"), "api-version must be 2018-02-01"),
        (imds(&format!("api-version=2018-02-01&client_id={TENANT}")), "Identity not found"),
    ] {
        let refused = decide(&mut service, request, 0);
        assert_eq!(refused.response.status, 400);
        assert!(json_of(&refused)["error_description"].as_str().expect("a text").contains(said), "{said}");
    }
}

#[test]
fn app_service_expects_its_identity_header() {
    let path = format!("/msi/token?api-version=2019-08-01&resource={RESOURCE}");
    let mut service = service(&[], |settings| settings.identity_header = Some("header".to_owned().into()));
    let ask = |header: &str, path: &str| request("GET", path, &[("x-identity-header", header)], "");
    assert_eq!(json_of(&decide(&mut service, ask("header", &path), 0))["expires_in"], "3600");
    assert_eq!(decide(&mut service, ask("other", &path), 0).response.status, 401);
    assert_eq!(decide(&mut service, request("GET", &path, &[], ""), 0).response.status, 401);
    assert_eq!(decide(&mut service, ask("header", &path.replace("2019", "2017")), 0).response.status, 400);
}

#[test]
fn arc_key_is_good_for_one_request() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut service = service(&[], |settings| settings.key_directory = Some(directory.path().to_owned()));
    let path = format!("/metadata/identity/oauth2/token?api-version=2020-06-01&resource={RESOURCE}");
    let mut ask = |authorization: &str| {
        let headers = [("metadata", "true"), ("authorization", authorization)];
        decide(&mut service, request("GET", &path, &headers, ""), 0)
    };
    let key_of = |challenged: &Answer| {
        let (name, value) = &challenged.response.headers[0];
        assert_eq!((challenged.response.status, *name), (401, "www-authenticate"));
        let file = value.strip_prefix("Basic realm=").expect("a file");
        assert!(file.starts_with(directory.path().to_str().expect("UTF-8")), "{file}");
        std::fs::read_to_string(file).expect("a key")
    };
    let first = key_of(&ask(""));
    let second = key_of(&ask("Basic wrong"));
    assert_ne!(first, second);
    let third = key_of(&ask(&format!("Basic {first}")));
    assert_eq!(json_of(&ask(&format!("Basic {third}")))["token_type"], "Bearer");
    key_of(&ask(&format!("Basic {third}")));
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1, "used keys are removed");
}

/// The status, the delivery, and what the body contains.
#[test]
fn sign_in_fault_has_its_documented_effect() {
    for (fault, status, delivery, said) in [
        ("aadsts53003", 400, Delivery::Whole, "\"error_codes\":[53003]"),
        (
            "aadsts7000222",
            401,
            Delivery::Whole,
            "AADSTS7000222: The provided client secret keys are expired. Trace ID: ",
        ),
        ("aadsts7000222=lines", 401, Delivery::Whole, "are expired.\\r\\nTrace ID: "),
        ("temporarily-unavailable", 503, Delivery::Whole, "\"error\":\"temporarily_unavailable\""),
        ("temporarily-unavailable=400", 400, Delivery::Whole, "\"error\":\"temporarily_unavailable\""),
        ("429", 429, Delivery::Whole, "<html>"),
        ("500", 500, Delivery::Whole, "<html>"),
        ("410", 410, Delivery::Whole, "<html>"),
        ("drop", 200, Delivery::Cut, ""),
        ("stall", 200, Delivery::Stall, ""),
        ("not-json", 200, Delivery::Whole, "<html>"),
        ("not-json=text", 200, Delivery::Whole, "unauthorized"),
        ("echo", 400, Delivery::Whole, SECRET),
        ("echo=503", 503, Delivery::Whole, "\\u001b[31m"),
        ("huge", 200, Delivery::Endless(ENDLESS), ""),
        (
            "no-identity",
            400,
            Delivery::Whole,
            r#"{"error":"invalid_request","error_description":"Identity not found"}"#,
        ),
        ("redirect", 302, Delivery::Whole, ""),
    ] {
        let answer = decide(&mut service(&[fault], |_| ()), with_secret(), 0);
        assert_eq!((answer.response.status, &answer.delivery), (status, &delivery), "{fault}");
        assert!(answer.response.body.contains(said) && answer.token.is_none(), "{fault}: {}", answer.response.body);
    }
    let headers = |fault: &str| decide(&mut service(&[fault], |_| ()), with_secret(), 0).response.headers;
    assert_eq!(headers("429"), [("retry-after", "1".to_owned())]);
    assert_eq!(headers("503=1500ms"), [("retry-after", "2".to_owned())]);
    assert_eq!(headers("redirect=http://127.0.0.1:9/x"), [("location", "http://127.0.0.1:9/x".to_owned())]);
    let late = decide(&mut service(&["slow=3s"], |_| ()), with_secret(), 0);
    assert_eq!(late.delivery, Delivery::Late(Duration::from_secs(3)));
    claims(&late);
}

#[test]
fn altered_token_has_one_wrong_claim() {
    let usual = claims(&decide(&mut service(&[], |_| ()), with_secret(), 0));
    for (fault, name, is_for_the_api) in
        [("wrong-audience", "aud", false), ("no-roles", "roles", true), ("other-tenant", "tid", true)]
    {
        let answer = decide(&mut service(&[fault], |_| ()), with_secret(), 0);
        let altered = claims(&answer);
        for other in ["aud", "roles", "tid", "appid", "exp"] {
            assert_eq!(altered[other] == usual[other], other != name, "{fault}: {other}");
        }
        assert_eq!(answer.token.expect("a token").is_for.is_some(), is_for_the_api, "{fault}");
    }
    let mut opaque = service(&[], |settings| settings.is_opaque = true);
    let token = decide(&mut opaque, with_secret(), 0).token.expect("a token").text;
    assert!(Jwt::read(token.expose_secret()).is_none());
}

#[test]
fn faults_select_endpoints_and_periods() {
    let mut service = service(&["503@imds*1", "drop@10s-20s", "404@4"], |_| ());
    let imds = || imds("api-version=2018-02-01");
    let statuses: Vec<Option<u16>> = [(with_secret(), 0), (imds(), 1), (imds(), 10), (imds(), 21), (imds(), 22)]
        .into_iter()
        .map(|(request, second)| {
            decide(&mut service, request, second);
            service.requests().last().expect("it is kept").status
        })
        .collect();
    assert_eq!(statuses, [Some(200), Some(503), None, Some(404), Some(200)]);
    assert_eq!(service.requests()[2].fault.as_deref(), Some("drop@10s-20s"));
}

#[test]
fn invalid_sign_in_fault_is_explained() {
    for (text, said) in [
        ("", "enter aadsts and a number"),
        ("200", "a status from 300 to 599"),
        ("aadsts", "is not the number of an AADSTS error"),
        ("aadsts1=x", "accepts only `=lines`"),
        ("temporarily-unavailable=500", "accepts only `=400` and `=503`"),
        ("drop=1s", "accepts no `=1s`"),
        ("echo=200", "accepts only a status from 300 to 599"),
        ("not-json=html", "accepts only `=text`"),
        ("503@#7", "`@#7` selects no requests: enter request numbers (`3`, `7-9`, `20-`), `token`, `imds`, "),
        ("503@updates", "or a period (`5s-15s`)"),
        ("redirect=a b", "is not a URL"),
    ] {
        let error = text.parse::<SignInFault>().expect_err(text).to_string();
        assert!(error.contains(said) && error.starts_with(&format!("`{text}` is not a fault: ")), "{error}");
    }
}

#[test]
fn log_and_debug_have_no_secrets() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sign-in.jsonl");
    let mut service = service(&["aadsts7000215@2"], |settings| {
        settings.log = Some(path.clone());
        settings.key_directory = Some(directory.path().to_owned());
    });
    decide(&mut service, with_secret(), 0);
    decide(&mut service, with_assertion(&sign(&certificate_header(), &certificate_claims(1))), 1);
    decide(&mut service, github("bearer request-token", "api-version=2.0"), 2);
    decide(&mut service, request("GET", "/msi/token", &[("x-identity-header", "s3cret-of-the-host")], ""), 3);
    let arc = imds("api-version=2020-06-01");
    decide(&mut service, arc.clone(), 4);
    let key = service.secrets().last().expect("a key").expose_secret().to_owned();
    let (mut parts_with_key, authorization) = (arc, format!("Basic {key}"));
    parts_with_key.headers.push(("authorization".to_owned(), authorization));
    decide(&mut service, parts_with_key, 5);
    let log = std::fs::read_to_string(&path).expect("a log");
    let shown = format!("{log}{:?}", service.requests());
    let sent = service.requests().iter().flat_map(|request| [&request.form, &request.headers]).flatten();
    let is_secret =
        |name: &str| ["client_secret", "client_assertion", "authorization", "x-identity-header"].contains(&name);
    let sent: Vec<&str> = sent.filter(|(name, _)| is_secret(name)).map(|(_, value)| value.as_str()).collect();
    assert_eq!(sent.len(), 5);
    for secret in sent.into_iter().chain(service.secrets().map(ExposeSecret::expose_secret)) {
        let end = secret.rsplit([' ', '.']).next().expect("a last part");
        assert!(!shown.contains(end), "{end} in {shown}");
    }
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(
        lines[1],
        json!({
            "seq": 2, "wall": at(1).wall.to_string(), "endpoint": "token", "method": "POST",
            "path": format!("/{TENANT}/oauth2/v2.0/token"), "query": {},
            "form": {
                "client_assertion": null, "client_assertion_type": ASSERTION_TYPE, "client_id": CLIENT,
                "grant_type": "client_credentials", "scope": SCOPE,
            },
            "headers": ["host", "content-type"], "status": 401, "error": "invalid_client AADSTS7000215",
            "fault": "aadsts7000215@2",
        })
    );
    assert_eq!([&lines[4]["error"], &lines[5]["status"]], [&json!("challenge"), &json!(200)]);
}
