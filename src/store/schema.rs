//! How a schema stands to this program. What a start does with it and what the doctor says of it must not differ, so
//! both ask here.

use sea_orm_migration::MigratorTrait;
use sqlx::{PgConnection, SqliteConnection};

use super::{error::Error, migrations::Migrator};

/// How a schema stands to this program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schema {
    /// There is none yet.
    Empty,
    /// It is the one this program knows.
    Current,
    /// So many migrations are missing.
    Older(usize),
    /// A later version has added to it, by these migrations; it can be used as it is.
    Extended(Vec<String>),
    /// A later version made it, and it cannot be used; this is a migration that is not known.
    Newer(String),
}

/// What is in the name of a migration that takes away or changes what the version before it uses.
const CONTRACTION: &str = "_contract_";

const APPLIED: &str = "SELECT version FROM seaql_migrations";

impl Schema {
    /// That of a PostgreSQL database. Nothing is made, so that it needs no right but to read.
    pub(super) async fn of_postgres(connection: &mut PgConnection) -> Result<Self, Error> {
        let exists: bool = sqlx::query_scalar("SELECT to_regclass('seaql_migrations') IS NOT NULL")
            .fetch_one(&mut *connection)
            .await?;
        Ok(Self::of(match exists {
            true => sqlx::query_scalar(APPLIED).fetch_all(connection).await?,
            false => Vec::new(),
        }))
    }

    /// That of a SQLite database.
    pub(super) async fn of_sqlite(connection: &mut SqliteConnection) -> Result<Self, Error> {
        let exists: i64 =
            sqlx::query_scalar("SELECT COUNT(*) FROM sqlite_schema WHERE name = 'seaql_migrations'")
                .fetch_one(&mut *connection)
                .await?;
        Ok(Self::of(match exists {
            0 => Vec::new(),
            _ => sqlx::query_scalar(APPLIED).fetch_all(connection).await?,
        }))
    }

    /// One that these migrations have made.
    fn of(applied: Vec<String>) -> Self {
        let known = Migrator::migrations();
        let is_known = |version: &String| known.iter().any(|migration| migration.name() == version);
        let (applied, mut later): (Vec<_>, Vec<_>) = applied.into_iter().partition(is_known);
        later.sort();
        let missing = known.len() - applied.len();
        let contraction = later.iter().find(|version| version.contains(CONTRACTION));
        match (missing, contraction.or(later.last())) {
            (0, None) => Self::Current,
            (_, None) if applied.is_empty() => Self::Empty,
            (_, None) => Self::Older(missing),
            (0, Some(_)) if contraction.is_none() => Self::Extended(later),
            (_, Some(unknown)) => Self::Newer(unknown.clone()),
        }
    }

    /// Whether migrations are to be run.
    pub(super) fn is_behind(&self) -> bool {
        matches!(self, Self::Empty | Self::Older(_))
    }
}
