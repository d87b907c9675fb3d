//! A look at a database that changes nothing: for whoever has to find out why a server does not start.

use std::{path::Path, str::FromStr, time::Instant};

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{
    ConnectOptions, Connection, PgConnection,
    postgres::PgConnectOptions,
    sqlite::{SqliteConnectOptions, SqliteConnection},
};

use super::{error::Error, schema::Schema};
use crate::clock;

/// What a database is like.
#[derive(Debug)]
pub struct Examined {
    /// Version of the server, or of SQLite.
    pub version: String,
    /// Whether PostgreSQL is older than what is supported.
    pub is_too_old: bool,
    /// Whether nothing can be written, as on a standby.
    pub is_read_only: bool,
    /// How it stands to this program.
    pub schema: Schema,
    /// Whether the object store should hold the source of any import.
    pub knows_sources: bool,
    /// How much the database's clock is ahead of this one's; none where they are the same.
    pub clock_ahead: Option<TimeDelta>,
}

/// The oldest PostgreSQL that is supported, as it writes that in numbers.
const OLDEST_POSTGRES: i32 = 150_000;

/// Answers as `Store::keeps_sources` does, also on an older schema.
const KNOWS_SOURCES: &str =
    "SELECT EXISTS (SELECT 1 FROM imports WHERE source_deleted_at IS NULL AND source_bytes > 0)";

/// Looks at a PostgreSQL database.
pub async fn examine_postgres(url: &str) -> Result<Examined, Error> {
    let mut connection: PgConnection = PgConnectOptions::from_str(url)?.connect().await?;
    let (version, number, read_only): (String, String, String) = sqlx::query_as(
        "SELECT current_setting('server_version'), current_setting('server_version_num'), \
         current_setting('transaction_read_only')",
    )
    .fetch_one(&mut connection)
    .await?;
    let since = Instant::now();
    let theirs: DateTime<Utc> =
        sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(&mut connection).await?;
    // They told the time about half-way through the question.
    let ours = clock::now() - since.elapsed() / 2;
    let schema = Schema::of_postgres(&mut connection).await?;
    // An empty database has no such table.
    let knows_sources = sqlx::query_scalar(KNOWS_SOURCES).fetch_one(&mut connection).await.unwrap_or(false);
    connection.close().await?;
    Ok(Examined {
        version,
        is_too_old: number.parse().is_ok_and(|number: i32| number < OLDEST_POSTGRES),
        is_read_only: read_only == "on",
        schema,
        knows_sources,
        clock_ahead: Some(theirs - ours),
    })
}

/// Looks at a SQLite database, also while a server uses it; none where there is no file.
pub async fn examine_sqlite(path: &Path) -> Result<Option<Examined>, Error> {
    if !path.exists() {
        return Ok(None);
    }
    let options = SqliteConnectOptions::new().filename(path).read_only(true).create_if_missing(false);
    let mut connection: SqliteConnection = options.connect().await?;
    let version = sqlx::query_scalar("SELECT sqlite_version()").fetch_one(&mut connection).await?;
    let schema = Schema::of_sqlite(&mut connection).await?;
    let knows_sources = sqlx::query_scalar(KNOWS_SOURCES).fetch_one(&mut connection).await.unwrap_or(false);
    connection.close().await?;
    let is_read_only = std::fs::metadata(path).is_ok_and(|file| file.permissions().readonly());
    Ok(Some(Examined { version, is_too_old: false, is_read_only, schema, knows_sources, clock_ahead: None }))
}
