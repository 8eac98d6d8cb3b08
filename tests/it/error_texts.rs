//! Every error before anything is sent, as full text: exit code, message and hint. One snapshot `error-NAME.snap` for
//! each class. To accept a change, see [`crate::redact`].

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::{Command, Stdio};

use bulk_triage::model::diagnostic::codes;

use crate::consent::forged;
use crate::program::{Program, closing, finished, journal_in, names_in, of_the_project, started, started_as_it_is};
use crate::story::Story;
use crate::tokens::jwt;

/// Two valid rows, and an emulator that receives nothing.
fn program() -> Program {
    Program::new().file("a.csv", closing(1..=2)).emulator(|_| ())
}

fn set_mode(program: &Program, name: &str, mode: u32) {
    fs::set_permissions(program.path(name), Permissions::from_mode(mode)).expect("its owner");
}

fn directory(program: &Program, name: &str) {
    fs::create_dir(program.path(name)).expect("a directory");
}

fn assert_nothing_was_sent(program: &Program) {
    assert!(program.requests().is_empty());
}

#[test]
fn invalid_csv() {
    let header = "incidentId,status,assignedTo,classification,determination,tags,comment\n";
    let values = "1,Resolvd,,,,,\n2,Resolvd,,,,,\n,Active,,,,,\n007,Active,,,,,\n1e5,Active,,,,,\n6,InProgress,,,,,\n\
                  7,,,FalsePositive,Malware,,\n8,,,,Malware,,\n9,,,,,,\n10,<clear>,,,,,\n11,,,,,+vip; noise,\n\
                  12,,,,,\"[\"\"a\"\",\",\n13,,,,,a; ; b,\n14,,,,,,\"   \"\n15,Not set,,,,,\n";
    let doubtful = "16,Active, ana@contoso.com,,,,\n19,Active,,,,,same\n19,Active,,,,,same\n21,Redirected,,,,,\n\
                    22,,,,,\"a,b\",\n23,Active,,,,,\u{202e}hidden\u{1b}[31m\n24,Active,,,,,None\n";
    let long = format!("25,Active,,,,,{}\n26,Active,,,,,last", "x".repeat(30_001));
    let shape = "17,Active\n18,Active,,,,,so, it was\n20,Active,,,,,\n20,Resolved,,,,,\n25,Active,,,,,nul \0 byte\n\
                 26,Active,,,,,a\rb\n";
    let program = program().file("values.csv", format!("{header}{values}"));
    program.write("doubtful.csv", format!("{header}{doubtful}{long}"));
    program.write("shape.csv", [header.as_bytes(), shape.as_bytes(), b"27,Active,,,,,Gr\xfc\xdfe\n"].concat());
    program.write("cut.csv", "owner,status,incidentId\nana,Active,27");
    program.write("small.csv", "incidentId,status\n1,Active\n2,Resolvd\n");
    let mut story = Story::of(&program);
    for arguments in [
        "check values.csv",
        "check doubtful.csv",
        "check cut.csv",
        "check shape.csv",
        "check small.csv --format json",
        "run small.csv --emulator --yes",
        "run small.csv --emulator --dry-run -q",
        "plan small.csv -o a.plan",
    ] {
        story.run(arguments);
    }
    story.is("error-input-csv");
}

#[test]
fn invalid_jsonl() {
    let rows = "{\"incidentId\":1,\"status\":\"Resolved\"}\n[2]\n{\"incidentId\":3,\n\
                {\"incidentId\":4,\"status\":\"Active\",\"status\":\"Resolved\"}\n{\"incidentId\":5,\"status\":5}\n\
                {\"incidentId\":6,\"tags\":[\"a\",1]}\n{\"incidentId\":true,\"status\":\"Active\"}\n\
                {\"incidentId\":1.0,\"status\":\"Active\"}\n{\"status\":\"Active\"}\n{\"incidentId\":7,\"statsu\":\"Active\"}\n\
                {\"incidentId\":8,\"status\":\"Resolvd\"}\n{\"incidentId\":9,\"tags\":[]}\n\n{\"incidentId\":10}\n";
    let program = program().file("bad.jsonl", rows);
    let mut story = Story::of(&program);
    story.run("check bad.jsonl").run("check bad.jsonl --format json").is("error-input-jsonl");
}

#[test]
fn unreadable_input() {
    let program = program();
    directory(&program, "dir.csv");
    let endless = "x".repeat(70_000);
    let header = (0..9_000).map(|number| format!("column-{number}")).collect::<Vec<_>>().join(",");
    let utf16: Vec<u8> = "incidentId;status\n1;\u{fffd}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files: [(&str, &[u8]); 22] = [
        ("empty.csv", b""),
        ("workbook.csv", b"PK\x03\x04\x14\0\x06\0"),
        ("zipped.csv", b"\x1f\x8b\x08\0\0\0\0\0"),
        ("page.csv", b"<!DOCTYPE html><html><body>Sign in</body></html>"),
        ("list.jsonl", b"[\n  {\"incidentId\": 1, \"status\": \"Resolved\"}\n]\n"),
        ("utf16.csv", b"i\0n\0c\0i\0d\0e\0n\0t\0I\0d\0\n\0"),
        ("utf16-mark.csv", &[b"\xff\xfe", &*utf16].concat()),
        ("header.csv", header.as_bytes()),
        ("endless.csv", endless.as_bytes()),
        ("latin.csv", b"incidentId,Gr\xfc\xdfe\n1,x\n"),
        ("no-id.csv", b"status,comment\nResolved,x\n"),
        ("late-header.csv", b"Exported by us,,\nincidentId,status,comment\n1,Active,x\n"),
        ("twice.csv", b"incidentId,status,Status\n1,Active,Active\n"),
        ("misspelt.csv", b"incidentId,clasification\n1,FalsePositive\n"),
        ("no-property.csv", b"incidentId,rule\n1,x\n"),
        ("quote.csv", b"incidentId,comment\n1,fine\n2,\"opened\n3,swallowed\n"),
        ("after-quote.csv", b"incidentId,comment\n1,\"a\"b\n"),
        ("large.csv", &[b"incidentId,comment\n1,", &*vec![b'x'; (1 << 20) + 1], b"\n"].concat()),
        ("portal.csv", &fs::read(of_the_project("samples/portal-export.csv")).expect("a sample")),
        ("first.jsonl", b"{\"incidentId\":1,\"status\":\"Act\n"),
        ("dropped.results.csv", b"row,line,incident_id,outcome,code,message,http_status,attempts,request_id,finished_at,incidentId,status\n1,2,1,done,,,,1,,,1,Active\n"),
        ("dropped.results.jsonl", b"{\"row\":1,\"line\":1,\"incident_id\":\"1\",\"outcome\":\"updated\",\"code\":\"\",\"message\":\"\",\"http_status\":200,\"attempts\":1,\"request_id\":null,\"finished_at\":null,\"input\":{\"incidentId\":1,\"status\":\"Active\"}}\n{\"row\":2}\n"),
    ];
    for (name, content) in files {
        program.write(name, content);
    }
    program.write("portal-comment.csv", program.read("portal.csv").replacen('\n', ",comment\n", 1));
    let mut story = Story::of(&program);
    for (name, _) in files {
        story.run(&format!("check {name}"));
    }
    for name in ["portal-comment.csv --set status=Active", "missing.csv", "dir.csv", "a.csv --only failed"] {
        story.run(&format!("check {name}"));
    }
    story.run("run missing.csv --emulator --yes").run("check missing.csv --format json").is("error-input-file");
    assert_nothing_was_sent(&program);
}

/// Codes that no small input can cause.
const NOT_SHOWN: [&str; 2] = ["too-many-lines", "input-changed"];

#[test]
fn every_diagnostic_is_in_a_snapshot() {
    let folder = of_the_project("tests/it/snapshots");
    let inputs = names_in(&folder).into_iter().filter(|name| name.starts_with("error-input-"));
    let texts: String = inputs.map(|name| fs::read_to_string(folder.join(name)).expect("a snapshot")).collect();
    let is_shown = |code: &str| ["error", "warning"].iter().any(|level| texts.contains(&format!("{level}[{code}]")));
    let missing: Vec<_> = codes::ALL.iter().map(|code| code.name).filter(|code| !is_shown(code)).collect();
    assert_eq!(missing, NOT_SHOWN);
}

#[test]
fn values_the_set_option_rejects() {
    let program = program();
    let mut story = Story::of(&program);
    for set in [
        "status",
        "statsu=Resolved",
        "nonsense=1",
        "incidentId=7",
        "status=resolvd",
        "status=InProgress",
        "status=",
        "tags=+a;b",
        "status=<clear>",
        "status=Active --set status=Active",
    ] {
        story.run(&format!("check a.csv --set {set}"));
    }
    let mut blank = program.command("run a.csv --emulator --yes --set");
    blank.arg("comment= ");
    story.command("", blank).is("error-set");
}

#[test]
fn unusable_contracts() {
    let extends = "extends = \"defender\"\n";
    let program = program();
    directory(&program, "dir.toml");
    let files = [
        ("syntax.toml", "extends = \n".to_owned()),
        ("nothing.toml", "quota = \"1/1m,1/1h\"\n".to_owned()),
        ("member.toml", format!("{extends}path = \"/other\"\n")),
        ("base.toml", "extends = \"defendr\"\n".to_owned()),
        ("name.toml", format!("{extends}name = \"defender\"\n")),
        ("quota.toml", format!("{extends}quota = \"500/1m\"\n")),
        ("no-quota.toml", format!("{extends}quota = \"many\"\n")),
        ("audience.toml", format!("{extends}audiences = [\"\"]\n")),
        ("origin.toml", format!("{extends}origin = \"api.contoso.com\"\n")),
        ("property.toml", format!("{extends}[[properties]]\nname = \"severity\"\nvalues = []\n")),
        ("text.toml", format!("{extends}[[properties]]\nname = \"comment\"\nvalues = [{{ value = \"a\" }}]\n")),
        (
            "spelling.toml",
            format!(
                "{extends}[[properties]]\nname = \"status\"\nvalues = [{{ value = \"Open\", aliases = [\"active\"] }}]\n"
            ),
        ),
        ("blank.toml", format!("{extends}[[properties]]\nname = \"status\"\nvalues = [{{ value = \" \" }}]\n")),
        (
            "rule.toml",
            format!(
                "{extends}[[dependencies]]\nproperty = \"determination\"\non = \"classification\"\nallowed = {{ Unsure = [\"Clean\"] }}\n"
            ),
        ),
        (
            "rule-value.toml",
            format!(
                "{extends}[[dependencies]]\nproperty = \"determination\"\non = \"classification\"\nallowed = {{ FalsePositive = [\"Unsure\"] }}\n"
            ),
        ),
        ("large.toml", "#".repeat((1 << 20) + 1)),
    ];
    let mut story = Story::of(&program);
    for name in ["nonsense", "defendr", "missing.toml", "dir.toml"] {
        story.run(&format!("contract {name}"));
    }
    for (name, content) in files {
        program.write(name, content);
        story.run(&format!("check a.csv --contract {name}"));
    }
    story.run("run a.csv --contract defendr --emulator --yes").is("error-contract");
}

#[test]
fn refused_base_urls_and_quotas() {
    let program = program();
    program.write("ours.toml", "extends = \"defender\"\norigin = \"https://incidents.example.com\"\n");
    program.write("http.toml", "extends = \"defender\"\norigin = \"http://incidents.example.com\"\n");
    program.write("local.toml", format!("extends = \"defender\"\norigin = \"{}\"\n", program.origin()));
    let mut story = Story::of(&program);
    for url in [
        "nonsense",
        "http://api.example.com",
        "https://api.example.com/path",
        "https://me:pw@api.example.com",
        "ftp://x",
    ] {
        story.run(&format!("run a.csv --yes --base-url {url}"));
    }
    for options in [
        "--contract ours.toml --yes",
        "--contract ours.toml --dry-run",
        "--contract http.toml --yes",
        "--base-url https://api.example.com --quota 51/1m,1500/1h",
        "--base-url https://api.example.com --quota 50/1m --dry-run",
    ] {
        story.run(&format!("run a.csv {options}"));
    }
    story.run("fetch -o open.csv --contract ours.toml").run("plan a.csv --contract ours.toml --compare");
    let mut local = program.command("run a.csv --contract local.toml --yes");
    local.env("BULK_TRIAGE_TOKEN", jwt(r#"{"tid":"11111111-1111-1111-1111-111111111111"}"#));
    story.command("BULK_TRIAGE_TOKEN=JWT ", local).is("error-target");
    assert_nothing_was_sent(&program);
}

#[test]
fn invalid_token_text() {
    let program = program();
    let mut story = Story::of(&program);
    for arguments in ["run a.csv --yes", "run a.csv --compare --dry-run", "fetch -o open.csv", "plan a.csv --compare"] {
        let mut command = program.command(&format!("{arguments} --base-url {}", program.origin()));
        command.env_remove("BULK_TRIAGE_TOKEN");
        story.command("BULK_TRIAGE_TOKEN= ", command);
    }
    for (shown, token) in [
        ("\\n", "\n".to_owned()),
        ("xxxx…", "x".repeat(70_000)),
        ("\"eyJ0.eyJ0.x\"", "\"eyJ0.eyJ0.x\"".to_owned()),
        ("'Bearer eyJ0'", "Bearer eyJ0".to_owned()),
        ("null", "null".to_owned()),
        ("{}", "{}".to_owned()),
        ("{\"access_token\":\"\"}", "{\"access_token\":\"\"}".to_owned()),
        ("'two words'", "two words".to_owned()),
        ("é", "\u{e9}".to_owned()),
    ] {
        let mut command = program.command("run a.csv --yes");
        command.env("BULK_TRIAGE_TOKEN", token);
        story.command(&format!("BULK_TRIAGE_TOKEN={shown} "), command);
    }
    story.is("error-token-text");
}

#[test]
fn refused_token_files() {
    let program = program();
    directory(&program, "dir");
    let utf16: Vec<u8> = "\u{feff}eyJ0".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (name, content, mode) in [
        ("readable", b"eyJ0".as_slice(), 0o644),
        ("group", b"eyJ0", 0o640),
        ("writable", b"eyJ0", 0o602),
        ("utf16", &utf16, 0o600),
        ("bearer", b"Bearer eyJ0\n", 0o600),
    ] {
        program.write(name, content);
        set_mode(&program, name, mode);
    }
    let mut story = Story::of(&program);
    for file in [
        "missing",
        "dir",
        "/dev/null",
        "readable",
        "group",
        "writable",
        "utf16",
        "bearer",
        "writable --token-file-mode any",
    ] {
        story.run(&format!("run a.csv --yes --token-file {file}"));
    }
    story.run("fetch -o open.csv --token-file readable").run("emulator --token-file missing");
    story.is("error-token-file");
}

#[test]
fn tokens_for_something_else() {
    let program = program();
    let mut story = Story::of(&program);
    let tenant = "11111111-1111-1111-1111-111111111111";
    for (options, claims) in [
        ("", r#"{"aud":"https://graph.microsoft.com","scp":"User.Read"}"#.to_owned()),
        ("", r#"{"aud":"https://api.security.microsoft.com","scp":"User.Read Mail.Read"}"#.to_owned()),
        ("", r#"{"aud":"https://api.security.microsoft.com","roles":["Incident.Read.All"]}"#.to_owned()),
        ("", r#"{"aud":"https://api.security.microsoft.com"}"#.to_owned()),
        (" --scope 22222222-2222-2222-2222-222222222222", format!(r#"{{"tid":"{tenant}"}}"#)),
        ("", r#"{"exp":1700000000}"#.to_owned()),
    ] {
        let mut command = program.command(&format!("run a.csv --yes{options}"));
        command.env("BULK_TRIAGE_TOKEN", jwt(&claims));
        story.command(&format!("BULK_TRIAGE_TOKEN={claims} "), command);
    }
    story.is("error-token-claims");
}

#[test]
fn refused_plans() {
    let program = program();
    directory(&program, "dir.plan");
    let origin = program.origin();
    program.run(&format!("plan a.csv -o a.plan --base-url {origin}")).expect_code(0);
    let plan = program.read("a.plan");
    program.write("cut.plan", &plan[..plan.len() - 10]);
    program.write("changed.plan", plan.replacen("Resolved", "resolved", 1));
    program.write("newer.plan", plan.replacen("{\"plan\":2,", "{\"plan\":9,", 1));
    program.write(
        "path.plan",
        forged(&plan, |header, _| {
            let rules = header["rules"].as_str().expect("TOML").replace("/api/incidents/{id}", "/api/machines/{id}");
            header["rules"] = rules.into();
        }),
    );
    program.write(
        "rules.plan",
        forged(&plan, |header, _| {
            let rules = header["rules"].as_str().expect("TOML").replace("\"50/1m,1500/1h\"", "\"10/1m,100/1h\"");
            header["rules"] = rules.into();
        }),
    );
    program.write("row.plan", forged(&plan, |_, rows| rows[0] = rows[0].replace("Resolved", "Isolated")));
    program.write("twice.plan", forged(&plan, |_, rows| rows[1] = rows[0].clone()));
    program.write("far.plan", forged(&plan, |header, _| header["origin"] = "https://incidents.example.com".into()));
    let mut story = Story::of(&program);
    for name in ["missing", "dir", "cut", "changed", "newer", "path", "rules", "row", "twice", "far"] {
        story.run(&format!("apply {name}.plan --yes"));
    }
    for arguments in [
        "apply a.csv --yes",
        "apply a.plan --yes --base-url https://api.example.com",
        "apply a.plan --yes --contract defender",
        "apply a.plan --yes --contract missing.toml",
        "plan cut.plan",
        "plan far.plan",
        "plan a.plan -o b.plan",
        "plan a.plan --compare",
        "plan a.csv -o - --format json",
        "apply a.plan",
    ] {
        story.run(arguments);
    }
    let with = |arguments: &str, tenant: &str| {
        let mut command = program.command(arguments);
        command.env("BULK_TRIAGE_TOKEN", jwt(&format!(r#"{{"tid":"{tenant}"}}"#)));
        command
    };
    started(with("plan a.csv -o tenant.plan", "11111111-1111-1111-1111-111111111111")).end().expect_code(0);
    let other = with("apply tenant.plan --yes", "22222222-2222-2222-2222-222222222222");
    story.command("BULK_TRIAGE_TOKEN={\"tid\":\"22222222-…\"} ", other).is("error-plan");
    assert_nothing_was_sent(&program);
}

#[test]
fn refused_output_paths() {
    let program =
        program().file("notes.csv", "my notes\n").file("notes.html", "my notes\n").file("notes.plan", "my notes\n");
    for dir in ["dir.csv", "dir.html", "dir.plan"] {
        directory(&program, dir);
    }
    symlink("notes.csv", program.path("link.csv")).expect("a link");
    program.write("first.csv", "my notes\n");
    fs::hard_link(program.path("first.csv"), program.path("hard.csv")).expect("a link");
    assert!(finished(Command::new("mkfifo").arg(program.path("pipe.csv"))).expect("mkfifo").success());
    let mut story = Story::of(&program);
    for path in [
        "notes.csv",
        "hard.csv",
        "dir.csv",
        "link.csv",
        "pipe.csv",
        "/dev/full",
        "r.jsonl",
        "a.csv",
        "missing/r.csv",
        "a.csv/r.csv",
        "-",
    ] {
        story.run(&format!("run a.csv --yes --results {path}"));
    }
    for path in ["r.txt", "notes.html", "dir.html", "missing/r.html", "a.csv", "-"] {
        story.run(&format!("run a.csv --yes --report {path}"));
    }
    story.run("run a.csv --dry-run --results r.html --report r.html");
    for path in ["notes.plan", "dir.plan", "missing/a.plan", "a.csv"] {
        story.run(&format!("plan a.csv -o {path}"));
    }
    story.run("runs undo 7f3k -o -");
    for path in ["open.txt", "notes.csv", "dir.csv", "link.csv", "missing/open.csv"] {
        story.run(&format!("fetch -o {path}"));
    }
    for path in ["link.csv", "pipe.csv", "dir.csv", "a.csv", "missing/log.txt", "state/log.txt", "-"] {
        story.run(&format!("run a.csv --yes --log-file {path}"));
    }
    story.run("emulator --log -").run("emulator --log dir.csv").run("emulator --log link.csv");
    story.run("emulator --sign-in 1h --sign-in-log -").run("emulator --sign-in-log log.txt");
    story.run("emulator --sign-in 1h --sign-in-certificate a.csv");
    story.run("emulator --sign-in 1h --sign-in-secret-file missing");
    story.is("error-outputs");
    assert_nothing_was_sent(&program);
}

#[test]
fn refused_state_directories_and_journals() {
    let program = program().file("file", "");
    symlink("/nowhere/at/all", program.path("dangling")).expect("a link");
    directory(&program, "wide");
    program.write("wide/notes.txt", "my notes\n");
    set_mode(&program, "wide", 0o755);
    for name in ["garbage", "others"] {
        directory(&program, name);
        set_mode(&program, name, 0o700);
        program.write(&format!("{name}/journal.db"), b"no database ".repeat(if name == "garbage" { 700 } else { 0 }));
        set_mode(&program, &format!("{name}/journal.db"), 0o600);
    }
    journal_in(&program.path("others")).execute_batch("CREATE TABLE notes (note)").expect("a database");
    for (name, change) in [("newer", "PRAGMA user_version = 99"), ("older", "PRAGMA user_version = 1")] {
        let plan = format!("run a.csv --compare --dry-run --state-dir {name} --base-url {}", program.origin());
        program.run(&plan).expect_code(0);
        journal_in(&program.path(name)).execute_batch(change).expect("a journal");
    }
    let mut story = Story::of(&program);
    for dir in ["file", "file/state", "dangling", "wide", "garbage", "others", "newer", "older"] {
        story.run(&format!("run a.csv --yes --state-dir {dir}"));
        story.run(&format!("runs --state-dir {dir}"));
    }
    story.is("error-journal");
}

#[test]
fn unknown_runs() {
    let program = program();
    let mut story = Story::of(&program);
    for arguments in
        ["show 7f3k", "results 7f3k", "resume 7f3k --yes", "undo 7f3k -o undo.plan", "prune --older-than 1h"]
    {
        story.run(&format!("runs {arguments}"));
    }
    story.run("runs show 7f3k --format json").is("error-runs");
}

#[test]
fn impossible_prompts() {
    let program = program();
    let mut story = Story::of(&program);
    story.run("run a.csv").run("run -");
    for which in ["--status open", "--created-since yesterday", "--updated-since 24", "--limit some"] {
        story.run(&format!("fetch -o open.csv {which}"));
    }
    story.is("error-questions");
}

#[test]
fn limits_of_the_machine() {
    let program = program();
    let mut story = Story::of(&program);
    let to_full = |arguments: &str| {
        let mut command = program.command(arguments);
        command.stdout(File::options().write(true).open("/dev/full").expect("a device")).stderr(Stdio::piped());
        command
    };
    for arguments in [
        "check a.csv",
        "runs",
        "contract defender",
        "man",
        "completions bash",
        "run a.csv --emulator --dry-run",
        "plan a.csv -o -",
    ] {
        let ended = started_as_it_is(to_full(arguments)).end();
        story.ended(&format!("bulk-triage {arguments} > /dev/full"), &ended);
    }
    for arguments in ["check a.csv", "plan a.csv -o -", "contract defender"] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = program.command(arguments);
        command.stdout(writer).stderr(Stdio::piped());
        story.ended(&format!("bulk-triage {arguments} | true"), &started_as_it_is(command).end());
    }
    let sent = program.send_command("a.csv");
    let mut limited = crate::program::in_place_of(&sent, "sh");
    limited.args(["-c", "ulimit -n 12; exec \"$0\" \"$@\""]).arg(sent.get_program()).args(sent.get_args());
    story.ended("ulimit -n 12; bulk-triage run a.csv --yes", &started(limited).end());
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    story.ended("bulk-triage emulator --port TAKEN", &program.run(&format!("emulator --port {port}")));
    story.is("error-machine");
}
