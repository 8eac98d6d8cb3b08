//! The API without its quota: authorization, the effect of a request on the incidents, and its response.

use axum::body::Bytes;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Map, Value, json};

use super::access::Access;
use super::filter::Query;
use super::incidents::{COMMENTS, Store};
use super::response::{ApiResponse, Refusal};
use super::rules;
use crate::contract::Contract;
use crate::model::change::IncidentId;

/// The maximum number of incidents that a filter searches: by default every ID exists.
const MAX_FILTERED: usize = 200_000;

/// The operation of a request, by its path and method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Update,
    /// A comment alone, as Graph takes it.
    Comment,
    Read,
    List,
    /// An unknown path.
    Elsewhere,
    /// A known path with another method.
    WrongMethod,
}

/// A request as it was received; its token is never printed.
#[derive(Clone)]
pub(super) struct Received {
    pub(super) call: Call,
    pub(super) method: String,
    /// The path without the query.
    pub(super) path: String,
    pub(super) query: String,
    /// The bearer token.
    pub(super) token: Option<SecretString>,
    /// Whether its content type is JSON.
    pub(super) says_json: bool,
    /// The body; `None` if it was too large.
    pub(super) body: Option<Bytes>,
}

impl Call {
    /// Whether it changes an incident.
    pub(super) fn changes(self) -> bool {
        matches!(self, Call::Update | Call::Comment)
    }
}

impl Received {
    /// The incident that the path names; `None` if that is not an ID.
    pub(super) fn incident(&self) -> Option<IncidentId> {
        let path = match self.call {
            Call::Update | Call::Read => self.path.as_str(),
            Call::Comment => self.path.strip_suffix("/comments")?,
            Call::List | Call::Elsewhere | Call::WrongMethod => return None,
        };
        let last = path.rsplit('/').next()?;
        let digits = last.bytes().all(|byte| byte.is_ascii_digit());
        if digits { IncidentId::new(last.parse().ok()?) } else { None }
    }
}

/// The API without its quota.
pub(super) struct Api {
    pub(super) contract: Contract,
    pub(super) access: Access,
    pub(super) store: Store,
}

impl Api {
    /// Carries out a request.
    ///
    /// # Errors
    /// If the API rejects it; then nothing changes.
    pub(super) fn execute(&mut self, request: &Received, now: Timestamp) -> Result<ApiResponse, Refusal> {
        self.authorize(request, now)?;
        match request.call {
            Call::Update | Call::Comment => {
                let (id, change) = self.read_update(request, now)?;
                let incident = self.update(id, &change, now);
                Ok(self.shown(request.call, incident))
            }
            Call::Read => Ok(ApiResponse::json(200, self.find(request, now)?.1)),
            Call::List => {
                let query = Query::parse(&request.query)?;
                let page = self.page(&query, now)?;
                let context = format!("{}/api/$metadata#Incidents", self.contract.origin);
                Ok(ApiResponse::json(200, json!({"@odata.context": context, "value": page})))
            }
            Call::Elsewhere => Err(Refusal::new(404, "NotFound", "There is no such resource.")),
            Call::WrongMethod => Err(Refusal::new(405, "MethodNotAllowed", "The resource has no such method.")),
        }
    }

    /// The incident of an update and the properties to set.
    ///
    /// # Errors
    /// If the API rejects it.
    pub(super) fn read_update(&self, request: &Received, now: Timestamp) -> Result<(u64, Map<String, Value>), Refusal> {
        self.authorize(request, now)?;
        let body = request.body.as_ref();
        let body = body.ok_or_else(|| Refusal::new(413, "PayloadTooLarge", "The request body is too large."))?;
        if !request.says_json {
            return Err(Refusal::new(415, "UnsupportedMediaType", "Content-Type must be application/json."));
        }
        let (id, _) = self.find(request, now)?;
        let change = if request.call == Call::Comment {
            rules::read_comment(body)?
        } else {
            rules::read_change(&self.contract, body)?
        };
        Ok((id, change))
    }

    /// What a response shows of an incident: of one that got a comment alone, all its comments.
    pub(super) fn shown(&self, call: Call, mut incident: Value) -> ApiResponse {
        if call == Call::Comment {
            let context = format!("{}/api/$metadata#comments", self.contract.origin);
            incident = json!({"@odata.context": context, "value": incident[COMMENTS]});
        }
        ApiResponse::json(200, incident)
    }

    /// Sets properties of an incident. Returns the updated incident.
    pub(super) fn update(&mut self, id: u64, change: &Map<String, Value>, now: Timestamp) -> Value {
        self.store.update(&self.contract, id, change, now)
    }

    fn page(&self, query: &Query, now: Timestamp) -> Result<Vec<Value>, Refusal> {
        let show = |id| self.store.show_read(id, now);
        if query.has_no_filter() {
            return Ok(self.store.newest_first(query.skip as u64).take(query.top).map(show).collect());
        }
        let mut searched = 0;
        let incidents = self.store.newest_first(0).take(MAX_FILTERED + 1).inspect(|_| searched += 1).map(show);
        let matching = incidents.filter(|incident| query.matches(incident)).skip(query.skip).take(query.top);
        let page: Vec<Value> = matching.collect();
        if page.len() < query.top && searched > MAX_FILTERED {
            let message = "The emulator has too many incidents to filter them: start it with `--incidents 1-1000`.";
            return Err(Refusal::new(400, "InvalidInput", message));
        }
        Ok(page)
    }

    fn find(&self, request: &Received, now: Timestamp) -> Result<(u64, Value), Refusal> {
        let id = request.incident().map(IncidentId::get);
        let id = id.ok_or_else(|| Refusal::new(400, "InvalidInput", "The incident id is not valid."))?;
        let missing = || Refusal::new(404, "ResourceNotFound", format!("Incident {id} was not found."));
        Ok((id, self.store.read(id, now).ok_or_else(missing)?))
    }

    fn authorize(&self, request: &Received, now: Timestamp) -> Result<(), Refusal> {
        self.access.check(request.token.as_ref(), request.call.changes(), now)
    }
}
