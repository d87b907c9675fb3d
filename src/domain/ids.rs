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
    /// A session, of a person or a company.
    SessionId,
    /// A transaction.
    TransactionId,
}

/// What kind of record an idempotency key belongs to; part of the key, so that a company may carry
/// the same id at its provider as a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordKind {
    /// A verification of a person.
    UserSession,
    /// A verification of a company.
    BusinessSession,
    /// A transaction, keyed by provider and external id.
    Transaction,
    /// A transaction, keyed by its transaction id.
    TransactionId,
    /// A status rule of a workflow.
    StatusRule,
    /// A user's profile, keyed by vendor_data.
    User,
    /// A business' profile, keyed by vendor_data.
    Business,
    /// A row error, keyed by import and row.
    RowError,
    /// Warnings of a row, keyed as row errors are.
    RowWarning,
    /// A part of a record, such as an officer, keyed by the record, its name and its place.
    Part,
    /// What a URL of a medium leads to, keyed by the URL.
    Medium,
}

impl RecordKind {
    const fn tag(self) -> &'static [u8] {
        match self {
            Self::UserSession => b"user_session",
            Self::BusinessSession => b"business_session",
            Self::Transaction => b"transaction",
            Self::TransactionId => b"transaction_id",
            Self::StatusRule => b"status_rule",
            Self::User => b"user",
            Self::Business => b"business",
            Self::RowError => b"row_error",
            Self::RowWarning => b"row_warning",
            Self::Part => b"part",
            Self::Medium => b"medium",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_key_gives_the_same_id_and_parts_do_not_run_together() {
        let application = ApplicationId(Uuid::from_u128(1));
        let id = |parts: &[&[u8]]| derive(application, RecordKind::UserSession, parts);
        assert_eq!(id(&[b"sumsub", b"a"]), id(&[b"sumsub", b"a"]));
        assert_ne!(id(&[b"sumsub", b"a"]), id(&[b"sumsuba", b""]));
        let other = ApplicationId(Uuid::from_u128(2));
        assert_ne!(id(&[b"sumsub", b"a"]), derive(other, RecordKind::UserSession, &[b"sumsub", b"a"]));
        assert_ne!(id(&[b"a"]), derive(application, RecordKind::BusinessSession, &[b"a"]));
        assert_eq!(id(&[b"sumsub", b"a"]).get_version_num(), 8);
    }
}
