//! Wall clock and time-ordered ids: the only room that asks what time it is.

#![expect(clippy::disallowed_methods, reason = "this is that room")]

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Now, to the microsecond, as both databases keep it.
pub fn now() -> DateTime<Utc> {
    let now = Utc::now();
    DateTime::from_timestamp_micros(now.timestamp_micros()).unwrap_or(now)
}

/// A new id that sorts behind all earlier ones.
pub fn new_id() -> Uuid {
    Uuid::now_v7()
}
