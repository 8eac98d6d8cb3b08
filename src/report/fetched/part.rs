//! The part: what was read so far, beside the file that it becomes.
//!
//! JSONL: a header that names the question, then the incidents, appended and synced page by page. Promises: mode 0600;
//! only whole lines count; one process writes it at a time; nothing but a part is written over.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::place::{directory_of, kind_of};
use super::{FetchFile, FetchPlaceError, Fetched, Reason};

/// What every part begins with.
const MARK: &str = "{\"fetch\":1,";

/// The question, as the first line of a part has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHeader {
    /// The format's version.
    fetch: u32,
    /// What was asked, as it was typed.
    pub query: Vec<String>,
    /// The filter that came of it when it was begun: `1h ago` is another time now.
    pub filter: Option<String>,
    /// Where.
    pub origin: String,
    /// Whose incidents.
    pub scope: String,
    /// By which contract.
    pub contract: String,
    /// When: RFC 3339, UTC.
    pub begun_at: String,
}

impl PartHeader {
    /// A question that is asked now.
    #[must_use]
    pub fn new(query: Vec<String>, filter: Option<String>, origin: String, scope: String, contract: String) -> Self {
        PartHeader { fetch: 1, query, filter, origin, scope, contract, begun_at: String::new() }
    }

    /// Whether it is the same question, whenever it was asked.
    fn is_same(&self, other: &PartHeader) -> bool {
        (self.fetch, &self.query, &self.origin, &self.scope, &self.contract)
            == (other.fetch, &other.query, &other.origin, &other.scope, &other.contract)
    }
}

/// How a part begins.
#[derive(Debug, PartialEq, Eq)]
pub enum Begun {
    /// Nothing was read.
    New,
    /// Something was: it goes on.
    Again,
    /// What was there belongs to another question, or is too old, and was thrown away.
    Instead,
}

/// A part that is being written. Its lock is held until it is dropped.
#[derive(Debug)]
pub struct Part {
    path: PathBuf,
    file: File,
    header: PartHeader,
}

impl Part {
    /// Opens the part beside `file`, and hands what was read already to `read`. One that is `oldest` or older, or belongs
    /// to another question, begins anew.
    ///
    /// # Errors
    /// Where it can't be written, is no part, or another process holds it.
    pub fn open(
        file: &FetchFile,
        header: PartHeader,
        now: jiff::Timestamp,
        oldest: jiff::Timestamp,
        mut read: impl FnMut(Fetched),
    ) -> Result<(Part, Begun), FetchPlaceError> {
        let mut name = file.path().as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let opened = open(&path).and_then(|opened| Part::begin(opened, &path, header, now, oldest, &mut read));
        opened.map_err(|reason| FetchPlaceError { path, reason })
    }

    fn begin(
        file: File,
        path: &Path,
        header: PartHeader,
        now: jiff::Timestamp,
        oldest: jiff::Timestamp,
        read: &mut dyn FnMut(Fetched),
    ) -> Result<(Part, Begun), Reason> {
        let header = PartHeader { begun_at: format!("{now:.0}"), ..header };
        let is_new = file.metadata()?.len() == 0;
        let mut lines = BufReader::new(&file);
        let mut line = Vec::new();
        let found = next_line::<PartHeader>(&mut lines, &mut line)?.filter(|found| {
            found.is_same(&header)
                && found.begun_at.parse::<jiff::Timestamp>().is_ok_and(|begun| begun > oldest && begun <= now)
        });
        let Some(found) = found else {
            let mut part = Part { path: path.to_owned(), file, header };
            part.start_anew()?;
            return Ok((part, if is_new { Begun::New } else { Begun::Instead }));
        };
        let mut whole = line.len() as u64;
        while let Some(incident) = next_line(&mut lines, &mut line)? {
            whole += line.len() as u64;
            read(incident);
        }
        // What a kill has torn is read again.
        file.set_len(whole)?;
        Ok((Part { path: path.to_owned(), file, header: found }, Begun::Again))
    }

    fn start_anew(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        let line = json_line(&self.header)?;
        self.file.seek(io::SeekFrom::Start(0))?;
        self.file.write_all(&line)?;
        self.file.sync_all()?;
        File::open(directory_of(&self.path))?.sync_all()
    }

    /// The question, as it was when it was begun.
    #[must_use]
    pub fn header(&self) -> &PartHeader {
        &self.header
    }

    /// Keeps what a page has shown: on the disk when this returns.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn keep(&mut self, page: &[Fetched]) -> io::Result<()> {
        let mut lines = Vec::new();
        for incident in page {
            lines.extend(json_line(incident)?);
        }
        self.file.seek(io::SeekFrom::End(0))?;
        self.file.write_all(&lines)?;
        self.file.sync_data()
    }

    /// All that was read.
    ///
    /// # Errors
    /// Where it can't be read.
    pub fn incidents(&self) -> io::Result<impl Iterator<Item = io::Result<Fetched>> + use<>> {
        let mut file = self.file.try_clone()?;
        file.seek(io::SeekFrom::Start(0))?;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        next_line::<PartHeader>(&mut lines, &mut line)?;
        Ok(std::iter::from_fn(move || next_line(&mut lines, &mut line).transpose()))
    }

    /// Takes it away: its incidents are in their file.
    ///
    /// # Errors
    /// Where that can't be done.
    pub fn remove(self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Opens it and takes its lock.
fn open(path: &Path) -> Result<File, Reason> {
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    loop {
        match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => return Err(Reason::NotAFile(kind_of(&found))),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(i32::try_from(flags.bits()).unwrap_or_default())
            .open(path)?;
        match file.try_lock() {
            Err(fs::TryLockError::WouldBlock) => return Err(Reason::Held),
            Err(fs::TryLockError::Error(error)) if error.kind() != io::ErrorKind::Unsupported => {
                return Err(error.into());
            }
            _ => {}
        }
        // Whoever held it may have taken it away meanwhile.
        if file.metadata()?.nlink() == 0 {
            continue;
        }
        let mut mark = Vec::new();
        (&file).take(MARK.len() as u64).read_to_end(&mut mark)?;
        // A kill may have torn the first line.
        if !MARK.as_bytes().starts_with(&mark) {
            return Err(Reason::ForeignFile);
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

/// The next line, if it is whole and what it should be.
fn next_line<T: for<'a> Deserialize<'a>>(lines: &mut impl io::BufRead, line: &mut Vec<u8>) -> io::Result<Option<T>> {
    line.clear();
    lines.read_until(b'\n', line)?;
    Ok(line.strip_suffix(b"\n").and_then(|line| serde_json::from_slice(line).ok()))
}
