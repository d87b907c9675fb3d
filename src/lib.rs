//! Carryover carries a company's verification history from its old provider into its own platform.
//! `ARCHITECTURE.md` is the map.

pub mod adapters;
pub mod administration;
pub mod app;
pub mod canonical;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod erasure;
pub mod error;
mod fault_points;
pub mod feed;
pub mod fetcher;
pub mod grpc;
pub mod guard;
pub mod imports;
pub mod intake;
pub mod lifecycle;
pub mod links;
pub mod media;
pub mod metrics;
pub mod objects;
mod permits;
pub mod pipeline;
pub mod preview;
pub mod probe;
pub mod records;
pub mod relay;
pub mod reverter;
pub mod sample;
pub mod store;
pub mod sweeper;
pub mod telemetry;
pub mod worker;
