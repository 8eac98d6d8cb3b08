//! `--cloud`, `--region`, `--base-url`, a contract's origin and `AZURE_AUTHORITY_HOST` that contradict each other, from every
//! layer of the settings: exit code 2, both are named, and nothing is sent.

use super::{application, run_offline};
use crate::program::{Ended, Program, started};
use crate::settings::precedence::{PROJECT, SYSTEM, USER, settings_file};

/// Expects the error to have all of these texts, and that nothing was requested.
#[track_caller]
fn expect(program: &Program, ended: Ended, texts: &[&str]) {
    let ended = texts.iter().fold(ended.expect_code(2), |ended, text| ended.expect_text(text));
    assert!(!ended.stderr.contains("signing in"), "{}", ended.printed());
    assert!(program.sign_in_requests().is_empty(), "{}", ended.printed());
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let program = application();
    program.write("eu.toml", "extends = \"defender\"\norigin = \"https://api-eu.security.microsoft.com\"\n");
    program.write("gov.toml", "extends = \"graph\"\norigin = \"https://graph.microsoft.us/\"\n");
    for (options, texts) in [
        ("--cloud us-gov-gcc --region eu", ["`--cloud us-gov-gcc` and `--region eu` contradict each other", "help: "]),
        (
            "--contract graph --region eu",
            ["`--region eu` contradicts the contract `graph`", "regions are the classic API's"],
        ),
        (
            "--cloud us-gov-high --base-url https://api.security.microsoft.com",
            ["`--base-url https://api.security.microsoft.com` contradicts `--cloud us-gov-high`", "--cloud global"],
        ),
        (
            "--contract graph --cloud us-gov-dod --base-url HTTPS://Graph.Microsoft.US:443/",
            ["`--base-url HTTPS://Graph.Microsoft.US:443/` contradicts `--cloud us-gov-dod`", "--cloud us-gov-high"],
        ),
        (
            "--contract graph --cloud us-gov-dod --base-url https://graph.microsoft.com.",
            ["contradicts `--cloud us-gov-dod`", "--cloud global or --cloud us-gov-gcc"],
        ),
        (
            "--contract graph --cloud us-gov-dod --base-url https://graph.microsoft.com:8443",
            ["contradicts `--cloud us-gov-dod`", "https://dod-graph.microsoft.us"],
        ),
        (
            "--region eu --base-url https://api-us.security.microsoft.com",
            ["`--base-url https://api-us.security.microsoft.com` contradicts `--region eu`", "--region us"],
        ),
        (
            "--region eu --base-url https://api.security.microsoft.com",
            ["contradicts `--region eu`", "https://api-eu.security.microsoft.com"],
        ),
        (
            "--region eu --base-url https://gateway.contoso.example",
            ["`--base-url https://gateway.contoso.example` contradicts `--region eu`", "remove one of them"],
        ),
        ("--contract eu.toml --region uk", ["https://api-eu.security.microsoft.com (the contract)", "`--region uk`"]),
        ("--contract gov.toml --cloud global", ["https://graph.microsoft.us (the contract)", "`--cloud global`"]),
        (
            "--contract gov.toml --base-url https://graph.microsoft.com",
            [
                "`--base-url https://graph.microsoft.com` contradicts https://graph.microsoft.us (the contract)",
                "help: ",
            ],
        ),
        (
            "--contract eu.toml --base-url https://gateway.contoso.example",
            ["`--base-url https://gateway.contoso.example` contradicts", "https://api-eu.security.microsoft.com"],
        ),
        ("--base-url https://graph.microsoft.com", ["contradicts the contract `defender-classic`", "--contract graph"]),
        (
            "--contract graph --base-url https://api-gov.security.microsoft.us",
            ["contradicts the contract `graph`", "--contract defender-classic"],
        ),
    ] {
        for line in [format!("run a.csv --yes {options}"), format!("run a.csv --dry-run {options}")] {
            expect(&program, run_offline(&program, &line, &[]), &texts);
        }
        expect(&program, run_offline(&program, &format!("fetch -o b.csv {options}"), &[]), &texts);
        expect(&program, run_offline(&program, &format!("plan a.csv {options}"), &[]), &texts);
        expect(&program, program.run(&format!("config run {options}")), &texts);
    }
}

#[test]
fn options_that_agree_are_accepted() {
    let program = application();
    program.write("eu.toml", "extends = \"defender\"\norigin = \"https://API-eu.security.microsoft.com\"\n");
    for (options, origin) in [
        ("--cloud global --region eu", "https://api-eu.security.microsoft.com"),
        ("--region us --base-url https://us.api.security.microsoft.com/", "https://us.api.security.microsoft.com"),
        ("--cloud global --base-url https://au.api.security.microsoft.com", "https://au.api.security.microsoft.com"),
        ("--contract eu.toml --region eu", "https://api-eu.security.microsoft.com"),
        ("--contract eu.toml --cloud global", "https://api-eu.security.microsoft.com"),
        (
            "--contract eu.toml --base-url https://api-eu.security.microsoft.com/",
            "https://api-eu.security.microsoft.com",
        ),
        ("--contract eu.toml --base-url http://127.0.0.1:9", "http://127.0.0.1:9"),
        ("--contract graph --cloud us-gov-gcc --base-url https://graph.microsoft.com", "https://graph.microsoft.com"),
        ("--cloud us-gov-high --base-url https://gateway.contoso.example", "https://gateway.contoso.example"),
    ] {
        let ended = run_offline(&program, &format!("run a.csv --dry-run {options}"), &[]);
        ended.expect_code(0).expect_text(origin);
    }
}

#[test]
fn higher_layer_replaces_the_cloud() {
    let program = application();
    settings_file(&program, USER, "cloud = 'us-gov-high'\nregion = 'eu'\n");
    let dry_run = "run a.csv --dry-run";
    expect(&program, run_offline(&program, dry_run, &[]), &["`--cloud us-gov-high` (~/", "`--region eu` (~/"]);
    let global = [("BULK_TRIAGE_CLOUD", "global")];
    run_offline(&program, dry_run, &global).expect_code(0).expect_text("https://api-eu.security.microsoft.com");
    let typed = format!("{dry_run} --cloud global --region uk");
    run_offline(&program, &typed, &[]).expect_code(0).expect_text("https://api-uk.security.microsoft.com");
    // An emulator is in no cloud.
    program.run("run a.csv --emulator --yes").expect_code(0);
    program.run("run a.csv --emulator --cloud global").expect_code(2).expect_text("cannot be used with");
}

#[test]
fn every_pair_of_layers_is_checked() {
    let layers: [(&str, &str, &str); 4] = [
        (SYSTEM, "", "~/etc/config.toml:1"),
        (USER, "", "~/.config/bulk-triage/config.toml:1"),
        (USER, "[profiles.p]\n", "~/.config/bulk-triage/config.toml:2 [profiles.p]"),
        ("", "", "env BULK_TRIAGE_"),
    ];
    let pair = [
        ("cloud", "us-gov-high", "base-url", "https://api.security.microsoft.com"),
        ("region", "eu", "cloud", "us-gov-gcc"),
        ("base-url", "https://api-us.security.microsoft.com", "region", "eu"),
    ];
    for (one, value, other, contrary) in pair {
        for (file, profile, at) in layers {
            let program = application();
            let variable = format!("BULK_TRIAGE_{}", one.replace('-', "_").to_uppercase());
            let mut variables = Vec::new();
            if file.is_empty() {
                variables.push((variable.as_str(), value));
            } else {
                settings_file(&program, file, &format!("{profile}{one} = '{value}'\n"));
            }
            let option = if profile.is_empty() { "" } else { "--profile p" };
            let texts = [format!("`--{one} {value}` ({at}"), format!("`--{other} {contrary}`")];
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            // What is typed contradicts, and what a variable says, too.
            let typed = format!("run a.csv --yes {option} --{other} {contrary}");
            expect(&program, run_offline(&program, &typed, &variables), &texts);
            let higher = format!("BULK_TRIAGE_{}", other.replace('-', "_").to_uppercase());
            variables.push((higher.as_str(), contrary));
            expect(&program, run_offline(&program, &format!("run a.csv --yes {option}"), &variables), &texts);
        }
    }
}

#[test]
fn project_file_chooses_no_cloud() {
    for line in ["cloud = 'us-gov-high'\n", "region = 'eu'\n"] {
        let program = application();
        settings_file(&program, PROJECT, line);
        expect(&program, run_offline(&program, "run a.csv --yes", &[]), &["bulk-triage.toml:1", "project file"]);
    }
}

#[test]
fn authority_host_of_another_cloud_is_refused() {
    let program = application();
    for (options, host, texts) in [
        (
            "",
            "https://login.microsoftonline.us",
            ["login.microsoftonline.us", "--cloud us-gov-high or --cloud us-gov-dod"],
        ),
        ("--region eu", "login.microsoftonline.us", ["`--region eu`", "sign in at login.microsoftonline.com"]),
        (
            "--contract graph --cloud us-gov-high",
            "https://login.microsoftonline.com/",
            ["AZURE_AUTHORITY_HOST is login.microsoftonline.com", "`--cloud us-gov-high`"],
        ),
        (
            "--base-url https://api-gov.security.microsoft.us",
            "https://LOGIN.microsoftonline.com:443",
            ["AZURE_AUTHORITY_HOST", "`--base-url https://api-gov.security.microsoft.us`"],
        ),
        (
            "--cloud us-gov-gcc",
            "https://login.microsoftonline.us",
            ["`--cloud us-gov-gcc`", "sign in at login.microsoftonline.com"],
        ),
        (
            "--cloud us-gov-high --base-url https://gateway.contoso.example",
            "https://login.microsoftonline.com",
            ["`--cloud us-gov-high`", "sign in at login.microsoftonline.us"],
        ),
    ] {
        let ended = run_offline(&program, &format!("run a.csv --yes {options}"), &[("AZURE_AUTHORITY_HOST", host)]);
        expect(&program, ended, &texts);
    }
    // Only a credential that signs in there reads the variable.
    let mut command = program.command("run a.csv --yes --patience 0 --cloud us-gov-high");
    command.env("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com").env("HTTPS_PROXY", "http://127.0.0.1:1");
    let ended = started(command).end();
    assert!(!ended.printed().contains("AZURE_AUTHORITY_HOST"), "{}", ended.printed());
}

#[test]
fn china_is_answered_plainly() {
    let program = application();
    let says = ["Microsoft Graph has no incidents in China", "no host of the classic API is known in China (21Vianet)"];
    let run = |options: &str, variables: &[(&str, &str)]| {
        let ended = run_offline(&program, &format!("run a.csv --yes {options}"), variables);
        expect(&program, ended, &says);
    };
    for options in [
        "--cloud china",
        "--cloud china --contract graph",
        "--cloud 21vianet",
        "--base-url https://microsoftgraph.chinacloudapi.cn",
        "--contract graph --base-url https://MicrosoftGraph.chinacloudapi.cn:443/",
    ] {
        run(options, &[]);
    }
    run("", &[("BULK_TRIAGE_CLOUD", "china")]);
    run("", &[("BULK_TRIAGE_BASE_URL", "https://microsoftgraph.chinacloudapi.cn")]);
    for host in ["https://login.chinacloudapi.cn", "login.partner.microsoftonline.cn"] {
        run("", &[("AZURE_AUTHORITY_HOST", host)]);
        run("--contract graph", &[("AZURE_AUTHORITY_HOST", host)]);
    }
}

#[test]
fn unknown_cloud_and_region_list_the_known_ones() {
    let program = application();
    run_offline(&program, "run a.csv --cloud us-gov", &[])
        .expect_code(2)
        .expect_text("us-gov-gcc, us-gov-high, us-gov-dod]");
    run_offline(&program, "run a.csv --region Eu", &[]).expect_code(2).expect_text("us, eu, uk, au, swa, ina, aea]");
    settings_file(&program, USER, "cloud = 'gcc'\n");
    let ended = run_offline(&program, "run a.csv --dry-run", &[]).expect_code(2);
    ended.expect_text("config.toml:1: invalid value `gcc` for `cloud`");
}

/// In the US Government clouds, which audience the classic API's tokens have is not documented.
#[test]
fn token_for_another_cloud_is_refused() {
    const ROLES: &str = r#""roles":["SecurityIncident.ReadWrite.All","Incident.ReadWrite.All"]"#;
    let program = application();
    for (options, audience, is_refused) in [
        ("--contract graph --cloud us-gov-high", "https://graph.microsoft.com", true),
        ("--contract graph --cloud us-gov-high", "https://dod-graph.microsoft.us", true),
        ("--contract graph --cloud us-gov-high", "https://graph.microsoft.us/", false),
        ("--contract graph --cloud us-gov-dod", "00000003-0000-0000-c000-000000000000", false),
        ("--contract graph", "https://graph.microsoft.us", true),
        ("--cloud us-gov-gcc", "https://api-gov.security.microsoft.us", true),
        ("--cloud us-gov-gcc", "https://api-gcc.security.microsoft.us", false),
        ("--cloud us-gov-gcc", "https://api.security.microsoft.com", false),
        ("--region eu", "https://api.security.microsoft.com", false),
        ("--region eu", "https://api-eu.security.microsoft.com", false),
        ("--region eu", "https://api-us.security.microsoft.com", true),
        ("", "https://api-gov.security.microsoft.us", true),
    ] {
        let token = crate::tokens::jwt(&format!(r#"{{"aud":"{audience}",{ROLES}}}"#));
        let mut command = program.command(&format!("run a.csv --yes --patience 0 {options}"));
        command.env("BULK_TRIAGE_TOKEN", token).env("HTTPS_PROXY", "http://127.0.0.1:1");
        let ended = started(command).end();
        let says = ended.stderr.contains("the token is for");
        assert_eq!(says, is_refused, "{options} {audience}: {}", ended.printed());
        ended.expect_code(if is_refused { 5 } else { 4 });
    }
}
