//! The command line: help that fits a terminal, completions, the manual page, contracts; no arguments cause a panic.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use crate::program::{Program, closing, finished, in_place_of, started};

/// The program itself, and all its commands.
fn commands(program: &Program) -> Vec<String> {
    let listed = program.run("man --list").expect_code(0).stdout;
    let commands: Vec<String> = std::iter::once("").chain(listed.lines()).map(str::to_owned).collect();
    assert!(
        ["run", "runs show", "emulator"].iter().all(|name| commands.iter().any(|command| command == name)),
        "{listed}"
    );
    commands
}

#[test]
fn help_of_every_command_fits_80_columns() {
    let program = Program::new();
    for command in commands(&program) {
        for help in ["-h", "--help"] {
            let mut asking = program.command(&format!("{command} {help}"));
            asking.env("COLUMNS", "80");
            let ended = started(asking).end().expect_code(0).expect_text("Usage: bulk-triage");
            let too_long: Vec<&str> = ended.stdout.lines().filter(|line| line.chars().count() > 80).collect();
            assert!(too_long.is_empty(), "`{command} {help}`: {too_long:#?}");
        }
    }
}

#[test]
fn help_lists_every_documented_option() {
    let help = Program::new().run("run --help").expect_code(0).stdout;
    for option in [
        "--dry-run",
        "--set",
        "--limit",
        "--only",
        "--skip-invalid",
        "--contract",
        "--base-url",
        "--emulator",
        "--quota",
        "--concurrency",
        "--max-attempts",
        "--stop-after",
        "--patience",
        "--max-failures",
        "--results",
        "--yes",
        "--remember",
        "--tenant",
        "--format",
        "--token-file",
        "--state-dir",
        "--log-format",
        "--log-file",
        "--verbose",
        "--quiet",
        "--color",
        "--no-progress",
    ] {
        assert!(help.contains(option), "{option} is missing");
    }
}

#[test]
fn version_and_completions_are_printed() {
    let program = Program::new();
    program.run("--version").expect_code(0).expect_text(concat!("bulk-triage ", env!("CARGO_PKG_VERSION")));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        program.run(&format!("completions {shell}")).expect_code(0).expect_text("bulk-triage");
    }
}

#[test]
fn verbose_version_names_revision_features_and_libraries() {
    let program = Program::new();
    let shown = program.run("--version --verbose").expect_code(0).stdout;
    let names: Vec<&str> = shown.lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0)).collect();
    assert_eq!(names, ["revision", "target", "features", "SQLite", "TLS"], "{shown}");
    // Cargo passes the flags of `.cargo/config.toml` to the build of SQLite.
    assert!(shown.contains("with the flags of .cargo/config.toml"), "{shown}");
    assert_eq!(program.run("-vV").expect_code(0).stdout, shown);
    assert_eq!(program.run("-V").expect_code(0).stdout, shown.lines().next().expect("a line").to_owned() + "\n");
}

/// A page as text, without fonts and escapes.
fn manual_page(program: &Program, command: &str) -> String {
    let page = program.run(&format!("man {command}")).expect_code(0).stdout;
    page.replace("\\fB", "").replace("\\fI", "").replace("\\fR", "").replace('\\', "")
}

#[test]
fn every_command_has_a_manual_page() {
    let program = Program::new();
    let commands = commands(&program);
    for command in &commands {
        let page = manual_page(&program, command);
        assert!(page.contains(".SH SYNOPSIS") && page.contains("--state-dir"), "{command}: {page}");
        // Every page to which it refers exists.
        for (at, _) in page.match_indices("(1)") {
            let name = page[..at].split_whitespace().next_back().expect("a name");
            let other = name.trim_start_matches("bulk-triage").replacen('-', "", 1);
            let is_there = commands.iter().any(|command| command.replace(' ', "-") == other);
            assert!(is_there, "{command}: {name}");
        }
    }
    program.run("man nonsense").expect_code(2).expect_text("man --list");
}

#[test]
fn manual_has_codes_files_and_variables() {
    let page = manual_page(&Program::new(), "");
    let (page, environment) = page.split_once(".SH ENVIRONMENT").expect("a section");
    let (page, files) = page.split_once(".SH FILES").expect("a section");
    let (_, codes) = page.split_once(".SH \"EXIT STATUS\"").expect("a section");
    for code in [0, 1, 2, 3, 4, 5, 6, 10, 70, 130, 143] {
        assert!(codes.contains(&format!("\n{code}\n")), "{code}: {codes}");
    }
    assert!(files.contains("/etc/bulk-triage/config.toml"), "{files}");
    for name in ["BULK_TRIAGE_QUOTA", "BULK_TRIAGE_TOKEN", "HTTPS_PROXY"] {
        assert!(environment.contains(name), "{name}: {environment}");
    }
    assert!(![codes, files, environment].concat().contains("]("), "a link is left: {codes}{files}{environment}");
}

#[test]
fn manual_pages_format_without_warnings() {
    let program = Program::new();
    if finished(Command::new("man").arg("--version").stdout(Stdio::null())).is_err() {
        let _ = writeln!(std::io::stderr(), "LEFT OUT: warnings of manual pages (man is not installed)");
        return;
    }
    for command in commands(&program) {
        program.write("page.1", program.run(&format!("man {command}")).expect_code(0).stdout);
        let mut man = in_place_of(&program.command(""), "man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", "page.1"]);
        man.env("MANROFFSEQ", "").env("LC_ALL", "C.UTF-8").env("MANWIDTH", "80");
        let ended = started(man).end().expect_code(0);
        assert_eq!(ended.stderr, "", "{command}");
    }
}

#[test]
fn contracts_print_as_table_and_toml() {
    let program = Program::new();
    for contract in ["defender-classic", "defender"] {
        program.run(&format!("contract {contract}")).expect_code(0).expect_text("FalsePositive").expect_text("50/1m");
        let shown = program.run(&format!("contract {contract} --format toml")).expect_code(0).stdout;
        let toml: toml::Table = shown.parse().expect("TOML");
        assert_eq!(toml["quota"].as_str(), Some("50/1m,1500/1h"), "{shown}");
    }
}

#[test]
fn contract_file_of_the_user_is_obeyed() {
    let contract = "extends = \"defender-classic\"\nquota = \"10/1m\"\n";
    let program = Program::new().file("mine.toml", contract).file("a.csv", closing(1..=3));
    program.run("check a.csv --contract mine.toml").expect_code(0);
    program.run("run a.csv --contract mine.toml --emulator --yes").expect_code(0);
    program
        .run("run a.csv --contract mine.toml --dry-run --quota 20/1m --base-url https://api.example.com")
        .expect_code(2);
}

/// Only commands that need no network, with their arguments in any order.
#[test]
fn no_arguments_cause_a_panic_or_hang() {
    let program = Program::new().file("a.csv", closing(1..=3)).file("-x.csv", closing(1..=3));
    let huge = "9".repeat(40);
    let long = "x".repeat(100_000);
    let words = ["", " ", "-", "--", "=", "-x.csv", "💥", "'\"\\%", huge.as_str(), &long];
    for word in words {
        for arguments in [
            vec![word],
            vec![word, word],
            vec!["check", word],
            vec!["check", "--", word],
            vec!["check", "a.csv", "--set", word],
            vec!["check", "a.csv", "--limit", word],
            vec!["check", "a.csv", "--only", word],
            vec!["check", "a.csv", "--contract", word],
            vec!["run", "--emulator", "--dry-run", "a.csv", "--quota", word],
            vec!["run", "--emulator", "--dry-run", "a.csv", "--stop-after", word],
            vec!["run", "--emulator", "--dry-run", "a.csv", "--results", word],
            vec!["run", "--dry-run", "a.csv", "--scope", word],
            vec!["run", "--dry-run", "a.csv", "--base-url", word],
            vec!["runs", "show", word],
            vec!["contract", word],
            vec!["completions", word],
            vec!["emulator", "--latency", word],
            vec!["emulator", "--fault", word],
            vec!["emulator", "--merged", word],
        ] {
            // Valid settings would serve until a signal; an invalid port ends the emulator.
            let serves = arguments[0] == "emulator";
            let mut command = program.command_of(&arguments);
            if serves {
                command.args(["--contract", "none"]);
            }
            let ended = started(command).end();
            let shown: Vec<String> = arguments.iter().map(|word| word.chars().take(40).collect()).collect();
            assert!(
                matches!(ended.code, Some(0 | 1 | 2 | 3 | 5)),
                "{shown:?}: {:?} {:.500}",
                ended.code,
                ended.printed()
            );
            assert!(!ended.stderr.contains("panicked"), "{shown:?}: {:.500}", ended.stderr);
        }
    }
}

#[test]
fn non_utf8_arguments_are_file_names_or_errors() {
    let name = OsStr::from_bytes(b"caf\xe9.csv");
    let program = Program::new();
    std::fs::write(program.path("").join(name), closing(1..=3)).expect("a file");
    let run = |arguments: &[&OsStr]| started(program.command_of(arguments)).end();
    run(&["check".as_ref(), name]).expect_code(0);
    run(&["run".as_ref(), name, "--emulator".as_ref(), "--yes".as_ref()]).expect_code(0);
    run(&["check".as_ref(), "a.csv".as_ref(), "--set".as_ref(), name]).expect_code(2);
    run(&[name]).expect_code(2);
}

/// The largest values that are allowed.
#[test]
fn largest_numbers_are_accepted() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    for arguments in [
        "a.csv --quota 1/1ms --remember 0",
        "a.csv --quota 4294967295/8760h --remember 0",
        "a.csv --concurrency 1000 --max-attempts 4294967295 --remember 0",
        "a.csv --stop-after 8760h --patience 8760h --remember 8760h --limit 18446744073709551615",
        "a.csv --max-failures 18446744073709551615 --remember 0",
        "a.csv --limit 0",
    ] {
        let ended = program.send(arguments);
        assert!(matches!(ended.code, Some(0 | 2)), "{arguments}: {}", ended.printed());
        assert!(!ended.stderr.contains("panicked"), "{arguments}: {}", ended.printed());
    }
}

#[test]
fn quiet_and_no_color_are_obeyed() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let ended = program.send("a.csv -q").expect_code(0);
    assert_eq!(ended.stderr, "");
    let colored = program.send("a.csv --color always").expect_code(0);
    assert!(colored.stdout.contains("\u{1b}["), "{}", colored.printed());
    let mut plain = program.send_command("a.csv");
    plain.env("NO_COLOR", "1");
    let plain = started(plain).end().expect_code(0);
    assert!(!plain.stdout.contains('\u{1b}') && !plain.stderr.contains('\u{1b}'));
}

#[test]
fn fault_of_unknown_property_is_refused() {
    let program = Program::new();
    program.run("emulator --fault ignore=statsu").expect_code(2).expect_text("did you mean `status`?");
    program.run("emulator --fault ignore=comment@updates").expect_code(2).expect_text("is not a property");
}

#[test]
fn quiet_twice_prints_no_summary() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let once = program.send("a.csv -q").expect_code(0);
    assert!(once.stdout.contains("updated") && once.stderr.is_empty(), "{}", once.printed());
    for arguments in ["a.csv --remember 0 -qq", "a.csv --remember 0 -q --quiet"] {
        let twice = program.send(arguments).expect_code(0);
        assert_eq!((twice.stdout.as_str(), twice.stderr.as_str()), ("", ""));
    }
    let check = program.run("check a.csv -qq").expect_code(0);
    assert_eq!((check.stdout.as_str(), check.stderr.as_str()), ("", ""));
    // Errors and the output that a script requested are still printed.
    let failed = program.run("check missing.csv -qq").expect_code(3);
    assert!(failed.printed().contains("missing.csv"));
    program.send("a.csv -qq --format json").expect_code(0).json();
}

#[test]
fn misspelt_contract_gets_suggestion() {
    let program = Program::new().file("a.csv", closing(1..=3));
    let help = "help: did you mean `defender`?";
    program.run("check a.csv --contract defnder").expect_code(2).expect_text(help);
    program.run("contract Defender").expect_code(2).expect_text(help);
    program.run("emulator --contract defendr").expect_code(2).expect_text(help);
    let other = program.run("check a.csv --contract something-else").expect_code(2);
    assert!(!other.stderr.contains("did you mean"), "{}", other.printed());
}

#[test]
fn last_of_repeated_option_wins() {
    let program = Program::new().file("a.csv", closing(1..=5)).emulator(|_| ());
    let origin = program.origin();
    let dry = format!(
        "run a.csv -n -n --compare --compare --limit 1 --limit 2 --base-url http://127.0.0.1:1 --base-url {origin}"
    );
    program.run(&dry).expect_code(0).expect_text("2 of a.csv");
    program.run("runs --format human --format json").expect_code(0).json();
    program.run("check a.csv --contract none --contract defender").expect_code(0);
    // Options that can be repeated still add up, and a field is set only once.
    program.run("check a.csv --set status=Active --set assignedTo=me").expect_code(0);
    program.run("check a.csv --set status=Active --set status=Resolved").expect_code(2).expect_text("used twice");
}

#[test]
fn stop_after_1_ms_sends_nothing() {
    let program = Program::new().file("a.csv", closing(1..=8)).emulator(|_| ());
    program.send("a.csv --stop-after 1ms").expect_code(4).expect_outcomes(&[("not-attempted", 8)]);
    assert!(program.requests().is_empty());
}
