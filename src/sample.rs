//! Synthetic exports of every import type: the same seed gives the same bytes.

mod business_verification;
mod status_rules;
mod transactions;
mod user_verification;
mod vocabulary;
mod writer;

use std::io::{self, Write};

use fastrand::Rng;

use crate::domain::import::{ImportType, SourceFormat};
use writer::Writer;

/// What to make.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// What rows describe.
    pub import_type: ImportType,
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

/// How rows of an import type are made up.
struct Kind {
    /// Their columns, in the order of the schema.
    columns: &'static [&'static str],
    /// Columns that hold the key, at the front of every row.
    keys: usize,
    /// What keys begin with.
    key_prefix: &'static str,
    /// The values of a row behind its key, without a fault.
    values: fn(number: u64, rng: &mut Rng) -> Vec<String>,
    /// Values that break one rule each, and their columns.
    faults: &'static [(&'static str, &'static str)],
}

impl Kind {
    const fn of(import_type: ImportType) -> &'static Self {
        match import_type {
            ImportType::UserVerification => &user_verification::KIND,
            ImportType::BusinessVerification => &business_verification::KIND,
            ImportType::Transactions => &transactions::KIND,
            ImportType::StatusRules => &status_rules::KIND,
        }
    }

    fn key(&self, number: u64) -> impl Iterator<Item = String> {
        let key = format!("{}-{number:08}", self.key_prefix);
        std::iter::repeat_n(key, self.keys)
    }

    fn row(&self, number: u64, rng: &mut Rng) -> Vec<String> {
        self.key(number).chain((self.values)(number, rng)).collect()
    }

    fn repeat_key(&self, row: &mut [String], number: u64) {
        for (value, key) in row.iter_mut().zip(self.key(number)) {
            *value = key;
        }
    }

    fn spoil(&self, row: &mut [String], rng: &mut Rng) {
        let (spoilt, bad) = self.faults[rng.usize(..self.faults.len())];
        for (column, value) in self.columns.iter().zip(row) {
            if *column == spoilt {
                *value = bad.to_owned();
            }
        }
    }
}

/// How many keys are remembered to be used again.
const REMEMBERED: usize = 4_096;

impl Sample {
    /// Writes the sample; tells what an import of it must come to.
    pub fn write(&self, out: &mut impl Write) -> io::Result<Expected> {
        let kind = Kind::of(self.import_type);
        let writer = Writer::new(self.import_type, self.format, kind.columns);
        let mut rng = Rng::with_seed(self.seed);
        let mut expected = Expected::default();
        let mut remembered: Vec<u64> = Vec::new();
        let mut line = String::new();
        if self.format == SourceFormat::Csv {
            writeln!(out, "{}", kind.columns.join(","))?;
        }
        for number in 1..=self.rows {
            let dice = rng.f64();
            let mut row = kind.row(number, &mut rng);
            if dice < self.invalid {
                kind.spoil(&mut row, &mut rng);
                expected.failed += 1;
            } else if dice < self.invalid + self.duplicate && !remembered.is_empty() {
                kind.repeat_key(&mut row, remembered[rng.usize(..remembered.len())]);
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
            writer.write(&row, &mut line);
            line.push('\n');
            out.write_all(line.as_bytes())?;
        }
        Ok(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::schema_of;

    fn write(sample: Sample) -> (String, Expected) {
        let mut bytes = Vec::new();
        let expected = sample.write(&mut bytes).expect("memory");
        (String::from_utf8(bytes).expect("text"), expected)
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes_and_every_row_is_counted() {
        for &import_type in ImportType::ALL {
            let format = SourceFormat::Csv;
            let sample = Sample { import_type, format, rows: 500, seed: 7, invalid: 0.1, duplicate: 0.1 };
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

    #[test]
    fn columns_are_fields_in_the_order_of_the_schema_and_faults_name_them() {
        for &import_type in ImportType::ALL {
            let (kind, schema) = (Kind::of(import_type), schema_of(import_type));
            let fields: Vec<_> = kind.columns.iter().map(|name| schema.find_column(name)).collect();
            assert!(fields.iter().all(Option::is_some), "{import_type:?}: {fields:?}");
            assert!(fields.is_sorted_by_key(|field| field.map(|field| field.0)), "{import_type:?}");
            assert_eq!(kind.row(1, &mut Rng::with_seed(1)).len(), kind.columns.len(), "{import_type:?}");
            assert!(kind.faults.iter().all(|(column, _)| kind.columns.contains(column)), "{import_type:?}");
        }
    }
}
