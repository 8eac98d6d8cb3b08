//! Compares the text of a comment with what a service may have stored.
//!
//! Promises: pure; never stricter than equality. A service may trim a text, change its line ends, spaces and Unicode
//! form, encode or decode entities, add or remove tags, cut it short, and do several of these at once. A wrong "yes"
//! costs one comment in rare cases; a wrong "no" would add a comment twice.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;

/// Whether a service that received `sent` may have stored it as `stored`.
#[must_use]
pub fn may_be(sent: &str, stored: &str) -> bool {
    if sent == stored {
        return true;
    }
    let sent = forms(sent);
    forms(stored).iter().any(|stored| sent.iter().any(|sent| sent.starts_with(stored.as_str())))
}

/// A transformation that a service may apply when it stores or shows a text.
type Step = fn(&str) -> Cow<'_, str>;

/// The orders that give different results: a service may remove tags before or after it decodes entities.
const ORDERS: [&[Step]; 10] = [
    &[],
    &[decoded],
    &[decoded, decoded],
    &[without_tags],
    &[without_angles],
    &[without_tags, decoded],
    &[without_angles, decoded],
    &[decoded, without_tags],
    &[decoded, without_angles],
    &[without_tags, decoded, without_tags],
];

/// The forms of a text after each order of steps, without spaces and in one Unicode form. An empty form is left out: it
/// would be a prefix of every other text.
fn forms(text: &str) -> Vec<String> {
    let mut forms: Vec<String> = ORDERS
        .iter()
        .map(|steps| {
            let text = steps.iter().fold(Cow::Borrowed(text), |text, step| Cow::Owned(step(&text).into_owned()));
            squeezed(&text)
        })
        .filter(|form| !form.is_empty())
        .collect();
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// Decodes entities; removes one that was cut off at the end.
fn decoded(text: &str) -> Cow<'_, str> {
    let whole = match text.rfind('&') {
        Some(at) if is_cut_entity(&text[at + 1..]) => &text[..at],
        _ => text,
    };
    html_escape::decode_html_entities(whole)
}

/// `&am`, at the end of a text.
fn is_cut_entity(tail: &str) -> bool {
    tail.len() <= 31 && tail.chars().all(|c| c.is_ascii_alphanumeric() || c == '#')
}

/// Removes HTML tags, also one cut off at the end: `<` counts only before a letter, `/` or `!`.
fn without_tags(text: &str) -> Cow<'_, str> {
    without(text, |next| next.is_some_and(|c| c.is_ascii_alphabetic() || c == '/' || c == '!'))
}

/// Removes everything from a `<` to the next `>`.
fn without_angles(text: &str) -> Cow<'_, str> {
    without(text, |_| true)
}

fn without(text: &str, opens: impl Fn(Option<char>) -> bool) -> Cow<'_, str> {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        let (before, tag) = rest.split_at(at);
        kept.push_str(before);
        if !opens(tag[1..].chars().next()) {
            kept.push('<');
            rest = &tag[1..];
            continue;
        }
        match tag.find('>') {
            Some(end) => rest = &tag[end + 1..],
            // It was cut off, or is not a tag: the rest of the text can't be compared.
            None => rest = "",
        }
    }
    kept.push_str(rest);
    Cow::Owned(kept)
}

/// In one Unicode form, without spaces, control characters, zero-width characters and the mark of a cut.
fn squeezed(text: &str) -> String {
    // Decomposed, so that a text cut inside a character is still a prefix of the whole.
    let mut form: String = text.nfkd().filter(|c| !is_blank(*c)).collect();
    let end = form.trim_end_matches(['.', '…', '\u{fffd}']).len();
    form.truncate(end);
    form
}

fn is_blank(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULE: &str = "Rule DL-17 tuned: count < 5 & host \"lab\"\nsee <b>CR-112</b> é";

    #[test]
    fn rewritten_text_is_recognized() {
        let long = "Tuned. ".repeat(400);
        for (sent, stored) in [
            ("same", "same"),
            ("closed by tuning ", "closed by tuning"),
            ("\u{feff}closed\t", "closed"),
            ("a\nb", "a\r\nb"),
            ("a\r\nb", "a\nb"),
            ("a\nb", "a b"),
            ("a\nb", "a<br>b"),
            ("a\nb", "<p>a</p><p>b</p>"),
            ("a  b", "a b"),
            ("a b", "a\u{a0}b"),
            ("a b", "a&nbsp;b"),
            ("caf\u{e9}", "cafe\u{301}"),
            ("cafe\u{301}", "caf\u{e9}"),
            ("a\u{a0}b ①", "a b 1"),
            ("it's <5 & \"x\"", "it&#39;s &lt;5 &amp; &quot;x&quot;"),
            ("it's", "it&#x27;s"),
            ("a & b", "a &amp;amp; b"),
            ("a &amp; b", "a & b"),
            ("closed by tuning", "<p>closed by tuning</p>"),
            ("closed <b>by</b> tuning", "closed by tuning"),
            ("closed <b>by</b> tuning", "&lt;p&gt;closed by tuning&lt;/p&gt;"),
            ("x < 5 and y > 3", "x  3"),
            ("count <5 & more", "<p>count &lt;5 &amp; more</p>"),
            (
                RULE,
                "<div class=\"c\">Rule DL-17 tuned: count &lt; 5 &amp; host &quot;lab&quot;<br/>see CR-112 e\u{301}</div>",
            ),
            (RULE, "Rule DL-17 tuned: count &lt; 5 &am"),
            (RULE, "Rule DL-17 tuned: count < 5 & host \"lab\"\nsee <b"),
            ("closed by tuning", "closed by tu..."),
            ("closed by tuning", "closed by tu…"),
            ("closed 🚀 by", "closed \u{fffd}"),
            ("caf\u{e9}s", "cafe"),
            (&long, &long[..1_000]),
            ("bell\u{7}", "bell"),
        ] {
            assert!(may_be(sent, stored), "{sent:?} {stored:?}");
        }
    }

    #[test]
    fn other_text_is_not_recognized() {
        for (sent, stored) in [
            ("closed by tuning", ""),
            ("closed by tuning", "..."),
            ("closed by tuning", " "),
            ("closed by tuning", "<p></p>"),
            ("<b></b>", "closed"),
            ("", "closed"),
            ("closed by tuning", "opened again"),
            ("closed by tuning", "closed by tuning, and more"),
            ("closed by tuning 17", "closed by tuning 18"),
            ("closed by tuning", "by tuning"),
            ("a < b", "a > b"),
        ] {
            assert!(!may_be(sent, stored), "{sent:?} {stored:?}");
        }
    }

    fn encoded(text: &str) -> String {
        let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        escaped.replace('"', "&quot;").replace('\'', "&#39;")
    }

    /// What a service may do to a text, by number.
    fn rewritten(text: &str, how: u8, length: usize) -> String {
        match how {
            0 => text.trim().to_owned(),
            1 => text.replace("\r\n", "\n").replace('\n', "\r\n"),
            2 => text.nfc().collect(),
            3 => text.nfd().collect(),
            4 => text.replace(' ', "\u{a0}"),
            5 => encoded(text),
            6 => format!("<p>{}</p>", encoded(text)),
            7 => without_tags(text).into_owned(),
            8 => text.split_whitespace().collect::<Vec<_>>().join(" "),
            9 => text.chars().take(length).collect(),
            10 => encoded(text).chars().take(length).collect(),
            _ => text.to_owned(),
        }
    }

    proptest! {
        #[test]
        fn any_rewriting_is_recognized(text in "[a-z]{3}[a-z0-9 .&<>;/\"'\n\u{e9}\u{a0}\u{301}#]{0,60}", how in 0_u8..12, length in 3_usize..70) {
            let stored = rewritten(&text, how, length);
            prop_assert!(may_be(&text, &stored), "{text:?} {stored:?}");
        }

        #[test]
        fn two_rewritings_are_recognized(text in "[a-z]{3}[a-z0-9 .&\"'\n\u{e9}\u{301}]{0,60}", how in 0_u8..12, then in 0_u8..5) {
            let stored = rewritten(&rewritten(&text, how, 20), then, 20);
            prop_assert!(may_be(&text, &stored), "{text:?} {stored:?}");
        }

        #[test]
        fn another_word_is_not_recognized(one in "[a-m]{4,20}", other in "[n-z]{4,20}", how in 0_u8..12) {
            prop_assert!(!may_be(&one, &rewritten(&other, how, 4)), "{one:?} {other:?}");
        }

        #[test]
        fn any_texts_can_be_compared(sent: String, stored: String) {
            let _ = may_be(&sent, &stored);
            prop_assert!(may_be(&sent, &sent));
        }
    }
}
