//! What a hostile project file tries, and what the program says to it: the table in `docs/settings.md`.

use std::fmt::Write as _;

use crate::program::{Program, closing};
use crate::settings::precedence::{PROJECT, USER, names, schema, settings_file};

/// Another file beside the project file, with its text: a contract, or the user's own settings.
type Other = Option<(&'static str, &'static str)>;

const EVIL: &str = "evil.toml";

/// What the project file says, beyond each setting of [`forbidden`], and another file.
pub(crate) const ROWS: &[(&str, Other)] = &[
    ("base-url = 'https://evil.example'", None),
    ("token-file = '/etc/passwd'", None),
    ("[profiles.evil]", None),
    ("yes = true", None),
    ("set = 'status=Resolved'", None),
    ("token = 'x'", None),
    ("quota = '40/1m'", Some((USER, "quota = '30/1m'\n"))),
    ("contract = 'evil.toml'", Some((EVIL, "extends = 'defender'\norigin = 'https://evil.example'\n"))),
    ("contract = 'evil.toml'", Some((EVIL, "extends = 'defender'\naudiences = ['https://evil.example']\n"))),
    ("contract = 'evil.toml'", Some((EVIL, "extends = 'defender'\nquota = '1/1m,1/1h'\n"))),
    ("contract = 'evil.toml'", Some((EVIL, "extends = 'defender'\npath = '/api/machines/{id}/isolate'\n"))),
    ("contract = 'evil.toml'", Some((EVIL, "extends = 'defender'\n[permissions]\napplication = 'User.Read'\n"))),
    ("contract = '/dev/zero'", None),
];

/// Writes both files.
pub(crate) fn prepare(program: &Program, project: &str, other: Other) {
    settings_file(program, PROJECT, &format!("{project}\n"));
    if let Some((name, text)) = other {
        settings_file(program, name, text);
    }
}

/// A row for each setting that a project file must not have.
fn forbidden() -> Vec<String> {
    let of_all = names(&schema()).into_iter().filter(|(_, is_of_project)| !is_of_project);
    of_all.map(|(name, _)| format!("{name} = 'x'")).collect()
}

/// Each setting with the message and the exit code.
pub(crate) fn table() -> String {
    let mut table =
        "| a project file says | and another file | exit code | message |\n| --- | --- | --- | --- |\n".to_owned();
    let rows = forbidden()
        .into_iter()
        .map(|line| (line, None))
        .chain(ROWS.iter().map(|(line, other)| ((*line).to_owned(), *other)));
    for (line, other) in rows {
        let program = Program::new().file("a.csv", closing(1..=2)).emulator(|_| ());
        prepare(&program, &line, other);
        let beside = other.map_or_else(String::new, |(name, text)| {
            let text = text.trim_end().replace('\n', "; ");
            format!("`{}`: `{text}`", name.rsplit('/').next().expect("a name"))
        });
        let ended = program.run("run a.csv --yes");
        assert!(program.requests().is_empty(), "{line}");
        let first = ended.stderr.lines().next().expect("a message");
        let message = first.strip_prefix("error: ").unwrap_or_else(|| panic!("{line}: {}", ended.printed()));
        let code = ended.code.expect("an end");
        let _ = writeln!(table, "| `{line}` | {beside} | {code} | {message} |");
    }
    table
}
