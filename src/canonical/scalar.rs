//! Small fields with a grammar of their own: provider labels, scores, e-mail addresses, phone numbers.

/// Longest provider label.
pub const PROVIDER_CHARS: usize = 64;

/// Whether a (lower-cased) provider label is one: `[a-z0-9][a-z0-9_-]{0,63}`.
pub fn is_provider(label: &str) -> bool {
    let mut bytes = label.bytes();
    label.len() <= PROVIDER_CHARS
        && bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        && bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
}

/// Whether a text is a plain decimal number from 0 to 100, such as `97.5`; no sign, no exponent.
pub fn is_score(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(w, f)| (w, Some(f)));
    let digits =
        |part: &str| !part.is_empty() && part.len() <= 17 && part.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole.len() == 1 || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && text.parse::<f64>().is_ok_and(|score| score <= 100.0)
}

/// Whether a text looks like an e-mail address that could be delivered to.
pub fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    text.len() <= 254
        && !local.is_empty()
        && !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | ','))
        && !local.contains('@')
        && domain.split('.').count() >= 2
        && domain
            .split('.')
            .all(|label| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-'))
}

/// Whether a text is a phone number in E.164 form.
pub fn is_phone(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

/// Whether a text is a phone number as companies write theirs: 7 to 15 digits, with the usual signs.
pub fn is_loose_phone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    (7..=15).contains(&digits)
        && text.len() <= 50
        && text.bytes().all(|byte| byte.is_ascii_digit() || b"+ ()-./".contains(&byte))
}

/// Whether a text is a currency code of three letters.
pub fn is_currency_code(text: &str) -> bool {
    text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether a text has the shape of a time zone of the IANA database, such as `Europe/Madrid` or `UTC`.
pub fn is_time_zone(text: &str) -> bool {
    text.len() <= 64
        && text.split('/').all(|part| {
            part.starts_with(|c: char| c.is_ascii_alphabetic())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables() {
        for (text, good) in
            [("sumsub", true), ("a-b_9", true), ("", false), ("-a", false), ("Sumsub", false), ("a b", false)]
        {
            assert_eq!(is_provider(text), good, "{text:?}");
        }
        for (text, good) in [
            ("0", true),
            ("100", true),
            ("97.5", true),
            ("100.0", true),
            ("100.1", false),
            ("1e1", false),
            ("+1", false),
            ("-0", false),
            ("0x1", false),
            ("NaN", false),
            ("1,5", false),
            (".5", false),
            ("5.", false),
            ("007", false),
        ] {
            assert_eq!(is_score(text), good, "{text:?}");
        }
        for (text, good) in [
            ("a@b.example", true),
            ("a@b", false),
            ("a b@c.example", false),
            ("@b.example", false),
            ("a@@b.example", false),
            ("a@.example", false),
        ] {
            assert_eq!(is_email(text), good, "{text:?}");
        }
        for (text, good) in
            [("+441134960000", true), ("441134960000", false), ("+0123456789", false), ("+44 113", false)]
        {
            assert_eq!(is_phone(text), good, "{text:?}");
        }
    }
}
