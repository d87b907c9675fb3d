//! Values as providers write them, in the form the contract has: one place for all of them.

use std::borrow::Cow;

use chrono::DateTime;
use unicode_normalization::{UnicodeNormalization, is_nfc};

use crate::canonical::{
    country,
    date::{parse_date, parse_timestamp},
    document::DocumentType,
    status::{FeatureStatus, SessionStatus},
};

/// What a provider says of a session, and the word it says it with.
#[derive(Debug, Clone)]
pub(super) struct Verdict<'a> {
    /// Nothing for a word nobody knows.
    pub(super) status: Option<SessionStatus>,
    /// The provider's own word; empty where it gave none.
    pub(super) word: Cow<'a, str>,
}

/// A text without blanks around it.
pub(super) fn trimmed(text: &str) -> &str {
    match text.as_bytes() {
        // What begins and ends with a visible ASCII character, as nearly all texts do, has none.
        [b'!'..=b'~', .., b'!'..=b'~'] | [b'!'..=b'~'] => text,
        _ => text.trim(),
    }
}

/// A word without case, blanks, `_` and `-`, to compare by.
pub(super) fn fold(word: &str) -> String {
    let kept = word.chars().filter(|c| !matches!(c, '_' | '-' | '\'') && !c.is_whitespace());
    let mut folded = String::with_capacity(word.len());
    folded.extend(kept.map(|c| c.to_ascii_lowercase()));
    folded
}

/// An alpha-3 code from one of two or three letters, or from those of passports (ICAO 9303), where
/// Germany is `D` and some British people are of `GBD` and such.
pub(super) fn country(text: &str) -> Option<&'static str> {
    const OF_PASSPORTS: [(&str, &str); 7] = [
        ("D", "DEU"),
        ("GBD", "GBR"),
        ("GBN", "GBR"),
        ("GBO", "GBR"),
        ("GBP", "GBR"),
        ("GBS", "GBR"),
        ("RKS", "XKX"),
    ];
    let text = trimmed(text);
    let own = OF_PASSPORTS.iter().find(|(code, _)| code.eq_ignore_ascii_case(text));
    let text = own.map_or(text, |(_, code)| code);
    country::parse_alpha3(text).or_else(|| country::parse_alpha3(three_letters(text)?))
}

/// The alpha-3 code of an alpha-2 code.
fn three_letters(text: &str) -> Option<&'static str> {
    let two = country::parse_alpha2(text)?;
    celes::Country::from_alpha2(two).ok().map(|country| country.alpha3)
}

/// Codes of documents whose holders have no country, or one of the United Nations' own.
pub(super) fn is_stateless(text: &str) -> bool {
    const CODES: [&str; 8] = ["XXA", "XXB", "XXC", "XXX", "UNO", "UNA", "UNK", "EUE"];
    CODES.iter().any(|code| code.eq_ignore_ascii_case(text.trim()))
}

/// A date, of a text that is one or begins with one and goes on with a time. Other orders of day and
/// month are not guessed at.
pub(super) fn date(text: &str) -> Option<&str> {
    let text = trimmed(text);
    let (date, rest) = text.split_at_checked("YYYY-MM-DD".len())?;
    parse_date(date).filter(|_| rest.is_empty() || rest.starts_with(['T', ' '])).map(|_| date)
}

/// A point in time: RFC 3339, or with a blank for the `T`, without a colon in the offset, or without an
/// offset, which is then UTC. A number is seconds or, where it has 12 digits or more, milliseconds since 1970.
pub(super) fn timestamp(text: &str) -> Option<String> {
    let text = trimmed(text);
    if let Ok(number) = text.parse::<i64>() {
        let time = match text.len() >= 12 {
            true => DateTime::from_timestamp_millis(number),
            false => DateTime::from_timestamp_secs(number),
        };
        return time.map(|time| time.to_rfc3339());
    }
    let (date, time) = text.split_at_checked("YYYY-MM-DD".len())?;
    let time = time.strip_prefix(['T', 't', ' '])?.trim_start();
    let (clock, offset) = time.split_at(time.find(['Z', 'z', '+', '-', ' ']).unwrap_or(time.len()));
    let offset = match offset.trim() {
        "" | "Z" | "z" | "UTC" | "GMT" => Cow::Borrowed("Z"),
        offset if offset.len() == "+0000".len() && offset.is_ascii() => {
            Cow::Owned(format!("{}:{}", &offset[..3], &offset[3..]))
        }
        offset => Cow::Borrowed(offset),
    };
    let seconds = if clock.len() == "HH:MM".len() { ":00" } else { "" };
    let text = [date, "T", clock, seconds, &offset].concat();
    parse_timestamp(&text).map(|_| text)
}

/// A gender's letter; a word that is none is unspecified.
pub(super) fn gender(text: &str) -> &'static str {
    match fold(text).as_str() {
        "m" | "male" => "M",
        "f" | "female" => "F",
        _ => "U",
    }
}

/// A name, unless it is a dash that stands for none, the filler of a machine-readable zone, `N/A` or `NULL`.
pub(super) fn name(text: &str) -> Option<&str> {
    let text = match text.as_bytes() {
        [b'!'..=b';' | b'='..=b'~', .., b'!'..=b';' | b'='..=b'~'] => text,
        _ => text.trim_matches(|c: char| c.is_whitespace() || c == '<'),
    };
    let text = Some(text).filter(|text| !text.eq_ignore_ascii_case("n/a") && *text != "NULL")?;
    Some(text).filter(|text| !text.chars().all(|c| matches!(c, '-' | '—' | '–' | '_' | '.')))
}

/// A text, unless it stands for none as that of a name may, or is `NA`, which is the name of some.
pub(super) fn given(text: &str) -> Option<&str> {
    name(text).filter(|text| *text != "NA")
}

/// A text without signs that nobody sees (zero-width ones, and those that turn the direction of writing), with
/// single blanks, and with one sign for a letter and its accents (NFC).
pub(super) fn without_marks(text: &str) -> Cow<'_, str> {
    const MARKS: [(char, char); 6] = [
        ('\u{ad}', '\u{ad}'),
        ('\u{200b}', '\u{200f}'),
        ('\u{202a}', '\u{202e}'),
        ('\u{2060}', '\u{2064}'),
        ('\u{2066}', '\u{2069}'),
        ('\u{feff}', '\u{feff}'),
    ];
    let is_mark = |c: char| !c.is_ascii() && MARKS.iter().any(|(from, to)| (*from..=*to).contains(&c));
    let is_spaced = || text.as_bytes().windows(2).any(|pair| pair == b"  ");
    if (text.is_ascii() || !text.contains(is_mark) && is_nfc(text)) && !is_spaced() {
        return Cow::Borrowed(text);
    }
    let seen: String = text.chars().filter(|c| !is_mark(*c)).nfc().collect();
    Cow::Owned(seen.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// JSON that every database can keep: escapes that are no character, half a surrogate pair or NUL, are replaced.
pub(super) fn storable_json(json: &str) -> Cow<'_, str> {
    if !json.contains("\\u") {
        return Cow::Borrowed(json);
    }
    let (mut out, mut rest) = (String::with_capacity(json.len()), json);
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        let pair = escape.get(UNIT..).and_then(unit).filter(|unit| (0xdc00..0xe000).contains(unit));
        let (length, is_character) = match unit(escape) {
            Some(0xd800..0xdc00) if pair.is_some() => (2 * UNIT, true),
            Some(0 | 0xd800..0xe000) => (UNIT, false),
            Some(_) => (UNIT, true),
            // An escape of one sign, which may itself be a backslash.
            None => (escape.chars().take(2).map(char::len_utf8).sum(), true),
        };
        let (escape, after) = escape.split_at(length);
        out.push_str(if is_character { escape } else { "\u{fffd}" });
        rest = after;
    }
    Cow::Owned(out + rest)
}

/// Bytes of an escape such as `\u00e9`.
const UNIT: usize = 6;

/// The number of an escape that a text begins with.
fn unit(text: &str) -> Option<u16> {
    let digits = text.get(..UNIT)?.strip_prefix("\\u")?;
    u16::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// A phone number without the signs people set between digits.
pub(super) fn phone(text: &str) -> String {
    let digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '+').collect();
    match digits.strip_prefix("00") {
        Some(rest) => format!("+{rest}"),
        None => digits,
    }
}

/// A number of 0 to 1 as one of 0 to 100, by its digits.
pub(super) fn percent(token: &str) -> Option<String> {
    let (whole, fraction) = token.split_once('.').unwrap_or((token, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let padded = format!("{fraction:0<2}");
    let (up, rest) = padded.split_at(2);
    let joined = format!("{whole}{up}");
    let whole = match joined.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let rest = rest.trim_end_matches('0');
    Some(if rest.is_empty() { whole.to_owned() } else { format!("{whole}.{rest}") })
}

/// A plain decimal of a JSON number, whose exponent is written out.
pub(super) fn decimal(token: &str) -> Cow<'_, str> {
    let Some((digits, exponent)) = token.split_once(['e', 'E']) else { return Cow::Borrowed(token) };
    let Some(exponent) = exponent.parse::<i32>().ok().filter(|e| e.unsigned_abs() <= 60) else {
        return Cow::Borrowed(token);
    };
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits), |digits| ("-", digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let point = whole.len() as i32 + exponent;
    let plain = if point <= 0 {
        format!("0.{}{all}", "0".repeat(point.unsigned_abs() as usize))
    } else if point as usize >= all.len() {
        format!("{all:0<width$}", width = point as usize)
    } else {
        let (whole, fraction) = all.split_at(point as usize);
        format!("{whole}.{fraction}")
    };
    let whole = plain.trim_start_matches('0');
    let zero = if whole.is_empty() || whole.starts_with('.') { "0" } else { "" };
    Cow::Owned(format!("{sign}{zero}{whole}"))
}

/// The type of an identity document by a word that more than one provider has for it.
pub(super) fn document(word: &str) -> Option<DocumentType> {
    use DocumentType as D;
    Some(match fold(word).as_str() {
        "passport" | "passportcard" => D::Passport,
        "idcard"
        | "identitycard"
        | "nationalid"
        | "nationalidentitycard"
        | "voterid"
        | "postalidentitycard"
        | "consularid"
        | "municipalityidentitycard"
        | "indigenouscard"
        | "serviceidcard"
        | "diplomaticid" => D::IdentityCard,
        "drivers"
        | "driverslicense"
        | "driverslicence"
        | "driverlicense"
        | "driverlicence"
        | "drivinglicense"
        | "drivinglicence"
        | "ukdrivinglicence"
        | "nonukdrivinglicence"
        | "internationaldrivinglicence" => D::DriversLicense,
        "residencepermit"
        | "ukbiometricresidencepermit"
        | "immigrationstatusdocument"
        | "residencestatusdocument"
        | "asylumregistrationcard" => D::ResidencePermit,
        "workpermit" => D::WorkPermit,
        "visa" => D::Visa,
        "socialsecuritycard" | "nationalinsurancecard" => D::SocialSecurityCard,
        "nationalhealthinsurancecard" | "healthinsurancecard" => D::HealthInsuranceCard,
        "taxcard" => D::TaxCard,
        "birthcertificate" => D::BirthCertificate,
        _ => return None,
    })
}

/// A link without its query, in which tokens stand.
pub(super) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

/// The worst of several checks; nothing of none.
pub(super) fn worst(all: impl IntoIterator<Item = FeatureStatus>) -> Option<FeatureStatus> {
    let rank = |status: &FeatureStatus| match status {
        FeatureStatus::Approved => 0,
        FeatureStatus::NotFinished | FeatureStatus::Expired | FeatureStatus::ResubRequested => 1,
        FeatureStatus::InReview => 2,
        FeatureStatus::Declined => 3,
    };
    all.into_iter().max_by_key(rank)
}

/// Parts of an address in one line; blanks, and the word `null` that some print, are no parts.
pub(super) fn joined<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> Option<String> {
    let parts: Vec<_> =
        parts.into_iter().flatten().filter(|part| !part.trim().is_empty() && *part != "null").collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Texts put together with a blank.
pub(super) fn spaced<'a>(parts: impl IntoIterator<Item = Option<&'a str>>) -> Option<Cow<'a, str>> {
    let parts: Vec<_> = parts.into_iter().flatten().filter_map(name).collect();
    match parts[..] {
        [] => None,
        [one] => Some(Cow::Borrowed(one)),
        _ => Some(Cow::Owned(parts.join(" "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn countries_of_two_and_three_letters_and_of_passports() {
        for (text, code) in [
            ("es", Some("ESP")),
            ("Esp", Some("ESP")),
            ("D", Some("DEU")),
            ("GBN", Some("GBR")),
            ("ZZ", None),
            ("", None),
            ("Spain", None),
            ("é", None),
        ] {
            assert_eq!(country(text), code, "{text:?}");
        }
        assert!(is_stateless("xxb") && !is_stateless("DEU"));
    }

    #[test]
    fn dates_and_times_are_read_as_written_or_not_at_all() {
        for (text, read) in [
            ("2020-02-29", Some("2020-02-29")),
            ("2020-02-29T00:00:00Z", Some("2020-02-29")),
            ("1979-00-00", None),
            ("2020-13-40", None),
            ("29/02/1984", None),
            ("0000-00-00", None),
            ("2020-02-29x", None),
            ("é020-02-29", None),
        ] {
            assert_eq!(date(text), read, "{text:?}");
        }
        for (text, read) in [
            ("2024-02-06 10:15:42", Some("2024-02-06T10:15:42Z")),
            ("2024-02-06 10:15:42+0000", Some("2024-02-06T10:15:42+00:00")),
            ("2024-07-01 09:12:44.218", Some("2024-07-01T09:12:44.218Z")),
            ("2024-03-11T09:20:41.318000Z", Some("2024-03-11T09:20:41.318000Z")),
            ("2024-03-11T09:20:41+02:00", Some("2024-03-11T09:20:41+02:00")),
            ("2024-03-11T09:20", Some("2024-03-11T09:20:00Z")),
            ("1710148841", Some("2024-03-11T09:20:41+00:00")),
            ("1710148841000", Some("2024-03-11T09:20:41+00:00")),
            ("2024-02-06", None),
            ("2024-02-06 ٠", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(timestamp(text).as_deref(), read, "{text:?}");
        }
    }

    #[test]
    fn small_words() {
        assert_eq!(["m", "Female", "X", ""].map(gender), ["M", "F", "U", "U"]);
        assert_eq!([" Ana ", "—", "-", ""].map(name), [Some("Ana"), None, None, None]);
        assert_eq!(["NA", "Na", "n/a", "NULL", "<<<"].map(name), [Some("NA"), Some("Na"), None, None, None]);
        assert_eq!(["NA", "N/A", "X1<<", "-"].map(given), [None, None, Some("X1"), None]);
        assert_eq!(without_marks("Jose\u{301}  \u{202e}Ma\u{200d}ri\u{301}a"), "José María");
        assert_eq!(phone("(+57) 300-000 0001"), "+573000000001");
        assert_eq!(phone("0034 600"), "+34600");
        assert_eq!(document("DRIVERS_LICENSE"), Some(DocumentType::DriversLicense));
        assert_eq!(without_query("https://h.example/a?token=1#x"), "https://h.example/a");
        assert_eq!(joined([Some("a"), None, Some("null"), Some(" "), Some("b")]).as_deref(), Some("a, b"));
        assert_eq!(spaced([Some("a"), Some("—"), Some("b")]).as_deref(), Some("a b"));
    }

    #[test]
    fn decimals_by_their_digits() {
        for (token, read) in [
            ("0.6512", Some("65.12")),
            ("1", Some("100")),
            ("0", Some("0")),
            ("0.970100", Some("97.01")),
            ("0.005", Some("0.5")),
            ("1e-1", None),
            ("-1", None),
        ] {
            assert_eq!(percent(token).as_deref(), read, "{token}");
        }
        for (token, read) in [
            ("1.5e3", "1500"),
            ("5E-7", "0.0000005"),
            ("12.5e-1", "1.25"),
            ("-1e2", "-100"),
            ("0e5", "0"),
            ("0.512345678901234567", "0.512345678901234567"),
            ("1e999", "1e999"),
        ] {
            assert_eq!(decimal(token), read, "{token}");
        }
    }
}
