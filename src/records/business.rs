//! What is derived of a company's session.

use serde::Deserialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    canonical::status::FeatureStatus,
    domain::{
        ids::{RecordKind, derive},
        import::words,
    },
    store::StoredBusinessSession,
};

words! {
    /// A check that a company's session may hold, by the name decisions give it.
    Feature {
        /// Registry data.
        Registry = "KYB_REGISTRY",
        /// Officers and owners.
        KeyPeople = "KYB_KEY_PEOPLE",
        /// Documents.
        Documents = "KYB_DOCUMENTS",
    }
}

/// The one check of a business' profile.
pub const PROFILE_FEATURE: &str = "KYB";

/// What a company's session keeps without a column; the names are those of the canonical fields.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is the canonical field of its name")]
pub struct Details {
    pub region: Option<String>,
    pub company_type: Option<String>,
    pub incorporation_date: Option<String>,
    pub registered_address: Option<String>,
    pub registry_status: Option<String>,
    pub tax_number: Option<String>,
    pub verification_status: Option<String>,
    pub risk_level: Option<String>,
    pub alternative_names: Vec<String>,
    pub nature_of_business: Option<String>,
    pub registered_capital: Option<String>,
    pub registered_capital_amount: Option<String>,
    pub registered_capital_currency: Option<String>,
    pub website: Option<String>,
    pub email: Option<String>,
    pub phone: Option<String>,
    pub legal_entity_identifier: Option<String>,
    pub location_of_registration: Option<String>,
    pub vat_number: Option<String>,
    pub officers: Vec<Officer>,
    pub beneficial_owners: Vec<Owner>,
    pub addresses: Vec<Map<String, Value>>,
    pub industries: Vec<Map<String, Value>>,
    pub documents: Vec<Document>,
}

/// Somebody who runs a company.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is the canonical field of its name")]
pub struct Officer {
    pub name: String,
    pub designation: Option<String>,
    pub role: Option<String>,
    pub nationality: Option<String>,
    pub appointment_date: Option<String>,
    pub termination_date: Option<String>,
    pub is_active: bool,
    pub address: Option<String>,
}

/// A person or company that owns a part of a company.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each is the canonical field of its name")]
pub struct Owner {
    pub name: String,
    pub first_name: Option<String>,
    pub last_name: Option<String>,
    pub entity_type: String,
    pub date_of_birth: Option<String>,
    pub country_of_birth: Option<String>,
    pub email: Option<String>,
    pub company_name: Option<String>,
    pub registration_number: Option<String>,
    pub nationality: Option<String>,
    pub designation: Option<String>,
    pub roles: Vec<String>,
    pub ownership_min_shares: Option<String>,
    pub ownership_max_shares: Option<String>,
    pub is_active: bool,
}

/// A document of a company. Its link is left where it is, so that nobody shows it.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(default)]
pub struct Document {
    /// What it shows.
    pub document_type: String,
}

impl Details {
    /// Details of a session.
    pub fn of(session: &StoredBusinessSession) -> Self {
        // What was kept passed the reader of imports, so it has these shapes.
        session.details.as_ref().and_then(|details| Self::deserialize(details).ok()).unwrap_or_default()
    }

    /// The checks a session with these details holds.
    pub fn features(&self) -> Vec<Feature> {
        let has_people = !self.officers.is_empty() || !self.beneficial_owners.is_empty();
        [
            (true, Feature::Registry),
            (has_people, Feature::KeyPeople),
            (!self.documents.is_empty(), Feature::Documents),
        ]
        .into_iter()
        .filter_map(|(held, feature)| held.then_some(feature))
        .collect()
    }
}

impl Owner {
    /// The greatest share in percent, or the least where that is no number.
    pub fn ownership_percent(&self) -> Option<f64> {
        [&self.ownership_max_shares, &self.ownership_min_shares]
            .into_iter()
            .filter_map(|share| share.as_deref()?.trim().trim_end_matches('%').trim_end().parse::<f64>().ok())
            .find(|percent| percent.is_finite())
    }
}

/// Where every check of a session stands: as the session itself.
pub fn feature_status(session: &StoredBusinessSession) -> FeatureStatus {
    session.status.as_feature()
}

/// Id of the profile the session belongs to.
pub fn profile_id(session: &StoredBusinessSession) -> Option<Uuid> {
    let vendor_data = session.vendor_data.as_ref()?;
    Some(derive(session.application_id, RecordKind::Business, &[vendor_data.as_bytes()]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ownership_is_the_greatest_bound_that_is_a_number() {
        let owner = |min: Option<&str>, max: Option<&str>| Owner {
            ownership_min_shares: min.map(str::to_owned),
            ownership_max_shares: max.map(str::to_owned),
            ..Owner::default()
        };
        for (min, max, percent) in [
            (Some("50"), Some("75"), Some(75.0)),
            (Some("25.5%"), None, Some(25.5)),
            (Some("10"), Some("most of it"), Some(10.0)),
            (Some("10"), Some("NaN"), Some(10.0)),
            (None, Some("100 %"), Some(100.0)),
            (None, Some("inf"), None),
            (None, None, None),
        ] {
            assert_eq!(owner(min, max).ownership_percent(), percent, "{min:?} {max:?}");
        }
    }
}
