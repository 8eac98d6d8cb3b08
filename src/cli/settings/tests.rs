//! Every option has its value and origin from each layer that may set it, and from no other.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::builder::PossibleValue;
use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::super::Cli;
use super::defaults::{is_settable, option};
use super::layers::place;
use super::load::EarlyOptions;
use super::variables::variable_of;
use super::*;
use crate::model::setting::{Origin, Settings, opposite};

const SAMPLES: [&str; 11] = ["trim", "1=2", "1", "1m", "5/1m", "1-2", "updated", "human", "x=1", "429@1", "x"];

fn parsed(words: &[String], defaults: &Defaults) -> Result<Settings, clap::Error> {
    let mut command = with_defaults(Cli::command(), defaults);
    let matches = command.try_get_matches_from_mut(words)?;
    Ok(resolve(&command, &matches, defaults))
}

fn typed_in(line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let settings = parsed(&words, &Defaults::new()).expect("a command line").typed();
    settings.iter().flat_map(|one| [Some(one.name.clone()), one.value.clone()]).flatten().collect()
}

#[test]
fn typed_options_are_verbatim() {
    let line = "b --state-dir s run a.csv --quota 002/1h --set a=1 --set b=2 --only failed,in-doubt -y --remember 0";
    let words = typed_in(line).join(" ");
    assert_eq!(words, "--set a=1 --set b=2 --only failed,in-doubt --quota 002/1h --remember 0 --yes --state-dir s");
    assert_eq!(typed_in("b runs resume 7f3k --token-file t").join(" "), "--token-file t");
    assert_eq!(typed_in("b run a.csv -vv").join(" "), "--verbose --verbose");
    assert!(typed_in("b run a.csv").is_empty());
    assert!(typed_in("b runs").is_empty());
}

/// Every command without commands below it: its words with the arguments that it needs, and its options.
fn commands(command: &Command, words: &[String]) -> Vec<(Vec<String>, Vec<Arg>)> {
    let below: Vec<_> = command.get_subcommands().filter(|below| below.get_name() != "help").collect();
    let lists = below.iter().flat_map(|below| commands(below, &[words, &[below.get_name().to_owned()]].concat()));
    if !below.is_empty() {
        return lists.collect();
    }
    let needed = command.get_arguments().filter(|arg| arg.is_required_set());
    let sample = |arg: &Arg| {
        let value = arg.get_possible_values().first().map_or("x", |first| first.get_name()).to_owned();
        option(arg).into_iter().chain([value]).collect::<Vec<_>>()
    };
    let options = command.get_arguments().filter(|arg| {
        !matches!(arg.get_action(), ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version)
            && option(arg).is_some()
    });
    vec![([words, &needed.flat_map(sample).collect::<Vec<_>>()].concat(), options.cloned().collect())]
}

/// The settings of an option.
fn of(settings: &Settings, option: &str) -> Vec<(Option<String>, Origin)> {
    let named = settings.iter().filter(|one| one.name == option);
    named.map(|one| (one.value.clone(), one.origin.clone())).collect()
}

#[test]
fn every_option_has_its_value_and_origin() {
    let mut command = Cli::command();
    command.build();
    let mut checked = 0;
    // A global option is the same for every command but the emulator, which exempts only its own.
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for (words, arguments) in commands(&command, &["b".to_owned()]) {
        let is_checked = |argument: &Arg| {
            argument.is_global_set()
                && words[1] != "emulator"
                && known.contains_key(&option(argument).unwrap_or_default())
        };
        let arguments: Vec<Arg> = arguments.into_iter().filter(|argument| !is_checked(argument)).collect();
        for argument in arguments {
            let (line, name) = (words.join(" "), option(&argument).expect("a long name"));
            let takes_values = argument.get_action().takes_values();
            let default = argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned());
            let default: Vec<_> = default.map(|value| (Some(value), Origin::Default)).collect();
            let default = if takes_values { default } else { Vec::new() };
            let none = Defaults::new();
            if !argument.is_required_set() {
                assert_eq!(of(&parsed(&words, &none).expect("valid"), &name), default, "{line}: {name}");
            }

            let variable = Origin::Variable("BULK_TRIAGE_X".to_owned());
            let with = |value: &str| Defaults::from([(name.clone(), (value.into(), variable.clone()))]);
            if !takes_values {
                let flag = parsed(&[&words[..], std::slice::from_ref(&name)].concat(), &none).expect("valid");
                assert_eq!(of(&flag, &name), [(None, Origin::Flag)], "{line}: {name}");
                if is_settable(&words[1], &argument) {
                    let found = |words: &[String]| of(&parsed(words, &with("true")).expect("valid"), &name);
                    assert_eq!(found(&words), [(None, variable.clone())], "{line}: {name}");
                    assert_eq!(found(&[&words[..], &[opposite(&name)]].concat()), [], "{line}: {name}");
                    assert_eq!(of(&parsed(&words, &with("false")).expect("valid"), &name), [], "{line}: {name}");
                }
                known.insert(name, String::new());
                checked += 1;
                continue;
            }
            let possible = argument.get_possible_values();
            let defaults = argument.get_default_values().iter().filter_map(|value| value.to_str());
            let samples = defaults.chain(possible.iter().map(PossibleValue::get_name)).chain(SAMPLES);
            let samples: Vec<String> =
                known.get(&name).cloned().map_or_else(|| samples.map(str::to_owned).collect(), |one| vec![one]);
            let typed = |sample: &str| parsed(&[&words[..], &[name.clone(), sample.to_owned()]].concat(), &none);
            let valid = samples.iter().rev().find_map(|sample| Some((sample.clone(), typed(sample).ok()?)));
            let (sample, flag) = valid.unwrap_or_else(|| panic!("{line}: no sample for {name}"));
            assert_eq!(of(&flag, &name).last(), Some(&(Some(sample.clone()), Origin::Flag)), "{line}: {name}");
            known.insert(name.clone(), sample.clone());
            if is_settable(&words[1], &argument) {
                let set = with(&sample);
                let found = parsed(&words, &set).expect("valid");
                assert_eq!(of(&found, &name), [(Some(sample), variable)], "{line}: {name}");
                let typed = parsed(&[&words[..], &[name.clone(), "1".to_owned()]].concat(), &set);
                if let Ok(typed) = typed {
                    assert_eq!(of(&typed, &name), [(Some("1".to_owned()), Origin::Flag)], "{line}: {name}");
                }
            } else if place(name.trim_start_matches('-')).is_some() {
                assert_eq!(of(&parsed(&words, &with(&sample)).expect("valid"), &name), default, "{line}: {name}");
            }
            checked += 1;
        }
    }
    assert!(checked > 150, "{checked} options");
}

/// A directory with settings files.
struct Files {
    dir: tempfile::TempDir,
    around: Surroundings,
}

impl Files {
    fn new() -> Files {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        let around = Surroundings {
            variables: Variables::new(),
            system: at("system.toml"),
            user: Some(at("user.toml")),
            project: at("project.toml"),
            home: Some(dir.path().to_owned()),
        };
        Files { dir, around }
    }

    fn write(&self, file: &str, text: &str) {
        std::fs::write(self.dir.path().join(file), text).expect("a file");
    }

    fn load(&self, profile: Option<&str>) -> Result<Loaded, String> {
        let early = EarlyOptions { profile: profile.map(Into::into), ..EarlyOptions::default() };
        load(&early, &self.around).map_err(|error| error.to_string())
    }

    /// The value and the origin of an option.
    fn found(&self, option: &str, profile: Option<&str>) -> (String, String) {
        let loaded = self.load(profile).expect(option);
        let (value, origin) = &loaded.defaults[option];
        (value.to_string_lossy().into_owned(), origin.to_string())
    }
}

/// A value of the option in each layer, from low to high; each fits within the one before.
fn samples(name: &str) -> [String; 5] {
    let numbers = [9, 8, 7, 6, 5];
    match name {
        "quota" => numbers.map(|number| format!("{number}/1m")),
        "concurrency" | "max-attempts" | "max-failures" => numbers.map(|number| number.to_string()),
        "compare" | "follow-redirects" | "allow-differs" | "progress" => {
            ["true", "false", "true", "false", "true"].map(str::to_owned)
        }
        "patience" | "remember" | "stop-after" | "settle" => numbers.map(|number| format!("{number}m")),
        _ => numbers.map(|number| format!("/x/{number}")),
    }
}

#[test]
fn higher_layer_outranks_lower_ones() {
    for name in layers::names() {
        let mut files = Files::new();
        let option = format!("--{name}");
        let values = samples(name);
        let line = |value: &str| format!("{name} = \"{value}\"\n");
        let expect = |files: &Files, value: &str, origin: &str| {
            assert_eq!(files.found(&option, Some("p")), (value.to_owned(), origin.to_owned()), "{name}");
        };
        files.write("system.toml", &(line(&values[0]) + "[profiles.p]\n"));
        expect(&files, &values[0], "~/system.toml:1");
        files.write("user.toml", &line(&values[1]));
        expect(&files, &values[1], "~/user.toml:1");
        files.write("project.toml", &line(&values[2]));
        if let Some(layers::Place::OwnFiles(harm)) = place(name) {
            let error = files.load(Some("p")).expect_err(name);
            let expected =
                format!("~/project.toml:1: `{name}` can't be set in a project file: a cloned folder must not {harm}");
            assert_eq!(error, expected);
            files.write("project.toml", "");
        } else {
            expect(&files, &values[2], "~/project.toml:1");
        }
        files.write("system.toml", &(line(&values[0]) + "[profiles.p]\n" + &line(&values[3])));
        expect(&files, &values[3], "~/system.toml:3 [profiles.p]");
        files.around.variables.insert(variable_of(name), values[4].clone().into());
        expect(&files, &values[4], &format!("env {}", variable_of(name)));
    }
}

#[test]
fn project_quota_fits_within_that_of_lower_files() {
    let files = Files::new();
    files.write("project.toml", "\nquota = \"40/1m\"");
    assert_eq!(files.found("--quota", None).0, "40/1m");
    files.write("system.toml", "quota = \"30/1m\"");
    let error = files.load(None).expect_err("looser");
    assert_eq!(error, "~/project.toml:2: the quota 40/1m exceeds 30/1m (~/system.toml:1)");
    files.write("user.toml", "quota = \"45/1m\"\n[profiles.p]\nquota = \"10/1m\"");
    assert_eq!(files.found("--quota", None).0, "40/1m");
    assert_eq!(files.found("--quota", Some("p")).0, "10/1m");
}

#[test]
fn config_file_takes_the_place_of_all_files() {
    let mut files = Files::new();
    for name in ["system", "user", "project"] {
        files.write(&format!("{name}.toml"), "nonsense");
    }
    files.write("other.toml", "token-file = \"token\"\nbase-url = \"https://x\"");
    let other = files.dir.path().join("other.toml");
    let with = |config: &std::path::Path| EarlyOptions { config: Some(config.into()), ..EarlyOptions::default() };
    let loaded = load(&with(&other), &files.around).expect("settings");
    assert_eq!(loaded.defaults["--token-file"].0, files.dir.path().join("token"));
    assert_eq!(loaded.files, std::slice::from_ref(&other));
    let none = EarlyOptions { no_config: true, ..EarlyOptions::default() };
    assert!(load(&none, &files.around).expect("nothing").defaults.is_empty());
    let missing = load(&with(&files.dir.path().join("missing.toml")), &files.around).expect_err("named");
    assert_eq!(missing.to_string(), "there is no settings file ~/missing.toml");
    let both = EarlyOptions { no_config: true, ..with(&other) };
    load(&both, &files.around).expect_err("a contradiction");
    files.around.variables.insert(variable_of("config"), other.into());
    assert!(load(&EarlyOptions::default(), &files.around).expect("settings").defaults.contains_key("--base-url"));
    // What was typed outranks the variable.
    assert!(load(&none, &files.around).expect("nothing").files.is_empty());
}

#[test]
fn unknown_profile_is_refused() {
    let files = Files::new();
    assert_eq!(files.load(Some("contoso")).expect_err("none"), "there is no profile `contoso`");
    files.write("user.toml", "[profiles.contoso]\n[profiles.fabrikam]\n");
    files.load(Some("contoso")).expect("an empty profile");
    let early = EarlyOptions { profile: Some("contso".into()), ..EarlyOptions::default() };
    let error = load(&early, &files.around).expect_err("unknown");
    assert_eq!(error.hint().as_deref(), Some("did you mean `contoso`?"));
}

#[test]
fn files_are_found_wherever_they_are_typed() {
    let found = |line: &str| {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let EarlyOptions { profile, config, no_config, .. } = early_options(Cli::command(), &words);
        let text = |value: Option<OsString>| value.map(|value| value.to_string_lossy().into_owned());
        (text(profile), text(config), no_config)
    };
    let options = |profile: &str, config: &str, no_config| {
        let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        (some(profile), some(config), no_config)
    };
    for (line, expected) in [
        ("b run a.csv --profile p --config=c", options("p", "c", false)),
        ("b --profile p runs --no-config resume 7f3k", options("p", "", true)),
        ("b --profile p run --profile q a.csv", options("q", "", false)),
        ("b run a.csv -- --profile p", options("", "", false)),
        ("b --help", options("", "", false)),
        ("b", options("", "", false)),
    ] {
        assert_eq!(found(line), expected, "{line}");
    }
}
