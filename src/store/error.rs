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
    /// A later version has been here.
    #[error("the database was made ready by a later version of carryover; run that one")]
    SchemaNewer,
    /// Another process has the SQLite database.
    #[error("another process uses this SQLite database; many need PostgreSQL")]
    InUse,
    /// SeaORM said no.
    #[error("query the database")]
    Orm(#[from] DbErr),
    /// The driver said no.
    #[error("use the database")]
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
const TRANSIENT_SQLSTATES: &[&str] = &["08", "40", "53", "57", "58", "25006", "55P03"];

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
                        | rusqlite::ErrorCode::CannotOpen
                )
            ),
            _ => false,
        }
    }
}

/// SQLSTATE classes that are about values: what a row holds cannot be kept.
const DATA_SQLSTATES: &[&str] = &["22", "23", "54"];

impl Error {
    /// Whether it may be single rows that the database does not take.
    pub fn is_of_data(&self) -> bool {
        match self {
            Self::Orm(DbErr::Exec(sea_orm::RuntimeErr::SqlxError(error))) => {
                sqlstate(error).is_some_and(is_data)
            }
            Self::Postgres(error) => sqlstate(error).is_some_and(is_data),
            // A trigger says no to whatever it likes.
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => {
                matches!(
                    error.code,
                    rusqlite::ErrorCode::ConstraintViolation
                        | rusqlite::ErrorCode::TypeMismatch
                        | rusqlite::ErrorCode::TooBig
                ) && error.extended_code != rusqlite::ffi::SQLITE_CONSTRAINT_TRIGGER
            }
            // What made a transaction's task panic may be a row of it.
            Self::Task(error) => error.is_panic(),
            _ => false,
        }
    }

    /// What went wrong, as a stable word that tells nothing else.
    pub fn reason(&self) -> &'static str {
        let state = match self {
            Self::Orm(DbErr::Exec(error) | DbErr::Query(error)) => match error {
                sea_orm::RuntimeErr::SqlxError(error) => sqlstate(error).or_else(|| sqlite_state(error)),
                sea_orm::RuntimeErr::Internal(_) => None,
            },
            Self::Postgres(error) => sqlstate(error).or_else(|| sqlite_state(error)),
            Self::Sqlite(error) => match error.sqlite_error_code() {
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
                    Some("40001")
                }
                Some(rusqlite::ErrorCode::DiskFull) => Some("53100"),
                Some(rusqlite::ErrorCode::ReadOnly) => Some("25006"),
                _ => None,
            },
            _ => None,
        };
        match state {
            Some("53100") => "DISK_FULL",
            Some("25006") => "DATABASE_READ_ONLY",
            Some(state) if state.starts_with("40") || state == "55P03" => "DATABASE_CONFLICT",
            _ if self.is_transient() => "DATABASE_UNAVAILABLE",
            _ => "DATABASE_REFUSED",
        }
    }
}

fn sqlstate(error: &sqlx::Error) -> Option<&str> {
    let error = error.as_database_error()?.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()?;
    Some(error.code())
}

/// The SQLSTATE that comes closest to what SQLite says.
fn sqlite_state(error: &sqlx::Error) -> Option<&'static str> {
    let code: i32 = error.as_database_error()?.code()?.parse().ok()?;
    match code & 0xff {
        5 | 6 => Some("40001"),
        13 => Some("53100"),
        8 => Some("25006"),
        _ => None,
    }
}

fn is_data(state: &str) -> bool {
    DATA_SQLSTATES.iter().any(|class| state.starts_with(class))
}

fn is_transient(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_) => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // SQLite, with extended codes: busy, locked, read-only, a fault of the disk, full, not to be opened.
            TRANSIENT_SQLSTATES.iter().any(|prefix| code.len() == 5 && code.starts_with(prefix))
                || code
                    .parse::<i32>()
                    .is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14) && code < 10_000)
        }),
        _ => false,
    }
}

/// Whether a statement failed because a key exists already.
pub(super) fn is_unique_violation(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}
