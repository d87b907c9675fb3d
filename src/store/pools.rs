//! What there is to do, and how busy the connections are.

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult};

use super::{Bulk, Store, error::Error};
use crate::metrics::Pool;

/// Segments that wait to be claimed.
#[derive(Debug, FromQueryResult)]
pub struct Queue {
    /// How many.
    pub segments: i64,
    /// When something last happened to the import of one of them that waits longest; for one that has not begun,
    /// when it was accepted.
    pub waits_since: Option<DateTime<Utc>>,
}

/// Segments that could be claimed at `$1`.
const QUEUE: &str = "SELECT COUNT(*) AS segments, \
    MIN(CASE WHEN i.started_at IS NULL THEN i.created_at ELSE i.updated_at END) AS waits_since \
    FROM segments s JOIN imports i ON i.application_id = s.application_id AND i.id = s.import_id \
    WHERE s.state <> 'DONE' AND (s.state = 'READY' OR s.lease_expires_at < $1) \
    AND i.status IN ('PENDING', 'PROCESSING') AND NOT i.held AND NOT i.pause_requested";

impl Store {
    /// What waits to be claimed, in all processes.
    pub async fn queue(&self, now: DateTime<Utc>) -> Result<Queue, Error> {
        let row = self.db.query_one_raw(self.statement(QUEUE, [now.into()])).await?;
        Ok(Queue::from_query_result(&row.ok_or(Error::Corrupt("segments"))?, "")?)
    }

    /// Measures how many connections there are, and how many of them are in use.
    pub fn measure_pools(&self) {
        let count = |pool, size: u32, idle: usize| {
            let idle = idle as i64;
            self.metrics.pool_connections(pool, i64::from(size) - idle, idle);
        };
        match &self.bulk {
            Bulk::Postgres(bulk) => {
                let general = self.db.get_postgres_connection_pool();
                count(Pool::General, general.size(), general.num_idle());
                count(Pool::Bulk, bulk.size(), bulk.num_idle());
            }
            Bulk::Sqlite(_) => {
                let general = self.db.get_sqlite_connection_pool();
                count(Pool::General, general.size(), general.num_idle());
            }
        }
    }
}
