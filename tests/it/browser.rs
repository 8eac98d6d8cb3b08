//! Pages in a real browser: every text stays text, none becomes an element, and the console is empty.
//!
//! Needs Chromium. Without it the tests are skipped with a notice, or fail with `BULK_TRIAGE_BROWSER=needed`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::faults::{left_out, setting};
use crate::hostile_texts::hostile_texts;
use crate::program::{Program, started};
use crate::report::{rows_of, rows_of_hostile_texts};

/// The elements that a page may have.
const ELEMENTS: &str = "a b body caption code col colgroup dd del details div dl dt figcaption figure footer g h1 h2 h3 \
                        head header html i ins li main meta nav p path section small span strong style summary svg \
                        table tbody td text th thead title tr ul";

/// The attributes that they may have.
const ATTRIBUTES: &str = "aria-hidden aria-label aria-labelledby charset class content d dy href http-equiv id lang name \
                          role rowspan scope tabindex text-anchor viewBox x y";

/// The browser on the path, if there is one.
fn browser() -> Option<PathBuf> {
    let path = setting("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found =
        names.iter().find_map(|name| path.split(':').map(|dir| Path::new(dir).join(name)).find(|at| at.is_file()));
    let is_needed = setting("BULK_TRIAGE_BROWSER").is_some_and(|word| word == "needed");
    assert!(found.is_some() || !is_needed, "none of {names:?} is on the path");
    if found.is_none() {
        return left_out("there is no chromium: pages are not looked at");
    }
    found
}

/// A page as the browser parsed it, and its console output.
fn opened(browser: &Path, page: &Path) -> (String, String) {
    let profile = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--dump-dom"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
    command.args(["--enable-logging=stderr", "--v=0"]);
    command.arg(format!("--user-data-dir={}", profile.path().display()));
    command.arg(format!("file://{}", page.display())).current_dir(profile.path()).stdin(Stdio::null());
    let ended = started(command).end().expect_code(0);
    let console = ended.stderr.lines().filter(|line| line.contains("CONSOLE")).collect::<Vec<_>>().join("\n");
    (ended.stdout, console)
}

/// The elements and attributes of a document that a browser serialized: its texts and values have no `<` or `"`.
fn made_of(dom: &str) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut elements, mut attributes) = (BTreeSet::new(), BTreeSet::new());
    let body = dom.split("</style>").nth(1).expect("a style, and what comes after");
    for tag in body.split('<').skip(1).filter(|tag| !tag.starts_with('/')) {
        let tag = tag.split('>').next().expect("its beginning");
        elements.insert(tag.split(' ').next().expect("its name"));
        let outside_of_values = tag.split('"').step_by(2).skip(1).zip(tag.split('"').step_by(2));
        attributes.extend(outside_of_values.filter_map(|(_, before)| before.trim_end_matches('=').rsplit(' ').next()));
    }
    (elements, attributes)
}

/// Escapes a text as a browser does.
fn written_out(text: &str) -> String {
    text.replace('&', "&amp;").replace('\u{a0}', "&nbsp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[track_caller]
fn expect_text_only(dom: &str, console: &str) {
    let (elements, attributes) = made_of(dom);
    let foreign = |found: &BTreeSet<&str>, own: &str| {
        let own: BTreeSet<&str> = own.split_whitespace().collect();
        found.iter().filter(|name| !own.contains(*name)).map(|name| (*name).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(foreign(&elements, ELEMENTS), [""; 0]);
    assert_eq!(foreign(&attributes, ATTRIBUTES), [""; 0]);
    assert!(elements.contains("ins") || elements.contains("td"), "{elements:?}");
    assert_eq!(console, "");
}

#[test]
fn hostile_texts_are_text_in_both_pages() {
    let Some(browser) = browser() else { return };
    let program = Program::new().file("hostile.jsonl", rows_of_hostile_texts()).emulator(|_| ());
    program.run("run hostile.jsonl --dry-run --emulator --report before.html").expect_code(0);
    program.send("hostile.jsonl --report after.html").expect_code(0);
    let texts = hostile_texts();
    let rows: Vec<u64> = (1..).take(texts.len()).collect();
    for name in ["before.html", "after.html"] {
        let (dom, console) = opened(&browser, &program.path(name));
        expect_text_only(&dom, &console);
        assert_eq!(rows_of(&dom), rows);
        for text in &texts {
            let comment = format!("c{text}");
            let shown: Vec<_> = comment.split('\n').map(bulk_triage::text::printable).collect();
            assert!(dom.contains(&written_out(&shown.join("\n"))), "{name} does not show {text:?}");
        }
    }
}

#[test]
fn page_shows_all_ten_thousand_rows() {
    let Some(browser) = browser() else { return };
    let program = Program::new().file("a.csv", crate::program::closing(1..=10_000));
    program.run("run a.csv --dry-run --emulator --report r.html").expect_code(0);
    let (dom, console) = opened(&browser, &program.path("r.html"));
    expect_text_only(&dom, &console);
    assert_eq!(rows_of(&dom), (1..=10_000).collect::<Vec<u64>>());
}

/// Proves that the checks above can fail.
#[test]
fn page_policy_blocks_injected_script_and_style() {
    let Some(browser) = browser() else { return };
    let program = Program::new().file("a.csv", crate::program::closing(1..=2));
    program.run("run a.csv --dry-run --emulator --report r.html").expect_code(0);
    let page = program.read("r.html");
    let run = "<main><script>document.title='owned'</script><p style='color:red'>x</p><img src='https://x.invalid/'>";
    fs::write(program.path("bad.html"), page.replace("<main>", run)).expect("a file");
    let (dom, console) = opened(&browser, &program.path("bad.html"));
    let (elements, attributes) = made_of(&dom);
    assert!(elements.contains("script") && elements.contains("img") && attributes.contains("style"));
    assert!(console.contains("Content Security Policy"), "{console}");
    assert!(!dom.contains("<title>owned"), "it ran");
}
