//! A transaction of Persona's, whose fields are the customer's own. One that names no amount and
//! currency is a run of another kind, and is refused for lack of them.

use std::borrow::Cow;

use super::resources::{Record, field};
use crate::{
    adapters::{
        draft::Draft,
        metadata::Metadata,
        normal::{fold, spaced},
        payment::{Party, Payment},
        person::{no_id, no_verdict},
        shape::Raw,
    },
    canonical::transaction::{Direction, TransactionCategory, TransactionStatus},
    domain::issue::{Issue, IssueCode},
};

/// Reads a transaction.
pub(super) fn read(record: &Record<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let attributes = &record.inquiry;
    let word = attributes.status.get();
    let status = word.map(|word| match fold(word).as_str() {
        "approved" => TransactionStatus::Approved,
        "declined" => TransactionStatus::Declined,
        // Whatever word the customer has made up, nobody has let it through.
        _ => TransactionStatus::InReview,
    });
    let direction = record.field("direction").and_then(|word| Direction::parse(&word));
    if direction.is_none() {
        let message = "the record does not tell the direction; it was taken to go from the subject";
        draft.warn(IssueCode::DirectionNotTold, "transaction_details.direction", message);
    }
    let at = ["transaction-at", "transaction-date", "date"].into_iter().find_map(|name| record.field(name));
    let mut metadata = Metadata::default();
    for (key, name) in
        [("transaction_type_id", "transaction-type"), ("transaction_label_id", "transaction-label")]
    {
        metadata.text(key, record.related(name).as_deref());
    }
    metadata.texts("fields", &record.other_fields());
    let payment = Payment {
        external_id: record.resource.id.pick(),
        transaction_id: attributes.reference_id.pick().or_else(|| record.resource.id.pick()),
        at: at.or_else(|| attributes.created_at.pick()),
        category: Some(TransactionCategory::Finance),
        action_type: record.field("type"),
        direction: direction.or(Some(Direction::Outbound)),
        amount: record.field("amount"),
        currency: record.field("currency").or_else(|| record.field("currency-code")),
        status,
        source_status: attributes.status.pick(),
        subject: subject(record),
        tags: attributes.tags.raw(),
        ..Payment::default()
    };
    let result = match (&payment.external_id, status) {
        (None, _) => Err(no_id("data.id")),
        (_, None) => Err(no_verdict("data.attributes.status")),
        _ => Ok(()),
    };
    payment.write(metadata, draft);
    result
}

/// Whose transaction it is: the account that came with it, and a name by either.
fn subject<'a>(record: &'a Record<'a>) -> Party<'a> {
    let account = record.included.iter().find(|resource| resource.kind.get() == Some("account"));
    let fields = account.map_or_else(Raw::default, |account| account.attributes.dig(&["fields"]));
    let nested = fields.dig(&["name", "value"]);
    let name = |own: &str, inner: &str| {
        record.field(own).or_else(|| field(fields, own)).or_else(|| field(nested, inner))
    };
    let (first_name, last_name) = (name("name-first", "first"), name("name-last", "last"));
    let whole = spaced([first_name.as_deref(), last_name.as_deref()]).map(Cow::into_owned);
    Party {
        kind: Some("individual"),
        vendor_data: record.account_reference(),
        full_name: whole.map(Cow::Owned).or_else(|| record.field("name")),
        first_name,
        last_name,
        ..Party::default()
    }
}
