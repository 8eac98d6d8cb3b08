//! Opens an input: detects its encoding, format, delimiter and header, and what created it.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Cursor, Read};
use std::os::fd::AsFd as _;
use std::path::Path;

use encoding_rs_io::DecodeReaderBytesBuilder;

use super::chunks::{CHUNK_SIZE, Chunk, Framing, Records};
use super::csv::Cell;
use super::error::InputError;
use super::header::{advice_for_encoding, find_delimiter, find_header, has_id, named_delimiter};
use super::portal::is_portal_export;
use super::preamble::Preamble;
use super::record_splitter::{Record, RecordSplitter};
use super::shape::InputShape;
use super::sniff::wrong_kind;
use super::source::{STANDARD_INPUT, Source};
use super::watch::Watch;
use super::{fetched, jsonl};
use crate::files::open_input;
use crate::model::diagnostic::{Code, Diagnostic, codes};
use crate::model::outcome::RESULT_COLUMNS;
use crate::text::{Printable, unescape_formula};

/// What created the file, if this affects how it is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileKind {
    /// A results file: the input's own columns follow the ten columns, or are in `input`.
    pub is_results: bool,
    /// An export of the portal: its cells describe incidents, not changes.
    pub is_portal_export: bool,
    /// Created by `fetch`: rows that were not filled in are skipped.
    pub is_fetched: bool,
    /// When the incident of the first row of a fetched file was read, if the file still has this time.
    pub fetched_at: Option<jiff::Timestamp>,
}

/// An open input whose format is known. Its records are not read yet.
pub struct Input {
    name: String,
    shape: InputShape,
    origin: FileKind,
    is_utf16: bool,
    header: Header,
    records: Records,
    /// The chunk that was read with the header.
    first: Option<Chunk>,
    /// Detects changes of the file.
    watch: Option<Watch>,
}

/// The header line of a CSV file, to show problems in it.
#[derive(Default)]
struct Header {
    text: String,
    line: u64,
    cells: Vec<Cell>,
    /// If it has no ID column: a line shortly below that has one, and probably is the header.
    later: Option<u64>,
}

/// The number of bytes that are examined to detect the format and the delimiter; also the longest header, in bytes.
const HEAD_SIZE: usize = 64 * 1024;

impl Input {
    /// Opens a file, or standard input.
    ///
    /// # Errors
    /// If it can't be read, is neither CSV nor JSONL, or has an invalid header.
    pub fn open(source: &Source) -> Result<Input, InputError> {
        let name = source.name().into_owned();
        let unreadable = |source| InputError::Unreadable { name: name.clone(), source };
        let file = match source {
            Source::StandardInput => io::stdin().as_fd().try_clone_to_owned().map(File::from),
            Source::File(path) => open_input(path).and_then(|file| {
                let is_directory = file.metadata()?.is_dir();
                if is_directory { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
            }),
        };
        let file = file.map_err(unreadable)?;
        let watch = Watch::new(&file, source.path()).map_err(unreadable)?;
        Ok(Input { watch, ..Input::from_reader(&name, Box::new(file))? })
    }

    /// Reads from `reader`. Diagnostics show `name`, whose extension determines the format.
    ///
    /// # Errors
    /// As [`Input::open`].
    pub fn from_reader(name: &str, reader: Box<dyn Read + Send>) -> Result<Input, InputError> {
        Input::in_chunks(name, reader, CHUNK_SIZE)
    }

    /// Like [`Input::from_reader`], with chunks of about `chunk_size` bytes. Only the speed depends on it.
    ///
    /// # Errors
    /// As [`Input::open`].
    pub fn in_chunks(name: &str, reader: Box<dyn Read + Send>, chunk_size: usize) -> Result<Input, InputError> {
        let Decoded { reader, bom, is_utf16 } = decode(name, reader)?;
        let mut records = Records::new(name, reader, chunk_size.max(1));
        let preamble = Preamble::of(records.peek(HEAD_SIZE)?);
        let named = preamble.delimiter.map(|delimiter| named_delimiter(name, delimiter)).transpose()?;
        records.skip_peeked(preamble.bytes, preamble.lines)?;
        let head = records.peek(HEAD_SIZE)?;
        let delimiter = (!is_jsonl(name, head)).then(|| named.unwrap_or_else(|| find_delimiter(head)));
        let is_endless = head.len() >= HEAD_SIZE && !head.iter().any(|byte| matches!(byte, b'\r' | b'\n'));
        let columns = delimiter.map_or(0, |delimiter| memchr::memchr_iter(delimiter, head).count());
        let mut input = Input {
            name: name.to_owned(),
            shape: InputShape::Jsonl { bom },
            origin: FileKind::default(),
            is_utf16,
            header: Header::default(),
            first: None,
            watch: None,
            records,
        };
        match delimiter {
            None => input.read_first_line()?,
            Some(_) if is_endless => {
                let cause = match columns {
                    0 => "it has no line end and no delimiter".to_owned(),
                    // Here, `columns` is the number of delimiters.
                    columns => format!("its first 64 KiB have {} columns", columns + 1),
                };
                let message = format!("the first line is longer than 64 KiB, the limit of a header: {cause}");
                return Err(InputError::of_file(&codes::HEADER, name, message));
            }
            Some(delimiter) => input.read_header(delimiter, bom)?,
        }
        Ok(input)
    }

    /// The input as it was named; `-` for standard input.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The format, for the results.
    #[must_use]
    pub fn shape(&self) -> &InputShape {
        &self.shape
    }

    /// What created it.
    #[must_use]
    pub fn origin(&self) -> FileKind {
        self.origin
    }

    /// Whether it was decoded from UTF-16: U+FFFD then stands for what could not be decoded.
    #[must_use]
    pub(crate) fn is_utf16(&self) -> bool {
        self.is_utf16
    }

    /// The next records. `used` is a chunk to reuse.
    pub(crate) fn next_chunk(&mut self, used: Chunk) -> Result<Option<Chunk>, InputError> {
        match self.first.take() {
            Some(chunk) => Ok(Some(chunk)),
            None => self.records.next(used),
        }
    }

    /// Checks after the last chunk that the file has not changed.
    ///
    /// # Errors
    /// If it was changed or replaced: the chunks may be incomplete, or a mix of two versions.
    pub(crate) fn verify_unchanged(&self) -> Result<(), InputError> {
        match self.watch.as_ref().and_then(Watch::change) {
            None => Ok(()),
            Some(change) => {
                let message = format!("the file changed while it was read: {change}");
                Err(InputError::of_file(&codes::INPUT_CHANGED, &self.name, message))
            }
        }
    }

    /// If the header has no ID column: a line shortly below that has one.
    pub(crate) fn later_header(&self) -> Option<u64> {
        self.header.later
    }

    /// A diagnostic about one of the input's own columns, counted from 0, or about the whole header.
    pub(crate) fn header_diagnostic(&self, code: &Code, column: Option<usize>, message: String) -> Diagnostic {
        let mut diagnostic = Diagnostic::new(code, &self.name, message);
        let skipped = if self.origin.is_results { RESULT_COLUMNS.len() } else { 0 };
        match column.and_then(|column| self.header.cells.get(column + skipped)) {
            Some(cell) => {
                let text = cell.text(&self.header.text).into_owned();
                diagnostic = diagnostic.at(self.header.text.as_bytes(), self.header.line, cell.range.clone());
                Diagnostic { field: Some(text.clone()), value: Some(text), ..diagnostic }
            }
            None => Diagnostic { line: (self.header.line > 0).then_some(self.header.line), ..diagnostic },
        }
    }

    /// Examines the first JSONL line, without consuming it, to detect what created the file.
    fn read_first_line(&mut self) -> Result<(), InputError> {
        self.records.frame(Framing::Lines);
        let Some((chunk, First { record, .. })) = self.next_with_record(None)? else { return Ok(()) };
        let line = std::str::from_utf8(&chunk.bytes[record.start..record.end]).unwrap_or_default();
        if let Ok(members) = jsonl::members(line) {
            self.origin.is_results = jsonl::is_result(&members);
            let own = if self.origin.is_results { jsonl::own_record(&members) } else { Some(Cow::Borrowed(line)) };
            let own = own.unwrap_or_default();
            let names: Vec<_> = jsonl::members(&own).unwrap_or_default();
            self.origin.is_fetched = fetched::time_column(names.iter().map(|member| &*member.name)).is_some();
            self.origin.is_portal_export = is_portal_export(&names.iter().map(|member| &*member.name));
            self.origin.fetched_at = fetched::time_of(&names);
        }
        self.first = Some(chunk);
        Ok(())
    }

    /// Reads the header line of CSV.
    fn read_header(&mut self, delimiter: u8, bom: bool) -> Result<(), InputError> {
        self.records.frame(Framing::Csv(delimiter));
        let Some((mut chunk, First { record, cells, end, line })) = self.next_with_record(Some(delimiter))? else {
            return Err(InputError::of_file(
                &codes::EMPTY_FILE,
                &self.name,
                "the file is empty: it has no header line",
            ));
        };
        let bytes = &chunk.bytes[record.start..record.end];
        let wrong = |message: &str| InputError::of_file(&codes::HEADER, &self.name, message);
        let not_utf8 = |_| {
            let diagnostic = Diagnostic::new(&codes::HEADER, &self.name, "the header line is not UTF-8");
            let help = advice_for_encoding(bytes).or(diagnostic.help);
            InputError::Invalid(vec![Diagnostic { help, line: Some(record.line), ..diagnostic }])
        };
        let text = std::str::from_utf8(bytes).map_err(not_utf8)?.to_owned();
        if record.is_too_large {
            return Err(wrong("the header line is longer than 1 MiB"));
        }
        if text.contains('\0') {
            return Err(wrong("the header line contains a NUL byte"));
        }
        if cells.iter().any(|cell| !cell.is_quoted() && text[cell.range.clone()].contains('\r')) {
            let message = "lines end with carriage returns only: save the file with LF or CRLF line ends";
            return Err(InputError::of_file(&codes::BARE_CR, &self.name, message));
        }
        let names: Vec<Cow<'_, str>> = cells.iter().map(|cell| cell.text(&text)).collect();
        self.origin.is_results = names.len() >= RESULT_COLUMNS.len()
            && names.iter().zip(RESULT_COLUMNS).all(|(name, result)| name == result);
        let columns: Vec<String> = if self.origin.is_results {
            names[RESULT_COLUMNS.len()..].iter().map(|name| unescape_formula(name).into_owned()).collect()
        } else {
            names.iter().map(|name| name.clone().into_owned()).collect()
        };
        self.origin.is_portal_export = is_portal_export(&columns.iter().map(String::as_str));
        let time_column = fetched::time_column(names.iter().map(|name| &**name));
        self.origin.is_fetched = time_column.is_some();
        let later = if has_id(columns.iter()) { None } else { find_header(&chunk.bytes[end..], line) };
        self.shape = InputShape::Csv { delimiter: char::from(delimiter), bom, columns };
        self.header = Header { text, line: record.line, cells, later };
        chunk.bytes.drain(..end);
        chunk.first_line = line;
        self.origin.fetched_at = time_column.and_then(|index| {
            let mut cells = Vec::new();
            let record = RecordSplitter::new(&chunk, Some(delimiter), &self.name).next(&mut cells).ok()??;
            let record = std::str::from_utf8(&chunk.bytes[record.start..record.end]).ok()?;
            cells.get(index)?.text(record).trim().parse().ok()
        });
        self.first = Some(chunk);
        Ok(())
    }

    /// The next chunk with a record, and its first record.
    fn next_with_record(&mut self, delimiter: Option<u8>) -> Result<Option<(Chunk, First)>, InputError> {
        let mut cells = Vec::new();
        while let Some(chunk) = self.records.next(Chunk::default())? {
            let mut splitter = RecordSplitter::new(&chunk, delimiter, &self.name);
            if let Some(record) = splitter.next(&mut cells)? {
                let (end, line) = splitter.position();
                let first = First { record, cells, end: end.min(chunk.bytes.len()), line };
                return Ok(Some((chunk, first)));
            }
        }
        Ok(None)
    }
}

/// The first record of a chunk.
struct First {
    record: Record,
    cells: Vec<Cell>,
    /// Where the next record begins: byte and line.
    end: usize,
    line: u64,
}

/// A stream without its byte order mark, and converted to UTF-8 if it was UTF-16.
struct Decoded {
    reader: Box<dyn Read + Send>,
    bom: bool,
    is_utf16: bool,
}

fn decode(name: &str, mut reader: Box<dyn Read + Send>) -> Result<Decoded, InputError> {
    let mut head = Vec::new();
    let read = reader.by_ref().take(512).read_to_end(&mut head);
    read.map_err(|source| InputError::Unreadable { name: name.to_owned(), source })?;
    if let Some((kind, advice)) = wrong_kind(&head) {
        let diagnostic = Diagnostic::new(&codes::WRONG_KIND, name, format!("this is {kind}, not CSV or JSONL"));
        return Err(InputError::Invalid(vec![Diagnostic { help: Some(advice.to_owned()), ..diagnostic }]));
    }
    let is_utf16 = head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff");
    let is_marked_utf8 = head.starts_with(b"\xef\xbb\xbf");
    let mut head = Cursor::new(head);
    head.set_position(if is_marked_utf8 { 3 } else { 0 });
    let whole = head.chain(reader);
    let reader: Box<dyn Read + Send> = if is_utf16 {
        Box::new(DecodeReaderBytesBuilder::new().bom_sniffing(true).strip_bom(true).build(whole))
    } else {
        Box::new(whole)
    };
    Ok(Decoded { reader, bom: is_utf16 || is_marked_utf8, is_utf16 })
}

/// Decides by the extension, or else by the first byte. Empty standard input has no rows, like an empty JSONL file.
fn is_jsonl(name: &str, head: &[u8]) -> bool {
    let ending = Path::new(name).extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
    match ending.as_deref() {
        Some("csv") => false,
        Some("jsonl" | "ndjson") => true,
        _ => match head.trim_ascii_start().first() {
            Some(byte) => *byte == b'{',
            None => name == STANDARD_INPUT,
        },
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Input({}, {:?}, {:?})", Printable(&self.name), self.shape, self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(name: &str, bytes: &[u8]) -> Result<Input, InputError> {
        Input::from_reader(name, Box::new(Cursor::new(bytes.to_vec())))
    }

    fn code(name: &str, bytes: &[u8]) -> &'static str {
        match open(name, bytes) {
            Err(InputError::Invalid(found)) => found[0].code,
            other => panic!("{other:?}"),
        }
    }

    fn csv_shape(name: &str, bytes: &[u8]) -> (char, bool, Vec<String>) {
        match open(name, bytes).expect("an input").shape() {
            InputShape::Csv { delimiter, bom, columns } => (*delimiter, *bom, columns.clone()),
            InputShape::Jsonl { .. } => panic!("CSV was meant"),
        }
    }

    fn utf16(text: &str, is_big_endian: bool) -> Vec<u8> {
        let units = ['\u{feff}'].into_iter().chain(text.chars()).collect::<String>();
        units
            .encode_utf16()
            .flat_map(|unit| if is_big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() })
            .collect()
    }

    #[test]
    fn delimiter_and_encoding_are_found() {
        let columns = vec!["incidentId".to_owned(), "grö,ße".to_owned()];
        for delimiter in [',', ';', '\t'] {
            let text = format!("incidentId{delimiter}\"grö,ße\"\r\n1{delimiter}2\r\n");
            assert_eq!(csv_shape("f.csv", text.as_bytes()), (delimiter, false, columns.clone()));
            assert_eq!(csv_shape("f", format!("\u{feff}{text}").as_bytes()), (delimiter, true, columns.clone()));
            assert_eq!(csv_shape("-", &utf16(&text, false)), (delimiter, true, columns.clone()));
            assert_eq!(csv_shape("f.CSV", &utf16(&text, true)), (delimiter, true, columns.clone()));
        }
        assert_eq!(csv_shape("f.csv", b"incidentId\n1\n").0, ',');
        assert_eq!(csv_shape("f.csv", b"Notes, a, b, c;incident id\n").0, ';');
    }

    #[test]
    fn format_comes_from_extension_or_first_byte() {
        for (name, bytes, extension) in [
            ("f.jsonl", &b""[..], "jsonl"),
            ("f.ndjson", b"{}", "jsonl"),
            ("f.txt", b"\n {\"incidentId\":1}", "jsonl"),
            ("-", b"", "jsonl"),
            ("-", b"\xef\xbb\xbf{}", "jsonl"),
            ("-", b"incidentId", "csv"),
            ("f.csv", b"{id}", "csv"),
        ] {
            assert_eq!(open(name, bytes).expect("an input").shape().extension(), extension, "{name} {bytes:?}");
        }
    }

    #[test]
    fn file_without_header_is_rejected() {
        assert_eq!(code("f.csv", b""), "empty-file");
        assert_eq!(code("f.csv", b"\xef\xbb\xbf\r\n\n"), "empty-file");
        assert_eq!(code("f.txt", b""), "empty-file");
        assert_eq!(code("f.csv", b"incidentId,gr\xf6\xdfe\n"), "header");
        assert_eq!(code("f.csv", b"incidentId,a\0\n"), "header");
        assert_eq!(code("f.csv", b"incidentId,status\r1,Active\r2,Active\r"), "bare-cr");
        assert_eq!(code("f.csv", b"incidentId,\"status\n1,Active\n"), "unclosed-quote");
        assert_eq!(code("f.csv", "x".repeat(2 * 1024 * 1024).as_bytes()), "header");
        assert_eq!(code("f.csv", b"PK\x03\x04"), "wrong-kind");
        assert_eq!(code("f.jsonl", b"[{}]"), "wrong-kind");
    }

    #[test]
    fn results_and_portal_exports_are_recognized() {
        let results = format!("{},incidentId,'=x\n", RESULT_COLUMNS.join(","));
        let input = open("f.csv", results.as_bytes()).expect("an input");
        assert!(input.origin().is_results);
        let InputShape::Csv { columns, .. } = input.shape() else { panic!("CSV was meant") };
        assert_eq!(columns, &["incidentId", "=x"]);
        let portal = open("f.csv", b"Incident name,Incident Id,Status\n").expect("an input");
        assert!(portal.origin().is_portal_export && !portal.origin().is_results);
        assert!(!open("f.csv", b"Incident name,incidentId\n").expect("an input").origin().is_portal_export);
        let portal = open("f.jsonl", b"{\"Incident name\":\"x\",\"Incident Id\":1}\n").expect("an input");
        assert!(portal.origin().is_portal_export);
        let members = RESULT_COLUMNS.map(|name| format!("\"{name}\":null")).join(",");
        let results = open("f.jsonl", format!("{{{members},\"input\":{{\"a\":1}}}}\n").as_bytes()).expect("an input");
        assert!(results.origin().is_results);
    }
}
