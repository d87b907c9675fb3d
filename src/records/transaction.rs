//! What is derived of a transaction.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    canonical::{
        party::{EntityType, PartyKind, Side},
        transaction::Direction,
    },
    store::{StoredParty, StoredTransaction},
};

/// Which end of a transaction a payment method is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Money comes from it.
    Source,
    /// Money goes to it.
    Destination,
}

/// A party, with what the details keep of it.
#[derive(Debug, Clone, Copy)]
pub struct Party<'t> {
    /// Which side it is.
    pub side: Side,
    /// Its columns.
    pub columns: &'t StoredParty,
    details: Option<&'t Value>,
}

/// How a party pays or is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PaymentMethod<'t> {
    /// Card, account, …
    pub method_type: Option<&'t str>,
    /// Its number.
    pub account_id: Option<&'t str>,
    /// Where it was issued.
    pub issuing_country: Option<&'t str>,
}

/// A detail of a transaction.
pub fn find<'t>(transaction: &'t StoredTransaction, key: &str) -> Option<&'t Value> {
    transaction.details.as_ref()?.get(key)
}

/// The subject, and the other side where the row told of one.
pub fn parties(transaction: &StoredTransaction) -> Vec<Party<'_>> {
    let subject =
        Party { side: Side::Subject, columns: &transaction.subject, details: find(transaction, "subject") };
    let counterparty = Party {
        side: Side::Counterparty,
        columns: &transaction.counterparty,
        details: find(transaction, "counterparty"),
    };
    let is_told = counterparty.details.is_some() || *counterparty.columns != StoredParty::default();
    std::iter::once(subject).chain(is_told.then_some(counterparty)).collect()
}

impl<'t> Party<'t> {
    /// A text among its details.
    pub fn text(&self, key: &str) -> Option<&'t str> {
        self.details?.get(key)?.as_str()
    }

    /// An object among its details.
    pub fn object(&self, key: &str) -> Option<&'t Map<String, Value>> {
        self.details?.get(key)?.as_object()
    }

    /// What it is to the application.
    pub fn kind(&self) -> PartyKind {
        let entity_type = self.columns.entity_type.as_deref().and_then(EntityType::from_word);
        PartyKind::of(entity_type, self.columns.vendor_data.is_some())
    }

    /// How it pays or is paid.
    pub fn payment_method(&self) -> Option<PaymentMethod<'t>> {
        let method = self.object("payment_method")?;
        let text = |key: &str| method.get(key).and_then(Value::as_str);
        Some(PaymentMethod {
            method_type: text("method_type"),
            account_id: text("account_id"),
            issuing_country: text("issuing_country"),
        })
    }

    /// Which end its payment method is, in a transaction of that direction.
    pub fn end(&self, direction: &str) -> End {
        let outbound = Direction::from_word(direction) == Some(Direction::Outbound);
        if outbound == (self.side == Side::Subject) { End::Source } else { End::Destination }
    }
}

impl PaymentMethod<'_> {
    /// SHA-256 of `type:account_id:issuing_country` in hex; what is absent is empty in it.
    pub fn fingerprint(&self) -> String {
        let parts = [self.method_type, self.account_id, self.issuing_country].map(Option::unwrap_or_default);
        hex::encode(Sha256::digest(parts.join(":")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_goes_from_source_to_destination() {
        let columns = StoredParty::default();
        let end = |side, direction| Party { side, columns: &columns, details: None }.end(direction);
        assert_eq!(end(Side::Subject, "OUTBOUND"), End::Source);
        assert_eq!(end(Side::Counterparty, "OUTBOUND"), End::Destination);
        assert_eq!(end(Side::Subject, "INBOUND"), End::Destination);
        assert_eq!(end(Side::Counterparty, "INBOUND"), End::Source);
    }

    #[test]
    fn fingerprints_tell_methods_apart() {
        let method = PaymentMethod {
            method_type: Some("bank_card"),
            account_id: Some("4242"),
            issuing_country: Some("FRA"),
        };
        let other = PaymentMethod { issuing_country: None, ..method };
        assert_eq!(method.fingerprint(), hex::encode(Sha256::digest("bank_card:4242:FRA")));
        assert_eq!(other.fingerprint(), hex::encode(Sha256::digest("bank_card:4242:")));
    }
}
