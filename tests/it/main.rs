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
mod calls;
mod cli;
mod compression;
mod connections;
mod contract;
mod csv;
mod floods;
mod foreign_client;
mod h2;
mod harness;
mod health;
mod json_lines;
mod ndjson;
mod ordering;
mod pace;
mod packed;
mod properties;
mod reading;
mod recovery;
mod tenancy;
mod transport;
mod upload;
mod waits;
mod web;
