//! Behaviour through the public API: a real server on a real port, on SQLite and on PostgreSQL.

#![expect(
    missing_docs,
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    reason = "tests"
)]

mod architecture;
mod cli;
mod compression;
mod contract;
mod csv;
mod foreign_client;
mod harness;
mod ndjson;
mod ordering;
mod properties;
mod reading;
mod recovery;
mod tenancy;
mod transport;
mod upload;
