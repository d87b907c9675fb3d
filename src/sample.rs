//! Synthetic exports: the same seed gives the same bytes.

use std::io::{self, Write};

use chrono::{Days, NaiveDate};
use fastrand::Rng;

use crate::{canonical::user_verification::push_json_text, domain::import::SourceFormat};

/// What to make.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// How rows are written.
    pub format: SourceFormat,
    /// How many.
    pub rows: u64,
    /// Where randomness begins.
    pub seed: u64,
    /// Share of rows that break a rule, 0 to 1.
    pub invalid: f64,
    /// Share of rows whose key stands earlier, 0 to 1.
    pub duplicate: f64,
}

/// What an import of a sample must come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Expected {
    /// Rows that make a record.
    pub created: i64,
    /// Rows whose key stands earlier.
    pub skipped: i64,
    /// Rows that break a rule.
    pub failed: i64,
}

/// Columns of a sample; the value of the last one is JSON.
const COLUMNS: [&str; 22] = [
    "external_id",
    "provider",
    "vendor_data",
    "status",
    "created_at",
    "expires_at",
    "document_type",
    "document_number",
    "personal_number",
    "first_name",
    "last_name",
    "date_of_birth",
    "gender",
    "nationality",
    "issuing_state",
    "date_of_issue",
    "expiration_date",
    "address",
    "place_of_birth",
    "portrait_image_url",
    "tags",
    "metadata_json",
];

const FIRST_NAMES: [&str; 16] = [
    "Lena", "Iker", "Ximena", "Noor", "Ana", "Jürgen", "Chloé", "Åsa", "Mateusz", "Yui", "Omar", "Ines",
    "Tomáš", "Priya", "Kofi", "Maya",
];
const LAST_NAMES: [&str; 12] = [
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
/// Country and a town of it.
const PLACES: [(&str, &str); 8] = [
    ("DEU", "Kassel"),
    ("ESP", "Bilbao"),
    ("MEX", "Puebla"),
    ("NOR", "Ålesund"),
    ("GBR", "Leeds"),
    ("POL", "Łódź"),
    ("JPN", "Nara"),
    ("GHA", "Kumasi"),
];
const STATUSES: [&str; 10] = [
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
const DOCUMENTS: [&str; 5] = ["P", "ID", "DL", "RP", "ID"];

/// How many keys are remembered to be used again.
const REMEMBERED: usize = 4_096;

impl Sample {
    /// Writes the sample; tells what an import of it must come to.
    pub fn write(&self, out: &mut impl Write) -> io::Result<Expected> {
        let mut rng = Rng::with_seed(self.seed);
        let mut expected = Expected::default();
        let mut remembered: Vec<u64> = Vec::new();
        let mut line = String::new();
        if self.format == SourceFormat::Csv {
            writeln!(out, "{}", COLUMNS.join(","))?;
        }
        for number in 1..=self.rows {
            let dice = rng.f64();
            let mut values = values(number, &mut rng);
            if dice < self.invalid {
                spoil(&mut values, &mut rng);
                expected.failed += 1;
            } else if dice < self.invalid + self.duplicate && !remembered.is_empty() {
                values[0] = external_id(remembered[rng.usize(..remembered.len())]);
                expected.skipped += 1;
            } else {
                if remembered.len() < REMEMBERED {
                    remembered.push(number);
                } else {
                    remembered[rng.usize(..REMEMBERED)] = number;
                }
                expected.created += 1;
            }
            line.clear();
            match self.format {
                SourceFormat::Csv => write_csv(&values, &mut line),
                SourceFormat::Ndjson => write_json(&values, &mut line),
            }
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        Ok(expected)
    }
}

fn external_id(number: u64) -> String {
    format!("app-{number:08}")
}

fn values(number: u64, rng: &mut Rng) -> [String; COLUMNS.len()] {
    let (country, town) = PLACES[rng.usize(..PLACES.len())];
    let (issuer, _) = if rng.u8(..10) == 0 { PLACES[rng.usize(..PLACES.len())] } else { (country, town) };
    let day = |from: i32, days: u64, rng: &mut Rng| {
        let first = NaiveDate::from_ymd_opt(from, 1, 1).unwrap_or_default();
        first.checked_add_days(Days::new(rng.u64(..days))).unwrap_or(first).to_string()
    };
    let created =
        format!("{}T{:02}:{:02}:{:02}Z", day(2019, 2_400, rng), rng.u8(..24), rng.u8(..60), rng.u8(..60));
    let document = DOCUMENTS[rng.usize(..DOCUMENTS.len())];
    let personal = if document == "ID" {
        format!("{:08}{}", rng.u32(..100_000_000), char::from(b'A' + rng.u8(..26)))
    } else {
        String::new()
    };
    // One user in five has a second session.
    let user = if rng.u8(..5) == 0 { rng.u64(1..=number) } else { number };
    let tags = ["", "vip", "vip,eu", "re-check", ""][rng.usize(..5)];
    let tier = ["gold", "silver", "basic"][rng.usize(..3)];
    [
        external_id(number),
        "sumsub".to_owned(),
        format!("cust-{user:08}"),
        STATUSES[rng.usize(..STATUSES.len())].to_owned(),
        created,
        String::new(),
        document.to_owned(),
        format!("{}{:07}", document, rng.u32(..10_000_000)),
        personal,
        FIRST_NAMES[rng.usize(..FIRST_NAMES.len())].to_owned(),
        LAST_NAMES[rng.usize(..LAST_NAMES.len())].to_owned(),
        day(1950, 20_000, rng),
        ["M", "F", "U"][rng.usize(..3)].to_owned(),
        country.to_owned(),
        issuer.to_owned(),
        day(2015, 2_000, rng),
        day(2027, 3_000, rng),
        format!(
            "{} {}, {:05} {town}",
            ["Main Street", "Kale Nagusia", "Rua Nova"][rng.usize(..3)],
            rng.u8(1..),
            rng.u32(..100_000)
        ),
        town.to_owned(),
        format!("https://media.example.net/exp/{number}/portrait.jpg"),
        tags.to_owned(),
        format!("{{\"tier\":\"{tier}\",\"legacy_level\":\"basic-kyc\",\"score\":{}}}", rng.u8(..100)),
    ]
}

/// Breaks one rule, each of the common ones as often.
fn spoil(values: &mut [String; COLUMNS.len()], rng: &mut Rng) {
    let (column, bad) = [
        (0, ""),
        (3, "unknown_status"),
        (4, "2024-03-11 at noon"),
        (11, "31/12/1990"),
        (14, "Germany"),
        (19, "http://media.example.net/portrait.jpg"),
        (19, "https://169.254.169.254/latest/"),
        (21, "not-an-object"),
    ][rng.usize(..8)];
    values[column] = bad.to_owned();
}

fn write_csv(values: &[String], line: &mut String) {
    for (position, value) in values.iter().enumerate() {
        if position > 0 {
            line.push(',');
        }
        if value.contains(['"', ',', '\n']) {
            line.push('"');
            line.push_str(&value.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(value);
        }
    }
}

fn write_json(values: &[String], line: &mut String) {
    line.push('{');
    for (column, value) in COLUMNS.iter().zip(values).filter(|(_, value)| !value.is_empty()) {
        if line.len() > 1 {
            line.push(',');
        }
        let key = column.strip_suffix("_json").unwrap_or(column);
        push_json_text(line, key);
        line.push(':');
        match key {
            "metadata" if value.starts_with('{') => line.push_str(value),
            "tags" => {
                for (position, tag) in value.split(',').enumerate() {
                    line.push(if position == 0 { '[' } else { ',' });
                    push_json_text(line, tag);
                }
                line.push(']');
            }
            _ => push_json_text(line, value),
        }
    }
    line.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(sample: Sample) -> (String, Expected) {
        let mut bytes = Vec::new();
        let expected = sample.write(&mut bytes).expect("memory");
        (String::from_utf8(bytes).expect("text"), expected)
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_every_row_is_counted() {
        let sample = Sample { format: SourceFormat::Csv, rows: 500, seed: 7, invalid: 0.1, duplicate: 0.1 };
        let (text, expected) = write(sample);
        assert_eq!(write(sample), (text.clone(), expected));
        assert_ne!(write(Sample { seed: 8, ..sample }).0, text);
        assert_eq!(text.lines().count(), 501);
        assert_eq!(expected.created + expected.skipped + expected.failed, 500);
        assert!(expected.failed > 20 && expected.skipped > 20, "{expected:?}");
        let (json, same) = write(Sample { format: SourceFormat::Ndjson, ..sample });
        assert_eq!(same, expected);
        for line in json.lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("JSON");
        }
    }
}
