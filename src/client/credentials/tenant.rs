//! How tenants are named: by a GUID or a domain.

/// `72f988bf-86f1-41af-91ab-2d7cd011db47`
#[must_use]
pub fn is_tenant_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12] && parts.iter().all(|part| part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Whether a token can be requested for it: a GUID or a domain such as `contoso.onmicrosoft.com`. `common` and the like
/// stand for many tenants.
#[must_use]
pub fn is_tenant(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_plain) && !label.starts_with('-') && !label.ends_with('-')
    };
    is_tenant_id(text) || (text.contains('.') && text.split('.').all(is_label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenant_is_guid_or_domain() {
        let id = "72f988bf-86f1-41af-91ab-2d7cd011db47";
        assert!(is_tenant_id(id) && is_tenant_id(&id.to_uppercase()) && is_tenant(id));
        for domain in ["contoso.onmicrosoft.com", "contoso.example", "a-b.c"] {
            assert!(is_tenant(domain) && !is_tenant_id(domain), "{domain}");
        }
        for other in
            ["common", "organizations", "", "contoso", ".", "a..b", "../x.y", "a/b.c", "a.b?c", "-a.b", "a b.c"]
        {
            assert!(!is_tenant(other), "{other}");
        }
    }
}
