//! Updates many security incidents at once: every row checked first, as fast as the quota allows, every row accounted
//! for.
//!
//! This is the map of the code. What the program does for whom is in `README.md`, what it promises and how each promise
//! is kept in `docs/ARCHITECTURE.md`.
//!
//! # Layout
//!
//! In the order in which a row goes through them. Imports go only to a lower layer, siblings of layer 3 do not know
//! each other, and [`report`] reads the events of [`apply`], never the reverse.
//!
//! | layer | module | owns |
//! | --- | --- | --- |
//! | 0 foundation | [`model`] | the domain types: incidents, changes, calls, outcomes, quotas, diagnostics |
//! | | [`text`] | text made safe to print, and safe in a spreadsheet |
//! | | [`clock`] | the only reader of time, the only sleep |
//! | | [`files`] | every file that is opened; whose it may be |
//! | 1 outside | [`contract`] | what an API accepts, as data: one TOML file for each |
//! | | [`input`] | a file's records: encoding, CSV, JSONL, columns |
//! | 2 pure | [`check`] | every row against the contract; duplicates across rows |
//! | | [`compare`] | what a row asks for against what its incident looks like |
//! | | [`plan`] | the changes of a run in a file with a checksum |
//! | | [`undo`] | the change that gives an incident back what it was |
//! | 3 siblings | [`journal`] | all SQL: runs, rows, attempts; what survives a kill |
//! | | [`quota`] | token buckets with exact windows; when a run will finish |
//! | | [`client`] | one attempt at one call, and what its response means |
//! | | [`retry`] | what follows from a verdict: a decision, not a loop |
//! | 4 engine | [`apply`] | the loop that sends and reads, the state of a row, doubt, the service's health |
//! | 5 session | [`session`] | the steps of a run: import, preflight, preview, send |
//! | 6 edges | [`output`] | what is written to files: results, fetched incidents, plans |
//! | | [`report`] | what people are told: diagnostics, preview, progress, summary, page |
//! | | `emulator` | the API's stand-in: a server with quota, incidents and faults (a cargo feature, on by default) |
//! | 7 composes | [`cli`] | arguments, settings, log, one file for each subcommand; errors and exit codes |
//!
//! # The way of one row
//!
//! ```text
//! bytes ── input ──▶ record ── check ──▶ change ── journal: all rows, or none
//!                      └─▶ diagnostics: all are shown, nothing is sent      │
//!                                                                           ▼
//! results ◀─ report ◀─ event ◀─ journal ◀─ verdict ◀─ client ◀─ journal ◀─ quota
//!  (line)                      (outcome)           (one send)  (intent)   (permit)
//! ```
//!
//! 1. `cli::run` opens the input ([`input::Input::open`]), which is cut into records and read in chunks.
//! 2. [`check::check`] checks every row against the [`contract::Contract`]. It returns a [`model::change::Change`], a
//!    list of typed edits, or a [`model::diagnostic::Diagnostic`]. If there is one error, nothing is sent.
//! 3. [`session::Session::import`] writes the rows into the journal ([`journal::Journal::load`]) as a run that nobody
//!    sees until all of it is there ([`journal::Journal::publish`]). Before that, the user sees the preview and the
//!    prompt.
//! 4. [`apply::apply`] sends it. Its engine is the only loop that makes requests: it takes the next row from its queue and
//!    offers it to [`journal::Journal::commit`]. That one transaction checks whether the change was already applied,
//!    takes the permit ([`quota::Buckets::grant`]), and writes the attempt.
//! 5. Only when that is on disk does [`client::Client::call`] send the request, once, and turn the response into a
//!    [`model::call::Verdict`] ([`client::classify::classify`]).
//! 6. `apply::row_state` decides by [`retry::Policy::decide`] what follows: the row is finished, is tried again later,
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
