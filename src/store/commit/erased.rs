//! Rows of a segment that are about somebody who was erased.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{Batch, Commit, Fence, RecordRow};
use crate::{
    canonical::{
        arena::Text,
        party::{Party, PartyKind, Side, forget_party},
        record::Record,
    },
    domain::ids::{RecordKind, derive},
    store::error::Error,
};

impl Commit {
    /// Tombstones that would keep a record out: of its key, and of whom a session is about.
    pub(in crate::store) fn tombstones(&self, salt: &[u8], row: &RecordRow) -> Vec<[u8; 32]> {
        let about = match &row.record {
            Record::User(session) => (RecordKind::User, session.vendor_data),
            Record::Business(session) => (RecordKind::Business, session.vendor_data),
            // Its parties are taken from a transaction one by one; the transaction stays.
            Record::Transaction(_) | Record::Rule(_) => (RecordKind::User, None),
        };
        let profile = self.profile(about.0, about.1);
        [Some(row.id), profile].into_iter().flatten().map(|id| tombstone(salt, id)).collect()
    }

    /// Tombstones of users and businesses that are parties of transactions: position of the record, side.
    pub(in crate::store) fn party_tombstones(&self, salt: &[u8]) -> Vec<(usize, Side, [u8; 32])> {
        let mut found = Vec::new();
        for (at, row) in self.batch.records.iter().enumerate() {
            let Record::Transaction(transaction) = &row.record else { continue };
            for (side, party) in transaction.parties() {
                let kind = match PartyKind::of(party.entity_type, party.vendor_data.is_some()) {
                    PartyKind::User => RecordKind::User,
                    PartyKind::Business => RecordKind::Business,
                    PartyKind::External => continue,
                };
                let profile = self.profile(kind, party.vendor_data);
                found.extend(profile.map(|id| (at, side, tombstone(salt, id))));
            }
        }
        found
    }

    /// Makes parties of transactions nameless, as an erasure does those of transactions that are there.
    pub(in crate::store) fn forget_parties(
        &mut self,
        erased: impl IntoIterator<Item = (usize, Side)>,
    ) -> Result<(), Error> {
        let Batch { arena, records, .. } = &mut self.batch;
        for (at, side) in erased {
            let Record::Transaction(transaction) = &mut records[at].record else { continue };
            let party = match side {
                Side::Subject => Some(&mut transaction.subject),
                Side::Counterparty => transaction.counterparty.as_mut(),
            };
            if let Some(party) = party {
                *party = Party { entity_type: party.entity_type, ..Party::default() };
            }
            transaction.metadata = None;
            if let Some(text) = transaction.details {
                let corrupt = |_| Error::Corrupt("transaction details");
                let mut details = serde_json::from_str(arena.get(text)).map_err(corrupt)?;
                forget_party(&mut details, side);
                transaction.details = Some(arena.push(&details.to_string()));
            }
        }
        Ok(())
    }

    /// Id of the profile of whom the customer knows by an id of their own.
    fn profile(&self, kind: RecordKind, vendor_data: Option<Text>) -> Option<Uuid> {
        let vendor_data = self.batch.arena.find(vendor_data)?;
        Some(derive(self.claim.application_id, kind, &[vendor_data.as_bytes()]))
    }

    /// What tombstones are salted with, where they are to be looked at.
    pub(in crate::store) fn salt<'f>(&self, fence: &'f Fence) -> Option<&'f [u8]> {
        fence.salt.as_deref().filter(|_| !self.import_erased)
    }
}

/// What is left of an erased id: enough to know it again, not enough to tell it.
pub(in crate::store) fn tombstone(salt: &[u8], id: Uuid) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(id.as_bytes()).finalize().into()
}
