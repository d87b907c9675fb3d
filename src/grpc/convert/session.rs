//! Sessions of either kind; those of people in full.

use chrono::{Datelike, NaiveDate};
use serde_json::Value as Json;

use super::{IMPORTED_NODE, business, date, find_object, timestamp};
use crate::{
    canonical::{
        country,
        status::{FeatureStatus, SessionStatus},
    },
    clock,
    domain::media::MediaSlot,
    grpc::pb,
    records::{
        MediaLinks, Session,
        user::{self, Feature},
    },
    store::StoredSession,
};

pub(super) fn session_status(status: SessionStatus) -> i32 {
    match status {
        SessionStatus::Approved => pb::SessionStatus::Approved as i32,
        SessionStatus::Declined => pb::SessionStatus::Declined as i32,
        SessionStatus::InReview => pb::SessionStatus::InReview as i32,
        SessionStatus::Expired => pb::SessionStatus::Expired as i32,
        SessionStatus::Abandoned => pb::SessionStatus::Abandoned as i32,
        SessionStatus::KycExpired => pb::SessionStatus::KycExpired as i32,
    }
}

pub(super) fn feature_status(status: FeatureStatus) -> i32 {
    match status {
        FeatureStatus::ResubRequested => pb::FeatureStatus::ResubRequested as i32,
        FeatureStatus::Approved => pb::FeatureStatus::Approved as i32,
        FeatureStatus::Declined => pb::FeatureStatus::Declined as i32,
        FeatureStatus::InReview => pb::FeatureStatus::InReview as i32,
        FeatureStatus::Expired => pb::FeatureStatus::Expired as i32,
        FeatureStatus::NotFinished => pb::FeatureStatus::NotFinished as i32,
    }
}

pub(super) fn user_features(session: &StoredSession) -> Vec<pb::Feature> {
    let wire = |(feature, status): (Feature, FeatureStatus)| pb::Feature {
        feature: feature.as_str().to_owned(),
        status: feature_status(status),
    };
    user::features(session).into_iter().map(wire).collect()
}

pub(in crate::grpc) fn session(session: Session, portraits: &MediaLinks) -> pb::Session {
    match session {
        Session::User(session) => user_session(*session, portraits),
        Session::Business(session) => business::session(*session),
    }
}

pub(in crate::grpc) fn decision(session: Session, media: &MediaLinks) -> pb::Decision {
    match session {
        Session::User(session) => user_decision(*session, media),
        Session::Business(session) => business::decision(*session),
    }
}

fn user_session(session: StoredSession, portraits: &MediaLinks) -> pb::Session {
    let portrait_image = portraits.of(&session, MediaSlot::PortraitImage);
    let features = user_features(&session);
    let didit_internal_id = user::profile_id(&session).map(|id| id.to_string());
    let full_name = user::full_name(&session);
    let columns = session.columns;
    pb::Session {
        session_id: columns.id.to_string(),
        session_kind: pb::SessionKind::User as i32,
        session_number: columns.session_number,
        session_type: pb::SessionType::Migrated as i32,
        document_type: session.document_type.map(|document| document.display_name().to_owned()),
        full_name,
        country: columns.issuing_state,
        status: session_status(session.status),
        vendor_data: columns.vendor_data,
        didit_internal_id,
        created_at: Some(timestamp(columns.created_at)),
        features,
        phone_number: columns.phone.map(|number| pb::PhoneNumber { number, is_verified: false }),
        email_address: columns.email.map(|email| pb::EmailAddress { email, is_verified: false }),
        provider: columns.provider,
        external_id: columns.external_id,
        workflow_id: Some(columns.workflow_id.to_string()),
        import_id: columns.import_id.to_string(),
        row_number: columns.row_number,
        company_name: None,
        registration_number: None,
        portrait_image,
    }
}

fn user_decision(session: StoredSession, media: &MediaLinks) -> pb::Decision {
    let features = user::features(&session);
    let status_of = |wanted: Feature| {
        features.iter().find(|(feature, _)| *feature == wanted).map(|(_, status)| feature_status(*status))
    };
    let details = session.columns.details.as_ref();
    let score = |key: &str| details.and_then(|details| details.get(key)).and_then(Json::as_f64);
    let (email, phone) = (session.columns.email.clone(), session.columns.phone.clone());
    pb::Decision {
        id_verifications: status_of(Feature::IdVerification)
            .map(|status| id_verification(&session, status, media))
            .into_iter()
            .collect(),
        liveness_checks: status_of(Feature::Liveness)
            .map(|status| pb::LivenessCheck {
                node_id: IMPORTED_NODE.to_owned(),
                status,
                score: score("liveness_score"),
                reference_image: media.of(&session, MediaSlot::SelfieImage),
                video_url: media.of(&session, MediaSlot::LivenessVideo),
            })
            .into_iter()
            .collect(),
        face_matches: status_of(Feature::FaceMatch)
            .map(|status| pb::FaceMatch {
                node_id: IMPORTED_NODE.to_owned(),
                status,
                score: score("face_match_score"),
            })
            .into_iter()
            .collect(),
        session_id: session.columns.id.to_string(),
        session_kind: pb::SessionKind::User as i32,
        session_number: session.columns.session_number,
        status: session_status(session.status),
        workflow_id: Some(session.columns.workflow_id.to_string()),
        features: features.iter().map(|(feature, _)| feature.as_str().to_owned()).collect(),
        metadata: find_object(session.columns.metadata.as_ref()),
        contact_details: (email.is_some() || phone.is_some()).then_some(pb::ContactDetails { email, phone }),
        created_at: Some(timestamp(session.columns.created_at)),
        expires_at: session.columns.expires_at.map(timestamp),
        environment: "live".to_owned(),
        session_type: pb::SessionType::Migrated as i32,
        vendor_data: session.columns.vendor_data,
        provider: session.columns.provider,
        external_id: session.columns.external_id,
        registry_checks: Vec::new(),
        key_people_checks: Vec::new(),
        document_verifications: Vec::new(),
    }
}

fn id_verification(session: &StoredSession, status: i32, media: &MediaLinks) -> pb::IdVerification {
    let medium = |slot| media.of(session, slot);
    let columns = &session.columns;
    let detail = |key: &str| columns.details.as_ref().and_then(|details| details.get(key));
    pb::IdVerification {
        node_id: IMPORTED_NODE.to_owned(),
        status,
        document_type: session.document_type.map(|document| document.display_name().to_owned()),
        document_subtype: columns.document_subtype.clone(),
        document_number: columns.document_number.clone(),
        personal_number: columns.personal_number.clone(),
        date_of_birth: columns.date_of_birth.map(date),
        age: columns.date_of_birth.map(|birth| age(birth, clock::now().date_naive())),
        expiration_date: columns.expiration_date.map(date),
        date_of_issue: columns.date_of_issue.map(date),
        issuing_state: columns.issuing_state.clone(),
        issuing_state_name: columns.issuing_state.as_deref().and_then(country::name).map(str::to_owned),
        first_name: columns.first_name.clone(),
        last_name: columns.last_name.clone(),
        full_name: user::full_name(session),
        gender: columns.gender.clone(),
        address: columns.address.clone(),
        place_of_birth: columns.place_of_birth.clone(),
        marital_status: detail("marital_status").and_then(Json::as_str).map(str::to_owned),
        nationality: columns.nationality.clone(),
        parsed_address: find_object(detail("parsed_address")),
        extra_fields: find_object(detail("extra_fields")),
        portrait_image: medium(MediaSlot::PortraitImage),
        front_image: medium(MediaSlot::FrontImage),
        front_video: medium(MediaSlot::FrontVideo),
        back_image: medium(MediaSlot::BackImage),
        back_video: medium(MediaSlot::BackVideo),
    }
}

fn age(birth: NaiveDate, today: NaiveDate) -> i32 {
    let had_birthday = (today.month(), today.day()) >= (birth.month(), birth.day());
    today.year() - birth.year() - i32::from(!had_birthday)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_counts_whole_years() {
        let day = |y, m, d| NaiveDate::from_ymd_opt(y, m, d).expect("day");
        assert_eq!(age(day(1990, 6, 15), day(2026, 6, 14)), 35);
        assert_eq!(age(day(1990, 6, 15), day(2026, 6, 15)), 36);
        assert_eq!(age(day(2004, 2, 29), day(2026, 2, 28)), 21);
    }
}
