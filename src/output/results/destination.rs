//! The path of a results file: its default name, and which files it may replace.
//!
//! Promises: examining a path changes nothing; only an empty file or a results file is replaced.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, TryLockError};
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use crate::files::{self, OutputKind, PathError, PathProblem, Refusal};
use crate::input::InputShape;
use crate::model::outcome::RESULT_COLUMNS;
use crate::text::BOM;

/// The first line of a results file is shorter, because a record has at most 1 MiB.
const MAX_FIRST_LINE: u64 = 4 << 20;

/// What results of an emulator have in their name, in place of a run's ID.
pub const EMULATOR: &str = "emulator";

/// A path at which results can be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    path: PathBuf,
    input: Option<PathBuf>,
    replaces: bool,
}

const KIND: OutputKind = OutputKind { name: "results", option: "--results", used: "it is the input" };

impl Destination {
    /// Examines the path without changing anything. `input` is the input's path, if it has one.
    ///
    /// # Errors
    /// If it is a link, a directory, a device, a pipe, the input itself, a file that is not a results file, or the results
    /// file of a running run; if its name has the ending of the other format; if its directory can't be written.
    pub fn examine(path: &Path, input: Option<&Path>, shape: &InputShape) -> Result<Destination, PathError> {
        let failed = PathError::at(&KIND, path);
        expect_file_of_format(path, shape).map_err(failed)?;
        let replaces = holds_results_at(path, input).map_err(failed)?;
        Ok(Destination { path: path.to_owned(), input: input.map(Path::to_owned), replaces })
    }

    /// The path as it was named.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether earlier results will be replaced.
    #[must_use]
    pub fn replaces(&self) -> bool {
        self.replaces
    }

    pub(super) fn examine_again(&self) -> Result<(), PathError> {
        holds_results_at(&self.path, self.input.as_deref()).map(drop).map_err(PathError::at(&KIND, &self.path))
    }
}

/// The default name of results: `close.7f3k.results.csv` for `close.csv`, and also if the input is a results file of
/// `close.csv`.
///
/// `run` is the run's ID, or `emulator`. `input` is `None` for standard input.
#[must_use]
pub fn default_name(input: Option<&Path>, run: &str, shape: &InputShape) -> PathBuf {
    let mut name = stem(input);
    name.push(format!(".{run}.results.{}", shape.extension()));
    name.into()
}

pub(super) fn stem(input: Option<&Path>) -> OsString {
    let stem = input.map_or(Some(OsStr::new("stdin")), Path::file_stem).unwrap_or(OsStr::new("input"));
    let of_results = || stem.to_str()?.strip_suffix(".results")?.rsplit_once('.').map(|(original, _run)| original);
    of_results().filter(|original| !original.is_empty()).map_or_else(|| stem.to_owned(), OsString::from)
}

fn expect_file_of_format(path: &Path, shape: &InputShape) -> Result<(), PathProblem> {
    if path == Path::new("-") {
        let why = "results need a file; name one with `--results`, or read the summary with `--format json`";
        return Err(PathProblem::Other(why.to_owned()));
    }
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
    let format = match extension.as_str() {
        "csv" => "csv",
        "jsonl" | "ndjson" => "jsonl",
        _ => return Ok(()),
    };
    let wanted = shape.extension();
    if format == wanted {
        return Ok(());
    }
    Err(PathProblem::Other(format!("the results have the input's format; name a file that ends in `.{wanted}`")))
}

/// Whether the path has results.
fn holds_results_at(path: &Path, input: Option<&Path>) -> Result<bool, PathProblem> {
    let replaces = files::inspect(path, input.as_slice(), holds_results)?.unwrap_or(false);
    if path.file_name().is_none() {
        return Err(Refusal::Kind("a directory").into());
    }
    Ok(replaces)
}

#[expect(clippy::needless_pass_by_value, reason = "the signature of a check for `inspect`")]
pub(super) fn holds_results(file: File) -> Result<bool, PathProblem> {
    if let Err(TryLockError::WouldBlock) = file.try_lock_shared() {
        // Not `Held`, which has a different exit code.
        let why = "another run is writing it; wait until it has finished, or name another file with `--results`";
        return Err(PathProblem::Other(why.to_owned()));
    }
    match first_line(&file)? {
        // Results without rows, as JSONL.
        line if line == BOM.as_bytes() => Ok(false),
        line if is_results(&line) => Ok(true),
        _ => Err(PathProblem::Kept("is not a results file")),
    }
}

fn first_line(file: &File) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    BufReader::new(file).take(MAX_FIRST_LINE).read_until(b'\n', &mut line)?;
    Ok(line)
}

fn is_results(first_line: &[u8]) -> bool {
    let line = first_line.strip_prefix(BOM.as_bytes()).unwrap_or(first_line).trim_ascii_end();
    let csv = [",", ";", "\t"].into_iter().any(|delimiter| {
        line.strip_prefix(RESULT_COLUMNS.join(delimiter).as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(delimiter.as_bytes()))
    });
    csv || serde_json::from_slice::<HashMap<String, &RawValue>>(line).is_ok_and(|members| {
        let names: HashSet<_> = members.keys().map(String::as_str).collect();
        names == RESULT_COLUMNS.into_iter().chain(["input"]).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const HEADER: &str = "row,line,incident_id,outcome,code,message,http_status,attempts,request_id,finished_at";

    fn shape() -> InputShape {
        InputShape::Csv { delimiter: ',', bom: false, columns: vec!["incidentId".to_owned()] }
    }

    /// What examining `results.csv` says, in a directory that `prepare` has filled.
    fn examined(prepare: impl FnOnce(&Path)) -> Result<bool, String> {
        let directory = tempfile::tempdir().expect("a directory");
        prepare(directory.path());
        let before = listing(directory.path());
        let input = directory.path().join("input.csv");
        let found = Destination::examine(&directory.path().join("results.csv"), Some(&input), &shape());
        assert_eq!(listing(directory.path()), before, "examining has no effect");
        let reason = |error: PathError| error.to_string().split_once("`: ").map(|(_, reason)| reason.to_owned());
        found.map(|found| found.replaces()).map_err(|error| reason(error).expect("a path and a reason"))
    }

    fn listing(directory: &Path) -> Vec<OsString> {
        let mut names: Vec<_> = fs::read_dir(directory).expect("lists").flatten().map(|e| e.file_name()).collect();
        names.sort();
        names
    }

    fn holding(text: &str) -> Result<bool, String> {
        examined(|directory| fs::write(directory.join("results.csv"), text).expect("writes"))
    }

    #[test]
    fn only_empty_files_and_results_are_replaced() {
        assert_eq!(examined(|_| {}), Ok(false));
        assert_eq!(holding(""), Ok(false));
        assert_eq!(holding(HEADER), Ok(true));
        assert_eq!(holding(&format!("\u{feff}{}\r\n", HEADER.replace(',', ";"))), Ok(true));
        assert_eq!(holding(&format!("{HEADER},incidentId\n1,2,3\n")), Ok(true));
        let members = HEADER.replace(',', "\":null,\"");
        assert_eq!(holding(&format!("{{\"{members}\":null,\"input\":{{\"deep\":[[1]]}}}}\nx")), Ok(true));
    }

    #[test]
    fn every_other_file_is_kept() {
        let foreign =
            Err("the file exists and is not a results file; move it away, or name another file with `--results`");
        let foreign = foreign.map_err(str::to_owned);
        assert_eq!(holding("incidentId,status\n1,Active\n"), foreign);
        assert_eq!(holding(&format!("{HEADER}2\n")), foreign);
        assert_eq!(holding(&HEADER[1..]), foreign);
        assert_eq!(holding("{\"row\":1,\"input\":{}}\n"), foreign);
        assert_eq!(holding("\n"), foreign);
    }

    #[test]
    fn links_directories_and_pipes_are_refused() {
        let refused = |what| Err(format!("it is {what}; name another file with `--results`"));
        let link = |directory: &Path| {
            std::os::unix::fs::symlink(directory.join("nowhere"), directory.join("results.csv")).expect("links");
        };
        assert_eq!(examined(link), refused("a symbolic link"));
        assert_eq!(examined(|d| fs::create_dir(d.join("results.csv")).expect("makes")), refused("a directory"));
        let pipe = |directory: &Path| {
            let path = directory.join("results.csv");
            rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("makes");
        };
        assert_eq!(examined(pipe), refused("a named pipe"));
        assert_eq!(
            Destination::examine(Path::new("/dev/null"), None, &shape()).expect_err("refused").to_string(),
            "cannot write results to `/dev/null`: it is no ordinary file; name another file with `--results`"
        );
    }

    #[test]
    fn input_is_refused_under_any_name() {
        let hard_link = |directory: &Path| {
            fs::write(directory.join("input.csv"), HEADER).expect("writes");
            fs::hard_link(directory.join("input.csv"), directory.join("results.csv")).expect("links");
        };
        assert_eq!(examined(hard_link), Err("it is the input; name another file with `--results`".to_owned()));
    }

    #[test]
    fn file_of_a_running_run_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("results.csv");
        fs::write(&path, HEADER).expect("writes");
        let writing = File::open(&path).expect("opens");
        writing.lock().expect("locks");
        let error = Destination::examine(&path, None, &shape()).expect_err("refused");
        assert!(error.to_string().contains("another run is writing it"), "{error}");
        drop(writing);
        assert!(Destination::examine(&path, None, &shape()).is_ok());
    }

    #[test]
    fn missing_directory_and_other_extension_are_refused() {
        let missing = Destination::examine(Path::new("/nowhere/results.csv"), None, &shape()).expect_err("refused");
        assert!(missing.io_error().is_some(), "{missing}");
        let other = Destination::examine(Path::new("results.jsonl"), None, &shape()).expect_err("refused");
        assert!(other.to_string().contains("name a file that ends in `.csv`"), "{other}");
    }

    #[test]
    fn default_names_are_as_documented() {
        for (input, name) in [
            ("close.csv", "close.7f3k.results.csv"),
            ("/data/close.v2.csv", "close.v2.7f3k.results.csv"),
            ("close.6aaa.results.csv", "close.7f3k.results.csv"),
            ("close.emulator.results.csv", "close.7f3k.results.csv"),
            ("results.csv", "results.7f3k.results.csv"),
            (".results.csv", ".results.7f3k.results.csv"),
            ("close", "close.7f3k.results.csv"),
            ("..", "input.7f3k.results.csv"),
        ] {
            assert_eq!(default_name(Some(Path::new(input)), "7f3k", &shape()), Path::new(name), "{input}");
        }
        let jsonl = InputShape::Jsonl { bom: false };
        assert_eq!(default_name(None, "emulator", &jsonl), Path::new("stdin.emulator.results.jsonl"));
    }
}
