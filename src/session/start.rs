//! How a run starts: from an input, from a plan, or where an earlier process stopped.

use std::time::Duration;

use super::acquire::acquire;
use super::error::SessionError;
use super::import::{Imported, import, import_plan};
use super::options::REMEMBER;
use super::prepared_run::{PreparedRun, ReadStats};
use super::target::Target;
use crate::check::Rules;
use crate::clock::Clock;
use crate::input::Input;
use crate::journal::{Journal, RunHandle, RunKey, RunMetadata, RunSummary};
use crate::model::diagnostic::Diagnostic;
use crate::model::setting::Settings;
use crate::plan::{self, Header, PlanRow};

/// A target and the journal of what was sent there.
#[derive(Debug)]
pub struct Session {
    pub(super) target: Target,
    pub(super) journal: Journal,
    pub(super) clock: Clock,
    pub(super) rng: fastrand::Rng,
}

/// An input to import.
pub struct RunInput<'a> {
    /// The input.
    pub input: Input,
    /// The input as it was named, `-` for standard input.
    pub name: String,
    /// What its rows are checked against.
    pub rules: &'a Rules<'a>,
    /// Whether the valid rows are sent if others are invalid.
    pub skip_invalid: bool,
    /// All options, as they were typed.
    pub typed: Settings,
    /// The options of the run, each with the origin of its value.
    pub settings: Settings,
    /// The dedup window.
    pub remember: Duration,
}

impl<'a> RunInput<'a> {
    /// An input of which every row must be valid. `name`: as the run keeps it.
    pub fn new(input: Input, name: impl Into<String>, rules: &'a Rules<'a>) -> RunInput<'a> {
        let (typed, settings) = (Settings::default(), Settings::default());
        let (name, skip_invalid, remember) = (name.into(), false, REMEMBER);
        RunInput { input, name, rules, skip_invalid, typed, settings, remember }
    }
}

/// A plan to import.
#[derive(Debug)]
pub struct PlanInput<'a> {
    /// What the plan says of itself.
    pub header: &'a Header,
    /// Its checksum.
    pub checksum: String,
    /// All options, as they were typed.
    pub typed: Settings,
    /// The options of the run, each with the origin of its value.
    pub settings: Settings,
    /// The dedup window.
    pub remember: Duration,
}

impl Session {
    /// Opens a session. `journal` uses the same `clock`.
    #[must_use]
    pub fn open(target: Target, journal: Journal, clock: Clock) -> Session {
        Session { target, journal, clock, rng: fastrand::Rng::new() }
    }

    /// Makes run IDs and delays repeatable.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> Session {
        Session { rng: fastrand::Rng::with_seed(seed), ..self }
    }

    /// Where its runs go.
    #[must_use]
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// The journal, to look up runs.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Checks every row of an input and imports them all. No other process sees the run before it is published.
    ///
    /// # Errors
    /// If the input is not valid, or the journal can't be written. Nothing of it stays.
    pub fn import(
        mut self,
        run: RunInput<'_>,
        on_diagnostic: &mut dyn FnMut(Diagnostic),
    ) -> Result<PreparedRun, SessionError> {
        let RunInput { input, name, rules, skip_invalid, typed, settings, remember } = run;
        let metadata = RunMetadata {
            input: name,
            shape: input.shape().clone(),
            origin: self.target.origin.clone(),
            contract: self.target.contract.to_toml(),
            results: String::new(),
            options: typed.words_of(&plan::OPTIONS),
            typed,
            settings,
            remember,
        };
        let contract = self.target.contract.name.clone();
        let (handle, imported) = self.fill(&contract, &metadata, |journal, handle| {
            import(journal, handle, input, rules, skip_invalid, on_diagnostic)
        })?;
        let key = RunKey::Changes { digest: imported.digest.clone(), within: Duration::ZERO };
        Ok(self.loaded(handle, imported, metadata, key))
    }

    /// Imports a plan. `read` passes its rows on, in their order, and verifies its checksum.
    ///
    /// # Errors
    /// If `read` fails, or the journal can't be written. Nothing of it stays.
    pub fn import_plan(
        mut self,
        plan: PlanInput<'_>,
        read: impl FnOnce(&mut dyn FnMut(PlanRow) -> Result<(), SessionError>) -> Result<(), SessionError>,
    ) -> Result<PreparedRun, SessionError> {
        let PlanInput { header, checksum, typed, settings, remember } = plan;
        let metadata = RunMetadata {
            input: header.input.clone(),
            shape: header.shape.clone(),
            origin: self.target.origin.clone(),
            contract: header.rules.clone(),
            results: String::new(),
            options: header.options.clone(),
            typed,
            settings,
            remember,
        };
        let (handle, imported) =
            self.fill(&header.contract, &metadata, |journal, handle| import_plan(journal, handle, read))?;
        Ok(self.loaded(handle, imported, metadata, RunKey::Plan(checksum)))
    }

    /// Creates a run and fills it; if that fails, discards it.
    fn fill(
        &mut self,
        contract: &str,
        metadata: &RunMetadata,
        fill: impl FnOnce(&mut Journal, &RunHandle) -> Result<Imported, SessionError>,
    ) -> Result<(RunHandle, Imported), SessionError> {
        let handle = self.journal.create_run(&self.target.tenant, contract, metadata, &mut self.rng)?;
        match fill(&mut self.journal, &handle) {
            Ok(imported) => Ok((handle, imported)),
            Err(error) => {
                self.journal.discard(&handle)?;
                Err(error)
            }
        }
    }

    /// A run that the caller has created and loaded.
    #[must_use]
    pub fn loaded(self, handle: RunHandle, imported: Imported, metadata: RunMetadata, key: RunKey) -> PreparedRun {
        let Session { target, journal, clock, rng } = self;
        let (resumes, compared, reads) = (false, None, ReadStats::default());
        PreparedRun { target, journal, handle, resumes, imported, metadata, key, compared, reads, clock, rng }
    }

    /// Resumes a run where an earlier process stopped.
    ///
    /// # Errors
    /// If another process sends it, or the journal can't be read.
    pub fn resume(mut self, run: RunSummary) -> Result<PreparedRun, SessionError> {
        let handle = acquire(&mut self.journal, &run.name, &self.target.contract)?;
        let RunSummary { facts, plan, scope, .. } = run;
        self.target.tenant = scope;
        let key = plan.map_or_else(|| RunKey::Changes { digest: Vec::new(), within: Duration::ZERO }, RunKey::Plan);
        Ok(PreparedRun { resumes: true, ..self.loaded(handle, Imported::default(), facts, key) })
    }
}
