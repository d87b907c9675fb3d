//! Bytes in: an upload becomes stored segments.
//!
//! wire bytes → decompress → sniff → split → store. Each step waits for the next one, so a slow
//! store makes the client wait by HTTP/2 flow control, and memory is bounded by one segment.

mod beginning;
mod decompress;
mod line_ends;
mod scanner;
mod segment_writer;
mod sniff;
mod source;
pub mod splitter;
pub mod transcode;
mod upload;

pub use beginning::Beginning;
pub use sniff::format_of_name;
pub use upload::{Finish, Intake, Opened, Piece, Upload};
