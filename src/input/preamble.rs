//! Lines that some programs write above the header of a CSV file: `sep=;` (Excel), `#TYPE …` (Windows PowerShell).

/// The lines above the header.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Preamble {
    /// The length in bytes, including line ends.
    pub(super) bytes: usize,
    pub(super) lines: u64,
    /// The delimiter that a `sep=` line names.
    pub(super) delimiter: Option<char>,
}

impl Preamble {
    /// Reads the preamble at the start of `head`; empty if there is none. Blank lines before one of its lines belong to it.
    pub(super) fn of(head: &[u8]) -> Preamble {
        let mut found = Preamble::default();
        let (mut bytes, mut lines) = (0, 0);
        for line in head.split_inclusive(|byte| *byte == b'\n') {
            bytes += line.len();
            lines += 1;
            let line = line.strip_suffix(b"\n").unwrap_or(line);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let line = line.strip_prefix(b"\"").unwrap_or(line);
            if let Some(delimiter) = delimiter_of(line) {
                found = Preamble { bytes, lines, delimiter: Some(delimiter) };
            } else if is_type(line) {
                found = Preamble { bytes, lines, ..found };
            } else if !line.trim_ascii().is_empty() {
                break;
            }
        }
        found
    }
}

/// The delimiter of a `sep=;` line. A closing quote and the delimiters of empty cells may follow it.
fn delimiter_of(line: &[u8]) -> Option<char> {
    let (name, rest) = line.split_at_checked(4)?;
    if !name.eq_ignore_ascii_case(b"sep=") {
        return None;
    }
    let mut rest = std::str::from_utf8(rest).ok()?.chars();
    let delimiter = rest.next()?;
    rest.all(|character| matches!(character, '"' | ' ' | ',' | ';' | '\t')).then_some(delimiter)
}

fn is_type(line: &[u8]) -> bool {
    let (name, rest) = line.split_at_checked(5).unwrap_or_default();
    name.eq_ignore_ascii_case(b"#type") && rest.first().is_none_or(u8::is_ascii_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_above_the_header_are_found() {
        for (head, preamble, lines, delimiter) in [
            ("sep=;\na;b\n", "sep=;\n", 1, Some(';')),
            ("SEP=,\r\na,b\r\n", "SEP=,\r\n", 1, Some(',')),
            ("\"sep=\t\"\na\tb\n", "\"sep=\t\"\n", 1, Some('\t')),
            ("sep=;;;;\na;b\n", "sep=;;;;\n", 1, Some(';')),
            ("sep=|\na|b\n", "sep=|\n", 1, Some('|')),
            ("#TYPE System.Object\r\na\r\n", "#TYPE System.Object\r\n", 1, None),
            ("#type Selected.X\nsep=;\na\n", "#type Selected.X\nsep=;\n", 2, Some(';')),
            ("\n\nsep=;\na\n", "\n\nsep=;\n", 3, Some(';')),
            ("sep=;", "sep=;", 1, Some(';')),
            ("\n\na\n", "", 0, None),
            ("a,b\nsep=;\n", "", 0, None),
            ("separator,b\n", "", 0, None),
            ("sep=;x\n", "", 0, None),
            ("#typed\n", "", 0, None),
            ("", "", 0, None),
        ] {
            let expected = Preamble { bytes: preamble.len(), lines, delimiter };
            assert_eq!(Preamble::of(head.as_bytes()), expected, "{head:?}");
        }
    }
}
