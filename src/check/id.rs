//! Parses incident IDs, and gives advice about text that is not an ID.

use crate::model::change::IncidentId;
use crate::text::trimmed;

/// An ID: only digits, without leading zeros, in the range of IDs. A leading `'`, by which spreadsheets mark text, is
/// removed.
#[inline]
pub(super) fn parse_id(text: &str) -> Option<IncidentId> {
    let digits = text.strip_prefix('\'').unwrap_or(text);
    // `parse` would also accept `+` and leading zeros.
    if !matches!(digits.as_bytes(), [b'1'..=b'9', ..]) {
        return None;
    }
    digits.parse().ok().and_then(IncidentId::new)
}

/// Advice about text that is not an ID, but may be what a spreadsheet or the portal made of one.
pub(super) fn hint(text: &str) -> Option<String> {
    let bare = text.trim_matches(['"', '\'']);
    if is_shortened(bare) {
        return Some("Excel shortened this number; format the column as text".to_owned());
    }
    let formula = text.trim_start_matches('\'').strip_prefix('=');
    if let Some(id) = formula.and_then(|text| parse_id(trimmed(text.trim_matches('"')))) {
        return Some(format!("the cell is a spreadsheet formula: enter `{id}`"));
    }
    if let Some(id) = in_url(bare) {
        return Some(format!("the URL names incident `{id}`: enter `{id}`"));
    }
    let grouped: String = bare.chars().filter(|character| !is_separator(*character)).collect();
    let number = bare.trim_start_matches('#');
    let whole = number.strip_suffix(".0").or_else(|| number.strip_suffix(",0")).unwrap_or(number);
    // It is unclear what `1.0` or `1,234` was, so it is not accepted.
    let looks_grouped = grouped.len() != bare.len() && parse_id(&grouped).is_some();
    let looks_decorated = whole.len() != bare.len() && parse_id(whole).is_some();
    (looks_grouped || looks_decorated).then(|| "enter only digits; format the column as text".to_owned())
}

/// Whether the text is a number with an exponent, such as `4.82E+04`, also with a decimal comma.
fn is_shortened(text: &str) -> bool {
    let Some((mantissa, exponent)) = text.split_once(['E', 'e']) else { return false };
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, decimals) = mantissa.split_once(['.', ',']).unwrap_or((mantissa, "0"));
    is_digits(whole) && is_digits(decimals) && is_digits(exponent)
}

fn is_separator(character: char) -> bool {
    matches!(character, ',' | '.' | '\u{2019}') || character.is_whitespace()
}

/// The ID in a URL of the portal: `…/incidents/48221?tid=…`, `…/incident2/48221/overview`.
fn in_url(text: &str) -> Option<IncidentId> {
    let is_url = text.get(..8).is_some_and(|start| start.eq_ignore_ascii_case("https://"))
        || text.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("http://"));
    let path = text.split(['?', '#']).next().filter(|_| is_url)?;
    let mut segments = path.split('/').skip_while(|segment| {
        let name = segment.to_ascii_lowercase();
        !matches!(name.as_str(), "incident" | "incidents" | "incident2")
    });
    segments.nth(1).and_then(parse_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spreadsheet_text_prefix_is_removed() {
        assert_eq!(parse_id("'48220"), IncidentId::new(48_220));
        for text in ["''48220x", "'", "'0", "'+1", "' 1", "48220'"] {
            assert_eq!(parse_id(text), None, "{text}");
        }
    }

    #[test]
    fn spreadsheet_artifacts_get_a_hint() {
        for (text, part) in [
            ("4.82E+04", "Excel shortened this number; format the column as text"),
            ("4,82E+04", "Excel shortened"),
            ("1e5", "Excel shortened"),
            ("=\"48219\"", "enter `48219`"),
            ("'=\"48219\"", "enter `48219`"),
            ("https://security.microsoft.com/incidents/48221?tid=0b7e6d3c", "names incident `48221`"),
            ("https://security.microsoft.com/incident2/48221/overview?tid=1", "names incident `48221`"),
            ("HTTPS://security.microsoft.us/incidents/48221", "names incident `48221`"),
            ("48219.0", "only digits"),
            ("48,219", "only digits"),
            ("#48219", "only digits"),
        ] {
            let hint = hint(text).unwrap_or_default();
            assert!(hint.contains(part), "{text}: {hint}");
        }
        for text in
            ["abc", "-7", "1/2", "https://security.microsoft.com/alerts/48221", "https://x/incidents/", "0", "E+04"]
        {
            assert_eq!(hint(text), None, "{text}");
        }
    }
}
