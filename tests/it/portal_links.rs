//! Links to the portal: in fetched files, in plans as JSON and on pages.

use bulk_triage::contract;

use crate::program::Program;

/// An emulator of the contract's API.
fn program(contract: &str, merged: &[(u64, u64)]) -> Program {
    Program::new().file("a.csv", "incidentId,status\n1,Resolved\n2,Resolved\n").emulator_of(
        contract,
        "1-3",
        |settings| {
            settings.merged = merged.iter().copied().collect();
        },
    )
}

fn link(id: u64) -> String {
    format!("https://security.microsoft.com/incidents/{id}?tid=7f3c2a10-4b8e-4d6f-9a51-0c2e8d7b6a94")
}

#[test]
fn fetched_url_is_context_of_an_input() {
    for contract in contract::BUILT_IN {
        let program = program(contract, &[]);
        let there = format!("--contract {contract} --base-url {}", program.origin());
        program.run(&format!("fetch -o open.csv {there}")).expect_code(0);
        program.run(&format!("fetch -o open.jsonl {there}")).expect_code(0);
        let csv = program.read("open.csv");
        assert!(csv.lines().next().is_some_and(|header| header.ends_with(",url,fetched_at")), "{csv}");
        assert!(csv.contains(&format!(",{},", link(1))), "{csv}");
        assert!(program.read("open.jsonl").contains(&format!("\"url\":\"{}\"", link(1))));
        for file in ["open.csv", "open.jsonl"] {
            let ended = program.send(&format!("{file} --contract {contract} --set status=Resolved")).expect_code(0);
            assert!(!ended.printed().contains("warning"), "{}", ended.printed());
        }
        let bodies = program.requests().into_iter().filter_map(|request| request.body);
        assert!(bodies.into_iter().all(|body| !body.contains("security.microsoft.com")));
    }
}

#[test]
fn pages_and_plans_link_to_the_portal() {
    for contract in contract::BUILT_IN {
        let program = program(contract, &[(2, 3)]);
        let there = format!("--contract {contract} --base-url {}", program.origin());
        let planned = program.run(&format!("plan a.csv --compare --report review.html --format json {there}"));
        let planned = planned.expect_code(0).json();
        assert_eq!(planned["changes"][0]["url"], link(1), "{planned}");
        let anchor = format!("<a href=\"{}\" rel=\"noreferrer\">1</a>", link(1));
        assert!(program.read("review.html").contains(&anchor));
        program.send(&format!("a.csv --compare --contract {contract} --report done.html --results r.csv"));
        assert!(program.read("done.html").contains(&anchor));
        program.run(&format!("runs show {} --report done.md", program.last_run())).expect_code(0);
        let page = program.read("done.md");
        assert!(page.contains(&format!("[<code>1</code>](<{}>)", link(1))), "{page}");
        // The link is not repeated as text, and the results have ten columns.
        assert_eq!(program.read("done.html").matches(&link(1)).count(), 1);
        assert!(!program.read("r.csv").contains("security.microsoft.com"));
    }
}

#[test]
fn side_effects_on_alerts_are_stated_once() {
    let program = program("defender", &[])
        .file("b.csv", "incidentId,status,assignedTo\n1,Resolved,ana@contoso.com\n3,,<clear>\n");
    let there = format!("--contract defender --base-url {}", program.origin());
    let shown = program.run(&format!("run b.csv --dry-run --report review.md {there}")).expect_code(0);
    for text in ["active alerts of 1 incident will be resolved, too", "all alerts of 1 incident will be assigned, too"]
    {
        assert_eq!(shown.printed().matches(text).count(), 1, "{}", shown.printed());
        assert!(program.read("review.md").contains(text));
    }
    program.write("c.csv", "incidentId,status,assignedTo\n1,InProgress,<clear>\n");
    let shown = program.run(&format!("run c.csv --dry-run {there}")).expect_code(0);
    assert!(!shown.printed().contains("alerts"), "{}", shown.printed());
}

#[test]
fn undo_says_that_alerts_may_stay_resolved() {
    let program = program("defender", &[]).file("d.csv", "incidentId,status\n1,Resolved\n3,InProgress\n");
    program.send("d.csv --compare --contract defender").expect_code(0);
    let run = program.last_run();
    let text = "no documentation says that reopening an incident reopens its alerts";
    let undo = |options: &str| {
        program.run(&format!("runs undo {run} -o {options} --base-url {}", program.origin())).expect_code(0)
    };
    undo("undo.plan").expect_text(&format!("check the alerts of 1 incident: {text}"));
    assert!(!undo("other.plan --incident 3").printed().contains("alerts"));
}
