//! When a certificate expires: the libraries that judge certificates know it and do not tell.

use chrono::{DateTime, NaiveDateTime, Utc};

const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// The end of the validity of a certificate (DER).
pub(super) fn expiry(certificate: &[u8]) -> Option<DateTime<Utc>> {
    let (signed, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(signed, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = any_element(rest)?.2;
    }
    // The serial number, the algorithm of the signature, and who made it.
    for _ in 0..3 {
        rest = any_element(rest)?.2;
    }
    let (validity, _) = element(rest, SEQUENCE)?;
    let (_, _, rest) = any_element(validity)?;
    let (kind, time, _) = any_element(rest)?;
    let time = str::from_utf8(time).ok()?;
    let time = match kind {
        // RFC 5280, 4.1.2.5.1.
        UTC_TIME if time.get(..2)? < "50" => format!("20{time}"),
        UTC_TIME => format!("19{time}"),
        GENERALIZED_TIME => time.to_owned(),
        _ => return None,
    };
    Some(NaiveDateTime::parse_from_str(&time, "%Y%m%d%H%M%SZ").ok()?.and_utc())
}

/// The content of an element of this kind, and what comes behind it.
fn element(der: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    any_element(der).filter(|(found, ..)| *found == kind).map(|(_, content, rest)| (content, rest))
}

/// The kind and content of an element, and what comes behind it.
fn any_element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [kind, length, rest @ ..] = der else { return None };
    let (length, rest) = match *length {
        short @ ..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*kind, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate_until(year: i32) -> Vec<u8> {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("names");
        parameters.not_after = rcgen::date_time_ymd(year, 2, 3);
        parameters.self_signed(&key).expect("a certificate").der().to_vec()
    }

    #[test]
    fn it_is_read_in_both_forms() {
        for year in [1999, 2049, 2050, 4096] {
            let expires_at = expiry(&certificate_until(year)).expect("a time");
            assert_eq!(expires_at.to_rfc3339(), format!("{year}-02-03T00:00:00+00:00"));
        }
    }

    #[test]
    fn what_is_cut_short_or_altered_is_no_reason_to_panic() {
        let certificate = certificate_until(2030);
        for length in 0..certificate.len() {
            let _ = expiry(&certificate[..length]);
            for byte in [0, 0x7f, 0x84, 0xff] {
                let mut altered = certificate.clone();
                altered[length] = byte;
                let _ = expiry(&altered);
            }
        }
    }
}
