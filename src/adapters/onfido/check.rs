//! Onfido's checks, whose outcome stands in them and in the report on the document.

use super::{
    parts::Parts,
    shapes::{Bundle, Check, Webhook},
    tell, user_of,
};
use crate::{
    adapters::{
        draft::Draft,
        metadata::Metadata,
        normal::{self, Verdict, fold},
        person::{Person, no_id, no_verdict},
        registry::Export,
        shape::{self, Part},
    },
    canonical::status::SessionStatus,
    domain::issue::{Issue, IssueCode},
};

/// Reads a check, or one with what belongs to it.
pub(super) fn read(export: &Export<'_>, is_bundle: bool, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let mut bundle = if is_bundle {
        shape::read::<Bundle<'_>>(export.record, draft)
    } else {
        let check = shape::read::<Check<'_>>(export.record, draft);
        Bundle { check, ..Bundle::default() }
    };
    if bundle.reports.is_empty() {
        bundle.reports = std::mem::take(&mut bundle.check.reports);
    }
    if !bundle.applicant.is_there() {
        bundle.applicant = std::mem::take(&mut bundle.check.applicant);
    }
    write(export, bundle, draft)
}

/// Reads a webhook about a check, which has no result.
pub(super) fn read_object(
    export: &Export<'_>,
    webhook: &Webhook<'_>,
    draft: &mut Draft<'_>,
) -> Result<(), Issue> {
    let object = &webhook.payload.object;
    let check = Check { id: object.id.clone(), status: object.status.clone(), ..Check::default() };
    let webhook = Webhook {
        payload: super::shapes::Payload {
            object: super::shapes::Object {
                completed_at: object.completed_at.clone(),
                ..super::shapes::Object::default()
            },
            ..super::shapes::Payload::default()
        },
        ..Webhook::default()
    };
    write(export, Bundle { check, webhook, ..Bundle::default() }, draft)
}

fn write(export: &Export<'_>, mut bundle: Bundle<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let parts = Parts::of_reports(std::mem::take(&mut bundle.reports).into_items());
    let Bundle { check, applicant, webhook, .. } = &bundle;
    let options = &export.native.options;
    let verdict = verdict_of(check, &parts, options.onfido_consider_is_in_review);
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: check.id.pick(),
        vendor_data: user_of(&check.tags, check.applicant_id.get().or(applicant.id.get()), options),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        created_at: check.created_at.pick(),
        completed_at: webhook.payload.object.completed_at.pick(),
        tags: check.tags.raw(),
        ..Person::default()
    };
    if check.status.get() == Some("complete") && check.result.get().is_none() {
        let why = "the check is complete and its result is not told";
        draft.warn_of_outcome(IssueCode::ResultNotInExport, why, "the session is Expired");
    }
    person.source_status = verdict.map(|verdict| verdict.word);
    parts.fill(&mut person, applicant, &mut metadata);
    tell(
        &mut metadata,
        &[
            ("applicant_id", applicant.id.get().or(check.applicant_id.get())),
            ("results_uri", check.results_uri.get().map(normal::without_query)),
            ("ip", applicant.location.ip.get()),
            ("country_of_residence", applicant.location.country.get()),
        ],
    );
    if check.sandbox.is_true() || applicant.sandbox.is_true() {
        draft.warn(IssueCode::Sandbox, "", "the record is of a sandbox");
    }
    let files =
        [("document", &bundle.documents), ("live_photo", &bundle.photos), ("live_video", &bundle.videos)];
    for (kind, file) in files.iter().flat_map(|(kind, files)| files.iter().map(move |file| (kind, file))) {
        metadata.media(&[
            ("kind", Some(kind)),
            ("id", file.id.get()),
            ("document_type", file.kind.get()),
            ("side", file.side.get()),
            ("type", file.file_type.get()),
            ("file_name", file.file_name.get()),
        ]);
    }
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("check.id")),
        (_, None) => Err(no_verdict("check.status")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

/// A check to be considered is declined only by explicit words about its document.
fn verdict_of<'a>(check: &'a Check<'a>, parts: &Parts<'_>, is_lenient: bool) -> Option<Verdict<'a>> {
    let (state, result) = (check.status.get()?, check.result.get());
    let status = match (fold(state).as_str(), result) {
        ("complete", Some("clear")) => Some(SessionStatus::Approved),
        ("complete", Some("consider")) if parts.is_document_refused() && !is_lenient => {
            Some(SessionStatus::Declined)
        }
        ("complete", Some("consider")) => Some(SessionStatus::InReview),
        ("complete", None) => Some(SessionStatus::Expired),
        ("inprogress" | "reopened" | "paused", _) => Some(SessionStatus::InReview),
        ("awaitingapplicant" | "withdrawn", _) => Some(SessionStatus::Expired),
        _ => None,
    };
    let word = result.map(|result| format!("{state} {result}"));
    Some(Verdict { status, word: word.map_or(state.into(), Into::into) })
}
