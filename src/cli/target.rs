//! The target, resolved from what was typed: whose API, where, under which contract, scope, quota and token.

use std::cell::Cell;
use std::sync::Arc;

use super::arguments::{CallArgs, RunArgs, SignInArgs};
use super::credential::Credential;
use super::environment::Environment;
use super::global::GlobalArgs;
use super::origin_sources::{NotConfirmed, OriginSources};
use super::settings::blame;
use super::site::Site;
use super::terminal::{Terminal, say};
use super::tokens;
use crate::cli::error::Error;
use crate::client::{
    Client, ConsentedOrigin, HttpError, HttpTransport, NotConsented, Origin, Proxy, TokenCache, TokenNeeds, Transport,
    is_tenant_id,
};
use crate::clock::Clock;
use crate::contract::{BUILT_IN, Contract, load};
#[cfg(feature = "emulator")]
use crate::emulator::{self, Running};
use crate::model::change::TenantKey;
use crate::model::quota_spec::Quota;
use crate::model::setting::{Origin as ValueOrigin, Setting, Settings};
use crate::report::preview;
use crate::session;
use crate::text::printable;

/// Where a run goes.
pub(super) struct Target {
    /// What the API accepts.
    pub(super) contract: Contract,
    /// Where it is.
    consented: ConsentedOrigin,
    /// What says where it is, and the audiences of its tokens; none for an emulator of ours.
    site: Option<Site>,
    /// The tenant that a token must be for, if it names one.
    tenant: Option<String>,
    /// Whose incidents and whose quota; `None` where only a token could tell (a dry run without one).
    pub(super) scope: Option<TenantKey>,
    /// The windows to keep.
    pub(super) quota: Quota,
    /// Where the tokens come from; `None` for a dry run without one.
    pub(super) tokens: Option<Arc<TokenCache>>,
    /// The credential that was chosen for them; none for the emulator's.
    credential: Option<Credential>,
    /// Whether it is an emulator that ends with the run.
    pub(super) is_emulated: bool,
    /// That emulator; none in a dry run.
    #[cfg(feature = "emulator")]
    pub(super) emulator: Option<Running>,
    /// The variables that say whose certificates are trusted.
    certificates: Vec<&'static str>,
    /// Why a tenant's token is not sent there, and what to do about it.
    not_confirmed: Option<NotConfirmed>,
    /// Whether it was shown already.
    is_announced: Cell<bool>,
}

/// What a command does with incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It only reads them.
    Read,
    /// It updates them.
    Write,
}

impl Target {
    /// The target of `run`.
    ///
    /// # Errors
    /// If the command line contradicts itself or the contract, or a token is wrong.
    pub(super) fn of_run(
        args: &RunArgs,
        contract: Contract,
        global: &GlobalArgs,
        env: &Environment,
    ) -> Result<Target, Error> {
        let sources = OriginSources::of_contract(args.base_url.as_deref(), &contract);
        let access = if args.dry_run { Access::Read } else { Access::Write };
        let access = Some(access).filter(|_| !args.leaves_no_trace());
        Target::new(contract, &sources, &args.send.calls, access, global, env)
    }

    /// The target of any command. Without `access` it sends no request, and so requests no token.
    ///
    /// # Errors
    /// As [`Target::of_run`]; and if nobody has consented to the origin.
    pub(super) fn new(
        contract: Contract,
        sources: &OriginSources<'_>,
        calls: &CallArgs,
        access: Option<Access>,
        global: &GlobalArgs,
        env: &Environment,
    ) -> Result<Target, Error> {
        Target::without_token(contract, sources, calls, global, env)?.signed_in(calls, access.is_some(), global, env)
    }

    /// The target, before anything is known about the token.
    ///
    /// # Errors
    /// If nobody has consented to the origin, or the quota exceeds the contract's.
    pub(super) fn without_token(
        contract: Contract,
        sources: &OriginSources<'_>,
        calls: &CallArgs,
        global: &GlobalArgs,
        env: &Environment,
    ) -> Result<Target, Error> {
        let site = Site::of(&contract, sources, (&calls.sign_in).into(), &global.settings)?;
        let consented = sources.consented(&site.origin, &contract, global)?;
        let origin = consented.origin().clone();
        let quota = calls.quota.clone().unwrap_or_else(|| contract.quota.clone());
        if !origin.is_loopback() && !quota.is_within(&contract.quota) {
            let error = Error::Usage {
                message: format!("--quota {quota} exceeds the API's limits, {}", contract.quota),
                hint: Some("lower it to keep each of these windows".to_owned()),
            };
            return Err(blame(&global.settings, "--quota", error));
        }
        let not_confirmed = consented.takes_opaque_only().then(|| {
            let why = "and a tenant's token is sent to this machine only if you confirm it";
            NotConfirmed::new(sources.named_by, why, &origin, global)
        });
        let is_https = origin.to_string().starts_with("https:");
        Ok(Target {
            contract,
            consented,
            site: Some(site),
            tenant: None,
            scope: None,
            quota,
            tokens: None,
            credential: None,
            is_emulated: false,
            #[cfg(feature = "emulator")]
            emulator: None,
            certificates: if is_https { env.certificates.clone() } else { Vec::new() },
            not_confirmed,
            is_announced: Cell::new(false),
        })
    }

    /// The same with a credential, whose token is requested if `may_request` is set, and with the tenant key.
    ///
    /// # Errors
    /// If the options contradict each other, or there is no token.
    pub(super) fn signed_in(
        self,
        calls: &CallArgs,
        may_request: bool,
        global: &GlobalArgs,
        env: &Environment,
    ) -> Result<Target, Error> {
        let credential = Credential::chosen(calls, env, global)?;
        let tokens = match (&credential, &self.site) {
            (Some(credential), Some(site)) => credential.open(site, may_request)?,
            _ => None,
        };
        let origin = self.origin();
        let scope = calls.sign_in.tenant.as_deref();
        // A name that is a tenant's id is that of the token, if it names one.
        let requested = credential.as_ref().and_then(Credential::tenant_id);
        let named = scope.filter(|name| is_tenant_id(name)).map(str::to_owned).or(requested.clone());
        let tenant = tokens.as_ref().map_or(requested, TokenCache::tenant);
        let scope = match (tenant, scope, &tokens) {
            _ if origin.is_loopback() => Some(origin_scope(origin)),
            (Some(tenant), _, _) => Some(in_family(TenantKey::tenant(&tenant), origin)),
            (None, Some(name), _) => Some(in_family(TenantKey::named(name), origin)),
            (None, None, Some(_)) => Some(origin_scope(origin)),
            (None, None, None) => None,
        };
        Ok(Target { tenant: named, scope, tokens: tokens.map(Arc::new), credential, ..self })
    }

    /// Where it is.
    #[must_use]
    pub(super) fn origin(&self) -> &Origin {
        self.consented.origin()
    }

    /// A scope as it is displayed: the origin if it has no tenant and no name.
    #[must_use]
    pub(super) fn shown_scope(&self, scope: &TenantKey) -> String {
        if scope.is_origin() { self.origin().to_string() } else { scope.to_string() }
    }

    /// Whose incidents, even if only the origin can tell.
    #[must_use]
    pub(super) fn scope_or_origin(&self) -> TenantKey {
        self.scope.clone().unwrap_or_else(|| origin_scope(self.origin()))
    }

    /// For a session, with the tenant whose quota and history count.
    #[must_use]
    pub(super) fn for_session(&self, tenant: TenantKey) -> session::Target {
        let (contract, quota) = (self.contract.clone(), self.quota.clone());
        session::Target { contract, origin: self.origin().to_string(), tenant, quota }
    }

    /// The settings of a run that goes there: what the command line says, and what the contract adds to that.
    pub(super) fn settings(&self, global: &GlobalArgs) -> Settings {
        let mut added = Settings::default();
        added.push("--quota", Some(self.quota.to_string()), ValueOrigin::Contract);
        let own: Result<Origin, _> = self.contract.origin.parse();
        if own.is_ok_and(|own| own == *self.origin()) || self.origin().host_of(&self.contract).is_some() {
            added.push("--base-url", Some(self.origin().to_string()), ValueOrigin::Contract);
        }
        self.credential.iter().for_each(|credential| credential.add_to(&mut added));
        let counts = |setting: &Setting| match setting.name.as_str() {
            "--base-url" => setting.value.as_deref().and_then(|url| url.parse().ok()).as_ref() == Some(self.origin()),
            name => !(self.is_emulated && SignInArgs::have(name)),
        };
        global.settings.filtered(counts).or(&added)
    }

    /// Says where requests go, before the first of them, if it was not shown already.
    pub(super) fn announce(&self, terminal: &Terminal) {
        if !self.is_announced.get() && !terminal.quiet {
            say(&format!("target: {}", self.shown().lines().join(", ")));
        }
        self.announced();
    }

    /// What makes requests to it, `concurrency` at a time. [`Target::announce`] it first.
    ///
    /// # Errors
    /// If there is no token, or https can't be set up.
    pub(super) fn client(&self, concurrency: u32, clock: &Clock) -> Result<Arc<Client<HttpTransport>>, Error> {
        self.client_of(self.transport(concurrency)?, clock)
    }

    /// The same with this transport.
    ///
    /// # Errors
    /// If there is no token.
    pub(super) fn client_of<T: Transport>(&self, transport: T, clock: &Clock) -> Result<Arc<Client<T>>, Error> {
        let tokens = self.tokens.clone().ok_or(Error::NoToken)?;
        Ok(Arc::new(Client::new(transport, tokens, &self.contract, clock.clone())))
    }

    /// What sends requests to it.
    ///
    /// # Errors
    /// If https can't be set up.
    pub(super) fn transport(&self, concurrency: u32) -> Result<HttpTransport, HttpError> {
        HttpTransport::new(&self.consented, concurrency as usize)
    }

    /// The credential that was chosen, for people.
    pub(super) fn credential_name(&self) -> Option<String> {
        self.credential.as_ref().map(Credential::name)
    }

    /// It was shown.
    pub(super) fn announced(&self) {
        if !self.is_announced.replace(true) {
            let scope = self.scope.as_ref().map(TenantKey::described).unwrap_or_default();
            tracing::info!(origin = %self.origin(), scope = %printable(&scope), "target");
        }
    }

    /// An emulator that ends with the run.
    ///
    /// # Errors
    /// If no port is free.
    #[cfg(feature = "emulator")]
    pub(super) async fn emulated(contract: Contract, calls: &CallArgs) -> Result<Target, Error> {
        use std::time::Duration;
        let planned = Target::to_be_emulated(contract, calls)?;
        let settings = emulator::Settings {
            // About as long as a nearby service takes.
            latency: Duration::from_millis(20)..=Duration::from_millis(120),
            quota: Some(planned.quota.clone()),
            ..emulator::Settings::new(planned.contract.clone())
        };
        let running = emulator::start(settings)
            .await
            .map_err(|source| Error::Io { what: "cannot start the emulator", source })?;
        let consented = emulators(&running.origin(), &planned.contract)?;
        let tokens = TokenCache::given(&"emulator".to_owned().into())?;
        Ok(Target {
            scope: Some(origin_scope(consented.origin())),
            consented,
            tokens: Some(Arc::new(tokens)),
            emulator: Some(running),
            ..planned
        })
    }

    /// What [`Target::emulated`] would be: for a dry run.
    ///
    /// # Errors
    /// If the loopback address can't be an origin.
    pub(super) fn to_be_emulated(contract: Contract, calls: &CallArgs) -> Result<Target, Error> {
        let quota = calls.quota.clone().unwrap_or_else(|| contract.quota.clone());
        let consented = emulators("http://127.0.0.1", &contract)?;
        Ok(Target {
            site: None,
            contract,
            tenant: None,
            scope: Some(origin_scope(consented.origin())),
            consented,
            quota,
            tokens: None,
            credential: None,
            is_emulated: true,
            #[cfg(feature = "emulator")]
            emulator: None,
            certificates: Vec::new(),
            not_confirmed: None,
            is_announced: Cell::new(false),
        })
    }

    /// Checks that there is a token that can be used, by what it says about itself: before the first request.
    ///
    /// # Errors
    /// If there is none, or it has expired, or it is for another service, tenant or use.
    pub(super) fn expect_access(&self, access: Access, clock: &Clock) -> Result<(), Error> {
        let tokens = self.tokens.as_ref().ok_or(Error::NoToken)?;
        let contract = &self.contract;
        let write = [&contract.permission_application, &contract.permission_delegated];
        let read = [&contract.read_application, &contract.read_delegated];
        let permissions = match access {
            Access::Write => write.to_vec(),
            Access::Read => read.into_iter().chain(write).collect(),
        };
        let own = self.origin().to_string();
        let audiences = self.site.as_ref().map_or(&contract.audiences, |site| &site.audiences);
        let needs = TokenNeeds {
            audiences: audiences.iter().cloned().chain([own]).collect(),
            permissions: permissions.into_iter().cloned().collect(),
            tenant: self.tenant.clone(),
            is_opaque: false,
        };
        tokens::expect(tokens, clock, needs.clone())?;
        self.expect_consent()?;
        let is_opaque = self.consented.takes_opaque_only();
        Ok(tokens.require(TokenNeeds { is_opaque, ..needs })?)
    }

    /// Checks that the token in use may go there.
    ///
    /// # Errors
    /// If it is a tenant's, and the origin is this machine, which nobody has named but a file or the journal.
    pub(super) fn expect_consent(&self) -> Result<(), Error> {
        let is_tenants = self.tokens.as_ref().is_some_and(|tokens| tokens.claims().is_jwt);
        match &self.not_confirmed {
            Some(error) if is_tenants => Err(error.clone().into()),
            _ => Ok(()),
        }
    }

    /// The contract with its path, its quota and the audiences of its own, if it is not built in.
    pub(super) fn contract_if_not_built_in(&self) -> Option<String> {
        let contract = &self.contract;
        if contract.is_built_in() {
            return None;
        }
        let own = contract.own_audiences().collect::<Vec<_>>().join(" and ");
        let audiences = if own.is_empty() { own } else { format!(", accepts tokens for {own}") };
        let update = &contract.operations.update;
        Some(format!("{}: {} {}, quota {}{audiences}", contract.name, update.method, update.path, contract.quota))
    }

    /// As it is shown before the prompt.
    #[must_use]
    pub(super) fn shown(&self) -> preview::TargetLabel {
        let scope = self.scope.as_ref().filter(|scope| !scope.is_origin());
        let credential = self.credential.as_ref().filter(|_| self.tokens.is_some());
        // An opaque token doesn't say whose it is.
        let application = credential.and_then(Credential::application_id);
        preview::TargetLabel {
            origin: self.origin().to_string(),
            scope: scope.map(TenantKey::described),
            caller: self.tokens.as_ref().and_then(|tokens| tokens.claims().caller).or(application),
            credential: credential.and_then(Credential::shown),
            proxy: Proxy::for_origin(self.origin()).map(|proxy| proxy.to_string()),
            certificates: self.certificates.join(" and "),
            emulator: self.is_emulated,
        }
    }
}

/// The scope if nothing is known but the origin.
fn origin_scope(origin: &Origin) -> TenantKey {
    TenantKey::origin(&origin.family())
}

/// A tenant or a name, at the origin's family. The ID of a tenant exists in one cloud only, but a name can exist in several.
fn in_family(scope: TenantKey, origin: &Origin) -> TenantKey {
    let family = origin.family();
    let is_usual = load(BUILT_IN[0]).is_ok_and(|contract| contract.origin == family);
    if is_usual || (origin.is_built_in() && scope.is_tenant()) { scope } else { scope.at(&family) }
}

/// The origin of an emulator of ours, whose token is opaque.
fn emulators(origin: &str, contract: &Contract) -> Result<ConsentedOrigin, Error> {
    let origin: Origin = origin.parse()?;
    ConsentedOrigin::named(origin, contract)
        .map_err(|NotConsented(origin)| Error::usage(format!("{origin} is not this machine, where emulators run")))
}
