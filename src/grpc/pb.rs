//! Generated from `proto/`.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::all,
    clippy::restriction,
    clippy::pedantic,
    reason = "generated"
)]

tonic::include_proto!("carryover.v1");

/// The compiled protos, for reflection and for printing messages by their fields.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("carryover_descriptor");
