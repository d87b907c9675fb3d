//! Typed ids, so that no two kinds can be swapped.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

ids! {
    /// A tenant.
    ApplicationId,
    /// An API key.
    ApiKeyId,
    /// A workflow of an application.
    WorkflowId,
    /// An import.
    ImportId,
    /// A session.
    SessionId,
}

/// What kind of record an idempotency key belongs to; part of the key, so that a company may carry
/// the same id at its provider as a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A verification of a person.
    UserSession,
    /// A user's profile, keyed by vendor_data.
    User,
    /// A row error, keyed by import and row.
    RowError,
}

impl RecordKind {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::UserSession => b"user_session",
            Self::User => b"user",
            Self::RowError => b"row_error",
        }
    }
}

/// Derives an id from what identifies a record: UUIDv8 of a SHA-256 over application, kind and parts.
///
/// One index then serves identity and idempotency, and the same export gives the same ids anywhere.
/// Parts are length-prefixed, so that no two lists of parts run together.
pub fn derive(application: ApplicationId, kind: RecordKind, parts: &[&[u8]]) -> Uuid {
    let mut hash = Sha256::new();
    hash.update(application.0.as_bytes());
    for part in std::iter::once(kind.tag()).chain(parts.iter().copied()) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl SessionId {
    /// The id of the user session with this key.
    pub fn of_user_session(application: ApplicationId, provider: &str, external_id: &str) -> Self {
        Self(derive(application, RecordKind::UserSession, &[provider.as_bytes(), external_id.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_gives_the_same_id_and_parts_do_not_run_together() {
        let application = ApplicationId(Uuid::from_u128(1));
        let id = |provider, external| SessionId::of_user_session(application, provider, external);
        assert_eq!(id("sumsub", "a"), id("sumsub", "a"));
        assert_ne!(id("sumsub", "a"), id("sumsuba", ""));
        assert_ne!(
            id("sumsub", "a"),
            SessionId::of_user_session(ApplicationId(Uuid::from_u128(2)), "sumsub", "a")
        );
        assert_eq!(id("sumsub", "a").0.get_version_num(), 8);
    }
}
