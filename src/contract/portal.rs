//! Links to incidents in the portal, of which only those to known hosts are shown.
//!
//! Promise: an accepted link is a plain https URL whose host is exactly one that a built-in contract lists.

use serde::Deserialize;
use serde_json::{Map, Value};

/// The longest link that is accepted, in bytes.
const LONGEST: usize = 2_048;

/// Where the portal shows an incident.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Portal {
    /// The member of an incident with the link.
    pub(super) link: String,
    /// The hosts of the portal, in lower case.
    hosts: Vec<String>,
}

impl Portal {
    /// The link in the context of an incident, if it is accepted.
    pub(super) fn link_in<'v>(&self, context: &'v Map<String, Value>) -> Option<&'v str> {
        context.get(&self.link)?.as_str().filter(|link| self.accepts(link))
    }

    /// Compares the host exactly: there may be no user, port, trailing dot or upper case. No other character may be one that
    /// a browser or the format of a page treats in a special way.
    fn accepts(&self, link: &str) -> bool {
        let Some(rest) = link.strip_prefix("https://") else { return false };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let is_plain = |byte: u8| byte.is_ascii_graphic() && !br#""'<>\^`{|}"#.contains(&byte);
        link.len() <= LONGEST && self.hosts.iter().any(|known| known == host) && link.bytes().all(is_plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::{BUILT_IN, load};
    use proptest::prelude::*;
    use serde_json::json;

    /// By hand: the portals of the global cloud and of those of the US government.
    const PORTALS: [&str; 3] = ["security.microsoft.com", "security.microsoft.us", "security.apps.mil"];

    fn is_accepted(link: &str) -> bool {
        let accepted = BUILT_IN.map(|name| {
            let contract = load(name).expect("built in");
            let member = if name == "graph" { "incidentWebUrl" } else { "incidentUri" };
            let context = Map::from_iter([(member.to_owned(), json!(link))]);
            contract.portal_member() == Some(member) && contract.portal_link(&context) == Some(link)
        });
        assert!(accepted.iter().all(|one| *one == accepted[0]), "{link}");
        accepted[0]
    }

    #[test]
    fn links_to_portals_are_accepted() {
        for portal in PORTALS {
            for path in ["/incidents/7?tid=11111111-1111-1111-1111-111111111111", "/incident2/7/overview#a", "?x=1", ""]
            {
                assert!(is_accepted(&format!("https://{portal}{path}")), "{portal}{path}");
            }
        }
    }

    #[test]
    fn other_links_are_left_out() {
        for link in [
            "http://security.microsoft.com/incidents/7",
            "HTTPS://security.microsoft.com/incidents/7",
            "javascript:alert(1)//security.microsoft.com/",
            "//security.microsoft.com/incidents/7",
            "https:security.microsoft.com/incidents/7",
            "https:///security.microsoft.com/incidents/7",
            "https:\\\\security.microsoft.com/incidents/7",
            " https://security.microsoft.com/incidents/7",
            "https://security.microsoft.com.evil.example/incidents/7",
            "https://security.microsoft.com./incidents/7",
            "https://security.microsoft.com:443/incidents/7",
            "https://security.microsoft.com:443@evil.example/",
            "https://security.microsoft.com@evil.example/incidents/7",
            "https://a@security.microsoft.com/incidents/7",
            "https://:@security.microsoft.com/incidents/7",
            "https://security.microsoft.com\\@evil.example/",
            "https://security.microsoft.com\t.evil.example/",
            "https://security.microsoft.com\n/incidents/7",
            "https://security.microsoft.com%2eevil.example/",
            "https://Security.microsoft.com/incidents/7",
            "https://SECURITY.MICROSOFT.COM/incidents/7",
            "https://xn--security-microsoft-com.example/",
            "https://s\u{435}curity.microsoft.com/incidents/7",
            "https://security.microsoft.com\u{3002}evil.example/",
            "https://evilsecurity.microsoft.com/",
            "https://a.security.microsoft.com/",
            "https://api.security.microsoft.com/api/incidents/7",
            "https://security.microsoft.co/",
            "https://evil.example/?security.microsoft.com",
            "https://evil.example/security.microsoft.com/",
            "https://security.microsoft.com/\"onclick=\"alert(1)",
            "https://security.microsoft.com/' x='",
            "https://security.microsoft.com/<b>",
            "https://security.microsoft.com/a b",
            "https://security.microsoft.com/a|b",
            "https://security.microsoft.com/\u{202e}7",
            "https://security.microsoft.com/\u{0}",
            "https://",
            "",
        ] {
            assert!(!is_accepted(link), "{link}");
        }
        assert!(!is_accepted(&format!("https://security.microsoft.com/{}", "a".repeat(LONGEST))));
        let contract = load("graph").expect("built in");
        for value in [json!(null), json!(7), json!(["https://security.microsoft.com/"])] {
            assert_eq!(contract.portal_link(&Map::from_iter([("incidentWebUrl".to_owned(), value)])), None);
        }
    }

    proptest! {
        /// What stands around a portal's host decides where a link goes.
        #[test]
        fn accepted_link_begins_with_a_portal(
            before in "[a-z]{0,5}(:|://|//|@|\\.)?[a-zA-Z@.]{0,4}",
            portal in 0..PORTALS.len(),
            after in "[/?#@:.\\\\a-z0-9%\u{0}-\u{20}é-]{0,12}",
        ) {
            let is_tail = (after.is_empty() || after.starts_with(['/', '?', '#']))
                && after.chars().all(|character| character.is_ascii_graphic() && !"\"'\\".contains(character));
            for before in [before.as_str(), "https://"] {
                let link = format!("{before}{}{after}", PORTALS[portal]);
                prop_assert_eq!(is_accepted(&link), before == "https://" && is_tail, "{}", link);
            }
        }
    }
}
