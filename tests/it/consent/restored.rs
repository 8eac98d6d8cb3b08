//! A journal from a backup or from somebody else decides neither where requests go nor what they change.

use super::EvilServer;
use super::forged::ORIGINS;
use crate::program::{Program, at_once, journal_in};

#[test]
fn forged_origins_of_journals_get_no_byte() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n").emulator(|_| ());
    program.send("a.csv --compare").expect_code(0);
    let run = program.last_run();
    at_once(ORIGINS, |origin| {
        let evil = EvilServer::start();
        let origin = origin.replace("PORT", &evil.port.to_string());
        let state = tempfile::tempdir().expect("a directory");
        let copy = state.path().join("state");
        copy_journal(&program.path("state"), &copy);
        let journal = journal_in(&copy);
        let unfinished = "UPDATE runs SET state = 'ready', facts = json_set(facts, '$.origin', ?1)";
        journal.execute(unfinished, [&origin]).expect("it is changed");
        journal.execute("UPDATE rows SET outcome = NULL WHERE row = 2", []).expect("it is changed");
        drop(journal);
        for command in [format!("runs resume {run} --yes"), format!("runs undo {run} -o undo.plan")] {
            let mut command = evil.command(&program, &command);
            command.env("BULK_TRIAGE_STATE_DIR", &copy);
            let ended = crate::program::started(command).end();
            assert_eq!(ended.code, Some(2), "{origin:?}: {}", ended.printed());
        }
        assert_eq!(evil.connections(), 0, "{origin:?}");
    });
}

fn copy_journal(from: &std::path::Path, to: &std::path::Path) {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(to).expect("a directory");
    for name in ["journal.db", "journal.db-wal"] {
        if from.join(name).exists() {
            std::fs::copy(from.join(name), to.join(name)).expect("a copy");
        }
    }
}

/// Changes the journal of `program` in a way no program does.
fn alter(program: &Program, sql: &str, value: &str) {
    assert_eq!(program.journal().execute(sql, [value]).expect("it is changed"), 1, "{sql}");
}

/// Bodies that no row is loaded with; each would be sent verbatim.
const BODIES: [&str; 14] = [
    r#"{"status":"Active","status":"Resolved","comment":"two"}"#,
    r#"{"status":"Resolved","comment":"two","comment":"three"}"#,
    r#"{"status":"Active","st\u0061tus":"Resolved","comment":"two"}"#,
    r#"{"status":"Resolved","severity":"high","comment":"two"}"#,
    r#"{"status":"Isolated","comment":"two"}"#,
    r#"{"status":7,"comment":"two"}"#,
    r#"{"comment":"two","status":"Resolved"}"#,
    r#"{"status":"Resolved", "comment":"two"}"#,
    r#"{"tags":{"add":["x"],"remove":[],"move":[]},"comment":"two"}"#,
    r#"{"determination":"Malware","comment":"two"}"#,
    // The row's own column says that it adds a comment.
    r#"{"status":"Resolved"}"#,
    "{}",
    r#"["status"]"#,
    "{",
];

#[test]
fn altered_rows_of_the_journal_are_not_sent() {
    let rows = "incidentId,status,comment\n1,Resolved,one\n2,Resolved,two\n";
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["400@#1"]);
    let to = format!("--max-failures 1 --concurrency 1 --settle 150ms --base-url {}", program.origin());
    program.run(&format!("plan a.csv -o a.plan --base-url {}", program.origin())).expect_code(0);
    for start in ["run a.csv", "apply a.plan"] {
        program.run(&format!("{start} --yes --remember 0 {to}")).expect_code(6);
        let run = program.last_run();
        let requests = program.requests().len();
        let mut commands = vec![format!("{start} --yes {to}"), format!("runs resume {run} --yes {to}")];
        if start.starts_with("apply") {
            commands.push(format!("plan a.plan --base-url {}", program.origin()));
        }
        for column in ["body", "asked"] {
            let row = format!("UPDATE rows SET {column} = ?1 WHERE row = 2 AND run = (SELECT max(id) FROM runs)");
            for body in BODIES.into_iter().filter(|body| column == "body" || *body != r#"{"status":"Resolved"}"#) {
                alter(&program, &row, body);
                for command in &commands {
                    let ended = program.run(command).expect_code(70);
                    ended.expect_text(&format!("row 2 of run {run}: "));
                }
            }
            alter(&program, &row, r#"{"status":"Resolved","comment":"two"}"#);
        }
        assert_eq!(program.requests().len(), requests, "{start}");
        // Unchanged, the row is sent.
        program.run(&format!("runs resume {run} --yes {to}"));
        assert!(program.requests().len() > requests, "{start}");
    }
}
