//! Behaviour through the public API: a real server on a real port, on SQLite and on PostgreSQL.

#![expect(
    unreachable_pub,
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::too_many_lines,
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
