//! Which rows keep a segment from being settled: found by halving, whether they kill the worker, make a
//! stage panic or are refused by the database.

use std::{collections::BTreeSet, ops::Range};

use serde::{Deserialize, Serialize};

/// Rows of one segment that may be given up; where there are more, it is not the rows.
const MAX_POISONOUS: usize = 256;

/// Deaths over a row that is alone before it is given up: a worker may also die of something else.
const STRIKES: u32 = 3;

/// What is known of the rows of a segment that cannot be settled as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Isolation {
    /// Rows that are given up, by position in the segment.
    poisonous: BTreeSet<u32>,
    /// One of these rows is to blame, as far as is known.
    suspects: Option<Range<u32>>,
    /// The first half of them is not.
    first_half_passed: bool,
    /// How often nobody of the suspects was to blame alone.
    fruitless: u32,
    /// Deaths of workers when the step began: one more, and the step killed its worker.
    deaths: i32,
    /// How often a row that was alone killed its worker.
    strikes: u32,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Try these rows alone, and write nothing.
    Try(Range<u32>),
    /// Settle the segment with the poisonous rows as failed.
    Settle,
}

impl Isolation {
    /// Nothing is known but that a segment of `rows` rows cannot be settled.
    pub fn begin(rows: u32) -> Self {
        Self { suspects: Some(0..rows), ..Self::default() }
    }

    /// Rows that are given up, by position in the segment.
    pub fn poisonous(&self) -> impl Iterator<Item = u32> {
        self.poisonous.iter().copied()
    }

    /// Whether a row is given up.
    pub fn is_poisonous(&self, row: u32) -> bool {
        self.poisonous.contains(&row)
    }

    /// The next step.
    pub fn next(&self) -> Step {
        match &self.suspects {
            None => Step::Settle,
            Some(suspects) if self.first_half_passed => Step::Try(middle(suspects)..suspects.end),
            Some(suspects) => Step::Try(suspects.start..middle(suspects)),
        }
    }

    /// The step ended well. Not for one that settled the segment.
    pub fn passed(&mut self) {
        self.strikes = 0;
        let is_whole = self.suspects.as_ref().is_none_or(|suspects| middle(suspects) == suspects.end);
        if self.first_half_passed || is_whole {
            self.suspects = None;
            self.first_half_passed = false;
            self.fruitless += 1;
        } else {
            self.first_half_passed = true;
        }
    }

    /// The step killed its worker; the segment has `rows` rows.
    pub fn killed(&mut self, rows: u32) {
        if matches!(self.next(), Step::Try(tried) if tried.len() <= 1) {
            self.strikes += 1;
            if self.strikes < STRIKES {
                return;
            }
        }
        self.failed(rows);
    }

    /// The step ended badly; the segment has `rows` rows.
    pub fn failed(&mut self, rows: u32) {
        self.suspects = match self.next() {
            Step::Settle => Some(0..rows),
            Step::Try(tried) if tried.len() <= 1 => {
                self.poisonous.insert(tried.start);
                self.fruitless = 0;
                None
            }
            Step::Try(tried) => Some(tried),
        };
        self.first_half_passed = false;
        self.strikes = 0;
    }

    /// Halving does not help: it is not single rows that are to blame, or too many of them are.
    pub fn is_helpless(&self) -> bool {
        self.poisonous.len() > MAX_POISONOUS || (self.fruitless > 1 && self.suspects.is_some())
    }

    /// Takes note that a step begins, while `deaths` workers have died over the segment.
    pub fn begin_step(&mut self, deaths: i32) {
        self.deaths = deaths;
    }

    /// Whether the last step killed its worker.
    pub fn has_killed(&self, deaths: i32) -> bool {
        deaths > self.deaths
    }
}

/// End of the first half; all of them where there is one.
fn middle(suspects: &Range<u32>) -> u32 {
    suspects.start + (suspects.end - suspects.start).div_ceil(2)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Runs to the end against rows that spoil every step they are part of; gives the steps it took.
    fn run(rows: u32, bad: &BTreeSet<u32>) -> Result<(Isolation, usize), Isolation> {
        let mut isolation = Isolation::begin(rows);
        for steps in 1..10_000 {
            let step = isolation.next();
            let tried = match &step {
                Step::Try(tried) => tried.clone(),
                Step::Settle => 0..rows,
            };
            let spoilt = bad.iter().any(|row| tried.contains(row) && !isolation.is_poisonous(*row));
            match (spoilt, step) {
                (true, _) => isolation.failed(rows),
                (false, Step::Settle) => return Ok((isolation, steps)),
                (false, Step::Try(_)) => isolation.passed(),
            }
            if isolation.is_helpless() {
                return Err(isolation);
            }
        }
        panic!("it does not end");
    }

    proptest! {
        #[test]
        fn finds_exactly_the_rows_to_blame(rows in 1u32..3_000, bad in prop::collection::btree_set(0u32..3_000, 0..=16)) {
            let bad: BTreeSet<u32> = bad.into_iter().filter(|row| *row < rows).collect();
            let (isolation, steps) = run(rows, &bad).expect("few rows are found");
            prop_assert_eq!(&isolation.poisonous, &bad);
            prop_assert!(steps <= (bad.len() + 1) * 30, "{} steps", steps);
        }

        #[test]
        fn survives_being_stored_between_any_two_steps(rows in 1u32..50, bad in 0u32..50) {
            let mut isolation = Isolation::begin(rows);
            while isolation.next() != Step::Settle {
                let Step::Try(tried) = isolation.next() else { break };
                if tried.contains(&bad) { isolation.failed(rows) } else { isolation.passed() }
                let stored = serde_json::to_value(&isolation).expect("JSON");
                prop_assert_eq!(&serde_json::from_value::<Isolation>(stored).expect("JSON"), &isolation);
            }
            prop_assert_eq!(isolation.poisonous().collect::<Vec<_>>(), Vec::from_iter((bad < rows).then_some(bad)));
        }
    }

    #[test]
    fn a_row_that_is_alone_is_given_up_at_the_third_death() {
        let mut isolation = Isolation::begin(1);
        for _ in 0..2 {
            isolation.killed(1);
            assert_eq!((isolation.next(), isolation.is_poisonous(0)), (Step::Try(0..1), false));
        }
        isolation.killed(1);
        assert_eq!((isolation.next(), isolation.is_poisonous(0)), (Step::Settle, true));
    }

    #[test]
    fn gives_up_where_rows_spoil_each_other_or_all_are_spoilt() {
        let all: BTreeSet<u32> = (0..1_000).collect();
        assert!(run(1_000, &all).is_err());
        // Two rows that are well apart, and ill together.
        let mut isolation = Isolation::begin(2);
        for _ in 0..2 {
            assert_eq!(isolation.next(), Step::Try(0..1));
            isolation.passed();
            isolation.passed();
            assert_eq!(isolation.next(), Step::Settle);
            isolation.failed(2);
        }
        assert!(isolation.is_helpless());
    }
}
