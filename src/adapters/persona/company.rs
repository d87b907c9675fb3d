//! An inquiry about a company, which is one whose template asks for it.

use std::borrow::Cow;

use super::{
    person::{completed_at, tell, verdict_of},
    resources::Record,
};
use crate::{
    adapters::{
        company::{Company, Member},
        draft::Draft,
        metadata::Metadata,
        normal::joined,
        person::{no_id, no_verdict},
        registry::Export,
        shape::{Leaf, List, Raw, shape},
    },
    domain::issue::Issue,
};

shape! {
    /// A look into a registry.
    struct Registry {
        name: Leaf = "business-name",
        number: Leaf = "registration-number",
        street_1: Leaf = "address-street-1",
        street_2: Leaf = "address-street-2",
        city: Leaf = "address-city",
        subdivision: Leaf = "address-subdivision",
        postal_code: Leaf = "address-postal-code",
        country: Leaf = "address-country-code" | "country-code",
    }

    /// A report on a company.
    struct Lookup { query: Query = "query", result: Business = "result" }

    /// What was asked.
    struct Query { website: Leaf = "website" }

    /// What was found.
    struct Business { name: Leaf = "name", officers: List<Officer> = "officers" }

    /// Who runs it.
    struct Officer { name: Leaf = "name", title: Leaf = "title" }
}

/// Reads a company.
pub(super) fn read(export: &Export<'_>, record: &Record<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let inquiry = &record.inquiry;
    let attributes = |kind: &str| {
        let of_kind = record.included.iter().find(|resource| resource.kind.get() == Some(kind));
        of_kind.map_or_else(Raw::default, |resource| resource.attributes)
    };
    let registry: Registry<'_> = attributes("verification/database-business").read();
    let lookup: Lookup<'_> = attributes("report/business-lookup").read();
    let verdict = verdict_of(record, &export.native.options);
    let status = verdict.as_ref().map(|verdict| draft.judge(verdict));
    let mut metadata = Metadata::default();
    tell(record, &mut metadata);
    let company = Company {
        external_id: record.resource.id.pick(),
        vendor_data: inquiry.reference_id.pick().or_else(|| record.account_reference()),
        status,
        source_status: inquiry.status.pick(),
        created_at: inquiry.created_at.pick(),
        completed_at: completed_at(inquiry),
        name: record
            .field("business-name")
            .or_else(|| registry.name.pick())
            .or_else(|| lookup.result.name.pick()),
        registration_number: record.field("business-registration-number").or_else(|| registry.number.pick()),
        country: record.field("address-country-code").or_else(|| registry.country.pick()),
        tax_number: record.field("business-tax-identification-number"),
        address: address(record, &registry).map(Cow::Owned),
        website: record.field("business-website").or_else(|| lookup.query.website.pick()),
        email: record.field("email-address"),
        phone: record.field("phone-number"),
        tags: inquiry.tags.raw(),
        officers: lookup.result.officers.iter().map(officer).collect(),
        ..Company::default()
    };
    let result = match (&company.external_id, status) {
        (None, _) => Err(no_id("data.id")),
        (_, None) => Err(no_verdict("data.attributes.status")),
        _ => Ok(()),
    };
    company.write(metadata, draft);
    result
}

fn officer<'a>(officer: &'a Officer<'a>) -> Member<'a> {
    Member {
        name: officer.name.pick(),
        designation: officer.title.pick(),
        roles: officer.title.pick().into_iter().collect(),
        ..Member::default()
    }
}

fn address(record: &Record<'_>, registry: &Registry<'_>) -> Option<String> {
    let names = [
        "address-street-1",
        "address-street-2",
        "address-city",
        "address-subdivision",
        "address-postal-code",
    ];
    let typed = names.map(|name| record.field(name));
    joined(typed.iter().map(|part| part.as_deref())).or_else(|| {
        let parts = [
            &registry.street_1,
            &registry.street_2,
            &registry.city,
            &registry.subdivision,
            &registry.postal_code,
        ];
        joined(parts.map(Leaf::get))
    })
}
