//! How a source writes dates and points in time.

use chrono::{
    DateTime, NaiveDate, SecondsFormat, Utc,
    format::{Item, Numeric, Parsed, StrftimeItems, parse},
};

use super::kind::Kind;

/// A form of dates or points in time.
#[derive(Debug, Clone)]
pub(super) enum DateFormat {
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMillis,
    /// As `strftime` writes it.
    Items(Vec<Item<'static>>),
}

/// Whatever a format says of this day is to be understood as it again.
const SAMPLE: &str = "2001-02-03T04:05:06Z";

impl DateFormat {
    /// The form of that name, or of that `strftime` format; tells why there is none.
    pub(super) fn of(format: &str) -> Result<Self, &'static str> {
        match format {
            "unix" => return Ok(Self::Unix),
            "unix_ms" => return Ok(Self::UnixMillis),
            _ => {}
        }
        let items = StrftimeItems::new(format)
            .parse_to_owned()
            .map_err(|_| "must be unix, unix_ms or a strftime format such as %d/%m/%Y")?;
        if items.iter().any(|item| matches!(item, Item::Numeric(Numeric::YearMod100, _))) {
            return Err("has a year of two digits, which tells no century");
        }
        let form = Self::Items(items);
        if form.reads_what_it_writes() { Ok(form) } else { Err("must tell year, month and day") }
    }

    fn reads_what_it_writes(&self) -> bool {
        use std::fmt::Write as _;
        let Self::Items(items) = self else { return true };
        let Ok(sample) = DateTime::parse_from_rfc3339(SAMPLE) else { return false };
        let mut text = String::new();
        write!(text, "{}", sample.to_utc().format_with_items(items.iter())).is_ok()
            && self.read(&text, Kind::Date).as_deref() == SAMPLE.split('T').next()
    }

    /// What a text says, as the contract writes it: a date, or a point in time in UTC where the text tells no
    /// other offset, and at its beginning where it tells a day alone.
    pub(super) fn read(&self, text: &str, kind: Kind) -> Option<String> {
        let time = match self {
            Self::Unix => DateTime::from_timestamp_secs(text.parse().ok()?)?,
            Self::UnixMillis => DateTime::from_timestamp_millis(text.parse().ok()?)?,
            Self::Items(items) => {
                let mut parsed = Parsed::new();
                parse(&mut parsed, text, items.iter()).ok()?;
                if kind == Kind::Date
                    && let Ok(date) = parsed.to_naive_date()
                {
                    return Some(written(date));
                }
                moment(&parsed)?
            }
        };
        Some(match kind {
            Kind::Date => written(time.date_naive()),
            _ => time.to_rfc3339_opts(SecondsFormat::AutoSi, true),
        })
    }
}

fn moment(parsed: &Parsed) -> Option<DateTime<Utc>> {
    let offset = parsed.offset().unwrap_or(0);
    let local = parsed
        .to_naive_datetime_with_offset(offset)
        .ok()
        .or_else(|| parsed.to_naive_date().ok()?.and_hms_opt(0, 0, 0))?;
    local.checked_sub_signed(chrono::TimeDelta::seconds(i64::from(offset))).map(|time| time.and_utc())
}

fn written(date: NaiveDate) -> String {
    date.format("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_or_refused() {
        for (format, text, date, time) in [
            ("%d/%m/%Y", "03/02/2001", Some("2001-02-03"), Some("2001-02-03T00:00:00Z")),
            ("%d.%m.%Y", "3.2.2001", Some("2001-02-03"), Some("2001-02-03T00:00:00Z")),
            ("%d %b %Y %H:%M", "03 Feb 2001 04:05", Some("2001-02-03"), Some("2001-02-03T04:05:00Z")),
            (
                "%Y-%m-%d %H:%M:%S%.f %z",
                "2001-02-03 04:05:06.5 +0200",
                Some("2001-02-03"),
                Some("2001-02-03T02:05:06.500Z"),
            ),
            ("%Y%m%d", "20010203", Some("2001-02-03"), Some("2001-02-03T00:00:00Z")),
            ("%d/%m/%Y", "31/02/2001", None, None),
            ("%d/%m/%Y", "03/02/2001 x", None, None),
            ("unix", "981173106", Some("2001-02-03"), Some("2001-02-03T04:05:06Z")),
            ("unix_ms", "981173106500", Some("2001-02-03"), Some("2001-02-03T04:05:06.500Z")),
            ("unix", "2001-02-03", None, None),
        ] {
            let form = DateFormat::of(format).expect(format);
            assert_eq!(form.read(text, Kind::Date).as_deref(), date, "{format} {text}");
            assert_eq!(form.read(text, Kind::Time).as_deref(), time, "{format} {text}");
        }
        for bad in ["", "%", "%Q", "DD/MM/YYYY", "%d/%m", "%H:%M", "%d/%m/%y", "%D"] {
            assert!(DateFormat::of(bad).is_err(), "{bad}");
        }
    }
}
