//! What became of each check of an identification.

use super::shapes::{Identification, Status};
use crate::{
    adapters::{metadata::Metadata, normal, person::Person, shape::Leaf},
    canonical::status::FeatureStatus,
};

/// Tags by which a face was no living one.
const NOT_ALIVE: [&str; 3] = ["FACE_SUSPECTED", "VIRTUAL_CAMERA", "FAKE_PHOTO"];

/// Fills in what the checks tell; what a person said of them comes before what a machine did.
pub(super) fn add(
    person: &mut Person<'_>,
    record: &Identification<'_>,
    status: &Status<'_>,
    metadata: &mut Metadata,
) {
    person.document_status =
        status.manual_document.get().or(status.auto_document.get()).map(|word| match word {
            "DOC_VALIDATED" => FeatureStatus::Approved,
            "AUTO_UNVERIFIABLE" => FeatureStatus::InReview,
            "DOC_NOT_ANALYSED" => FeatureStatus::NotFinished,
            _ => FeatureStatus::Declined,
        });
    let face = status.manual_face.get().or(status.auto_face.get());
    person.face_match_status = face.map(|word| match word {
        "FACE_MATCH" => FeatureStatus::Approved,
        "FACE_UNCERTAIN" | "AUTO_UNVERIFIABLE" => FeatureStatus::InReview,
        "FACE_NOT_CHECKED" | "FACE_NOT_ANALYSED" => FeatureStatus::NotFinished,
        _ => FeatureStatus::Declined,
    });
    let is_fake = face == Some("FAKE_FACE")
        || status.fraud_tags.iter().filter_map(Leaf::get).any(|tag| NOT_ALIVE.contains(&tag));
    person.liveness_status = is_fake.then_some(FeatureStatus::Declined);
    let old = record.aml.iter().filter_map(|aml| match aml.status.ran.get() {
        Some("false") => Some(FeatureStatus::NotFinished),
        _ => aml.status.overall.get().map(screened),
    });
    let aml =
        record.aml_check.overall.get().or(status.aml.get()).map(screened).or_else(|| normal::worst(old));
    let has_bill = record.steps.top().members().any(|(step, _)| step.contains("UTILITY_BILL"));
    let address = record.address.status.get().or(status.steps.get().filter(|_| has_bill));
    let address = address.map(|word| match word {
        "VERIFIED" | "VALID" => FeatureStatus::Approved,
        "PARTIALLY_VERIFIED" => FeatureStatus::InReview,
        _ => FeatureStatus::Declined,
    });
    let verified = |leaf: &Leaf<'_>| match leaf.get() {
        Some("true") => Some(FeatureStatus::Approved),
        Some("false") => Some(FeatureStatus::Declined),
        _ => None,
    };
    let shown = |status: Option<FeatureStatus>| status.map(FeatureStatus::as_str);
    metadata.texts(
        "checks",
        &[
            ("aml", shown(aml)),
            ("proof_of_address", shown(address)),
            ("email", shown(verified(&record.email.verified))),
            ("phone", shown(verified(&record.phone.verified))),
        ],
    );
}

fn screened(word: &str) -> FeatureStatus {
    match word {
        "NO_FLAGS" | "FALSE_POSITIVE" | "NOT_SUSPECTED" => FeatureStatus::Approved,
        "TRUE_POSITIVE" => FeatureStatus::Declined,
        "NOT_CHECKED" => FeatureStatus::NotFinished,
        _ => FeatureStatus::InReview,
    }
}
