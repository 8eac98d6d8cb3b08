//! Habits: undocumented behavior. The service stores comments in another form, shows or applies changes late, and its
//! clocks differ.
//!
//! Promise: independent of how the client handles it.

use std::fmt::Write as _;
use std::str::FromStr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use unicode_normalization::UnicodeNormalization as _;

/// The undocumented behavior of the service; none by default.
#[derive(Clone, Debug, Default)]
pub struct Habits {
    /// The forms in which comments are stored, applied in order.
    pub comments: Vec<CommentForm>,
    /// Reads show incidents as they were this long ago; the response to an update is up to date.
    pub lag: Duration,
    /// An update whose response is lost is applied this long after it arrived.
    pub late: Duration,
    /// The offset of `createdTime` from the true time.
    pub created_time: SignedDuration,
    /// The `Date` header.
    pub date: DateHeader,
}

/// The `Date` header of responses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateHeader {
    /// No header.
    Missing,
    /// This far ahead of the true time.
    Ahead(SignedDuration),
}

impl Default for DateHeader {
    fn default() -> DateHeader {
        DateHeader::Ahead(SignedDuration::ZERO)
    }
}

impl DateHeader {
    /// The header's value.
    pub(super) fn value(self, now: Timestamp) -> Option<String> {
        match self {
            DateHeader::Missing => None,
            DateHeader::Ahead(ahead) => Some((now + ahead).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()),
        }
    }
}

/// One way to store a comment in another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommentForm {
    /// Without white space at the ends.
    Trim,
    /// With CRLF as line ends.
    Crlf,
    /// In Unicode's composed form.
    Nfc,
    /// With no-break spaces.
    Nbsp,
    /// With HTML entities.
    Html,
    /// In a paragraph: `<p>…</p>`.
    Paragraph,
    /// Without tags.
    NoTags,
    /// Cut after this many characters.
    Cut(usize),
    /// Replaced by other words.
    Redacted,
}

/// A text that does not name a form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a format of comments: enter trim, crlf, nfc, nbsp, html, p, no-tags, cut=N or redact")]
pub struct UnknownCommentForm(String);

impl FromStr for CommentForm {
    type Err = UnknownCommentForm;

    fn from_str(text: &str) -> Result<CommentForm, UnknownCommentForm> {
        Ok(match text {
            "trim" => CommentForm::Trim,
            "crlf" => CommentForm::Crlf,
            "nfc" => CommentForm::Nfc,
            "nbsp" => CommentForm::Nbsp,
            "html" => CommentForm::Html,
            "p" => CommentForm::Paragraph,
            "no-tags" => CommentForm::NoTags,
            "redact" => CommentForm::Redacted,
            _ => {
                let length = text.strip_prefix("cut=").and_then(|length| length.parse().ok());
                CommentForm::Cut(length.ok_or_else(|| UnknownCommentForm(text.to_owned()))?)
            }
        })
    }
}

impl CommentForm {
    fn apply_to(self, text: &str) -> String {
        match self {
            CommentForm::Trim => text.trim().to_owned(),
            CommentForm::Crlf => text.replace("\r\n", "\n").replace('\n', "\r\n"),
            CommentForm::Nfc => text.nfc().collect(),
            CommentForm::Nbsp => text.replace(' ', "\u{a0}"),
            CommentForm::Html => entities(text),
            CommentForm::Paragraph => format!("<p>{text}</p>"),
            CommentForm::NoTags => without_tags(text),
            CommentForm::Cut(length) => text.chars().take(length).collect(),
            CommentForm::Redacted => "[removed by policy]".to_owned(),
        }
    }
}

impl Habits {
    /// The stored form of a comment.
    pub(super) fn stored(&self, text: &str) -> String {
        self.comments.iter().fold(text.to_owned(), |text, form| form.apply_to(&text))
    }
}

fn entities(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_ascii() => out.push(c),
            c => drop(write!(out, "&#{};", u32::from(c))),
        }
    }
    out
}

fn without_tags(text: &str) -> String {
    let mut out = String::new();
    let mut in_tag = false;
    for c in text.chars() {
        match c {
            '<' => in_tag = true,
            '>' if in_tag => in_tag = false,
            c if !in_tag => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_are_stored_in_each_form() {
        for (form, stored) in [
            ("trim", "a <b>\"x\"</b>\ne\u{301}"),
            ("crlf", " a <b>\"x\"</b>\r\ne\u{301} "),
            ("nfc", " a <b>\"x\"</b>\n\u{e9} "),
            ("nbsp", "\u{a0}a\u{a0}<b>\"x\"</b>\ne\u{301}\u{a0}"),
            ("html", " a &lt;b&gt;&quot;x&quot;&lt;/b&gt;\ne&#769; "),
            ("p", "<p> a <b>\"x\"</b>\ne\u{301} </p>"),
            ("no-tags", " a \"x\"\ne\u{301} "),
            ("cut=5", " a <b"),
            ("redact", "[removed by policy]"),
        ] {
            let habits = Habits { comments: vec![form.parse().expect(form)], ..Habits::default() };
            assert_eq!(habits.stored(" a <b>\"x\"</b>\ne\u{301} "), stored, "{form}");
        }
        assert!("cut=x".parse::<CommentForm>().is_err());
        let both = Habits { comments: vec![CommentForm::Html, CommentForm::Cut(4)], ..Habits::default() };
        assert_eq!(both.stored("a & b"), "a &a");
    }

    #[test]
    fn date_header_is_wrong_or_missing() {
        let now = "2026-11-24T10:00:00Z".parse().expect("a time");
        assert_eq!(DateHeader::default().value(now).as_deref(), Some("Tue, 24 Nov 2026 10:00:00 GMT"));
        let ahead = DateHeader::Ahead(SignedDuration::from_hours(-1));
        assert_eq!(ahead.value(now).as_deref(), Some("Tue, 24 Nov 2026 09:00:00 GMT"));
        assert_eq!(DateHeader::Missing.value(now), None);
    }
}
