//! What MetaMap's steps found.

use std::borrow::Cow;

use super::shapes::{Document, Step, StepData, Verification, link};
use crate::{
    adapters::{
        metadata::Metadata,
        normal,
        person::{Person, Pick},
    },
    canonical::status::FeatureStatus,
};

/// Codes of steps that were left out, or had too little to go by.
const NOT_FAILED: [&str; 5] = [".notEnoughParams", ".skipped", ".notValidParams", ".noDOB", ".notProvided"];

/// Codes of pictures that were too poor to tell anything by.
const POOR: [&str; 4] = [".negligence", ".noMatchFound", ".noRequiredFields", ".noSuitableBiometricsFound"];

/// When the last of the steps was completed.
pub(super) fn newest<'a>(verification: &'a Verification<'a>) -> Pick<'a> {
    let of_documents = verification.documents.iter().flat_map(|document| document.steps.iter());
    let steps = verification.steps.iter().chain(of_documents);
    steps.filter_map(|step| step.completed_at.get()).max().map(Cow::Borrowed)
}

/// Fills in what the steps tell.
pub(super) fn add<'a>(
    person: &mut Person<'a>,
    verification: &'a Verification<'a>,
    primary: &'a Document<'a>,
    metadata: &mut Metadata,
) {
    let (mut document, mut face, mut aml) = (Vec::new(), Vec::new(), Vec::new());
    for step in primary.steps.iter() {
        match step.id.get().unwrap_or_default() {
            "facematch" => {
                person.face_match_score = step.data.read::<StepData<'a>>().score.take();
                face.push(status(step));
            }
            id if id.contains("watchlists") => aml.push(screened(step)),
            _ => document.push(status(step)),
        }
    }
    for step in verification.steps.iter() {
        add_step(person, step, &mut face, &mut aml, metadata);
    }
    person.document_status = normal::worst(document);
    person.face_match_status = normal::worst(face);
    let papers = verification.documents.iter().filter(|other| super::kind(other) == "proofofresidency");
    let address = normal::worst(papers.flat_map(|paper| paper.steps.iter()).map(status));
    let shown = |status: Option<FeatureStatus>| status.map(FeatureStatus::as_str);
    metadata.texts("checks", &[("aml", shown(normal::worst(aml))), ("proof_of_address", shown(address))]);
    let of_documents = verification.documents.iter().flat_map(|document| document.steps.iter());
    for code in verification.steps.iter().chain(of_documents).filter_map(|step| step.error.code.get()) {
        metadata.reason(code);
    }
    let expired = verification.computed.dig(&["isDocumentExpired", "data"]).top();
    if expired.members().any(|(_, raw)| raw.get() == Some("true")) {
        metadata.reason("DOCUMENT_EXPIRED");
    }
}

fn add_step<'a>(
    person: &mut Person<'a>,
    step: &'a Step<'a>,
    face: &mut Vec<FeatureStatus>,
    aml: &mut Vec<FeatureStatus>,
    metadata: &mut Metadata,
) {
    let data: StepData<'a> = step.data.read();
    match step.id.get().unwrap_or_default() {
        "liveness" | "voice+liveness" | "selfie" => {
            person.liveness_status = Some(status(step));
            person.links.selfie = link(data.selfie);
            person.links.video = link(data.video);
        }
        "re-facematch" => {
            face.push(status(step));
            person.face_match_score = person.face_match_score.take().or_else(|| data.score.take());
        }
        "phone-ownership-validation" => person.phone = phone(&data).map(Cow::Owned),
        "email-ownership-validation" | "email-risk-validation" => {
            person.email = person.email.take().or_else(|| data.email.take());
        }
        "ip-validation" => metadata.raw("ip_validation", step.data.get()),
        id if id.contains("watchlists") => aml.push(screened(step)),
        _ => {}
    }
}

/// Dialling code and number, which stand apart.
fn phone(data: &StepData<'_>) -> Option<String> {
    let number = data.phone.get()?;
    Some(match data.dialing_code.get() {
        Some(code) if !number.starts_with('+') => format!("+{}{number}", code.trim_start_matches('+')),
        _ => number.to_owned(),
    })
}

fn status(step: &Step<'_>) -> FeatureStatus {
    let is_done = step.status.get().is_none_or(|status| status == "200");
    match step.error.code.get() {
        _ if !is_done => FeatureStatus::NotFinished,
        None => FeatureStatus::Approved,
        Some(code) if NOT_FAILED.iter().any(|end| code.ends_with(end)) => FeatureStatus::NotFinished,
        Some(code) if POOR.iter().any(|end| code.ends_with(end)) => FeatureStatus::InReview,
        Some(_) => FeatureStatus::Declined,
    }
}

/// The status of a look at a watchlist: a hit is for a person to judge.
fn screened(step: &Step<'_>) -> FeatureStatus {
    match status(step) {
        FeatureStatus::Declined => FeatureStatus::InReview,
        status => status,
    }
}
