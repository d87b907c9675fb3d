//! An applicant who is a person.

use std::borrow::Cow;

use super::{checked, shapes::*, verdict_of};
use crate::{
    adapters::{
        draft::Draft,
        metadata::{self, Metadata},
        normal::{self, fold, joined},
        person::{Person, Pick, no_id, no_verdict},
        registry::Export,
        shape::{Leaf, Part},
    },
    canonical::{
        document::DocumentType,
        status::{FeatureStatus, SessionStatus},
    },
    domain::issue::{Issue, IssueCode},
};

/// Papers that say nothing of who somebody is.
const NO_IDENTITY: [&str; 24] = [
    "driverstranslation",
    "selfie",
    "videoselfie",
    "profileimage",
    "iddocphoto",
    "identityvideo",
    "utilitybill",
    "utilitybill2",
    "proofofaddress",
    "bankstatement",
    "bankcard",
    "paymentmethod",
    "paymentsource",
    "incomesource",
    "employmentcertificate",
    "investordoc",
    "agreement",
    "contract",
    "vehicleregistrationcertificate",
    "covidvaccinationform",
    "arbitrarydoc",
    "fileattachment",
    "externaldbdoc",
    "companydoc",
];

/// Reads a person.
pub(super) fn read(export: &Export<'_>, bundle: &Bundle<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let applicant = &bundle.applicant;
    let Applicant { info, fixed, .. } = applicant;
    let none = IdDoc::default();
    let primary = primary(bundle);
    let document = primary.map_or(&none, |at| &info.id_docs[at]);
    let verdict = verdict_of(applicant, &export.native.options);
    let mut metadata = Metadata::default();
    let status = verdict.as_ref().map(|verdict| draft.judge(verdict));
    let mut person = Person {
        external_id: applicant.id.pick().or_else(|| applicant.applicant_id.pick()),
        vendor_data: applicant.external_user_id.pick(),
        status,
        source_status: verdict.map(|verdict| verdict.word),
        completed_at: completed_at(applicant),
        first_name: name([
            &info.first_name,
            &fixed.first_name,
            &document.first_name,
            &info.first_name_en,
            &fixed.first_name_en,
        ]),
        last_name: name([
            &info.last_name,
            &fixed.last_name,
            &document.last_name,
            &info.last_name_en,
            &fixed.last_name_en,
        ]),
        date_of_birth: date([&info.dob, &document.dob, &fixed.dob]),
        gender: info.gender.pick().or_else(|| fixed.gender.pick()),
        nationality: info.nationality.pick().or_else(|| fixed.nationality.pick()),
        address: address(info).or_else(|| address(fixed)).map(Cow::Owned),
        place_of_birth: info.place_of_birth.pick(),
        email: applicant.email.pick(),
        phone: applicant.phone.pick().or_else(|| info.phone.pick()),
        tags: applicant.tags.raw(),
        ..Person::default()
    };
    add_document(&mut person, document, info);
    if applicant.type_or_event.get().is_none_or(|kind| !kind.starts_with("applicant")) {
        person.created_at = applicant.created_at.pick();
    }
    metadata.text("middle_name", info.middle_name.get().or(fixed.middle_name.get()));
    add_checks(&mut person, bundle, &mut metadata);
    tell(applicant, bundle, &mut metadata);
    tell_documents(info, primary, &mut metadata);
    if applicant.sandbox.is_true() {
        draft.warn(IssueCode::Sandbox, "", "the record is of a sandbox");
    }
    let refused = if export.native.options.sumsub_retry_is_expired {
        SessionStatus::Expired
    } else {
        SessionStatus::Declined
    };
    if applicant.may_retry() && status == Some(refused) {
        draft.warn(IssueCode::ResubmissionAllowed, "status", "the provider would have allowed another try");
    }
    let result = match (&person.external_id, status) {
        (None, _) => Err(no_id("id")),
        (_, None) => Err(no_verdict("review.reviewStatus and no reviewAnswer")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

fn add_document<'a>(person: &mut Person<'a>, document: &'a IdDoc<'a>, info: &'a Info<'a>) {
    let kind = document.kind.get();
    person.document_type = kind.map(|kind| normal::document(kind).unwrap_or(DocumentType::Other));
    person.document_subtype = document.kind.pick();
    person.document_number = document.number.pick();
    person.personal_number = document.additional_number.pick().or_else(|| info.tin.pick());
    person.issuing_state = document.country.pick();
    person.date_of_issue = document.issued.pick();
    person.expiration_date = document.valid_until.pick();
}

/// Documents beside the one that tells who somebody is.
fn tell_documents(info: &Info<'_>, primary: Option<usize>, metadata: &mut Metadata) {
    let others =
        info.id_docs.iter().enumerate().filter(|(at, _)| Some(*at) != primary).filter_map(|(_, other)| {
            metadata::object(&[
                ("type", other.kind.get()),
                ("number", other.number.get()),
                ("country", other.country.get()),
                ("valid_until", other.valid_until.get()),
            ])
        });
    metadata.list("other_documents", others);
}

/// What the provider tells beyond the contract's fields.
pub(super) fn tell(applicant: &Applicant<'_>, bundle: &Bundle<'_>, metadata: &mut Metadata) {
    for result in [&applicant.review.result, &applicant.review_result] {
        result.labels.iter().filter_map(Leaf::get).for_each(|label| metadata.reason(label));
    }
    let given =
        if applicant.review.result.is_there() { &applicant.review.result } else { &applicant.review_result };
    for (key, text) in [
        ("reject_type", given.reject_type.get()),
        ("client_comment", given.client_comment.get()),
        ("moderation_comment", given.moderation_comment.get()),
        ("level_name", applicant.review.level_name.get().or(applicant.level_name.get())),
        ("attempt_id", applicant.review.attempt_id.get()),
        ("inspection_id", applicant.inspection_id.get()),
        ("lang", applicant.lang.get()),
        ("ip_country", applicant.ip_country.get()),
        ("source_key", applicant.source_key.get()),
        ("client_id", applicant.client_id.get()),
        ("platform", applicant.platform.get()),
        ("aml_case_id", bundle.aml.id.get()),
    ] {
        metadata.text(key, text);
    }
    metadata.flag("source_deleted", applicant.deleted.is_true());
    metadata.raw("source_metadata", applicant.metadata.get());
    metadata.raw("questionnaires", applicant.questionnaires.get());
    for image in bundle.images.items.iter() {
        metadata.media(&[
            ("id", image.id.get()),
            ("kind", image.definition.kind.get()),
            ("side", image.definition.side.get()),
            ("country", image.definition.country.get()),
            ("file_name", image.file.name.get()),
            ("type", image.file.kind.get()),
        ]);
    }
}

/// When the review was completed; of a webhook about that, its own time.
fn completed_at<'a>(applicant: &'a Applicant<'a>) -> Pick<'a> {
    let reviewed = applicant.type_or_event.get() == Some("applicantReviewed");
    applicant.review.review_date.pick().or_else(|| applicant.created_at.pick().filter(|_| reviewed))
}

/// The document that tells who somebody is: of the kind that the step for it accepted, else the most
/// telling one that has a number.
fn primary(bundle: &Bundle<'_>) -> Option<usize> {
    let documents = &bundle.applicant.info.id_docs;
    let accepted = bundle.steps.top().members().find_map(|(step, raw)| {
        let step: Step<'_> = step.starts_with("IDENTITY").then(|| raw.read())?;
        let is_accepted = step.result.answer.get().map(fold).as_deref() == Some("green");
        step.kind.get().filter(|_| is_accepted).map(str::to_owned)
    });
    let of_kind = |kind: &str| {
        let is = |document: &IdDoc<'_>| document.kind.get() == Some(kind) && document.number.get().is_some();
        documents.iter().position(is)
    };
    let telling = ["PASSPORT", "ID_CARD", "DRIVERS", "RESIDENCE_PERMIT"];
    accepted
        .and_then(|kind| of_kind(&kind))
        .or_else(|| telling.iter().find_map(|kind| of_kind(kind)))
        .or_else(|| {
            documents.iter().position(|document| {
                document.kind.get().is_some_and(|kind| !NO_IDENTITY.contains(&fold(kind).as_str()))
            })
        })
}

fn name<'a>(leaves: impl IntoIterator<Item = &'a Leaf<'a>>) -> Pick<'a> {
    leaves.into_iter().filter_map(Leaf::get).find_map(normal::name).map(Cow::Borrowed)
}

/// The first date that is one, else the first that was given, so that it is told of.
fn date<'a, const N: usize>(leaves: [&'a Leaf<'a>; N]) -> Pick<'a> {
    let good = leaves.iter().find(|leaf| leaf.get().and_then(normal::date).is_some());
    good.map_or_else(|| leaves.iter().find_map(|leaf| leaf.pick()), |leaf| leaf.pick())
}

fn address(info: &Info<'_>) -> Option<String> {
    let address = info.addresses.first()?;
    let parts = [
        &address.street,
        &address.building,
        &address.sub_street,
        &address.flat,
        &address.town,
        &address.state,
        &address.post_code,
        &address.country,
    ];
    address.formatted.get().map(str::to_owned).or_else(|| joined(parts.map(Leaf::get)))
}

/// What became of each check, by its step, by its inspection, or by a label that tells of it.
fn add_checks(person: &mut Person<'_>, bundle: &Bundle<'_>, metadata: &mut Metadata) {
    let steps = bundle.steps.top();
    let step = |names: &[&str]| {
        let of_it = steps
            .members()
            .filter(|(step, _)| names.contains(&step.trim_end_matches(|c: char| c.is_ascii_digit())));
        normal::worst(of_it.map(|(_, raw)| {
            let step: Step<'_> = raw.read();
            checked(step.result.answer.get())
        }))
    };
    let inspected = |kind: &str| {
        let checks = bundle.inspection.checks.iter().filter(|check| check.kind.get() == Some(kind));
        normal::worst(checks.map(|check| checked(check.answer.get())))
    };
    let review = &bundle.applicant.review.result;
    let has_label =
        |labels: &[&str]| review.labels.iter().filter_map(Leaf::get).any(|label| labels.contains(&label));
    person.document_status = step(&["IDENTITY"]);
    person.liveness_status = inspected("FACE_LIVELINESS").or_else(|| step(&["SELFIE"]));
    person.face_match_status = inspected("FACE_MATCH")
        .or_else(|| has_label(&["SELFIE_MISMATCH", "BAD_FACE_MATCHING"]).then_some(FeatureStatus::Declined));
    let aml = bundle.aml.review.answer.get().map(|answer| checked(Some(answer))).or_else(|| {
        let labels = ["PEP", "SANCTIONS", "ADVERSE_MEDIA", "CRIMINAL", "COMPROMISED_PERSONS"];
        has_label(&labels).then_some(FeatureStatus::Declined)
    });
    let shown = |status: Option<FeatureStatus>| status.map(|status| status.as_str());
    metadata.texts(
        "checks",
        &[
            ("proof_of_address", shown(step(&["PROOF_OF_RESIDENCE"]).or_else(|| inspected("POA")))),
            ("phone", shown(step(&["PHONE_VERIFICATION"]))),
            ("email", shown(step(&["EMAIL_VERIFICATION"]))),
            ("aml", shown(aml)),
        ],
    );
    bundle.aml.labels.iter().filter_map(Leaf::get).for_each(|label| metadata.reason(label));
}
