//! Incode: the answers about one session, which its customer has put together under its id.

mod company;
mod shapes;

use std::borrow::Cow;

use chrono::{DateTime, NaiveTime};

use super::{
    draft::Draft,
    metadata::{self, Metadata},
    normal::{self, Verdict, fold},
    person::{Person, Pick, no_id, no_verdict},
    registry::Export,
    shape::{self, Leaf, Raw},
};
use crate::{
    canonical::{
        document::DocumentType,
        status::{FeatureStatus, SessionStatus},
    },
    domain::{
        import::ImportType,
        issue::{Issue, IssueCode},
    },
};
use shapes::{Images, Ocr, Scores, Session};

/// Longest link that is taken for one.
const LINK_BYTES: usize = 2_048;

/// Reads a session of Incode's. What answers about a session are without its id belong to nobody.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    if top.has("interviewId") && top.has("ekyb") {
        return Some(company::read(export, draft));
    }
    let is_session = ["onboardingStatus", "scores", "score", "ocrData", "ocr"].iter().any(|key| top.has(key));
    (top.has("interviewId") && is_session).then(|| read_session(export, draft))
}

fn read_session(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    export.must_be(ImportType::UserVerification, "a verification of a person")?;
    let session = shape::read::<Session<'_>>(export.record, draft);
    let outer: Ocr<'_> = session.ocr.read();
    let ocr = if outer.inner.get().is_some() { outer.inner.read() } else { outer };
    let verdict = verdict_of(&session);
    let scores = &session.scores;
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: session.id.pick(),
        vendor_data: session.external_customer_id.pick().or_else(|| session.external_id.pick()),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        created_at: session.created_at.pick(),
        completed_at: session.finished_at.pick(),
        document_status: feature(&scores.id.overall),
        liveness_status: feature(&scores.liveness.overall),
        liveness_score: scores.liveness.overall.value.pick(),
        face_match_status: feature(&scores.face.overall),
        face_match_score: scores.face.overall.value.pick(),
        ..Person::default()
    };
    if verdict
        .as_ref()
        .is_some_and(|verdict| verdict.word.to_ascii_uppercase().contains("VALIDATION_FINISHED"))
    {
        draft.warn(
            IssueCode::StoppedMidway,
            "status",
            "the session was left after a step, whose scores decide nothing",
        );
    }
    person.source_status = verdict.map(|verdict| verdict.word);
    add_ocr(&mut person, &ocr, &mut metadata, draft);
    add_images(&mut person, &session.images, &mut metadata);
    tell_second(session.second, &mut metadata);
    tell_scores(scores, &mut metadata);
    let aml = match (session.watchlist.status.get(), session.watchlist.hits.get()) {
        (None, None) => None,
        (Some("no_match"), _) | (_, Some("0")) => Some(FeatureStatus::Approved),
        _ => Some(FeatureStatus::InReview),
    };
    let government = feature(&scores.government.overall);
    metadata.texts(
        "checks",
        &[("aml", aml.map(FeatureStatus::as_str)), ("government", government.map(FeatureStatus::as_str))],
    );
    metadata.text("flow_id", session.flow_id.get());
    metadata.text("customer_id", scores.face.customer_id.get());
    metadata.text("overall_score", scores.overall.value.get());
    metadata.raw("custom_fields", session.custom_fields.get());
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("interviewId")),
        (_, None) => Err(no_verdict("onboardingStatus and no scores")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

/// Tests that failed or warned, and rules of the customer's own.
fn tell_scores(scores: &Scores<'_>, metadata: &mut Metadata) {
    let face = &scores.face;
    let is_odd = |test: &shapes::Score<'_>| matches!(test.status.get(), Some("FAIL" | "WARN"));
    for (section, part) in [
        ("idValidation", &scores.id),
        ("liveness", &scores.liveness),
        ("governmentValidation", &scores.government),
    ] {
        for test in part.quality.iter().chain(part.specific.iter()).chain(part.custom.iter()) {
            if let Some(key) = test.key.get().filter(|_| is_odd(test)) {
                metadata.reason(format!("{section}.{key}"));
            }
        }
    }
    for (key, test) in [
        ("maskCheck", &face.mask),
        ("lensesCheck", &face.lenses),
        ("faceBrightness", &face.brightness),
        ("nameMatch", &face.name_match),
    ] {
        if is_odd(test) {
            metadata.reason(format!("faceRecognition.{key}"));
        }
    }
    for rule in
        [&scores.id.rule, &scores.liveness.rule, &face.rule].into_iter().filter_map(|rule| rule.name.get())
    {
        metadata.reason(format!("appliedRule.{rule}"));
    }
    if let Some(existing) = face.existing_interview.get() {
        metadata.reason("EXISTING_USER");
        metadata.text("existing_interview_id", Some(existing));
    }
}

/// Pictures the customer has put into the record: links become media, anything else is the name of one. What is
/// longer than a link is a picture itself, and is left out.
fn add_images<'a>(person: &mut Person<'a>, images: &'a Images<'a>, metadata: &mut Metadata) {
    let mut link = |kind: &str, leaf: &'a Leaf<'a>| {
        let text = leaf.get().filter(|text| text.len() <= LINK_BYTES)?;
        if text.starts_with("https://") {
            return Some(Cow::Borrowed(text));
        }
        metadata.media(&[("kind", Some(kind)), ("id", Some(normal::without_query(text)))]);
        None
    };
    person.links.front = link("front", &images.front);
    person.links.back = link("back", &images.back);
    person.links.selfie = link("selfie", &images.selfie);
}

/// A second document, which somebody was asked for besides.
fn tell_second(second: Raw<'_>, metadata: &mut Metadata) {
    let outer: Ocr<'_> = second.read();
    let ocr = if outer.inner.get().is_some() { outer.inner.read() } else { outer };
    metadata.list(
        "other_documents",
        metadata::object(&[
            ("type", ocr.kind.get()),
            ("number", ocr.document_number.get().or(ocr.reference_number.get())),
            ("country", ocr.issuing_country.get()),
        ]),
    );
}

/// The verdict: a reviewer's word comes before the score, and the score of a session that was left
/// midway counts for nothing. The documentation itself misspells one of the words.
fn verdict_of<'a>(session: &'a Session<'_>) -> Option<Verdict<'a>> {
    use SessionStatus as S;
    let scored = session.scores.overall.status.get();
    let by_score = || match scored.map(fold).as_deref() {
        Some("ok") => Some(S::Approved),
        Some("warn" | "manual") => Some(S::InReview),
        Some("fail") => Some(S::Declined),
        None | Some("unknown") => Some(S::Expired),
        Some(_) => None,
    };
    let Some(word) = session.status.get() else {
        return scored.map(|word| Verdict { status: by_score(), word: word.into() });
    };
    let status = match fold(word).as_str() {
        "manualreviewapproved" | "succeeded" => Some(S::Approved),
        "manualreviewrejected" | "failed" => Some(S::Declined),
        "pendingreview" => Some(S::InReview),
        "onboardingfinished" | "onboadingfinished" | "completed" => by_score(),
        "unknown"
        | "expired"
        | "started"
        | "progress"
        | "idvalidationfinished"
        | "idvalidationfinishedsecondid"
        | "facevalidationfinished"
        | "governmentvalidationfinished"
        | "postprocessingfinished" => Some(S::Expired),
        _ => None,
    };
    let word = match scored {
        Some(scored) => Cow::Owned(format!("{word} {scored}")),
        None => word.into(),
    };
    Some(Verdict { status, word })
}

fn feature(score: &shapes::Score<'_>) -> Option<FeatureStatus> {
    Some(match score.status.get()? {
        "OK" => FeatureStatus::Approved,
        "WARN" | "MANUAL" => FeatureStatus::InReview,
        "FAIL" => FeatureStatus::Declined,
        _ => FeatureStatus::NotFinished,
    })
}

fn add_ocr<'a>(person: &mut Person<'a>, ocr: &'a Ocr<'a>, metadata: &mut Metadata, draft: &mut Draft<'_>) {
    let name = &ocr.name;
    person.first_name = normal::spaced([name.first.get(), name.middle.get()])
        .or_else(|| normal::spaced([name.given.get()]))
        .or_else(|| normal::spaced([name.given_mrz.get()]));
    person.last_name = normal::spaced([name.paternal.get(), name.maternal.get()])
        .or_else(|| normal::spaced([name.last_mrz.get()]));
    person.full_name = name.full.pick();
    person.date_of_birth = day(&ocr.birth_date, "date_of_birth", draft);
    person.date_of_issue = day(&ocr.issued_at, "date_of_issue", draft);
    person.expiration_date = day(&ocr.expire_at, "expiration_date", draft);
    metadata.text("issue_year", ocr.issue_year.get().filter(|year| *year != "0"));
    metadata.text("expiration_year", ocr.expiration_year.get().filter(|year| *year != "0"));
    person.gender = ocr.gender.pick();
    person.nationality = ocr.nationality.pick().or_else(|| ocr.nationality_mrz.pick());
    person.document_type = ocr.kind.get().map(document_type);
    person.document_subtype = ocr.kind.pick();
    person.document_number = ocr.document_number.pick().or_else(|| ocr.reference_number.pick());
    person.personal_number = ocr.personal_number.pick().or_else(|| ocr.curp.pick());
    person.issuing_state = ocr.issuing_country.pick();
    let address = ocr.checked_address.get().or(ocr.address.get());
    let lines = address.map(|address| address.lines().map(str::trim).map(Some).collect::<Vec<_>>());
    let fields = &ocr.address_fields;
    let parts =
        [&fields.street, &fields.colony, &fields.postal_code, &fields.city, &fields.state].map(Leaf::get);
    person.address = lines.and_then(normal::joined).or_else(|| normal::joined(parts)).map(Cow::Owned);
}

/// A day of milliseconds since 1970, which lie before it for the old.
fn day(leaf: &Leaf<'_>, field: &'static str, draft: &mut Draft<'_>) -> Pick<'static> {
    let time = leaf.get()?.parse().ok().and_then(DateTime::from_timestamp_millis);
    match time {
        Some(time) => {
            if time.time() != NaiveTime::MIN {
                draft.warn(
                    IssueCode::InvalidDate,
                    field,
                    "the day is that of UTC, since a time stands with it",
                );
            }
            Some(Cow::Owned(time.date_naive().to_string()))
        }
        None => {
            draft.warn(IssueCode::InvalidDate, field, "left out: it is no date");
            None
        }
    }
}

fn document_type(word: &str) -> DocumentType {
    use DocumentType as D;
    match word {
        "IdentificationCard" | "VoterIdentification" | "FederalID" | "TribalIdentification" => {
            D::IdentityCard
        }
        "ResidenceDocument" => D::ResidencePermit,
        "TaxIdentification" => D::TaxCard,
        "MedicalCard" => D::HealthInsuranceCard,
        _ => normal::document(word).unwrap_or(D::Other),
    }
}
