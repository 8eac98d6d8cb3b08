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
//! | 4 engine | [`apply`] | the loop that sends, the state of a row, doubt, the service's health |
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
//! 1. `cli::run` opens the input ([`input::Input::open`]); its records are cut and read some at a time.
//! 2. [`check::check`] judges every row by the [`contract::Contract`]. It hands on a [`model::change::Change`], which holds the
//!    request's body to the byte, or a [`model::diagnostic::Diagnostic`]. With one error nothing is sent.
//! 3. [`session::Session::import`] writes the rows into the journal ([`journal::Journal::load`]) as a run that nobody sees until all of
//!    it is there ([`journal::Journal::publish`]). Before that the preview is shown and the question asked.
//! 4. [`apply::apply`] sends it. Its dispatcher is the only loop that sends: it takes the next row from its queue and offers it to
//!    [`journal::Journal::commit`]. In that one transaction it is looked up whether the change was made before, the
//!    permit is taken by [`quota::Buckets::grant`], and the attempt is written.
//! 5. Only when that is on the disk does [`client::Client::call`] send the request, once, and read the answer into a
//!    [`model::call::Verdict`] ([`client::classify::classify`]).
//! 6. `apply::row` decides with [`retry::Policy::decide`] what follows: over, again later, a pause of the scope, a new
//!    token, or a read of the incident that tells whether a lost answer was a success (`apply::doubt`).
//! 7. The attempt's end and the row's [`model::outcome::Outcome`] are one commit, the next one of the same loop.
//! 8. Then, and not before, [`apply::events::Event::Finished`] tells of it, and [`report::reporter::Reporter`] writes the
//!    line of the results, the progress and the count of the summary.

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
