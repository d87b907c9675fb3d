//! Words and values that samples are made of.

use chrono::{Days, NaiveDate};
use fastrand::Rng;

use crate::canonical::object_writer::ObjectWriter;

/// Given names.
pub(super) const FIRST_NAMES: [&str; 16] = [
    "Lena", "Iker", "Ximena", "Noor", "Ana", "Jürgen", "Chloé", "Åsa", "Mateusz", "Yui", "Omar", "Ines",
    "Tomáš", "Priya", "Kofi", "Maya",
];

/// Family names.
pub(super) const LAST_NAMES: [&str; 12] = [
    "Hartwig",
    "Zubia Olano",
    "Robles \"Xi\" Paz",
    "Okafor",
    "Vik",
    "O'Neill",
    "Nowak",
    "Sørensen",
    "Tanaka",
    "Haddad",
    "Silva, Jr.",
    "Mensah",
];

/// Countries, alpha-3 and alpha-2, and a town of each.
pub(super) const PLACES: [(&str, &str, &str); 8] = [
    ("DEU", "DE", "Kassel"),
    ("ESP", "ES", "Bilbao"),
    ("MEX", "MX", "Puebla"),
    ("NOR", "NO", "Ålesund"),
    ("GBR", "GB", "Leeds"),
    ("POL", "PL", "Łódź"),
    ("JPN", "JP", "Nara"),
    ("GHA", "GH", "Kumasi"),
];

/// Words for where a session stands, as often as they are met.
pub(super) const STATUSES: [&str; 10] = [
    "Approved",
    "Approved",
    "approved",
    "Approved",
    "verified",
    "Approved",
    "Declined",
    "red",
    "In Review",
    "Expired",
];

/// Names of streets.
pub(super) const STREETS: [&str; 3] = ["Main Street", "Kale Nagusia", "Rua Nova"];

/// Lists of tags, as a CSV cell has them.
pub(super) const TAGS: [&str; 5] = ["", "vip", "vip,eu", "re-check", ""];

/// One of some values.
pub(super) fn one_of<T: Copy, const N: usize>(values: [T; N], rng: &mut Rng) -> T {
    values[rng.usize(..N)]
}

/// A day within `days` of the first of January of a year.
pub(super) fn day(year: i32, days: u64, rng: &mut Rng) -> String {
    let first = NaiveDate::from_ymd_opt(year, 1, 1).unwrap_or_default();
    first.checked_add_days(Days::new(rng.u64(..days))).unwrap_or(first).to_string()
}

/// A second of one of those days.
pub(super) fn second(year: i32, days: u64, rng: &mut Rng) -> String {
    format!("{}T{:02}:{:02}:{:02}Z", day(year, days, rng), rng.u8(..24), rng.u8(..60), rng.u8(..60))
}

/// The whole name of a person.
pub(super) fn full_name(rng: &mut Rng) -> String {
    format!("{} {}", one_of(FIRST_NAMES, rng), one_of(LAST_NAMES, rng))
}

/// The number of a customer, who in one row of five has been met before.
pub(super) fn customer(number: u64, rng: &mut Rng) -> u64 {
    if rng.u8(..5) == 0 { rng.u64(1..=number) } else { number }
}

/// A JSON object of these members.
pub(super) fn object(members: impl FnOnce(&mut ObjectWriter<'_>)) -> String {
    let mut out = String::new();
    let mut writer = ObjectWriter::new(&mut out);
    members(&mut writer);
    writer.close();
    out
}
