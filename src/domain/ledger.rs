//! The outcome of every row, two bits each: 2.5 kB for a segment of 10,000 rows.

use super::import::{Counters, words};

words! {
    /// What became of a row.
    Outcome {
        /// A record was written.
        Created = "created",
        /// A record was changed.
        Updated = "updated",
        /// The key was known.
        Skipped = "skipped",
        /// The row broke a rule.
        Failed = "failed",
    }
}

impl Outcome {
    const fn bits(self) -> u8 {
        match self {
            Self::Created => 0,
            Self::Updated => 1,
            Self::Skipped => 2,
            Self::Failed => 3,
        }
    }

    const fn from_bits(bits: u8) -> Self {
        match bits & 3 {
            0 => Self::Created,
            1 => Self::Updated,
            2 => Self::Skipped,
            _ => Self::Failed,
        }
    }
}

/// Outcomes of the rows of one segment, by position in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    bits: Vec<u8>,
    rows: usize,
}

impl Ledger {
    /// A ledger in which every row stands as created.
    pub fn new(rows: usize) -> Self {
        Self { bits: vec![0; rows.div_ceil(4)], rows }
    }

    /// Reads a stored ledger; `None` when it does not hold `rows` rows.
    pub fn from_bytes(bits: Vec<u8>, rows: usize) -> Option<Self> {
        (bits.len() == rows.div_ceil(4)).then_some(Self { bits, rows })
    }

    /// The stored form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bits
    }

    /// Writes down what became of a row; gives what stood there.
    ///
    /// # Panics
    /// When the segment has no such row.
    pub fn set(&mut self, row: usize, outcome: Outcome) -> Outcome {
        assert!(row < self.rows, "row {row} of a ledger of {}", self.rows);
        let shift = (row % 4) * 2;
        let byte = &mut self.bits[row / 4];
        let before = Outcome::from_bits(*byte >> shift);
        *byte = (*byte & !(3 << shift)) | (outcome.bits() << shift);
        before
    }

    /// All outcomes in row order.
    pub fn iter(&self) -> impl Iterator<Item = Outcome> {
        (0..self.rows).map(|row| Outcome::from_bits(self.bits[row / 4] >> ((row % 4) * 2)))
    }

    /// Outcomes counted; duplicates are not told apart here.
    pub fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        self.iter().for_each(|outcome| counters.count(outcome));
        counters
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keeps_the_last_outcome_of_every_row(sets in prop::collection::vec((0usize..50, 0usize..4), 0..200)) {
            let mut ledger = Ledger::new(50);
            let mut model = [Outcome::Created; 50];
            for (row, outcome) in sets {
                prop_assert_eq!(ledger.set(row, Outcome::ALL[outcome]), model[row]);
                model[row] = Outcome::ALL[outcome];
            }
            let stored = Ledger::from_bytes(ledger.as_bytes().to_vec(), 50).expect("same length");
            prop_assert_eq!(stored.iter().collect::<Vec<_>>(), model.to_vec());
            prop_assert_eq!(stored.counters().processed(), 50);
        }
    }
}
