//! The client: one attempt at one call, and what its response means.
//!
//! [`Transport`] moves bytes, and is the seam where a simulation replaces the network. Classifying the response is
//! pure. Nothing here retries: `retry` decides that, and `apply` does it.

mod body;
mod body_reader;
mod claims;
pub mod classify;
mod connect_only;
mod consent;
mod credentials;
mod date;
mod entra_host;
mod http;
mod incident_body;
mod member_filter;
mod origin;
mod proxy;
mod retry_text;
mod secret_file;
mod server_clock;
mod sign_in;
mod sign_in_error;
pub mod throttle;
mod token_cache;
mod token_source;
mod token_text;
mod transport;

use std::borrow::Cow;
use std::sync::Arc;

use url::Url;

use crate::clock::Clock;
use crate::contract::{Contract, ListNames};
use crate::model::call::{Call, CallResult, Page, Verdict, WhyUnsent};
use crate::model::operation::Operations;
use crate::text::{REDACTED, Secrets};
pub use body_reader::Incomplete;
pub use claims::{ClaimsError, TokenFacts, TokenNeeds};
pub use consent::{ConsentedOrigin, NotConsented};
pub use credentials::{
    Application, EndpointError, Entra, GithubJob, IdentityEndpoint, ManagedIdentity, Platform, Proof, Secret,
    SignInHost, TokenCommand, TokenFile, is_tenant, is_tenant_id,
};
pub use http::{HttpError, HttpTransport};
use incident_body::InUse;
pub use member_filter::{Keep, PageNames};
pub use origin::{Origin, OriginError};
pub use proxy::Proxy;
pub use secret_file::{SecretFile, SecretFileError, SecretFileProblem};
pub use server_clock::{ClockOffset, ServerClock};
pub use sign_in_error::SignInError;
pub use token_cache::{TokenCache, TokenStatus};
pub use token_source::{BoxFuture, Supply, Token, TokenError, TokenSource};
pub use token_text::TokenTextError;
pub use transport::{Reply, Request, SendError, Transport, WHOLE_CALL};

/// Makes calls to one API with one caller's tokens.
#[derive(Debug)]
pub struct Client<T: Transport> {
    transport: T,
    tokens: Arc<TokenCache>,
    contract: Arc<Contract>,
    clock: Clock,
    keep: InUse,
}

impl<T: Transport> Client<T> {
    /// A client that sends with `transport`, and reads responses by `contract`.
    pub fn new(transport: T, tokens: Arc<TokenCache>, contract: &Contract, clock: Clock) -> Client<T> {
        let keep = InUse::of_contract(contract);
        Client { transport, tokens, contract: Arc::new(contract.clone()), clock, keep }
    }

    /// What the API accepts.
    #[must_use]
    pub fn contract(&self) -> &Arc<Contract> {
        &self.contract
    }

    /// Where the tokens come from.
    #[must_use]
    pub fn tokens(&self) -> &TokenCache {
        &self.tokens
    }

    /// One attempt: awaits a valid token, sends once, reads the response, and reports a refused token to the cache.
    /// Ends within the transport's time limits if there is a token ([`TokenCache::status`]). Without one, or if the
    /// request would contain one, nothing is sent.
    pub async fn call(&self, call: &Call) -> CallResult {
        let (token, generation) = match self.tokens.token(&self.clock).await {
            Ok(valid) => valid,
            Err(error) => {
                return CallResult::without_response(Verdict::Unsent(WhyUnsent::NoToken), error.to_string());
            }
        };
        let Operations { read, list, .. } = &self.contract.operations;
        let (method, path, query, body) = match call {
            Call::Step(step) => (step.method, step.path.clone(), None, Some(step.body.to_json().into())),
            Call::Read(incident) => (read.method, read.path_of(*incident), None, None),
            Call::List(page) => (list.method, list.path.clone(), Some(query(page, &self.contract.api.list)), None),
        };
        let headers = self.contract.operations.get(call.operation()).headers.clone();
        let keep = self.keep.of(call).clone();
        let request = Request { method, path, query, token: token.clone(), headers, body, keep };
        if let Some(body) = request.body.as_deref()
            && (self.tokens.secrets().are_in(body) || body.contains(REDACTED))
        {
            // Neither the token nor redacted parts of a response appear in the result.
            let message = format!("not sent: the row contains the access token, or `{REDACTED}` in its place");
            return CallResult::without_response(Verdict::Unsent(WhyUnsent::ContainsToken), message);
        }
        let reply = self.transport.send(request).await;
        // Redacted after sending: the token may have been renewed meanwhile.
        let reply = redacted(reply, &self.tokens.secrets());
        let now = self.clock.now();
        let mut result = classify::classify(call, &self.contract, reply, now);
        if let Verdict::Unauthorized { is_news } = &mut result.verdict {
            *is_news = self.tokens.refused(generation, &result.message, now);
        }
        if let Verdict::Listed { next: Some(link), .. } = &mut result.verdict {
            match self.own_query(link) {
                Ok(query) => *link = query,
                Err(why) => (result.verdict, result.message) = (Verdict::Unexpected, why),
            }
        }
        result
    }

    /// The query of the URL of the next page, if that is at the same place as the list.
    fn own_query(&self, link: &str) -> Result<String, String> {
        let url = Url::parse(link).map_err(|error| format!("the link to the next page is not a URL: {error}"))?;
        let origin = url.origin().ascii_serialization();
        let is_own = self.transport.origin().is_none_or(|own| own == origin);
        if !is_own || url.path() != self.contract.operations.list.path || !url.username().is_empty() {
            let place = classify::brief(link.split(['?', '#']).next().unwrap_or_default());
            return Err(format!("the link to the next page leads elsewhere, to {place}, and was not followed"));
        }
        url.query().map(str::to_owned).ok_or_else(|| "the link to the next page has no query".to_owned())
    }
}

/// The response with tokens redacted: before any reader sees it, so that none can forget to.
fn redacted(reply: Result<Reply, SendError>, secrets: &Secrets) -> Result<Reply, SendError> {
    let redact = |text: &mut String| {
        if let Cow::Owned(redacted) = secrets.redact(text) {
            *text = redacted;
        }
    };
    let mut reply = reply.map_err(|mut error| {
        redact(&mut error.message);
        error
    })?;
    reply.headers.iter_mut().for_each(|(_, value)| redact(value));
    if let Some(Incomplete::Coding(name)) = &mut reply.incomplete {
        redact(name);
    }
    if let Cow::Owned(body) = secrets.redact_bytes(&reply.body) {
        reply.body = body;
    }
    Ok(reply)
}

/// The query of a page, encoded.
fn query(page: &Page, names: &ListNames) -> String {
    if let Some(link) = &page.link {
        return link.clone();
    }
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.append_pair(&names.top, &page.top.to_string()).append_pair(&names.skip, &page.skip.to_string());
    if let Some(filter) = &page.filter {
        query.append_pair(&names.filter, filter);
    }
    query.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{BootTime, Now};
    use crate::model::change::IncidentId;
    use secrecy::SecretString;
    use std::sync::Mutex;

    /// Answers every request with a refusal that repeats its token, and keeps what it was asked.
    #[derive(Debug, Default)]
    struct Echo(Mutex<Vec<String>>);

    impl Transport for Echo {
        async fn send(&self, request: Request) -> Result<Reply, SendError> {
            use secrecy::ExposeSecret as _;
            let token = request.token.expose_secret();
            let body = format!(r#"{{"error":{{"message":"bad token {token}","target":"{token}"}}}}"#).into_bytes();
            let rest = request.query.as_deref().or(request.body.as_deref()).unwrap_or_default();
            let sent = format!("{:?} {} {rest}", request.method, request.path);
            self.0.lock().expect("no panic").push(sent);
            Ok(Reply { status: 401, headers: Vec::new(), body, incomplete: None })
        }
    }

    #[tokio::test]
    async fn token_in_a_response_is_redacted() {
        let tokens = Arc::new(TokenCache::given(&SecretString::from("s3cret-s3cret-s3cret")).expect("a token"));
        let clock = Clock::simulated(Now { boot: BootTime(0), wall: jiff::Timestamp::UNIX_EPOCH }, "boot");
        let client = Client::new(Echo::default(), tokens, &classify::tests::contract(), clock);
        let incident = IncidentId::new(7).expect("an id");
        let result = client.call(&Call::Read(incident)).await;
        assert_eq!(result.verdict, Verdict::Unauthorized { is_news: true });
        assert_eq!(
            (result.message.as_str(), result.request_id.as_deref()),
            ("bad token ***token***", Some("***token***"))
        );
        let edits = crate::plan::decode(r#"{"status":"Resolved"}"#, false).expect("a body");
        let edits = edits.resolved().expect("complete lists");
        let change = crate::model::change::Change { incident, edits };
        for step in client.contract().steps(&change) {
            client.call(&Call::Step(step)).await;
        }
        let filter = Some("assignedTo eq 'a+b@c' and status ne 'Resolved'".to_owned());
        client.call(&Call::List(Page { filter, top: 100, skip: 200, link: None })).await;
        let sent = client.transport.0.into_inner().expect("no panic");
        let list = "Get /api/incidents %24top=100&%24skip=200\
                    &%24filter=assignedTo+eq+%27a%2Bb%40c%27+and+status+ne+%27Resolved%27";
        assert_eq!(sent, ["Get /api/incidents/7 ", r#"Patch /api/incidents/7 {"status":"Resolved"}"#, list]);
    }

    /// Answers every request with this body, and keeps what it was asked.
    #[derive(Debug)]
    struct Shows(&'static str, Mutex<Vec<String>>);

    impl Transport for Shows {
        fn origin(&self) -> Option<String> {
            Some("https://graph.microsoft.com".to_owned())
        }

        async fn send(&self, request: Request) -> Result<Reply, SendError> {
            let query = request.query.as_deref().unwrap_or_default();
            let sent = format!("{:?} {} {query} {:?}", request.method, request.path, request.headers);
            self.1.lock().expect("no panic").push(sent);
            Ok(Reply { status: 200, headers: Vec::new(), body: self.0.into(), incomplete: None })
        }
    }

    fn client_of(body: &'static str) -> Client<Shows> {
        let tokens = Arc::new(TokenCache::given(&SecretString::from("s3cret-s3cret-s3cret")).expect("a token"));
        let clock = Clock::simulated(Now { boot: BootTime(0), wall: jiff::Timestamp::UNIX_EPOCH }, "boot");
        let graph = crate::contract::load("graph").expect("built in");
        Client::new(Shows(body, Mutex::default()), tokens, &graph, clock)
    }

    #[tokio::test]
    async fn reads_of_graph_have_a_header_and_links() {
        let client = client_of(
            r#"{"value":[{"id":"7","status":"active","customTags":["a"],"assignedTo":null}],
                "@odata.nextLink":"https://graph.microsoft.com/v1.0/security/incidents?$top=1&$skiptoken=a%20b"}"#,
        );
        let page = Page { filter: None, top: 1, skip: 0, link: None };
        let Verdict::Listed { incidents, next } = client.call(&Call::List(page.clone())).await.verdict else {
            panic!("no list");
        };
        let values = serde_json::Value::from(incidents[0].values.clone());
        assert_eq!(values, serde_json::json!({"status": "active", "tags": ["a"], "assignedTo": null}));
        assert_eq!((incidents[0].id, next.as_deref()), (7, Some("$top=1&$skiptoken=a%20b")));
        client.call(&Call::List(Page { link: next, ..page })).await;
        client.call(&Call::Read(IncidentId::new(7).expect("an id"))).await;
        let prefer = r#"{"Prefer": "include-unknown-enum-members"}"#;
        let sent = client.transport.1.into_inner().expect("no panic");
        let expected = [
            format!("Get /v1.0/security/incidents %24top=1&%24skip=0 {prefer}"),
            format!("Get /v1.0/security/incidents $top=1&$skiptoken=a%20b {prefer}"),
            format!("Get /v1.0/security/incidents/7  {prefer}"),
        ];
        assert_eq!(sent, expected);
    }

    #[tokio::test]
    async fn link_to_another_place_fails_the_list() {
        for body in [
            r#"{"value":[],"@odata.nextLink":"https://evil.example/v1.0/security/incidents?$skip=1"}"#,
            r#"{"value":[],"@odata.nextLink":"http://graph.microsoft.com/v1.0/security/incidents?$skip=1"}"#,
            r#"{"value":[],"@odata.nextLink":"https://graph.microsoft.com:8443/v1.0/security/incidents?$skip=1"}"#,
            r#"{"value":[],"@odata.nextLink":"https://a@graph.microsoft.com/v1.0/security/incidents?$skip=1"}"#,
            r#"{"value":[],"@odata.nextLink":"https://graph.microsoft.com/v1.0/users?$skip=1"}"#,
            r#"{"value":[],"@odata.nextLink":"https://graph.microsoft.com/v1.0/security/incidents/../../users?$skip=1"}"#,
            r#"{"value":[],"@odata.nextLink":"https://graph.microsoft.com/v1.0/security/incidents"}"#,
            r#"{"value":[],"@odata.nextLink":"/v1.0/security/incidents?$skip=1"}"#,
            r#"{"value":[],"@odata.nextLink":"file:///etc/passwd?$skip=1"}"#,
        ] {
            let page = Page { filter: None, top: 1, skip: 0, link: None };
            let result = client_of(body).call(&Call::List(page)).await;
            assert_eq!(result.verdict, Verdict::Unexpected, "{body}");
            assert!(result.message.starts_with("the link to the next page "), "{}", result.message);
        }
        let page = Page { filter: None, top: 1, skip: 0, link: None };
        let result = client_of(r#"{"value":[],"@odata.nextLink":7}"#).call(&Call::List(page)).await;
        assert_eq!(result.verdict, Verdict::Transient { may_have_applied: false });
    }

    #[tokio::test]
    async fn nothing_leaves_without_token_or_containing_it() {
        /// Expired on 2026-11-24.
        const EXPIRED: &str = "e30.eyJleHAiOjE3OTU1MTQ0MDJ9.c2ln";
        let valid = "s3cret-s3cret-s3cret";
        let wall = "2026-12-01T00:00:00Z".parse().expect("a time");
        for (token, why) in [(EXPIRED, WhyUnsent::NoToken), (valid, WhyUnsent::ContainsToken)] {
            let tokens = Arc::new(TokenCache::given(&SecretString::from(token)).expect("a token"));
            let clock = Clock::simulated(Now { boot: BootTime(0), wall }, "boot");
            let client = Client::new(Echo::default(), tokens, &classify::tests::contract(), clock);
            let body = format!(r#"{{"status":"Resolved","comment":"{token}"}}"#);
            let edits = crate::plan::decode(&body, true).expect("a body").resolved().expect("complete lists");
            let change = crate::model::change::Change { incident: IncidentId::new(7).expect("an id"), edits };
            let step = client.contract().steps(&change).next().expect("a step");
            let result = client.call(&Call::Step(step)).await;
            assert_eq!(result.verdict, Verdict::Unsent(why), "{}", result.message);
            assert!(!result.message.is_empty() && !result.message.contains(token), "{}", result.message);
            assert!(client.transport.0.into_inner().expect("no panic").is_empty());
        }
    }

    /// The name of a coding and the cause of a loss may be in the server's words, too.
    #[test]
    fn errors_and_encodings_leak_no_token() {
        const TOKEN: &str = "s3cret-s3cret-s3cret";
        let mut secrets = Secrets::default();
        secrets.add(TOKEN);
        let message = format!("no connection: {TOKEN}");
        let lost = SendError { may_have_arrived: true, is_reused: false, obstacle: None, message };
        let lost = redacted(Err(lost), &secrets).expect_err("still an error");
        assert_eq!(lost.message, "no connection: ***token***");
        let incomplete = Some(Incomplete::Coding(TOKEN.to_owned()));
        let reply = Reply { status: 200, headers: Vec::new(), body: Vec::new(), incomplete };
        let reply = redacted(Ok(reply), &secrets).expect("still a reply");
        assert_eq!(reply.incomplete, Some(Incomplete::Coding("***token***".to_owned())));
    }
}
