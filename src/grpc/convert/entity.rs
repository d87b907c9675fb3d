//! Profiles of users and businesses, and what was erased of them.

use std::collections::HashMap;

use super::{
    count, date,
    session::{feature_status, user_features},
    timestamp,
};
use crate::{
    domain::ids::SessionId,
    erasure::Report,
    grpc::pb,
    records::{
        MediaLinks,
        business::{self, PROFILE_FEATURE},
        tags, user as person,
    },
    store::{BusinessProfile, UserProfile},
};

fn by_name(features: &[pb::Feature]) -> HashMap<String, i32> {
    features.iter().map(|feature| (feature.feature.clone(), feature.status)).collect()
}

pub(in crate::grpc) fn user(user: UserProfile, faces: &MediaLinks) -> pb::User {
    let portrait_image_url = faces.face(&user);
    let UserProfile { profile, issuing_states } = user;
    let full_name = profile.latest_approved.as_ref().and_then(person::full_name);
    let features_list = user_features(&profile.latest);
    let last_session_at = Some(timestamp(profile.latest.columns.created_at));
    pb::User {
        didit_internal_id: person::profile_id(&profile.latest).map(|id| id.to_string()).unwrap_or_default(),
        effective_name: full_name.clone(),
        full_name,
        date_of_birth: profile.latest_approved.and_then(|session| session.columns.date_of_birth).map(date),
        status: pb::UserStatus::Active as i32,
        session_count: profile.counts.sessions,
        approved_count: profile.counts.approved,
        declined_count: profile.counts.declined,
        in_review_count: profile.counts.in_review,
        features: by_name(&features_list),
        features_list,
        last_session_at,
        first_session_at: profile.counts.first_session_at.map(timestamp),
        last_activity_at: last_session_at,
        tags: tags(&profile.details),
        issuing_states,
        vendor_data: profile.vendor_data,
        portrait_image_url,
    }
}

pub(in crate::grpc) fn business(profile: BusinessProfile) -> pb::Business {
    let named = profile.latest_approved.as_ref().unwrap_or(&profile.latest);
    let status = feature_status(business::feature_status(&profile.latest));
    let features_list = vec![pb::Feature { feature: PROFILE_FEATURE.to_owned(), status }];
    let last_session_at = Some(timestamp(profile.latest.created_at));
    pb::Business {
        didit_internal_id: business::profile_id(&profile.latest).map(|id| id.to_string()).unwrap_or_default(),
        legal_name: named.company_name.clone(),
        registration_number: named.registration_number.clone(),
        country_code: named.country_code.clone(),
        effective_name: named.company_name.clone(),
        status: pb::BusinessStatus::Active as i32,
        session_count: profile.counts.sessions,
        approved_count: profile.counts.approved,
        declined_count: profile.counts.declined,
        in_review_count: profile.counts.in_review,
        features: by_name(&features_list),
        features_list,
        last_session_at,
        first_session_at: profile.counts.first_session_at.map(timestamp),
        last_activity_at: last_session_at,
        tags: tags(&profile.details),
        vendor_data: profile.vendor_data,
    }
}

pub(in crate::grpc) fn erased_user(report: Report) -> pb::EraseUserResponse {
    pb::EraseUserResponse {
        session_count: count(report.sessions),
        transaction_count: count(report.transactions),
        source_row_count: count(report.source_rows),
        unreadable_row_count: count(report.unreadable_rows),
        media_count: count(report.media),
    }
}

pub(in crate::grpc) fn erased_business(report: Report) -> pb::EraseBusinessResponse {
    pb::EraseBusinessResponse {
        session_count: count(report.sessions),
        transaction_count: count(report.transactions),
        source_row_count: count(report.source_rows),
        unreadable_row_count: count(report.unreadable_rows),
    }
}

pub(in crate::grpc) fn deleted_session(
    id: SessionId,
    number: i64,
    report: Report,
) -> pb::DeleteSessionResponse {
    pb::DeleteSessionResponse {
        session_id: id.to_string(),
        session_number: number,
        source_row_count: count(report.source_rows),
        unreadable_row_count: count(report.unreadable_rows),
        media_count: count(report.media),
    }
}
