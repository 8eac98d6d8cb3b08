//! Exit codes: one for each thing that a script would do next. The table of `docs/exit-codes.md`.

/// Every row is `updated` or `unchanged`; of `check` and a dry run: every row is valid.
pub const OK: u8 = 0;
/// Over, and some row is `failed`, `in-doubt` or `invalid`.
pub const SOME_FAILED: u8 = 1;
/// The command line or the configuration is wrong, or an output or the state directory can't be made or written.
pub const USAGE: u8 = 2;
/// The input can't be read or is not valid; nothing was sent.
pub const INPUT: u8 = 3;
/// Stopped early: the same command resumes.
pub const STOPPED: u8 = 4;
/// Credentials are missing, refused, or without the permission.
pub const NOT_ALLOWED: u8 = 5;
/// Rows keep failing: a person must check them before the run is started again.
pub const NEEDS_ATTENTION: u8 = 6;
/// Of `plan --detailed-exitcode`: there is something to send.
pub const CHANGES: u8 = 10;
/// A defect of the program, or a journal that is damaged, in an unknown format, deleted, or can't be read or written.
pub const INTERNAL: u8 = 70;
/// The second Ctrl-C: ended at once.
pub const INTERRUPTED: u8 = 130;
/// The second SIGTERM: ended at once.
pub const TERMINATED: u8 = 143;

/// What a code means, in a few words.
#[must_use]
pub fn meaning(code: u8) -> &'static str {
    match code {
        OK => "all rows are done",
        SOME_FAILED => "finished with errors",
        USAGE => "the command line or the configuration is wrong",
        INPUT => "the input is not valid; nothing was sent",
        STOPPED => "stopped early; run the same command again to resume",
        NOT_ALLOWED => "not authorized",
        NEEDS_ATTENTION => "rows keep failing; needs attention",
        CHANGES => "there are changes to send",
        INTERRUPTED | TERMINATED => "interrupted",
        _ => "internal error, or a damaged journal",
    }
}
