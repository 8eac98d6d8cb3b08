//! Reading a response's body as it arrives: inflated, without a byte order mark, reduced to the members in use.
//!
//! Promises: the one reader for updates, reads and lists. Two bounds hold whatever the server sends: one for the bytes
//! that are kept, one for all bytes after decompression. An incomplete body is never taken for complete.

use std::fmt;
use std::io::{self, Write};

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use super::member_filter::{Keep, MemberFilter};

/// A byte order mark: some servers put it before their JSON.
const BOM: &[u8] = crate::text::BOM.as_bytes();

/// Limits on a body, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Bytes that are kept.
    pub(super) kept: usize,
    /// All bytes, after decompression.
    pub(super) all: u64,
}

/// An incident with all its alerts can have hundreds of megabytes; the members in use have kilobytes.
pub(super) const BOUNDS: Bounds = Bounds { kept: 16 * MIB, all: 256 * MIB as u64 };

const MIB: usize = 1024 * 1024;

/// Why a body is incomplete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incomplete {
    /// The connection broke, or the time limit was reached, after this many bytes.
    Cut {
        /// Bytes on the wire.
        bytes: u64,
    },
    /// More than this many bytes, after decompression.
    TooLong {
        /// The bound.
        bytes: u64,
    },
    /// The members in use take more than this many bytes.
    TooMuchInUse {
        /// The bound.
        bytes: u64,
    },
    /// An unsupported content coding.
    Coding(String),
    /// The compressed body is damaged.
    Damaged,
}

impl Incomplete {
    /// Whether a smaller body might be read.
    pub(super) fn hints_at_size(&self) -> bool {
        match self {
            Incomplete::Cut { .. } | Incomplete::TooLong { .. } | Incomplete::TooMuchInUse { .. } => true,
            Incomplete::Coding(_) | Incomplete::Damaged => false,
        }
    }
}

impl fmt::Display for Incomplete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Incomplete::Cut { bytes } => write!(f, "the body was cut off after {}", size(*bytes)),
            Incomplete::TooLong { bytes } => write!(f, "the body is larger than {}", size(*bytes)),
            Incomplete::TooMuchInUse { bytes } => {
                write!(f, "the used part of the body is larger than {}", size(*bytes))
            }
            Incomplete::Coding(name) => write!(f, "the body has the content coding `{name}`, which was not requested"),
            Incomplete::Damaged => f.write_str("the compressed body is damaged"),
        }
    }
}

/// `17 MiB`, `4 bytes`.
fn size(bytes: u64) -> String {
    const MIB: u64 = self::MIB as u64;
    match bytes {
        1 => "1 byte".to_owned(),
        0..MIB => format!("{bytes} bytes"),
        _ => format!("{} MiB", bytes / MIB),
    }
}

/// Takes a body in pieces.
pub(super) struct BodyReader {
    coding: Coding,
    /// The first bytes, until they show how the body is compressed.
    head: Vec<u8>,
    decoder: Option<Decoder>,
    /// The first bytes after decompression, until they show whether they are a byte order mark.
    start: Option<Vec<u8>>,
    filter: MemberFilter,
    bounds: Bounds,
    arrived: u64,
    decoded: u64,
    /// Why reading has stopped.
    incomplete: Option<Incomplete>,
}

/// The content coding, by the header `Content-Encoding`.
enum Coding {
    Plain,
    Gzip,
    Deflate,
    Other(String),
}

enum Decoder {
    Plain,
    Gzip(MultiGzDecoder<Vec<u8>>),
    Zlib(ZlibDecoder<Vec<u8>>),
    Deflate(DeflateDecoder<Vec<u8>>),
}

impl BodyReader {
    /// For a body with these `Content-Encoding`s. Without `keep` everything is kept, up to the bound.
    pub(super) fn new<'a>(codings: impl Iterator<Item = &'a str>, keep: Option<Keep>, bounds: Bounds) -> BodyReader {
        let names = codings.flat_map(|names| names.split(',')).map(|name| name.trim().to_ascii_lowercase());
        let names: Vec<String> = names.filter(|name| !name.is_empty() && name != "identity").collect();
        let coding = match names.join(", ").as_str() {
            "" => Coding::Plain,
            "gzip" | "x-gzip" => Coding::Gzip,
            "deflate" => Coding::Deflate,
            other => Coding::Other(other.to_owned()),
        };
        BodyReader {
            coding,
            head: Vec::new(),
            decoder: None,
            start: Some(Vec::new()),
            filter: MemberFilter::new(keep),
            bounds,
            arrived: 0,
            decoded: 0,
            incomplete: None,
        }
    }

    /// Takes the next piece, and returns whether more is wanted.
    pub(super) fn push(&mut self, piece: &[u8]) -> bool {
        self.arrived += piece.len() as u64;
        if self.decoder.is_some() {
            self.decode(piece);
        } else if self.head.is_empty() && piece.len() >= 2 {
            self.begin(piece);
        } else {
            self.head.extend_from_slice(piece);
            if self.head.len() >= 2 {
                let head = std::mem::take(&mut self.head);
                self.begin(&head);
            }
        }
        self.incomplete.is_none()
    }

    /// The kept bytes, and why the body is incomplete, if it is. `is_cut`: the body ended early.
    pub(super) fn finish(mut self, is_cut: bool) -> (Vec<u8>, Option<Incomplete>) {
        if self.decoder.is_none() {
            let head = std::mem::take(&mut self.head);
            self.begin(&head);
        }
        if is_cut {
            self.incomplete.get_or_insert(Incomplete::Cut { bytes: self.arrived });
        } else {
            self.end();
        }
        // The shortest bodies end before it is clear that they don't start with a mark.
        if let Some(start) = self.start.take() {
            self.keep(&start);
        }
        (self.filter.into_kept(), self.incomplete)
    }

    /// Decides by the first bytes. A body is compressed if it looks compressed: proxies inflate bodies and leave the
    /// header, or the other way around.
    fn begin(&mut self, head: &[u8]) {
        let is_gzip = head.starts_with(b"\x1f\x8b");
        self.decoder = Some(match &self.coding {
            Coding::Plain | Coding::Gzip if is_gzip => Decoder::Gzip(MultiGzDecoder::new(Vec::new())),
            Coding::Deflate if is_zlib(head) => Decoder::Zlib(ZlibDecoder::new(Vec::new())),
            Coding::Deflate if !head.is_empty() => Decoder::Deflate(DeflateDecoder::new(Vec::new())),
            Coding::Other(name) if !head.is_empty() => {
                self.incomplete = Some(Incomplete::Coding(name.clone()));
                return;
            }
            _ => Decoder::Plain,
        });
        self.decode(head);
    }

    fn decode(&mut self, piece: &[u8]) {
        /// Grows by a factor of a thousand at most.
        const SLICE: usize = 4 * 1024;
        for slice in piece.chunks(SLICE) {
            if self.incomplete.is_some() {
                return;
            }
            let written = match &mut self.decoder {
                Some(Decoder::Gzip(decoder)) => decoder.write_all(slice),
                Some(Decoder::Zlib(decoder)) => decoder.write_all(slice),
                Some(Decoder::Deflate(decoder)) => decoder.write_all(slice),
                Some(Decoder::Plain) | None => {
                    self.take(slice);
                    continue;
                }
            };
            self.take_decoded(&written);
        }
    }

    fn end(&mut self) {
        let written = match &mut self.decoder {
            _ if self.incomplete.is_some() => return,
            Some(Decoder::Gzip(decoder)) => decoder.try_finish(),
            Some(Decoder::Zlib(decoder)) => decoder.try_finish(),
            Some(Decoder::Deflate(decoder)) => decoder.try_finish(),
            Some(Decoder::Plain) | None => return,
        };
        self.take_decoded(&written);
    }

    /// Takes the output of a decoder.
    fn take_decoded(&mut self, written: &io::Result<()>) {
        let decoded = match &mut self.decoder {
            Some(Decoder::Gzip(decoder)) => std::mem::take(decoder.get_mut()),
            Some(Decoder::Zlib(decoder)) => std::mem::take(decoder.get_mut()),
            Some(Decoder::Deflate(decoder)) => std::mem::take(decoder.get_mut()),
            Some(Decoder::Plain) | None => return,
        };
        self.take(&decoded);
        if written.is_err() {
            self.incomplete.get_or_insert(Incomplete::Damaged);
        }
    }

    /// Takes an uncompressed piece.
    fn take(&mut self, piece: &[u8]) {
        let room = self.bounds.all - self.decoded;
        let piece = match usize::try_from(room) {
            Ok(room) if piece.len() > room => {
                self.incomplete = Some(Incomplete::TooLong { bytes: self.bounds.all });
                &piece[..room]
            }
            _ => piece,
        };
        self.decoded += piece.len() as u64;
        let Some(start) = &mut self.start else { return self.keep(piece) };
        if start.is_empty() && piece.len() >= BOM.len() {
            self.start = None;
            return self.keep(piece.strip_prefix(BOM).unwrap_or(piece));
        }
        start.extend_from_slice(piece);
        if start.len() < BOM.len() && BOM.starts_with(start) {
            return;
        }
        let start = self.start.take().unwrap_or_default();
        self.keep(start.strip_prefix(BOM).unwrap_or(&start));
    }

    fn keep(&mut self, piece: &[u8]) {
        if !self.filter.push(piece, self.bounds.kept) {
            self.incomplete = Some(Incomplete::TooMuchInUse { bytes: self.bounds.kept as u64 });
        }
    }
}

/// RFC 1950: deflate with a header, which the coding `deflate` means; many servers leave it out.
fn is_zlib(head: &[u8]) -> bool {
    let [first, second, ..] = *head else { return false };
    first & 0x0f == 8 && first >> 4 <= 7 && (u16::from(first) * 256 + u16::from(second)).is_multiple_of(31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    const JSON: &str = r#"{"incidentId":7,"alerts":[{"status":"x"}],"status":"Active"}"#;
    const KEPT: &str = r#"{"incidentId":7,"status":"Active"}"#;
    const SMALL: Bounds = Bounds { kept: 64, all: 256 };

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).and_then(|()| encoder.finish()).expect("into memory")
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).and_then(|()| encoder.finish()).expect("into memory")
    }

    fn deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).and_then(|()| encoder.finish()).expect("into memory")
    }

    fn bom(body: &str) -> Vec<u8> {
        [BOM, body.as_bytes()].concat()
    }

    fn read(coding: &str, body: &[u8], bounds: Bounds, is_cut: bool) -> (String, Option<String>) {
        let keep = Keep { members: ["incidentId", "status"].map(str::to_owned).into(), page: None };
        let mut results = [1, 2, 7, usize::MAX].map(|size| {
            let mut reader = BodyReader::new([coding].into_iter(), Some(keep.clone()), bounds);
            for piece in body.chunks(size.min(body.len().max(1))) {
                if !reader.push(piece) {
                    break;
                }
            }
            let (kept, incomplete) = reader.finish(is_cut);
            (String::from_utf8_lossy(&kept).into_owned(), incomplete.map(|why| why.to_string()))
        });
        let one = std::mem::take(&mut results[0]);
        results[1..].iter().for_each(|other| assert_eq!(*other, one, "in other pieces"));
        one
    }

    #[test]
    fn every_content_encoding_is_decoded() {
        for (coding, body) in [
            ("", JSON.as_bytes().to_vec()),
            ("identity", JSON.as_bytes().to_vec()),
            ("", bom(JSON)),
            ("gzip", gzip(JSON.as_bytes())),
            ("X-GZIP", gzip(&bom(JSON))),
            ("identity, gzip", gzip(JSON.as_bytes())),
            ("gzip", [gzip(&JSON.as_bytes()[..9]), gzip(&JSON.as_bytes()[9..])].concat()),
            ("deflate", zlib(JSON.as_bytes())),
            ("deflate", deflate(JSON.as_bytes())),
            // A proxy has inflated it and left the header, or has dropped the header.
            ("gzip", JSON.as_bytes().to_vec()),
            ("", gzip(JSON.as_bytes())),
        ] {
            assert_eq!(read(coding, &body, BOUNDS, false), (KEPT.to_owned(), None), "{coding}");
        }
        for coding in ["", "gzip", "deflate", "br"] {
            assert_eq!(read(coding, b"", BOUNDS, false), (String::new(), None), "{coding}");
        }
    }

    #[test]
    fn unreadable_bodies_say_why() {
        let whole = gzip(JSON.as_bytes());
        let mut damaged = whole.clone();
        damaged[15] ^= 0xff;
        for (coding, body, says) in [
            ("br", JSON.as_bytes(), "the body has the content coding `br`, which was not requested"),
            ("gzip, zstd", JSON.as_bytes(), "the body has the content coding `gzip, zstd`, which was not requested"),
            ("gzip", &whole[..whole.len() - 1], "the compressed body is damaged"),
            ("gzip", &damaged, "the compressed body is damaged"),
            ("deflate", &zlib(JSON.as_bytes())[..20], "the compressed body is damaged"),
        ] {
            assert_eq!(read(coding, body, BOUNDS, false).1.as_deref(), Some(says), "{coding}");
        }
        assert_eq!(read("", b"half", BOUNDS, true).1.as_deref(), Some("the body was cut off after 4 bytes"));
        assert_eq!(read("", &BOM[..2], BOUNDS, true).0, "\u{fffd}", "half a mark is no mark");
    }

    #[test]
    fn two_bounds_hold_after_decompression() {
        let large = format!(r#"{{"alerts":"{}","incidentId":7}}"#, "x".repeat(200));
        let much = format!(r#"{{"status":"{}","incidentId":7}}"#, "x".repeat(200));
        let long = format!(r#"{{"alerts":"{}","incidentId":7}}"#, "x".repeat(300));
        let bomb = format!(r#"{{"alerts":"{}","incidentId":7}}"#, "x".repeat(20_000_000));
        let (too_long, too_much) =
            ("the body is larger than 256 bytes", "the used part of the body is larger than 64 bytes");
        for (body, says) in [(&large, None), (&much, Some(too_much)), (&long, Some(too_long)), (&bomb, Some(too_long))]
        {
            for (coding, body) in [("gzip", gzip(body.as_bytes())), ("deflate", zlib(body.as_bytes()))] {
                let (kept, incomplete) = read(coding, &body, SMALL, false);
                assert_eq!(incomplete.as_deref(), says);
                assert!(kept.len() <= SMALL.kept && (says.is_some() || kept == r#"{"incidentId":7}"#), "{kept}");
            }
        }
        let exactly = Bounds { all: large.len() as u64, ..SMALL };
        assert_eq!(read("", large.as_bytes(), exactly, false).1, None);
        let one_less = Bounds { all: large.len() as u64 - 1, ..SMALL };
        assert!(read("", large.as_bytes(), one_less, false).1.is_some());
    }

    #[test]
    fn incomplete_body_reports_its_size() {
        let long = Incomplete::TooLong { bytes: BOUNDS.all };
        assert_eq!(long.to_string(), "the body is larger than 256 MiB");
        let cut = |bytes| Incomplete::Cut { bytes }.to_string();
        assert_eq!(cut(1), "the body was cut off after 1 byte");
        assert_eq!(cut(17 << 20), "the body was cut off after 17 MiB");
    }
}
