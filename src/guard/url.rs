//! Which URLs are refused by their text alone: scheme, userinfo, port, host.

use std::{net::IpAddr, sync::LazyLock};

use thiserror::Error;
use url::{Host, Url};

use super::policy::Policy;

/// Longer URLs are not looked at. A row's link may have 2,048 characters, which is this many bytes at most.
const MAX_BYTES: usize = 8_192;

/// Why a URL is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Refused {
    /// Not a URL.
    #[error("is not a URL")]
    Syntax,
    /// Longer than anybody's.
    #[error("must have at most {MAX_BYTES} bytes")]
    TooLong,
    /// A control character, which parsers drop in silence.
    #[error("holds a control character")]
    Control,
    /// A blank or backslash, which parsers bend in silence.
    #[error("holds a blank or backslash")]
    Character,
    /// Another scheme.
    #[error("must begin with https://")]
    Scheme,
    /// A user name or password.
    #[error("must hold no user name or password")]
    UserInfo,
    /// Another port than those allowed.
    #[error("must use port 443")]
    Port,
    /// A name that is not one of the public internet.
    #[error("must name a public host")]
    Host,
    /// An address that is not public.
    #[error("must not point to a private or reserved address")]
    Address,
    /// An address of this server.
    #[error("must not point to this server")]
    Own,
}

impl Refused {
    /// A word for it that does not change.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Syntax | Self::Character => "URL_SYNTAX",
            Self::TooLong => "URL_TOO_LONG",
            Self::Control => "URL_CONTROL_CHAR",
            Self::Scheme => "URL_SCHEME",
            Self::UserInfo => "URL_USERINFO",
            Self::Port => "URL_PORT",
            Self::Host => "URL_HOST",
            Self::Address => "URL_ADDRESS",
            Self::Own => "URL_SELF",
        }
    }
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

/// Checks a URL before any lookup, as a server without settings of its own would, but for its port: whether that
/// may be asked is known to whoever asks.
pub fn check_url(text: &str) -> Result<(), Refused> {
    static USUAL: LazyLock<Policy> = LazyLock::new(Policy::default);
    if is_plain(text) { Ok(()) } else { parse_on_any_port(text, &USUAL).map(drop) }
}

/// Whether a URL has nothing in it that a parser could read in another way: a lower-case public name
/// and visible ASCII behind it. Nearly all media links do, and a file has millions of them.
fn is_plain(text: &str) -> bool {
    let Some((host, path)) = text.strip_prefix("https://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let Some((rest, last)) = host.rsplit_once('.') else { return false };
    text.len() <= MAX_BYTES
        && host.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.'))
        // Not an address: those end in a number.
        && is_word(last)
        && !PRIVATE_SUFFIXES.iter().any(|suffix| is_below(suffix, last))
        && host.len() <= 253
        && last.len() <= 63
        // Not punycode, which may be wrong.
        && rest.split('.').all(|label| is_label(label) && !label.starts_with("xn--"))
        && path.bytes().all(|b| matches!(b, b'!'..=b'~') && b != b'\\')
}

/// Checks a URL; the parsed form is the one to use from here on.
pub(super) fn parse(text: &str, policy: &Policy) -> Result<Url, Refused> {
    let url = parse_on_any_port(text, policy)?;
    let port = url.port_or_known_default().filter(|port| policy.ports.contains(port));
    port.map(|_| url).ok_or(Refused::Port)
}

fn parse_on_any_port(text: &str, policy: &Policy) -> Result<Url, Refused> {
    if text.len() > MAX_BYTES {
        return Err(Refused::TooLong);
    }
    check_characters(text)?;
    let mut url = Url::parse(text).map_err(|_| Refused::Syntax)?;
    if url.scheme() != "https" {
        return Err(Refused::Scheme);
    }
    // The parser forgives missing or superfluous slashes, and counts what it then finds.
    let authority = text.get(5..).and_then(|rest| rest.strip_prefix("://"));
    let authority = authority.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if authority.contains('@') || !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::UserInfo);
    }
    match url.host().ok_or(Refused::Syntax)? {
        Host::Ipv4(v4) => policy.judge_address(IpAddr::V4(v4))?,
        Host::Ipv6(v6) => policy.judge_address(IpAddr::V6(v6))?,
        Host::Domain(name) => {
            let name = name.strip_suffix('.').unwrap_or(name);
            if !is_host_name(name) {
                return Err(Refused::Host);
            }
            policy.judge_name(name)?;
            // Certificates and servers know a name without its last dot only.
            let name = name.to_owned();
            url.set_host(Some(&name)).map_err(|_| Refused::Syntax)?;
        }
    }
    if authority.is_empty() {
        return Err(Refused::Syntax);
    }
    url.set_fragment(None);
    Ok(url)
}

/// Looks for characters that parsers drop or bend.
pub(super) fn check_characters(text: &str) -> Result<(), Refused> {
    if text.contains(char::is_control) {
        return Err(Refused::Control);
    }
    if text.contains(|c: char| c.is_whitespace() || c == '\\') {
        return Err(Refused::Character);
    }
    Ok(())
}

fn is_word(label: &str) -> bool {
    !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// Whether a name may be one of a host; the parser takes any that a URL may hold.
fn is_host_name(name: &str) -> bool {
    name.contains('.') && name.len() <= 253 && name.split('.').all(is_label)
}

fn is_label(label: &str) -> bool {
    matches!(label.len(), 1..=63)
        && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// Whether a name is known to lie outside the public internet.
pub(super) fn is_private_name(name: &str) -> bool {
    PRIVATE_SUFFIXES.iter().any(|suffix| is_below(name, suffix))
}

/// Whether a name is `suffix` or ends in it.
pub(super) fn is_below(name: &str, suffix: &str) -> bool {
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
                prop_assert_eq!(parse(&url, &Policy::default()).err(), None);
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
            ("https:127.0.0.1/", Some(Refused::Address)),
            ("https:example.com/", Some(Refused::Syntax)),
            ("https:///example.com/", Some(Refused::Syntax)),
            ("https:\\\\127.0.0.1/", Some(Refused::Character)),
            ("https://exam\tple.com/", Some(Refused::Control)),
            ("https://example.com/a\r\nb", Some(Refused::Control)),
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
        ] {
            assert_eq!(check_url(url).err(), refused, "{url:?}");
            assert_eq!(parse(url, &Policy::default()).err(), refused, "{url:?}");
        }
        let elsewhere = "https://example.com:8443/";
        assert_eq!(check_url(elsewhere), Ok(()));
        assert_eq!(parse(elsewhere, &Policy::default()).err(), Some(Refused::Port));
    }
}
