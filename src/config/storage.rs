//! Flags of what is stored, and where.

use std::path::PathBuf;

use clap::Args;
use url::Url;

/// Where data are kept.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Storage")]
pub struct StorageArgs {
    /// Folder of the database and object store where no URL is given
    #[arg(long, env = "CARRYOVER_DATA_DIR", default_value = "data", value_name = "DIR")]
    pub data_dir: PathBuf,

    /// PostgreSQL database (postgres://…); SQLite in the data folder without it
    #[arg(long, env = "CARRYOVER_DATABASE_URL", hide_env_values = true, value_name = "URL")]
    pub database_url: Option<String>,

    /// Connections to PostgreSQL at most, beside one for each segment in flight and one more
    #[arg(long, env = "CARRYOVER_DATABASE_CONNECTIONS", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub database_connections: u32,

    /// Seconds to wait at the start for a PostgreSQL that does not answer
    #[arg(long, env = "CARRYOVER_DATABASE_WAIT_SECONDS", default_value_t = 30, value_name = "N")]
    pub database_wait_seconds: u64,

    /// Object store for sources: file:///folder, s3://bucket/folder, gs://bucket or az://container, with credentials from the environment as for their own tools; a folder in the data folder without it
    #[arg(long, env = "CARRYOVER_OBJECT_STORE", value_name = "URL")]
    pub object_store: Option<String>,

    /// Keys to seal stored objects with, a line NAME:KEY each, KEY being 64 hexadecimal digits: the first seals, all of them open; nothing is sealed without it
    #[arg(long, env = "CARRYOVER_ENCRYPTION_KEYS", value_name = "FILE")]
    pub encryption_keys: Option<PathBuf>,
}

/// Where objects are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlaceOfObjects<'a> {
    /// A local folder.
    Folder(PathBuf),
    /// What is at a URL, whatever kind of store that names.
    Url(&'a str),
}

impl StorageArgs {
    /// Whether the database URL, where there is one, is of PostgreSQL.
    pub fn names_postgres(&self) -> bool {
        let is_postgres = |url: &str| url.starts_with("postgres://") || url.starts_with("postgresql://");
        self.database_url.as_deref().is_none_or(is_postgres)
    }

    /// Where objects are kept.
    pub fn place_of_objects(&self) -> PlaceOfObjects<'_> {
        let Some(url) = &self.object_store else {
            return PlaceOfObjects::Folder(self.data_dir.join("objects"));
        };
        let folder = Url::parse(url).ok().filter(|url| url.scheme() == "file");
        let folder = folder.and_then(|url| url.to_file_path().ok());
        folder.map_or(PlaceOfObjects::Url(url), PlaceOfObjects::Folder)
    }
}
