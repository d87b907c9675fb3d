//! Sumsub: applicants (people and companies), with or without their step results and images, and the
//! webhooks about them.

mod company;
mod person;
mod shapes;
pub(super) mod sheet;
mod transaction;

use super::{
    draft::Draft,
    normal::{Verdict, fold},
    registry::Export,
    shape,
};
use crate::{
    canonical::status::{FeatureStatus, SessionStatus},
    domain::{
        import::{ImportType, ProviderOptions},
        issue::{Issue, IssueCode},
    },
};
use shapes::{Applicant, Bundle, Listed};

/// Reads a record of Sumsub's.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Option<Result<(), Issue>> {
    let top = &export.top;
    let is_bundle = top.object("applicant").is_some()
        && ["requiredIdDocsStatus", "inspection", "images", "amlCase"].iter().any(|key| top.has(key));
    let is_transaction = top.object("data").is_some_and(|data| data.has("txnId"));
    let is_applicant =
        top.has("applicantId") || top.has("inspectionId") || (top.has("review") && top.has("externalUserId"));
    let is_list = top.object("list").is_some_and(|list| list.has("items"));
    if is_transaction {
        return Some(transaction::read(export, draft));
    }
    if !is_bundle && !is_applicant && !is_list {
        return None;
    }
    Some(read_applicant(export, is_bundle, is_list, draft))
}

fn read_applicant(
    export: &Export<'_>,
    is_bundle: bool,
    is_list: bool,
    draft: &mut Draft<'_>,
) -> Result<(), Issue> {
    let bundle = if is_bundle {
        shape::read::<Bundle<'_>>(export.record, draft)
    } else if is_list {
        let listed = shape::read::<Listed<'_>>(export.record, draft);
        let [item] = &listed.list.items[..] else {
            let message =
                format!("the record lists {} applicants, and a line holds one", listed.list.items.len());
            return Err(Issue::of_record(IssueCode::InvalidValue, message));
        };
        Bundle { applicant: item.read(), ..Bundle::default() }
    } else {
        let applicant = shape::read::<Applicant<'_>>(export.record, draft);
        Bundle { applicant, ..Bundle::default() }
    };
    read_bundle(export, &bundle, draft)
}

fn read_bundle(export: &Export<'_>, bundle: &Bundle<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    if bundle.applicant.type_or_event.get().is_some_and(is_of_part) {
        let message =
            "the webhook is about an action or a transaction of an applicant, and about none as a whole";
        return Err(Issue::of_record(IssueCode::InvalidValue, message));
    }
    if let (Some(state), None) = outcome(&bundle.applicant)
        && fold(state) == "completed"
    {
        let why = "the review is completed and its answer is not told";
        draft.warn_of_outcome(IssueCode::ResultNotInExport, why, "the session is Expired");
    }
    match bundle.applicant.kind() {
        Some("company") => {
            export.must_be(ImportType::BusinessVerification, "a company")?;
            company::read(export, bundle, draft)
        }
        _ => {
            export.must_be(ImportType::UserVerification, "a person")?;
            person::read(export, bundle, draft)
        }
    }
}

/// Whether a webhook's review is of something the applicant did, and not of them.
fn is_of_part(event: &str) -> bool {
    event.starts_with("applicantAction")
        || event.starts_with("applicantKyt")
        || event == "videoIdentStatusChanged"
}

/// The state of an applicant's review, and its answer.
fn outcome<'a>(applicant: &'a Applicant<'a>) -> (Option<&'a str>, Option<&'a str>) {
    let review = &applicant.review;
    (
        review.status.get().or(applicant.review_status.get()),
        review.result.answer.get().or(applicant.review_result.answer.get()),
    )
}

/// The verdict on an applicant. A left-over answer of an earlier attempt stands beside any state of
/// work, so it counts only where the review is completed, or its state is not told.
fn verdict_of<'a>(applicant: &'a Applicant<'a>, options: &ProviderOptions) -> Option<Verdict<'a>> {
    let (state, answer) = outcome(applicant);
    let answered = |answer| match answered(answer) {
        Some(SessionStatus::Declined) if options.sumsub_retry_is_expired && applicant.may_retry() => {
            Some(SessionStatus::Expired)
        }
        status => status,
    };
    let Some(state) = state else {
        return answer.map(|answer| Verdict { status: answered(answer), word: answer.into() });
    };
    let folded = fold(state);
    let status = match (folded.as_str(), answer) {
        ("completed" | "approved" | "rejected" | "resubmissionrequested", Some(answer)) => answered(answer),
        ("completed", None) => Some(SessionStatus::Expired),
        // The words of the dashboard, which are those of its files.
        ("approved", None) => Some(SessionStatus::Approved),
        ("resubmissionrequested", None) if options.sumsub_retry_is_expired => Some(SessionStatus::Expired),
        ("rejected" | "resubmissionrequested", None) => Some(SessionStatus::Declined),
        ("awaitinguser", _) if options.sumsub_awaiting_user_is_in_review => Some(SessionStatus::InReview),
        ("init" | "awaitinguser" | "documentsrequested", _) => Some(SessionStatus::Expired),
        ("pending" | "prechecked" | "queued" | "onhold" | "requiresaction" | "awaitingservice", _) => {
            Some(SessionStatus::InReview)
        }
        _ => None,
    };
    let word = answer.filter(|_| folded == "completed").map(|answer| [state, " ", answer].concat());
    Some(Verdict { status, word: word.map_or(state.into(), Into::into) })
}

fn answered(answer: &str) -> Option<SessionStatus> {
    Some(match fold(answer).as_str() {
        "green" => SessionStatus::Approved,
        "red" => SessionStatus::Declined,
        "yellow" => SessionStatus::InReview,
        _ => return None,
    })
}

/// The status of a check by its answer.
fn checked(answer: Option<&str>) -> FeatureStatus {
    match answer.and_then(answered) {
        Some(status) => status.as_feature(),
        None => FeatureStatus::NotFinished,
    }
}
