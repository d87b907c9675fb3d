//! iDenfy: identifications as webhooks, the REST answers joined flat, and rows of a list.

mod checks;
mod company;
mod shapes;

use std::borrow::Cow;

use super::{
    draft::Draft,
    metadata::Metadata,
    normal::{self, Verdict, fold},
    person::{Person, no_id, no_verdict},
    registry::Export,
    shape::{self, Leaf, Part},
};
use crate::{
    canonical::{document::DocumentType, status::SessionStatus},
    domain::{
        import::ImportType,
        issue::{Issue, IssueCode},
    },
};
use shapes::{Data, Identification, Status};

/// Reads a record of iDenfy's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    if top.has("scanRef") && (top.has("status") || top.has("docFirstName")) {
        return Some(read_person(export, draft));
    }
    let is_company = top.object("company").is_some_and(|company| company.has("companyName"))
        || (top.has("companyName") && top.has("approvalStatus"));
    is_company.then(|| {
        export.must_be(ImportType::BusinessVerification, "a company")?;
        company::read(export, draft)
    })
}

fn read_person(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    export.must_be(ImportType::UserVerification, "a person")?;
    let mut record = shape::read::<Identification<'_>>(export.record, draft);
    let is_nested = record.status.get().is_some_and(|raw| raw.starts_with('{'));
    let status: Status<'_> = match is_nested {
        true => record.status.read(),
        // The REST answers, joined flat, have the same members at the top.
        false => {
            let flat: Status<'_> = export.record.read();
            Status { overall: record.status.read(), ..flat }
        }
    };
    let is_authentication = export.top.has("method")
        && matches!(
            export.top.get("type").text().map(|kind| fold(&kind)).as_deref(),
            Some("enrollment" | "authentication")
        );
    if is_authentication && !export.native.options.idenfy_face_authentications {
        let message = "the record is an authentication by face, and verifies nobody; the option \
                       idenfy_face_authentications takes it";
        return Err(Issue::of_record(IssueCode::WrongKind, message));
    }
    if !record.data.is_there() {
        record.data = export.record.read();
    }
    let (data, files) = (&record.data, record.files.top());
    let is_provisional = record.is_final.get() == Some("false");
    let waits = is_provisional && !export.native.options.idenfy_provisional_is_final;
    let verdict = verdict_of(&status, waits, is_authentication);
    let judged = verdict.as_ref().map(|verdict| draft.judge(verdict));
    if waits && judged == Some(SessionStatus::InReview) {
        draft.warn(
            IssueCode::ProvisionalVerdict,
            "status",
            "the verdict was not final, so the session is in review",
        );
    }
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: record.scan_ref.pick(),
        vendor_data: record.client_id.pick(),
        status: judged,
        source_status: status.overall.pick(),
        created_at: record.start_time.pick().or_else(|| record.finish_time.pick()),
        completed_at: record.finish_time.pick(),
        email: record.email.email.pick(),
        phone: record.phone.phone.pick(),
        address: [&data.address, &data.org_address, &record.manual_address, &record.address.address]
            .into_iter()
            .find_map(Leaf::pick),
        ..Person::default()
    };
    add_data(&mut person, data);
    checks::add(&mut person, &record, &status, &mut metadata);
    // Links live for an hour, so those of an export are no more than names of what there was.
    for (key, raw) in files.members() {
        let link = raw.text();
        metadata.media(&[("kind", Some(&*key)), ("url", link.as_deref().map(normal::without_query))]);
    }
    tell(&record, &status, &mut metadata);
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("scanRef")),
        (_, None) => Err(no_verdict("status.overall")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

/// The verdict: what a machine said before a person looked is not one yet.
fn verdict_of<'a>(status: &'a Status<'_>, waits: bool, is_authentication: bool) -> Option<Verdict<'a>> {
    let word = status.overall.get()?;
    let known = match fold(word).as_str() {
        "success" if is_authentication => Some(SessionStatus::Approved),
        "failed" if is_authentication => Some(SessionStatus::Declined),
        "canceled" | "pending" if is_authentication => Some(SessionStatus::Expired),
        "approved" | "denied" if waits => Some(SessionStatus::InReview),
        "approved" => Some(SessionStatus::Approved),
        "denied" => Some(SessionStatus::Declined),
        "suspected" | "reviewing" => Some(SessionStatus::InReview),
        "active" | "expired" | "expireddeleted" | "deleted" | "archived" => Some(SessionStatus::Expired),
        _ => None,
    };
    Some(Verdict { status: known, word: word.into() })
}

fn add_data<'a>(person: &mut Person<'a>, data: &'a Data<'a>) {
    let name = |latin: &'a Leaf<'a>, native: &'a Leaf<'a>| {
        [latin, native].into_iter().filter_map(Leaf::get).find_map(normal::name).map(Cow::Borrowed)
    };
    person.first_name = name(&data.first_name, &data.org_first_name);
    person.last_name = name(&data.last_name, &data.org_last_name);
    person.full_name =
        data.full_name.pick().filter(|_| person.first_name.is_none() && person.last_name.is_none());
    person.date_of_birth = data.dob.pick();
    person.gender = data.sex.pick();
    person.nationality = data.nationality.pick();
    person.place_of_birth = data.birth_place.pick().or_else(|| data.org_birth_place.pick());
    person.document_type = data.kind.get().map(document_type);
    person.document_subtype = data.kind.pick();
    person.document_number = data.number.pick();
    person.personal_number = data.personal_code.pick();
    person.issuing_state = data.issuing_country.pick().or_else(|| data.selected_country.pick());
    person.date_of_issue = data.date_of_issue.pick();
    person.expiration_date = data.expiry.pick();
}

fn document_type(word: &str) -> DocumentType {
    use DocumentType as D;
    match fold(word).as_str() {
        "nationalpassport" | "internationalpassport" => D::Passport,
        "oldidcard" | "aadhaar" | "votercard" | "photocard" => D::IdentityCard,
        "provisionaldriverlicense" => D::DriversLicense,
        _ => normal::document(word).unwrap_or(D::Other),
    }
}

/// What iDenfy says beyond the contract's fields.
fn tell(record: &Identification<'_>, status: &Status<'_>, metadata: &mut Metadata) {
    let lists = [&status.deny_reasons, &status.fraud_tags, &status.mismatch_tags, &status.suspicion_reasons];
    lists.into_iter().flat_map(|list| list.iter()).filter_map(Leaf::get).for_each(|tag| metadata.reason(tag));
    for (key, text) in [
        ("external_ref", record.external_ref.get()),
        ("company_id", record.company_id.get()),
        ("beneficiary_id", record.beneficiary_id.get()),
        ("platform", record.platform.get()),
        ("client_ip", record.client_ip.get()),
        ("client_ip_country", record.client_ip_country.get()),
        ("client_location", record.client_location.get()),
        ("authority", record.data.authority.get()),
        ("first_name_native", record.data.org_first_name.get()),
        ("last_name_native", record.data.org_last_name.get()),
    ] {
        metadata.text(key, text);
    }
    metadata.raw("risk_assessment", record.risk.get());
    for (key, raw) in [
        ("questionnaire_answers", record.questionnaire),
        ("duplicate_faces", record.data.duplicate_faces),
        ("duplicate_document_faces", record.data.duplicate_doc_faces),
        ("lid", record.lid),
        ("criminal_check", record.criminal),
    ] {
        metadata.raw(key, raw.get());
    }
}
