//! Retention: what results files are called and which of them are deleted (`--results-dir`, `--results-keep`), and
//! `runs prune` on a schedule.

use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;

use rustix::process::Signal;

use bulk_triage::emulator::DateHeader;
use jiff::SignedDuration;

use crate::program::{Program, closing};

fn program() -> Program {
    let program = Program::new().file("a.csv", closing(1..=3)).emulator(|_| ());
    fs::create_dir(program.path("r")).expect("a directory");
    program
}

/// The names of the results in `r`, with `DAY` and `RUN` for what differs each time.
fn names(program: &Program) -> Vec<String> {
    crate::program::names_in(&program.path("r"))
}

fn is_dated(name: &str, stem: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let [of, day, run, "results", "csv"] = parts[..] else { return false };
    let is_day = day.len() == 10 && day.split('-').all(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    of == stem && is_day && run.len() == 4
}

/// Sets the modification time of a file that was just written back by this number of days.
fn age(program: &Program, name: &str, days: u64) {
    let file = File::options().append(true).open(program.path("r").join(name)).expect("a file");
    let written = file.metadata().and_then(|found| found.modified()).expect("a time");
    file.set_modified(written - Duration::from_hours(days * 24)).expect("its time is set");
}

#[test]
fn results_are_named_by_input_day_and_run() {
    let program = program();
    let ended = program.send("a.csv --results-dir r").expect_code(0);
    let names_of_first = names(&program);
    assert!(names_of_first.len() == 1 && is_dated(&names_of_first[0], "a"), "{names_of_first:?}");
    assert_eq!(ended.results_path(), program.path("r").join(&names_of_first[0]));
    // Its results as an input: their stem is that of the first one.
    program.send(&format!("r/{} --only updated --remember 0 --results-dir r", names_of_first[0])).expect_code(0);
    let all = names(&program);
    assert!(all.len() == 2 && all.iter().all(|name| is_dated(name, "a")), "{all:?}");
    program.run(&format!("runs results {}", program.last_run())).expect_code(0);
    assert_eq!(names(&program), all);
}

#[test]
fn results_dir_excludes_results() {
    let program = program().file("config.toml", "results-dir = 'r'\nresults-keep = '720h'\n");
    program.send("a.csv --results-dir r --results x.csv").expect_code(2).expect_text("--results");
    program.send("a.csv --results-keep 720h").expect_code(2).expect_text("--results-dir");
    program.send("a.csv --results-dir r --results-keep 23h").expect_code(2).expect_text("24h");
    program.send("a.csv --results-dir missing").expect_code(2).expect_text("missing");
    assert!(program.requests().is_empty());
    // A setting gives way to what is typed.
    program.send("a.csv --config config.toml --results x.csv").expect_code(0);
    assert_eq!(names(&program), Vec::<String>::new());
    assert!(program.path("x.csv").exists());
}

#[test]
fn resumed_run_keeps_its_results_file() {
    let program = program();
    let running = program.start_sending("a.csv --quota 1/1h --concurrency 1 --results-dir r");
    program.wait_for_requests(1);
    running.signal(Signal::INT);
    running.end().expect_code(4);
    let before = names(&program);
    // It is old by now, but the run is not finished: another run keeps it.
    age(&program, &before[0], 40);
    program.write("b.csv", closing(11..=12));
    program.send("b.csv --quota 100/1s --results-dir r --results-keep 30d").expect_code(0);
    assert!(program.path("r").join(&before[0]).exists());
    program.age_the_journal(4_000);
    let ended = program.send("a.csv --results-dir r --results-keep 30d").expect_code(0);
    assert_eq!(ended.results_path(), program.path("r").join(&before[0]));
    ended.expect_outcomes(&[("updated", 3)]);
    // Now it is finished.
    age(&program, &before[0], 40);
    program.send("b.csv --remember 0 --results-dir r --results-keep 30d").expect_code(0).expect_text("deleted 1 old");
    assert!(!program.path("r").join(&before[0]).exists());
}

#[test]
fn only_old_results_of_ours_are_deleted() {
    let program = program();
    program.send("a.csv --results-dir r").expect_code(0);
    let results = fs::read(program.path("r").join(&names(&program)[0])).expect("reads");
    let at = |name: &str| program.path("r").join(name);
    let write = |name: &str, content: &[u8]| {
        fs::write(at(name), content).expect("a file");
        fs::set_permissions(at(name), fs::Permissions::from_mode(0o600)).expect("a mode");
        age(&program, name, 31);
    };
    for name in ["a.2020-01-01.abcd.results.csv", "b.c.2020-01-01.efgh.results.csv"] {
        write(name, &results);
    }
    let kept = [
        ("a.2020-01-02.abcd.results.csv", &b"incidentId,status\n1,Active\n"[..]),
        ("a.2020-01-03.abcd.results.csv", &b""[..]),
        ("a.abcd.results.csv", &results),
        ("a.2020-01-01.abcd.results.csv.part", &results),
        ("a.2020-01-01.abcd.results.2.csv", &results),
        ("notes.csv", &results),
        ("victim", &results),
    ];
    for (name, content) in kept {
        write(name, content);
    }
    fs::write(at("young.2020-01-01.abcd.results.csv"), &results).expect("a file");
    age(&program, "young.2020-01-01.abcd.results.csv", 29);
    write("open.2020-01-01.abcd.results.csv", &results);
    fs::set_permissions(at("open.2020-01-01.abcd.results.csv"), fs::Permissions::from_mode(0o666)).expect("a mode");
    write("held.2020-01-01.abcd.results.csv", &results);
    let held = File::open(at("held.2020-01-01.abcd.results.csv")).expect("opens");
    held.lock().expect("locks");
    symlink(at("victim"), at("link.2020-01-01.abcd.results.csv")).expect("a link");
    fs::hard_link(at("victim"), at("hard.2020-01-01.abcd.results.csv")).expect("a link");
    write("input.2020-01-01.abcd.results.csv", &results);
    let before = names(&program);

    let input = "r/input.2020-01-01.abcd.results.csv --only updated --remember 0";
    let ended = program.send(&format!("{input} --results-dir r --results-keep 720h")).expect_code(0);
    ended.expect_text("deleted 2 old results files");
    let after = names(&program);
    let gone: Vec<&String> = before.iter().filter(|name| !after.contains(name)).collect();
    assert_eq!(gone, ["a.2020-01-01.abcd.results.csv", "b.c.2020-01-01.efgh.results.csv"]);
    // An emulator's journal does not know which runs are unfinished.
    write("a.2020-01-01.abcd.results.csv", &results);
    program.run("run a.csv --emulator --yes --results-dir r --results-keep 720h").expect_code(0);
    assert!(at("a.2020-01-01.abcd.results.csv").exists());
    // With -q nothing is said.
    let quiet = program.send(&format!("{input} -q --results-dir r --results-keep 720h")).expect_code(0);
    assert_eq!(quiet.stderr, "");
    assert!(!at("a.2020-01-01.abcd.results.csv").exists());
}

/// The service's clock, 40 days behind, is the right one: the results are hours old, and the machine's date is wrong.
#[test]
fn wrong_date_deletes_no_young_results() {
    let day = SignedDuration::from_hours(24);
    for (date, is_deleted) in
        [(DateHeader::Ahead(day * -40), false), (DateHeader::Missing, false), (DateHeader::Ahead(day * 40), true)]
    {
        let program = Program::new().file("a.csv", closing(1..=3));
        let program = program.emulator(|settings| settings.habits.date = date);
        fs::create_dir(program.path("r")).expect("a directory");
        program.send("a.csv --results-dir r").expect_code(0);
        let old = "a.2020-01-01.abcd.results.csv";
        fs::rename(program.path("r").join(&names(&program)[0]), program.path("r").join(old)).expect("a new name");
        age(&program, old, 31);
        program.send("a.csv --remember 0 --results-dir r --results-keep 720h").expect_code(0);
        assert_eq!(!program.path("r").join(old).exists(), is_deleted, "{date:?}");
    }
}

#[test]
fn scheduled_prune_leaves_a_running_job_alone() {
    let program = program().file("b.csv", closing(11..=14));
    program.send("a.csv").expect_code(0);
    let earlier = "UPDATE runs SET finished_wall = finished_wall - 40 * 86400000000";
    program.journal().execute(earlier, []).expect("it is changed");
    program.age_the_journal(40 * 86_400);
    let running = program.start_sending("b.csv --quota 1/1s --concurrency 1 --results r.csv");
    program.wait_for_requests(4);
    let pruned = program.run("runs prune -qq").expect_code(0);
    assert_eq!((&*pruned.stdout, &*pruned.stderr), ("", ""));
    let again = program.run("runs prune -q").expect_code(0);
    assert_eq!((&*again.stdout, &*again.stderr), ("0 runs removed\n", ""));
    running.end().expect_code(0).expect_outcomes(&[("updated", 4)]);
    assert_eq!(program.requests().len(), 7, "nothing is sent twice");
    assert_eq!(program.run("runs").expect_code(0).stdout.lines().count(), 2);
}
