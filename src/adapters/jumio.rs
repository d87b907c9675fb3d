//! Jumio: workflow executions and their callbacks, and the older Netverify.

mod execution;
mod netverify;

use super::{draft::Draft, registry::Export};
use crate::{
    canonical::document::DocumentType,
    domain::{import::ImportType, issue::Issue},
};

/// Reads a record of Jumio's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    let has_id = |key: &str| top.object(key).is_some_and(|workflow| workflow.has("id"));
    let is_callback = top.has("callbackSentAt") && top.has("workflowExecution");
    let is_execution = has_id("workflow")
        || (has_id("workflowExecution") && (top.has("capabilities") || top.has("decision")));
    let is_scan = (top.has("scanReference") && top.has("transaction")) || top.has("jumioIdScanReference");
    if !is_callback && !is_execution && !is_scan {
        return None;
    }
    if let Err(issue) = export.must_be(ImportType::UserVerification, "a verification of a person") {
        return Some(Err(issue));
    }
    Some(if is_scan { netverify::read(export, draft) } else { execution::read(export, draft) })
}

/// The type of a document by Jumio's type and what it is within that.
fn document_type(kind: &str, within: Option<&str>) -> DocumentType {
    use DocumentType as D;
    match (kind, within.unwrap_or_default()) {
        ("PASSPORT", _) => D::Passport,
        ("DRIVING_LICENSE" | "DRIVER_LICENSE", _) => D::DriversLicense,
        ("ID_CARD", "RESIDENT_PERMIT_ID") => D::ResidencePermit,
        (
            "ID_CARD",
            "" | "NATIONAL_ID" | "CONSULAR_ID" | "ELECTORAL_ID" | "PASSPORT_CARD_ID" | "MILITARY_ID",
        ) => D::IdentityCard,
        ("VISA", _) => D::Visa,
        _ => D::Other,
    }
}

/// A value, unless it stands for none.
fn given<'a>(leaf: &'a super::shape::Leaf<'a>) -> super::person::Pick<'a> {
    leaf.get().and_then(super::normal::name).map(Into::into)
}
