//! Recognizes exports of the portal.

/// The two columns by which an export is recognized, split into words.
const COLUMNS: [[&str; 2]; 2] = [["incident", "name"], ["incident", "id"]];

/// Whether the columns (or members) contain `Incident name` and `Incident Id`, in any case, with any white space between
/// the words. The single word `incidentId` doesn't count.
pub fn is_portal_export<'a>(names: &(impl Iterator<Item = &'a str> + Clone)) -> bool {
    COLUMNS.iter().all(|words| names.clone().any(|name| is_written_as(name, words)))
}

fn is_written_as(name: &str, words: &[&str]) -> bool {
    let mut parts = name.split_whitespace();
    words.iter().all(|word| parts.next().is_some_and(|part| part.eq_ignore_ascii_case(word))) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_words_in_any_case_are_recognized() {
        for (name, id) in [
            ("Incident name", "Incident Id"),
            ("Incident name", "Incident ID"),
            ("incident name", "incident id"),
            ("INCIDENT NAME", "INCIDENT ID"),
            ("Incident\u{a0}name", "Incident\u{a0}Id"),
            (" Incident  Name ", "Incident\tid"),
            ("Incident\u{202f}name", "Incident\u{2003}id"),
        ] {
            assert!(is_portal_export(&[name, "Status", id].into_iter()), "{name:?} {id:?}");
            assert!(is_portal_export(&[id, name].into_iter()), "{id:?} {name:?}");
        }
    }

    #[test]
    fn one_word_is_not_a_portal_column() {
        for (name, id) in [
            ("Incident name", "incidentId"),
            ("Incident name", "incident_id"),
            ("Incident name", "incident-id"),
            ("Incident name", "ID"),
            ("incidentName", "Incident Id"),
            ("Incident name of ours", "Incident Id"),
            ("Incident", "Incident Id"),
        ] {
            assert!(!is_portal_export(&[name, id].into_iter()), "{name:?} {id:?}");
        }
    }
}
