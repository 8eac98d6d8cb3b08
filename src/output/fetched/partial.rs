//! The partial file, from which a fetch resumes: the incidents read so far, next to the finished file.
//!
//! JSONL: a header with the query, then the incidents, appended and synced page by page. Promises: its mode is 0600;
//! incomplete lines are ignored; one process writes it at a time; no other file is overwritten.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::fetch_file::{FetchFile, KIND, NOT_FETCHED};
use super::incident::Fetched;
use crate::contract::Contract;
use crate::files::{self, For, PathError, PathProblem, directory_of};

/// The first bytes of every partial file.
const MARK: &str = "{\"fetch\":1,";

/// The first line of a partial file: the query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartialHeader {
    /// The format's version.
    fetch: u32,
    /// The options, as typed.
    pub query: Vec<String>,
    /// The filter made from them at the start: `1h ago` is a different time now.
    pub filter: Option<String>,
    /// The API's origin.
    pub origin: String,
    /// The tenant key.
    pub scope: String,
    /// The complete contract as TOML.
    pub contract: String,
    /// The start of the fetch: RFC 3339, UTC.
    #[serde(rename = "begun_at")]
    pub started_at: String,
}

impl PartialHeader {
    /// A query that starts now.
    #[must_use]
    pub fn new(query: Vec<String>, filter: Option<String>, origin: String, scope: String, contract: String) -> Self {
        PartialHeader { fetch: 1, query, filter, origin, scope, contract, started_at: String::new() }
    }

    /// Whether it is the same query, apart from the time of its start.
    fn is_same(&self, other: &PartialHeader) -> bool {
        // An earlier revision may have written the contract in an earlier format.
        let is_same_contract = || {
            let [a, b] = [self, other].map(|header| Contract::from_toml(&header.contract));
            a.is_ok() && a == b
        };
        (self.fetch, &self.query, &self.origin, &self.scope) == (other.fetch, &other.query, &other.origin, &other.scope)
            && (self.contract == other.contract || is_same_contract())
    }
}

/// What became of an earlier partial file.
#[derive(Debug, PartialEq, Eq)]
pub enum PartialStart {
    /// There was none.
    New,
    /// It is resumed.
    Resumed,
    /// It was for a different query or too old, and was discarded.
    Discarded,
}

/// A partial file that is being written. It holds a lock until it is dropped.
#[derive(Debug)]
pub struct PartialFile {
    path: PathBuf,
    file: File,
    header: PartialHeader,
}

impl PartialFile {
    /// Opens the partial file of `file`, and passes its incidents to `read`. It starts over if the file is as old as
    /// `oldest`, or has a different query.
    ///
    /// # Errors
    /// If it can't be written, is not a partial file, or is locked by another process.
    pub fn open(
        file: &FetchFile,
        header: PartialHeader,
        now: jiff::Timestamp,
        oldest: jiff::Timestamp,
        mut read: impl FnMut(Fetched),
    ) -> Result<(PartialFile, PartialStart), PathError> {
        let mut name = file.path().as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let opened = files::resolve_parent(&path).map_err(PathProblem::from).and_then(|resolved| {
            let opened = open(&resolved)?;
            PartialFile::start(opened, &resolved, header, now, oldest, &mut read)
        });
        opened.map_err(PathError::at(&KIND, &path))
    }

    fn start(
        file: File,
        path: &Path,
        header: PartialHeader,
        now: jiff::Timestamp,
        oldest: jiff::Timestamp,
        read: &mut dyn FnMut(Fetched),
    ) -> Result<(PartialFile, PartialStart), PathProblem> {
        let header = PartialHeader { started_at: format!("{now:.0}"), ..header };
        let is_new = file.metadata()?.len() == 0;
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        let found = next_line::<PartialHeader>(&mut lines, &mut line)?.filter(|found| {
            found.is_same(&header)
                && found.started_at.parse::<jiff::Timestamp>().is_ok_and(|started| started > oldest && started <= now)
        });
        let Some(found) = found else {
            let mut partial = PartialFile { path: path.to_owned(), file, header };
            partial.start_over()?;
            return Ok((partial, if is_new { PartialStart::New } else { PartialStart::Discarded }));
        };
        let mut length = line.len() as u64;
        while let Some(incident) = next_line(&mut lines, &mut line)? {
            length += line.len() as u64;
            read(incident);
        }
        // A kill may have left an incomplete line.
        file.set_len(length)?;
        Ok((PartialFile { path: path.to_owned(), file, header: found }, PartialStart::Resumed))
    }

    fn start_over(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        let line = json_line(&self.header)?;
        self.file.seek(io::SeekFrom::Start(0))?;
        self.file.write_all(&line)?;
        self.file.sync_all()?;
        files::sync_directory(directory_of(&self.path))
    }

    /// The query, as of its first start.
    #[must_use]
    pub fn header(&self) -> &PartialHeader {
        &self.header
    }

    /// Appends the incidents of a page. They are on disk when this returns.
    ///
    /// # Errors
    /// If the file can't be written.
    pub fn append(&mut self, page: &[Fetched]) -> io::Result<()> {
        let mut lines = Vec::new();
        for incident in page {
            lines.extend(json_line(incident)?);
        }
        self.file.seek(io::SeekFrom::End(0))?;
        self.file.write_all(&lines)?;
        self.file.sync_data()
    }

    /// The incidents read so far.
    ///
    /// # Errors
    /// If the file can't be read.
    pub fn incidents(&self) -> Result<impl Iterator<Item = io::Result<Fetched>> + use<>, PathError> {
        let failed = PathError::at(&KIND, &self.path);
        let mut file = self.file.try_clone().map_err(failed)?;
        file.seek(io::SeekFrom::Start(0)).map_err(failed)?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        next_line::<PartialHeader>(&mut lines, &mut line).map_err(failed)?;
        Ok(std::iter::from_fn(move || next_line(&mut lines, &mut line).transpose()))
    }

    /// Removes the file after its incidents were written to the finished file.
    ///
    /// # Errors
    /// If it can't be removed.
    pub fn remove(self) -> Result<(), PathError> {
        fs::remove_file(&self.path).map_err(PathError::at(&KIND, &self.path))
    }
}

/// Opens and locks the file.
fn open(path: &Path) -> Result<File, PathProblem> {
    loop {
        let mut file = files::open_own(path, For::Creating)?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => return Err(PathProblem::Held("another fetch")),
            Err(fs::TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
                return Err(error.into());
            }
            _ => {}
        }
        // The process that held the lock may have removed the file.
        if file.metadata()?.nlink() == 0 {
            continue;
        }
        let mut mark = Vec::new();
        (&file).take(MARK.len() as u64).read_to_end(&mut mark)?;
        // A kill may have left only a part of the first line.
        if !MARK.as_bytes().starts_with(&mark) {
            return Err(NOT_FETCHED);
        }
        file.seek(io::SeekFrom::Start(0))?;
        return Ok(file);
    }
}

fn json_line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// The next line, if it is complete and valid.
fn next_line<T: for<'a> Deserialize<'a>>(lines: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<Option<T>> {
    line.clear();
    lines.read_until(b'\n', line)?;
    Ok(line.strip_suffix(b"\n").and_then(|line| serde_json::from_slice(line).ok()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::snapshot::IncidentState;
    use jiff::Timestamp;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn fetched(id: u64) -> Fetched {
        Fetched { id, fetched_at: "2026-11-24T10:00:00Z".to_owned(), before: IncidentState::default() }
    }

    struct Place {
        directory: tempfile::TempDir,
        file: FetchFile,
    }

    impl Place {
        fn new() -> Place {
            let directory = tempfile::tempdir().expect("a directory");
            let file = FetchFile::examine(&directory.path().join("open.csv")).expect("free");
            Place { directory, file }
        }

        /// Opens the part of this question at this time; how it begins, and what was read before.
        fn open(
            &self,
            query: &str,
            filter: &str,
            now: &str,
        ) -> Result<(PartialFile, PartialStart, Vec<u64>), PathError> {
            let [origin, scope, contract] = ["https://a.example", "tenant:1", "rules"].map(str::to_owned);
            let header = PartialHeader::new(vec![query.to_owned()], Some(filter.to_owned()), origin, scope, contract);
            let now = at(now);
            let oldest = now.saturating_sub(std::time::Duration::from_hours(12)).expect("a time");
            let mut before = Vec::new();
            let (part, begun) = PartialFile::open(&self.file, header, now, oldest, |one| before.push(one.id))?;
            Ok((part, begun, before))
        }

        /// The same, once nobody holds it: a test beside this one may just be starting another program, which has every
        /// open file for a moment.
        fn reopen(&self, query: &str, filter: &str, now: &str) -> (PartialFile, PartialStart, Vec<u64>) {
            loop {
                match self.open(query, filter, now) {
                    Err(error) if error.is_held() => std::thread::yield_now(),
                    opened => return opened.expect("opens"),
                }
            }
        }
    }

    #[test]
    fn partial_file_resumes_its_filter_for_12_hours() {
        let place = Place::new();
        let (mut part, begun, _) = place.reopen("24h", "first", "2026-11-24T10:00:00Z");
        assert_eq!(begun, PartialStart::New);
        part.append(&[fetched(2), fetched(1)]).expect("keeps");
        assert!(place.open("24h", "", "2026-11-24T10:00:00Z").expect_err("it is held").is_held());
        drop(part);
        let (part, begun, before) = place.reopen("24h", "second", "2026-11-24T21:59:59Z");
        assert_eq!((begun, before), (PartialStart::Resumed, vec![2, 1]));
        assert_eq!(part.header().filter.as_deref(), Some("first"));
        drop(part);
        let (part, begun, before) = place.reopen("24h", "third", "2026-11-24T22:00:00Z");
        assert_eq!((begun, before.len()), (PartialStart::Discarded, 0));
        assert_eq!(part.header().filter.as_deref(), Some("third"));
        drop(part);
        assert_eq!(place.reopen("25h", "", "2026-11-24T22:00:01Z").1, PartialStart::Discarded);
    }

    #[test]
    fn contract_in_an_earlier_format_is_the_same() {
        let stored = include_str!("../../../tests/stored/contract-format-1.toml");
        let today = Contract::from_toml(stored).expect("complete").to_toml();
        let header =
            |contract: &str| PartialHeader::new(Vec::new(), None, String::new(), String::new(), contract.to_owned());
        assert!(today != stored && header(&today).is_same(&header(stored)));
        assert!(!header(&today).is_same(&header(&stored.replace("40/1m", "30/1m"))));
        assert!(header("rules").is_same(&header("rules")) && !header("rules").is_same(&header("others")));
    }

    #[test]
    fn torn_file_resumes_after_its_complete_lines() {
        let place = Place::new();
        let path = place.directory.path().join("open.csv.part");
        let (mut part, ..) = place.reopen("q", "", "2026-11-24T10:00:00Z");
        part.append(&[fetched(3), fetched(2)]).expect("keeps");
        drop(part);
        let whole = fs::read(&path).expect("reads");
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).expect("writes");
            let lines = memchr::memchr_iter(b'\n', &whole[..length]).count();
            let (mut part, begun, before) = place.reopen("q", "", "2026-11-24T10:00:00Z");
            assert_eq!(before, [3, 2][..lines.saturating_sub(1)], "{length}");
            assert_eq!(begun == PartialStart::Resumed, lines > 0, "{length}");
            part.append(&[fetched(1)]).expect("keeps");
            let all: Vec<u64> = part.incidents().expect("reads").map(|one| one.expect("whole").id).collect();
            assert_eq!(all, [&before[..], &[1]].concat(), "{length}");
        }
    }
}
