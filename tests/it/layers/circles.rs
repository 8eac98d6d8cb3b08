//! No two files of `src` import each other, in any number of steps.
//!
//! A name counts for the file that defines it: re-exports are followed. Tests inside a file may import what they like.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{files, without_tests};

type ModulePath = Vec<String>;

/// The module that a file holds.
fn module(file: &str) -> ModulePath {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

/// The paths of a `use`: `a::{b, c::{self, d as e}}` has three. Each with the name that it gets.
fn expand(tree: &str) -> Vec<(String, String)> {
    let tree = tree.trim();
    let Some((before, inner)) = tree.strip_suffix('}').and_then(|tree| tree.split_once('{')) else {
        let (path, alias) = tree.split_once(" as ").unwrap_or((tree, ""));
        let path = path.trim().trim_end_matches("::self");
        let name = if alias.is_empty() { path.rsplit("::").next().unwrap_or(path) } else { alias.trim() };
        return vec![(path.to_owned(), name.to_owned())];
    };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in inner.chars() {
        depth += i32::from(c == '{') - i32::from(c == '}');
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().expect("begins with one").push(c),
        }
    }
    let parts = parts.iter().filter(|part| !part.trim().is_empty());
    parts.flat_map(|part| expand(&format!("{before}{}", part.trim()))).collect()
}

/// What a file's code, without its tests, names of this crate.
#[derive(Default)]
struct Named {
    paths: Vec<ModulePath>,
    /// Names that it re-exports, and what they stand for.
    exports: BTreeMap<String, ModulePath>,
}

/// `modules` are all of the crate.
fn named(file: &str, text: &str, modules: &BTreeMap<ModulePath, &str>) -> Named {
    let own = module(file);
    let absolute = |path: &str| -> Option<ModulePath> {
        let mut parts: VecDeque<&str> = path.split("::").map(str::trim).collect();
        let mut base = own.clone();
        match parts[0] {
            "crate" => base.clear(),
            "super" | "self" => {}
            first => {
                base.push(first.to_owned());
                let is_child = modules.contains_key(&base);
                base.pop();
                return is_child.then(|| [base, parts.iter().map(|part| (*part).to_owned()).collect()].concat());
            }
        }
        while let Some(part) = parts.pop_front_if(|part| ["crate", "super", "self"].contains(part)) {
            if part == "super" {
                base.pop();
            }
        }
        Some(base.into_iter().chain(parts.into_iter().map(str::to_owned)).collect())
    };
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    let code = without_tests(text).lines().filter(is_code).collect::<Vec<_>>().join("\n");
    let mut found = Named::default();
    let mut outside = String::new();
    let mut left = code.as_str();
    while let Some(at) = left.find("use ") {
        let line = left[..at].rsplit('\n').next().unwrap_or_default().trim();
        let is_use = line.is_empty() || line == "pub" || (line.starts_with("pub(") && line.ends_with(')'));
        outside.push_str(&left[..at]);
        left = &left[at + "use ".len()..];
        if !is_use {
            continue;
        }
        let (tree, after) = left.split_once(';').expect("a use ends");
        for (path, name) in expand(tree) {
            let Some(path) = absolute(&path) else { continue };
            if !line.is_empty() {
                found.exports.insert(name, path.clone());
            }
            found.paths.push(path);
        }
        left = after;
    }
    outside.push_str(left);
    let is_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    for path in outside.split(|c: char| !is_of_path(c)).filter(|path| path.contains("::")) {
        // `::csv` is a crate.
        let path = path.trim_end_matches(':');
        if !path.starts_with(':') {
            found.paths.extend(absolute(path));
        }
    }
    found
}

/// Shortest circles of imports, one for each file that is in one.
fn circles(files: &[(String, String)]) -> Vec<String> {
    let is_code = |file: &str| file != "main.rs" && !file.ends_with("tests.rs") && !file.contains("/tests/");
    let files: Vec<_> = files.iter().filter(|(file, _)| is_code(file)).collect();
    let modules: BTreeMap<ModulePath, &str> = files.iter().map(|(file, _)| (module(file), file.as_str())).collect();
    let named: BTreeMap<&str, Named> =
        files.iter().map(|(file, text)| (file.as_str(), named(file, text, &modules))).collect();
    let file_of = |path: &ModulePath| {
        let mut path = path.clone();
        // More than any chain of re-exports.
        for _ in 0..8 {
            let (length, file) = (0..=path.len()).rev().find_map(|n| Some((n, *modules.get(&path[..n])?)))?;
            match path.get(length).and_then(|name| named[file].exports.get(name)) {
                Some(target) if !path.starts_with(target) => path = [target, &path[length + 1..]].concat(),
                _ => return Some(file),
            }
        }
        None
    };
    let imports: BTreeMap<&str, BTreeSet<&str>> = named
        .iter()
        .map(|(file, named)| (*file, named.paths.iter().filter_map(file_of).filter(|to| to != file).collect()))
        .collect();
    let circle = |start: &&str| {
        let mut ways: VecDeque<Vec<&str>> = VecDeque::from([vec![*start]]);
        let mut seen = BTreeSet::new();
        while let Some(way) = ways.pop_front() {
            for next in &imports[way.last().expect("has its start")] {
                let longer = [way.as_slice(), &[*next]].concat();
                if next == start {
                    return Some(longer.join(" -> "));
                }
                if seen.insert(*next) {
                    ways.push_back(longer);
                }
            }
        }
        None
    };
    imports.keys().filter(|file| **file != "lib.rs").filter_map(circle).collect()
}

#[test]
fn no_two_files_import_each_other() {
    let found = circles(&files());
    assert!(found.is_empty(), "{found:#?}");
}

/// Proves that the check above can fail.
#[test]
fn planted_import_circles_are_found() {
    let file = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let circle = |a: &str, b: &str| {
        circles(&[
            file("lib.rs", "pub mod m;"),
            file("m/mod.rs", "mod a;\nmod b;\npub use a::{A, Inner as Other};\npub(crate) use b::B;"),
            file("m/a.rs", a),
            file("m/b.rs", b),
        ])
    };
    for (a, b) in [
        ("use super::b::B;", "use super::a::A;"),
        ("use crate::m::{B};", "fn f() -> crate::m::A {}"),
        ("use crate::{\n    m::{\n        B,\n    },\n};", "fn f() {\n    use super::Other;\n}"),
        ("fn f(b: super::B) {}", "impl From<super::a::A> for B {}"),
    ] {
        assert_eq!(circle(a, b), ["m/a.rs -> m/b.rs -> m/a.rs", "m/b.rs -> m/a.rs -> m/b.rs"], "{a} {b}");
    }
    assert_eq!(circle("use super::b::B;", "// super::a::A\n#[cfg(test)]\nmod tests { use super::a::A; }"), [""; 0]);
    let with_parent = [file("m/mod.rs", "mod a;\npub struct M;\nfn f() { a::g() }"), file("m/a.rs", "use super::M;")];
    assert_eq!(circles(&with_parent).len(), 2);
}
