//! Escapes text for Markdown.
//!
//! Promises: rendered with GitHub's extensions, the text appears as `printable` shows it, without markup, links, images,
//! mentions or HTML, and stays in its table cell.

use std::fmt;

use super::printable;

/// Displays text from outside in a `code` element, where mentions have no effect. Punctuation is written as entities, so it
/// can't end the element or a table cell. GitHub decodes entities before it links email addresses (with or without
/// `mailto:` or `xmpp:`), so an HTML comment after each `@` splits them.
#[derive(Clone, Copy, Debug)]
pub struct Markdown<'a>(pub &'a str);

impl fmt::Display for Markdown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        f.write_str("<code>")?;
        for character in printable(self.0).chars() {
            match character {
                // Without a meaning in any dialect.
                '-' | ',' | ';' | '+' | '?' | '%' => write!(f, "{character}")?,
                '@' => f.write_str("&#64;<!-- -->")?,
                other if other.is_ascii_punctuation() => write!(f, "&#{};", u32::from(other))?,
                other => write!(f, "{other}")?,
            }
        }
        f.write_str("</code>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As GitHub renders it.
    fn rendered(page: &str) -> String {
        let mut options = comrak::Options::default();
        options.extension.autolink = true;
        options.extension.table = true;
        options.extension.strikethrough = true;
        options.extension.tasklist = true;
        options.extension.footnotes = true;
        options.extension.math_dollars = true;
        options.extension.math_code = true;
        options.extension.alerts = true;
        options.extension.superscript = true;
        options.render.r#unsafe = true;
        comrak::markdown_to_html(page, &options)
    }

    /// What a reader sees of the text in a cell of a table, and in a paragraph; fails where there is any other element.
    fn seen(text: &str) -> [String; 2] {
        let cell = rendered(&format!("| a |\n| --- |\n| {} |\n", Markdown(text)));
        let (_, cell) = cell.split_once("<td>").expect("a cell");
        let (cell, after) = cell.split_once("</td>").expect("its end");
        assert_eq!(after.matches("<td").count(), 0, "one cell: {after}");
        let paragraph = rendered(&format!("Next: {}\n", Markdown(text)));
        let paragraph = paragraph.strip_prefix("<p>Next: ").and_then(|rest| rest.strip_suffix("</p>\n"));
        [cell, paragraph.expect("a paragraph")].map(|html| {
            let html = html.replace("<!-- -->", "");
            let inner = html.strip_prefix("<code>").and_then(|rest| rest.strip_suffix("</code>"));
            let inner = inner.unwrap_or_else(|| panic!("{text:?} is {html}"));
            assert!(!inner.contains(['<', '>']), "{text:?} is {html}");
            html_escape::decode_html_entities(inner).into_owned()
        })
    }

    #[test]
    fn hostile_text_is_rendered_as_text() {
        for text in [
            "me@example.com",
            "mailto:me@example.com",
            "xmpp:me@example.com/room",
            "https://example.com/a_b_c www.example.com ftp://example.com",
            "@octocat and @org/team",
            "[a](https://example.com) ![b](x) <script>alert(1)</script> **c** _d_ ~~e~~ `f` $g$ | h",
            "# 1\n- [ ] x\n> [!NOTE]\n[^1]: y",
            "&lt;b&gt; &#60;i&#62; </code><b>",
            "a@b.co<!-- -->c",
        ] {
            assert_eq!(seen(text), [printable(text), printable(text)]);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_rendered_as_text(text in r"(mailto:|xmpp:|https?://|www\.|@|[\[\]()<>*_~`#|!$&^{}:;/\\.-]|[a-z0-9]{1,3}|\.com|\PC){1,12}") {
            prop_assume!(text.trim() == text);
            prop_assert_eq!(seen(&text), [printable(&text), printable(&text)]);
        }
    }
}
