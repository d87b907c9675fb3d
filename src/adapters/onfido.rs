//! Onfido: checks with their reports, workflow runs of Studio, and the webhooks about either.

mod check;
mod parts;
mod run;
mod shapes;

use super::{draft::Draft, metadata::Metadata, person::Pick, registry::Export, shape::Leaf};
use crate::domain::{
    import::{ImportType, ProviderOptions},
    issue::{Issue, IssueCode},
};
use shapes::Webhook;

/// Reads a record of Onfido's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    let payload = top.object("payload");
    let is_webhook = payload.is_some_and(|payload| payload.has("resource_type") && payload.has("action"));
    let is_run = top.has("workflow_id") && top.has("status");
    let is_bundle = top.object("check").is_some() && (top.has("reports") || top.has("applicant"));
    let is_check = (top.has("report_ids") || top.has("reports")) && top.has("applicant_id");
    if !is_webhook && !is_run && !is_bundle && !is_check {
        return None;
    }
    if let Err(issue) = export.must_be(ImportType::UserVerification, "a verification of a person") {
        return Some(Err(issue));
    }
    Some(match () {
        () if is_webhook => read_webhook(export, draft),
        () if is_run => run::read(export, export.record, draft),
        () => check::read(export, is_bundle, draft),
    })
}

/// A webhook says how a check or run ended; its resource, where it has one, says what of.
fn read_webhook(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let webhook: Webhook<'_> = export.record.read();
    let payload = &webhook.payload;
    match payload.resource_type.get() {
        Some("workflow_run") if payload.resource.get().is_some() => {
            run::read(export, payload.resource, draft)
        }
        Some("workflow_run") => run::read_object(export, &payload.object, draft),
        Some("check") => check::read_object(export, &webhook, draft),
        _ => {
            let message = "the webhook is about one step of a verification, and about none as a whole";
            Err(Issue::of_record(IssueCode::InvalidValue, message))
        }
    }
}

/// The customer's id of a person where Onfido has no place for one: in a tag, or else the applicant's, if the
/// import says so.
fn user_of<'a>(tags: &'a [Leaf<'a>], applicant: Option<&'a str>, options: &ProviderOptions) -> Pick<'a> {
    let prefix = options.onfido_vendor_data_tag.as_str();
    let tagged = tags.iter().filter(|_| !prefix.is_empty()).find_map(|tag| tag.get()?.strip_prefix(prefix));
    let applicant = applicant.filter(|_| options.onfido_applicant_is_vendor_data);
    tagged.filter(|id| !id.trim().is_empty()).or(applicant).map(Into::into)
}

/// What Onfido says beyond the contract's fields, of a check or of a run.
fn tell(metadata: &mut Metadata, texts: &[(&str, Option<&str>)]) {
    for (key, text) in texts {
        metadata.text(key, *text);
    }
}
