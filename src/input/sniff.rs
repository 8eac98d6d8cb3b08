//! Recognizes other file formats by their first bytes.

/// The format of a file that is neither CSV nor JSONL, and advice how to convert it.
pub(super) fn wrong_kind(head: &[u8]) -> Option<(&'static str, &'static str)> {
    const SAVE: &str = "open it in its program and save it as CSV UTF-8";
    const UNPACK: &str = "unpack it first";
    let starts: [(&[u8], &str, &str); 9] = [
        (b"PK\x03\x04", "a zip archive (an Excel workbook is one)", SAVE),
        (b"PK\x05\x06", "an empty zip archive", SAVE),
        (b"\x1f\x8b", "a gzip archive", "unpack it first: `gzip -d`, or `gzip -dc FILE | bulk-triage check -`"),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook", SAVE),
        (b"%PDF", "a PDF", "export the data as CSV UTF-8"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive", UNPACK),
        (b"BZh", "a bzip2 archive", UNPACK),
        (b"\xfd7zXZ", "an xz archive", UNPACK),
        (b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    ];
    if let Some((_, kind, advice)) = starts.iter().find(|(start, ..)| head.starts_with(start)) {
        return Some((kind, advice));
    }
    if matches!(head, [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..]) {
        return Some(("UTF-32", "save it as CSV UTF-8"));
    }
    if matches!(head, [0, byte, 0, ..] | [byte, 0, _, 0, ..] if *byte != 0) {
        return Some(("UTF-16 without a byte order mark", "save it as CSV UTF-8"));
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    match text {
        [b'<', ..] => Some(("an HTML or XML page", "export the data as CSV; perhaps a sign-in page was saved instead")),
        [b'[', rest @ ..] if matches!(rest.trim_ascii_start(), [] | [b'{' | b'[' | b']' | b'"', ..]) => {
            Some(("a JSON array", "write one object per line: `jq -c '.[]' FILE | bulk-triage check -`"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_file_kinds_are_recognized_tables_pass() {
        for head in [
            &b"PK\x03\x04\x14\x00"[..],
            b"\x1f\x8b\x08",
            b"<!DOCTYPE html>",
            b"\xef\xbb\xbf\n <html>",
            b"[{\"incidentId\":1}]",
            b"[\n  {",
            b"i\0n\0c\0",
            b"\0i\0n\0c",
            b"\xff\xfe\0\0i\0\0\0",
        ] {
            assert!(wrong_kind(head).is_some(), "{head:?}");
        }
        for head in [
            &b""[..],
            b"incidentId,status",
            b"{\"incidentId\":1}",
            b"[id],status",
            b"\xff\xfei\0n\0",
            b"\xef\xbb\xbfid",
        ] {
            assert_eq!(wrong_kind(head), None, "{head:?}");
        }
    }
}
