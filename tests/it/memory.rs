//! Promise 8: memory does not grow with the input, except for the set of seen IDs.
//!
//! The kernel enforces the limit: a process that needs more aborts. The inputs are several times larger.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::program::{Ended, Program, closing, started};

/// In KiB, threads included: what the design allows.
const BOUND: u32 = 48 * 1024;

/// Enough for all but the worst chunks, so that inputs can be shorter.
const TIGHT: u32 = 32 * 1024;

/// Runs it under the limit, with `input` on standard input.
fn bounded(
    bound: u32,
    program: &Program,
    arguments: &str,
    input: impl Fn(&mut dyn Write) -> std::io::Result<()>,
) -> Ended {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -d {bound}; exec \"$0\" {arguments}"), env!("CARGO_BIN_EXE_bulk-triage")]);
    command.current_dir(program.path("")).env("BULK_TRIAGE_STATE_DIR", program.path("state"));
    command.env("XDG_CONFIG_HOME", program.path(".config")).env("BULK_TRIAGE_SYSTEM_CONFIG", "/nowhere/config.toml");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    command.stdin(Stdio::from(reader));
    let running = started(command);
    let mut writer = std::io::BufWriter::new(writer);
    // If the program exits early, its exit tells more than the broken pipe.
    let _ = input(&mut writer).and_then(|()| writer.flush());
    drop(writer);
    running.end()
}

#[test]
fn memory_bound_is_enforced() {
    let program = Program::new();
    let ended = bounded(TIGHT, &program, "check - --limit 1", |out| out.write_all(closing(1..=3).as_bytes()));
    ended.expect_code(0);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -d {BOUND}; exec head -c 100000000 /dev/zero | tail -c 100000000")]);
    command.current_dir(program.path("")).stdout(Stdio::null()).stderr(Stdio::piped());
    assert_ne!(crate::program::started_as_it_is(command).end().code, Some(0), "the kernel keeps no bound");
}

/// 10,000 rows, 40 MB.
fn long_comments(out: &mut dyn Write) -> std::io::Result<()> {
    let comment = "x".repeat(4_000);
    writeln!(out, "incidentId,comment")?;
    (1..=10_000).try_for_each(|id| writeln!(out, "{id},{comment}"))
}

#[test]
fn long_input_is_checked_in_bounded_memory() {
    let ended = bounded(TIGHT, &Program::new(), "check -", long_comments).expect_code(0);
    ended.expect_text("10000 rows");
}

#[test]
fn errors_in_every_row_use_bounded_memory() {
    let rows = |out: &mut dyn Write| {
        writeln!(out, "incidentId,status")?;
        (1..=80_000).try_for_each(|id| writeln!(out, "{id},Resolvd"))
    };
    let program = Program::new();
    bounded(BOUND, &program, "check - --format json > found.json", rows).expect_code(3);
    assert!(program.read("found.json").lines().count() > 80_000);
}

/// Well above the limit.
const MIB_WITHOUT_END: u32 = 48;

#[test]
fn endless_record_is_skipped_in_bounded_memory() {
    let chunk = "x".repeat(1 << 20);
    for (head, code) in
        [("incidentId,comment\n1,", 3), ("incidentId,comment\n1,\"", 3), ("incidentId,", 3), ("{\"a\":\"", 3)]
    {
        let rows = |out: &mut dyn Write| {
            out.write_all(head.as_bytes())?;
            (0..MIB_WITHOUT_END).try_for_each(|_| out.write_all(chunk.as_bytes()))
        };
        bounded(TIGHT, &Program::new(), "check -", rows).expect_code(code);
    }
}

#[test]
fn long_run_is_loaded_in_bounded_memory() {
    let program = Program::new();
    let arguments = "run - --emulator --yes --quota 5/1h --stop-after 200ms --results r.csv -q";
    bounded(TIGHT, &program, arguments, long_comments).expect_code(4);
    assert_eq!(program.read("r.csv").lines().count(), 10_001);
}

#[test]
fn large_waiting_rows_use_bounded_memory() {
    let carried = "x".repeat(200_000);
    let rows = |out: &mut dyn Write| {
        writeln!(out, "incidentId,status,mine")?;
        (1..=300).try_for_each(|id| writeln!(out, "{id},Active,{carried}"))
    };
    let arguments = "run - --emulator --yes --quota 5/1h --stop-after 500ms --results r.csv -q";
    bounded(BOUND, &Program::new(), arguments, rows).expect_code(4);
}

/// Rows in which each incident occurs many times. A row takes 24 bytes in memory, and its diagnostic would take about
/// 900: 70 MB in total.
const REPEATED: u64 = 80_000;

/// Rows of so many incidents that repeat the same change or conflict.
fn repeated(ids: u64, contradict: bool) -> impl Fn(&mut dyn Write) -> std::io::Result<()> {
    move |out| {
        writeln!(out, "incidentId,status")?;
        (0..REPEATED).try_for_each(|row| {
            let status = if contradict && row / ids % 2 == 1 { "Resolved" } else { "Active" };
            writeln!(out, "{},{status}", 1 + row % ids)
        })
    }
}

#[test]
fn repeated_ids_use_bounded_memory() {
    let inputs = [
        (1, false, "-", "json"),
        (2, false, "a.csv", "json"),
        (1, true, "a.csv", "human"),
        (2, true, "-", "human"),
        (REPEATED / 2, true, "-", "json"),
        (REPEATED / 2, false, "a.csv", "human"),
    ];
    for (ids, contradict, input, format) in inputs {
        let program = Program::new();
        let rows = repeated(ids, contradict);
        let arguments = format!("check {input} --format {format} > found");
        let ended = if input == "-" {
            bounded(TIGHT, &program, &arguments, rows)
        } else {
            let mut file = std::io::BufWriter::new(std::fs::File::create(program.path(input)).expect("a file"));
            rows(&mut file).and_then(|()| file.flush()).expect("it is written");
            bounded(TIGHT, &program, &arguments, |_| Ok(()))
        };
        let code = if contradict { 3 } else { 0 };
        assert_eq!(ended.code, Some(code), "{ids} {contradict} {arguments}: {}", ended.printed());
        let lines = program.read("found").lines().count() as u64;
        match format {
            "json" => assert_eq!(lines, REPEATED - ids + 2, "{ids} {contradict}"),
            _ => assert!(lines < 300, "{ids} {contradict}: {lines}"),
        }
    }
}
