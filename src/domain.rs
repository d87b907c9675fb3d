//! What an import is: the words and rules every other room shares. Pure: no I/O, no clock.

pub mod certificate_name;
pub mod fault;
pub mod ids;
pub mod import;
pub mod isolation;
pub mod issue;
pub mod ledger;
pub mod limits;
pub mod lines;
pub mod media;
pub mod refusal;
pub mod segment;
