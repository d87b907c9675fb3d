//! The canonical records and their fields, which parse themselves. Pure.

pub mod arena;
pub mod cell;
pub mod country;
pub mod date;
pub mod document;
pub mod field;
pub mod header;
pub mod json;
pub mod scalar;
pub mod status;
pub mod user_verification;
