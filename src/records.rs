//! What a caller may ask of the records that imports made.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::{
    canonical::{status::FeatureStatus, user_verification::MEDIA_KEYS},
    domain::{
        ids::{ApplicationId, SessionId},
        import::words,
        refusal::Refusal,
    },
    error::Error,
    store::{SessionFilter, Store, StoredSession, UserProfile},
};

words! {
    /// A check that an imported session may hold, by the name decisions give it.
    Feature {
        /// Identity data.
        IdVerification = "ID_VERIFICATION",
        /// Liveness.
        Liveness = "LIVENESS",
        /// Comparison of face and document.
        FaceMatch = "FACE_MATCH",
    }
}

/// Records of all applications; cheap to clone.
#[derive(Clone)]
pub struct Records {
    store: Store,
}

impl Records {
    /// Records over this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Lists sessions by descending number, those below `before` only.
    pub async fn list_sessions(
        &self,
        application: ApplicationId,
        filter: &SessionFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<StoredSession>, Error> {
        Ok(self.store.list_sessions(application, filter, before, limit).await?)
    }

    /// A session of the application.
    pub async fn get_session(
        &self,
        application: ApplicationId,
        id: SessionId,
    ) -> Result<StoredSession, Error> {
        Ok(self.store.find_session(application, id).await?.ok_or(Refusal::NotFound("session"))?)
    }

    /// A user of the application.
    pub async fn get_user(
        &self,
        application: ApplicationId,
        vendor_data: &str,
    ) -> Result<UserProfile, Error> {
        Ok(self.store.find_user(application, vendor_data).await?.ok_or(Refusal::NotFound("user"))?)
    }

    /// Lists users by the number of their newest session, descending.
    pub async fn list_users(
        &self,
        application: ApplicationId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<(i64, UserProfile)>, Error> {
        Ok(self.store.list_users(application, before, limit).await?)
    }
}

/// The checks a session holds and where each stands: its own status, else the session's.
pub fn features(session: &StoredSession) -> Vec<(Feature, FeatureStatus)> {
    let columns = &session.columns;
    let detail = |key: &str| columns.details.as_ref().and_then(|details| details.get(key));
    let status = |key: &str| detail(key).and_then(Value::as_str).and_then(FeatureStatus::from_word);
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
        || ["marital_status", "parsed_address", "extra_fields"].iter().any(|key| detail(key).is_some())
        || MEDIA_KEYS.iter().filter(|key| !LIVENESS_MEDIA.contains(key)).any(|key| detail(key).is_some());
    let liveness =
        ["liveness_status", "liveness_score"].iter().chain(LIVENESS_MEDIA).any(|key| detail(key).is_some());
    let face_match = ["face_match_status", "face_match_score"].iter().any(|key| detail(key).is_some());
    let own = session.status.as_feature();
    [
        (identity, Feature::IdVerification, session.id_verification_status),
        (liveness, Feature::Liveness, status("liveness_status")),
        (face_match, Feature::FaceMatch, status("face_match_status")),
    ]
    .into_iter()
    .filter(|(held, ..)| *held)
    .map(|(_, feature, status)| (feature, status.unwrap_or(own)))
    .collect()
}

/// Media that belong to the liveness check, not to the document.
const LIVENESS_MEDIA: &[&str] = &["selfie_image", "liveness_video"];

/// First and last name, or the full name where both are unknown.
pub fn full_name(session: &StoredSession) -> Option<String> {
    let columns = &session.columns;
    match (&columns.first_name, &columns.last_name) {
        (Some(first), Some(last)) => Some(format!("{first} {last}")),
        (Some(name), None) | (None, Some(name)) => Some(name.clone()),
        (None, None) => columns.full_name.clone(),
    }
}

/// Tags of sessions, by their details, sorted.
pub fn tags(details: &[Value]) -> Vec<String> {
    let tags = details.iter().filter_map(|details| details.get("tags")?.as_array()).flatten();
    let sorted: BTreeSet<_> = tags.filter_map(Value::as_str).collect();
    sorted.into_iter().map(str::to_owned).collect()
}
