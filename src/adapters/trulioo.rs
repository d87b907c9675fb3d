//! Trulioo: transaction records, results of its embedded step, and clients of Workflow Studio.

mod client;
mod company;
mod record;

use super::{draft::Draft, registry::Export};
use crate::domain::{
    import::ImportType,
    issue::{Issue, IssueCode},
};

/// Reads a record of Trulioo's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    let is_record = top.has("TransactionID") && top.has("Record");
    let is_step = top.has("transactionType") && top.has("datasourceResults");
    let is_client = top.has("flowData") && top.has("profileType");
    if top.get("type").text().as_deref() == Some("EVENT_CALLBACK") {
        let message =
            "the event says that something happened, and holds no verdict; export the client that it names";
        return Some(Err(Issue::of_record(IssueCode::InvalidValue, message)));
    }
    if !is_record && !is_step && !is_client {
        return None;
    }
    let product = top.get("ProductName").text().or_else(|| top.get("profileType").text());
    let product = product.unwrap_or_default().to_lowercase();
    let is_company = product.contains("business") || product.contains("company");
    let (import_type, what) = match is_company {
        true => (ImportType::BusinessVerification, "a company"),
        false => (ImportType::UserVerification, "a verification of a person"),
    };
    Some(export.must_be(import_type, what).and_then(|()| match () {
        () if is_client => client::read(export, draft),
        () if is_company => company::read(export, draft),
        () => record::read(export, draft),
    }))
}
