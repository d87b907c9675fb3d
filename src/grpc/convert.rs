//! What the rooms behind know, as the wire says it.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use prost_types::{ListValue, Struct, Timestamp, Value, value::Kind};
use serde_json::{Map, Value as Json};

use super::pb;
use crate::{
    canonical::{country, status::FeatureStatus, status::SessionStatus},
    clock,
    domain::{
        ids::{ApplicationId, ImportId, RecordKind, derive},
        import::{Compression, Import, SourceFormat, StartMode},
        issue::{Issue, IssueCode},
        refusal::Role,
    },
    imports::RowError,
    records::{self, Feature},
    store::{ApiKey, Application, StoredSession, UserProfile, Workflow, WorkflowKind},
};

/// Node of a workflow that imported checks stand under.
const IMPORTED_NODE: &str = "imported";

pub(super) fn timestamp(time: DateTime<Utc>) -> Timestamp {
    Timestamp { seconds: time.timestamp(), nanos: time.timestamp_subsec_nanos() as i32 }
}

fn date(date: NaiveDate) -> String {
    date.format("%F").to_string()
}

fn json(value: Json) -> Value {
    let kind = match value {
        Json::Null => Kind::NullValue(0),
        Json::Bool(value) => Kind::BoolValue(value),
        Json::Number(number) => match number.as_f64() {
            Some(value) => Kind::NumberValue(value),
            None => Kind::StringValue(number.to_string()),
        },
        Json::String(text) => Kind::StringValue(text),
        Json::Array(items) => Kind::ListValue(ListValue { values: items.into_iter().map(json).collect() }),
        Json::Object(members) => Kind::StructValue(object(members)),
    };
    Value { kind: Some(kind) }
}

fn object(members: Map<String, Json>) -> Struct {
    Struct { fields: members.into_iter().map(|(key, value)| (key, json(value))).collect() }
}

fn find_object(value: Option<&Json>) -> Option<Struct> {
    value.and_then(Json::as_object).cloned().map(object)
}

pub(super) fn import(import: Import) -> pb::Import {
    let now = clock::now();
    let status = format!("IMPORT_STATUS_{}", import.status.as_str());
    let (reason, failure) = import.failure.clone().unzip();
    pb::Import {
        uuid: import.id.to_string(),
        status: pb::ImportStatus::from_str_name(&status).unwrap_or_default() as i32,
        import_type: pb::ImportType::UserVerification as i32,
        source_format: match import.format.or(import.spec.source_format) {
            None => pb::SourceFormat::Unspecified,
            Some(SourceFormat::Csv) => pb::SourceFormat::Csv,
            Some(SourceFormat::Ndjson) => pb::SourceFormat::Ndjson,
        } as i32,
        total_rows: import.total_rows,
        processed_rows: import.counters.processed(),
        checkpoint_row: import.checkpoint_row,
        created_count: import.counters.created,
        updated_count: import.counters.updated,
        skipped_count: import.counters.skipped,
        failed_count: import.counters.failed,
        duplicate_count: import.counters.duplicate,
        total_media_bytes: 0,
        last_error: failure,
        last_error_reason: reason,
        created_at: Some(timestamp(import.created_at)),
        updated_at: Some(timestamp(import.updated_at)),
        started_at: import.started_at.map(timestamp),
        completed_at: import.completed_at.map(timestamp),
        workflow_id: import.spec.workflow_id.map(|id| id.to_string()),
        committed_size: import.committed_size,
        source_bytes: import.source_bytes,
        processed_bytes: import.processed_bytes,
        upload_finished: import.upload_finished,
        compression: match import.compression {
            None => pb::Compression::Unspecified,
            Some(Compression::None) => pb::Compression::None,
            Some(Compression::Gzip) => pb::Compression::Gzip,
            Some(Compression::Zstd) => pb::Compression::Zstd,
        } as i32,
        csv_delimiter: match (import.format, import.delimiter) {
            (Some(SourceFormat::Csv), Some(delimiter)) => char::from(delimiter).to_string(),
            _ => String::new(),
        },
        rows_per_second: import.rows_per_second(now),
        eta_seconds: import.eta_seconds(now),
        sequence: import.sequence,
        columns: import.columns,
        dry_run: import.spec.dry_run,
        start: match import.spec.start {
            StartMode::OnArrival => pb::StartMode::OnArrival,
            StartMode::AfterUpload => pb::StartMode::AfterUpload,
        } as i32,
        source_size: import.spec.source_size,
        source_filename: import.spec.source_filename,
        provider: import.spec.provider,
        labels: import.spec.labels.into_iter().collect(),
    }
}

pub(super) fn row_error(application: ApplicationId, import: ImportId, error: RowError) -> pb::RowError {
    let RowError { stored, raw } = error;
    let key: [&[u8]; 2] = [import.0.as_bytes(), &stored.row_number.to_be_bytes()];
    pb::RowError {
        uuid: derive(application, RecordKind::RowError, &key).to_string(),
        row_number: stored.row_number,
        line_number: stored.line_number,
        byte_offset: stored.byte_offset,
        external_id: stored.external_id,
        error: stored.issues.iter().map(Issue::line).collect::<Vec<_>>().join("; "),
        issues: stored.issues.into_iter().map(issue).collect(),
        raw_row: raw.map(object),
        created_at: Some(timestamp(stored.created_at)),
    }
}

fn issue(issue: Issue) -> pb::Issue {
    let known = IssueCode::from_word(&issue.code).map(|code| format!("ISSUE_CODE_{}", code.as_str()));
    let code = known.and_then(|name| pb::IssueCode::from_str_name(&name)).unwrap_or_default();
    pb::Issue { code: code as i32, field: issue.field, message: issue.message, value: issue.value }
}

fn session_status(status: SessionStatus) -> i32 {
    match status {
        SessionStatus::Approved => pb::SessionStatus::Approved as i32,
        SessionStatus::Declined => pb::SessionStatus::Declined as i32,
        SessionStatus::InReview => pb::SessionStatus::InReview as i32,
        SessionStatus::Expired => pb::SessionStatus::Expired as i32,
        SessionStatus::Abandoned => pb::SessionStatus::Abandoned as i32,
        SessionStatus::KycExpired => pb::SessionStatus::KycExpired as i32,
    }
}

fn feature_status(status: FeatureStatus) -> i32 {
    match status {
        FeatureStatus::Approved => pb::FeatureStatus::Approved as i32,
        FeatureStatus::Declined => pb::FeatureStatus::Declined as i32,
        FeatureStatus::InReview => pb::FeatureStatus::InReview as i32,
        FeatureStatus::Expired => pb::FeatureStatus::Expired as i32,
        FeatureStatus::NotFinished => pb::FeatureStatus::NotFinished as i32,
    }
}

fn features(session: &StoredSession) -> Vec<pb::Feature> {
    let wire = |(feature, status): (Feature, FeatureStatus)| pb::Feature {
        feature: feature.as_str().to_owned(),
        status: feature_status(status),
    };
    records::features(session).into_iter().map(wire).collect()
}

fn user_id(session: &StoredSession) -> Option<String> {
    let vendor_data = session.columns.vendor_data.as_ref()?;
    Some(derive(session.application_id, RecordKind::User, &[vendor_data.as_bytes()]).to_string())
}

pub(super) fn session(session: StoredSession) -> pb::Session {
    let features = features(&session);
    let didit_internal_id = user_id(&session);
    let full_name = records::full_name(&session);
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
    }
}

pub(super) fn decision(session: StoredSession) -> pb::Decision {
    let features = records::features(&session);
    let status_of = |wanted: Feature| {
        features.iter().find(|(feature, _)| *feature == wanted).map(|(_, status)| feature_status(*status))
    };
    let details = session.columns.details.as_ref();
    let score = |key: &str| details.and_then(|details| details.get(key)).and_then(Json::as_f64);
    let (email, phone) = (session.columns.email.clone(), session.columns.phone.clone());
    pb::Decision {
        id_verifications: status_of(Feature::IdVerification)
            .map(|status| id_verification(&session, status))
            .into_iter()
            .collect(),
        liveness_checks: status_of(Feature::Liveness)
            .map(|status| pb::LivenessCheck {
                node_id: IMPORTED_NODE.to_owned(),
                status,
                score: score("liveness_score"),
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
    }
}

fn id_verification(session: &StoredSession, status: i32) -> pb::IdVerification {
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
        full_name: records::full_name(session),
        gender: columns.gender.clone(),
        address: columns.address.clone(),
        place_of_birth: columns.place_of_birth.clone(),
        marital_status: detail("marital_status").and_then(Json::as_str).map(str::to_owned),
        nationality: columns.nationality.clone(),
        parsed_address: find_object(detail("parsed_address")),
        extra_fields: find_object(detail("extra_fields")),
    }
}

fn age(birth: NaiveDate, today: NaiveDate) -> i32 {
    let had_birthday = (today.month(), today.day()) >= (birth.month(), birth.day());
    today.year() - birth.year() - i32::from(!had_birthday)
}

pub(super) fn user(user: UserProfile) -> pb::User {
    let full_name = user.latest_approved.as_ref().and_then(records::full_name);
    pb::User {
        didit_internal_id: user_id(&user.latest).unwrap_or_default(),
        effective_name: full_name.clone(),
        full_name,
        date_of_birth: user.date_of_birth().map(date),
        status: pb::UserStatus::Active as i32,
        session_count: user.sessions,
        approved_count: user.approved,
        declined_count: user.declined,
        in_review_count: user.in_review,
        features_list: features(&user.latest),
        last_session_at: Some(timestamp(user.latest.columns.created_at)),
        first_session_at: Some(timestamp(user.first_session_at)),
        tags: records::tags(&user.details),
        issuing_states: user.issuing_states,
        vendor_data: user.vendor_data,
    }
}

pub(super) fn application(application: Application) -> pb::Application {
    pb::Application {
        id: application.id.to_string(),
        name: application.name,
        imports_enabled: application.imports_enabled,
        sandbox: application.sandbox,
        max_active_imports: application.max_active_imports,
        created_at: Some(timestamp(application.created_at)),
    }
}

pub(super) fn api_key(key: ApiKey) -> pb::ApiKey {
    pb::ApiKey {
        id: key.id.to_string(),
        application_id: key.application_id.map(|id| id.to_string()).unwrap_or_default(),
        name: key.name,
        role: match key.role {
            Role::Reader => pb::Role::Reader,
            Role::Importer => pb::Role::Importer,
            Role::Operator => pb::Role::Operator,
            Role::Admin => pb::Role::Admin,
        } as i32,
        created_at: Some(timestamp(key.created_at)),
        revoked_at: key.revoked_at.map(timestamp),
    }
}

pub(super) fn workflow(workflow: Workflow) -> pb::Workflow {
    pb::Workflow {
        id: workflow.id.to_string(),
        application_id: workflow.application_id.to_string(),
        name: workflow.name,
        kind: match workflow.kind {
            WorkflowKind::User => pb::WorkflowKind::User,
            WorkflowKind::Business => pb::WorkflowKind::Business,
        } as i32,
        created_at: Some(timestamp(workflow.created_at)),
    }
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

    #[test]
    fn every_word_has_its_wire_value() {
        for code in IssueCode::ALL {
            let wire = issue(Issue::of_record(*code, "m"));
            assert_ne!(wire.code, pb::IssueCode::Unspecified as i32, "{code:?}");
        }
        for status in crate::domain::import::ImportStatus::ALL {
            let name = format!("IMPORT_STATUS_{}", status.as_str());
            assert!(pb::ImportStatus::from_str_name(&name).is_some(), "{name}");
        }
    }
}
