//! MetaMap, which was Mati: verifications as fetched, and webhooks that name one or hold it.

mod checks;
mod shapes;

use std::borrow::Cow;

use chrono::{DateTime, TimeDelta};

use super::{
    draft::Draft,
    metadata::Metadata,
    normal::{Verdict, fold},
    person::{Person, Pick, no_id, no_verdict},
    registry::Export,
    shape::{self, Leaf, Raw},
};
use crate::{
    canonical::{date::parse_timestamp, document::DocumentType, status::SessionStatus},
    domain::{
        import::ImportType,
        issue::{Issue, IssueCode},
    },
};
use shapes::{Document, Verification, Webhook};

/// Keys of the customer's own metadata under which their id of a user stands, the likeliest first.
const USER_KEYS: [&str; 8] =
    ["userId", "user_id", "externalId", "external_id", "customerId", "clientId", "client_id", "id"];

/// Reads a record of MetaMap's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    let is_webhook = top.has("eventName") && top.has("resource");
    let is_verification = top.has("flow")
        && (top.has("identity") || top.has("verificationStatus"))
        && (top.has("steps") || top.has("documents"));
    if !is_webhook && !is_verification {
        return None;
    }
    if let Err(issue) = export.must_be(ImportType::UserVerification, "a verification of a person") {
        return Some(Err(issue));
    }
    Some(match is_webhook {
        true => read_webhook(export, draft),
        false => {
            let verification = shape::read::<Verification<'_>>(export.record, draft);
            write(export, &Webhook::default(), &verification, draft)
        }
    })
}

fn read_webhook(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let webhook = shape::read::<Webhook<'_>>(export.record, draft);
    if webhook.event.get().map(fold).as_deref() == Some("stepcompleted") {
        let message = "the webhook is about one step of a verification, and about none as a whole";
        return Err(Issue::of_record(IssueCode::InvalidValue, message));
    }
    let is_fetched = webhook.resource.get().is_some_and(|raw| raw.starts_with('{'));
    let verification = match is_fetched {
        true => webhook.resource.read(),
        false => Verification { id: id_of_link(webhook.resource), ..Verification::default() },
    };
    write(export, &webhook, &verification, draft)
}

/// The last part of a link to a verification.
fn id_of_link(link: Raw<'_>) -> Leaf<'_> {
    let link = link.text().unwrap_or_default();
    let id = link.split(['?', '#']).next().and_then(|path| path.trim_end_matches('/').rsplit('/').next());
    Leaf::of(Cow::Owned(id.unwrap_or_default().to_owned()))
}

fn write(
    export: &Export<'_>,
    webhook: &Webhook<'_>,
    verification: &Verification<'_>,
    draft: &mut Draft<'_>,
) -> Result<(), Issue> {
    let created_at = verification.created_at.pick().or_else(|| time_of_id(verification.id.get()?));
    let verdict = verdict_of(webhook, verification, is_old(export, created_at.as_deref()));
    let none = Document::default();
    let document = primary(verification).unwrap_or(&none);
    let customer =
        if verification.metadata.get().is_some() { verification.metadata } else { webhook.metadata };
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: verification.id.pick(),
        vendor_data: user_of(customer, &export.native.options.metamap_vendor_data_key),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        created_at,
        completed_at: webhook.timestamp.pick().or_else(|| checks::newest(verification)),
        ..Person::default()
    };
    person.source_status = verdict.map(|verdict| verdict.word);
    add_document(&mut person, document);
    let fields = &document.fields;
    person.first_name = fields.first_name.value.pick();
    person.last_name = fields.surname.value.pick();
    if person.first_name.is_none() || person.last_name.is_none() {
        let whole = [&fields.full_name.value, &verification.summary.identity.full_name];
        let whole = whole.into_iter().find_map(Leaf::get);
        match whole.and_then(|whole| whole.rsplit_once(char::is_whitespace)) {
            Some((first, last)) if export.native.options.metamap_full_name_is_split => {
                (person.first_name, person.last_name) = (Some(first.into()), Some(last.into()));
            }
            // Where a family name begins cannot be told of two family names and more.
            _ => person.full_name = whole.map(Into::into),
        }
    }
    let papers = verification.documents.iter().filter(|other| kind(other) == "proofofresidency");
    person.address = fields
        .address
        .value
        .pick()
        .or_else(|| papers.clone().find_map(|paper| paper.fields.address.value.pick()));
    checks::add(&mut person, verification, document, &mut metadata);
    tell_photos(verification, document, &mut metadata);
    for (key, text) in [
        ("flow_id", verification.flow.id.get().or(webhook.flow_id.get())),
        ("flow_name", verification.flow.name.get()),
        ("ip", verification.device.ip.get().or(webhook.device.ip.get())),
        ("event", webhook.event.get()),
    ] {
        metadata.text(key, text);
    }
    metadata.raw("source_metadata", customer.get());
    metadata.flag("source_expired", verification.expired.is_true());
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("id")),
        (_, None) => Err(no_verdict("identity.status, verificationStatus, identityStatus and no status")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

/// What became of a verification, by the first place that tells it. One that ran out of time is
/// Expired, unless it had been decided or was left to a reviewer before.
fn verdict_of<'a>(
    webhook: &'a Webhook<'a>,
    verification: &'a Verification<'a>,
    is_old: bool,
) -> Option<Verdict<'a>> {
    let event = webhook.event.get().map(fold).unwrap_or_default();
    let identity = verification.identity.dig(&["status"]).text();
    let places = [&verification.verification_status, &verification.identity_status, &webhook.identity_status];
    let word = identity.or_else(|| places.into_iter().find_map(Leaf::pick));
    let word = word.or_else(|| verification.status.pick()).or_else(|| webhook.status.pick());
    let unfinished = ["verificationexpired", "verificationstarted", "verificationinputscompleted"];
    let Some(word) = word else {
        let is_told = unfinished.contains(&event.as_str()) || verification.expired.is_true();
        return is_told.then(|| Verdict {
            status: Some(SessionStatus::Expired),
            word: webhook.event.pick().unwrap_or(Cow::Borrowed("expired")),
        });
    };
    let status = match fold(&word).as_str() {
        "verified" => Some(SessionStatus::Approved),
        "rejected" => Some(SessionStatus::Declined),
        "reviewneeded" => Some(SessionStatus::InReview),
        _ if event == "verificationexpired" || verification.expired.is_true() => Some(SessionStatus::Expired),
        "reviewrunning" | "running" | "pending" | "postponed" if is_old => Some(SessionStatus::Expired),
        "reviewrunning" | "running" | "pending" | "postponed" => Some(SessionStatus::InReview),
        "deleted" | "unknown" => Some(SessionStatus::Expired),
        _ => None,
    };
    Some(Verdict { status, word })
}

/// Whether a verification is older than what is pending may be.
fn is_old(export: &Export<'_>, created_at: Option<&str>) -> bool {
    let created_at = created_at.and_then(super::normal::timestamp).and_then(|text| parse_timestamp(&text));
    let days = export.native.options.metamap_pending_days.map(|days| TimeDelta::days(days.into()));
    let age = export.native.as_of.zip(created_at).map(|(as_of, created_at)| as_of - created_at);
    age.zip(days).is_some_and(|(age, days)| age > days)
}

/// The customer's id of the user, by the key that the import names or a likely one of what they attached: an
/// object, or a text of one.
fn user_of<'a>(metadata: Raw<'a>, key: &str) -> Pick<'a> {
    let encoded = metadata.encoded();
    let top = metadata.decoded(&encoded).top();
    let named = [key];
    let keys = if key.is_empty() { &USER_KEYS[..] } else { &named };
    let id = keys.iter().find_map(|key| top.get(key).text())?;
    Some(Cow::Owned(id.into_owned()))
}

/// When an id of MongoDB was made: its first eight digits are seconds.
fn time_of_id(id: &str) -> Pick<'static> {
    let seconds =
        id.get(..8).filter(|_| id.len() == 24 && id.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    let time = DateTime::from_timestamp_secs(i64::from_str_radix(seconds, 16).ok()?)?;
    Some(Cow::Owned(time.to_rfc3339()))
}

fn kind(document: &Document<'_>) -> String {
    document.kind.get().map(fold).unwrap_or_default()
}

/// The document that tells who somebody is, in MetaMap's own order.
fn primary<'a>(verification: &'a Verification<'a>) -> Option<&'a Document<'a>> {
    let of = |wanted: &str| verification.documents.iter().find(|document| kind(document) == wanted);
    let known = ["passport", "nationalid", "drivinglicense", "driverlicense"];
    known
        .iter()
        .find_map(|wanted| of(wanted))
        .or_else(|| verification.documents.iter().find(|document| kind(document) != "proofofresidency"))
}

/// Photos of papers beside the document that tells who somebody is.
fn tell_photos(verification: &Verification<'_>, primary: &Document<'_>, metadata: &mut Metadata) {
    for other in verification.documents.iter().filter(|other| !std::ptr::eq(*other, primary)) {
        for photo in other.photos.iter().filter_map(|photo| shapes::link(*photo)) {
            metadata
                .media(&[("kind", other.kind.get()), ("url", Some(super::normal::without_query(&photo)))]);
        }
    }
}

fn add_document<'a>(person: &mut Person<'a>, document: &'a Document<'a>) {
    let fields = &document.fields;
    person.document_type = document.kind.get().map(|kind| match fold(kind).as_str() {
        "voterid" => DocumentType::IdentityCard,
        _ => super::normal::document(kind).unwrap_or(DocumentType::Other),
    });
    person.document_subtype = document.kind.pick();
    person.issuing_state = document.country.pick();
    person.date_of_birth = fields.date_of_birth.value.pick();
    person.gender = fields.sex.value.pick();
    person.nationality = fields.nationality.value.pick();
    person.document_number = fields.document_number.value.pick();
    person.personal_number = fields.personal_number.value.pick().or_else(|| fields.curp.value.pick());
    person.date_of_issue = fields.emission_date.value.pick();
    person.expiration_date = fields.expiration_date.value.pick();
    let mut photos = document.photos.iter();
    person.links.front = photos.next().and_then(|photo| shapes::link(*photo));
    person.links.back = photos.next().and_then(|photo| shapes::link(*photo));
}
