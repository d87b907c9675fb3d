//! Dates and timestamps, strictly: a guess about `01/02/03` would be wrong for half the customers.

use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

/// Reads `YYYY-MM-DD`, years 1 to 9999.
pub fn parse_date(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        bytes[range]
            .iter()
            .try_fold(0u32, |n, byte| byte.is_ascii_digit().then(|| n * 10 + u32::from(byte - b'0')))
    };
    let year = number(0..4).filter(|year| *year > 0)?;
    NaiveDate::from_ymd_opt(year as i32, number(5..7)?, number(8..10)?)
}

/// Reads an RFC 3339 timestamp with its offset, years 1 to 9999, no leap second; to the microsecond.
pub fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    if let Some(time) = parse_utc(text) {
        return Some(time);
    }
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    if !(1..=9999).contains(&time.year()) || time.nanosecond() >= 1_000_000_000 {
        return None;
    }
    // Both databases keep microseconds; cut here, so that they keep the same.
    DateTime::from_timestamp_micros(time.timestamp_micros())
}

/// Reads `YYYY-MM-DDTHH:MM:SSZ`, which nearly all timestamps are but for a fraction of the second, in a third of
/// the time.
fn parse_utc(text: &str) -> Option<DateTime<Utc>> {
    let (date, time) = text.strip_suffix('Z')?.split_at_checked("YYYY-MM-DD".len())?;
    let (time, fraction) = time.split_at_checked("THH:MM:SS".len())?;
    let [b'T', h1, h2, b':', m1, m2, b':', s1, s2] = time.as_bytes() else { return None };
    let number = |tens: &u8, ones: &u8| {
        let digits = tens.is_ascii_digit() && ones.is_ascii_digit();
        digits.then(|| u32::from(tens - b'0') * 10 + u32::from(ones - b'0'))
    };
    let micros = match fraction.as_bytes() {
        [] => 0,
        [b'.', digits @ ..] if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) => {
            let six = digits.iter().chain([b'0'; 6].iter()).take(6);
            six.fold(0, |micros, digit| micros * 10 + u32::from(digit - b'0'))
        }
        _ => return None,
    };
    let (hour, minute, second) = (number(h1, h2)?, number(m1, m2)?, number(s1, s2)?);
    Some(parse_date(date)?.and_hms_micro_opt(hour, minute, second, micros)?.and_utc())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_usual_form_is_read_as_any_other(
            text in "[012][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,12})?Z",
        ) {
            prop_assert_eq!(parse_timestamp(&text), parse_timestamp(&text.replace('Z', "z")));
        }
    }

    #[test]
    fn dates_are_taken_as_written_or_not_at_all() {
        assert_eq!(parse_date("2024-02-29"), NaiveDate::from_ymd_opt(2024, 2, 29));
        for bad in [
            "2026-02-30",
            "0000-01-01",
            "10000-01-01",
            "31/12/1990",
            "01/02/03",
            "1969",
            "2024-1-1",
            "2024-01-01 ",
            "٢٠٢٤-01-01",
            "",
            "+024-01-01",
        ] {
            assert_eq!(parse_date(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn timestamps_become_utc() {
        assert_eq!(
            parse_timestamp("2025-01-15T10:00:00+01:00").map(|t| t.to_rfc3339()),
            Some("2025-01-15T09:00:00+00:00".to_owned())
        );
        assert!(parse_timestamp("2024-03-11t09:20:41.123456789z").is_some());
        for bad in [
            "2016-12-31T23:59:60Z",
            "2024-03-11",
            "2024-03-11T09:20:41",
            "infinity",
            "294277-01-01T00:00:00Z",
            "0000-12-31T00:00:00Z",
            "1710148841",
        ] {
            assert_eq!(parse_timestamp(bad), None, "{bad:?}");
        }
    }
}
