//! The two APIs without their quota: authorization, the effect of a request on the incidents, and its response. They share
//! the incidents: what one changes, the other shows.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::access::Access;
use super::filter::Query;
use super::graph;
use super::incidents::{COMMENTS, Store, as_classic};
use super::request::{ApiKind, Call, Received};
use super::response::{ApiResponse, Refusal};
use super::rules;
use crate::contract::Contract;
use crate::model::change::IncidentId;

/// The maximum number of incidents that a filter searches: by default every ID exists.
const MAX_FILTERED: usize = 200_000;

/// Whether a list has this stored incident.
type Filter<'a> = &'a dyn Fn(&Value) -> bool;

/// The two APIs without their quota.
pub(super) struct Api {
    /// The rules of the classic API.
    pub(super) contract: Contract,
    /// The largest page of Graph's list.
    pub(super) largest_page: usize,
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
                Ok(self.shown(request, incident))
            }
            Call::Read => Ok(self.shown(request, self.find(request, now)?.1)),
            Call::List if request.api == ApiKind::Graph => self.list_graph(request, now),
            Call::List => {
                let query = Query::parse(&request.query)?;
                let filter = |incident: &Value| query.matches(incident);
                let filter: Option<Filter<'_>> = if query.has_no_filter() { None } else { Some(&filter) };
                let page: Vec<Value> = self.page(query.skip, query.top, filter, now)?.map(as_classic).collect();
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
        let change = match (request.call, request.api) {
            (Call::Comment, _) => rules::read_comment(body)?,
            (_, ApiKind::Classic) => rules::read_change(&self.contract, body)?,
            (_, ApiKind::Graph) => graph::read_change(body)?,
        };
        Ok((id, change))
    }

    /// What a response shows of a stored incident: of one that got a comment alone, all its comments.
    pub(super) fn shown(&self, request: &Received, incident: Value) -> ApiResponse {
        let shown = match (request.api, request.call) {
            (ApiKind::Classic, Call::Comment) => {
                let context = format!("{}/api/$metadata#comments", self.contract.origin);
                json!({"@odata.context": context, "value": incident[COMMENTS]})
            }
            (ApiKind::Classic, _) => as_classic(incident),
            (ApiKind::Graph, Call::Comment) => graph::comments(&incident),
            (ApiKind::Graph, _) => {
                let mut shown = graph::incident(&incident, request.includes_unknown);
                shown["@odata.context"] = graph::context("security/incidents/$entity").into();
                shown
            }
        };
        ApiResponse::json(200, shown)
    }

    /// Sets properties of an incident. Returns the updated incident.
    pub(super) fn update(&mut self, id: u64, change: &Map<String, Value>, now: Timestamp) -> Value {
        self.store.update(&self.contract, id, change, now)
    }

    /// A page of Graph's list.
    fn list_graph(&self, request: &Received, now: Timestamp) -> Result<ApiResponse, Refusal> {
        let query = graph::Query::parse(&request.query, self.largest_page)?;
        let filter = |incident: &Value| query.matches(incident);
        let filter: Option<Filter<'_>> = if query.has_no_filter() { None } else { Some(&filter) };
        let mut body = Map::new();
        body.insert("@odata.context".to_owned(), graph::context("security/incidents").into());
        if query.counts {
            let count = match filter {
                None => self.store.listed(),
                Some(_) => self.page(0, usize::MAX, filter, now)?.count() as u64,
            };
            body.insert("@odata.count".to_owned(), count.into());
        }
        // One more shows whether there is another page.
        let mut incidents = self.page(query.skip, query.top.saturating_add(1), filter, now)?;
        let shown = |incident: Value| {
            let mut shown = graph::incident(&incident, request.includes_unknown);
            if query.shows_alerts {
                shown["alerts"] = json!([]);
            }
            shown
        };
        let page: Vec<Value> = incidents.by_ref().take(query.top).map(shown).collect();
        if !page.is_empty() && incidents.next().is_some() {
            let origin = format!("http://{}", request.host.as_deref().unwrap_or("localhost"));
            body.insert("@odata.nextLink".to_owned(), query.next_link(&origin, &request.path).into());
        }
        body.insert("value".to_owned(), page.into());
        Ok(ApiResponse::json(200, Value::Object(body)))
    }

    /// The stored incidents that match a filter, newest first, without the first `skip`, up to `top`.
    fn page(
        &self,
        skip: usize,
        top: usize,
        filter: Option<Filter<'_>>,
        now: Timestamp,
    ) -> Result<impl Iterator<Item = Value> + use<>, Refusal> {
        let show = |id| self.store.show_read(id, now);
        let Some(matches) = filter else {
            let page: Vec<Value> = self.store.newest_first(skip as u64).take(top).map(show).collect();
            return Ok(page.into_iter());
        };
        let mut searched = 0;
        let incidents = self.store.newest_first(0).take(MAX_FILTERED + 1).inspect(|_| searched += 1).map(show);
        let page: Vec<Value> = incidents.filter(matches).skip(skip).take(top).collect();
        if page.len() < top && searched > MAX_FILTERED {
            let message = "The emulator has too many incidents to filter them: start it with `--incidents 1-1000`.";
            return Err(Refusal::new(400, "InvalidInput", message));
        }
        Ok(page.into_iter())
    }

    fn find(&self, request: &Received, now: Timestamp) -> Result<(u64, Value), Refusal> {
        let id = request.incident().map(IncidentId::get);
        let id = id.ok_or_else(|| Refusal::new(400, "InvalidInput", "The incident id is not valid."))?;
        let missing = || Refusal::new(404, "ResourceNotFound", format!("Incident {id} was not found."));
        Ok((id, self.store.read(id, now).ok_or_else(missing)?))
    }

    fn authorize(&self, request: &Received, now: Timestamp) -> Result<(), Refusal> {
        self.access.check(request.token.as_ref(), request.api, request.call.changes(), now)
    }
}
