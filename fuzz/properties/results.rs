//! Results files, read again.

use std::convert::Infallible;
use std::path::Path;

use bulk_triage::check::{CheckedRow, NoChange};
use bulk_triage::input::InputShape;
use bulk_triage::model::outcome::{Outcome, OutcomeKind, ResultRow};
use bulk_triage::output::results::{Destination, ResultsFile};
use bulk_triage::text::{escape_formula, printable, unescape_formula};

use super::checked::{Check, Checked};
use super::{assert_safe_to_print, split_number};

/// What goes out as a results file comes back in as it was: the same columns, cells and verdicts, and from these the
/// same file again. Nothing in it is a formula or drives a terminal but what the input itself holds.
pub fn results(data: &[u8]) {
    let (kind, data) = split_number(data);
    let text = String::from_utf8_lossy(data);
    assert_eq!(unescape_formula(&escape_formula(&text)), text);
    assert_safe_to_print(&printable(&text));

    let name = if kind % 2 == 0 { "f.csv" } else { "f.jsonl" };
    let input = Check::plain().of(name, data);
    let Some((shape, origin)) = input.file.as_ref().filter(|_| input.end.is_ok()) else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(name);
    let written = written(&path, shape, &input, &text);
    // Of no rows JSONL says nothing, not even that it is a results file.
    if input.rows.is_empty() {
        return;
    }
    let again = Check::plain().of(name, &written);
    let Some((shape_again, origin_again)) = &again.file else { panic!("{:?}", again.end) };
    assert!(origin_again.is_results);
    assert_eq!(shape_again, shape);
    assert_eq!(again.rows.len(), input.rows.len());
    for (first, second) in input.rows.iter().zip(&again.rows) {
        assert_same(first, second, shape, origin.is_results);
    }
    std::fs::remove_file(&path).expect("it is there");
    let twice = self::written(&path, shape, &again, &text);
    assert_eq!(String::from_utf8_lossy(&twice), String::from_utf8_lossy(&written));
}

/// The results of a run in which every row ended in one of the six ways, with `said` as the server's message.
fn written(path: &Path, shape: &InputShape, checked: &Checked, said: &str) -> Vec<u8> {
    let destination = Destination::examine(path, None, shape).expect("an empty directory");
    let kinds = OutcomeKind::ALL.into_iter().cycle();
    let rows = checked.rows.iter().zip(kinds).zip(1..).map(|((row, kind), number)| {
        Ok::<_, Infallible>(ResultRow {
            row: number,
            line: number,
            incident_id: "7".to_owned(),
            outcome: Outcome { request_id: Some(said.to_owned()), ..Outcome::new(kind, "code", said) },
            attempts: 1,
            source: row.source.clone(),
        })
    });
    ResultsFile::create(&destination, shape.clone(), rows).expect("memory, as it were");
    std::fs::read(path).expect("it was written")
}

fn assert_same(first: &CheckedRow, second: &CheckedRow, shape: &InputShape, of_results: bool) {
    // What is wrong stays wrong, if in another way: a line that is no JSON is a text there. In results that are the input
    // it may be their own part that is wrong, and that is made anew.
    let code = first.verdict.as_ref().err().map(NoChange::code);
    if !of_results || code.is_none() {
        assert_eq!(second.verdict.as_ref().ok(), first.verdict.as_ref().ok());
    }
    let is_text = std::str::from_utf8(&first.source).is_ok();
    match shape {
        InputShape::Jsonl { .. } if is_text => {
            let [first, second] = [first, second].map(|row| String::from_utf8_lossy(row.source.trim_ascii()));
            // What is no object comes back as the text that it is written as.
            let is_quoted = || serde_json::from_str::<String>(&second).is_ok_and(|text| text.trim() == first.trim());
            assert!(second == first || is_quoted(), "{second} was {first}");
        }
        // A record with a carriage return that is in no cell is put into one cell as a whole.
        InputShape::Csv { .. } if code.is_some() && first.source.contains(&b'\r') => {}
        InputShape::Csv { delimiter, .. } => {
            let records = |source: &[u8]| -> Vec<::csv::ByteRecord> {
                let mut reader = ::csv::ReaderBuilder::new();
                let delimiter = u8::try_from(*delimiter).expect("ASCII");
                // After a line of its own: this reader drops a mark at the beginning, which in the middle of a file is text.
                let text = [b"line\n", source].concat();
                let mut reader = reader.delimiter(delimiter).flexible(true).from_reader(text.as_slice());
                reader.byte_records().map(|record| record.expect("memory")).collect()
            };
            assert_eq!(records(&second.source), records(&first.source));
        }
        InputShape::Jsonl { .. } => {}
    }
}
