//! Names in the certificates of callers, by which they are known.

/// A DNS name, which is compared in lower case, or a URI, which is compared as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateName(String);

/// Longest name; a longer one is nobody's.
const BYTES: usize = 512;

impl CertificateName {
    /// Reads either kind; no text is both, since only a URI has a colon.
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_uri(text).or_else(|| Self::of_dns(text))
    }

    /// Reads a DNS name; one with a wildcard is the name of many, and so of nobody.
    pub fn of_dns(text: &str) -> Option<Self> {
        let is_label = |label: &str| {
            let is_part = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            !label.is_empty() && label.bytes().all(is_part)
        };
        let is_name = text.len() <= BYTES && text.split('.').all(is_label);
        is_name.then(|| Self(text.to_ascii_lowercase()))
    }

    /// Reads a URI, such as `spiffe://example.org/importer`.
    pub fn of_uri(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once(':')?;
        let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
        let is_rest = !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_graphic());
        (text.len() <= BYTES && is_scheme && is_rest).then(|| Self(text.to_owned()))
    }

    /// The name as it is compared.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_dns_name_or_a_uri() {
        for (text, name) in [
            ("Importer.Example.com", "importer.example.com"),
            ("importer_1", "importer_1"),
            ("spiffe://example.org/Importer", "spiffe://example.org/Importer"),
            ("urn:example:importer", "urn:example:importer"),
        ] {
            let parsed = CertificateName::parse(text).expect(text);
            assert_eq!(parsed.as_str(), name);
        }
        let long = "a".repeat(BYTES + 1);
        for text in
            ["", ".", "a..b", "*.example.com", "a b", "a/b", "é.example", ":x", "x:", "1:x", "a:b c", &long]
        {
            assert_eq!(CertificateName::parse(text), None, "{text}");
        }
        assert_eq!(CertificateName::of_uri("importer.example.com"), None, "it would pass for a DNS name");
        assert_eq!(CertificateName::of_dns("spiffe://example.org"), None);
    }
}
