//! Texts that somebody may put into a title, a tag or a comment to attack its readers.

/// Over two hundred texts, all different.
pub(crate) fn hostile_texts() -> Vec<String> {
    let formulas = ["1+1", "cmd|'/C calc'!A0", "HYPERLINK(\"http://x.example\",\"y\")", "SUM(A1:A9)"];
    let starts = ["=", "+", "-", "@", "\t=", "\r=", "\n=", "＝", "＋", "－", "＠", "'="];
    let elements = ["script", "img", "svg", "iframe", "style", "a", "b", "h1", "table", "tr", "td", "form", "input"];
    let mut all: Vec<String> = WRITTEN.iter().map(|text| (*text).to_owned()).collect();
    all.extend(starts.iter().flat_map(|start| formulas.map(|formula| format!("{start}{formula}"))));
    all.extend(elements.iter().map(|name| format!("<{name}>x</{name}>")));
    all.extend(elements.iter().map(|name| format!("</td></tr></table><{name} id=broken-out>")));
    // Control characters, and characters that reorder or hide text.
    all.extend((0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32).map(|control| format!("a{control}b")));
    all.extend(
        "\u{200b}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}\u{feff}\u{ad}".chars().map(|c| format!("a{c}b")),
    );
    all.extend([
        "long ".repeat(2_000),
        "unbroken".repeat(2_000),
        "<".repeat(5_000),
        "&".repeat(5_000),
        "é漢🙂".repeat(900),
    ]);
    all.sort_unstable();
    all.dedup();
    assert!(all.len() > 200, "{}", all.len());
    all
}

const WRITTEN: &[&str] = &[
    // Scripts, and attributes that would run one.
    "<script>alert(1)</script>",
    "<ScRiPt >alert(1)</sCrIpT >",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg/onload=alert(1)//",
    "<body onload=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>click</a>",
    "<form action=//x.example><button>go</button></form>",
    "<meta http-equiv=refresh content='0;url=//x.example'>",
    "<link rel=stylesheet href=//x.example/a.css>",
    "<base href=//x.example>",
    "<object data=//x.example></object>",
    "<math><mtext></table><mglyph><style><!--</style><img src=x onerror=alert(1)>",
    "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
    "<template><script>alert(1)</script></template>",
    // Breaking out of the surrounding markup.
    "\"><b>x</b>",
    "'><b>x</b>",
    "\" onmouseover=\"alert(1)",
    "' onmouseover='alert(1)",
    "` onmouseover=`alert(1)",
    "</title><h1>x</h1>",
    "</style><h1>x</h1>",
    "</textarea><h1>x</h1>",
    "--><h1>x</h1><!--",
    "<!--",
    "<![CDATA[x]]>",
    "<?php echo 1 ?>",
    "]]>",
    "</body></html>",
    "}body{display:none}",
    "<plaintext>",
    // Entities.
    "&lt;b&gt;",
    "&amp;amp;",
    "&#60;b&#62;",
    "&#x3c;script&#x3e;",
    "&lt",
    "&nbsp;",
    "&",
    "&;",
    "&#0;",
    // Templates.
    "{{ 7 * 7 }}",
    "{% include \"/etc/passwd\" %}",
    "{# gone #}",
    "${7*7}",
    "#{7*7}",
    "<%= 7*7 %>",
    "{{constructor.constructor('alert(1)')()}}",
    // Markdown.
    "[link](http://x.example)",
    "[link](javascript:alert(1))",
    "![image](http://x.example/a.png)",
    "[ref][1]\n\n[1]: http://x.example",
    "http://x.example/a?b=c",
    "www.x.example",
    "someone@x.example",
    "<http://x.example>",
    "@everyone @octocat",
    "#1 GH-1 octo/repo#1",
    "0123456789abcdef0123456789abcdef01234567",
    ":tada:",
    "**bold** _it_ ~~gone~~ `code` ``two`` $x^2$",
    "``` \nfence\n```",
    "</code><b>x</b>",
    "`</code>`",
    "a|b|c",
    "a\\|b",
    "\\`a\\`",
    "# heading",
    "> quote",
    "- [ ] task",
    "1. one",
    "---",
    "| a | b |\n| --- | --- |",
    "    indented",
    "a  \nb",
    "[^1]: note",
    "==mark==",
    "~sub~ ^sup^",
    // Terminals.
    "\u{1b}[31mred\u{1b}[0m",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]8;;http://x.example\u{1b}\\link",
    "\u{9b}2J",
    "over\rwritten",
    "two\nlines",
    "three\r\nmore\r\nlines",
    "null\0byte",
    "bell\u{7}",
    // Scripts of the world, and lookalike characters.
    "مرحبا بالعالم",
    "שלום עולם",
    "漢字かな交じり文",
    "ไทย",
    "हिन्दी",
    "🙂👩‍👩‍👧‍👦🏳️‍🌈",
    "e\u{301}\u{301}\u{301}\u{301}",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
    "аррӏе.com",
    "ﬁﬂ ½ ﷽",
    "\u{202e}fdp.exe",
    "\u{2066}hidden\u{2069}",
    "\u{e0041}\u{e0042}",
    "\u{1f1e6}",
    "\u{fffd}\u{fffe}",
    "\u{2028}line\u{2029}paragraph",
    // Texts that other parsers fail on.
    "null",
    "undefined",
    "true",
    "NaN",
    "0",
    "-0",
    "1e999",
    "0x10",
    "'; DROP TABLE rows; --",
    "\" OR \"\"=\"",
    "../../../../etc/passwd",
    "C:\\windows\\system32",
    "%s%s%n",
    "%00",
    "$(touch x)",
    "`touch x`",
    "; touch x",
    "\\",
    "\"",
    "'",
    "''",
    "(empty)",
    "empty",
    "<clear>x",
    " leading and trailing ",
];
