//! The program: reads the command line, runs the command, ends with its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // A defect has its own exit code; what is wrong has been said by then.
    let code = std::panic::catch_unwind(bulk_triage::cli::main).unwrap_or(bulk_triage::cli::exit::INTERNAL);
    ExitCode::from(code)
}
