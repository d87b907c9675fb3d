//! What is derived of a person's session.

use serde_json::Value;
use uuid::Uuid;

use crate::{
    canonical::{status::FeatureStatus, user_verification::detail},
    domain::{
        ids::{RecordKind, derive},
        import::words,
    },
    store::StoredSession,
};

words! {
    /// A check that a person's session may hold, by the name decisions give it.
    Feature {
        /// Identity data.
        IdVerification = "ID_VERIFICATION",
        /// Liveness.
        Liveness = "LIVENESS",
        /// Comparison of face and document.
        FaceMatch = "FACE_MATCH",
    }
}

/// The checks a session holds and where each stands: its own status, else the session's.
pub fn features(session: &StoredSession) -> Vec<(Feature, FeatureStatus)> {
    let columns = &session.columns;
    let find = |key: &str| columns.details.as_ref().and_then(|details| details.get(key));
    let has = |keys: &[&str]| keys.iter().any(|key| find(key).is_some());
    let status = |key: &str| find(key).and_then(Value::as_str).and_then(FeatureStatus::from_word);
    let texts = [
        &columns.document_subtype,
        &columns.document_number,
        &columns.personal_number,
        &columns.first_name,
        &columns.last_name,
        &columns.full_name,
        &columns.gender,
        &columns.nationality,
        &columns.issuing_state,
        &columns.address,
        &columns.place_of_birth,
    ];
    let dates = [columns.date_of_birth, columns.date_of_issue, columns.expiration_date];
    let identity = session.document_type.is_some()
        || session.id_verification_status.is_some()
        || texts.iter().any(|text| text.is_some())
        || dates.iter().any(Option::is_some)
        || has(&[detail::MARITAL_STATUS, detail::PARSED_ADDRESS, detail::EXTRA_FIELDS])
        || has(&detail::DOCUMENT_MEDIA);
    let liveness = has(&[detail::LIVENESS_STATUS, detail::LIVENESS_SCORE]) || has(&detail::LIVENESS_MEDIA);
    let face_match = has(&[detail::FACE_MATCH_STATUS, detail::FACE_MATCH_SCORE]);
    let own = session.status.as_feature();
    [
        (identity, Feature::IdVerification, session.id_verification_status),
        (liveness, Feature::Liveness, status(detail::LIVENESS_STATUS)),
        (face_match, Feature::FaceMatch, status(detail::FACE_MATCH_STATUS)),
    ]
    .into_iter()
    .filter(|(held, ..)| *held)
    .map(|(_, feature, status)| (feature, status.unwrap_or(own)))
    .collect()
}

/// First and last name, or the full name where both are unknown.
pub fn full_name(session: &StoredSession) -> Option<String> {
    let columns = &session.columns;
    match (&columns.first_name, &columns.last_name) {
        (Some(first), Some(last)) => Some(format!("{first} {last}")),
        (Some(name), None) | (None, Some(name)) => Some(name.clone()),
        (None, None) => columns.full_name.clone(),
    }
}

/// Id of the profile the session belongs to.
pub fn profile_id(session: &StoredSession) -> Option<Uuid> {
    let vendor_data = session.columns.vendor_data.as_ref()?;
    Some(derive(session.application_id, RecordKind::User, &[vendor_data.as_bytes()]))
}
