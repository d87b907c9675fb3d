//! The parties of a transaction: whose it is, and the other side.

use super::arena::Text;
use crate::domain::import::words;

/// A side of a transaction, as far as it has columns.
#[derive(Debug, Clone, Copy, Default)]
pub struct Party {
    /// What it is.
    pub entity_type: Option<EntityType>,
    /// The customer's own id of the user or business.
    pub vendor_data: Option<Text>,
    /// Its name.
    pub full_name: Option<Text>,
    /// Its country, alpha-3 where that is known.
    pub country: Option<Text>,
}

words! {
    /// What a party is.
    EntityType {
        /// A person.
        Individual = "individual",
        /// A company.
        Company = "company",
        /// Somebody outside.
        External = "external",
        /// A wallet nobody hosts.
        UnhostedWallet = "unhostedWallet",
    }
}

impl EntityType {
    /// Reads a word, in any case.
    pub fn parse(word: &str) -> Option<Self> {
        if word.eq_ignore_ascii_case("unhosted_wallet") {
            return Some(Self::UnhostedWallet);
        }
        Self::ALL.iter().copied().find(|kind| kind.as_str().eq_ignore_ascii_case(word))
    }
}

words! {
    /// Which side of a transaction a party is, as members and columns of it are named.
    Side {
        /// Whose transaction it is.
        Subject = "subject",
        /// The other side.
        Counterparty = "counterparty",
    }
}

/// What a party is to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartyKind {
    /// One of its users.
    User,
    /// One of its businesses.
    Business,
    /// Anybody else.
    External,
}

impl PartyKind {
    /// What a party of that type is: whom the customer knows by an id of their own is a user or business.
    pub const fn of(entity_type: Option<EntityType>, has_vendor_data: bool) -> Self {
        match (has_vendor_data, entity_type) {
            (false, _) | (_, Some(EntityType::External | EntityType::UnhostedWallet)) => Self::External,
            (true, Some(EntityType::Company)) => Self::Business,
            (true, Some(EntityType::Individual) | None) => Self::User,
        }
    }
}

/// Details of a transaction in which anybody may be named, in a form of their own.
const FREE_DETAILS: [&str; 7] = [
    "payment_details",
    "payment_reference_id",
    "decision_reason_label",
    "travel_rule_details",
    "custom_properties",
    "network_snapshot",
    "provider_results",
];

/// Takes what the details of a transaction tell of one of its parties out of them, and with it all that has
/// a form of its own and may name anybody.
pub fn forget_party(details: &mut serde_json::Value, side: Side) {
    if let Some(details) = details.as_object_mut() {
        for member in FREE_DETAILS.into_iter().chain([side.as_str()]) {
            details.remove(member);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_parties() {
        assert_eq!(EntityType::parse("unhosted_wallet"), Some(EntityType::UnhostedWallet));
        for (entity_type, has_vendor_data, kind) in [
            (Some(EntityType::Individual), true, PartyKind::User),
            (None, true, PartyKind::User),
            (Some(EntityType::Company), true, PartyKind::Business),
            (Some(EntityType::Company), false, PartyKind::External),
            (Some(EntityType::External), true, PartyKind::External),
            (Some(EntityType::UnhostedWallet), true, PartyKind::External),
            (None, false, PartyKind::External),
        ] {
            assert_eq!(PartyKind::of(entity_type, has_vendor_data), kind, "{entity_type:?}");
        }
    }
}
