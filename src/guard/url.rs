//! Which URLs are refused by their text alone: scheme, userinfo, port, host.

use std::net::IpAddr;

use thiserror::Error;
use url::{Host, Url};

use super::address;

/// Why a URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// Not a URL.
    #[error("is not a URL")]
    Syntax,
    /// A control character or backslash, which parsers drop or bend in silence.
    #[error("holds a control character, blank or backslash")]
    Character,
    /// Another scheme.
    #[error("must begin with https://")]
    Scheme,
    /// A user name or password.
    #[error("must hold no user name or password")]
    UserInfo,
    /// Another port than 443.
    #[error("must use port 443")]
    Port,
    /// A name that is not one of the public internet.
    #[error("must name a public host")]
    Host,
    /// An address that is not public.
    #[error("must not point to a private or reserved address")]
    Address,
}

/// Names under these suffixes never belong to the public internet.
const PRIVATE_SUFFIXES: &[&str] = &[
    "localhost",
    "localdomain",
    "local",
    "internal",
    "lan",
    "corp",
    "home.arpa",
    "intranet",
    "test",
    "example",
    "invalid",
    "onion",
    "svc",
    "cluster.local",
];

/// Checks a URL before any lookup.
pub fn check_url(text: &str) -> Result<(), Refused> {
    if is_plain(text) { Ok(()) } else { parse(text).map(drop) }
}

/// Whether a URL has nothing in it that a parser could read in another way: a lower-case public name
/// and visible ASCII behind it. Nearly all media links do, and a file has millions of them.
fn is_plain(text: &str) -> bool {
    let Some((host, path)) = text.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let Some((rest, last)) = host.rsplit_once('.') else { return false };
    host.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        // Not an address: those end in a number.
        && is_word(last)
        && !PRIVATE_SUFFIXES.iter().any(|suffix| is_below(suffix, last))
        && host.len() <= 253
        && last.len() <= 63
        // Not punycode, which may be wrong.
        && rest.split('.').all(|label| matches!(label.len(), 1..=63) && !label.starts_with("xn--"))
        && path.bytes().all(|b| matches!(b, b'!'..=b'~') && b != b'\\')
}

/// Checks a URL; the parsed form is the one to use from here on.
fn parse(text: &str) -> Result<Url, Refused> {
    if text.contains(|c: char| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(Refused::Character);
    }
    let url = Url::parse(text).map_err(|_| Refused::Syntax)?;
    if url.scheme() != "https" {
        return Err(Refused::Scheme);
    }
    // The parser forgives missing slashes ("https:host") and counts what it then finds.
    if text.get(5..8) != Some("://") {
        return Err(Refused::Syntax);
    }
    let authority = text[8..].split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::UserInfo);
    }
    if url.port().is_some() {
        return Err(Refused::Port);
    }
    match url.host().ok_or(Refused::Syntax)? {
        Host::Ipv4(v4) if !address::is_public(IpAddr::V4(v4)) => return Err(Refused::Address),
        Host::Ipv6(v6) if !address::is_public(IpAddr::V6(v6)) => return Err(Refused::Address),
        Host::Domain(name) if !is_public_name(name) => return Err(Refused::Host),
        _ => {}
    }
    Ok(url)
}

fn is_word(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase())
}

fn is_public_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let labels = name.split('.').count();
    labels >= 2
        && name.len() <= 253
        && name.split('.').all(|label| !label.is_empty() && label.len() <= 63)
        && !PRIVATE_SUFFIXES.iter().any(|suffix| is_below(name, suffix))
}

/// Whether a name is `suffix` or ends in it.
fn is_below(name: &str, suffix: &str) -> bool {
    name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_plain_is_accepted_by_the_parser(
            url in r"https:/{1,3}[a-z0-9.@:-]{0,20}(xn--)?[a-z0-9-]{0,9}\.(com|net|example|local|1)?/?[ -~]{0,20}",
        ) {
            if is_plain(&url) {
                prop_assert_eq!(parse(&url).err(), None);
            }
        }
    }

    #[test]
    fn usual_links_are_plain() {
        assert!(is_plain("https://media.example.net/exp/70001/front.jpg?token=a%20b"));
        assert!(is_plain("https://a-1.cdn.example.com/"));
        assert!(!is_plain("https://db.corp/a"));
    }

    #[test]
    fn refused_and_accepted() {
        for (url, refused) in [
            ("https://media.example.net/exp/70001/front.jpg", None),
            ("HTTPS://EXAMPLE.COM/A.JPG", None),
            ("https://8.8.8.8/", None),
            ("https://example.com:443/", None),
            ("https://example.com/?q=@127.0.0.1", None),
            ("http://example.com/a.jpg", Some(Refused::Scheme)),
            ("ftp://example.com/", Some(Refused::Scheme)),
            ("file:///etc/passwd", Some(Refused::Scheme)),
            ("data:,x", Some(Refused::Scheme)),
            ("gopher://127.0.0.1:70/", Some(Refused::Scheme)),
            ("//example.com/x", Some(Refused::Syntax)),
            ("example.com/x", Some(Refused::Syntax)),
            ("", Some(Refused::Syntax)),
            ("https://", Some(Refused::Syntax)),
            ("https:127.0.0.1/", Some(Refused::Syntax)),
            ("https:\\\\127.0.0.1/", Some(Refused::Character)),
            ("https://exam\tple.com/", Some(Refused::Character)),
            ("https://example.com/a\r\nb", Some(Refused::Character)),
            ("https://127.0.0.1/", Some(Refused::Address)),
            ("https://2130706433/", Some(Refused::Address)),
            ("https://0x7f000001/", Some(Refused::Address)),
            ("https://127.1/", Some(Refused::Address)),
            ("https://127.0.0.1./", Some(Refused::Address)),
            ("https://①②⑦.⓪.⓪.①/", Some(Refused::Address)),
            ("https://169.254.169.254/latest/", Some(Refused::Address)),
            ("https://[::ffff:127.0.0.1]/", Some(Refused::Address)),
            ("https://[64:ff9b::7f00:1]/", Some(Refused::Address)),
            ("https://256.256.256.256/", Some(Refused::Syntax)),
            ("https://localhost/", Some(Refused::Host)),
            ("https://loc%61lhost./", Some(Refused::Host)),
            ("https://x.localhost/", Some(Refused::Host)),
            ("https://intranet/", Some(Refused::Host)),
            ("https://db.ns.svc.cluster.local/", Some(Refused::Host)),
            ("https://metadata.google.internal/", Some(Refused::Host)),
            ("https://user:pass@example.com/", Some(Refused::UserInfo)),
            ("https://@example.com/", Some(Refused::UserInfo)),
            ("https://127.0.0.1@example.com/", Some(Refused::UserInfo)),
            ("https://example.com:8443/", Some(Refused::Port)),
        ] {
            assert_eq!(check_url(url).err(), refused, "{url:?}");
            assert_eq!(parse(url).err(), refused, "{url:?}");
        }
    }
}
