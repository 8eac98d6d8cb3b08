//! Promise 10: nothing else calls the API. Every request in the emulator's log is one attempt in the journal, whatever
//! goes wrong, and other commands send none.

use crate::program::{Program, at_once, closing};

#[test]
fn every_request_is_recorded_in_the_journal() {
    let faults = [
        "cut@#2*2",
        "cut-after@#2*2",
        "cut-half@#2*1",
        "503@#2*3",
        "429@3=header-seconds/1s",
        "302@#2",
        "html@#2*2",
        "401@4*1",
        "other@#2*1",
        "down@2-3",
    ];
    at_once(faults, |fault| {
        let program = Program::new().file("a.csv", closing(1..=6)).faulty_emulator(&[fault]);
        let ended = program.send("a.csv --format json");
        let summary = ended.json();
        let run = summary["run"].as_str().expect("a run");
        let shown = program.run(&format!("runs show {run} --format json")).expect_code(0).json();
        let requests = program.requests().len() as u64;
        assert_eq!(summary["calls"].as_u64(), Some(requests), "{fault}: {}", ended.printed());
        assert_eq!(shown["calls"].as_u64(), Some(requests), "{fault}");
        let of_rows: u64 = ended.results().iter().map(|row| row["attempts"].parse::<u64>().expect("a number")).sum();
        assert_eq!(of_rows, requests, "{fault}");
    });
}

#[test]
fn reading_commands_send_no_update() {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    let summary = program.send("a.csv --limit 1 --format json").expect_code(0).json();
    let run = summary["run"].as_str().expect("a run");
    let origin = program.origin();
    for arguments in [
        "check a.csv".to_owned(),
        "contract".to_owned(),
        "runs".to_owned(),
        "runs list".to_owned(),
        format!("runs show {run}"),
        format!("runs results {run}"),
        format!("runs resume {run} --yes"),
        format!("run a.csv --dry-run --base-url {origin}"),
    ] {
        let ended = program.run(&arguments);
        assert!(matches!(ended.code, Some(0 | 2)), "{arguments}: {}", ended.printed());
    }
    assert_eq!(program.requests().len(), 1);
}
