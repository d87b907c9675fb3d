//! The wire: services of a few lines a method, and what they share. The only room (with `cli`) that
//! knows tonic and prost.

mod admin_service;
mod auth;
pub mod client;
mod convert;
mod entity_service;
mod import_service;
pub mod pb;
mod server;
mod session_service;
mod spec;
mod status;
mod streams;
mod upload;
mod workflow_service;

pub use server::{Parts, ServeError, Transport, serve};
