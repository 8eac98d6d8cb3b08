//! Exit codes: what a script can know of how it ended. `docs/exit-codes.md` explains them.

/// Every row is `updated` or `unchanged`; of a check, every row is valid.
pub const DONE: u8 = 0;
/// Over, and some row is `failed`, `in-doubt` or `invalid`.
pub const SOME_FAILED: u8 = 1;
/// The command line or the configuration is wrong, or an output can't be made or written.
pub const USAGE: u8 = 2;
/// The input can't be read or is not valid; nothing was sent.
pub const INPUT: u8 = 3;
/// Stopped early: started again, it goes on.
pub const STOPPED: u8 = 4;
/// Not allowed: credentials are missing, refused, or without the permission.
pub const NOT_ALLOWED: u8 = 5;
/// A defect of the program, or a journal that can't be used any more.
pub const DEFECT: u8 = 70;
/// The second Ctrl-C.
pub const INTERRUPTED: u8 = 130;
/// The second SIGTERM.
pub const TERMINATED: u8 = 143;
