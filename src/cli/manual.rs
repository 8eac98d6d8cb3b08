//! `bulk-triage man`: a manual page for each command, from its help. The main page also has the exit codes, files and
//! variables, which are the tables of `docs/exit-codes.md` and `docs/settings.md`.

use std::io::{self, Write};

use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, roman};

use crate::cli::error::Error;
use crate::cli::exit;

/// `bulk-triage man`
#[derive(Debug, clap::Args)]
pub(super) struct ManArgs {
    /// The command, such as `runs show`; without it, the main page
    #[arg(value_hint = clap::ValueHint::Other)]
    command: Vec<String>,
    /// List the commands, one per line
    #[arg(long, conflicts_with = "command")]
    list: bool,
}

/// Prints a page, or the names of all commands. Returns the exit code.
///
/// # Errors
/// If there is no such command, or standard output can't be written.
pub(super) fn run(args: &ManArgs, command: clap::Command) -> Result<u8, Error> {
    let mut main = command.disable_help_subcommand(true);
    main.build();
    let mut text = Vec::new();
    if args.list {
        list(&main, &mut text)?;
    } else if args.command.is_empty() {
        main_page(main, &mut text)?;
    } else {
        page(found(&main, &args.command)?, &mut text)?;
    }
    io::stdout().lock().write_all(&text)?;
    Ok(exit::OK)
}

/// Each command below this one, without the name of the program.
fn list(command: &clap::Command, out: &mut Vec<u8>) -> io::Result<()> {
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        let name = below.get_bin_name().unwrap_or_default();
        writeln!(out, "{}", name.trim_start_matches("bulk-triage "))?;
        list(below, out)?;
    }
    Ok(())
}

fn found<'a>(main: &'a clap::Command, words: &[String]) -> Result<&'a clap::Command, Error> {
    words.iter().try_fold(main, |command, word| command.find_subcommand(word)).ok_or_else(|| Error::Usage {
        message: format!("there is no command `{}`", words.join(" ")),
        hint: Some("list the commands with `bulk-triage man --list`".to_owned()),
    })
}

/// The page of a command with this help.
fn man(command: clap::Command) -> Man {
    Man::new(command).source(concat!("bulk-triage ", env!("CARGO_PKG_VERSION"))).manual("bulk-triage manual")
}

fn page(command: &clap::Command, out: &mut Vec<u8>) -> io::Result<()> {
    man(command.clone()).render(out)?;
    let mut rest = Roff::new();
    rest.control("SH", ["SEE ALSO"]);
    rest.text([bold("bulk-triage"), roman("(1), which lists exit codes, files and environment variables")]);
    rest.to_writer(out)
}

fn main_page(main: clap::Command, out: &mut Vec<u8>) -> io::Result<()> {
    man(main).render(out)?;
    let (codes, settings) = (include_str!("../../docs/exit-codes.md"), include_str!("../../docs/settings.md"));
    let mut rest = Roff::new();
    rest.control("SH", ["EXIT STATUS"]);
    for [code, meaning, action] in rows(codes, "# Exit codes") {
        item(&mut rest, &format!("`{code}`"), &[meaning, action]);
    }
    rest.control("SH", ["FILES"]);
    for [file, content] in rows(settings, "## Files") {
        item(&mut rest, file, &[content]);
    }
    rest.control("SH", ["ENVIRONMENT"]);
    for [setting, variable, _, help] in rows(settings, "## Where each option can be set") {
        item(&mut rest, variable, &[&format!("`--{}`: {help}", setting.trim_matches('`'))]);
    }
    for [variable, meaning] in rows(settings, "## Other variables") {
        item(&mut rest, variable, &[meaning]);
    }
    rest.to_writer(out)
}

/// The rows of the first table below a heading of a Markdown file, without its header.
fn rows<'a, const CELLS: usize>(markdown: &'a str, heading: &str) -> impl Iterator<Item = [&'a str; CELLS]> {
    let below = markdown.lines().skip_while(move |line| *line != heading).skip(1);
    let table = below.skip_while(|line| !line.starts_with('|')).take_while(|line| line.starts_with('|'));
    let cells = |line: &'a str| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>();
    table.skip(2).filter_map(move |line| cells(line).try_into().ok())
}

/// An item of a list: its name, and a paragraph for each text.
fn item(page: &mut Roff, name: &str, texts: &[&str]) {
    page.control("TP", []);
    page.text(inlines(name));
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            page.control("br", []);
        }
        page.text(inlines(text));
    }
}

/// Markdown in a line: code is bold, and a link is its text.
fn inlines(markdown: &str) -> Vec<Inline> {
    let plain = without_links(markdown);
    let parts = plain.split('`').enumerate();
    parts.map(|(at, part)| if at % 2 == 0 { roman(part) } else { bold(part) }).collect()
}

fn without_links(markdown: &str) -> String {
    let Some((before, rest)) = markdown.split_once("](") else { return markdown.to_owned() };
    let (text, after) = (before.replacen('[', "", 1), rest.split_once(')').map_or("", |(_, after)| after));
    text + &without_links(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_become_their_text() {
        assert_eq!(without_links("a [b](c.md), [d](e.md#f) (g)"), "a b, d (g)");
        assert_eq!(without_links("`[profiles.NAME]`"), "`[profiles.NAME]`");
    }

    #[test]
    fn rows_are_found_below_their_heading() {
        let markdown = "# A\n\n| a |\n| --- |\n| 1 |\n\n# B\ntext\n\n| a | b |\n| --- | --- |\n| `x` | y |\n| z | w |\n\n| v | v |";
        assert_eq!(rows(markdown, "# B").collect::<Vec<_>>(), [["`x`", "y"], ["z", "w"]]);
    }
}
