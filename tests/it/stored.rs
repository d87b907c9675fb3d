//! Rows as the server's database keeps them, read behind its back.

use std::path::Path;

use rusqlite::types::ValueRef;
use serde_json::{Map, Value};
use sqlx::{AssertSqlSafe, Connection};

use crate::harness::Server;

/// The rows of a query: columns by name. Values are comparable within one database only.
pub async fn rows(server: &Server, sql: &str) -> Vec<Map<String, Value>> {
    rows_in(server.database_url.as_deref(), &server.path("carryover.db"), sql).await
}

/// The rows of a query on a PostgreSQL, or on the SQLite file at `path`.
pub async fn rows_in(database_url: Option<&str>, path: &Path, sql: &str) -> Vec<Map<String, Value>> {
    match database_url {
        Some(url) => {
            let mut connection = sqlx::PgConnection::connect(url).await.expect("connects");
            let sql = format!("SELECT row_to_json(q)::text FROM ({sql}) q");
            let rows: Vec<String> =
                sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.expect("rows");
            rows.iter().map(|row| serde_json::from_str(row).expect("an object")).collect()
        }
        None => from_sqlite(path, sql),
    }
}

/// Runs a statement on a PostgreSQL, or on the SQLite file at `path`.
pub async fn execute_in(database_url: Option<&str>, path: &Path, sql: &str) {
    match database_url {
        Some(url) => {
            let mut connection = sqlx::PgConnection::connect(url).await.expect("connects");
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.expect("runs");
        }
        None => rusqlite::Connection::open(path).expect("opens").execute_batch(sql).expect("runs"),
    }
}

fn from_sqlite(path: &Path, sql: &str) -> Vec<Map<String, Value>> {
    let connection = rusqlite::Connection::open(path).expect("opens");
    let mut statement = connection.prepare(sql).expect("a statement");
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let rows = statement.query_map([], |row| {
        names.iter().enumerate().map(|(at, name)| Ok((name.clone(), value(row.get_ref(at)?)))).collect()
    });
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => number.into(),
        ValueRef::Real(number) => number.into(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into(),
        ValueRef::Blob(bytes) => hex::encode(bytes).into(),
    }
}

/// One column of a query as texts, absent ones as "-".
pub async fn texts(server: &Server, sql: &str) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    rows(server, sql).await.iter().map(|row| text(row.values().next().expect("a column"))).collect()
}

/// An id as a statement has to write it.
pub fn id(server: &Server, uuid: &str) -> String {
    match server.database_url {
        Some(_) => format!("'{uuid}'"),
        None => format!("x'{}'", uuid.replace('-', "")),
    }
}
