//! Unreadable or contradictory responses: every success may have been applied, so a read decides, and `updated` means
//! that a response showed it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::program::{Program, at_once, closing};

/// Rows without a comment, each for another incident.
fn resolving(ids: impl IntoIterator<Item = u64>) -> String {
    let rows = ids.into_iter().map(|id| format!("{id},Resolved\n"));
    ["incidentId,status\n".to_owned()].into_iter().chain(rows).collect()
}

/// How a server or a proxy garbles a success after the update was applied.
const SUCCESSES: [&str; 9] = [
    "gzip-after",
    "deflate-after",
    "bom-after",
    "empty-after",
    "201-after",
    "202-after",
    "204-after",
    "html-after",
    "other-after",
];

#[test]
fn every_success_ends_updated_without_repeats() {
    at_once(SUCCESSES, |fault| {
        for content in [resolving(1..=12), closing(1..=12)] {
            // Only updates, so the reads are complete.
            let faults: Vec<String> = (1..=12).map(|id| format!("{fault}@#{id}*1")).collect();
            let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
            let program = Program::new().file("a.csv", content).faulty_emulator(&faults);
            let ended =
                program.send("a.csv --patience 0 --settle 600ms").expect_code(0).expect_outcomes(&[("updated", 12)]);
            assert_eq!(program.updates().len(), 12, "{fault}: {}", ended.printed());
            let is_read = ["gzip", "deflate", "bom", "201"].iter().all(|shown| !fault.starts_with(shown));
            let reads = program.requests().len() - program.updates().len();
            assert_eq!(reads, if is_read { 12 } else { 0 }, "{fault}");
            assert!(!ended.printed().contains("service"), "{fault}: {}", ended.printed());
        }
    });
}

/// Not applied, with a success that shows nothing: five such rows don't mean that the file is wrong.
#[test]
fn success_without_effect_is_read_then_repeated() {
    at_once(["204", "empty", "html"], |fault| {
        let program = Program::new().file("a.csv", closing(1..=6)).faulty_emulator(&[&format!("{fault}@1-6")]);
        program.send("a.csv --settle 600ms").expect_code(0).expect_outcomes(&[("updated", 6)]);
        for id in 1..=6 {
            assert_eq!(program.comments(id).len(), 1, "{fault}");
        }
    });
}

#[test]
fn unreadable_successes_do_not_stop_at_five() {
    let faults: Vec<String> = (1..=8).map(|id| format!("204@#{id}*1")).collect();
    let faults: Vec<&str> = faults.iter().map(String::as_str).collect();
    let program = Program::new().file("a.csv", resolving(1..=8)).faulty_emulator(&faults);
    let ended = program.send("a.csv --max-attempts 1 --settle 600ms");
    assert_eq!(ended.outcomes().get("not-attempted"), None, "{}", ended.printed());
}

/// A server that responds to every request, given its first line and its body, with these bytes, each on a new
/// connection.
fn server(answer: impl Fn(&str, &[u8]) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (line, body) = request(&mut stream);
            // The client may have closed the connection.
            let _ = stream.write_all(&answer(&line, &body));
        }
    });
    origin
}

/// The first line of a request, and its body.
fn request(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.trim().is_empty()) {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a head");
        lines.push(line);
    }
    let length =
        lines.iter().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).expect("a body");
    (lines.swap_remove(0), body)
}

fn ok(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[test]
fn very_large_incident_is_read_and_updated() {
    let alerts = "x".repeat(17 << 20);
    let body = format!(r#"{{"incidentId":7,"alerts":["{alerts}"],"status":"Resolved","comments":[]}}"#).into_bytes();
    let origin = server(move |_, _| ok(&body));
    let program = Program::new().file("a.csv", resolving([7]));
    program.run(&format!("run a.csv --yes --base-url {origin}")).expect_code(0).expect_outcomes(&[("updated", 1)]);
}

#[test]
fn ignored_update_is_not_applied_and_not_remembered() {
    for content in [resolving(1..=3), closing(1..=3)] {
        let program = Program::new().file("a.csv", content).faulty_emulator(&["ignore@1-3"]);
        let ended = program.send("a.csv").expect_code(1).expect_outcomes(&[("failed", 3)]);
        assert!(ended.results().iter().all(|row| row["code"] == "not-applied"), "{}", ended.printed());
        program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 3)]);
        assert_eq!(program.updates().len(), 6);
    }
}

/// The incident has an equal comment from long before, which the update did not add.
#[test]
fn older_equal_comment_is_not_of_this_update() {
    for (status, created, outcome, code) in [
        ("Active", r#""2021-05-02T09:34:21.5519738Z""#, "failed", "not-applied"),
        ("Resolved", r#""2021-05-02T09:34:21.5519738Z""#, "updated", "differs"),
        // Without a date, nothing distinguishes it from the update's own.
        ("Resolved", "null", "updated", ""),
    ] {
        let body = format!(
            r#"{{"incidentId":7,"status":"{status}","comments":[{{"comment":"done","createdBy":"a@b","createdTime":{created}}}]}}"#
        );
        let origin = server(move |_, _| ok(body.as_bytes()));
        let program = Program::new().file("a.csv", "incidentId,status,comment\n7,Resolved,done\n");
        let ended = program.run(&format!("run a.csv --yes --base-url {origin}"));
        let row = &ended.results()[0];
        assert_eq!((&*row["outcome"], &*row["code"]), (outcome, code), "{status} {created}: {}", ended.printed());
    }
}

#[test]
fn partly_ignored_update_differs() {
    let rows = "incidentId,status,tags,comment\n1,Resolved,a,done\n2,Resolved,b,done\n";
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["ignore@#1=tags"]);
    let ended = program.send("a.csv").expect_code(1).expect_outcomes(&[("updated", 2)]);
    let run = program.last_run();
    ended.expect_text("differing").expect_text("`tags` is").expect_text(&format!("bulk-triage runs show {run}"));
    program.run(&format!("runs show {run}")).expect_code(0).expect_text("row 1 (line 2), incident 1: updated, differs");
    // Only the part that was not shown is sent again, not the comment.
    program.send("a.csv").expect_code(1).expect_outcomes(&[("unchanged", 1), ("updated", 1)]);
    let bodies: Vec<_> = program.updates().into_iter().map(|update| update.body.expect("a body")).collect();
    assert_eq!(bodies.len(), 3);
    assert!(bodies[2].contains("tags") && !bodies[2].contains("comment"), "{}", bodies[2]);
}

#[test]
fn ignored_comment_is_sent_again() {
    let program = Program::new()
        .file("a.csv", "incidentId,status,comment\n1,Resolved,done\n")
        .faulty_emulator(&["ignore@1-2=comment"]);
    for _ in 0..2 {
        program.send("a.csv").expect_code(1).expect_outcomes(&[("updated", 1)]).expect_text("`comment` was not added");
    }
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 1)]);
    program.send("a.csv").expect_code(0).expect_outcomes(&[("unchanged", 1)]);
    assert_eq!(program.comments(1), ["done"]);
}

#[test]
fn allow_differs_accepts_other_values() {
    let rows = "incidentId,status,tags\n1,Resolved,a\n";
    let program = Program::new().file("a.csv", rows).faulty_emulator(&["ignore=tags"]);
    let ended = program.send("a.csv --allow-differs --format json").expect_code(0);
    assert_eq!(ended.json()["differs"], 1, "{}", ended.printed());
}

/// One server keeps its own spelling, another stores an equivalent value.
#[test]
fn equal_values_do_not_differ() {
    for (asked, shown) in [("Clean", "NotMalicious"), ("NotMalicious", "notMalicious")] {
        let body = format!(
            r#"{{"incidentId":7,"classification":"falsePositive","determination":"{shown}","tags":["a &amp; b "],"comments":[]}}"#
        );
        let origin = server(move |_, _| ok(body.as_bytes()));
        let rows = format!("incidentId,classification,determination,tags\n7,FalsePositive,{asked},a & b\n");
        let program = Program::new().file("a.csv", rows);
        let ended = program.run(&format!("run a.csv --yes --contract defender --base-url {origin}")).expect_code(0);
        assert_eq!(ended.results()[0]["code"], "", "{}", ended.printed());
    }
}

/// A response without the changed member proves nothing, so the incident is read.
#[test]
fn response_without_set_member_causes_a_read() {
    let origin = server(|line, _| {
        let is_update = line.starts_with("PATCH");
        ok(if is_update { br#"{"incidentId":7}"# } else { br#"{"incidentId":7,"status":"Resolved","comments":[]}"# })
    });
    let program = Program::new().file("a.csv", resolving([7]));
    let ended = program.run(&format!("run a.csv --yes --settle 300ms --base-url {origin}")).expect_code(0);
    assert_eq!(ended.results()[0]["code"], "found-by-reading", "{}", ended.printed());
}

/// As when a server closes an idle connection just as the next request is sent.
#[test]
fn closed_connections_cost_no_attempts_or_outage() {
    for content in [resolving(1..=40), closing(1..=40)] {
        let program = Program::new().file("a.csv", content).emulator(|settings| {
            settings.requests_per_connection = Some(1);
            settings.quota = Some("1000/1m".parse().expect("a quota"));
        });
        // The reads that decide about a comment would wait too long for this test.
        let ended = program.send("a.csv --max-attempts 1 --patience 0 --settle 1s --quota 1000/1m").expect_code(0);
        ended.expect_text("updated").expect_outcomes(&[("updated", 40)]);
        (1..=40).for_each(|id| assert!(program.comments(id).len() <= 1));
    }
}
