//! Adapters: an exported row becomes a canonical record. Pure; one file a provider.

pub mod generic;
