//! What a use case may fail with.

use thiserror::Error;

use crate::{domain::refusal::Refusal, objects, store};

/// A refused call, or a part of the server that did not do its work.
#[derive(Debug, Error)]
pub enum Error {
    /// The caller's to mend.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The database's.
    #[error("the database failed")]
    Store(#[source] store::Error),
    /// The object store's.
    #[error("the object store failed")]
    Objects(#[source] objects::Error),
    /// A task ended without an answer.
    #[error("a task ended early")]
    Task(#[from] tokio::task::JoinError),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::Refused(refusal) => Self::Refused(refusal),
            error => Self::Store(error),
        }
    }
}

impl From<objects::Error> for Error {
    fn from(error: objects::Error) -> Self {
        match error {
            objects::Error::Gone => Self::Refused(Refusal::SourceGone),
            error => Self::Objects(error),
        }
    }
}
