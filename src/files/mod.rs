//! Files: every file of the program is opened here, after a check of its type, owner, links and mode.
//!
//! Promises: a file or directory that another user owns, can write or has linked is refused with a reason, and never used,
//! changed or followed. Opening never blocks, and checks the opened file, not only its path. Root is trusted. A file that
//! the user names as an input may belong to anyone.
//!
//! | file | owns |
//! | --- | --- |
//! | `open` | the calls that open and create files; no other file has such calls |
//! | `refusal` | why a file or directory is not used, and the rules for each kind |
//! | `links` | resolving the links of a path, with a check of each link's owner |
//! | `settings_file` | reading a settings file that only the user or root can have written |
//! | `private_dir` | a directory that only the user can enter; one that is temporary |
//! | `output_path` | the path of an output: what exists there, and whether it may be replaced |
//! | `atomic_file` | writing an output to a temporary file, which then gets its name |

mod atomic_file;
mod links;
mod open;
mod output_path;
mod private_dir;
mod refusal;
mod settings_file;

pub(crate) use atomic_file::{Readers, replace};
pub(crate) use links::resolve;
pub(crate) use open::{
    For, append_to, expect_own, open_input, open_named_secret, open_own, open_terminal, read_kernel_text,
    sync_directory, unnamed_in,
};
pub use output_path::{OutputError, PathError};
pub(crate) use output_path::{
    OutputKind, PathProblem, delete_own, directory_of, inspect, inspect_shared, is_same_file, is_same_path, open_log,
    resolve_parent,
};
pub(crate) use private_dir::{PrivateDir, temporary_dir};
pub use refusal::Refusal;
pub(crate) use settings_file::{WrittenBy, read_settings};
