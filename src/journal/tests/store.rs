//! The directory and the file: permissions, formats, damage, reboots.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::advance;

use super::process::{HOUR, Place, comment, contract, resolve, scope};
use crate::clock::{BootTime, Clock, Now};
use crate::journal::{AttemptEnd, History, Journal, JournalError, PriorRuns, ReadOnlyJournal, WillSend};
use crate::model::outcome::OutcomeKind;

#[tokio::test(start_paused = true)]
async fn files_are_private_to_the_user() {
    let place = Place::new();
    fs::create_dir(place.path()).expect("creates");
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o2755)).expect("widens");
    let mut process = place.process(&[resolve(1)]);
    process.make(1, Some(true));
    let mode = |path: PathBuf| fs::metadata(path).expect("is there").permissions().mode() & 0o777;
    assert_eq!(mode(place.path()), 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(place.path()).expect("lists") {
        let entry = entry.expect("lists");
        assert_eq!(mode(entry.path()), 0o600, "{}", entry.path().display());
        names.push(entry.file_name().into_string().expect("text"));
    }
    assert!(names.iter().any(|name| name == "journal.db-wal"), "{names:?}");
}

#[tokio::test(start_paused = true)]
async fn newer_format_is_refused_and_untouched() {
    let place = Place::new();
    place.open().db.pragma_update(None, "user_version", 6).expect("writes");
    let before = fs::read(place.database()).expect("reads");
    let error = place.try_open().expect_err("newer");
    assert!(matches!(error, JournalError::Newer { found: 6, known: 5, .. }), "{error}");
    let error = ReadOnlyJournal::open(&place.location(), &scope(), place.clock.clone()).expect_err("newer");
    assert!(matches!(error, JournalError::Newer { found: 6, known: 5, .. }), "{error}");
    assert!(fs::read(place.database()).expect("reads") == before, "the file is unchanged");
}

#[tokio::test(start_paused = true)]
async fn foreign_database_is_refused_and_untouched() {
    #[expect(clippy::disallowed_methods, reason = "a database that is not ours")]
    let foreign = |sql: &str, path: PathBuf| {
        Connection::open(path).expect("opens").execute_batch(sql).expect("writes");
    };
    let place = Place::new();
    place.create();
    for make in [
        &|path| fs::write(path, "incidentId,status\n".repeat(1_000)).expect("writes") as (),
        &|path| foreign("PRAGMA application_id = 7; CREATE TABLE theirs (a)", path),
        // Most databases have no application id.
        &|path| foreign("CREATE TABLE theirs (a)", path),
    ] as [&dyn Fn(PathBuf); 3]
    {
        let _ = fs::remove_file(place.database());
        make(place.database());
        fs::set_permissions(place.database(), fs::Permissions::from_mode(0o600)).expect("narrows");
        let before = fs::read(place.database()).expect("reads");
        let error = place.try_open().expect_err("no journal");
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        let error = ReadOnlyJournal::open(&place.location(), &scope(), place.clock.clone()).expect_err("no journal");
        assert!(matches!(error, JournalError::Damaged { .. }), "{error}");
        assert!(fs::read(place.database()).expect("reads") == before, "the file is unchanged");
    }
}

/// Alterations can change what the statements of the journal do.
#[tokio::test(start_paused = true)]
async fn altered_schema_is_refused_and_untouched() {
    for (alter, name) in [
        ("CREATE TRIGGER t AFTER INSERT ON rows BEGIN UPDATE rows SET target = 666; END", "`t`"),
        ("CREATE VIEW v AS SELECT * FROM rows", "`v`"),
        ("CREATE TABLE theirs (a)", "`theirs`"),
        ("CREATE INDEX i ON rows (incident)", "`i`"),
        ("DROP INDEX runs_same", "`runs_same`"),
        ("ALTER TABLE rows ADD COLUMN more TEXT", "`rows`"),
        ("DROP TABLE applied_plans; CREATE VIEW applied_plans AS SELECT 1 AS scope", "`applied_plans`"),
    ] {
        for old in [None, Some(EARLIER[0]), Some(EARLIER[1])] {
            let place = Place::new();
            match old {
                // It has no such table.
                Some((2, _)) if alter.contains("DROP TABLE") => continue,
                Some(earlier) => journal_of_format(&place, earlier),
                None => drop(place.process(&[resolve(1)])),
            }
            #[expect(clippy::disallowed_methods, reason = "another program alters the journal")]
            let db = Connection::open(place.database()).expect("opens");
            db.execute_batch(alter).expect("alters");
            drop(db);
            let before = fs::read(place.database()).expect("reads");
            let errors = [
                place.try_open().expect_err("altered"),
                ReadOnlyJournal::open(&place.location(), &scope(), place.clock.clone()).expect_err("altered"),
                History::open(&place.location(), place.clock.clone()).expect_err("altered"),
            ];
            for error in errors {
                assert!(matches!(&error, JournalError::Damaged { why, .. } if why.contains(name)), "{alter}: {error}");
            }
            assert!(fs::read(place.database()).expect("reads") == before, "the file is unchanged");
        }
    }
}

/// In case an alteration escapes the comparison of schemas.
#[tokio::test(start_paused = true)]
async fn triggers_and_views_are_disabled() {
    use rusqlite::config::DbConfig;
    let place = Place::new();
    let journal = place.open();
    let history = History::open(&place.location(), place.clock.clone()).expect("reads").expect("is there");
    for db in [&journal.db, &history.db] {
        let setting = |config| db.db_config(config).expect("a setting");
        assert!(setting(DbConfig::SQLITE_DBCONFIG_DEFENSIVE));
        assert!(!setting(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER) && !setting(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW));
        assert!(!setting(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA));
    }
}

#[tokio::test(start_paused = true)]
async fn reading_leaves_no_file_behind() {
    let place = Place::new();
    let names = || {
        let names = fs::read_dir(place.path()).into_iter().flatten().map(|entry| entry.expect("lists").file_name());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    assert!(History::open(&place.location(), place.clock.clone()).expect("reads").is_none());
    assert!(!place.path().exists());
    drop(place.process(&[resolve(1)]));
    let before = names();
    let history = History::open(&place.location(), place.clock.clone()).expect("reads").expect("is there");
    assert_eq!(history.runs().expect("reads").len(), 1);
    assert!(ReadOnlyJournal::open(&place.location(), &scope(), place.clock.clone()).expect("reads").is_some());
    assert_eq!(names(), before);
    // A new reader sees what another process writes; the open one keeps its view.
    let mut process = place.process(&[resolve(2), resolve(3)]);
    process.make(1, Some(true));
    let now = History::open(&place.location(), place.clock.clone()).expect("reads").expect("is there");
    assert_eq!((now.runs().expect("reads").len(), history.runs().expect("reads").len()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn damaged_journal_is_reported() {
    let place = Place::new();
    place.process(&vec![comment(1); 500]).make(1, Some(true));
    let mut bytes = fs::read(place.database()).expect("reads");
    // All pages but the first one, which holds the header and the schema.
    bytes[4096..].fill(0xa5);
    fs::write(place.database(), bytes).expect("writes");
    let error = place.try_open().and_then(|journal| journal.runs()).expect_err("damaged");
    assert!(matches!(error, JournalError::Damaged { .. }), "{error:?}");
    assert!(error.to_string().contains("journal.db is damaged"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn empty_file_becomes_a_journal() {
    let place = Place::new();
    place.create();
    place.write("journal.db", "");
    assert!(place.open().runs().expect("reads").is_empty());
}

/// After a reboot the wall clock decides.
#[tokio::test(start_paused = true)]
async fn reboot_shifts_all_times() {
    let place = Place::new();
    let mut before = place.process(&[resolve(1), resolve(2), resolve(3)]);
    before.make(1, Some(true));
    advance(Duration::from_secs(100)).await;
    let throttled = before.start(2);
    let pause_until = Some(before.journal.clock.now().boot + Duration::from_secs(90));
    before.end(AttemptEnd { pause_until, applied: Some(false), ..before.ended(throttled) });
    drop(before);

    // The machine reboots 20 s later; its boot time counts from zero.
    let wall = "2026-11-24T10:02:00Z".parse().expect("a time");
    let again = Place { clock: Clock::simulated(Now { boot: BootTime(5_000_000), wall }, "second"), ..place };
    let mut process = again.process(&[resolve(4)]);
    assert_eq!(process.seconds_ended(), [-115, -15]);
    let pause = process.spent().1.expect("a pause");
    assert_eq!((pause.until.0 / 1_000_000, pause.probing), (75, false));
    drop(process);

    // It reboots again, with a clock two hours behind: times in the future count as now.
    let wall = "2026-11-24T08:00:00Z".parse().expect("a time");
    let again = Place { clock: Clock::simulated(Now { boot: BootTime(9_000_000), wall }, "third"), ..again };
    let mut process = again.process(&[resolve(5)]);
    assert_eq!(process.seconds_ended(), [9, 9]);
    let pause = process.spent().1.expect("a pause");
    // 90 s were left when the last attempt ended: a clock that is behind does not prolong the pause.
    assert_eq!(pause.until.0 / 1_000_000, 9 + 90);
    drop(process);

    // Nor does another reboot with that clock; the time that it measured counts.
    let wall = "2026-11-24T08:00:30Z".parse().expect("a time");
    let again = Place { clock: Clock::simulated(Now { boot: BootTime(3_000_000), wall }, "fourth"), ..again };
    let pause = again.process(&[resolve(6)]).spent().1.expect("a pause");
    assert_eq!(pause.until.0 / 1_000_000, 3 + 60);
}

#[tokio::test(start_paused = true)]
async fn only_abandoned_lock_files_are_removed() {
    let place = Place::new();
    let other = place.process(&[resolve(1)]);
    let in_use = [format!("process-{}.lock", other.journal.process), format!("run-{}.lock", other.run.name)];
    for left in ["process-99.lock", "run-gone.lock"] {
        place.write(left, "");
    }
    drop(place.open());
    let is_there = |name: &str| place.path().join(name).exists();
    assert!(in_use.iter().all(|name| is_there(name)));
    assert!(!is_there("process-99.lock") && !is_there("run-gone.lock"));
}

/// The schemas of earlier formats, each with its number.
const EARLIER: [(i64, &str); 3] =
    [(2, include_str!("../schema-2.sql")), (3, include_str!("../schema-3.sql")), (4, include_str!("../schema-4.sql"))];

/// A journal as an earlier revision leaves it.
fn journal_of_format(place: &Place, (format, schema): (i64, &str)) {
    place.create();
    place.write("journal.db", "");
    #[expect(clippy::disallowed_methods, reason = "an earlier revision's journal")]
    let db = Connection::open(place.database()).expect("opens");
    db.execute_batch(schema).expect("its schema");
    db.pragma_update(None, "user_version", format).expect("its number");
    let content = r#"PRAGMA journal_mode = wal; PRAGMA application_id = 0x62747269;
        INSERT INTO machine VALUES ('first');
        INSERT INTO processes (started_wall) VALUES (1795514400000000);
        INSERT INTO scopes (name) VALUES ('tenant:t');
        INSERT INTO runs (name, state, process, scope, contract, plan, facts, created_wall, finished_wall) VALUES
            ('7f3k', 'over', 1, 1, 'defender-classic', 'seal', '{"input":"a.csv","shape":{"format":"jsonl","bom":false},
             "origin":"https://a.example","contract":"","results":"r.jsonl","options":[],
             "remember":{"secs":43200,"nanos":0}}', 1795514400000000, 1795514401000000);
        INSERT INTO rows (run, row, line, incident, target, body, appends, source, outcome, finished_wall) VALUES
            (1, 1, 2, '1', 1, '{"status":"Resolved","comment":"tuned"}', 1, x'', 'updated', 1795514401000000);
        INSERT INTO attempts (scope, run, row, incident, updates, process, started, started_wall, ended, ended_wall,
            verdict, made) VALUES (1, 1, 1, 1, 1, 1, 900000000, 1795514300000000, 901000000, 1795514301000000, 'updated', 1);
        "#;
    // Format 4 renamed two columns.
    let content =
        if format < 4 { content.to_owned() } else { content.replace("updates", "kind").replace("made", "applied") };
    db.execute_batch(&content).expect("its content");
}

#[tokio::test(start_paused = true)]
async fn earlier_formats_keep_rows_history_and_ledger() {
    for earlier in EARLIER {
        expect_kept(earlier).await;
    }
}

async fn expect_kept(earlier: (i64, &str)) {
    let place = Place::new();
    journal_of_format(&place, earlier);
    let tenant = crate::model::change::TenantKey::tenant("t");
    // Dry runs and lists read it without a migration.
    let before = fs::read(place.database()).expect("reads");
    let history = History::open(&place.location(), place.clock.clone()).expect("reads").expect("is there");
    assert_eq!(history.runs().expect("reads")[0].name, "7f3k");
    let peek =
        ReadOnlyJournal::open(&place.location(), &tenant, place.clock.clone()).expect("reads").expect("has the tenant");
    assert_eq!(peek.ledger(HOUR).expect("reads").0.ended.len(), 1);
    drop((history, peek));
    assert!(fs::read(place.database()).expect("reads") == before, "the file is unchanged");

    let mut journal = place.open();
    let step: i64 = journal.db.query_row("SELECT step FROM attempts", [], |row| row.get(0)).expect("an attempt");
    assert_eq!(step, 0);
    let run = journal.run("7f3k").expect("is there");
    assert_eq!((run.outcomes, run.calls, run.plan.as_deref()), (vec![(OutcomeKind::Updated, 1)], 1, Some("seal")));
    assert_eq!(journal.run_of_plan(&tenant, "seal").expect("reads").as_deref(), Some("7f3k"));
    // The same comment is not added again.
    let mut peeked = PriorRuns::default();
    let change = crate::model::change::Change {
        incident: crate::model::change::IncidentId::new(1).expect("an id"),
        edits: crate::plan::decode(r#"{"status":"Resolved","comment":"tuned"}"#, true).expect("a body"),
    };
    let peek =
        ReadOnlyJournal::open(&place.location(), &tenant, place.clock.clone()).expect("reads").expect("has the tenant");
    assert_eq!(peek.add_prior_runs(&[&change], &contract(), HOUR, &mut peeked).expect("reads"), [WillSend::Nothing]);
    drop(peek);
    advance(Duration::from_hours(24 * 365)).await;
    assert_eq!(journal.prune(Duration::ZERO).expect("prunes"), 1);
    let pruned = journal.pruned_run_of_plan(&tenant, "seal").expect("reads").expect("is kept");
    assert_eq!((pruned.name.as_str(), pruned.finished.to_string().as_str()), ("7f3k", "2026-11-24T10:00:01Z"));
    assert_eq!(journal.pruned_run_of_plan(&scope(), "seal").expect("reads"), None);
}

/// A migrated journal must not behave differently from a new one.
#[tokio::test(start_paused = true)]
async fn migrated_journal_has_the_current_schema() {
    let columns = |journal: &Journal| -> Vec<String> {
        let sql = "SELECT s.type || ' ' || s.name || ' ' || coalesce(c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk, '')
                   FROM sqlite_schema AS s LEFT JOIN pragma_table_info(s.name) AS c ORDER BY 1";
        let mut statement = journal.db.prepare(sql).expect("prepares");
        let rows = statement.query_map([], |row| row.get(0)).expect("reads");
        rows.collect::<Result<_, _>>().expect("reads")
    };
    let new = Place::new();
    for earlier in EARLIER {
        let old = Place::new();
        journal_of_format(&old, earlier);
        assert_eq!(columns(&old.open()), columns(&new.open()));
        // What it has become is known again.
        drop(old.open());
    }
}
