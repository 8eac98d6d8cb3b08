//! The layers: imports only point downwards, never in a circle, and every file starts with its documentation.

mod circles;

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use bulk_triage::contract;

use crate::program::{files_below, of_the_project};

/// From bottom to top. Modules of one layer may import each other, except siblings.
const LAYERS: [&[&str]; 9] = [
    &["text", "clock", "files"],
    &["model"],
    &["contract", "input"],
    &["check", "compare", "plan", "undo"],
    SIBLINGS,
    &["apply"],
    &["session"],
    &["output", "report", "emulator"],
    &["cli"],
];

/// Siblings don't import each other: `apply` connects them.
const SIBLINGS: &[&str] = &["quota", "retry", "client", "journal"];

/// The crate roots, which may import everything.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    files_below(dir).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs")).collect()
}

/// Every source file: its path below `src` and its text.
fn files() -> Vec<(String, String)> {
    let src = of_the_project("src");
    let file = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("below src").to_string_lossy().into_owned();
        (name, fs::read_to_string(&path).expect("a source file"))
    };
    sources(&src).into_iter().map(file).collect()
}

fn layer(module: &str) -> Option<usize> {
    LAYERS.iter().position(|modules| modules.contains(&module))
}

/// The top module of a file.
fn module_of(file: &str) -> &str {
    file.split_once('/').map_or_else(|| file.trim_end_matches(".rs"), |(folder, _)| folder)
}

/// The modules that a file names with `crate::`, in `use` lines and paths, except its own.
fn known(file: &str, text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let name = |rest: &str| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut names: Vec<String> = code.split("crate::").skip(1).map(name).collect();
    names.sort_unstable();
    names.dedup();
    names.retain(|name| layer(name).is_some() && name != module_of(file));
    names
}

#[test]
fn every_module_has_its_layer() {
    for (file, _) in files() {
        assert!(ROOTS.contains(&file.as_str()) || layer(module_of(&file)).is_some(), "no layer has src/{file}");
    }
}

#[test]
fn imports_go_down_only() {
    let mut breaches = Vec::new();
    for (file, text) in files() {
        let module = module_of(&file);
        let Some(own) = layer(module) else { continue };
        for name in known(&file, &text) {
            let is_up = layer(&name) > Some(own);
            let is_sibling = SIBLINGS.contains(&module) && SIBLINGS.contains(&name.as_str());
            if is_up || is_sibling {
                breaches.push(format!("src/{file} knows {name}"));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// Where variables may be read, and with what.
const READERS: [(&str, &str); 3] = [
    ("cli/environment.rs", "env::var_os("),
    ("cli/environment.rs", "Xdg::new("),
    ("client/proxy.rs", "Matcher::from_system("),
];

/// The user controls the environment. The threat model names every variable that counts, and one file reads them; a
/// library reads those for proxies.
#[test]
fn variables_are_read_in_one_place_and_documented() {
    let model = fs::read_to_string(of_the_project("docs/threat-model.md")).expect("a page");
    let ways = ["env::var", "env::vars", "env::var_os", "Xdg::new", "from_system", "from_env"];
    let (mut read, mut names) = (0, Vec::new());
    for (file, text) in files() {
        for way in ways.map(|way| format!("{way}(")) {
            let count = text.matches(&way).count();
            let is_reader = READERS.iter().any(|(reader, known)| *reader == file && known.ends_with(&way));
            assert!(count == 0 || is_reader, "src/{file} reads variables by {way}");
            read += count;
        }
        let strings = text.split('"').skip(1).step_by(2).filter(|_| file == "cli/environment.rs");
        let is_name = |name: &&str| name.len() > 3 && name.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        names.extend(strings.filter(is_name).map(str::to_owned));
    }
    assert!(read >= READERS.len() && names.len() > 5, "{read} times, {names:?}");
    for name in names {
        assert!(model.contains(&format!("`{name}`")), "docs/threat-model.md does not name {name}");
    }
}

/// The private files of the journal that do SQL.
const SQL: [&str; 16] = [
    "columns",
    "commit",
    "directory",
    "format",
    "gather",
    "history",
    "ledger_store",
    "open",
    "opened",
    "read_only",
    "redirects",
    "rows",
    "run_report",
    "runs",
    "sql",
    "write",
];

/// A second store can take the place of the database only if nobody else knows its library.
#[test]
fn only_private_files_know_the_database() {
    let is_public = |line: &&str| line.trim_start().starts_with("pub ") && !line.contains(" mod ");
    let mut found = Vec::new();
    for (file, text) in files().into_iter().filter(|(file, _)| !file.starts_with("journal/tests/")) {
        let code = without_tests(&text);
        if code.contains("rusqlite") {
            found.push(file.clone());
        }
        if module_of(&file) == "journal" {
            // A signature goes on to its body.
            let signatures = code.lines().filter(is_public).map(|line| &code[code.find(line).expect("its own line")..]);
            for signature in signatures.map(|rest| rest.split(['{', ';']).next().expect("a first part")) {
                let library = ["rusqlite", "Connection", "Transaction", "DbError", "Row<'"];
                let named = library.iter().find(|name| signature.contains(*name));
                assert_eq!(named, None, "src/{file}: {signature}");
            }
        }
        let is_public_error =
            ["JournalError", "StoreError"].iter().any(|error| code.contains(&format!("rusqlite::Error> for {error}")));
        assert!(!is_public_error, "src/{file} converts errors of the database in public");
    }
    assert_eq!(found, SQL.map(|name| format!("journal/{name}.rs")));
    let root = fs::read_to_string(of_the_project("src/journal/mod.rs")).expect("a source file");
    assert!(SQL.iter().all(|name| root.contains(&format!("\nmod {name};"))), "the files are private");
}

/// What reads JSON outside `client`, `input`, `plan` and the emulator: no request body, which is written and never read.
const JSON_READERS: [(&str, &str); 6] = [
    ("check/row.rs", "cells of JSONL rows"),
    ("check/value.rs", "values of JSONL rows, and lists in CSV cells"),
    ("output/fetched/partial.rs", "the lines of a partial file"),
    ("output/results/destination.rs", "the first line of a file that is replaced"),
    ("output/results/jsonl.rs", "a row's own text"),
    ("report/page/context.rs", "other members of a row's own text"),
];

#[test]
fn no_request_body_is_parsed() {
    let may_read = ["client", "input", "plan", "emulator"];
    let reads = |text: &str| ["serde_json::from_str", "serde_json::from_slice"].iter().any(|call| text.contains(call));
    let is_test = |file: &str| file.contains("/tests/") || file.ends_with("/tests.rs");
    let readers = files()
        .into_iter()
        .filter(|(file, text)| !may_read.contains(&module_of(file)) && !is_test(file) && reads(without_tests(text)));
    let readers: Vec<String> = readers.map(|(file, _)| file).collect();
    assert_eq!(readers, JSON_READERS.map(|(file, _)| file));
}

#[test]
fn report_reads_only_the_events_of_apply() {
    for (file, text) in files().iter().filter(|(file, _)| module_of(file) == "report") {
        let code = text.split("#[cfg(test)]").next().expect("a first part");
        let outside_of_events = code.split("crate::apply").skip(1).find(|rest| !rest.starts_with("::events"));
        assert_eq!(outside_of_events, None, "src/{file}");
    }
}

/// What a library doesn't do: parse a command line, print, draw, or end the process.
const OF_THE_COMMAND_LINE: [&str; 8] =
    ["clap", "indicatif", "println!", "eprintln!", "io::stdout", "io::stderr", "exit::", "process::exit"];

#[test]
fn session_knows_no_command_line() {
    let names = |text: &str| OF_THE_COMMAND_LINE.iter().find(|name| text.contains(**name)).copied();
    let all = files();
    let session: Vec<_> = all.iter().filter(|(file, _)| module_of(file) == "session").collect();
    assert!(session.len() > 5, "{} files of session", session.len());
    for (file, text) in session {
        assert_eq!(names(text), None, "src/{file}");
    }
    let (_, terminal) = all.iter().find(|(file, _)| file == "cli/terminal.rs").expect("a file");
    assert!(names(terminal).is_some(), "printing is found");
}

/// Proves that the checks above can fail.
#[test]
fn imports_are_found() {
    let text = "use crate::apply::events::Event;\n// crate::client\nlet x = crate::quota::Buckets::new();";
    assert_eq!(known("report/mod.rs", text), ["apply", "quota"]);
    let knows = |file: &str, module: &str| {
        let all = files();
        let (_, text) = all.iter().find(|(name, _)| name == file).expect("a file");
        known(file, text).iter().any(|name| name == module)
    };
    assert!(knows("apply/mod.rs", "journal") && knows("cli/mod.rs", "text"));
}

/// Calls that open or create a file. `metadata`, `remove_file` and `read_dir` judge and remove names, so they may be
/// anywhere.
const OPENS: [&str; 14] = [
    "File::open(",
    "File::create",
    "File::options(",
    "OpenOptions",
    "DirBuilder",
    "fs::read(",
    "fs::read_to_string(",
    "fs::write(",
    "fs::create_dir",
    "fs::copy(",
    "fs::hard_link(",
    "fs::set_permissions(",
    "tempfile::tempfile",
    "tempfile::tempdir",
];

/// The part of a source file before its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().expect("a first part").split("#[cfg(all(test").next().expect("a first part")
}

/// `ResultsFile::create` is not `File::create`.
fn has_call(text: &str, call: &str) -> bool {
    text.match_indices(call).any(|(at, _)| !text[..at].ends_with(char::is_alphanumeric))
}

#[test]
fn only_one_file_opens_files() {
    let is_test = |file: &str| file.contains("/tests/") || file.ends_with("/tests.rs");
    let opening: Vec<String> = files()
        .into_iter()
        .filter(|(file, text)| !is_test(file) && OPENS.iter().any(|call| has_call(without_tests(text), call)))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(opening, ["files/open.rs"]);
}

/// One file is exempt as a whole, and the library while its own tests are compiled.
#[test]
fn clippy_bans_opening_files_elsewhere() {
    let banned = fs::read_to_string(of_the_project("clippy.toml")).expect("the lints' settings");
    for method in [
        "File::open",
        "File::create",
        "File::create_new",
        "File::options",
        "OpenOptions::new",
        "OpenOptions::open",
        "read",
        "read_to_string",
        "write",
        "create_dir",
        "create_dir_all",
        "DirBuilder::new",
        "DirBuilder::create",
        "copy",
        "hard_link",
        "set_permissions",
    ] {
        assert!(banned.contains(&format!("\"std::fs::{method}\"")), "{method}");
    }
    let is_excepted = |text: &str| text.contains("#![expect(clippy::disallowed_methods");
    let excepted: Vec<String> =
        files().into_iter().filter(|(_, text)| is_excepted(text)).map(|(file, _)| file).collect();
    assert_eq!(excepted, ["files/open.rs"]);
    let root = fs::read_to_string(of_the_project("src/lib.rs")).expect("a source file");
    assert!(root.contains("#![cfg_attr(test, expect(clippy::disallowed_methods") && !is_excepted(&root));
}

/// Tests are exempt from the lint as a whole, because they create files; its rules about time apply to them too.
#[test]
fn tests_never_sleep_or_read_the_clock() {
    let of_tests = sources(&of_the_project("tests")).into_iter().map(|path| {
        let text = fs::read_to_string(&path).expect("a source file");
        (path.to_string_lossy().into_owned(), text)
    });
    for (file, text) in files().into_iter().chain(of_tests).filter(|(file, _)| !file.ends_with("layers.rs")) {
        let waits = ["thread::sleep(", "time::sleep(", "SystemTime::now(", "Timestamp::now("];
        let code: String = text.split_whitespace().collect();
        let is_excepted = code.contains("#[expect(clippy::disallowed_methods");
        for wait in waits.iter().filter(|wait| text.contains(*wait)) {
            assert!(is_excepted, "{file}: {wait}");
        }
    }
}

#[test]
fn every_file_starts_with_its_documentation() {
    for (file, text) in files() {
        assert!(text.starts_with("//! "), "src/{file} does not open with its documentation");
    }
}

#[test]
fn no_file_is_called_utils_or_helpers() {
    for (file, _) in files() {
        let called = file
            .split('/')
            .any(|part| ["utils", "util", "common", "helpers", "types"].contains(&part.trim_end_matches(".rs")));
        assert!(!called, "src/{file}");
    }
}

/// The names of the test functions in a source file.
pub(crate) fn tests_in(text: &str) -> Vec<&str> {
    let mut is_test = false;
    let mut names = Vec::new();
    for line in text.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, name)) = line.split_once("fn ").filter(|_| !line.starts_with(['/', '#'])) {
            names.extend(name.split('(').next().filter(|_| is_test));
            is_test = false;
        }
    }
    names
}

#[test]
fn test_names_have_at_most_eight_words() {
    let is_long = |name: &&str| name.split('_').count() > 8;
    let long = "#[tokio::test]\n/// Why fn is here.\n#[cfg(unix)]\nasync fn a_b_c_d_e_f_g_h_i() {}\nfn x() {}";
    assert_eq!(tests_in(long).into_iter().filter(is_long).count(), 1, "a long name is found");
    let mut found = 0;
    for folder in ["src", "tests"] {
        for path in sources(&of_the_project(folder)) {
            let text = fs::read_to_string(&path).expect("a source file");
            let names = tests_in(&text);
            found += names.len();
            let long: Vec<_> = names.into_iter().filter(is_long).collect();
            assert!(long.is_empty(), "{}: more than eight words: {long:?}", path.display());
        }
    }
    assert!(found > 1_000, "{found} tests were found");
}

/// Names of the API that stand in the code, outside of `contract` and the emulator, and what they are there.
const NAMES_WITH_A_REASON: [(&str, &str, &str); 28] = [
    ("cli/config.rs", "value", "a heading and a member of our own JSON"),
    ("cli/contract.rs", "value", "a heading"),
    ("cli/error.rs", "error", "a member of our own JSON"),
    ("cli/plan.rs", "code", "a member of our own JSON"),
    ("cli/plan.rs", "message", "a member of our own JSON"),
    ("cli/runs/show.rs", "target", "a heading"),
    ("cli/settings/layers.rs", "comment", "an option"),
    ("cli/settings/layers.rs", "severity", "an option"),
    ("cli/settings/layers.rs", "status", "an option"),
    ("cli/target.rs", "target", "a line of the log"),
    ("client/classify.rs", "request-id", "a header"),
    ("client/throttle.rs", "retry-after", "a header"),
    ("client/throttle.rs", "retry-after-ms", "a header"),
    ("input/fetched.rs", "incidentId", "the column of the IDs, whatever the API calls them"),
    ("input/portal.rs", "id", "a word of a column"),
    ("model/diagnostic/codes.rs", "assignedTo", "a column"),
    ("model/diagnostic/codes.rs", "error", "a severity"),
    ("model/diagnostic/codes.rs", "incidentId", "a column"),
    ("model/operation.rs", "GET", "a method by its type"),
    ("model/operation.rs", "PATCH", "a method by its type"),
    ("model/operation.rs", "POST", "a method by its type"),
    ("model/outcome.rs", "code", "a column of results"),
    ("model/outcome.rs", "message", "a column of results"),
    ("report/page/wording.rs", "comment", "a word of a sentence"),
    ("report/preview/lines.rs", "comment", "a word of a sentence"),
    ("report/preview/mod.rs", "target", "a heading"),
    ("report/summary.rs", "comment", "a word of a sentence"),
    ("report/undo_summary.rs", "comment", "a word of a sentence"),
];

/// Paths, methods, query names and members, as the built-in contracts have them.
fn api_names() -> BTreeSet<String> {
    fn add(value: &toml::Value, names: &mut BTreeSet<String>) {
        match value {
            toml::Value::Table(table) => table.values().for_each(|value| add(value, names)),
            toml::Value::Array(list) => list.iter().for_each(|value| add(value, names)),
            // Of a path the part before the ID, of a condition the member.
            toml::Value::String(text) => names.extend(text.split([' ', '{']).next().map(str::to_owned)),
            _ => {}
        }
    }
    let mut names = BTreeSet::from(["POST".to_owned()]);
    for name in contract::BUILT_IN {
        let contract = contract::load(name).expect("built in").to_toml();
        let contract: toml::Table = contract.parse().expect("TOML");
        for part in ["operations", "api", "context"] {
            add(&contract[part], &mut names);
        }
        for property in contract["properties"].as_array().expect("a list") {
            for value in ["name", "shown_in"].iter().filter_map(|key| property.get(key)) {
                add(value, &mut names);
            }
        }
    }
    names
}

/// The string literals of some code, in its order.
fn literals(code: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find(['"', '\'', '/']) {
        let (before, here) = rest.split_at(at);
        let hashes = before.len() - before.trim_end_matches('#').len();
        let is_raw = here.starts_with('"') && before[..at - hashes].ends_with('r');
        let length = if is_raw {
            let end = format!("\"{}", "#".repeat(hashes));
            here[1..].find(&end).map(|end| end + 1)
        } else if here.starts_with('"') {
            let escaped = |end: usize| here[..end].bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1;
            here.match_indices('"').map(|(end, _)| end).skip(1).find(|end| !escaped(*end))
        } else {
            None
        };
        let skipped = match length {
            Some(end) => {
                found.push(&here[1..end]);
                end + 1
            }
            None if here.starts_with("//") => here.find('\n').unwrap_or(here.len()),
            None if here.starts_with("'\"'") => 3,
            None if here.starts_with("'\\") => 3,
            None => 1,
        };
        rest = &here[skipped..];
    }
    found
}

/// The names of the API in some code. One that is a word of English too must be a whole literal, or be made of two or
/// three; the others may stand nowhere, not in pieces either.
fn names_in(code: &str, names: &BTreeSet<String>) -> BTreeSet<String> {
    let literals: Vec<&str> = literals(code).into_iter().filter(|literal| !literal.is_empty()).collect();
    let joined = literals.concat();
    let made: HashSet<String> = (1..=3).flat_map(|count| literals.windows(count).map(<[&str]>::concat)).collect();
    let is_a_word = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
    let is_there = |name: &&String| {
        let is_short = is_a_word(name) || name.bytes().all(|byte| byte.is_ascii_uppercase()) || *name == "Message";
        if is_short { made.contains(*name) } else { joined.contains(*name) }
    };
    names.iter().filter(is_there).cloned().collect()
}

/// A name of the API is in a contract, so another contract can have another.
#[test]
fn names_of_the_api_are_in_contracts() {
    let names = api_names();
    let mut found = BTreeSet::new();
    for (file, text) in files() {
        let is_test = file.contains("/tests/") || file.ends_with("tests.rs");
        // The names of sign-in endpoints are not the API's.
        let is_sign_in = file.starts_with("client/credentials/") || file == "client/sign_in.rs";
        if is_test || is_sign_in || ["contract", "emulator"].contains(&module_of(&file)) {
            continue;
        }
        let code = without_tests(&text);
        assert!(!code.contains("camelCase"), "src/{file}: members made of the names of fields");
        found.extend(names_in(code, &names).into_iter().map(|name| (file.clone(), name)));
    }
    let reasons = NAMES_WITH_A_REASON.map(|(file, name, _)| (file.to_owned(), name.to_owned()));
    assert_eq!(found, BTreeSet::from(reasons));
}

/// Proves that the check above can fail.
#[test]
fn split_and_escaped_names_are_found() {
    let names = api_names();
    for name in ["/api/incidents", "PATCH", "$top", "incidentId", "createdBy", "value", "error", "tags", "comments"] {
        assert!(names.contains(name), "{name} is not in {names:?}");
    }
    let found = |code: &str| names_in(code, &names).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(found("// \"tags\"\nlet x = ('\"', \"a \\\" tags\"); // \"value\""), "");
    assert_eq!(found("get(\"tags\")"), "tags");
    assert_eq!(found("let quote = '\\''; get(r#\"value\"#)"), "value");
    assert_eq!(found("concat!(\"ta\", \"gs\")"), "tags");
    assert_eq!(found("[\"created\", \"\", \"B\", \"y\"].concat()"), "createdBy");
    assert_eq!(found("concat!(\"/api/\", \"incidents\")"), "/api/incidents");
    assert_eq!(found("format!(\"{}/api/incidents?\")"), "/api/incidents");
}

/// The emulator is written by itself, from the API's facts: tests would otherwise check the client against itself.
#[test]
fn emulator_has_its_own_paths_and_members() {
    let parts =
        ["operations", "contract.api", "contract.context", "shown_in", "appended()", "incident_path", "to_toml"];
    let mut seen = 0;
    for (file, text) in files().into_iter().filter(|(file, _)| module_of(file) == "emulator") {
        let code = without_tests(&text);
        for part in parts {
            assert!(!code.contains(part), "src/{file} reads `{part}`");
        }
        seen += code.matches(".contract").count();
    }
    assert!(seen > 0, "the emulator keeps the rules of a contract");
}
