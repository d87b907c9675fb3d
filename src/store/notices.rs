//! Notices between processes on one PostgreSQL. A hint only: whoever misses one finds out by looking.

use sqlx::postgres::PgListener;

use super::{Bulk, Store, error::Error};

/// Channel of all notices.
const CHANNEL: &str = "carryover";

/// Hears notices of all processes, this one's own among them.
pub struct Notices(PgListener);

impl Store {
    /// Whether other processes may be at work on the same database.
    pub fn is_shared(&self) -> bool {
        matches!(self.bulk, Bulk::Postgres(_))
    }

    /// Sends a notice, at most 7,999 bytes of text.
    pub async fn notify(&self, notice: &str) -> Result<(), Error> {
        if let Bulk::Postgres(_) = &self.bulk {
            let pool = self.db.get_postgres_connection_pool();
            sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(notice).execute(pool).await?;
        }
        Ok(())
    }

    /// Listens on a connection of its own.
    pub async fn listen(&self) -> Result<Notices, Error> {
        let mut listener = PgListener::connect_with(self.db.get_postgres_connection_pool()).await?;
        listener.listen(CHANNEL).await?;
        Ok(Notices(listener))
    }
}

impl Notices {
    /// The next notice; nothing when the connection was lost, and some may have been missed.
    pub async fn next(&mut self) -> Result<Option<String>, Error> {
        Ok(self.0.try_recv().await?.map(|notice| notice.payload().to_owned()))
    }
}
