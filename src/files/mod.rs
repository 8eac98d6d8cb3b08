//! Files: every file of the program is opened here, after its kind, owner, links and mode were judged.
//!
//! Promises: a file or directory that another user owns, can write or has linked is refused with a reason, never used,
//! changed or followed; opening waits for nobody, and judges what was opened, not what the name led to before. Root is
//! trusted. A file that the user names as an input may be anybody's.
//!
//! | file | owns |
//! | --- | --- |
//! | `open` | the calls that open and create; no other file of the program has them |
//! | `refusal` | why a file or directory is not used, and the rules for each kind |
//! | `links` | a path after its links, each judged by its owner |
//! | `private_dir` | a directory that is the user's alone |
//! | `place` | the place of an output: what is there, and whether it may be replaced |
//! | `draft` | an output before it takes its name |

mod atomic_file;
mod links;
mod open;
mod output_path;
mod private_dir;
mod refusal;

pub(crate) use atomic_file::replace;
pub(crate) use links::resolve;
pub(crate) use open::{
    For, append_to, expect_own, open_input, open_named_secret, open_own, open_terminal, read_kernel_text,
    sync_directory, temporary_dir, unnamed_in,
};
pub use output_path::PathError;
pub(crate) use output_path::{
    OutputKind, PathProblem, after_links, directory_of, inspect, is_one_name, look_at_shared, open_log,
};
pub(crate) use private_dir::PrivateDir;
pub use refusal::Refusal;
