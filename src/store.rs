//! The database: the only room that knows SeaORM, sqlx and SQLite.
//!
//! Everything but the segment commit is one SeaORM code for both databases; the commit is
//! `postgres` or `sqlite`, because the bulk writer is where the time goes.

mod administration;
mod claims;
mod commit;
mod connect;
mod entities;
mod error;
mod imports;
#[path = "../migrations/migrator.rs"]
mod migrations;
mod postgres;
mod row_errors;
mod sessions;
mod sqlite;
mod tx;
mod uploads;
mod users;

use std::sync::Arc;

use sea_orm::DatabaseConnection;
use tokio::sync::Semaphore;

pub use administration::{ApiKey, Application, Caller, Workflow, WorkflowKind};
pub use claims::Claim;
pub use commit::{Batch, Committed, RowFailure, SessionRow};
pub use error::Error;
pub use imports::ImportPage;
pub use row_errors::{SettledSegment, StoredRowError};
pub use sessions::{SessionFilter, StoredSession};
pub use uploads::{SourceShape, UploadLease};
pub use users::UserProfile;

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: DatabaseConnection,
    bulk: Bulk,
    /// Whose turn it is to write; SQLite has one writer, and this keeps its waiters in order.
    turn: Arc<Semaphore>,
}

/// The bulk writer of the database at hand.
#[derive(Clone)]
enum Bulk {
    Postgres(sqlx::PgPool),
    Sqlite(sqlite::Writer),
}
