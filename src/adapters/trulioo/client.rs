//! Clients of Trulioo's Workflow Studio, whose fields are the customer's own and have roles.

use std::borrow::Cow;

use super::record::{self, Transaction};
use crate::{
    adapters::{
        company::Company,
        draft::Draft,
        metadata::Metadata,
        normal::{self, Verdict, fold, joined},
        person::{Person, Pick, no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf, List, Raw, shape},
    },
    canonical::status::{FeatureStatus, SessionStatus},
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
    struct Flow { fields: Raw = "fieldData", files: Raw = "fileData", services: List<Service> = "serviceData" }

    /// A field of its form.
    struct Field { name: Leaf = "name", role: Leaf = "role", value: List<Leaf> = "value" }

    /// A service it called.
    struct Service {
        node: Leaf = "nodeType",
        matched: Leaf = "match",
        info: Info = "transactionInfo",
        details: Raw = "fullServiceDetails",
        watchlists: Raw = "watchlistResults",
    }

    /// The call.
    struct Info { record_id: Leaf = "transactionRecordId" }

    /// What a watchlist said.
    struct Watchlist { status: Leaf = "watchlistStatus", hits: Raw = "watchlistHitDetails" }
}

/// The fields of all forms of a client.
struct Form<'a>(Vec<Field<'a>>);

impl Form<'_> {
    /// The value of the field with that role.
    fn role(&self, wanted: &str) -> Pick<'_> {
        let of_role = self.0.iter().filter(|field| field.role.get() == Some(wanted));
        of_role.flat_map(|field| field.value.iter()).find_map(Leaf::pick)
    }

    /// The value of a field without a role, such as a contact, which is told by what it is called.
    fn named(&self, wanted: &str) -> Pick<'_> {
        let is_called = |field: &&Field<'_>| {
            field.role.get().is_none() && field.name.get().is_some_and(|name| fold(name).contains(wanted))
        };
        self.0.iter().filter(is_called).flat_map(|field| field.value.iter()).find_map(Leaf::pick)
    }

    /// The address of the fields whose roles begin so.
    fn address(&self, begin: &str) -> Option<String> {
        let parts = ["1", "city", "state", "zip", "country"].map(|part| self.role(&format!("{begin}{part}")));
        // A country alone is no address.
        let is_address = parts[..4].iter().any(Option::is_some);
        joined(parts.iter().map(|part| part.as_deref())).filter(|_| is_address)
    }
}

/// Reads a client.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let client = shape::read::<Client<'_>>(export.record, draft);
    let flows: Vec<Flow<'_>> = client.flows.top().members().map(|(_, raw)| raw.read()).collect();
    let form =
        Form(flows.iter().flat_map(|flow| flow.fields.top().members()).map(|(_, raw)| raw.read()).collect());
    let verdict = client.status.get().map(|word| Verdict { status: status_of(word), word: word.into() });
    let mut metadata = Metadata::default();
    metadata.flag("status_manually_changed", client.changed.is_true());
    let services = || flows.iter().flat_map(|flow| flow.services.iter());
    // The transaction of a service whose details were exported with the client.
    let details: Vec<Transaction<'_>> = services()
        .filter(|service| service.details.get().is_some())
        .map(|service| service.details.read())
        .collect();
    tell(&form, &flows, &details, &mut metadata);
    let status = verdict.as_ref().map(|verdict| draft.judge(verdict));
    let result = match (client.id.get(), status) {
        (None, _) => Err(no_id("id")),
        (_, None) => Err(no_verdict("status")),
        _ => Ok(()),
    };
    if export.native.import_type == ImportType::BusinessVerification {
        let company = Company {
            external_id: client.id.pick(),
            vendor_data: form.role("external_customer_id"),
            status,
            source_status: client.status.pick(),
            created_at: client.created.pick(),
            completed_at: client.modified.pick(),
            name: form.role("company_name"),
            registration_number: form.role("company_regno"),
            country: form.role("company_country_incorporation"),
            address: form.address("company_").map(Cow::Owned),
            ..Company::default()
        };
        company.write(metadata, draft);
        return result;
    }
    let person = person_of(&details, &mut metadata);
    let person = Person {
        external_id: client.id.pick(),
        vendor_data: form.role("external_customer_id"),
        status,
        source_status: client.status.pick(),
        created_at: client.created.pick(),
        completed_at: client.modified.pick(),
        first_name: form.role("first_name").or(person.first_name),
        last_name: form.role("last_name").or(person.last_name),
        date_of_birth: form
            .role("dob")
            .map(|text| day_first(&text).map_or(text, Cow::Owned))
            .or(person.date_of_birth),
        address: form.address("address_").map(Cow::Owned).or(person.address),
        email: form.named("email").or(person.email),
        phone: form.named("phone").or_else(|| form.named("mobile")).or(person.phone),
        ..person
    };
    person.write(metadata, export, draft);
    result
}

/// What a service looked up or read off a document, which fills the gaps of the form.
fn person_of<'a>(details: &'a [Transaction<'a>], metadata: &mut Metadata) -> Person<'a> {
    let mut person = Person::default();
    if let Some(read) = details.iter().find(|read| read.document().is_some()).or(details.first()) {
        record::add_person(&mut person, read, metadata);
        person.address = record::address(read).map(Cow::Owned);
        person.email = read.input(&["EmailAddress"]).map(Into::into);
        person.phone = read.input(&["MobileNumber", "Telephone"]).map(Into::into);
    }
    person
}

/// What the form holds beyond roles, and what services did not confirm.
fn tell(form: &Form<'_>, flows: &[Flow<'_>], details: &[Transaction<'_>], metadata: &mut Metadata) {
    let others: Vec<_> = form
        .0
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
    let mut aml: Vec<_> = details.iter().flat_map(|read| record::tell_sources(read, metadata)).collect();
    let watchlists: Vec<(_, Watchlist<'_>)> = services
        .flat_map(|service| service.watchlists.top().members())
        .map(|(name, raw)| (name, raw.read()))
        .collect();
    let found = watchlists.iter().filter_map(|(name, list)| Some((name, list.status.get()?)));
    aml.extend(found.clone().map(|(_, status)| record::screened(status)));
    for (name, status) in found.filter(|(_, status)| fold(status) != "nohit") {
        metadata.reason(format!("{name}:{status}"));
    }
    metadata.raw("watchlist_hits", watchlists.iter().find_map(|(_, list)| list.hits.get()));
    metadata.texts("checks", &[("aml", normal::worst(aml).map(FeatureStatus::as_str))]);
    for (_, raw) in flows.iter().flat_map(|flow| flow.files.top().members()) {
        let id = raw.dig(&["id"]).text().or_else(|| raw.text());
        metadata.media(&[("kind", Some("file")), ("id", id.as_deref())]);
    }
}

/// A date of birth as people write it where the day comes first, if it can be read in that order alone.
fn day_first(text: &str) -> Option<String> {
    let mut parts = text.trim().splitn(3, ['/', '.', '-']);
    let (day, month, year) = (parts.next()?, parts.next()?, parts.next()?);
    let is_certain = day == month || day.parse::<u8>().is_ok_and(|day| day > 12);
    let is_date = (1..=2).contains(&day.len()) && (1..=2).contains(&month.len()) && year.len() == 4;
    (is_certain && is_date).then(|| format!("{year}-{month:0>2}-{day:0>2}"))
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
