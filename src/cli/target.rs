//! The target, resolved from what was typed: whose API, where, under which contract, scope, quota and token.

use std::sync::Arc;
use std::time::Duration;

use super::arguments::{CallArgs, RunArgs};
use super::environment::Environment;
use super::tokens;
use crate::client::{Origin, Proxy, TokenNeeds, Tokens};
use crate::clock::Clock;
use crate::contract::Contract;
use crate::emulator::{self, Running};
use crate::error::Error;
use crate::report::preview;
use crate::row::Scope;
use crate::window::Quota;

/// Where a run goes.
pub(super) struct Target {
    /// What the API accepts.
    pub(super) contract: Contract,
    /// Where it is.
    pub(super) origin: Origin,
    /// The tenant that a token must be for, if it names one.
    tenant: Option<String>,
    /// Whose incidents and whose quota; `None` where only a token could tell (a dry run without one).
    pub(super) scope: Option<Scope>,
    /// The windows to keep.
    pub(super) quota: Quota,
    /// Where the tokens come from; `None` for a dry run without one.
    pub(super) tokens: Option<Arc<Tokens>>,
    /// Whether it is an emulator that lives and dies with the run.
    pub(super) is_emulated: bool,
    /// That emulator; none in a dry run.
    pub(super) emulator: Option<Running>,
}

/// What a command does with incidents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// It only reads them.
    Read,
    /// It updates them.
    Write,
}

/// How long the emulator of `--emulator` takes for a call: about as long as a near service.
const EMULATED_LATENCY: std::ops::RangeInclusive<Duration> = Duration::from_millis(20)..=Duration::from_millis(120);

impl Target {
    /// The target of `run`.
    ///
    /// # Errors
    /// Where the command line contradicts itself or the contract, or a token is wrong.
    pub(super) fn of_run(args: &RunArgs, contract: Contract, env: &Environment) -> Result<Target, Error> {
        let origin = args.base_url.as_deref().unwrap_or(&contract.origin).parse()?;
        Target::new(contract, origin, args.scope.as_deref(), &args.send.calls, env)
    }

    /// The target of a run that goes on by its name.
    ///
    /// # Errors
    /// As [`Target::of_run`].
    pub(super) fn new(
        contract: Contract,
        origin: Origin,
        scope: Option<&str>,
        calls: &CallArgs,
        env: &Environment,
    ) -> Result<Target, Error> {
        let quota = calls.quota.clone().unwrap_or_else(|| contract.quota.clone());
        if !origin.is_loopback() && !quota.is_within(&contract.quota) {
            return Err(Error::Usage {
                message: format!("--quota {quota} is looser than the API's own limits, {}", contract.quota),
                hint: Some("write a quota that keeps each of these windows".to_owned()),
            });
        }
        let tokens = tokens::from(calls, env)?;
        // A name that is a tenant's id is that of the token, if it names one.
        let named = scope.filter(|name| is_guid(name)).map(str::to_owned);
        let tenant = tokens.as_ref().and_then(|tokens| tokens.claims().tenant);
        let scope = if origin.is_loopback() {
            Some(Scope::origin(&origin.to_string()))
        } else {
            match (tenant, scope, &tokens) {
                (Some(tenant), _, _) => Some(Scope::tenant(&tenant)),
                (None, Some(name), _) => Some(Scope::named(name)),
                (None, None, Some(_)) => Some(Scope::origin(&origin.to_string())),
                (None, None, None) => None,
            }
        };
        let tokens = tokens.map(Arc::new);
        Ok(Target { contract, origin, tenant: named, scope, quota, tokens, is_emulated: false, emulator: None })
    }

    /// An emulator that lives and dies with the run.
    ///
    /// # Errors
    /// Where no port is free.
    pub(super) async fn emulated(contract: Contract, calls: &CallArgs) -> Result<Target, Error> {
        let quota = calls.quota.clone().unwrap_or_else(|| contract.quota.clone());
        let settings = emulator::Settings {
            latency: EMULATED_LATENCY,
            quota: Some(quota.clone()),
            ..emulator::Settings::new(contract.clone())
        };
        let running = emulator::start(settings)
            .await
            .map_err(|source| Error::Io { what: "the emulator can't be started", source })?;
        let origin: Origin = running.origin().parse()?;
        let tokens = Tokens::given(&"emulator".to_owned().into())?;
        Ok(Target {
            contract,
            tenant: None,
            scope: Some(Scope::origin(&origin.to_string())),
            origin,
            quota,
            tokens: Some(Arc::new(tokens)),
            is_emulated: true,
            emulator: Some(running),
        })
    }

    /// What [`Target::emulated`] would be: for a dry run.
    ///
    /// # Errors
    /// Where the loopback address is none.
    pub(super) fn to_be_emulated(contract: Contract, calls: &CallArgs) -> Result<Target, Error> {
        let quota = calls.quota.clone().unwrap_or_else(|| contract.quota.clone());
        let origin: Origin = "http://127.0.0.1".parse()?;
        let scope = Some(Scope::origin(&origin.to_string()));
        Ok(Target { contract, origin, tenant: None, scope, quota, tokens: None, is_emulated: true, emulator: None })
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
        let own = self.origin.to_string();
        let needs = TokenNeeds {
            audiences: contract.audiences.iter().cloned().chain([own]).collect(),
            permissions: permissions.into_iter().cloned().collect(),
            tenant: self.tenant.clone(),
        };
        tokens::expect(tokens, clock, needs)
    }

    /// As it is shown before the question.
    #[must_use]
    pub(super) fn shown(&self) -> preview::Target {
        let scope = self.scope.as_ref().filter(|scope| **scope != Scope::origin(&self.origin.to_string()));
        preview::Target {
            origin: self.origin.to_string(),
            scope: scope.map(Scope::described),
            caller: self.tokens.as_ref().and_then(|tokens| tokens.claims().caller),
            proxy: Proxy::for_origin(&self.origin).map(|proxy| proxy.to_string()),
            emulator: self.is_emulated,
        }
    }
}

/// `72f988bf-86f1-41af-91ab-2d7cd011db47`
fn is_guid(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}
