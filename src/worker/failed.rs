//! Why a segment was not settled, and what is said of it.

use tracing::error;

use super::InWork;
use crate::{domain::fault::SourceFault, objects, store};

/// What stopped a segment.
pub(super) enum Failed {
    Store(store::Error),
    Objects(objects::Error),
    Source(SourceFault),
    Panicked,
    /// Rows are to blame, and cannot be told from the others.
    Helpless,
}

impl Failed {
    /// Whether it may be single rows that are to blame.
    pub(super) fn is_of_rows(&self) -> bool {
        match self {
            Self::Panicked => true,
            Self::Store(error) => error.is_of_data(),
            Self::Objects(_) | Self::Source(_) | Self::Helpless => false,
        }
    }

    /// What an import waits for whose segment it stopped, as a stable word.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Store(error) => error.reason(),
            Self::Objects(error) => error.reason(),
            Self::Source(_) | Self::Panicked | Self::Helpless => "SEGMENT_REFUSED",
        }
    }

    pub(super) fn log(&self, work: &InWork) {
        let claim = work.held.claim();
        let (id, seq, attempt) = (work.import.id, claim.range().seq, claim.attempts());
        match self {
            Self::Store(error) => {
                let error = error as &dyn std::error::Error;
                error!(import.id = %id, segment.seq = seq, attempt, error, "could not write a segment");
            }
            Self::Objects(error) => {
                let error = error as &dyn std::error::Error;
                error!(import.id = %id, segment.seq = seq, attempt, error, "could not read a segment");
            }
            Self::Panicked => {
                error!(import.id = %id, segment.seq = seq, attempt, "a stage panicked on a segment");
            }
            Self::Helpless => {
                error!(import.id = %id, segment.seq = seq, attempt, "no single rows are to blame");
            }
            Self::Source(_) => {}
        }
    }
}
