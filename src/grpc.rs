//! The wire: services of a few lines a method, and what they share. The only room (with `cli`) that
//! knows tonic and prost.

mod accept;
mod admin_service;
mod answers;
mod auth;
mod bounds;
pub mod client;
mod connection;
mod convert;
mod deadline;
mod delivery;
mod entity_service;
mod explain;
mod health;
mod idle;
mod import_service;
mod measure;
mod media;
mod methods;
mod pace;
mod page;
mod patience;
pub mod pb;
mod places;
pub mod preview;
mod rates;
mod receive;
mod room;
mod server;
mod session_service;
mod spec;
mod status;
mod streams;
mod tls;
mod token;
mod transaction_service;
mod upload;
mod workflow_service;

pub use accept::Connections;
pub use bounds::CallBounds;
pub use rates::CallRates;
pub use server::{Parts, ServeError, Transport, serve};
pub use tls::{Certificate, CertificateError, ClientFiles, TlsFiles};
