//! Waits: until something is so, and while nobody can write.

use std::time::Duration;

use sqlx::Connection;

use crate::harness::Server;

/// Waits until `look` finds something, longer than anything takes that works.
pub async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let looking = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), looking).await.expect(what)
}

/// Lets every import whose source is not whole look as if it had stood still for an hour.
pub async fn age_uploads(server: &Server) {
    let an_hour_ago = match server.database_url {
        Some(_) => "now() - interval '1 hour'",
        None => "strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '-1 hours')",
    };
    server.sql(&format!("UPDATE imports SET updated_at = {an_hour_ago} WHERE NOT upload_finished")).await;
}

/// Works while nobody can store a segment, as with a busy database.
pub async fn holding_writes<T>(server: &Server, work: impl Future<Output = T>) -> T {
    holding(server, "LOCK TABLE segments IN ACCESS EXCLUSIVE MODE", work).await
}

/// Works while nobody can write an import.
pub async fn holding_imports<T>(server: &Server, work: impl Future<Output = T>) -> T {
    holding(server, "LOCK TABLE imports IN EXCLUSIVE MODE", work).await
}

/// Works while a lock is held; on SQLite, the one there is.
async fn holding<T>(server: &Server, lock: &'static str, work: impl Future<Output = T>) -> T {
    if let Some(url) = &server.database_url {
        let mut holder = sqlx::PgConnection::connect(url).await.expect("connects");
        let mut tx = holder.begin().await.expect("begins");
        sqlx::raw_sql(lock).execute(&mut *tx).await.expect("locks");
        let done = work.await;
        tx.rollback().await.expect("unlocks");
        return done;
    }
    let holder = rusqlite::Connection::open(server.path("carryover.db")).expect("opens");
    holder.execute_batch("BEGIN IMMEDIATE").expect("locks");
    let done = work.await;
    holder.execute_batch("ROLLBACK").expect("unlocks");
    done
}
