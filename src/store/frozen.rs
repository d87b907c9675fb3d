//! Processes that are frozen amid a COPY: PostgreSQL cancels no statement while it waits for the next byte of one, so that
//! the timeouts of a connection do not end it, and what it has locked stays locked.

use std::time::Duration;

use super::{Bulk, Store, connect::copy_time, error::Error};

/// Ends what a live process would have had cancelled long since.
const END: &str = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
     WHERE datname = current_database() AND usename = current_user AND application_name = 'carryover' \
     AND state = 'active' AND wait_event = 'ClientRead' AND query LIKE 'COPY %' \
     AND query_start < clock_timestamp() - make_interval(secs => $1)";

impl Store {
    /// Ends every COPY that takes longer than one may where claims hold for `lease`, and gives how many.
    pub async fn end_frozen_copies(&self, lease: Duration) -> Result<i64, Error> {
        let Bulk::Postgres(pool) = &self.bulk else { return Ok(0) };
        let seconds = copy_time(lease).as_secs_f64();
        Ok(sqlx::query_scalar(END).bind(seconds).fetch_one(pool).await?)
    }
}
