//! What can go wrong with the database, told apart by what helps.

use sea_orm::DbErr;
use thiserror::Error;

use crate::domain::refusal::Refusal;

/// A failed piece of database work. No text of it reaches a caller.
#[derive(Debug, Error)]
pub enum Error {
    /// The work itself was refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The claim on a segment is no longer ours, or its import has ended; nothing was written.
    #[error("the claim on the segment is lost")]
    LeaseLost,
    /// A stored value makes no sense.
    #[error("the database holds an unreadable {0}")]
    Corrupt(&'static str),
    /// SeaORM said no.
    #[error("query the database")]
    Orm(#[from] DbErr),
    /// The PostgreSQL driver said no.
    #[error("write to PostgreSQL")]
    Postgres(#[from] sqlx::Error),
    /// SQLite said no.
    #[error("write to SQLite")]
    Sqlite(#[from] rusqlite::Error),
    /// A task that held a transaction ended without an answer.
    #[error("a transaction's task ended early")]
    Task(#[from] tokio::task::JoinError),
}

/// SQLSTATE classes and codes that pass by themselves: connections, rollbacks to resolve a
/// conflict, resources, operator intervention, read-only after a failover.
const TRANSIENT_SQLSTATES: &[&str] = &["08", "40", "53", "57", "25006", "55P03"];

impl Error {
    /// Whether the same work may succeed when tried again.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Orm(DbErr::ConnectionAcquire(_) | DbErr::Conn(_)) => true,
            Self::Orm(DbErr::Exec(error) | DbErr::Query(error)) => match error {
                sea_orm::RuntimeErr::SqlxError(error) => is_transient(error),
                sea_orm::RuntimeErr::Internal(_) => false,
            },
            Self::Postgres(error) => is_transient(error),
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(
                    rusqlite::ErrorCode::DatabaseBusy
                        | rusqlite::ErrorCode::DatabaseLocked
                        | rusqlite::ErrorCode::DiskFull
                        | rusqlite::ErrorCode::SystemIoFailure
                        | rusqlite::ErrorCode::ReadOnly
                )
            ),
            _ => false,
        }
    }
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // SQLite: 5 busy, 6 locked, with their extended codes.
            TRANSIENT_SQLSTATES.iter().any(|prefix| code.len() == 5 && code.starts_with(prefix))
                || code.parse::<i32>().is_ok_and(|code| matches!(code & 0xff, 5 | 6) && code < 5000)
        }),
        _ => false,
    }
}

/// Whether a statement failed because a key exists already.
pub(super) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
