//! Clients of Trulioo's Workflow Studio, whose fields are the customer's own and have roles.

use std::borrow::Cow;

use crate::{
    adapters::{
        company::Company,
        draft::Draft,
        metadata::Metadata,
        normal::{Verdict, fold, joined},
        person::{Person, no_id, no_verdict},
        registry::{Export, bad_json},
        shape::{self, Leaf, List, Raw, Top, shape},
    },
    canonical::status::SessionStatus,
    domain::{import::ImportType, issue::Issue},
};

shape! {
    /// A client.
    struct Client {
        id: Leaf = "id",
        created: Leaf = "created",
        modified: Leaf = "lastModified",
        status: Leaf = "status",
        changed: Leaf = "statusManuallyChanged",
        flows: Raw = "flowData",
    }

    /// A run of a flow.
    struct Flow { fields: Raw = "fieldData", services: List<Service> = "serviceData" }

    /// A field of its form.
    struct Field { name: Leaf = "name", role: Leaf = "role", value: List<Leaf> = "value" }

    /// A service it called.
    struct Service { node: Leaf = "nodeType", matched: Leaf = "match", info: Info = "transactionInfo" }

    /// The call.
    struct Info { record_id: Leaf = "transactionRecordId" }
}

/// Reads a client.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let client = shape::read::<Client<'_>>(export.line, draft).map_err(|error| bad_json(&error))?;
    let flows: Vec<Flow<'_>> =
        client.flows.read::<Top<'_>>().into_members().map(|(_, raw)| Raw::of(raw).read()).collect();
    let fields: Vec<Field<'_>> = flows
        .iter()
        .flat_map(|flow| flow.fields.read::<Top<'_>>().into_members())
        .map(|(_, raw)| Raw::of(raw).read())
        .collect();
    let role = |wanted: &str| {
        let of_role = fields.iter().filter(|field| field.role.get() == Some(wanted));
        of_role.flat_map(|field| field.value.iter()).find_map(Leaf::pick)
    };
    let verdict = client.status.get().map(|word| Verdict { status: status_of(word), word: word.into() });
    let mut metadata = Metadata::default();
    metadata.flag("status_manually_changed", client.changed.is_true());
    tell(&fields, &flows, &mut metadata);
    let status = verdict.as_ref().map(|verdict| draft.judge(verdict));
    let result = match (client.id.get(), status) {
        (None, _) => Err(no_id("id")),
        (_, None) => Err(no_verdict("status")),
        _ => Ok(()),
    };
    if export.import_type == ImportType::BusinessVerification {
        let company = Company {
            external_id: client.id.pick(),
            vendor_data: role("external_customer_id"),
            status,
            source_status: client.status.pick(),
            created_at: client.created.pick(),
            completed_at: client.modified.pick(),
            name: role("company_name"),
            registration_number: role("company_regno"),
            country: role("company_country_incorporation"),
            ..Company::default()
        };
        company.write(metadata, draft);
        return result;
    }
    let address = ["address_1", "address_city", "address_state", "address_zip", "address_country"].map(role);
    let person = Person {
        external_id: client.id.pick(),
        vendor_data: role("external_customer_id"),
        status,
        source_status: client.status.pick(),
        created_at: client.created.pick(),
        completed_at: client.modified.pick(),
        first_name: role("first_name"),
        last_name: role("last_name"),
        date_of_birth: role("dob"),
        address: joined(address.iter().map(|part| part.as_deref())).map(Cow::Owned),
        ..Person::default()
    };
    person.write(metadata, &export.sidecar, draft);
    result
}

/// What the form holds beyond roles, and what services did not confirm.
fn tell(fields: &[Field<'_>], flows: &[Flow<'_>], metadata: &mut Metadata) {
    let others: Vec<_> = fields
        .iter()
        .filter(|field| field.role.get().is_none())
        .filter_map(|field| Some((field.name.get()?, field.value.first().and_then(Leaf::get))))
        .collect();
    metadata.texts("fields", &others);
    let services = flows.iter().flat_map(|flow| flow.services.iter());
    for service in services.clone().filter(|service| service.matched.get() == Some("false")) {
        metadata.reason(format!("{}=false", service.node.get().unwrap_or("service")));
    }
    metadata.text("transaction_record_id", services.clone().find_map(|service| service.info.record_id.get()));
}

fn status_of(word: &str) -> Option<SessionStatus> {
    Some(match fold(word).as_str() {
        "accepted" | "approved" => SessionStatus::Approved,
        "declined" | "rejected" => SessionStatus::Declined,
        "pendingreview" | "review" => SessionStatus::InReview,
        "notstarted" | "inprogress" | "abandoned" | "error" => SessionStatus::Expired,
        _ => return None,
    })
}
