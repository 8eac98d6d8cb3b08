//! Other users of the machine: files that they own, can write or have linked are not used, changed or followed, and
//! nothing is sent because of them.
//!
//! Root plays both the user and the others. Without root the tests are skipped with a notice.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::faults::is_root;
use crate::program::{Ended, Program, closing, started};

/// Runs the program.
const USER: u32 = 20_001;
/// Another user.
const OTHER: u32 = 20_002;

/// The program, run by a user in a directory of their own. Its emulator is run by root.
struct Users {
    program: Program,
}

/// `None` without root.
fn users() -> Option<Users> {
    if !is_root("what other users leave") {
        return None;
    }
    let program = Program::new().emulator(|_| ()).file("a.csv", closing(1..=3));
    let users = Users { program };
    users.give("", USER, 0o755);
    users.give("a.csv", USER, 0o644);
    Some(users)
}

impl Users {
    fn path(&self, name: &str) -> PathBuf {
        self.program.path(name)
    }

    /// Makes this user the owner, with this mode.
    fn give(&self, name: &str, owner: u32, mode: u32) {
        chown(self.path(name), Some(owner), Some(owner)).expect("root may");
        fs::set_permissions(self.path(name), Permissions::from_mode(mode)).expect("root may");
    }

    fn directory(&self, name: &str, owner: u32, mode: u32) {
        fs::create_dir(self.path(name)).expect("a directory");
        self.give(name, owner, mode);
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>, owner: u32, mode: u32) {
        self.program.write(name, text);
        self.give(name, owner, mode);
    }

    fn link(&self, name: &str, target: impl AsRef<Path>, owner: u32) {
        symlink(target, self.path(name)).expect("a link");
        lchown(self.path(name), Some(owner), Some(owner)).expect("root may");
    }

    fn as_user(mut command: Command) -> Ended {
        command.uid(USER).gid(USER);
        started(command).end()
    }

    fn send(&self, arguments: &str) -> Ended {
        Users::as_user(self.program.send_command(arguments))
    }

    fn run(&self, arguments: &str) -> Ended {
        Users::as_user(self.program.command(arguments))
    }

    /// Everything below a directory: owner, mode, number of links and content.
    fn all(&self) -> BTreeMap<PathBuf, (u32, u32, u64, Vec<u8>)> {
        let mut found = BTreeMap::new();
        let mut left = vec![self.path("")];
        while let Some(path) = left.pop() {
            let facts = fs::symlink_metadata(&path).expect("is there");
            let content = if facts.is_file() { fs::read(&path).expect("reads") } else { Vec::new() };
            if facts.is_dir() {
                left.extend(fs::read_dir(&path).expect("lists").map(|entry| entry.expect("an entry").path()));
            }
            found.insert(path, (facts.uid(), facts.mode(), facts.nlink(), content));
        }
        found
    }

    /// Checks a refusal: exit code 2, this text, nothing sent, nothing changed.
    #[track_caller]
    fn expect_refused(&self, text: &str, act: impl FnOnce(&Users) -> Ended) -> Ended {
        let (before, requests) = (self.all(), self.program.requests().len());
        let ended = act(self).expect_code(2).expect_text(text);
        assert_eq!(self.program.requests().len(), requests, "{}", ended.printed());
        let after = self.all();
        let changed: Vec<_> = after.iter().filter(|(path, facts)| before.get(*path) != Some(*facts)).collect();
        assert!(changed.is_empty() && before.len() == after.len(), "{changed:?}\n{}", ended.printed());
        ended
    }

    /// The journal of a run of other rows, in a directory of this name.
    fn journal_in(&self, name: &str) {
        self.file("other.csv", closing(11..=13), USER, 0o644);
        self.send(&format!("other.csv --state-dir {name}")).expect_code(0);
    }
}

/// What others do to a directory or a file, and the reason for the refusal.
type Change = (&'static str, fn(&Users, &str));

const OWNED: Change = ("belongs to another user (uid 20002)", |users, name| {
    let mode = fs::metadata(users.path(name)).expect("is there").mode() & 0o7777;
    users.give(name, OTHER, mode | 0o066);
});
const WRITABLE: Change = ("others can", |users, name| users.give(name, USER, 0o622));
const LINKED: Change = ("it has 2 hard links", |users, name| {
    fs::hard_link(users.path(name), users.path("of-others")).expect("a link");
});
const A_LINK: Change = ("a symbolic link", |users, name| {
    fs::rename(users.path(name), users.path("of-others")).expect("moves");
    users.link(name, users.path("of-others"), OTHER);
});

/// A trigger rewrites rows, so that the preview would not show what is sent.
fn plant_trigger(users: &Users, journal: &str) {
    #[expect(clippy::disallowed_methods, reason = "another user's database")]
    let db = rusqlite::Connection::open(users.path(journal)).expect("a journal");
    db.execute_batch(
        "CREATE TRIGGER theirs AFTER INSERT ON rows BEGIN UPDATE rows SET target = 666 WHERE row = new.row; END",
    )
    .expect("a trigger");
}

#[test]
fn planted_journal_is_refused() {
    let Some(users) = users() else { return };
    users.journal_in("planted");
    plant_trigger(&users, "planted/journal.db");
    let commands = ["run a.csv --dry-run", "runs list", "runs prune", "runs show abcd", "plan a.csv -o p"];
    for (mode, owner, text) in [(0o777, USER, "mode 777"), (0o1777, OTHER, "uid 20002"), (0o700, USER, "uid 20002")] {
        users.give("planted", owner, mode);
        for name in fs::read_dir(users.path("planted")).expect("lists").flatten().map(|entry| entry.file_name()) {
            users.give(&format!("planted/{}", name.to_string_lossy()), OTHER, 0o666);
        }
        users.expect_refused(text, |users| users.send("a.csv --state-dir planted"));
        for command in commands {
            users.expect_refused(text, |users| {
                let mut command = users.program.command(&format!("{command} --state-dir planted"));
                if command.get_args().next() != Some(&OsString::from("runs")) {
                    command.args(["--base-url", &users.program.origin()]);
                }
                Users::as_user(command)
            });
        }
    }
}

#[test]
fn altered_schema_of_own_journal_is_refused() {
    let program = Program::new().file("b.csv", closing(11..=13)).file("a.csv", closing(1..=3)).emulator(|_| ());
    program.send("b.csv").expect_code(0);
    let db = program.journal();
    db.execute_batch("CREATE TRIGGER t AFTER INSERT ON rows BEGIN UPDATE rows SET target = 666; END").expect("alters");
    drop(db);
    program.send("a.csv").expect_code(70).expect_text("`t` in it is not as this program creates it");
    program.run("runs list").expect_code(70).expect_text("`t` in it");
    assert_eq!(program.requests().len(), 3);
}

#[test]
fn foreign_files_in_state_directory_are_refused() {
    let Some(users) = users() else { return };
    for name in ["journal.db", "journal.lock", "journal.db-wal", "journal.db-shm", "journal.db-journal"] {
        for (text, change) in [OWNED, WRITABLE, LINKED, A_LINK] {
            users.journal_in("state");
            if !users.path(&format!("state/{name}")).exists() {
                users.file(&format!("state/{name}"), "", USER, 0o600);
            }
            change(&users, &format!("state/{name}"));
            users.expect_refused(text, |users| users.send("a.csv")).expect_text(&format!("state/{name}: "));
            let _ = fs::remove_file(users.path("of-others"));
            fs::remove_dir_all(users.path("state")).expect("is there");
        }
    }
}

/// It can't be opened, but its owner can be found.
#[test]
fn closed_state_directory_names_its_owner() {
    let Some(users) = users() else { return };
    users.directory("state", OTHER, 0o700);
    let text = "state: it belongs to another user (uid 20002)";
    users.expect_refused(text, |users| users.send("a.csv --state-dir state"));
    for command in ["list", "prune --older-than 1d"] {
        users.expect_refused(text, |users| users.run(&format!("runs {command} --state-dir state")));
    }
}

/// Ended processes and runs leave such files, and the next process removes them.
#[test]
fn lock_files_of_others_stay() {
    let Some(users) = users() else { return };
    users.journal_in("state");
    for name in ["state/process-99.lock", "state/run-gone.lock"] {
        users.file(name, "", OTHER, 0o666);
    }
    users.file("state/run-ours.lock", "", USER, 0o600);
    users.send("a.csv").expect_code(0);
    assert!(users.path("state/process-99.lock").exists() && users.path("state/run-gone.lock").exists());
    assert!(!users.path("state/run-ours.lock").exists());
}

#[test]
fn linked_state_directory_is_judged_by_link_owners() {
    let Some(users) = users() else { return };
    users.directory("private", 0, 0o755);
    users.directory("private/state", USER, 0o700);
    // The layout of a dynamic user of systemd.
    users.link("of-root", "private/state", 0);
    users.link("own", users.path("of-root"), USER);
    users.link("of-another", "private/state", OTHER);
    users.link("indirect", "of-another", USER);
    users.link("above", "/", OTHER);
    let above = format!("above{}", users.path("private/state").display());
    for name in ["of-another", "indirect", &above] {
        for command in ["runs list", "runs prune"] {
            users.expect_refused("belongs to another user (uid 20002)", |users| {
                users.run(&format!("{command} --state-dir {name}"))
            });
        }
        users.expect_refused("belongs to another user", |users| users.send(&format!("a.csv --state-dir {name}")));
    }
    users.send("a.csv --state-dir of-root").expect_code(0);
    assert!(users.path("private/state/journal.db").exists());
    users.send("a.csv --state-dir own").expect_code(0).expect_outcomes(&[("unchanged", 3)]);
}

/// What a user does with a file of this name.
type Act<'a> = &'a dyn Fn(&Users, &str) -> Ended;

#[test]
fn old_results_of_another_user_stay() {
    let Some(users) = users() else { return };
    users.directory("r", USER, 0o755);
    users.send("a.csv --results results.csv").expect_code(0);
    let results = fs::read(users.path("results.csv")).expect("reads");
    let kept = ["r/a.2020-01-01.abcd.results.csv", "r/a.2020-01-02.abcd.results.csv"];
    for (name, owner, mode) in
        [(kept[0], OTHER, 0o644), (kept[1], 0, 0o644), ("r/own.2020-01-01.abcd.results.csv", USER, 0o644)]
    {
        users.file(name, &results, owner, mode);
        let file = fs::File::options().append(true).open(users.path(name)).expect("a file");
        file.set_modified(std::time::UNIX_EPOCH).expect("its time is set");
    }
    users.send("a.csv --remember 0 --results-dir r --results-keep 30d").expect_code(0).expect_text("deleted 1 old");
    assert!(kept.iter().all(|name| users.path(name).exists()));
    assert!(!users.path("r/own.2020-01-01.abcd.results.csv").exists());
}

#[test]
fn output_of_another_user_is_refused() {
    let Some(users) = users() else { return };
    users.send("a.csv --results r.csv --report r.md --metrics-file r.prom --state-dir before").expect_code(0);
    let plan = |users: &Users, name: &str| {
        let mut command = users.program.command(&format!("plan a.csv -o {name}"));
        command.args(["--base-url", &users.program.origin()]);
        Users::as_user(command)
    };
    plan(&users, "r.plan").expect_code(0);
    let fetch = |users: &Users, name: &str| {
        let mut command = users.program.command(&format!("fetch -o {name} --status Resolved"));
        command.args(["--base-url", &users.program.origin()]);
        Users::as_user(command)
    };
    fetch(&users, "r-fetched.csv").expect_code(0);
    users.file("log.txt", "", USER, 0o600);
    let results: Act<'_> = &|users, name| users.send(&format!("a.csv --results {name}"));
    let report: Act<'_> = &|users, name| users.send(&format!("a.csv --report {name}"));
    let metrics: Act<'_> = &|users, name| users.send(&format!("a.csv --metrics-file {name}"));
    let log: Act<'_> = &|users, name| users.send(&format!("a.csv --log-file {name}"));
    let emulator: Act<'_> = &|users, name| users.run(&format!("emulator --log {name}"));
    let all: [(&str, Act<'_>); 7] = [
        ("r.csv", results),
        ("r.md", report),
        ("r.prom", metrics),
        ("r.plan", &plan),
        ("r-fetched.csv", &fetch),
        ("log.txt", log),
        ("log.txt", emulator),
    ];
    for (made, act) in all {
        for (text, change) in [OWNED, WRITABLE, LINKED, A_LINK] {
            let name = format!("now-{made}");
            fs::copy(users.path(made), users.path(&name)).expect("a copy");
            users.give(&name, USER, 0o600);
            change(&users, &name);
            users.expect_refused(text, |users| act(users, &name));
            for name in [&*name, "of-others"] {
                let _ = fs::remove_file(users.path(name));
            }
        }
    }
    // A path through a linked directory is judged by the owner of the link.
    users.directory("real", USER, 0o700);
    users.link("to-real", "real", OTHER);
    for (made, act) in all {
        users.expect_refused("belongs to another user", |users| act(users, &format!("to-real/{made}")));
    }
}

/// Anyone can create files there, but replace only their own. Elsewhere root's may be replaced.
#[test]
fn results_of_root_in_sticky_directory_are_refused() {
    let Some(users) = users() else { return };
    users.directory("shared", 0, 0o1777);
    users.file("shared/r.csv", "", 0, 0o644);
    let text = "belongs to another user (uid 0)";
    users.expect_refused(text, |users| users.send("a.csv --results shared/r.csv"));
}

#[test]
fn partial_file_of_another_user_is_refused() {
    let Some(users) = users() else { return };
    let fetch = |users: &Users| {
        let mut command = users.program.command("fetch -o f.csv");
        command.args(["--base-url", &users.program.origin()]);
        Users::as_user(command)
    };
    // It must be of the same query, so a stopped fetch creates it.
    let planted = "{\"fetch\":1,\"query\":[],\"filter\":null,\"origin\":\"x\",\"scope\":\"x\",\"contract\":\"x\",\
                   \"begun_at\":\"2026-11-24T10:00:00Z\"}\n";
    // The journal that the fetch needs exists.
    users.journal_in("state");
    for (text, change) in [OWNED, WRITABLE, LINKED, A_LINK] {
        users.file("f.csv.part", planted, USER, 0o600);
        change(&users, "f.csv.part");
        let before = users.program.requests().len();
        fetch(&users).expect_code(2).expect_text(text).expect_text("f.csv.part");
        assert_eq!(users.program.requests().len(), before);
        assert!(!users.path("f.csv").exists());
        assert_eq!(fs::read_to_string(users.path("f.csv.part")).expect("is there"), planted);
        for name in ["f.csv.part", "of-others"] {
            let _ = fs::remove_file(users.path(name));
        }
    }
}

#[test]
fn temporary_files_of_others_stay() {
    let Some(users) = users() else { return };
    users.give("", USER, 0o1777);
    users.file(".bulk-triage.draft.theirs", "", OTHER, 0o666);
    users.file(".bulk-triage.draft.ours", "", USER, 0o600);
    users.send("a.csv --results r.csv").expect_code(0);
    assert!(users.path(".bulk-triage.draft.theirs").exists() && !users.path(".bulk-triage.draft.ours").exists());
}

#[test]
fn token_file_is_judged_by_owner_and_links() {
    let Some(users) = users() else { return };
    users.file("ours", crate::program::TOKEN, USER, 0o600);
    users.file("theirs", crate::program::TOKEN, OTHER, 0o604);
    users.file("of-root", crate::program::TOKEN, 0, 0o440);
    chown(users.path("of-root"), Some(0), Some(USER)).expect("root may");
    users.link("their-link", "ours", OTHER);
    users.link("own-link", "of-root", USER);
    for name in ["theirs", "their-link"] {
        let ended = users.send(&format!("a.csv --token-file {name}")).expect_code(5);
        ended.expect_text("another user");
    }
    assert!(users.program.requests().is_empty());
    for name in ["ours", "of-root", "own-link"] {
        users.send(&format!("a.csv --token-file {name} --remember 0")).expect_code(0);
    }
}

/// A job runner creates it like this: the runner owns the directory, and anybody may append to the file.
#[test]
fn step_summary_in_foreign_directory_is_appended() {
    let Some(users) = users() else { return };
    users.directory("runner", OTHER, 0o755);
    users.file("runner/summary", "# Build\n", OTHER, 0o666);
    let send = |summary: &str| {
        let mut command = users.program.send_command(&format!("a.csv --remember 0 --results r.csv --report {summary}"));
        command.env("GITHUB_STEP_SUMMARY", summary);
        Users::as_user(command)
    };
    send("runner/summary").expect_code(0);
    assert!(users.program.read("runner/summary").starts_with("# Build\n<!-- bulk-triage page 1 -->\n"));
    users.give("runner/summary", OTHER, 0o644);
    users.expect_refused("Permission denied", |_| send("runner/summary"));
    users.expect_refused("Permission denied", |_| send("runner/missing"));
}

#[test]
fn settings_file_is_judged_by_owner_and_links() {
    let Some(users) = users() else { return };
    users.directory(".config", USER, 0o755);
    users.directory(".config/bulk-triage", USER, 0o755);
    let own = ".config/bulk-triage/config.toml";
    let check = |code: i32| users.run("check a.csv").expect_code(code);
    users.file(own, "quota = '1/1m'\n", OTHER, 0o644);
    check(2).expect_text("it belongs to another user");
    for owner in [USER, 0] {
        users.give(own, owner, 0o644);
        check(0);
    }
    users.give(".config/bulk-triage", OTHER, 0o755);
    check(2).expect_text("its directory is not safe: it belongs to another user");
    users.give(".config/bulk-triage", USER, 0o755);
    fs::rename(users.path(own), users.path("dotfile")).expect("it is there");
    users.link(own, users.path("dotfile"), OTHER);
    check(2).expect_text("belongs to another user");
    fs::remove_file(users.path(own)).expect("it is there");
    users.link(own, users.path("dotfile"), USER);
    check(0);
    // A project file may be anybody's: it says what rows mean.
    users.file("bulk-triage.toml", "compare = true\n", OTHER, 0o666);
    check(0);
}
