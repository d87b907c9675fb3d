//! The database: the only room that knows SeaORM, sqlx and SQLite.
//!
//! Everything but the segment commit is one SeaORM code for both databases; the commit is
//! `postgres` or `sqlite`, because the bulk writer is where the time goes.

mod administration;
mod api_keys;
mod audit;
mod business_sessions;
mod claims;
mod commit;
mod connect;
mod control;
mod entities;
mod erasure;
mod error;
mod examine;
mod fetches;
mod frozen;
mod imports;
mod link_keys;
mod media;
#[path = "../migrations/migrator.rs"]
mod migrations;
mod notices;
mod pools;
mod postgres;
mod profiles;
mod retention;
mod retries;
mod reverts;
mod row_errors;
mod schema;
mod session_media;
mod sessions;
mod sqlite;
mod status_rules;
mod table;
mod tallies;
mod transactions;
mod tx;
mod uploads;
mod user_sessions;
mod warnings;

use std::sync::Arc;

use sea_orm::DatabaseConnection;
use tokio::sync::Semaphore;

pub use administration::{Application, ApplicationChange, Workflow, WorkflowKind};
pub use api_keys::{ApiKey, Caller};
pub use audit::AuditEvent;
pub use business_sessions::StoredBusinessSession;
pub use claims::Claim;
pub use commit::{Batch, Committed, MediumRow, RecordRow, RowIssues};
pub use erasure::{Erased, ErasedKind, PendingErasure, Revised, SourceRows};
pub use error::Error;
pub use examine::{Examined, examine_postgres, examine_sqlite};
pub use fetches::SourceFetch;
pub use imports::{ImportPage, NewImport, NewRetry};
pub use media::{Announced, BusyMedia, ClaimedMedia, Download, MediaCursor, MediaOutcome, StoredMedium};
pub use notices::Notices;
pub use pools::Queue;
pub use profiles::{BusinessProfile, Profile, SessionCounts, UserProfile};
pub use reverts::{Refused, Revert};
pub use row_errors::{SettledSegment, StoredRowError};
pub use schema::Schema;
pub use session_media::SessionMedium;
pub use sessions::SessionFilter;
pub use status_rules::{StoredRule, WorkflowVersion};
pub use transactions::{StoredParty, StoredTransaction};
pub use uploads::{SourceShape, UploadLease};
pub use user_sessions::StoredSession;

use crate::metrics::Metrics;

/// A handle to the database; cheap to clone.
#[derive(Clone)]
pub struct Store {
    db: DatabaseConnection,
    bulk: Bulk,
    /// Whose turn it is to write; SQLite has one writer, and this keeps its waiters in order.
    turn: Arc<Semaphore>,
    metrics: Metrics,
    /// What keeps other processes off a SQLite database.
    _only_one: Option<Arc<std::fs::File>>,
}

/// The bulk writer of the database at hand.
#[derive(Clone)]
enum Bulk {
    Postgres(sqlx::PgPool),
    Sqlite(sqlite::Writer),
}
