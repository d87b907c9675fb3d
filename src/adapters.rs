//! Adapters: an exported row becomes a canonical record. Pure; one file a provider.
//!
//! A provider's own record is first turned into cells of the canonical schema, and these are then read
//! as any others, only that an odd value is left out with a warning: history of another system is not
//! sent again because one of its dates is none.

mod company;
pub mod draft;
#[cfg(test)]
mod example;
pub mod generic;
mod idenfy;
mod incode;
mod jumio;
pub mod mapping;
mod metadata;
mod metamap;
mod normal;
mod onfido;
mod payment;
mod person;
mod persona;
pub mod registry;
mod shape;
mod sumsub;
mod trulioo;
mod veriff;
