//! How large a step of a revert is, by what the database refused before.

/// How often a whole step is tried before it is done in parts.
const ATTEMPTS: i32 = 8;

/// Records in the first part of a step that was refused as a whole.
const FIRST_PART: i32 = 1_024;

/// What is made of refusals so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Effort {
    pub(super) attempts: i32,
    /// Records of a part; absent for a whole step.
    pub(super) limit: Option<i32>,
}

/// What to do about a step that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Try the same again in a while: it may be none of the records.
    Wait {
        /// How often it has been tried.
        attempts: u32,
    },
    /// Try fewer records.
    Narrow,
    /// It is this one record: go past it.
    GiveUp,
}

impl Effort {
    /// After a step that was refused: parts are halved down to the record that it is about.
    pub(super) fn refused(&mut self) -> Refused {
        match self.limit {
            None if self.attempts < ATTEMPTS => {
                self.attempts += 1;
                Refused::Wait { attempts: self.attempts.unsigned_abs() }
            }
            None => {
                self.limit = Some(FIRST_PART);
                Refused::Narrow
            }
            Some(limit) if limit > 1 => {
                self.limit = Some(limit / 2);
                Refused::Narrow
            }
            Some(_) => Refused::GiveUp,
        }
    }

    /// After a step that was done. Refusals are forgotten once a whole one is: until then the next record that
    /// is refused is looked for at once.
    pub(super) fn done(self) -> Self {
        match self.limit {
            None => Self::default(),
            Some(FIRST_PART..) => Self { limit: None, ..self },
            Some(limit) => Self { limit: Some(limit * 2), ..self },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ATTEMPTS, Effort, Refused};

    #[test]
    fn one_record_is_found_by_halving_and_the_rest_is_done_whole() {
        let mut effort = Effort::default();
        for attempts in 1..=ATTEMPTS.unsigned_abs() {
            assert_eq!(effort.refused(), Refused::Wait { attempts });
        }
        let mut narrowed = 0;
        while effort.refused() == Refused::Narrow {
            narrowed += 1;
        }
        assert_eq!((narrowed, effort.limit), (11, Some(1)));
        for _ in 0..11 {
            effort = effort.done();
        }
        assert_eq!(effort, Effort { attempts: ATTEMPTS, limit: None }, "not forgotten before a whole step");
        assert_eq!(effort.done(), Effort::default());
    }
}
