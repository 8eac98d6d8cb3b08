//! The checker: everything that the check of a row needs, and the result of a chunk.

use bumpalo::Bump;

use super::columns::{self, Role, Roles};
use super::duplicates::RowFingerprint;
use super::rules::ReadyContract;
use super::value::Requested;
use super::{CheckedRow, CommentCounts, PropertyOverride, Rules};
use foldhash::fast::RandomState;

use crate::input::{Chunk, FileKind, Input, InputError, InputShape};
use crate::model::diagnostic::{Diagnostic, codes};
use crate::model::outcome::OutcomeKind;
use crate::text::truncate;

/// Everything that the check of a row needs; shared by the threads.
pub(super) struct Checker<'a> {
    pub(super) contract: ReadyContract<'a>,
    /// What `--set` requests for each property.
    pub(super) set: Vec<Requested<'a>>,
    /// Warnings about `--set` and the columns.
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) roles: Roles<'a>,
    /// The roles of the input's own CSV columns.
    pub(super) columns: Vec<Role<'a>>,
    pub(super) delimiter: Option<u8>,
    pub(super) origin: FileKind,
    pub(super) is_utf16: bool,
    pub(super) only: Option<&'a [OutcomeKind]>,
    pub(super) comment_resolves: bool,
    pub(super) file: String,
    pub(super) keeps_rows: bool,
    pub(super) hasher: RandomState,
}

/// The result of a chunk.
#[derive(Default)]
pub(super) struct CheckedChunk {
    /// The chunk, to be reused.
    pub(super) chunk: Chunk,
    pub(super) diagnostics: Vec<Diagnostic>,
    /// The rows of the run, if they are kept.
    pub(super) rows: Vec<CheckedRow>,
    pub(super) fingerprints: Vec<RowFingerprint>,
    /// For each property, how many cells `--set` overrides, in the rows of the run; empty cells don't count.
    pub(super) overridden: Vec<u64>,
    /// The number of all rows. In a chunk they are numbered from 1.
    pub(super) read: u64,
    pub(super) valid: u64,
    pub(super) skipped: u64,
    /// Rows that are not skipped.
    pub(super) taken: u64,
    /// Taken rows that were selected and are valid.
    pub(super) sendable: u64,
    /// Selected rows of a fetched file that set nothing.
    pub(super) nothing_asked: u64,
    /// Selected rows with a comment.
    pub(super) comments: CommentCounts,
    /// The last selected row, or 0.
    pub(super) last_selected: u64,
    /// Why the rest of the input can't be read.
    pub(super) broken: Option<InputError>,
}

impl CheckedChunk {
    /// Selects none of its rows for the run.
    pub(super) fn select_none(&mut self) {
        self.rows.clear();
        self.overridden.clear();
        self.sendable = 0;
        self.nothing_asked = 0;
        self.comments = CommentCounts::default();
    }
}

/// Whether a chunk has certain rare bytes. It is searched only once, so that most cells need not be searched.
#[derive(Clone, Copy)]
pub(super) struct Rare {
    /// Bytes other than printable ASCII and line feeds, including the following ones.
    pub(super) unprintable: bool,
    pub(super) carriage_returns: bool,
    pub(super) nuls: bool,
}

impl Rare {
    pub(super) fn of(bytes: &[u8]) -> Rare {
        // Written for vectorization.
        let is_other = |byte: u8| !matches!(byte, b' '..=b'~') && byte != b'\n';
        let unprintable = bytes.iter().fold(0, |found, byte| found | u8::from(is_other(*byte))) != 0;
        let has = |byte| unprintable && memchr::memchr(byte, bytes).is_some();
        Rare { unprintable, carriage_returns: has(b'\r'), nuls: has(0) }
    }
}

impl<'a> Checker<'a> {
    /// `arena` stores the values of `--set`.
    pub(super) fn new(
        input: &Input,
        rules: &Rules<'a>,
        keeps_rows: bool,
        arena: &'a Bump,
    ) -> Result<Checker<'a>, InputError> {
        let contract = ReadyContract::new(rules.contract);
        let origin = input.origin();
        let (set, mut warnings) = read_set(&contract, rules, arena);
        let named_roles = Roles::new(&contract, origin.is_portal_export, &set);
        let sets_all = !rules.set.is_empty();
        let (columns, column_warnings) =
            columns::of_header(input, &named_roles, &contract, sets_all).map_err(InputError::Invalid)?;
        warnings.extend(column_warnings);
        let delimiter = match input.shape() {
            InputShape::Csv { delimiter, .. } => u8::try_from(*delimiter).ok(),
            InputShape::Jsonl { .. } => None,
        };
        if delimiter.is_none() && origin.is_portal_export && !sets_all {
            let message = "a portal export shows incidents, not changes".to_owned();
            return Err(InputError::Invalid(vec![input.header_diagnostic(&codes::PORTAL_NEEDS_SET, None, message)]));
        }
        Ok(Checker {
            set,
            warnings,
            roles: named_roles,
            columns,
            delimiter,
            origin,
            is_utf16: input.is_utf16(),
            only: rules.only,
            comment_resolves: rules.comment_resolves,
            file: input.name().to_owned(),
            keeps_rows,
            hasher: RandomState::default(),
            contract,
        })
    }
}

/// What `--set` requests for each property, and warnings about it.
fn read_set<'a>(
    contract: &ReadyContract<'a>,
    rules: &Rules<'a>,
    arena: &'a Bump,
) -> (Vec<Requested<'a>>, Vec<Diagnostic>) {
    let mut warnings = Vec::new();
    let mut set = vec![Requested::Leave; contract.properties.len()];
    for PropertyOverride { property, cell } in rules.set {
        let Some(index) = contract.properties.iter().position(|known| known.name == property) else { continue };
        let mut problems = Vec::new();
        set[index] = contract.read_cell(index, cell, arena, &mut problems);
        warnings.extend(problems.into_iter().map(|problem| {
            let diagnostic = Diagnostic::new(problem.code, "--set", problem.message);
            Diagnostic {
                field: Some(property.clone()),
                value: Some(truncate(cell, 200)),
                help: problem.help.or(diagnostic.help),
                ..diagnostic
            }
        }));
    }
    (set, warnings)
}
