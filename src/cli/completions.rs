//! `bulk-triage completions`: what a shell runs when you press Tab. The scripts also complete the IDs of runs, which they
//! get from `runs list --ids`.

use std::io::{self, Write as _};

use clap_complete::Shell;

use crate::cli::error::Error;
use crate::cli::exit;

/// Prints the IDs of runs for a script.
const RUN_IDS: &str = "$(bulk-triage runs list --ids 2>/dev/null)";

/// The commands of `runs` that take the ID of a run.
const WITH_RUN: [&str; 4] = ["show", "resume", "undo", "results"];

/// Prints the script for a shell. Returns the exit code.
///
/// # Errors
/// If standard output can't be written.
pub(super) fn run(shell: Shell, mut command: clap::Command) -> Result<u8, Error> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "bulk-triage", &mut script);
    let script = with_run_ids(shell, String::from_utf8_lossy(&script).into_owned());
    io::stdout().lock().write_all(script.as_bytes())?;
    Ok(exit::OK)
}

/// The generated script completes the argument `RUN` to a file (zsh) or not at all.
fn with_run_ids(shell: Shell, script: String) -> String {
    match shell {
        // The generator takes the hyphen of our name for the end of a command, and so finds no option of any command.
        Shell::Bash => {
            WITH_RUN.iter().fold(script.replace("bulk__subcmd__triage", "bulk__triage"), |script, command| {
                let words = format!("bulk__triage__subcmd__runs__subcmd__{command})\n            opts=\"");
                script.replacen(&words, &format!("{words}{RUN_IDS} "), 1)
            })
        }
        Shell::Zsh => {
            let lines = script.lines().map(|line| match line.split_once(":_default'") {
                Some((argument, rest)) if argument.starts_with("':run -- ") => {
                    format!("{argument}:_bulk_triage_run_ids'{rest}\n")
                }
                _ => format!("{line}\n"),
            });
            let ids = format!("_bulk_triage_run_ids() {{ compadd -- {RUN_IDS} }}\n\n_bulk-triage() {{");
            lines.collect::<String>().replacen("_bulk-triage() {", &ids, 1)
        }
        Shell::Fish => {
            let condition = "__fish_bulk_triage_using_subcommand runs; and __fish_seen_subcommand_from";
            let condition = format!("{condition} {}", WITH_RUN.join(" "));
            let ids = RUN_IDS.trim_start_matches('$');
            format!("{script}complete -c bulk-triage -n \"{condition}\" -f -a \"{ids}\"\n")
        }
        _ => script,
    }
}
