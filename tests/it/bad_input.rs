//! Each kind of bad input: its code, location, hint and exit code 3; nothing is sent.

use crate::program::{Program, started};

/// A bad input and what is reported about it.
struct Bad {
    file: &'static str,
    content: Vec<u8>,
    code: &'static str,
    /// Line and character, if it has a location.
    place: (Option<u64>, Option<u64>),
    /// Part of the message or the hint.
    says: &'static str,
}

fn bad(file: &'static str, content: impl Into<Vec<u8>>, code: &'static str, says: &'static str) -> Bad {
    Bad { file, content: content.into(), code, place: (None, None), says }
}

impl Bad {
    fn at(self, line: u64, column: u64) -> Bad {
        Bad { place: (Some(line), Some(column)), ..self }
    }

    fn on_line(self, line: u64) -> Bad {
        Bad { place: (Some(line), None), ..self }
    }

    /// Checks the input with `check --format json`, `check` and `run`.
    fn hold(self) {
        let what =
            format!("{} of {:?}", self.code, String::from_utf8_lossy(&self.content[..self.content.len().min(60)]));
        let program = Program::new().file(self.file, &self.content).emulator(|_| ());
        let ended = program.run(&format!("check {} --format json", self.file));
        assert_eq!(ended.code, Some(3), "{what}: {}", ended.printed());
        let found = &ended.json()["diagnostics"];
        let named = |found: &&serde_json::Value| found["code"] == self.code;
        let diagnostic = found.as_array().expect("a list").iter().find(named);
        let diagnostic = diagnostic.unwrap_or_else(|| panic!("{what} is not among {found:#}"));
        assert_eq!((diagnostic["severity"].as_str(), diagnostic["file"].as_str()), (Some("error"), Some(self.file)));
        assert_eq!(diagnostic["line"].as_u64(), self.place.0, "{what}: {diagnostic:#}");
        if self.place.1.is_some() {
            assert_eq!(diagnostic["column"].as_u64(), self.place.1, "{what}: {diagnostic:#}");
        }
        let text = format!("{} {}", diagnostic["message"], diagnostic["help"]);
        assert!(text.contains(self.says), "{what}: `{}` is missing in {text}", self.says);

        let place = self.place.0.map_or_else(|| self.file.to_owned(), |line| format!("{}:{line}", self.file));
        program.run(&format!("check {}", self.file)).expect_code(3).expect_text(self.code).expect_text(&place);
        program.send(self.file).expect_code(3).expect_text(self.code).expect_text(&place);
        assert!(program.requests().is_empty(), "{what}");
    }
}

#[test]
fn other_file_types_get_one_clear_message() {
    bad("a.csv", "PK\u{3}\u{4}\u{14}\0\u{6}\0", "wrong-kind", "CSV UTF-8").hold();
    bad("a.csv", b"\x1f\x8b\x08\0\0\0\0\0".as_slice(), "wrong-kind", "gzip").hold();
    bad("a.csv", "<!DOCTYPE html><html><body>Sign in</body></html>", "wrong-kind", "HTML").hold();
    bad("a.jsonl", "[\n  {\"incidentId\": 1, \"status\": \"Resolved\"}\n]\n", "wrong-kind", "jq -c").hold();
    bad("a.csv", "i\0n\0c\0i\0d\0e\0n\0t\0I\0d\0\n\0", "wrong-kind", "UTF-16").hold();
}

#[test]
fn header_errors_are_reported() {
    bad("a.csv", "", "empty-file", "header").hold();
    bad("a.csv", "status,comment\nResolved,x\n", "no-id-column", "incidentId").on_line(1).hold();
    bad("a.csv", "incidentId,status,Status\n1,Active,Active\n", "column-twice", "Status").at(1, 19).hold();
    bad("a.csv", "incidentId,clasification\n1,FalsePositive\n", "misspelt-column", "classification").at(1, 12).hold();
    bad("a.csv", "incidentId,rule\n1,x\n", "no-property-column", "--set").on_line(1).hold();
}

#[test]
fn row_shape_errors_are_reported() {
    bad("a.csv", "incidentId,status,comment\n1,Resolved\n", "too-few-cells", "3").on_line(2).hold();
    bad("a.csv", "incidentId,comment\n1,so, it was\n", "too-many-cells", "quote").on_line(2).hold();
    let unclosed = "incidentId,comment\n1,fine\n2,\"opened\n3,swallowed\n4,swallowed\n";
    bad("a.csv", unclosed, "unclosed-quote", "quote").at(3, 3).hold();
    bad("a.csv", "incidentId,comment\n1,\"a\"b\n", "text-after-quote", "quote").at(2, 6).hold();
    bad("a.csv", "incidentId,comment\n1,nul \0 byte\n", "nul-byte", "CSV UTF-8").on_line(2).hold();
    let latin = b"incidentId,comment\n1,fine\n2,Gr\xfc\xdfe\n".as_slice();
    bad("a.csv", latin, "not-utf8", "CSV UTF-8").on_line(3).hold();
    let large = format!("incidentId,comment\n1,fine\n2,{}\n3,fine\n", "x".repeat(10 << 20));
    bad("a.csv", large, "row-too-large", "1 MiB").on_line(3).hold();
    let large = format!("{{\"incidentId\":1,\"comment\":\"{}\"}}\n", "x".repeat(10 << 20));
    bad("a.jsonl", large, "row-too-large", "1 MiB").on_line(1).hold();
}

#[test]
fn jsonl_errors_are_reported() {
    let first = "{\"incidentId\":1,\"status\":\"Resolved\"}\n";
    let line = |line: &str| format!("{first}{line}\n");
    bad("a.jsonl", line("[2]"), "not-an-object", "object").on_line(2).hold();
    bad("a.jsonl", line("\"text\""), "not-an-object", "object").on_line(2).hold();
    bad("a.jsonl", line("{\"incidentId\":2,"), "json-syntax", "JSON").on_line(2).hold();
    let twice = "{\"incidentId\":2,\"status\":\"Active\",\"status\":\"Resolved\"}";
    bad("a.jsonl", line(twice), "member-twice", "status").on_line(2).hold();
    bad("a.jsonl", line("{\"incidentId\":2,\"status\":5}"), "wrong-type", "text").on_line(2).hold();
    bad("a.jsonl", line("{\"incidentId\":2,\"tags\":[\"a\",1]}"), "tags-not-json", "text").on_line(2).hold();
    bad("a.jsonl", line("{\"incidentId\":true,\"status\":\"Active\"}"), "wrong-type", "number").on_line(2).hold();
    bad("a.jsonl", line("{\"incidentId\":1.0,\"status\":\"Active\"}"), "id-invalid", "not an incident ID")
        .on_line(2)
        .hold();
}

#[test]
fn id_errors_are_reported() {
    for id in ["abc", "1/2", "1/../2", "0", "-7", "+7", "007", "1e3", "1.0", "9223372036854775808", "１２", "0x10"] {
        bad("a.csv", format!("incidentId,status\n5,Active\n{id},Active\n"), "id-invalid", "not an incident ID")
            .at(3, 1)
            .hold();
    }
    bad("a.csv", "incidentId,status\n,Active\n", "id-missing", "id").on_line(2).hold();
}

#[test]
fn value_errors_are_reported() {
    let rows = |row: &str| format!("incidentId,status,classification,determination,tags,comment\n{row}\n");
    bad("a.csv", rows("1,Resolvd,,,,"), "unknown-value", "Resolved").at(2, 3).hold();
    bad("a.csv", rows("1,InProgress,,,,"), "unknown-value", "--contract defender").at(2, 3).hold();
    bad("a.csv", rows("1,,FalsePositive,Malware,,"), "values-disagree", "TruePositive").on_line(2).hold();
    bad("a.csv", rows("1,,,Malware,,"), "value-missing", "classification").on_line(2).hold();
    bad("a.csv", rows("1,,,,,"), "nothing-to-set", "--set").on_line(2).hold();
    bad("a.csv", rows("1,<clear>,,,,"), "cannot-clear", "empty").at(2, 3).hold();
    bad("a.csv", rows("1,,,,+vip; noise,"), "tag-change", "sign").on_line(2).hold();
    bad("a.csv", rows("1,,,,,   "), "blank-comment", "white space").on_line(2).hold();
    bad("a.csv", rows("1,Active,,,,\n2,Active,,,,\n1,Resolved,,,,"), "contradiction", "2").on_line(4).hold();
}

/// A recursive parser would overflow its stack.
#[test]
fn deep_nesting_is_carried_or_rejected_without_crash() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let objects = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
    let opened = "[".repeat(100_000);
    let result = |input: &str| {
        format!(
            "{{\"row\":1,\"line\":1,\"incident_id\":\"1\",\"outcome\":\"failed\",\"code\":\"\",\"message\":\"\",\
             \"http_status\":null,\"attempts\":1,\"request_id\":null,\"finished_at\":null,\"input\":{input}}}\n"
        )
    };
    for (file, content, code) in [
        ("carried.jsonl", format!("{{\"incidentId\":1,\"status\":\"Active\",\"note\":{deep}}}\n"), 0),
        ("objects.jsonl", format!("{{\"incidentId\":1,\"status\":\"Active\",\"note\":{objects}}}\n"), 0),
        ("open.jsonl", format!("{{\"incidentId\":1,\"status\":\"Active\",\"note\":{opened}}}\n"), 3),
        ("line.jsonl", format!("{{\"incidentId\":1,\"status\":\"Active\"}}\n{deep}\n"), 3),
        ("id.jsonl", format!("{{\"incidentId\":{deep},\"status\":\"Active\"}}\n"), 3),
        ("tags.jsonl", format!("{{\"incidentId\":1,\"tags\":{deep}}}\n"), 3),
        ("comment.jsonl", format!("{{\"incidentId\":1,\"comment\":{objects}}}\n"), 3),
        ("tags.csv", format!("incidentId,tags\n1,{deep}\n"), 3),
        ("comment.csv", format!("incidentId,comment\n1,{deep}\n"), 0),
        ("header.csv", format!("incidentId,status,{deep}\n1,Active,x\n"), 3),
        ("of.results.jsonl", result(&format!("{{\"incidentId\":1,\"status\":\"Active\",\"note\":{deep}}}")), 0),
        ("deep.results.jsonl", result(&deep), 3),
        ("first.jsonl", format!("{deep}\n"), 3),
    ] {
        let program = Program::new().file(file, content).emulator(|_| ());
        program.run(&format!("check {file}")).expect_code(code);
        program.send(file).expect_code(code);
        assert_eq!(program.requests().len(), usize::from(code == 0), "{file}");
    }
}

#[test]
fn unreadable_input_is_named() {
    let program = Program::new().emulator(|_| ());
    std::fs::create_dir(program.path("dir.csv")).expect("a directory");
    for (input, says) in [("missing.csv", "No such file"), ("dir.csv", "directory")] {
        for command in ["check", "run --dry-run --emulator", "run --yes --emulator"] {
            let ended = program.run(&format!("{command} {input}")).expect_code(3);
            ended.expect_text(&format!("cannot read `{input}`")).expect_text(says);
        }
    }
    // This error comes up only while reading.
    program.run("check /proc/self/mem").expect_code(3).expect_text("cannot read");
}

#[test]
fn header_alone_is_a_run_without_rows() {
    let program = Program::new().file("a.csv", "incidentId,status\n").file("a.jsonl", "").emulator(|_| ());
    for input in ["a.csv", "a.jsonl", "-"] {
        program.run(&format!("check {input}")).expect_code(0).expect_text("no rows");
        program.send(input).expect_code(0).expect_text("0 rows");
    }
    assert!(program.requests().is_empty());
}

#[test]
fn equal_errors_are_shown_once_and_counted() {
    let rows = (1..=50).map(|id| format!("{id},Resolvd"));
    let lines: Vec<String> = ["incidentId,status".to_owned()].into_iter().chain(rows).collect();
    let program = Program::new().file("a.csv", lines.join("\n"));
    let ended = program.run("check a.csv").expect_code(3);
    assert_eq!(ended.printed().matches("a.csv:").count(), 1, "{}", ended.printed());
    assert!(ended.printed().contains("the same on 49 more lines: 3, 4, 5, 6, 7, …"), "{}", ended.printed());
    let all = program.run("check a.csv --format json").expect_code(3).json();
    assert_eq!(all["diagnostics"].as_array().map(Vec::len), Some(50));
    assert_eq!((all["rows"].as_u64(), all["valid"].as_u64()), (Some(50), Some(0)));
}

#[test]
fn every_encoding_and_delimiter_gives_equal_changes() {
    let text = "incidentId;status;comment\r\n1;Resolved;Grüße, alle\r\n\r\n2;Active;\"a;b\"\r\n";
    let utf16: Vec<u8> = [0xff, 0xfe].into_iter().chain(text.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    let tabs = "INCIDENT_ID\tStatus\tcomment\n1\tresolved\tGrüße, alle\n2\tactive\ta;b\n";
    let lines = "{\"incidentId\":\"1\",\"status\":\"Resolved\",\"comment\":\"Grüße, alle\"}\n\n\
                 {\"comment\":\"a;b\",\"status\":\"Active\",\"incidentId\":2}";
    let contents: [Vec<u8>; 5] = [text.into(), format!("\u{feff}{text}").into(), utf16, tabs.into(), lines.into()];
    for content in contents {
        let program = Program::new().file("input", &content).emulator(|_| ());
        program.send("input --concurrency 1").expect_code(0);
        let bodies: Vec<_> = program.requests().into_iter().filter_map(|request| request.body).collect();
        let expected = [r#"{"status":"Resolved","comment":"Grüße, alle"}"#, r#"{"status":"Active","comment":"a;b"}"#];
        assert_eq!(bodies, expected, "{:?}", String::from_utf8_lossy(&content));
    }
}

#[test]
fn bad_standard_input_is_named_too() {
    let program = Program::new().file("a.csv", "incidentId,status\n1,Resolvd\n");
    let mut command = program.command("check -");
    command.stdin(std::fs::File::open(program.path("a.csv")).expect("a file"));
    started(command).end().expect_code(3).expect_text("unknown-value").expect_text(":2");
}

#[test]
fn too_many_columns_name_limit_and_cause() {
    let header: Vec<String> =
        ["incidentId".to_owned()].into_iter().chain((1..50_000).map(|n| format!("c{n}"))).collect();
    let program = Program::new().file("wide.csv", header.join(",") + "\n1\n").file("blob.csv", "x".repeat(70_000));
    let wide = program.run("check wide.csv").expect_code(3).expect_text("64 KiB, the limit of a header");
    assert!(wide.printed().replace('\n', " ").contains("columns"), "{}", wide.printed());
    program.run("check blob.csv").expect_code(3).expect_text("no delimiter");
}
