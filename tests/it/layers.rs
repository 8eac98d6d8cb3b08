//! The layers of the house: imports go down only, and every file says what it owns.

use std::fs;
use std::path::{Path, PathBuf};

use crate::program::of_the_project;

/// From the bottom to the top. Modules of one layer may know each other, the siblings aside.
const LAYERS: [&[&str]; 7] = [
    &[
        "row",
        "window",
        "diagnostic",
        "attempt",
        "outcome",
        "list_change",
        "seen",
        "permit",
        "text",
        "typed",
        "clock",
        "comment_text",
    ],
    &["contract", "input"],
    &["check", "compare", "plan", "undo"],
    SIBLINGS,
    &["apply"],
    &["report", "emulator"],
    &["cli", "error", "exit"],
];

/// They don't know each other: `apply` joins them.
const SIBLINGS: &[&str] = &["quota", "retry", "client", "journal"];

/// The roots, which hold the modules together.
const ROOTS: [&str; 2] = ["lib.rs", "main.rs"];

fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let below = |path: PathBuf| if path.is_dir() { sources(&path) } else { vec![path] };
    let mut files: Vec<PathBuf> = entries.flat_map(below).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "rs"));
    files.sort_unstable();
    files
}

/// Every source file with its path below `src` and its text.
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

/// The top module that a file belongs to.
fn module_of(file: &str) -> &str {
    file.split_once('/').map_or_else(|| file.trim_end_matches(".rs"), |(folder, _)| folder)
}

/// The modules that a file names by `crate::`, in `use` lines and in paths, its own aside.
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

#[test]
fn report_reads_the_events_of_apply_and_nothing_else_of_it() {
    for (file, text) in files().iter().filter(|(file, _)| module_of(file) == "report") {
        let code = text.split("#[cfg(test)]").next().expect("a first part");
        let outside_of_events = code.split("crate::apply").skip(1).find(|rest| !rest.starts_with("::events"));
        assert_eq!(outside_of_events, None, "src/{file}");
    }
}

/// So that the tests above can't pass because they see nothing.
#[test]
fn imports_are_seen_where_they_are() {
    let text = "use crate::apply::events::Event;\n// crate::client\nlet x = crate::quota::Buckets::new();";
    assert_eq!(known("report/mod.rs", text), ["apply", "quota"]);
    let knows = |file: &str, module: &str| {
        let all = files();
        let (_, text) = all.iter().find(|(name, _)| name == file).expect("a file");
        known(file, text).iter().any(|name| name == module)
    };
    assert!(knows("apply/mod.rs", "journal") && knows("cli/mod.rs", "exit"));
}

#[test]
fn every_file_says_what_it_owns() {
    for (file, text) in files() {
        assert!(text.starts_with("//! "), "src/{file} does not open with its documentation");
    }
}

#[test]
fn nothing_is_called_utils_common_helpers_or_types() {
    for (file, _) in files() {
        let called = file
            .split('/')
            .any(|part| ["utils", "util", "common", "helpers", "types"].contains(&part.trim_end_matches(".rs")));
        assert!(!called, "src/{file}");
    }
}
