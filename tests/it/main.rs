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
mod audit;
mod buckets;
mod business_rows;
mod calls;
mod cli;
mod cli_flags;
mod compression;
mod connections;
mod contract;
mod contract_page;
mod control;
mod crash;
mod csv;
mod csv_shapes;
mod database_faults;
mod database_refuses;
mod demo;
mod encodings;
mod erasure;
mod fake_dns;
mod fake_origin;
mod floods;
mod foreign_client;
mod foreign_ids;
mod golden;
mod guard_dns;
mod guard_http;
mod guard_property;
mod guard_redirects;
mod guard_tls;
mod guard_urls;
mod h2;
mod harness;
mod health;
mod json_lines;
mod json_values;
mod kinds;
mod large_rows;
mod large_sources;
mod limits;
mod line_ends;
mod mapping;
mod media;
mod media_content;
mod media_deaths;
mod media_hosts;
mod media_kept;
mod media_links;
mod media_parts;
mod media_queue;
mod media_retry;
mod metrics;
mod mishaps;
mod ndjson;
mod on_existing;
mod ordering;
mod outages;
mod outside;
mod pace;
mod packed;
mod pages;
mod poison;
mod preview;
mod processes;
mod properties;
mod providers;
mod rates;
mod readiness;
mod reading;
mod recovery;
mod retention;
mod retries_that_stand;
mod retry;
mod retry_requests;
mod revert;
mod revert_refused;
mod row_places;
mod rule_rows;
mod same_records;
mod scarcity;
mod secrets;
mod semantics;
mod serving;
mod session_lists;
mod shell;
mod shutdown;
mod source_urls;
mod standing_still;
mod status_rules;
mod stored;
mod stored_media;
mod tenancy;
mod texts;
mod thresholds;
mod tls;
mod transaction_rows;
mod transactions;
mod transport;
mod upload;
mod upload_ends;
mod user_rows;
mod waits;
mod warnings;
mod watchers;
mod web;
mod workers;
