//! Opening a database and bringing its schema up to date.

use std::{os::unix::fs::OpenOptionsExt, path::Path, str::FromStr, sync::Arc, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection, SqlxPostgresConnector, SqlxSqliteConnector};
use sea_orm_migration::MigratorTrait;
use sqlx::{
    ConnectOptions, Connection, Executor, PgConnection, Row, SqliteConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Semaphore;
use tracing::{log::LevelFilter, warn};

use super::{Bulk, Store, error::Error, migrations::Migrator, schema::Schema, sqlite};
use crate::metrics::Metrics;

/// Key of the advisory lock under which one process at a time migrates a PostgreSQL database.
const MIGRATION_LOCK: i64 = 0x6361_7272_796f;

/// How long a writer of SQLite waits for another process.
pub(super) const SQLITE_BUSY: Duration = Duration::from_secs(30);

/// How long a process that is about to end may still hold a SQLite database.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// Shortest time PostgreSQL waits for a process in the middle of a transaction.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How old a connection to PostgreSQL may grow that cannot write.
const READ_ONLY_AGE: Duration = Duration::from_secs(10);

/// Connections to SQLite beside the bulk writer's, each with a page cache of 2 MB.
const SQLITE_CONNECTIONS: u32 = 4;

impl Store {
    /// Opens the SQLite database at `path`, which is made if it does not exist.
    pub async fn open_sqlite(path: &Path, metrics: Metrics) -> Result<Self, Error> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged must survive a power loss; NORMAL forgets the last commits.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(SQLITE_BUSY)
            .foreign_keys(true)
            // What is erased is overwritten, not only forgotten.
            .pragma("secure_delete", "ON")
            .log_statements(LevelFilter::Trace);
        make_private(path)?;
        let only_one = lock_folder(path).await?;
        // A connection from before a migration may keep its picture of a table, and sqlx panics in the
        // middle of a transaction when a row then has more columns. So none is kept.
        let migrating = SqlitePoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
        let schema = Schema::of_sqlite(&mut *migrating.acquire().await?).await?;
        migrate(&SqlxSqliteConnector::from_sqlx_sqlite_pool(migrating.clone()), &schema).await?;
        migrating.close().await;
        // Should the file be taken away, no later connection begins with an empty one.
        let options = options.create_if_missing(false);
        let pool = SqlitePoolOptions::new()
            .max_connections(SQLITE_CONNECTIONS)
            .after_release(|connection, _| Box::pin(is_idle(connection)))
            .connect_with(options)
            .await?;
        let db = SqlxSqliteConnector::from_sqlx_sqlite_pool(pool);
        let writer = sqlite::Writer::open(path)?;
        let turn = Arc::new(Semaphore::new(1));
        Ok(Self { db, bulk: Bulk::Sqlite(writer), turn, metrics, _only_one: Some(only_one) })
    }

    /// Gives back what other processes had claimed: there is one process on a SQLite database, this one, and
    /// the one before is gone. On PostgreSQL leases run out.
    pub async fn release_abandoned_claims(&self) -> Result<(), Error> {
        if let Bulk::Sqlite(_) = self.bulk {
            let release =
                "UPDATE segments SET lease_expires_at = '1970-01-01T00:00:00+00:00' WHERE state = 'CLAIMED'";
            self.db.execute_unprepared(release).await?;
            let release = "UPDATE media SET due_at = '1970-01-01T00:00:00+00:00' WHERE owner IS NOT NULL";
            self.db.execute_unprepared(release).await?;
        }
        Ok(())
    }

    /// Overwrites what was deleted, as far as the database does so when told; PostgreSQL does it when it
    /// vacuums.
    pub async fn overwrite_deleted(&self) -> Result<(), Error> {
        if let Bulk::Sqlite(_) = self.bulk {
            // The log still holds pages as they were. While somebody reads it, it is left to the next time.
            self.db.execute_unprepared("PRAGMA wal_checkpoint(TRUNCATE)").await?;
        }
        Ok(())
    }

    /// Opens a PostgreSQL database, with connections for `writers` segments at a time and at most
    /// `max_connections` for all else. What a process that is frozen holds locked is set free within a few
    /// times `lease`.
    pub async fn open_postgres(
        url: &str,
        writers: u32,
        max_connections: u32,
        lease: Duration,
        metrics: Metrics,
    ) -> Result<Self, Error> {
        let idle = lease.max(SHORTEST_TIMEOUT);
        let milliseconds = |span: Duration| span.as_millis().to_string();
        let options = PgConnectOptions::from_str(url)?
            .application_name("carryover")
            .options([("idle_in_transaction_session_timeout", milliseconds(idle)), ("jit", "off".to_owned())])
            .log_statements(LevelFilter::Trace);
        let bulk = options.clone().options([("statement_timeout", milliseconds(copy_time(lease)))]);
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(Duration::from_secs(30))
                // Asked in place of the ping that sqlx would send.
                .test_before_acquire(false)
                .before_acquire(|connection, about| Box::pin(may_be_used(connection, about.age)))
        };
        // A pool says no more than that it has waited; one connection says why there is none.
        options.connect().await?.close().await?;
        let all_else = pool(max_connections).connect_with(options.clone()).await?;
        migrate_postgres(&all_else).await?;
        // A pool goes round its connections, and each backend that touches a shared buffer first has to
        // map it, so that few of them write a file faster than many.
        let bulk = Bulk::Postgres(pool(writers).connect_lazy_with(bulk));
        let db = SqlxPostgresConnector::from_sqlx_postgres_pool(all_else);
        let turn = Arc::new(Semaphore::new(Semaphore::MAX_PERMITS));
        Ok(Self { db, bulk, turn, metrics, _only_one: None })
    }

    /// How many segments can be written at a time at most.
    pub fn writers(&self) -> usize {
        match self.bulk {
            Bulk::Postgres(_) => usize::MAX,
            Bulk::Sqlite(_) => 1,
        }
    }

    /// Which database this is, for people.
    pub fn backend_name(&self) -> &'static str {
        match self.bulk {
            Bulk::Postgres(_) => "PostgreSQL",
            Bulk::Sqlite(_) => "SQLite",
        }
    }
}

/// How long a COPY may take where claims hold for `lease`. One whose sender is frozen is no idle transaction.
pub(super) fn copy_time(lease: Duration) -> Duration {
    lease.max(SHORTEST_TIMEOUT) * 4
}

/// Keeps other processes off a SQLite database: they would take this one's claims for abandoned ones. The lock
/// goes with the process, however it ends.
async fn lock_folder(path: &Path) -> Result<Arc<std::fs::File>, Error> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600);
    let file = options.open(path.with_extension("lock")).map_err(sqlx::Error::Io)?;
    let since = std::time::Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Arc::new(file)),
            // One that is just about to end is waited for.
            Err(std::fs::TryLockError::WouldBlock) if since.elapsed() < LOCK_PATIENCE => {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(Error::InUse),
            Err(std::fs::TryLockError::Error(error)) => return Err(sqlx::Error::Io(error).into()),
        }
    }
}

/// Makes an empty file that nobody else on the machine reads: what is in it is personal. SQLite gives the
/// files beside it the same mode.
fn make_private(path: &Path) -> Result<(), Error> {
    let made = std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map(drop).map_err(|error| sqlx::Error::Io(error).into())
}

/// Whether a connection may be used again. On a full disk SQLite ends a transaction by itself, or leaves one that
/// it could not commit, which keeps everybody else from writing; sqlx knows neither.
async fn is_idle(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let was_open = connection.is_in_transaction() || connection.execute("ROLLBACK").await.is_ok();
    Ok(!was_open)
}

/// Whether a connection is alive, and not left behind at a server that was the primary once. A young one may
/// be read-only: there is no other server then, and what only reads goes on.
async fn may_be_used(connection: &mut PgConnection, age: Duration) -> sqlx::Result<bool> {
    let row = connection.fetch_one("SHOW transaction_read_only").await?;
    Ok(age < READ_ONLY_AGE || row.try_get::<&str, _>(0)? == "off")
}

/// SeaORM's migrator takes no lock; two replicas that start together would both migrate. The lock is one of a
/// transaction: behind a pooler that shares connections, one of a session would be left where nobody frees it.
#[expect(clippy::disallowed_methods, reason = "migrating is a transaction too; see tx.rs")]
async fn migrate_postgres(pool: &sqlx::PgPool) -> Result<(), Error> {
    let pool = pool.clone();
    tokio::spawn(async move {
        let db = SqlxPostgresConnector::from_sqlx_postgres_pool(pool.clone());
        // Where nothing is missing nothing is to be locked either, and a role that may make no tables is enough.
        let schema = Schema::of_postgres(&mut *pool.acquire().await?).await?;
        if !schema.is_behind() {
            return migrate(&db, &schema).await;
        }
        // Nobody else's connection: it takes the lock along, however this ends.
        let mut lock = pool.acquire().await?.detach();
        // It does nothing while the schema is made.
        lock.execute("BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0").await?;
        sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MIGRATION_LOCK).execute(&mut lock).await?;
        // Another may have made it meanwhile.
        let schema = Schema::of_postgres(&mut *pool.acquire().await?).await?;
        let migrated = migrate(&db, &schema).await;
        lock.close().await?;
        migrated
    })
    .await?
}

/// Makes the schema what this program knows. One that a later version has only added to is taken as it is: during
/// a rollout, and after one that is taken back, both versions are at work.
async fn migrate(db: &DatabaseConnection, schema: &Schema) -> Result<(), Error> {
    match schema {
        Schema::Current => Ok(()),
        Schema::Empty | Schema::Older(_) => Ok(Migrator::up(db, None).await?),
        Schema::Extended(later) => {
            warn!(?later, "a later version has added to the schema");
            Ok(())
        }
        Schema::Newer(_) => Err(Error::SchemaNewer),
    }
}
