//! A company that was looked up in a session. What a look-up answers is published in words and not in keys, so the
//! record is one that its customer has put together: the request as it was sent, and what was found of each.

use std::borrow::Cow;

use super::{shapes::Session, verdict_of};
use crate::{
    adapters::{
        company::{Company, Member},
        draft::Draft,
        metadata::Metadata,
        normal::joined,
        person::{no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf},
    },
    domain::{import::ImportType, issue::Issue},
};

/// Reads a company.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    export.must_be(ImportType::BusinessVerification, "a company")?;
    let session = shape::read::<Session<'_>>(export.record, draft);
    let business = &session.company.request;
    let verdict = verdict_of(&session);
    let status = verdict.as_ref().map(|verdict| draft.judge(verdict));
    let mut metadata = Metadata::default();
    metadata.raw("found", session.company.result.get());
    metadata.text("flow_id", session.flow_id.get());
    metadata.text("overall_score", session.scores.overall.value.get());
    metadata.raw("custom_fields", session.custom_fields.get());
    let address = [&business.street, &business.line2, &business.city, &business.state, &business.postal_code]
        .map(Leaf::get);
    let company = Company {
        external_id: session.id.pick(),
        vendor_data: session.external_customer_id.pick().or_else(|| session.external_id.pick()),
        status,
        source_status: verdict.map(|verdict| verdict.word),
        created_at: session.created_at.pick(),
        completed_at: session.finished_at.pick(),
        name: business.name.pick(),
        country: business.country.pick(),
        address: joined(address).map(Cow::Owned),
        tax_number: business.tax_id.pick(),
        owners: business.owners.iter().map(owner).collect(),
        ..Company::default()
    };
    let result = match (&company.external_id, status) {
        (None, _) => Err(no_id("interviewId")),
        (_, None) => Err(no_verdict("onboardingStatus and no scores")),
        _ => Ok(()),
    };
    company.write(metadata, draft);
    result
}

fn owner<'a>(name: &'a Leaf<'a>) -> Member<'a> {
    Member { name: name.pick(), roles: vec![Cow::Borrowed("ubo")], ..Member::default() }
}
