//! What can name the origin of the API, and whether the user has confirmed it.

use super::global::GlobalArgs;
use super::next_step::accepting;
use crate::cli::error::Error;
use crate::client::{ConsentedOrigin, NotConsented, Origin, OriginError};
use crate::contract::Contract;

/// What can name the origin of the API.
#[derive(Clone, Debug)]
pub(super) struct OriginSources<'a> {
    /// `--base-url`, which the user has typed or set in their own settings or a variable: no project file can set it.
    pub(super) base_url: Option<&'a str>,
    /// The origin of a plan, of a run, or of a contract that has one of its own.
    pub(super) named: Option<String>,
    /// What names that: `the plan`.
    pub(super) named_by: &'static str,
}

/// The user must confirm the origin: why, and by which command.
#[derive(Clone, Debug)]
pub(super) struct NotConfirmed {
    message: String,
    hint: String,
}

impl<'a> OriginSources<'a> {
    /// For something that keeps its origin, such as a plan. A base URL of settings is for it only if it is the same; a
    /// typed one must be.
    pub(super) fn kept(
        base_url: Option<&'a str>,
        named: &str,
        named_by: &'static str,
        global: &GlobalArgs,
    ) -> OriginSources<'a> {
        let origin = |text: &str| text.parse::<Origin>().ok();
        let is_same = |url: &&str| origin(url).is_some_and(|url| Some(url) == origin(named));
        let base_url = base_url.filter(|url| global.typed.has("--base-url") || is_same(url));
        OriginSources { base_url, named: Some(named.to_owned()), named_by }
    }

    /// For a contract.
    pub(super) fn of_contract(base_url: Option<&'a str>, contract: &Contract) -> OriginSources<'a> {
        OriginSources { base_url, named: contract.own_origin().map(str::to_owned), named_by: "the contract" }
    }

    /// The origin of `--base-url`, if that is not the named one.
    ///
    /// # Errors
    /// If one of them can't be an origin.
    pub(super) fn contradicting(&self) -> Result<Option<Origin>, OriginError> {
        let (Some(base_url), Some(named)) = (self.base_url, &self.named) else { return Ok(None) };
        let (origin, named): (Origin, Origin) = (base_url.parse()?, named.parse()?);
        Ok(Some(origin).filter(|origin| *origin != named))
    }

    /// The origin, if the user has named it or nobody needs to. The one place where consent is found.
    ///
    /// # Errors
    /// If only a file or the journal names it.
    pub(super) fn consented(
        &self,
        origin: &Origin,
        contract: &Contract,
        global: &GlobalArgs,
    ) -> Result<ConsentedOrigin, Error> {
        if self.base_url.is_some() {
            return Ok(ConsentedOrigin::by_user(origin.clone()));
        }
        ConsentedOrigin::named(origin.clone(), contract).map_err(|NotConsented(origin)| {
            let why = "which is not built in, and your token is sent there only if you confirm it";
            NotConfirmed::new(self.named_by, why, &origin, global).into()
        })
    }
}

impl NotConfirmed {
    pub(super) fn new(by: &str, why: &str, origin: &Origin, global: &GlobalArgs) -> NotConfirmed {
        let command = accepting(global, &origin.to_string());
        NotConfirmed { message: format!("{by} names {origin}, {why}"), hint: format!("to confirm: `{command}`") }
    }
}

impl From<NotConfirmed> for Error {
    fn from(NotConfirmed { message, hint }: NotConfirmed) -> Error {
        Error::Usage { message, hint: Some(hint) }
    }
}
