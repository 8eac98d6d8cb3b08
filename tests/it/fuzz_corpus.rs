//! Bad input without end: the properties of the fuzz targets, checked with the stored corpus and inputs near it.
//!
//! The fuzzers themselves run separately, see `fuzz/README.md`.

#[expect(unreachable_pub, reason = "the fuzz targets reach it")]
#[path = "../../fuzz/properties/mod.rs"]
mod properties;

use std::fs;
use std::panic::catch_unwind;
use std::path::PathBuf;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::program::of_the_project;
use properties::ALL;

fn files_in(folder: &str) -> Vec<PathBuf> {
    let folder = of_the_project(folder);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    files.sort_unstable();
    files
}

#[test]
fn every_property_has_a_target_and_a_corpus() {
    for (folder, ending) in [("fuzz/fuzz_targets", ".rs"), ("fuzz/corpus", "")] {
        let names = files_in(folder).into_iter().map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            name.trim_end_matches(ending).to_owned()
        });
        assert!(names.eq(ALL.map(|(name, _)| name.to_owned())), "{folder}");
    }
}

#[test]
fn saved_corpus_passes() {
    let mut broken = Vec::new();
    for (name, property) in ALL {
        for path in files_in(&format!("fuzz/corpus/{name}")) {
            let bytes = fs::read(&path).expect("a file");
            if catch_unwind(|| property(&bytes)).is_err() {
                broken.push(path);
            }
        }
    }
    assert!(broken.is_empty(), "each has its panic above: {broken:#?}");
}

/// A corpus file with some bytes replaced, at positions in thousandths of its length.
fn near(files: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        prop::sample::select(vec!["\"", "\n", "\r", ",", ";", "\\", "'=", "\u{feff}", "\u{202e}", "\0", "{", "["])
            .prop_map(|piece| piece.as_bytes().to_vec()),
    ];
    let change = (0..=1_000_usize, 0..3_usize, piece);
    (prop::sample::select(files), prop::collection::vec(change, 0..4)).prop_map(|(mut bytes, changes)| {
        for (place, removed, piece) in changes {
            let from = bytes.len() * place / 1_000;
            let to = bytes.len().min(from + removed);
            bytes.splice(from..to, piece);
        }
        bytes
    })
}

#[test]
fn variations_of_the_saved_corpus_pass() {
    for (name, property) in ALL {
        let files: Vec<_> =
            files_in(&format!("fuzz/corpus/{name}")).iter().map(|path| fs::read(path).expect("a file")).collect();
        let held = TestRunner::new(Config { cases: 100, failure_persistence: None, ..Config::default() }).run(
            &near(files),
            |bytes| {
                property(&bytes);
                Ok(())
            },
        );
        held.unwrap_or_else(|broken| panic!("{name}: {broken}"));
    }
}
