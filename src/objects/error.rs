//! What may go wrong with the object store.

use std::io;

use thiserror::Error;

/// Why an object could not be stored or read.
#[derive(Debug, Error)]
pub enum Error {
    /// The store said no.
    #[error("{action} in the object store")]
    Store {
        /// What was being done.
        action: &'static str,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// Its folder cannot be made.
    #[error("make the object store's folder")]
    Folder(#[from] io::Error),
    /// A medium's file cannot be read, or not be stored.
    #[error("store a medium")]
    Medium(#[source] io::Error),
    /// Its URL is of no kind that is known.
    #[error(
        "--object-store must be a URL such as file:///folder, s3://bucket/folder, gs://bucket or az://container"
    )]
    Url,
    /// It is gone.
    #[error("the object is not in the store")]
    Gone,
    /// The folder, or the disk it is on, is not there.
    #[error("the object store's folder is not there")]
    Away,
    /// It gives back something else than was stored a moment before.
    #[error("the object store gives back something else than was stored")]
    Untrue,
    /// It is sealed, and the key is not there.
    #[error("the object is sealed with the encryption key \"{name}\", which --encryption-keys does not hold")]
    NoKey {
        /// What the key is called.
        name: String,
    },
    /// It is sealed, and the key of that name is not the one.
    #[error(
        "the object is sealed with another encryption key than the one that --encryption-keys calls \"{name}\""
    )]
    OtherKey {
        /// What both are called.
        name: String,
    },
    /// It is sealed, and what is there is not what was sealed under its name.
    #[error("the object was altered since it was sealed")]
    Altered,
    /// Something on the way to it failed.
    #[error("work on an object")]
    Work(#[source] io::Error),
    /// Nothing can be sealed.
    #[error("seal an object")]
    Seal,
    /// It has neither conditions nor locks.
    #[error(
        "the object store has no conditional writes (If-Match), or its folder no locks: what is deleted meanwhile \
         might come back"
    )]
    Unconditional,
    /// It is not what was stored.
    #[error("segment {seq} is damaged: its checksum disagrees")]
    Damaged {
        /// Number of the segment.
        seq: i32,
    },
}

impl Error {
    /// Whether the store answers, and does not have what was stored. What lacks its key is still there.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Gone | Self::Damaged { .. } | Self::Altered)
    }

    /// Whether what was stored is there, and a key is not.
    pub fn is_of_keys(&self) -> bool {
        matches!(self, Self::NoKey { .. } | Self::OtherKey { .. })
    }

    /// What waits for the store waits for this, as a stable word.
    pub fn reason(&self) -> &'static str {
        if self.is_of_keys() { "ENCRYPTION_KEY_MISSING" } else { "OBJECT_STORE_UNAVAILABLE" }
    }
}
