//! iDenfy's companies: as fetched, and the flat webhook about a review.

use std::borrow::Cow;

use crate::{
    adapters::{
        company::{Company, Member, sorted},
        draft::Draft,
        metadata::{self, Metadata},
        normal::{Verdict, fold, without_query},
        person::{no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf, List, Part, shape},
    },
    canonical::status::SessionStatus,
    domain::issue::{Issue, IssueCode},
};

shape! {
    /// A company and its verification; the webhook has the members of both at the top.
    struct Case {
        id: Leaf = "id",
        client_id: Leaf = "clientId",
        external_ref: Leaf = "externalRef",
        company: Details = "company",
        meta: Meta = "meta",
        documents: List<Paper> = "documents",
        beneficiaries: List<Beneficiary> = "beneficiaries",
        aml: Aml = "amlCheck",
    }

    /// The company.
    struct Details {
        name: Leaf = "companyName",
        number: Leaf = "registrationNumber",
        country: Leaf = "country",
        kind: Leaf = "type",
        phone: Leaf = "phone",
        website: Leaf = "website",
        email: Leaf = "email",
        brands: List<Leaf> = "brandNames",
        tin: Leaf = "tin",
        operating_address: Leaf = "operatingAddress",
        postal_address: Leaf = "postalAddress",
    }

    /// Where it stands.
    struct Meta {
        created: Leaf = "created",
        status: Leaf = "status",
        expiration: Leaf = "expirationStatus",
        approval: Leaf = "approvalStatus",
        approved_at: Leaf = "approvalStatusChangedAt",
        deny_reason: Leaf = "denyReason",
        flags: List<Leaf> = "automationFlags",
    }

    /// A paper, behind a link that has long expired.
    struct Paper { kind: Leaf = "type", file: Leaf = "file" }

    /// Somebody who runs it, or owns a part of it.
    struct Beneficiary {
        kind: Leaf = "beneficiaryType",
        kinds: List<Leaf> = "beneficiaryTypes",
        share: Leaf = "ownershipPercentage",
        info: Info = "info",
        meta: BeneficiaryMeta = "meta",
    }

    /// How they were identified themselves.
    struct BeneficiaryMeta { history: List<Scan> = "identificationHistory" }

    /// An identification, whose record is another.
    struct Scan { id: Leaf = "scanRef", status: Leaf = "finalStatus" }

    /// Who that is.
    struct Info {
        kind: Leaf = "infoType",
        name: Leaf = "name",
        surname: Leaf = "surname",
        company_name: Leaf = "companyName",
        email: Leaf = "email",
        dob: Leaf = "dateOfBirth",
    }

    /// Screening of it.
    struct Aml { client_id: Leaf = "clientId", overall: Leaf = "overallStatus" }
}

/// Reads a company.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let mut case = shape::read::<Case<'_>>(export.record, draft);
    if !case.company.is_there() {
        case.company = export.record.read();
    }
    if !case.meta.is_there() {
        case.meta = export.record.read();
    }
    let Case { company: details, meta, .. } = &case;
    let verdict = verdict_of(meta);
    let mut metadata = Metadata::default();
    metadata.reason(meta.deny_reason.get().unwrap_or_default());
    meta.flags.iter().filter_map(Leaf::get).for_each(|flag| metadata.reason(flag));
    metadata.text("external_ref", case.external_ref.get());
    metadata.text("aml_status", case.aml.overall.get());
    for paper in case.documents.iter() {
        metadata.media(&[("kind", paper.kind.get()), ("url", paper.file.get().map(without_query))]);
    }
    let (owners, officers) = sorted(case.beneficiaries.iter().map(member).collect());
    let status = verdict.as_ref().map(|verdict| draft.judge(verdict));
    if meta.approval.get().is_none() && meta.status.get() == Some("COMPLETED") {
        draft.warn(
            IssueCode::NoVerdict,
            "status",
            "the form was completed and nobody decided, so the session is in review",
        );
    }
    let scans = case.beneficiaries.iter().flat_map(|one| one.meta.history.iter());
    metadata.list(
        "identifications",
        scans.filter_map(|scan| {
            metadata::object(&[("scan_ref", scan.id.get()), ("status", scan.status.get())])
        }),
    );
    let company = Company {
        external_id: case.id.pick(),
        vendor_data: case.client_id.pick().or_else(|| case.aml.client_id.pick()),
        status,
        source_status: verdict.map(|verdict| verdict.word),
        created_at: meta.created.pick(),
        completed_at: meta.approved_at.pick(),
        name: details.name.pick(),
        registration_number: details.number.pick(),
        country: details.country.pick(),
        kind: details.kind.pick(),
        address: details.operating_address.pick().or_else(|| details.postal_address.pick()),
        tax_number: details.tin.pick(),
        website: details.website.pick(),
        email: details.email.pick(),
        phone: details.phone.pick(),
        alternative_names: details.brands.raw(),
        officers,
        owners,
        ..Company::default()
    };
    let result = match (&company.external_id, status) {
        (None, _) => Err(no_id("id")),
        (_, None) => Err(no_verdict("approvalStatus and no status")),
        _ => Ok(()),
    };
    company.write(metadata, draft);
    result
}

/// The decision, else where the form stands: what was handed in waits for somebody to decide.
fn verdict_of<'a>(meta: &'a Meta<'_>) -> Option<Verdict<'a>> {
    if let Some(word) = meta.approval.get() {
        let status = match fold(word).as_str() {
            "approved" => Some(SessionStatus::Approved),
            "denied" => Some(SessionStatus::Declined),
            _ => None,
        };
        return Some(Verdict { status, word: word.into() });
    }
    let word = meta.status.get().or(meta.expiration.get())?;
    let status = match fold(word).as_str() {
        _ if meta.expiration.get() == Some("EXPIRED") => Some(SessionStatus::Expired),
        "processing" | "needtoprocess" | "needtoreview" | "completed" => Some(SessionStatus::InReview),
        "pending" => Some(SessionStatus::Expired),
        _ => None,
    };
    Some(Verdict { status, word: word.into() })
}

fn member<'a>(one: &'a Beneficiary<'a>) -> Member<'a> {
    let info = &one.info;
    let mut roles: Vec<_> = one.kinds.iter().filter_map(Leaf::pick).collect();
    roles.extend(one.kind.pick().filter(|_| one.kinds.is_empty()));
    // Roles are lower case, and an executive is an officer with a title.
    let designation = roles.iter().find(|role| *role == "CEO" || *role == "ABO").cloned();
    let roles = roles.into_iter().map(|role| Cow::Owned(role.to_lowercase())).collect();
    Member {
        first_name: info.name.pick(),
        last_name: info.surname.pick(),
        name: info.company_name.pick(),
        is_company: info.kind.get() == Some("COMPANY"),
        date_of_birth: info.dob.pick(),
        email: info.email.pick(),
        designation,
        roles,
        share: one.share.pick(),
    }
}
