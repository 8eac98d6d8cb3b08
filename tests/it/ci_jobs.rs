//! CI jobs: annotations of `check`, and that no text from outside is a command of the job, in any output.

use std::collections::BTreeMap;

use crate::program::{Ended, Program, started};
use crate::untrusted_data::expect_no_command;

/// A value that each service would take for commands, if it were printed as it is, with all characters that are escaped.
const HOSTILE: &str = "::error::a, b: 100%; ##vso[task.complete result=Failed]c ##[error]d";

#[test]
fn check_annotates_as_documented() {
    let close = "incidentId,status\n1,Active\n2,InProgress\nx,Active\n3,Active,5\n";
    let program = Program::new().file("close.csv", close);
    let github = program.run("check close.csv --format github").expect_code(3);
    assert_eq!(
        github.stdout,
        "\
::error file=close.csv,line=3,col=3,title=unknown-value::`InProgress` is not a value of status
::error file=close.csv,line=4,col=1,title=id-invalid::`x` is not an incident ID
::error file=close.csv,line=5,col=10,title=too-many-cells::the row has 3 cells, the header has 2 columns
3 errors, 0 warnings
"
    );
    let azure = program.run("check close.csv --format azure").expect_code(3);
    assert_eq!(
        azure.stdout,
        "\
##vso[task.logissue type=error;sourcepath=close.csv;linenumber=3;columnnumber=3;code=unknown-value]`InProgress` is not a value of status
##vso[task.logissue type=error;sourcepath=close.csv;linenumber=4;columnnumber=1;code=id-invalid]`x` is not an incident ID
##vso[task.logissue type=error;sourcepath=close.csv;linenumber=5;columnnumber=10;code=too-many-cells]the row has 3 cells, the header has 2 columns
3 errors, 0 warnings
"
    );
    for format in ["github", "azure"] {
        let valid = Program::new().file("close.csv", "incidentId,status\n1,Active\n");
        let valid = valid.run(&format!("check close.csv --format {format}")).expect_code(0);
        assert_eq!((&*valid.stdout, &*valid.stderr), ("0 errors, 0 warnings\n", ""));
    }
}

#[test]
fn unreadable_input_is_not_counted_as_faultless() {
    for format in ["github", "azure"] {
        let ended = Program::new().run(&format!("check missing.csv --format {format}")).expect_code(3);
        assert_eq!(ended.expect_text("error: ").stdout, "");
    }
}

/// GitHub shows ten annotations of each kind.
#[test]
fn github_gets_nine_of_each_kind() {
    let rows: Vec<String> = (1..=12).map(|id| format!("{id},\"a,b\"\n{id}x,a\n")).collect();
    let program = Program::new().file("a.csv", format!("incidentId,tags\n{}", rows.concat()));
    let kinds = |format: &str| {
        let ended = program.run(&format!("check a.csv --format {format}")).expect_code(3);
        let kind = |line: &str| line.split(['=', ';', '\n']).next().unwrap_or_default().to_owned();
        (ended.stdout.lines().map(kind).collect::<Vec<_>>(), ended.stdout)
    };
    let (github, text) = kinds("github");
    let each = |kind: &str| [vec![format!("::{kind} file"); 9], vec![format!("::{kind}::and 3 more")]].concat();
    let count = vec!["12 errors, 12 warnings".to_owned()];
    assert_eq!(github, [each("error"), each("warning"), count].concat(), "{text}");
    let (azure, text) = kinds("azure");
    assert_eq!(azure.iter().filter(|kind| *kind == "##vso[task.logissue type").count(), 24, "{text}");
}

/// How a service writes a command: before it, after it, between its properties; and its escapes, in the order in which the
/// service takes them back.
struct Form(&'static str, &'static str, char, [(&'static str, &'static str); 5]);

const GITHUB: Form = Form("::", "::", ',', [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")]);
const AZURE: Form =
    Form("##vso[", "]", ';', [("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%AZP25", "%")]);

/// A line as a service reads it: the command, its properties, its message.
fn read(line: &str, Form(before, after, between, escapes): &Form) -> (String, BTreeMap<String, String>, String) {
    let unescaped =
        |text: &str| escapes.iter().fold(text.to_owned(), |text, (escape, character)| text.replace(escape, character));
    let (command, message) = line.strip_prefix(before).and_then(|line| line.split_once(after)).expect("a command");
    let (command, properties) = command.split_once(' ').expect("properties");
    let property = |property: &str| {
        let (name, value) = property.split_once('=').expect("a value");
        (name.to_owned(), unescaped(value))
    };
    (command.to_owned(), properties.split(*between).map(property).collect(), unescaped(message))
}

#[test]
fn hostile_cells_stay_within_their_annotation() {
    let name = "a,b;[c]%:100.csv";
    let program = Program::new().file(name, format!("incidentId,status\n1,\"{HOSTILE}\"\n\"{HOSTILE}\",Active\n"));
    let check = |format: &str| started(program.command_of(["check", name, "--format", format])).end().expect_code(3);
    let (github, azure) = (check("github"), check("azure"));
    let annotations = |ended: &Ended| ended.stdout.lines().count() - 1;
    assert!(annotations(&github) == 2 && annotations(&azure) == 2, "{}", github.stdout);
    for (github, azure) in github.stdout.lines().zip(azure.stdout.lines()).take(2) {
        assert_eq!(azure.matches("##vso[").count(), 1, "{azure}");
        let (command, of_github, message) = read(github, &GITHUB);
        let (issue, of_azure, same) = read(azure, &AZURE);
        assert_eq!((&*command, &*issue), ("error", "task.logissue"));
        assert_eq!((&*of_github["file"], &*of_azure["sourcepath"]), (name, name));
        assert_eq!((&of_github["line"], &of_github["col"]), (&of_azure["linenumber"], &of_azure["columnnumber"]));
        assert_eq!((&of_github["title"], &message), (&of_azure["code"], &same));
    }
}

fn harmless(ended: Ended) -> Ended {
    expect_no_command(&ended.stdout);
    expect_no_command(&ended.stderr);
    ended
}

/// What an input, the API and a file name say is in the output of every command, and in none of them a command.
#[test]
fn no_output_is_a_command_of_a_job() {
    let cell = |text: &str| format!("\"{text}\"");
    let rows: Vec<String> = (1..=4).map(|id| format!("{id},{h},{h},{h},{h}\n", h = cell(HOSTILE))).collect();
    let header = format!("incidentId,assignedTo,tags,comment,{}\n", cell(HOSTILE));
    let program = Program::new()
        .file("a.csv", format!("{header}{}", rows.concat()))
        .file("bad.csv", format!("{header}{}\n5,{},b,c,d\n", cell(HOSTILE), "long ".repeat(40) + HOSTILE.trim()))
        .file("::error::x ##vso[a.b]c.csv", "incidentId,status\nx,y\n")
        .faulty_emulator(&["400@#2", "cut-after@#3*1"]);
    let base = format!("--base-url {} --settle 150ms", program.origin());
    let run = |arguments: &str| harmless(program.run(arguments));
    for format in ["human", "json"] {
        run(&format!("check a.csv --format {format}"));
        run(&format!("check bad.csv --format {format}"));
        run(&format!("run a.csv --dry-run --format {format} {base}"));
        run(&format!("run a.csv --compare --dry-run --format {format} {base}"));
        run(&format!("run bad.csv --yes --format {format} {base}"));
        run(&format!("run a.csv --yes -vvv --remember 0 --format {format} {base}"));
        run(&format!("run a.csv --yes -vvv --remember 0 --log-format json --format {format} {base} --compare"));
        let plan = format!("{format}.plan");
        run(&format!("plan a.csv -o {plan} --compare --format {format} {base}"));
        run(&format!("plan {plan} --format {format}"));
        run(&format!("apply {plan} --yes --remember 0 --format {format} {base}"));
        run(&format!("fetch -o f-{format}.csv --limit 4 --format {format} {base}"));
        run(&format!("fetch -o f-{format}.jsonl --limit 4 --format {format} {base}"));
        run(&format!("runs list --format {format}"));
        let last = program.last_run();
        run(&format!("runs show {last} --all --format {format}"));
        run(&format!("runs undo {last} -o undo-{format}.plan --format {format} {base}"));
        run(&format!("config run --format {format}"));
    }
    run(&format!("fetch -o - --limit 4 {base}"));
    run(&format!("runs results {}", program.last_run()));
    for arguments in [
        vec!["check", "::error::x ##vso[a.b]c.csv"],
        vec!["run", "::error::x ##vso[a.b]c.csv", "--emulator", "--yes", "--skip-invalid"],
        vec!["check", "a.csv", "--set", HOSTILE],
        vec!["check", "a.csv", "--contract", HOSTILE],
        vec!["check", HOSTILE],
        vec![HOSTILE],
        vec!["run", "a.csv", "--tenant", HOSTILE, "--quota", HOSTILE],
        vec!["runs", "show", HOSTILE],
        vec!["config", "run", "--tenant", HOSTILE],
    ] {
        harmless(started(program.command_of(arguments)).end());
    }
    let mut settings = program.command("check a.csv");
    settings.env("BULK_TRIAGE_QUOTA", HOSTILE).env("BULK_TRIAGE_CONTRACT", HOSTILE);
    harmless(started(settings).end()).expect_code(2);
    program.write("bulk-triage.toml", format!("contract = '{HOSTILE}'\n'{HOSTILE}' = 1\n"));
    run("check a.csv").expect_code(2);
}
