//! Promise 7: what comes from outside is data. It is sent unchanged, byte for byte; it can't drive the terminal, become
//! a spreadsheet formula, or reach another path; and it survives the way through a results file.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use crate::program::{Ended, Program, Request, at_once, started};

/// What somebody may put into an incident, a file or a server's response.
fn hostile() -> Vec<String> {
    let mut strings: Vec<String> = [
        "\u{1b}[31mred\u{1b}[0m",
        "\u{1b}]0;title\u{7}",
        "\u{1b}]8;;http://evil.example\u{1b}\\link\u{1b}\\",
        "\u{9b}2Jc1",
        "bell\u{7}back\u{8}\u{8}delete\u{7f}end",
        "over\rwritten",
        "\u{202e}desrever\u{202c}",
        "\u{2066}isolated\u{2069}\u{200f}",
        "zero\u{200b}width\u{feff}",
        "line\u{2028}separator\u{2029}s",
        "=cmd|' /C calc'!A0",
        "+1+1",
        "-2-3",
        "@SUM(1)",
        "'=already",
        "''+twice",
        "＝full",
        "＋full",
        "－full",
        "＠full",
        "two\nlines",
        "crlf\r\nends",
        "\"quoted\", and; then\ttab",
        "say \"\"twice\"\"",
        "back\\slash \\u001b \\n",
        "{\"status\":\"Active\"}",
        "👩‍👩‍👧‍👦 family, 🏴󠁧󠁢󠁥󠁮󠁧󠁿 flag",
        "ᚠᛇᚻ ﷽ 𝔘𝔫𝔦 e\u{301}",
        "<script>alert(1)</script> %2e%2e/ ${HOME} $(id) `id`",
        "::error::annotated",
        " \t::add-mask::a",
        "## ###[error]colored",
        "tag ##vso[task.setvariable variable=a]b",
    ]
    .map(str::to_owned)
    .into();
    strings.push("long ".repeat(20_000) + "end");
    strings
}

/// Fails if a CI job would act on the text. Azure Pipelines looks for its commands in the whole line, and so does GitHub for
/// the older ones.
#[track_caller]
pub(crate) fn expect_no_command(said: &str) {
    for line in said.lines() {
        let is_command = line.trim_start().starts_with("::") || line.contains("##vso[") || line.contains("##[");
        assert!(!is_command, "{line}");
    }
}

/// Fails if a terminal or a CI job would act on the text, or if it would deceive a reader.
#[track_caller]
fn expect_harmless(said: &str) {
    expect_no_command(said);
    let harmful = |c: &char| {
        let c = u32::from(*c);
        (c < 0x20 && c != 0x0a)
            || (0x7f..=0x9f).contains(&c)
            || [0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0xfeff].contains(&c)
            || (0x202a..=0x202e).contains(&c)
            || (0x2066..=0x2069).contains(&c)
    };
    let found = said.chars().find(harmful);
    assert_eq!(found, None, "in {}", said.escape_debug());
}

#[track_caller]
fn harmless(ended: Ended) -> Ended {
    expect_harmless(&ended.stdout);
    expect_harmless(&ended.stderr);
    ended
}

/// Checks a table in a pipe: tabs separate its columns, and no cell can add one.
fn harmless_table(ended: Ended) -> Ended {
    let tabs = |line: &str| line.matches('\t').count();
    let columns: Vec<usize> = ended.stdout.lines().map(tabs).collect();
    assert!(columns.iter().all(|count| Some(count) == columns.first()), "in {}", ended.stdout.escape_debug());
    expect_harmless(&ended.stdout.replace('\t', " "));
    expect_harmless(&ended.stderr);
    ended
}

/// The bodies sent for each incident.
fn bodies(requests: &[Request]) -> BTreeMap<u64, Value> {
    let body = |request: &Request| serde_json::from_str(request.body.as_deref().expect("a body")).expect("JSON");
    requests.iter().map(|request| (request.id.expect("an id"), body(request))).collect()
}

/// The bodies that should be sent for each incident.
fn expected() -> BTreeMap<u64, Value> {
    let body = |text: &String| json!({"assignedTo": text, "tags": [text, "plain"], "comment": text});
    (1..).zip(hostile().iter().map(body)).collect()
}

fn as_csv() -> Vec<u8> {
    let mut csv = csv::Writer::from_writer(Vec::new());
    let carried = hostile();
    let names =
        carried.iter().map(|name| format!("{name}{name}")).map(|name| name.chars().take(300).collect::<String>());
    let columns: Vec<String> =
        ["incidentId", "assignedTo", "tags", "comment"].map(str::to_owned).into_iter().chain(names).collect();
    csv.write_record(&columns).expect("written");
    for (id, text) in (1..).zip(&carried) {
        let tags = json!([text, "plain"]).to_string();
        let cells = [id.to_string(), text.clone(), tags, text.clone()];
        // Context cells are short, because records have a size limit.
        let carried = carried.iter().map(|cell| cell.chars().take(300).collect::<String>());
        csv.write_record(cells.into_iter().chain(carried)).expect("written");
    }
    csv.into_inner().expect("written")
}

fn as_jsonl() -> String {
    let row = |(id, text): (u64, &String)| {
        let mut members = json!({"incidentId": id, "assignedTo": text, "tags": [text, "plain"], "comment": text});
        members[format!("x{text}")] = json!({"deep": [text]});
        format!("{members}\n")
    };
    (1..).zip(&hostile()).map(row).collect()
}

#[test]
fn hostile_texts_round_trip_through_results() {
    for (input, content) in [("a.csv", as_csv()), ("a.jsonl", as_jsonl().into())] {
        let program = Program::new().file(input, &content).emulator(|_| ());
        let origin = program.origin();
        harmless(program.run(&format!("check {input}"))).expect_code(0);
        harmless(program.run(&format!("check {input} --format json"))).expect_code(0);
        harmless(program.run(&format!("run {input} --dry-run --base-url {origin}"))).expect_code(0);
        let ended = harmless(program.send(&format!("{input} -vvv"))).expect_code(0);
        assert_eq!(bodies(&program.requests()), expected(), "{input}");

        let results = ended.results_path();
        let arguments = ["--only", "updated", "--remember", "0", "--format", "json"];
        let mut again = program.send_command("");
        again.arg(&results).args(arguments);
        harmless(started(again).end()).expect_code(0);
        let requests = program.requests();
        assert_eq!(requests.len(), 2 * expected().len());
        assert_eq!(bodies(&requests[expected().len()..]), expected(), "{input}");
    }
}

#[test]
fn context_cells_and_names_round_trip() {
    let program = Program::new().file("a.csv", as_csv()).emulator(|_| ());
    program.send("a.csv --results one.csv").expect_code(0);
    program.send("one.csv --only updated --remember 0 --results two.csv").expect_code(0);
    let carried = |name: &str| {
        let bytes = fs::read(program.path(name)).expect("results");
        let mut records = csv::ReaderBuilder::new().has_headers(false).from_reader(bytes.as_slice());
        let rest = |record: Result<csv::StringRecord, _>| {
            record.expect("a record").iter().skip(10).map(str::to_owned).collect::<Vec<_>>()
        };
        records.records().map(rest).collect::<Vec<_>>()
    };
    assert_eq!(carried("one.csv"), carried("two.csv"));
}

#[test]
fn misplaced_hostile_texts_are_shown_safely() {
    let texts: Vec<String> = hostile().iter().map(|text| text.chars().take(3_000).collect()).collect();
    // So few that all of them are shown in full.
    for texts in texts.chunks(6) {
        let of = |row: &dyn Fn(&String) -> String| texts.iter().map(row).collect::<String>();
        let values = of(&|text| format!("1,{text}\n{text},Active\n", text = quoted(text)));
        let columns = of(&|text| format!(",stat{}us", text.replace(['"', '\n', '\r', ',', ';', '\t'], "")));
        let cells = ",x".repeat(texts.len());
        let members =
            of(&|text| format!("{}\n{text}\n", json!({"incidentId": text, "status": text, "tags": {text: 1}})));
        for (file, content) in [
            ("values.csv", format!("incidentId,status\n{values}")),
            ("columns.csv", format!("incidentId,status{columns}\n1,Active{cells}\n")),
            ("members.jsonl", members),
        ] {
            let program = Program::new().file(file, content);
            for arguments in ["check", "check --format json", "run --emulator --yes --skip-invalid"] {
                harmless(program.run(&format!("{arguments} {file}")));
            }
        }
    }
}

fn quoted(cell: &str) -> String {
    format!("\"{}\"", cell.replace('"', "\"\""))
}

/// A shell that reads the command suggested for a file of this name; `None` if it is not installed.
fn pasted_into(shell: &str, name: &str) -> Option<(Program, Ended)> {
    let program = Program::new().file(name, "incidentId,status\n1,Active\n2,Active\n").faulty_emulator(&["404@#2*1"]);
    let mut command = program.send_command("");
    command.arg(format!("./{name}"));
    let ended = harmless(started(command).end()).expect_code(1);
    harmless_table(program.run("runs list")).expect_code(0);
    let next = ended.stdout.lines().skip_while(|line| *line != "next:").nth(1).expect("a command").trim();
    let mut shell = std::process::Command::new(shell);
    let program_dir = std::path::Path::new(env!("CARGO_BIN_EXE_bulk-triage")).parent().expect("a directory");
    let path = format!("{}:/usr/bin:/bin", program_dir.display());
    shell.args(["-c", next]).current_dir(program.path("")).env_clear();
    shell.env("PATH", path).env("BULK_TRIAGE_TOKEN", "another-token").env("HOME", program.path(""));
    if shell.get_program() != "bash" && std::process::Command::new(shell.get_program()).arg("-c").output().is_err() {
        // Not captured, so that a passing test shows it.
        let _ = writeln!(std::io::stderr(), "LEFT OUT: a command as {shell:?} reads it (it is not installed)");
        return None;
    }
    let ended = harmless(started(shell).end());
    Some((program, ended))
}

/// Commands that a shell must not run, in names that need each way of quoting.
const NAMES: [&str; 6] = [
    "a\u{1b}[31m b'$(touch owned)\u{202e}.csv",
    // After the quote nothing is left open that would stop a shell without `$'…'`.
    "a\u{1b}';touch owned;#.csv",
    "a\u{1b}'$(touch owned)'\\.csv",
    "=a';touch owned;'.csv",
    "~\n'`touch owned`'.csv",
    "-a\\';touch owned;\u{7}'.csv",
];

#[test]
fn suggested_command_works_in_bash_and_zsh() {
    for shell in ["bash", "zsh"] {
        for name in NAMES {
            let Some((program, ended)) = pasted_into(shell, name) else { continue };
            ended.expect_code(0);
            assert_eq!(program.requests().len(), 3, "{shell}: {name:?}");
            assert!(!program.path("owned").exists(), "{shell}: {name:?}");
        }
    }
}

#[test]
fn suggested_command_keeps_a_non_utf8_name() {
    let program = Program::new();
    let name = std::ffi::OsStr::from_bytes(b"a\xff.csv");
    fs::write(program.path("").join(name), "incidentId,status\n1,Active\n").expect("a file");
    let words = ["run".as_ref(), name, "--dry-run".as_ref(), "--base-url".as_ref(), "http://127.0.0.1:9".as_ref()];
    let mut command = program.command_of(words);
    command.env_remove("BULK_TRIAGE_TOKEN");
    started(command).end().expect_code(0).expect_text(r"bulk-triage run $'a\377.csv' ");
}

#[test]
fn suggested_command_runs_nothing_else_in_dash() {
    for name in NAMES {
        let Some((program, ended)) = pasted_into("dash", name) else { continue };
        assert!(!program.path("owned").exists(), "{name:?}");
        // If the name can't be printed, dash reads another one, and there is no such file.
        let requests = if ended.code == Some(0) { 3 } else { 2 };
        assert_eq!(program.requests().len(), requests, "{name:?}");
    }
}

#[test]
fn no_id_reaches_another_path() {
    let ids = ["1/../2", "1?x=1", "1#x", "%2e%2e", "..", "1%2F2", "1/", "1;a=b", "1\\2", "１", "1 2", "*", "{id}"];
    let rows: String = ids.map(|id| format!("{},Active\n", quoted(id))).concat();
    let program = Program::new().file("a.csv", format!("incidentId,status\n{rows}7,Active\n")).emulator(|_| ());
    program.send("a.csv").expect_code(3);
    assert!(program.requests().is_empty());
    let ended = program.send("a.csv --skip-invalid").expect_code(1);
    ended.expect_outcomes(&[("updated", 1), ("invalid", ids.len())]);
    let paths: Vec<String> = program.requests().into_iter().map(|request| request.path).collect();
    assert_eq!(paths, ["/api/incidents/7"]);
}

/// Neither a typed ID nor one in a journal that somebody else has written.
#[test]
fn no_run_id_reaches_another_path() {
    let names = ["../victim", "../../victim", "/etc/hostname", "..", "a/b", "x/../../victim"];
    let program = Program::new().file("a.csv", "incidentId,status\n1,Active\n2,Active\n").file("victim", "precious\n");
    fs::create_dir(program.path("x")).expect("a directory");
    // Like the lock of a run, which is removed with the run.
    program.write("victim.lock", "precious\n");
    fs::set_permissions(program.path("victim.lock"), fs::Permissions::from_mode(0o600)).expect("a mode");
    let program = program.faulty_emulator(&["400@#1"]);
    program.send("a.csv").expect_code(1);
    let before = program.names();
    for name in names {
        for command in ["runs show", "runs results", "runs undo", "runs resume"] {
            program.run(&format!("{command} {name}")).expect_code(2);
        }
    }
    assert_eq!(program.names(), before);
    for name in names {
        {
            let journal = program.journal();
            journal
                .execute("UPDATE runs SET name = ?1 WHERE id = (SELECT min(id) FROM runs)", [name])
                .expect("it is changed");
            // As if it had been stopped before its last row.
            journal.execute("UPDATE runs SET state = 'ready'", []).expect("it is changed");
        }
        let origin = program.origin();
        for command in [
            format!("runs show {name}"),
            format!("runs results {name}"),
            format!("runs resume {name} --yes --settle 150ms --base-url {origin}"),
            format!("run a.csv --yes --settle 150ms --base-url {origin}"),
        ] {
            harmless(program.run(&command));
        }
        program.run("runs prune --older-than 0s");
        assert_eq!(program.read("victim"), "precious\n", "{name}");
        assert!(fs::read_to_string(program.path("victim.lock")).is_ok_and(|text| text == "precious\n"), "{name}");
    }
}

/// A server that responds to each request with this body, and closes.
pub(crate) fn server(status: &'static str, content_type: &'static str, body: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.expect("a connection"));
            let mut length = 0;
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) <= 2 {
                    break;
                }
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a length");
                }
            }
            // The client may have closed the connection.
            let _ = reader.by_ref().take(length).read_to_end(&mut Vec::new());
            let mut stream = reader.into_inner();
            let head = format!(
                "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\nrequest-id: \u{9b}2J\r\ncontent-length: {}\r\n\
                 connection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
        }
    });
    origin
}

/// Whatever the server sends, the results file is complete and the terminal is safe.
#[test]
fn hostile_responses_end_as_outcomes() {
    let deep = "[".repeat(100_000);
    let hostile = hostile().concat();
    let error = |text: &str| json!({"error": {"code": text, "message": text, "target": text}}).to_string();
    let differs = json!({"incidentId": 1, "status": hostile, "assignedTo": hostile, "comments": [{"comment": 5}]});
    let answers = [
        ("400 Bad", "application/json", error(&hostile).into_bytes()),
        ("404 \u{1b}[31m", "text/html", hostile.clone().into_bytes()),
        ("418 Teapot", "text/plain", vec![0xff; 100_000]),
        ("400 Bad", "application/json", deep.clone().into_bytes()),
        ("400 Bad", "application/json", format!("{{\"error\":{deep}").into_bytes()),
        ("200 OK", "application/json", differs.to_string().into_bytes()),
    ];
    at_once(answers, |(status, kind, body)| {
        let program = Program::new().file("a.csv", "incidentId,status\n1,Active\n");
        let origin = server(status, kind, body);
        let run = format!("run a.csv --yes -vvv --patience 0 --base-url {origin}");
        let ended = harmless(program.run(&run));
        // A status line with a control character is not HTTP, so this counts as no response.
        assert!(matches!(ended.code, Some(0 | 1 | 4)), "{status}: {}", ended.printed());
        let results = ended.results();
        assert_eq!(results.len(), 1, "{status}");
        results[0].values().for_each(|cell| assert!(cell.len() < 3_000, "{status}: {} bytes", cell.len()));
        harmless(program.run(&format!("{run} --format json")));
        harmless_table(program.run("runs list"));
    });
}

/// Each line of a JSON log stays one object and safe to print, whatever the file and the server contain.
#[test]
fn hostile_texts_stay_within_their_log_line() {
    let hostile = hostile()[..29].concat();
    let error = json!({"error": {"code": hostile, "message": hostile, "target": hostile}});
    let name = "a\u{1b}]0;x\u{7}\n{\"level\":\"ERROR\"}\u{202e}.csv";
    let program = Program::new().file(name, as_csv());
    let origin = server("400 Bad", "application/json", error.to_string().into_bytes());
    let options =
        ["-vvv", "--log-format", "json", "--settle", "10ms", "--patience", "0", "--yes", "--base-url", &origin];
    for to_file in [true, false] {
        let mut command = program.command_of(["run", name].iter().chain(&options));
        if to_file {
            command.args(["--log-file", "log.jsonl"]);
        }
        let ended = started(command).end();
        let log = if to_file { program.read("log.jsonl") } else { ended.stderr.clone() };
        let lines: Vec<&str> = log.lines().filter(|line| line.starts_with('{')).collect();
        assert!(lines.len() > 5, "{log}");
        assert!(!to_file || lines.len() == log.lines().count(), "{log}");
        for line in lines {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(line["timestamp"].is_string() && line["level"] != "ERROR", "{line}");
        }
        expect_harmless(&log);
    }
}

#[test]
fn endless_response_is_read_up_to_limit() {
    let program =
        Program::new().file("a.csv", "incidentId,status\n1,Active\n2,Active\n").faulty_emulator(&["huge@#1*1"]);
    program.send("a.csv").expect_code(0).expect_outcomes(&[("updated", 2)]);
}
