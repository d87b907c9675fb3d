//! Onfido Studio's workflow runs.

use super::{
    parts::Parts,
    shapes::{Object, Run},
    tell, user_of,
};
use crate::{
    adapters::{
        draft::Draft,
        metadata::Metadata,
        normal::{self, Verdict, fold},
        person::{Person, no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf, Raw},
    },
    canonical::status::SessionStatus,
    domain::issue::Issue,
};

/// Reads a run.
pub(super) fn read(export: &Export<'_>, record: Raw<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let run = shape::read::<Run<'_>>(record, draft);
    write(export, &run, draft)
}

/// Reads a run of which no more than its id and status is told.
pub(super) fn read_object(
    export: &Export<'_>,
    object: &Object<'_>,
    draft: &mut Draft<'_>,
) -> Result<(), Issue> {
    let run = Run {
        id: object.id.clone(),
        status: object.status.clone(),
        created_at: object.started_at.clone(),
        updated_at: object.completed_at.clone(),
        ..Run::default()
    };
    write(export, &run, draft)
}

fn write(export: &Export<'_>, run: &Run<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    let parts = Parts::of_output(run.output);
    let verdict = run.status.get().map(|word| Verdict { status: status_of(word), word: word.into() });
    let mut metadata = Metadata::default();
    let mut person = Person {
        external_id: run.id.pick(),
        vendor_data: run.customer_user_id.pick().or_else(|| {
            let applicant = run.applicant_id.get().or(run.applicant.id.get());
            user_of(&run.tags, applicant, &export.native.options)
        }),
        status: verdict.as_ref().map(|verdict| draft.judge(verdict)),
        source_status: run.status.pick(),
        created_at: run.created_at.pick(),
        completed_at: run.updated_at.pick(),
        tags: run.tags.raw(),
        ..Person::default()
    };
    parts.fill(&mut person, &run.applicant, &mut metadata);
    run.reasons.iter().filter_map(Leaf::get).for_each(|reason| metadata.reason(reason));
    if let Some(kind) = run.error.kind.get() {
        metadata.reason(format!("error:{kind}"));
    }
    tell(
        &mut metadata,
        &[
            ("applicant_id", run.applicant_id.get().or(run.applicant.id.get())),
            ("workflow_id", run.workflow_id.get()),
            ("workflow_version_id", run.workflow_version.get()),
            ("dashboard_url", run.dashboard_url.get().map(normal::without_query)),
            ("error_message", run.error.message.get()),
        ],
    );
    let result = match (&person.external_id, person.status) {
        (None, _) => Err(no_id("id")),
        (_, None) => Err(no_verdict("status")),
        _ => Ok(()),
    };
    person.write(metadata, export, draft);
    result
}

/// What a run's word means.
fn status_of(word: &str) -> Option<SessionStatus> {
    Some(match fold(word).as_str() {
        "approved" => SessionStatus::Approved,
        "declined" => SessionStatus::Declined,
        "review" | "processing" => SessionStatus::InReview,
        "awaitinginput" | "awaitingclientinput" | "abandoned" | "error" => SessionStatus::Expired,
        _ => return None,
    })
}
