//! An applicant that is a company.

use std::borrow::Cow;

use super::{person::tell, shapes::*, verdict_of};
use crate::{
    adapters::{
        company::{Company, Member, sorted},
        draft::Draft,
        metadata::Metadata,
        normal::joined,
        person::{no_id, no_verdict},
        registry::Export,
        shape::{Leaf, List, Part, shape},
    },
    domain::issue::Issue,
};

shape! {
    /// A company.
    struct CompanyInfo {
        name: Leaf = "companyName",
        alternative_names: List<Leaf> = "alternativeNames",
        number: Leaf = "registrationNumber",
        country: Leaf = "country",
        legal_address: Leaf = "legalAddress",
        postal_address: Leaf = "postalAddress",
        address: Address = "address",
        incorporated_on: Leaf = "incorporatedOn",
        kind: Leaf = "type",
        legal_form: Leaf = "legalForm",
        tax_id: Leaf = "taxId",
        email: Leaf = "email",
        phone: Leaf = "phone",
        website: Leaf = "website",
        beneficiaries: List<Beneficiary> = "beneficiaries",
    }

    /// Somebody who runs it, or owns a part of it.
    struct Beneficiary {
        positions: List<Leaf> = "positions",
        types: List<Leaf> = "types" | "type",
        share: Leaf = "shareSize",
        info: BeneficiaryInfo = "beneficiaryInfo",
    }

    /// Who that is.
    struct BeneficiaryInfo {
        first_name: Leaf = "firstName",
        last_name: Leaf = "lastName",
        dob: Leaf = "dob",
        email: Leaf = "email",
    }
}

/// Reads a company.
pub(super) fn read(export: &Export<'_>, bundle: &Bundle<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let applicant = &bundle.applicant;
    let stated: CompanyInfo<'_> = applicant.info.company.read();
    let fixed: CompanyInfo<'_> = applicant.fixed.company.read();
    let info = if stated.is_there() { &stated } else { &fixed };
    let verdict = verdict_of(applicant, &export.native.options);
    let status = verdict.as_ref().map(|verdict| draft.judge(verdict));
    let mut metadata = Metadata::default();
    tell(applicant, bundle, &mut metadata);
    let members: Vec<_> = info.beneficiaries.iter().map(member).collect();
    let (owners, officers) = sorted(members);
    let company = Company {
        external_id: applicant.id.pick().or_else(|| applicant.applicant_id.pick()),
        vendor_data: applicant.external_user_id.pick(),
        status,
        source_status: verdict.map(|verdict| verdict.word),
        created_at: applicant.created_at.pick(),
        completed_at: applicant.review.review_date.pick(),
        name: info.name.pick().or_else(|| fixed.name.pick()),
        registration_number: info.number.pick(),
        country: info.country.pick(),
        kind: info.kind.pick().or_else(|| info.legal_form.pick()),
        incorporated_on: info.incorporated_on.pick(),
        address: info
            .legal_address
            .pick()
            .or_else(|| address(&info.address).map(Cow::Owned))
            .or_else(|| info.postal_address.pick()),
        tax_number: info.tax_id.pick(),
        website: info.website.pick(),
        email: info.email.pick().or_else(|| applicant.email.pick()),
        phone: info.phone.pick().or_else(|| applicant.phone.pick()),
        tags: applicant.tags.raw(),
        alternative_names: info.alternative_names.raw(),
        officers,
        owners,
    };
    let result = match (&company.external_id, status) {
        (None, _) => Err(no_id("id")),
        (_, None) => Err(no_verdict("review.reviewStatus and no reviewAnswer")),
        _ => Ok(()),
    };
    company.write(metadata, draft);
    result
}

fn address(address: &Address<'_>) -> Option<String> {
    let parts = [&address.street, &address.town, &address.state, &address.post_code, &address.country];
    address.formatted.get().map(str::to_owned).or_else(|| joined(parts.map(Leaf::get)))
}

fn member<'a>(one: &'a Beneficiary<'a>) -> Member<'a> {
    Member {
        first_name: one.info.first_name.pick(),
        last_name: one.info.last_name.pick(),
        date_of_birth: one.info.dob.pick(),
        email: one.info.email.pick(),
        roles: one
            .types
            .iter()
            .chain(one.positions.iter())
            .filter_map(Leaf::pick)
            .filter(|role| role != "other")
            .collect(),
        share: one.share.pick(),
        ..Member::default()
    }
}
