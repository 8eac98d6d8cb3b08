//! Updates many security incidents at once: checks every row first, sends as fast as the quota allows, and records an
//! outcome for every row.
//!
//! This is the map of the code. `README.md` explains what the program is for; `docs/ARCHITECTURE.md` lists its promises
//! and how each is kept.
//!
//! # Layout
//!
//! From the bottom up. Imports go only to a lower layer, the siblings of layer 3 don't import
//! each other, and [`report`] reads the events of [`apply`], never the reverse.
//!
//! | layer | module | owns |
//! | --- | --- | --- |
//! | 0 foundation | [`model`] | the domain types: incidents, changes, calls, outcomes, quotas, diagnostics |
//! | | [`text`] | escaping for terminals, pages and spreadsheets; redaction |
//! | | [`clock`] | the only reader of time, the only sleep |
//! | | [`files`] | opens and creates all files; checks their owners |
//! | 1 outside | [`contract`] | what an API accepts, as data: one TOML file per API |
//! | | [`input`] | a file's records: encoding, CSV, JSONL, columns |
//! | 2 pure | [`check`] | every row against the contract; duplicates across rows |
//! | | [`compare`] | the diff between a row's change and its incident |
//! | | [`plan`] | the changes of a run in a file with a checksum |
//! | | [`undo`] | the change that restores an incident's earlier values |
//! | 3 siblings | [`journal`] | all SQL: runs, rows, attempts; survives a crash |
//! | | [`quota`] | token buckets with exact windows; when a run will finish |
//! | | [`client`] | one attempt at one call, and what its response means |
//! | | [`retry`] | what follows a verdict: a decision, not a loop |
//! | 4 engine | [`apply`] | the loop that sends and reads, the state of a row, doubt, the service's health |
//! | 5 session | [`session`] | the steps of a run: import, preflight, preview, send |
//! | 6 edges | [`output`] | the files for users: results, fetched incidents, plans |
//! | | [`report`] | texts for people: diagnostics, preview, progress, summary, page |
//! | | `emulator` | an emulator of the API: a server with quota, incidents and faults (a cargo feature, on by default) |
//! | 7 composes | [`cli`] | arguments, settings, log, one file per subcommand; errors and exit codes |
//!
//! # How a row travels
//!
//! ```text
//! bytes ── input ──▶ record ── check ──▶ change ── journal: all rows, or none
//!                      └─▶ diagnostics: all are reported, nothing is sent   │
//!                                                                           ▼
//! results ◀─ report ◀─ event ◀─ journal ◀─ verdict ◀─ client ◀─ journal ◀─ quota
//!  (line)                      (outcome)           (one send)  (intent)   (permit)
//! ```
//!
//! 1. `cli::run` opens the input ([`input::Input::open`]), which is split into records and read in chunks.
//! 2. [`check::check`] checks every row against the [`contract::Contract`]. It returns a [`model::change::Change`], a
//!    list of typed edits, or a [`model::diagnostic::Diagnostic`]. If there is one error, nothing is sent.
//! 3. [`session::Session::import`] writes the rows into the journal ([`journal::Journal::load`]) as a run that no other
//!    process sees until it is published ([`journal::Journal::publish`]): after the preflight, the preview and the prompt.
//! 4. [`apply::apply`] sends it. Its engine is the only loop that makes requests: it takes the next row from its queue and
//!    offers it to [`journal::Journal::commit`]. That one transaction checks whether the change was already applied,
//!    takes the permit ([`quota::Buckets::grant`]), and writes the attempt.
//! 5. Only when that is on disk does [`client::Client::call`] send the request, once, and turn the response into a
//!    [`model::call::Verdict`] ([`client::classify::classify`]).
//! 6. `apply::row_state` decides by [`retry::Policy::decide`] what follows: the row is finished, is retried later,
//!    waits for a pause or a token, or its incident is read to learn whether the update was applied
//!    (`apply::in_doubt`).
//! 7. The attempt's end and the row's [`model::outcome::Outcome`] are one commit, the next one of the same loop.
//! 8. Only then does [`apply::events::Event::Finished`] report it, and [`report::reporter::Reporter`] writes the line of
//!    the results and updates the progress and the summary.

#![cfg_attr(test, expect(clippy::disallowed_methods, reason = "tests create files, and open those of the program"))]

pub mod apply;
pub mod check;
pub mod cli;
pub mod client;
pub mod clock;
pub mod compare;
pub mod contract;
#[cfg(feature = "emulator")]
pub mod emulator;
pub mod files;
pub mod input;
pub mod journal;
pub mod model;
pub mod output;
pub mod plan;
pub mod quota;
pub mod report;
pub mod retry;
pub mod session;
pub mod text;
pub mod undo;
