//! What is derived of a transaction.

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{
    canonical::transaction::{Direction, EntityType},
    store::{StoredParty, StoredTransaction},
};

/// Which side of a transaction a party is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Whose transaction it is.
    Subject,
    /// The other side.
    Counterparty,
}

/// What a party is to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One of its users.
    User,
    /// One of its businesses.
    Business,
    /// Anybody else.
    External,
}

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
    pub role: Role,
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
        Party { role: Role::Subject, columns: &transaction.subject, details: find(transaction, "subject") };
    let counterparty = Party {
        role: Role::Counterparty,
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

    /// What it is to the application: whom the customer knows by an id of their own is a user or business.
    pub fn kind(&self) -> Kind {
        let entity_type = self.columns.entity_type.as_deref().and_then(EntityType::from_word);
        match (&self.columns.vendor_data, entity_type) {
            (None, _) | (_, Some(EntityType::External | EntityType::UnhostedWallet)) => Kind::External,
            (_, Some(EntityType::Company)) => Kind::Business,
            (_, Some(EntityType::Individual) | None) => Kind::User,
        }
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
        if outbound == (self.role == Role::Subject) { End::Source } else { End::Destination }
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

    fn party(entity_type: Option<&str>, vendor_data: Option<&str>) -> StoredParty {
        StoredParty {
            entity_type: entity_type.map(str::to_owned),
            vendor_data: vendor_data.map(str::to_owned),
            ..StoredParty::default()
        }
    }

    #[test]
    fn kinds_of_parties() {
        for (entity_type, vendor_data, kind) in [
            (Some("individual"), Some("v"), Kind::User),
            (None, Some("v"), Kind::User),
            (Some("company"), Some("v"), Kind::Business),
            (Some("company"), None, Kind::External),
            (Some("external"), Some("v"), Kind::External),
            (Some("unhostedWallet"), Some("v"), Kind::External),
            (None, None, Kind::External),
        ] {
            let columns = party(entity_type, vendor_data);
            let party = Party { role: Role::Subject, columns: &columns, details: None };
            assert_eq!(party.kind(), kind, "{columns:?}");
        }
    }

    #[test]
    fn money_goes_from_source_to_destination() {
        let columns = StoredParty::default();
        let end = |role, direction| Party { role, columns: &columns, details: None }.end(direction);
        assert_eq!(end(Role::Subject, "OUTBOUND"), End::Source);
        assert_eq!(end(Role::Counterparty, "OUTBOUND"), End::Destination);
        assert_eq!(end(Role::Subject, "INBOUND"), End::Destination);
        assert_eq!(end(Role::Counterparty, "INBOUND"), End::Source);
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
