//! Persona: inquiries, as fetched, in a list or in the event of a webhook.

mod company;
mod person;
mod resources;
mod transaction;

use super::{
    draft::Draft,
    registry::Export,
    shape::{self, List, Raw},
};
use crate::domain::{
    import::ImportType,
    issue::{Issue, IssueCode},
};
use resources::{Envelope, Record, Resource};

/// Most resources beside an inquiry that are looked at: they are gone over once for each kind.
const INCLUDED: usize = 200;

/// Reads a record of Persona's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    let is_bare = top.has("type") && top.object("attributes").is_some();
    let is_one = top.object("data").is_some_and(|data| data.has("type") && data.has("attributes"));
    let is_list = top.get("data").get().is_some_and(|raw| raw.starts_with('['));
    (is_bare || is_one || is_list).then(|| read_resource(export, is_bare, draft))
}

fn read_resource(export: &Export<'_>, is_bare: bool, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let mut envelope = match is_bare {
        true => Envelope { data: export.record, ..Envelope::default() },
        false => shape::read::<Envelope<'_>>(export.record, draft),
    };
    if envelope.data.get().is_some_and(|raw| raw.starts_with('[')) {
        let items: List<'_, Raw<'_>> = envelope.data.read();
        let [item] = items[..] else {
            let message = format!("the record lists {} resources, and a line holds one", items.len());
            return Err(Issue::of_record(IssueCode::InvalidValue, message));
        };
        envelope.data = item;
    }
    if envelope.data.dig(&["type"]).text().as_deref() == Some("event") {
        envelope = envelope.data.dig(&["attributes", "payload"]).read();
    }
    let resource: Resource<'_> = envelope.data.read();
    match resource.kind.get() {
        Some(kind @ ("inquiry" | "transaction")) => {
            let is_transaction = kind == "transaction";
            let record = Record::new(resource, envelope.included.into_items().take(INCLUDED).collect());
            if is_transaction {
                export.must_be(ImportType::Transactions, "a transaction")?;
                transaction::read(&record, draft)
            } else if record.is_company() {
                export.must_be(ImportType::BusinessVerification, "a company")?;
                company::read(export, &record, draft)
            } else {
                export.must_be(ImportType::UserVerification, "a person")?;
                person::read(export, &record, draft)
            }
        }
        kind => {
            let kind = kind.unwrap_or("nothing that is known");
            let message =
                format!("the record is of the type {kind}, which is no verification and no transaction");
            Err(Issue::of_record(IssueCode::WrongKind, message))
        }
    }
}
