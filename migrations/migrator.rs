//! The schema, one definition for both databases. Migrations are only ever added.

use sea_orm_migration::prelude::*;

mod m0001_spine;
mod m0002_all_types;
mod m0003_erasures;
mod m0004_line_ends;
mod m0005_control;
mod m0006_row_tallies;
mod m0007_source_fetches;
mod m0008_feedings;
mod m0009_revert_failures;
mod m0010_media;
mod m0011_row_warnings;
mod m0012_media_links;
mod m0013_media_deletions;
mod m0014_certificate_names;
mod m0016_traces;

/// All migrations in order.
pub(crate) struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_spine::Migration),
            Box::new(m0002_all_types::Migration),
            Box::new(m0003_erasures::Migration),
            Box::new(m0004_line_ends::Migration),
            Box::new(m0005_control::Migration),
            Box::new(m0006_row_tallies::Migration),
            Box::new(m0007_source_fetches::Migration),
            Box::new(m0008_feedings::Migration),
            Box::new(m0009_revert_failures::Migration),
            Box::new(m0010_media::Migration),
            Box::new(m0011_row_warnings::Migration),
            Box::new(m0012_media_links::Migration),
            Box::new(m0013_media_deletions::Migration),
            Box::new(m0014_certificate_names::Migration),
            Box::new(m0016_traces::Migration),
        ]
    }
}

/// Runs DDL in which `{uuid}`, `{timestamp}`, … stand for a type's name in the database at hand.
/// SQLite tables are STRICT, so that a value of the wrong type is refused there as on PostgreSQL.
async fn run(manager: &SchemaManager<'_>, ddl: &str) -> Result<(), DbErr> {
    const TYPES: [(&str, &str, &str); 10] = [
        ("{uuid}", "uuid", "BLOB"),
        ("{timestamp}", "timestamptz", "TEXT"),
        ("{date}", "date", "TEXT"),
        ("{json}", "json", "TEXT"),
        ("{bytes}", "bytea", "BLOB"),
        ("{bigint}", "bigint", "INTEGER"),
        ("{int}", "integer", "INTEGER"),
        ("{smallint}", "smallint", "INTEGER"),
        ("{bool}", "boolean", "INTEGER"),
        ("{strict}", "", "STRICT"),
    ];
    let postgres = manager.get_database_backend() == sea_orm::DatabaseBackend::Postgres;
    let ddl = TYPES.iter().fold(ddl.to_owned(), |ddl, (token, on_postgres, on_sqlite)| {
        ddl.replace(token, if postgres { on_postgres } else { on_sqlite })
    });
    manager.get_connection().execute_unprepared(&ddl).await.map(drop)
}
