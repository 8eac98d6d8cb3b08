//! Errors of the program as a whole: what a person reads, what to do about it, and the exit code. Every error of the
//! layers below becomes one of these; [`Error::exit_code`] is the one place that gives codes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::apply::ApplyError;
use crate::check::{SetError, nearest};
use crate::cli::exit;
use crate::cli::stop::code_of;
use crate::client::{ClaimsError, HttpError, OriginError, SecretFileError, SecretFileProblem, SignInError, TokenError};
use crate::contract::{BUILT_IN, ContractError};
use crate::files::{PathError, Refusal};
use crate::input::InputError;
use crate::journal::JournalError;
use crate::plan::PlanError;
use crate::report::next_command::NextCommand;
use crate::session::SessionError;
use crate::text::{escape_json, printable};

/// Why a command ended without doing what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command line asks for something that can't be.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// A contract can't be loaded.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// A `--set` can't be used.
    #[error(transparent)]
    Set(#[from] SetError),
    /// A base URL can't be used.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// An output can't be written at its path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// A report can't be written.
    #[error("cannot write the report: {0}")]
    Report(#[source] io::Error),
    /// The HTTP client can't be set up.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The input can't be read, or is not valid as a whole.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A plan is refused: it is none, or not as it was written.
    #[error("{}: {error}; nothing was sent", printable(&.path.to_string_lossy()))]
    Plan {
        /// Which.
        path: PathBuf,
        /// Why.
        error: PlanError,
    },
    /// Rows are not valid. What is wrong with them was shown.
    #[error("the input is not valid; nothing was sent")]
    InvalidRows,
    /// There are no credentials.
    #[error("no token: choose how to sign in with --auth, set BULK_TRIAGE_TOKEN, or name a file with --token-file")]
    NoToken,
    /// The token, or the credential for it, can't be used.
    #[error("{0}")]
    Token(Arc<TokenError>),
    /// The credential is incomplete or refused, and others are set.
    #[error("{message}")]
    SignIn {
        /// Why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
        /// Whether a server can't serve a token for the moment.
        is_temporary: bool,
    },
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal was deleted or moved while a run was sent.
    #[error("{error}")]
    HistoryGone {
        /// Where it was.
        #[source]
        error: JournalError,
        /// What is left of the run.
        results: PathBuf,
    },
    /// Sending failed.
    #[error(transparent)]
    Apply(#[from] ApplyError),
    /// The results can't be written any more. What was done is in the journal.
    #[error("cannot write the results: {error}")]
    Results {
        /// Why.
        #[source]
        error: io::Error,
        /// The command that writes them.
        results: NextCommand,
    },
    /// Standard output can't be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
    /// The reader of standard output went away while it was given a file's content.
    #[error("standard output was closed before all of {what} was written")]
    ReaderGone {
        /// What was written.
        what: &'static str,
    },
    /// The command ended before its work was done. The user was told.
    #[error("{message}")]
    Ended {
        /// The exit code.
        code: u8,
        /// Why.
        message: String,
    },
    /// An option has a wrong value, which was not typed.
    #[error("{at}: {error}")]
    Setting {
        /// The file and line, or the variable, that sets it.
        at: String,
        /// What is wrong with the value.
        error: Box<Error>,
    },
    /// An error that the JSON on standard output names already.
    #[error(transparent)]
    InJson(Box<Error>),
    /// Something that the machine should give failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Error {
        Error::Token(Arc::new(error))
    }
}

impl From<SessionError> for Error {
    fn from(error: SessionError) -> Error {
        match error {
            SessionError::Input(error) => error.into(),
            SessionError::InvalidRows => Error::InvalidRows,
            SessionError::Plan { path, error } => Error::Plan { path, error },
            SessionError::Journal(error) => error.into(),
            SessionError::Stopped(ref stop) => Error::Ended { code: code_of(stop), message: error.to_string() },
            SessionError::Scratch(source) => {
                Error::Io { what: "cannot keep the rows of a dry run in a temporary directory", source }
            }
            SessionError::Listener(error) => error.into(),
        }
    }
}

impl Error {
    /// A command line that asks for something that can't be.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::Usage { message: message.into(), hint: None }
    }

    /// The error of a write to standard output of what a file would hold, such as `the list`.
    pub fn of_output(what: &'static str) -> impl Fn(io::Error) -> Error {
        move |error| match error.kind() {
            io::ErrorKind::BrokenPipe => Error::ReaderGone { what },
            _ => Error::Output(error),
        }
    }

    /// The code with which the program ends.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Ended { code, .. } => *code,
            Error::InJson(error) | Error::Setting { error, .. } => error.exit_code(),
            Error::Path(error) if error.is_held() => exit::STOPPED,
            Error::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => exit::STOPPED,
            Error::ReaderGone { .. } | Error::SignIn { is_temporary: true, .. } => exit::STOPPED,
            Error::Token(error) if error.is_temporary() => exit::STOPPED,
            _ if self.is_full() => exit::STOPPED,
            Error::Usage { .. }
            | Error::Contract(_)
            | Error::Set(_)
            | Error::Origin(_)
            | Error::Path(_)
            | Error::Report(_)
            | Error::Http(_)
            | Error::Output(_)
            | Error::Io { .. } => exit::USAGE,
            Error::Plan { .. }
            | Error::Input(InputError::Unreadable { .. } | InputError::Invalid(_))
            | Error::InvalidRows => exit::INPUT,
            Error::Input(InputError::NotKept(_)) | Error::Results { .. } => exit::STOPPED,
            Error::NoToken | Error::Token(_) | Error::SignIn { .. } => exit::NOT_ALLOWED,
            Error::HistoryGone { error, .. } | Error::Journal(error) | Error::Apply(ApplyError { error, .. }) => {
                journal_code(error)
            }
        }
    }

    /// Whether the JSON on standard output names it already.
    #[must_use]
    pub fn is_in_json(&self) -> bool {
        matches!(self, Error::InJson(_))
    }

    /// As one JSON object, for a script.
    #[must_use]
    pub fn to_json(&self) -> String {
        json_error(&self.to_string(), self.hint().as_deref(), self.exit_code())
    }

    /// Whether an output can't be written because its disk is full.
    fn is_full(&self) -> bool {
        let error = match self {
            Error::Path(error) => error.io_error(),
            Error::Report(error) | Error::Output(error) | Error::Io { source: error, .. } => Some(error),
            _ => None,
        };
        error.is_some_and(is_full)
    }

    /// Whether the user knows already: diagnostics were shown, or the reader of the output has gone.
    #[must_use]
    pub fn is_reported(&self) -> bool {
        match self {
            Error::Input(InputError::Invalid(_)) | Error::Ended { .. } => true,
            Error::InJson(error) => error.is_reported(),
            Error::Output(error) => error.kind() == io::ErrorKind::BrokenPipe,
            _ => false,
        }
    }

    /// What to do about it, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::Usage { hint, .. } | Error::SignIn { hint, .. } => hint.clone(),
            Error::InJson(error) | Error::Setting { error, .. } => error.hint(),
            _ if self.is_full() => Some("free some space, then run the same command again".to_owned()),
            Error::Contract(ContractError::Unknown { name }) => {
                nearest(name, BUILT_IN.into_iter()).map(|meant| format!("did you mean `{meant}`?"))
            }
            Error::Journal(error) | Error::Apply(ApplyError { error, .. }) => journal_hint(error),
            Error::HistoryGone { results, .. } => Some(format!(
                "the history is gone: the same file would add its comments again; continue with {}",
                printable(&results.to_string_lossy())
            )),
            Error::Token(error) => token_hint(error),
            Error::Http(HttpError::Tls(_)) => {
                Some("install the system's CA certificates, or name a file with them in SSL_CERT_FILE".to_owned())
            }
            Error::Results { error, results } => {
                let first = if is_full(error) { "free some space, then " } else { "" };
                Some(format!("{first}run the same command again to resume; `{results}` only writes the results so far"))
            }
            _ => None,
        }
    }
}

/// What a command with `--format json` prints if it ends without its own JSON.
pub(crate) fn json_error(error: &str, help: Option<&str>, exit: u8) -> String {
    escape_json(&serde_json::json!({ "error": error, "help": help, "exit": exit }).to_string()).into_owned()
}

/// Advice that can be followed where the token is.
pub(super) fn token_hint(error: &TokenError) -> Option<String> {
    match error {
        TokenError::File(error) => secret_file_hint(error),
        TokenError::SignIn(SignInError::Refused { hint, .. }) => hint.clone(),
        TokenError::SignIn(SignInError::Unavailable { .. }) => {
            Some("run the same command again later; --patience says how long to wait".to_owned())
        }
        TokenError::Claims(ClaimsError::Audience { .. }) => Some("get a token for this service".to_owned()),
        TokenError::Claims(ClaimsError::Permission { .. }) => {
            Some("grant the permission, consent to it, and get a new token".to_owned())
        }
        TokenError::Claims(ClaimsError::Tenant { .. }) => Some("get a token of that tenant".to_owned()),
        TokenError::Claims(ClaimsError::NotOpaque) => Some("use `--base-url`, or the emulator's token".to_owned()),
        TokenError::Expired { .. }
        | TokenError::ExpiredInUse { .. }
        | TokenError::NotRenewed { .. }
        | TokenError::Refused { .. }
        | TokenError::OtherIdentity { .. } => Some("get a new token".to_owned()),
        TokenError::NewExpired { .. } => Some("check this machine's clock".to_owned()),
        TokenError::Text { .. } => None,
    }
}

fn secret_file_hint(error: &SecretFileError) -> Option<String> {
    let path = &error.path;
    let chmod = |path: &Path| NextCommand::new("chmod").word("600").path(path);
    let any = "for a secret mounted by a container platform, add --token-file-mode any";
    match error.problem {
        SecretFileProblem::Readable { can_change: true, .. } => Some(format!("run `{}`; {any}", chmod(path))),
        SecretFileProblem::Readable { can_change: false, .. } | SecretFileProblem::OfAnotherUser { .. } => {
            Some(format!("use a file of your own with mode 600; {any}"))
        }
        SecretFileProblem::Writable { can_change: true, .. } => Some(format!("run `{}`", chmod(path))),
        SecretFileProblem::Writable { .. } => Some("use a file that only its owner can write".to_owned()),
        SecretFileProblem::NotAFile if error.what == "token file" => {
            Some("write the token to a file that only you can read, or use --token-command".to_owned())
        }
        SecretFileProblem::NotAFile | SecretFileProblem::TooLong | SecretFileProblem::Unreadable(_) => None,
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn journal_hint(error: &JournalError) -> Option<String> {
    match error {
        JournalError::RunIsHeld { .. } => Some("wait until it has finished; this one sent nothing".to_owned()),
        JournalError::StartedElsewhere { .. } | JournalError::Interrupted { .. } => {
            Some("run the same command again to resume".to_owned())
        }
        JournalError::Untrusted { path, why } => Some(untrusted_hint(path, why)),
        JournalError::Full { .. } => {
            Some("make room: free some space, then run the same command again to resume".to_owned())
        }
        JournalError::Damaged { path, .. } => Some(damaged_hint(path)),
        JournalError::TemporaryFull { .. } => Some("free some space, or name another directory in TMPDIR".to_owned()),
        _ => None,
    }
}

/// Advice if a state directory can't be used.
const OTHER_STATE: &str = "name another state directory with --state-dir";

fn damaged_hint(journal: &Path) -> String {
    let dir = journal.parent().unwrap_or(journal);
    let aside = dir.with_file_name(format!("{}.damaged", dir.file_name().unwrap_or_default().to_string_lossy()));
    let mv = NextCommand::new("mv").path(dir).path(&aside);
    format!("run `{mv}`, or {OTHER_STATE}; then wait an hour, because the quota history is lost")
}

fn untrusted_hint(path: &Path, why: &Refusal) -> String {
    match why {
        Refusal::Mode { fix, .. } => {
            let chmod = NextCommand::new("chmod").word(fix).path(path);
            format!("make sure that nobody else has put files there, then run `{chmod}`; or {OTHER_STATE}")
        }
        _ => OTHER_STATE.to_owned(),
    }
}

fn journal_code(error: &JournalError) -> u8 {
    match error {
        JournalError::Directory { .. } | JournalError::Untrusted { .. } | JournalError::NoSuchRun(_) => exit::USAGE,
        JournalError::RunIsHeld { .. }
        | JournalError::StartedElsewhere { .. }
        | JournalError::Interrupted { .. }
        | JournalError::Full { .. }
        | JournalError::TemporaryFull { .. } => exit::STOPPED,
        JournalError::Newer { .. }
        | JournalError::Damaged { .. }
        | JournalError::Gone { .. }
        | JournalError::Store(_)
        | JournalError::Io(_) => exit::INTERNAL,
    }
}
