//! The requests of each kind, as the documentation of the services has them: every part is compared.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bulk_triage::clock::Clock;
use bulk_triage::emulator::SignInRequest;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use webpki::EndEntityCert;
use webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY;

use super::kinds::{CLIENT, CLIENT_SECRET, GITHUB_TOKEN, IDENTITY_HEADER, Job, KINDS, Kind, PEM, TENANT};
use crate::program::{at_once, started};

const RESOURCE: &str = "https://api.security.microsoft.com";
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Headers of every HTTP client. They say nothing about the credential.
const OF_HTTP: [&str; 5] = ["accept", "accept-encoding", "content-length", "host", "user-agent"];

type Pairs<'a> = BTreeMap<&'a str, &'a str>;

/// A request without what HTTP itself needs.
#[derive(Debug, PartialEq)]
struct Shown<'a> {
    line: String,
    headers: Pairs<'a>,
    query: Pairs<'a>,
    form: Pairs<'a>,
}

fn shown(request: &SignInRequest) -> Shown<'_> {
    fn pairs<'a>(all: &'a [(String, String)], left_out: &[&str]) -> Pairs<'a> {
        let kept: Vec<_> = all.iter().filter(|(name, _)| !left_out.contains(&name.as_str())).collect();
        let map: Pairs<'a> = kept.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(map.len(), kept.len(), "a name occurs twice");
        map
    }
    Shown {
        line: format!("{} {}", request.method, request.path),
        headers: pairs(&request.headers, &OF_HTTP),
        query: pairs(&request.query, &[]),
        form: pairs(&request.form, &[]),
    }
}

fn get<'a>(path: &str, headers: &[(&'a str, &'a str)], query: &[(&'a str, &'a str)]) -> Shown<'a> {
    let (headers, query) = (headers.iter().copied().collect(), query.iter().copied().collect());
    Shown { line: format!("GET {path}"), headers, query, form: Pairs::new() }
}

/// A token request of an application, with its proof.
fn post<'a>(proof: &[(&'a str, &'a str)]) -> Shown<'a> {
    let fields = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", "https://api.security.microsoft.com/.default"),
    ];
    Shown {
        line: format!("POST /{TENANT}/oauth2/v2.0/token"),
        headers: [FORM].into(),
        query: Pairs::new(),
        form: fields.into_iter().chain(proof.iter().copied()).collect(),
    }
}

/// The parts of a JWT.
fn read(jwt: &str) -> (Value, Value) {
    let mut parts = jwt.split('.').map(|part| BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url"));
    let mut object = || serde_json::from_slice(&parts.next().expect("a part")).expect("JSON");
    (object(), object())
}

/// The assertion that the certificate's key signed for the token endpoint.
fn expect_certificate_assertion(assertion: &str, endpoint: &str) {
    let certificate = CertificateDer::from_pem_slice(PEM.as_bytes()).expect("a certificate");
    let (header, mut claims) = read(assertion);
    let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(&certificate));
    assert_eq!(header, json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
    let claims = claims.as_object_mut().expect("an object");
    let mut take = |name: &str| claims.remove(name).unwrap_or_default();
    let (id, from, issued, until) = (take("jti"), take("nbf"), take("iat"), take("exp"));
    assert_eq!(id.as_str().map(|id| id.split('-').map(str::len).collect()), Some(vec![8, 4, 4, 4, 12]));
    let seconds = |time: &Value| time.as_i64().expect("a number");
    let now = Clock::machine().now().wall.as_second();
    assert!((now - 120..=now).contains(&seconds(&issued)) && from == issued, "{from} {issued} {now}");
    assert!((300..=600).contains(&(seconds(&until) - seconds(&issued))), "{until} {issued}");
    assert_eq!(Value::Object(claims.clone()), json!({"aud": endpoint, "iss": CLIENT, "sub": CLIENT}));
    let (signed, signature) = assertion.rsplit_once('.').expect("three parts");
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    let certificate = EndEntityCert::try_from(&certificate).expect("X.509");
    let verified = certificate.verify_signature(RSA_PSS_2048_8192_SHA256_LEGACY_KEY, signed.as_bytes(), &signature);
    assert_eq!(verified, Ok(()));
}

fn expect_requests(job: &Job) {
    let requests = job.requests();
    let sent: Vec<Shown> = requests.iter().map(shown).collect();
    let metadata = "/metadata/identity/oauth2/token";
    let identity = |version| [("api-version", version), ("resource", RESOURCE), ("client_id", CLIENT)];
    let assertion = requests.last().and_then(|request| request.field("client_assertion")).unwrap_or_default();
    let with_assertion = || post(&[("client_assertion", assertion), ("client_assertion_type", ASSERTION_TYPE)]);
    let expected = match job.kind {
        Kind::TokenFile | Kind::TokenCommand | Kind::AzureCli => vec![],
        Kind::ClientSecret => vec![post(&[("client_secret", CLIENT_SECRET)])],
        Kind::ClientCertificate => {
            expect_certificate_assertion(assertion, &format!("{}/{TENANT}/oauth2/v2.0/token", job.program.origin()));
            vec![with_assertion()]
        }
        Kind::WorkloadIdentity => {
            assert_eq!(assertion, job.program.read("federated"));
            vec![with_assertion()]
        }
        Kind::GithubOidc => {
            let issued = job.program.issued_secrets();
            assert!(issued.contains(&assertion.to_owned()), "GitHub's assertion is passed on");
            let authorization = format!("bearer {GITHUB_TOKEN}");
            let query = [("api-version", "2.0"), ("audience", "api://AzureADTokenExchange")];
            assert_eq!(sent[0], get("/github/token", &[("authorization", &authorization)], &query));
            assert_eq!(sent[1..], [with_assertion()]);
            return;
        }
        Kind::VirtualMachine => vec![get(metadata, &[("metadata", "true")], &identity("2018-02-01"))],
        Kind::AppService => {
            vec![get("/msi/token", &[("x-identity-header", IDENTITY_HEADER)], &identity("2019-08-01"))]
        }
        Kind::Arc => {
            let issued = job.program.issued_secrets();
            let authorization = format!("Basic {}", issued.last().expect("a key"));
            let query = identity("2020-06-01");
            assert_eq!(sent[0], get(metadata, &[("metadata", "true")], &query));
            let proof = [("metadata", "true"), ("authorization", authorization.as_str())];
            assert_eq!(sent[1..], [get(metadata, &proof, &query)]);
            return;
        }
    };
    assert_eq!(sent, expected);
}

#[test]
fn each_kind_sends_exactly_the_documented_requests() {
    at_once(KINDS, |kind| {
        let job = Job::of(kind);
        let ended = started(job.command("a.csv")).end().expect_code(0).expect_outcomes(&[("updated", 3)]);
        expect_requests(&job);
        assert_eq!(job.fetched(), 1, "{kind:?}");
        let called = match kind {
            Kind::TokenFile => "",
            Kind::TokenCommand => "for the API\n",
            Kind::AzureCli => {
                "account get-access-token --output json --resource https://api.security.microsoft.com --tenant \
                 3b0a1d52-6c7e-4f80-9a1b-2c3d4e5f6071\n"
            }
            _ => {
                let host = job.program.origin();
                let at = if kind.asks_entra() { format!(" at {host}") } else { String::new() };
                let said = format!("signed in as {CLIENT} with {}{at}\n", kind.name());
                assert!(ended.printed().contains(&said), "{said}: {}", ended.printed());
                return;
            }
        };
        let calls = std::fs::read_to_string(job.program.path("calls")).unwrap_or_default();
        assert_eq!(calls, called, "{kind:?}");
    });
}

/// A system-assigned identity has no client ID to name.
#[test]
fn system_assigned_identity_is_requested_without_client() {
    let job = Job::of(Kind::VirtualMachine);
    let mut command = job.command("a.csv");
    command.env_remove("AZURE_CLIENT_ID");
    started(command).end().expect_code(0);
    let requests = job.requests();
    let query = [("api-version", "2018-02-01"), ("resource", RESOURCE)];
    assert_eq!(shown(&requests[0]), get("/metadata/identity/oauth2/token", &[("metadata", "true")], &query));
}
