//! What Carryover may fetch for a caller, and the only way out to it.
//!
//! A URL is parsed once, by the parser the client uses. Every address a name has is judged, one that
//! is not public refuses the whole name, and the connection can only go to the addresses that were
//! judged: there is no second lookup that could answer otherwise. Each redirect is a new question.

mod address;
mod answer;
mod cidr;
mod client;
mod error;
mod names;
mod own;
mod policy;
mod redirect;
mod url;

pub use answer::{Answer, Body};
pub use cidr::{Cidr, NotCidr};
pub use client::{Ask, Guard, GuardError};
pub use error::FetchError;
pub use own::own_ranges;
pub use policy::Policy;
pub use url::{Refused, check_url};
