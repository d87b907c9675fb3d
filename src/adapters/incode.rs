//! Incode: the answers about one session, which its customer has put together under its id.

use std::borrow::Cow;

use chrono::DateTime;

use super::{
    draft::Draft,
    metadata::Metadata,
    normal::{self, Verdict, fold},
    person::{Person, Pick, no_id, no_verdict},
    registry::{Export, bad_json},
    shape::{self, Leaf, List, Raw, shape},
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

shape! {
    /// A session.
    struct Session {
        id: Leaf = "interviewId",
        external_customer_id: Leaf = "externalCustomerId",
        external_id: Leaf = "externalId",
        status: Leaf = "onboardingStatus",
        created_at: Leaf = "createdAt",
        finished_at: Leaf = "finishedAt",
        flow_id: Leaf = "flowId",
        custom_fields: Raw = "customFields",
        scores: Scores = "scores" | "score",
        ocr: Raw = "ocrData" | "ocr",
        watchlist: Watchlist = "watchlist",
    }

    /// How sure each part of it is.
    struct Scores {
        overall: Score = "overall",
        id: Part = "idValidation",
        liveness: Part = "liveness",
        face: Face = "faceRecognition",
    }

    /// A value and what it means.
    struct Score { value: Leaf = "value", status: Leaf = "status", key: Leaf = "key" }

    /// A part and its tests.
    struct Part {
        overall: Score = "overall",
        quality: List<Score> = "photoSecurityAndQuality",
        specific: List<Score> = "idSpecific",
    }

    /// The likeness.
    struct Face {
        overall: Score = "overall",
        existing_interview: Leaf = "existingInterviewId",
        customer_id: Leaf = "customerId",
    }

    /// Hits on watchlists.
    struct Watchlist { status: Leaf = "match_status", hits: Leaf = "total_hits" }

    /// What was read; a later version of the API puts it into a member of its own.
    struct Ocr {
        inner: Raw = "ocrData",
        name: Name = "name",
        address: Leaf = "address",
        checked_address: Leaf = "checkedAddress",
        kind: Leaf = "typeOfId",
        birth_date: Leaf = "birthDate",
        issued_at: Leaf = "issuedAt",
        expire_at: Leaf = "expireAt",
        issue_year: Leaf = "issueDate",
        expiration_year: Leaf = "expirationDate",
        gender: Leaf = "gender",
        document_number: Leaf = "documentNumber",
        reference_number: Leaf = "refNumber",
        personal_number: Leaf = "personalNumber",
        curp: Leaf = "curp",
        issuing_country: Leaf = "issuingCountry",
        nationality: Leaf = "nationality",
        nationality_mrz: Leaf = "nationalityMrz",
    }

    /// A name in its parts.
    struct Name {
        full: Leaf = "fullName",
        first: Leaf = "firstName",
        middle: Leaf = "middleName",
        given: Leaf = "givenName",
        given_mrz: Leaf = "givenNameMrz",
        paternal: Leaf = "paternalLastName",
        maternal: Leaf = "maternalLastName",
        last_mrz: Leaf = "lastNameMrz",
    }
}

/// Reads a session of Incode's. What answers about a session are without its id belong to nobody.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    if top.has("interviewId") && top.has("ekyb") {
        return Some(export.must_be(ImportType::BusinessVerification, "a company").and_then(|()| {
            let message = "companies of Incode have no published form; send them as canonical rows";
            Err(Issue::of_record(IssueCode::InvalidValue, message))
        }));
    }
    let is_session = ["onboardingStatus", "scores", "score", "ocrData", "ocr"].iter().any(|key| top.has(key));
    (top.has("interviewId") && is_session).then(|| read_session(export, draft))
}

fn read_session(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    export.must_be(ImportType::UserVerification, "a verification of a person")?;
    let session = shape::read::<Session<'_>>(export.line, draft).map_err(|error| bad_json(&error))?;
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
    for (section, part) in [("idValidation", &scores.id), ("liveness", &scores.liveness)] {
        for test in part.quality.iter().chain(part.specific.iter()) {
            if let (Some("FAIL" | "WARN"), Some(key)) = (test.status.get(), test.key.get()) {
                metadata.reason(format!("{section}.{key}"));
            }
        }
    }
    if let Some(existing) = scores.face.existing_interview.get() {
        metadata.reason("EXISTING_USER");
        metadata.text("existing_interview_id", Some(existing));
    }
    let aml = match (session.watchlist.status.get(), session.watchlist.hits.get()) {
        (None, None) => None,
        (Some("no_match"), _) | (_, Some("0")) => Some(FeatureStatus::Approved),
        _ => Some(FeatureStatus::InReview),
    };
    metadata.texts("checks", &[("aml", aml.map(FeatureStatus::as_str))]);
    metadata.text("flow_id", session.flow_id.get());
    metadata.text("customer_id", scores.face.customer_id.get());
    metadata.text("overall_score", scores.overall.value.get());
    metadata.raw("custom_fields", session.custom_fields.get());
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("interviewId")),
        (_, None) => Err(no_verdict("onboardingStatus and no scores")),
        _ => Ok(()),
    };
    person.write(metadata, &export.sidecar, draft);
    result
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

fn feature(score: &Score<'_>) -> Option<FeatureStatus> {
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
    person.address = lines.and_then(normal::joined).map(Cow::Owned);
}

/// A day of milliseconds since 1970, which lie before it for the old.
fn day(leaf: &Leaf<'_>, field: &'static str, draft: &mut Draft<'_>) -> Pick<'static> {
    let time = leaf.get()?.parse().ok().and_then(DateTime::from_timestamp_millis);
    match time {
        Some(time) => Some(Cow::Owned(time.date_naive().to_string())),
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
