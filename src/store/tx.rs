//! Where transactions begin.
//!
//! Every transaction runs in a task of its own that is awaited and never dropped: under sqlx 0.9.0 a
//! future dropped inside `begin()` poisons its pooled connection, and later writes of others are
//! acknowledged and lost. It also makes every handler droppable.

#![expect(clippy::disallowed_methods, reason = "a transaction outlives the call that began it")]

use std::time::Instant;

use futures_util::future::BoxFuture;
use sea_orm::{
    DatabaseTransaction, SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait, Value,
};
use tokio::sync::OwnedSemaphorePermit;
use tracing::{Instrument, warn};

use super::{Bulk, Store, commit::Commit, commit::Committed, error::Error, postgres};
use crate::metrics::Pool;

impl Store {
    /// Runs `work` in one transaction; commits when it returns `Ok`.
    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t DatabaseTransaction) -> BoxFuture<'t, Result<T, Error>> + Send + 'static,
    {
        let store = self.clone();
        let transaction = async move {
            let _turn = store.turn.acquire().await;
            let options = TransactionOptions {
                sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
                ..TransactionOptions::default()
            };
            let since = Instant::now();
            let tx = store.db.begin_with_options(options).await?;
            store.metrics.pool_waited(Pool::General, since.elapsed());
            match work(&tx).await {
                Ok(value) => {
                    tx.commit().await?;
                    Ok(value)
                }
                Err(error) => {
                    if let Err(failed) = tx.rollback().await {
                        // SQLite has rolled back already when its disk is full. The pool takes no such
                        // connection back, and why the work failed is what counts.
                        warn!(error = &failed as &dyn std::error::Error, "could not roll a transaction back");
                    }
                    Err(error)
                }
            }
        };
        tokio::spawn(transaction.in_current_span()).await?
    }

    /// Writes a segment in one transaction: records, row errors, ledger, counters, checkpoint.
    pub(super) async fn write_segment(
        &self,
        commit: Commit,
        turn_to_write: OwnedSemaphorePermit,
    ) -> Result<Committed, Error> {
        match self.bulk.clone() {
            Bulk::Postgres(pool) => {
                let commit = postgres::commit(pool, commit, turn_to_write, self.metrics.clone());
                tokio::spawn(commit.in_current_span()).await?
            }
            Bulk::Sqlite(writer) => {
                let turn = self.turn.clone();
                tokio::spawn(async move {
                    let _turn = turn.acquire().await;
                    tokio::task::spawn_blocking(move || writer.commit(commit)).await?
                })
                .await?
            }
        }
    }

    /// A statement in the dialect both databases share.
    pub(super) fn statement(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> Statement {
        Statement::from_sql_and_values(self.db.get_database_backend(), sql, values)
    }
}
