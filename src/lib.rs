//! Carryover carries a company's verification history from its old provider into its own platform.
//! `ARCHITECTURE.md` is the map.

pub mod adapters;
pub mod administration;
pub mod canonical;
pub mod clock;
pub mod domain;
pub mod error;
pub mod feed;
pub mod guard;
pub mod imports;
pub mod intake;
pub mod objects;
pub mod pipeline;
pub mod records;
pub mod store;
pub mod worker;
