//! Trulioo: transaction records, results of its embedded step, and clients of Workflow Studio.

mod client;
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
    if !is_record && !is_step && !is_client {
        return None;
    }
    let product =
        top.word("ProductName").or_else(|| top.word("profileType")).unwrap_or_default().to_lowercase();
    if product.contains("business") || product.contains("company") {
        return Some(export.must_be(ImportType::BusinessVerification, "a company").and_then(|()| {
            let message =
                "companies of Trulioo are not read in their own form yet; send them as canonical rows";
            Err(Issue::of_record(IssueCode::InvalidValue, message))
        }));
    }
    if let Err(issue) = export.must_be(ImportType::UserVerification, "a verification of a person") {
        return Some(Err(issue));
    }
    Some(if is_client { client::read(export, draft) } else { record::read(export, draft) })
}
