//! An inquiry about a person.

use std::borrow::Cow;

use super::resources::{Inquiry, Record, Verification, status_of};
use crate::{
    adapters::{
        draft::Draft,
        metadata::Metadata,
        normal::{self, Verdict, fold, joined},
        person::{Person, Pick, no_id, no_verdict},
        registry::Export,
        shape::{Leaf, Part},
    },
    canonical::{
        document::DocumentType,
        status::{FeatureStatus, SessionStatus},
    },
    domain::{import::ProviderOptions, issue::Issue},
};

/// Reads a person.
pub(super) fn read(export: &Export<'_>, record: &Record<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let inquiry = &record.inquiry;
    let ids: Vec<_> = record.all("verification/government-id").collect();
    let none = Verification::default();
    let passed = ids.iter().rfind(|id| status_of(id) == FeatureStatus::Approved);
    let id = passed.or(ids.last()).copied().unwrap_or(&none);
    let verdict = verdict_of(record, &export.native.options);
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: record.resource.id.pick(),
        vendor_data: inquiry.reference_id.pick().or_else(|| record.account_reference()),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        source_status: inquiry.status.pick(),
        created_at: inquiry.created_at.pick(),
        completed_at: completed_at(inquiry),
        tags: inquiry.tags.raw(),
        ..Person::default()
    };
    add_names(&mut person, record, id);
    add_document(&mut person, record, id);
    person.address = filled_in_address(record).or_else(|| printed_address(id)).map(Cow::Owned);
    let email = record.all("verification/email-address").next_back().and_then(|found| found.email.pick());
    person.email = record.field("email-address").or_else(|| inquiry.email.pick()).or(email);
    let phone = record.all("verification/phone-number").next_back().and_then(|found| found.phone.pick());
    person.phone = record.field("phone-number").or_else(|| inquiry.phone.pick()).or(phone);
    if let Some(selfie) = record.all("verification/selfie").next_back() {
        add_selfie(&mut person, selfie);
    }
    tell(record, &mut metadata);
    tell_files(record, id, &ids, &mut metadata);
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("data.id")),
        (_, None) => Err(no_verdict("data.attributes.status")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

/// What became of an inquiry. One that is completed and was never decided is approved only where its
/// verifications passed.
pub(super) fn verdict_of<'a>(record: &'a Record<'_>, options: &ProviderOptions) -> Option<Verdict<'a>> {
    let word = record.inquiry.status.get()?;
    let status = match fold(word).as_str() {
        "approved" => Some(SessionStatus::Approved),
        "declined" | "failed" => Some(SessionStatus::Declined),
        "pending" if options.persona_pending_is_expired => Some(SessionStatus::Expired),
        "needsreview" | "pending" => Some(SessionStatus::InReview),
        "completed" if !options.persona_completed_is_in_review && has_passed(record) => {
            Some(SessionStatus::Approved)
        }
        "completed" => Some(SessionStatus::InReview),
        "created" | "expired" => Some(SessionStatus::Expired),
        _ => None,
    };
    Some(Verdict { status, word: word.into() })
}

/// Whether the newest verification of each kind passed or was skipped, and one passed.
fn has_passed(record: &Record<'_>) -> bool {
    let is_skipped = |found: &Verification<'_>| found.status.get() == Some("skipped");
    record.newest().any(|found| status_of(found) == FeatureStatus::Approved)
        && record.newest().all(|found| status_of(found) == FeatureStatus::Approved || is_skipped(found))
}

/// When it was decided, or else ended.
pub(super) fn completed_at<'a>(inquiry: &'a Inquiry<'_>) -> Pick<'a> {
    let times = [&inquiry.decisioned_at, &inquiry.completed_at, &inquiry.failed_at, &inquiry.expired_at];
    times.into_iter().find_map(Leaf::pick)
}

fn add_names<'a>(person: &mut Person<'a>, record: &'a Record<'a>, id: &'a Verification<'a>) {
    let inquiry = &record.inquiry;
    let typed = |first: &str, middle: &str| {
        let (first, middle) = (record.field(first), record.field(middle));
        normal::spaced([first.as_deref(), middle.as_deref()]).map(|name| Cow::Owned(name.into_owned()))
    };
    person.first_name = normal::spaced([id.name_first.get(), id.name_middle.get()])
        .or_else(|| typed("name-first", "name-middle"))
        .or_else(|| normal::spaced([inquiry.name_first.get(), inquiry.name_middle.get()]))
        .or_else(|| id.native_first.pick());
    person.last_name = normal::spaced([id.name_last.get()])
        .or_else(|| typed("name-last", ""))
        .or_else(|| normal::spaced([inquiry.name_last.get()]))
        .or_else(|| id.native_last.pick());
    person.date_of_birth =
        id.birthdate.pick().or_else(|| record.field("birthdate")).or_else(|| inquiry.birthdate.pick());
    person.gender = id.sex.pick();
    person.nationality = id.nationality.pick();
    person.place_of_birth = id.birthplace.pick();
}

fn add_document<'a>(person: &mut Person<'a>, record: &'a Record<'a>, id: &'a Verification<'a>) {
    let class = id.id_class.pick().or_else(|| record.field("identification-class"));
    let class = class.or_else(|| record.field("selected-id-class"));
    person.document_type = class.as_deref().map(document_type);
    person.document_subtype = class;
    let number = id.identification_number.pick().or_else(|| id.document_number.pick());
    let number = number.or_else(|| record.field("identification-number"));
    person.document_number = number.or_else(|| record.inquiry.number.pick());
    person.issuing_state = id.country_code.pick().or_else(|| record.field("selected-country-code"));
    person.date_of_issue = id.issue_date.pick();
    person.expiration_date = id.expiration_date.pick();
    if id.is_there() {
        person.document_status = Some(status_of(id));
    }
    person.links.front = id.front.pick();
    person.links.back = id.back.pick();
    person.links.video = id.video.pick();
}

fn document_type(class: &str) -> DocumentType {
    use DocumentType as D;
    match fold(class).as_str() {
        "pp" | "ppc" => D::Passport,
        "dl" => D::DriversLicense,
        "id" | "nric" | "myn" | "umid" | "vid" | "pid" | "pan" | "sss" | "cid" | "ofw" | "munid"
        | "tribalid" | "hic" | "ipp" | "keyp" | "nbi" => D::IdentityCard,
        "rp" | "pr" | "foid" | "ltpass" => D::ResidencePermit,
        "wp" => D::WorkPermit,
        "visa" => D::Visa,
        _ => D::Other,
    }
}

fn add_selfie<'a>(person: &mut Person<'a>, selfie: &'a Verification<'a>) {
    let check = |names: &[&str]| {
        let checks =
            selfie.checks.iter().filter(|check| check.name.get().is_some_and(|name| names.contains(&name)));
        normal::worst(checks.filter_map(|check| match check.status.get()? {
            "passed" => Some(FeatureStatus::Approved),
            "failed" => Some(FeatureStatus::Declined),
            _ => None,
        }))
    };
    let whole = status_of(selfie);
    person.face_match_status = check(&["selfie_id_comparison"]).or(Some(whole));
    person.liveness_status = check(&["selfie_liveness_detection", "selfie_pose_detection"]).or(Some(whole));
    person.face_match_score = selfie.similarity.pick();
    person.links.selfie = selfie.selfie.pick();
    person.links.video = selfie.video.pick().or_else(|| person.links.video.take());
}

fn filled_in_address(record: &Record<'_>) -> Option<String> {
    let names = [
        "address-street-1",
        "address-street-2",
        "address-city",
        "address-subdivision",
        "address-postal-code",
        "address-country-code",
    ];
    let typed = names.map(|name| record.field(name));
    let inquiry = &record.inquiry;
    let flat = [
        &inquiry.street_1,
        &inquiry.street_2,
        &inquiry.city,
        &inquiry.subdivision,
        &inquiry.postal_code,
        &inquiry.country,
    ];
    // A country alone is no address.
    let is_address = |parts: &[Option<&str>]| parts[..5].iter().any(Option::is_some);
    let typed: Vec<_> = typed.iter().map(|part| part.as_deref()).collect();
    let flat: Vec<_> = flat.iter().map(|part| part.get()).collect();
    [typed, flat].into_iter().find(|parts| is_address(parts)).and_then(joined)
}

fn printed_address(id: &Verification<'_>) -> Option<String> {
    joined([&id.street_1, &id.street_2, &id.city, &id.subdivision, &id.postal_code].map(Leaf::get))
}

/// Files beside the document that tells who somebody is: papers, other documents, a face from its sides.
fn tell_files(
    record: &Record<'_>,
    primary: &Verification<'_>,
    ids: &[&Verification<'_>],
    metadata: &mut Metadata,
) {
    let mut tell = |kind: &str, url: &Leaf<'_>| {
        if let Some(url) = url.get() {
            metadata.media(&[("kind", Some(kind)), ("url", Some(normal::without_query(url)))]);
        }
    };
    for id in ids.iter().filter(|id| !std::ptr::eq(**id, primary)) {
        tell("front", &id.front);
        tell("back", &id.back);
    }
    for selfie in record.all("verification/selfie") {
        tell("selfie_left", &selfie.left);
        tell("selfie_right", &selfie.right);
    }
    for paper in record.all("verification/document") {
        paper.files.iter().for_each(|file| tell("document", &file.url));
    }
}

/// What the inquiry tells beyond the contract's fields.
pub(super) fn tell(record: &Record<'_>, metadata: &mut Metadata) {
    let inquiry = &record.inquiry;
    for verification in record.all("verification/") {
        for check in verification.checks.iter().filter(|check| check.status.get() == Some("failed")) {
            let name = check.name.get().unwrap_or_default();
            match check.requirement.get() {
                None | Some("required") => metadata.reason(name),
                Some(requirement) => metadata.reason(format!("{name}:{requirement}")),
            }
            check.reasons.iter().filter_map(Leaf::get).for_each(|reason| metadata.reason(reason));
        }
    }
    let screened = record.all("report/").filter_map(|report| match report.has_match.get() {
        Some("true") => Some(FeatureStatus::InReview),
        Some("false") => Some(FeatureStatus::Approved),
        _ => report.status.get().map(|_| FeatureStatus::NotFinished),
    });
    let feature = |kind: &str| record.all(kind).next_back().map(status_of).map(FeatureStatus::as_str);
    metadata.texts(
        "checks",
        &[
            ("aml", normal::worst(screened).map(FeatureStatus::as_str)),
            ("proof_of_address", feature("verification/document")),
            ("phone", feature("verification/phone-number")),
            ("email", feature("verification/email-address")),
        ],
    );
    metadata.text("reviewer_comment", inquiry.reviewer_comment.get());
    metadata.text("note", inquiry.note.get());
    metadata.flag("source_redacted", inquiry.redacted_at.get().is_some());
    for (key, name) in [("account_id", "account"), ("inquiry_template_id", "inquiry-template")] {
        metadata.text(key, record.related(name).as_deref());
    }
    metadata.texts("fields", &record.other_fields());
}
