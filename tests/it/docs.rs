//! The documentation is true as far as a test can tell: links have targets, tables match the code, commands work.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bulk_triage::contract::{self, BUILT_IN, PropertyKind};
use bulk_triage::model::outcome::{OutcomeKind, RESULT_COLUMNS};

use crate::faults::setting;
use crate::layers::tests_in;
use crate::program::{files_below, without_settings};
use crate::settings::{hostile, precedence};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page, including those in subfolders.
fn pages() -> Vec<PathBuf> {
    let mut pages = files_below(&root().join("docs"));
    pages.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    pages.extend(["README.md", "CHANGELOG.md", "SECURITY.md"].map(|page| root().join(page)));
    pages
}

/// The pages, and those for contributors.
fn all_pages() -> Vec<PathBuf> {
    let mut pages = pages();
    pages.extend(["CONTRIBUTING.md", "fuzz/README.md"].map(|page| root().join(page)));
    pages
}

/// The targets of a page's links, `](…)`, outside code.
fn links(page: &str) -> Vec<&str> {
    let prose = page.split("```").step_by(2);
    prose.flat_map(|part| part.split("](").skip(1).filter_map(|rest| rest.split(')').next())).collect()
}

/// The anchors of a page's headings.
fn anchors(page: &str) -> Vec<String> {
    let headings = page.split("```").step_by(2).flat_map(str::lines).filter(|line| line.starts_with('#'));
    let slug = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_link_has_a_target() {
    let mut checked = 0;
    for page in all_pages() {
        let text = text(&page);
        for link in links(&text).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let target = if file.is_empty() { page.clone() } else { page.with_file_name(file) };
            assert!(target.exists(), "{}: {link}", page.display());
            if let Some(anchor) = anchor {
                let there = anchors(&fs::read_to_string(&target).expect("a page"));
                assert!(there.iter().any(|name| name == anchor), "{}: {link} is none of {there:?}", page.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked} links were found");
}

/// The numbers in the first column of a page's tables.
fn codes(page: &str) -> BTreeSet<u8> {
    page.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok()).collect()
}

#[test]
fn exit_code_page_matches_the_code() {
    let source = text("src/cli/exit.rs");
    let consts = source.lines().filter(|line| line.starts_with("pub const"));
    let given: BTreeSet<u8> =
        consts.filter_map(|line| line.split("= ").nth(1)?.trim_end_matches(';').parse().ok()).collect();
    assert_eq!(given.len(), 11);
    assert_eq!(codes(&text("docs/exit-codes.md")), given);
    assert!(codes(&text("README.md")).is_subset(&given));
}

#[test]
fn every_documented_command_works_as_printed() {
    let mut count = 0;
    for page in pages() {
        count += crate::pages::run(&page);
    }
    assert!(count >= 20, "{count} commands were run");
}

/// The `--help` texts of a command and its subcommands.
fn help(command: &[&str], all: &mut String) {
    let asked = without_settings().args(command).arg("--help").output();
    let said = String::from_utf8(asked.expect("the program").stdout).expect("text");
    assert!(!said.is_empty(), "{command:?}");
    let below = said.split("\nCommands:\n").nth(1).unwrap_or_default();
    for line in below.lines().take_while(|line| !line.is_empty()) {
        if let Some(name) = line.split_whitespace().next().filter(|name| *name != "help") {
            help(&[command, &[name]].concat(), all);
        }
    }
    all.push_str(&said);
}

#[test]
fn every_option_is_documented() {
    let mut said = String::new();
    help(&[], &mut said);
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect::<String>();
    let options: BTreeSet<String> = said
        .lines()
        .filter_map(|line| line.trim_start().split("--").nth(1).filter(|_| line.trim_start().starts_with('-')))
        .map(word)
        .collect();
    assert!(options.contains("dry-run") && options.contains("throttle-form"), "{options:?}");
    let docs: String = pages().iter().map(text).collect();
    for option in options.iter().filter(|option| !["help", "version"].contains(&option.as_str())) {
        let named = docs.match_indices(&format!("--{option}")).any(|(at, found)| {
            !docs[at + found.len()..].starts_with(|next: char| next.is_ascii_lowercase() || next == '-')
        });
        assert!(named, "no page tells of --{option}");
    }
}

#[test]
fn first_commands_of_the_readme_exist() {
    let readme = text("README.md");
    let run = "cargo run --release -- run samples/close-false-positives.csv --emulator --yes";
    assert!(readme.contains(&format!("```console\n$ {run}\n")) && readme.contains("\n$ cargo test\n```\n"));
    assert!(root().join("samples/close-false-positives.csv").is_file());
    assert_eq!(text(".ci/run").lines().last(), Some("run cargo test"), "its last words are the tests'");
    assert!(text(".github/workflows/ci.yml").contains("- run: .ci/run"));
}

/// CI runs only reviewed code: actions are pinned by hash, dependencies by the lock file.
#[test]
fn ci_pins_actions_and_locks_commands() {
    for workflow in ["ci", "release"] {
        let workflow = text(format!(".github/workflows/{workflow}.yml"));
        let actions: Vec<&str> = workflow.split("uses: ").skip(1).collect();
        for action in &actions {
            let hash = action.split('@').nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a version");
            assert!(hash.len() == 40 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{action}");
            assert!(
                !action.starts_with("actions/checkout") || action.contains("persist-credentials: false"),
                "{action}"
            );
        }
        assert!(!actions.is_empty());
    }
    let scripts = text(".ci/run") + &text(".ci/release");
    let commands = scripts.lines().map(str::trim).filter(|line| !line.starts_with(['#', 's']));
    let calls_cargo = |line: &&str| line.split_whitespace().any(|word| word == "cargo");
    for line in commands.filter(calls_cargo).filter(|line| *line != "run cargo test") {
        let needs_none = ["cargo fmt", "cargo deny --version", "cargo \"$1\" --version"];
        assert!(line.contains("--locked") || needs_none.iter().any(|command| line.contains(command)), "{line}");
    }
    assert!(text("Cargo.toml").contains("[profile.release]\ndebug = false\nstrip = true\n"));
    assert!(text(".github/workflows/release.yml").contains("run: packaging/package\n"));
    assert!(text("packaging/package").contains(".ci/release \"$target\"\n"));
    assert!(text(".ci/release").contains("--remap-path-prefix=$PWD=."));
    assert!(scripts.contains("cargo deny --locked check --disable-fetch advisories"));
}

#[test]
fn contract_values_are_in_the_guide() {
    let guide = text("docs/guide.md");
    let table = guide.split("## Choose a contract").nth(1).expect("its chapter");
    for name in BUILT_IN {
        let contract = contract::load(name).expect("built in");
        for property in &contract.properties {
            let PropertyKind::Choice(choices) = &property.kind else { continue };
            let values: Vec<String> = choices.iter().map(|choice| format!("`{}`", choice.value)).collect();
            let cell = format!("| {} |", values.join(", "));
            let row = table.lines().find(|line| line.contains(&cell) && line.contains(&format!("`{}`", property.name)));
            assert!(row.is_some(), "the guide has no row `{}` of {name}: {cell}", property.name);
        }
    }
}

#[test]
fn results_columns_and_outcomes_are_documented() {
    let page = text("docs/file-formats.md");
    let columns: Vec<String> = RESULT_COLUMNS.iter().map(|column| format!("| `{column}` |")).collect();
    let places: Vec<Option<usize>> = columns.iter().map(|row| page.find(row)).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?}");
    for kind in OutcomeKind::ALL {
        assert!(page.contains(&format!("| `{kind}` |")), "{kind}");
    }
}

/// The tests that a page names, as `module::test` in backticks.
fn tests_named(page: &str) -> Vec<&str> {
    let code = page.split('`').skip(1).step_by(2);
    code.filter(|code| {
        *code != "module::test" && code.contains("::") && code.split("::").all(|part| part.chars().all(is_of_a_name))
    })
    .collect()
}

fn is_of_a_name(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
}

/// The rows of a page's tables, without headers, as cells.
fn table_rows<'p>(page: &'p str) -> Vec<Vec<&'p str>> {
    let is_rule = |line: &str| line.starts_with("| ---");
    let lines = page.lines().zip(page.lines().skip(1).chain([""]));
    let rows = lines.filter(|(line, next)| !is_rule(line) && !is_rule(next));
    let cells = |(line, _): (&'p str, _)| Some(line.strip_prefix("| ")?.strip_suffix(" |")?.split(" | ").collect());
    rows.filter_map(cells).collect()
}

#[test]
fn every_threat_names_its_test() {
    let page = text("docs/threat-model.md");
    let rows = table_rows(&page);
    assert!(rows.len() > 50, "{}", rows.len());
    for row in rows {
        assert!(row.len() == 3 && !tests_named(row[2]).is_empty(), "{row:?} names no test");
    }
    for test in tests_named(&page) {
        assert!(is_test(test), "{test} is no test");
    }
}

/// The files that may hold a module.
fn files_of(module: &str) -> Vec<PathBuf> {
    // Tests are in the file that they test, or in one of their own.
    let places = [module.trim_end_matches("::tests"), module].map(|module| module.replace("::", "/"));
    let files = ["tests/it", "src"].map(|root| {
        places.iter().flat_map(move |place| [format!("{root}/{place}.rs"), format!("{root}/{place}/mod.rs")])
    });
    files.into_iter().flatten().map(|file| root().join(file)).collect()
}

fn is_test(path: &str) -> bool {
    let Some((module, name)) = path.rsplit_once("::") else { return false };
    files_of(module).iter().any(|file| fs::read_to_string(file).is_ok_and(|code| is_test_in(name, &code)))
}

fn is_rust(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "rs")
}

/// The filters with which a page's command selects tests.
fn test_filters(page: &str) -> impl Iterator<Item = &str> {
    let commands = page.split(['`', '\n']).filter_map(|code| code.split_once("--test it ")).map(|(_, words)| words);
    commands.flat_map(str::split_whitespace).filter(|word| !word.starts_with('-'))
}

#[test]
fn named_files_modules_and_tests_exist() {
    let folders = [".ci", ".github", "benches", "docs", "fuzz", "samples", "src", "templates", "tests"];
    let paths = folders.iter().flat_map(|folder| files_below(&root().join(folder)));
    let inside = |path: PathBuf| path.strip_prefix(root()).expect("of the project").to_string_lossy().into_owned();
    let files: Vec<String> = paths.map(inside).collect();
    let is_source = |file: &&String| file.starts_with("tests/it/") && is_rust(file);
    let (modules, sources): (Vec<&str>, String) =
        files.iter().filter(is_source).map(|file| (file.as_str(), text(file))).unzip();
    let mut checked = 0;
    for page in all_pages() {
        let text = text(&page);
        let page = page.display();
        for code in text.split('`').skip(1).step_by(2).filter_map(|code| code.split_whitespace().next()) {
            let is_below_a_folder =
                files.iter().any(|file| file.split('/').next() == code.split_once('/').map(|(top, _)| top));
            if is_rust(code) {
                let end = format!("/{code}");
                assert!(files.iter().any(|file| file == code || file.ends_with(&end)), "{page}: {code} is no file");
                checked += 1;
            } else if is_below_a_folder {
                assert!(root().join(code).exists(), "{page}: {code} is not there");
                checked += 1;
            }
        }
        for name in tests_named(&text) {
            let is_module = files_of(name).iter().any(|file| file.exists());
            assert!(is_module || is_test(name), "{page}: {name} is no module and no test");
            checked += 1;
        }
        for filter in test_filters(&text) {
            let is_module = modules.iter().any(|module| module.contains(filter));
            assert!(is_module || sources.contains(&format!("fn {filter}")), "{page}: `{filter}` selects no test");
            checked += 1;
        }
    }
    assert!(checked > 100, "{checked} names were checked");
}

/// The files of the sources that have a text outside their tests.
fn files_with(word: &str) -> BTreeSet<PathBuf> {
    let mut files = files_below(&root().join("src"));
    files.retain(|file| {
        let path = file.to_string_lossy();
        let code = text(file);
        let code = code.split("#[cfg(test)]").next().unwrap_or_default();
        is_rust(&path) && !path.contains("/tests") && code.contains(word)
    });
    files.into_iter().collect()
}

#[test]
fn where_to_add_names_all_files() {
    let page = text("docs/ARCHITECTURE.md");
    let section = page.split("## Where to add").nth(1).expect("the section");
    let rows = table_rows(section);
    assert_eq!(rows.len(), 4);
    for row in rows {
        let named: BTreeSet<PathBuf> = links(row[1])
            .iter()
            .filter(|link| !link.starts_with('#'))
            .map(|link| root().join("docs").join(link))
            .collect();
        let named: BTreeSet<PathBuf> = named.iter().map(|path| path.canonicalize().expect("it is there")).collect();
        let words = row[2].split('`').skip(1).step_by(2);
        let found: BTreeSet<PathBuf> = words.flat_map(files_with).collect();
        let is_named = |file: &&PathBuf| file.ancestors().any(|path| named.contains(path));
        let others: Vec<_> = found.iter().filter(|file| !is_named(file)).collect();
        assert!(others.is_empty(), "{}: {others:?} change, too", row[0]);
        for path in named.iter().filter(|path| path.is_dir() || is_rust(&path.to_string_lossy())) {
            assert!(found.iter().any(|file| file.starts_with(path)), "{}: {path:?} need not change", row[0]);
        }
    }
}

/// Whether a function is a test: the attribute is between it and the end of the item before.
fn is_test_in(name: &str, code: &str) -> bool {
    let Some((before, _)) = code.split_once(&format!("fn {name}(")) else { return false };
    let attributes = before.rsplit_once("}\n").map_or(before, |(_, attributes)| attributes);
    ["#[test]", "#[tokio::test"].iter().any(|attribute| attributes.contains(attribute))
}

/// Its table is made from test names; `BULK_TRIAGE_DOCS=write cargo test --test it docs` regenerates it.
const FAULTS: &str = "docs/faults.md";
const BEGIN: &str = "<!-- made from the tests' names -->\n";
const END: &str = "<!-- end -->\n";

/// The files that test faults, and what is at fault in each.
const TRIED: [(&str, &str); 8] = [
    ("a response", "tests/it/no_double_comment.rs"),
    ("the service", "tests/it/service_down.rs"),
    ("every system call", "tests/it/faults/mod.rs"),
    ("the process", "tests/it/kills.rs"),
    ("the power", "tests/it/power_cut.rs"),
    ("the machine", "tests/it/machine_faults.rs"),
    ("the file system", "src/journal/directory.rs"),
    ("the clock, and all at once", "tests/it/simulation/mod.rs"),
];

fn table_of_faults() -> String {
    let mut table = vec!["| fault in | what happens |".to_owned(), "| --- | --- |".to_owned()];
    for (what, file) in TRIED {
        let line = |name: &str| {
            let sentence = name.replace('_', " ");
            let (first, rest) = sentence.split_at(1);
            format!("| {what} | [{}{rest}](../{file}) |", first.to_uppercase())
        };
        table.extend(tests_in(&text(file)).into_iter().map(line));
    }
    table.join("\n") + "\n"
}

#[test]
fn table_of_faults_lists_the_tests() {
    expect_part(FAULTS, BEGIN, &table_of_faults());
}

/// The settings, as the schema of settings files has them.
fn table_of_settings() -> String {
    let schema = precedence::schema();
    let mut table =
        vec!["| setting | variable | project file | what it sets |".to_owned(), "| --- | --- | --- | --- |".to_owned()];
    for (name, is_of_project) in precedence::names(&schema) {
        let definition = &schema["$defs"][&name];
        let variable = format!("BULK_TRIAGE_{}", name.replace('-', "_").to_uppercase());
        let choices = definition["enum"].as_array().into_iter().flatten().filter_map(|choice| choice.as_str());
        let choices: Vec<String> = choices.map(|choice| format!("`{choice}`")).collect();
        let choices = if choices.is_empty() { String::new() } else { format!(": {}", choices.join(", ")) };
        let default = match &definition["default"] {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => format!(" [default: {text}]"),
            other => format!(" [default: {other}]"),
        };
        let what = definition["description"].as_str().expect("a text");
        let may = if is_of_project { "yes" } else { "no" };
        table.push(format!("| `{name}` | `{variable}` | {may} | {what}{choices}{default} |"));
    }
    table.join("\n") + "\n"
}

#[test]
fn table_of_settings_is_that_of_the_schema() {
    expect_part("docs/settings.md", "<!-- made from `config schema` -->\n", &table_of_settings());
}

#[test]
fn table_of_hosts_is_what_the_program_shows() {
    expect_part("docs/sign-in.md", "<!-- made from the hosts of `clouds.rs` -->\n", &crate::clouds::table());
}

#[test]
fn hostile_project_files_get_the_documented_refusals() {
    expect_part("docs/settings.md", "<!-- made by hostile project files -->\n", &hostile::table());
}

/// Fails unless the part of the page behind this mark is what it is made from.
fn expect_part(name: &str, begin: &str, made: &str) {
    /// Another test may write another part.
    static WRITING: Mutex<()> = Mutex::new(());
    let _turn = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let page = text(name);
    let (before, rest) = page.split_once(begin).expect("the beginning of the table");
    let (found, after) = rest.split_once(END).expect("the end of the table");
    if setting("BULK_TRIAGE_DOCS").is_some_and(|word| word == "write") {
        fs::write(root().join(name), [before, begin, made, END, after].concat()).expect("the page is written");
    } else {
        let hint = "the table is not what it is made from: BULK_TRIAGE_DOCS=write cargo test --test it docs";
        assert!(found == made, "{name}: {hint}");
    }
}

/// One place of a patch.
struct Hunk {
    file: String,
    /// The first of its lines, by its header.
    line: usize,
    /// What must be there, as whole lines.
    old: String,
}

/// The hunks of a patch. Each must have exactly as many lines as its header says, as `patch` requires.
fn hunks(patch: &str) -> Result<Vec<Hunk>, String> {
    let (mut file, mut hunks) = (String::new(), Vec::new());
    let mut lines = patch.lines().peekable();
    while let Some(header) = lines.next() {
        if let Some(name) = header.strip_prefix("+++ b/") {
            name.clone_into(&mut file);
        }
        let Some(places) = header.strip_prefix("@@ -") else { continue };
        let numbers = places.split(" @@").next().unwrap_or_default().split([',', ' ', '+']);
        let numbers: Vec<usize> = numbers.filter_map(|number| number.parse().ok()).collect();
        let [line, mut olds, _, mut news] = numbers[..] else { return Err(format!("not four numbers: {header}")) };
        let mut old = String::new();
        while let Some(text) = lines.next_if(|line| line.starts_with([' ', '-', '+']) && !line.starts_with("--- a/")) {
            let (kind, rest) = text.split_at(1);
            if kind != "+" {
                olds = olds.checked_sub(1).ok_or_else(|| format!("more old lines than in {header}"))?;
                old.push_str(rest);
                old.push('\n');
            }
            if kind != "-" {
                news = news.checked_sub(1).ok_or_else(|| format!("more new lines than in {header}"))?;
            }
        }
        if (olds, news) != (0, 0) {
            return Err(format!("fewer lines than in {header}"));
        }
        hunks.push(Hunk { file: file.clone(), line, old });
    }
    Ok(hunks)
}

/// Whether `patch` finds the place of a hunk, and no other in its stead.
fn fits(Hunk { line, old, .. }: &Hunk, code: &str) -> bool {
    let starts = code.match_indices(old.as_str()).filter(|(at, _)| *at == 0 || code[..*at].ends_with('\n'));
    let found: Vec<usize> = starts.map(|(at, _)| code[..at].matches('\n').count() + 1).collect();
    found.len() == 1 || found.contains(line)
}

/// A patch that no longer fits is noticed when the code changes, not when the mutations are next run.
#[test]
fn every_mutation_fits_the_code() {
    let patches = fs::read_dir(root().join("tests/mutations")).expect("a folder of the project");
    let patches = patches.map(|entry| entry.expect("an entry of it").path());
    let mut all = 0;
    for path in patches.filter(|path| path.extension().is_some_and(|extension| extension == "patch")) {
        let hunks = hunks(&text(&path)).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        assert!(!hunks.is_empty(), "{}", path.display());
        for hunk in &hunks {
            assert!(fits(hunk, &text(&hunk.file)), "{} finds no such place:\n{}", path.display(), hunk.old);
        }
        all += hunks.len();
    }
    assert!(all >= 40, "{all}");
}

#[test]
fn wrong_hunks_are_noticed() {
    let patch = |header: &str| format!("Breaks it.\n\n--- a/x.rs\n+++ b/x.rs\n{header}\n a\n-b\n+c\n+d\n");
    let hunk = hunks(&patch("@@ -2,2 +2,3 @@ fn f")).expect("a hunk").remove(0);
    assert_eq!((&*hunk.file, hunk.line, &*hunk.old), ("x.rs", 2, "a\nb\n"));
    for header in ["@@ -2,3 +2,3 @@", "@@ -2,1 +2,3 @@", "@@ -2,2 +2,2 @@", "@@ -2,2 +2,4 @@", "@@ -2 +2,3 @@"] {
        assert!(hunks(&patch(header)).is_err(), "{header}");
    }
    for (code, expected) in
        [("a\nb\n", true), ("1\na\nb\na\nb\n", true), ("a\nb\n2\na\nb\n", false), ("xa\nb\n", false)]
    {
        assert_eq!(fits(&hunk, code), expected, "{code}");
    }
}
