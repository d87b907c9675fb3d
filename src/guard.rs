//! What Carryover may fetch for a caller. Today: which URLs it would refuse without asking anybody.

mod address;
mod url;

pub use url::{Refused, check_url};
