//! Errors to gRPC status, in one place.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataMap};
use tonic_types::{ErrorDetails, StatusExt};
use tracing::error;

use crate::{
    domain::refusal::{FieldViolation, Refusal},
    error::Error,
};

/// Domain of every reason.
pub(super) const DOMAIN: &str = "carryover.v1";

/// Where gRPC's own retries look for how many milliseconds to wait.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

/// When to try again what passes by itself.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// When to try again what waits for an import to end.
const RETRY_AFTER_IMPORT: Duration = Duration::from_secs(10);

/// Most ids of imports that an error names.
const SHOWN_IMPORTS: usize = 10;

/// Most violations that an error names.
const SHOWN_VIOLATIONS: usize = 50;

/// Bytes of violations behind which no more are named. They are told twice, as message and as details, in
/// headers that take more room than the text, and of which clients take 8 to 16 KiB.
const SHOWN_VIOLATION_BYTES: usize = 2_560;

/// Most characters of what is wrong with a field: it may name what the caller sent.
const VIOLATION_CHARS: usize = 256;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(refusal) => refusal.into(),
            Error::Store(error) => {
                error!(error = &error as &dyn std::error::Error, "a call failed in the database");
                if error.is_transient() { unavailable() } else { internal() }
            }
            Error::Objects(error) => {
                error!(error = &error as &dyn std::error::Error, "a call failed in the object store");
                if error.is_of_keys() { without_key() } else { unavailable() }
            }
            Error::Task(error) => {
                error!(error = &error as &dyn std::error::Error, "a task of a call ended early");
                internal()
            }
        }
    }
}

fn unavailable() -> Status {
    let mut details = ErrorDetails::with_error_info("STORAGE_UNAVAILABLE", DOMAIN, []);
    details.set_retry_info(Some(RETRY_AFTER));
    status_of(Code::Unavailable, "the storage does not answer; try again", details)
}

fn without_key() -> Status {
    let details = ErrorDetails::with_error_info("ENCRYPTION_KEY_MISSING", DOMAIN, []);
    let message = "what is stored is sealed, and the server lacks the key; its operator must give it";
    Status::with_error_details(Code::Unavailable, message, details)
}

fn internal() -> Status {
    let details = ErrorDetails::with_error_info("INTERNAL", DOMAIN, []);
    status_of(Code::Internal, "the server failed; its log says why", details)
}

/// A status; when to try again is told in the two ways there are, one for programs and one for gRPC's own retries.
fn status_of(code: Code, message: impl Into<String>, details: ErrorDetails) -> Status {
    let mut metadata = MetadataMap::new();
    if let Some(delay) = details.retry_info().and_then(|info| info.retry_delay) {
        let millis = delay.as_millis().try_into().unwrap_or(i32::MAX);
        metadata.insert(PUSHBACK, millis.into());
    }
    Status::with_error_details_and_metadata(code, message, details, metadata)
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let (refusal, more) = in_short(refusal);
        let (code, reason) = code_and_reason(&refusal);
        let (mut message, mut metadata) = (refusal.to_string(), metadata(&refusal));
        if more > 0 {
            message.push_str(&format!("; and {more} more"));
            metadata.insert("more".to_owned(), more.to_string());
        }
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        match &refusal {
            Refusal::InvalidFields(violations) => {
                for violation in violations {
                    details.add_bad_request_violation(&violation.field, &violation.description);
                }
            }
            Refusal::ActiveImports { .. } => {
                details.add_quota_failure_violation("application", refusal.to_string());
                details.set_retry_info(Some(RETRY_AFTER_IMPORT));
            }
            Refusal::TooManyCalls { subject, wait, .. } => {
                details.add_quota_failure_violation(*subject, refusal.to_string());
                details.set_retry_info(Some(*wait));
            }
            Refusal::SourceLimit { message, .. } => {
                details.add_quota_failure_violation("import", message);
            }
            Refusal::WrongState { status, .. } => {
                details.add_precondition_failure_violation(
                    "IMPORT_STATUS",
                    status.as_str(),
                    refusal.to_string(),
                );
            }
            Refusal::OpenCalls { subject, .. } => {
                details.add_quota_failure_violation(*subject, refusal.to_string());
                details.set_retry_info(Some(RETRY_AFTER));
            }
            Refusal::AnswersNotTaken { .. } => {
                details.add_quota_failure_violation("application", refusal.to_string());
                details.set_retry_info(Some(RETRY_AFTER));
            }
            Refusal::ShuttingDown | Refusal::Overloaded | Refusal::StreamTooLong { .. } => {
                details.set_retry_info(Some(RETRY_AFTER));
            }
            _ => {}
        }
        status_of(code, message, details)
    }
}

/// What of a refusal the headers of an answer have room for, and how many violations they have not.
fn in_short(refusal: Refusal) -> (Refusal, usize) {
    let Refusal::InvalidFields(violations) = refusal else { return (refusal, 0) };
    let all = violations.len();
    let mut bytes = 0;
    let shown: Vec<_> = violations
        .into_iter()
        .take(SHOWN_VIOLATIONS)
        .map(|FieldViolation { field, description }| {
            let end = description.char_indices().nth(VIOLATION_CHARS);
            let description = end.map_or(description.clone(), |(end, _)| format!("{}…", &description[..end]));
            FieldViolation { field, description }
        })
        .take_while(|violation| {
            let is_first = bytes == 0;
            bytes += violation.field.len() + violation.description.len();
            is_first || bytes <= SHOWN_VIOLATION_BYTES
        })
        .collect();
    let more = all - shown.len();
    (Refusal::InvalidFields(shown), more)
}

fn code_and_reason(refusal: &Refusal) -> (Code, &str) {
    match refusal {
        Refusal::InvalidFields(_) => (Code::InvalidArgument, "INVALID_FIELDS"),
        Refusal::Unauthenticated => (Code::Unauthenticated, "INVALID_API_KEY"),
        Refusal::RoleTooLow { .. } => (Code::PermissionDenied, "ROLE_TOO_LOW"),
        Refusal::NoApplication => (Code::PermissionDenied, "KEY_WITHOUT_APPLICATION"),
        Refusal::ImportsNotEnabled => (Code::PermissionDenied, "IMPORTS_NOT_ENABLED"),
        Refusal::Sandbox => (Code::PermissionDenied, "SANDBOX_NOT_SUPPORTED"),
        Refusal::NotFound(_) => (Code::NotFound, "NOT_FOUND"),
        Refusal::RequestIdReused => (Code::AlreadyExists, "REQUEST_ID_REUSED"),
        Refusal::ActiveImports { .. } => (Code::ResourceExhausted, "ACTIVE_IMPORT_LIMIT"),
        Refusal::TooManyCalls { .. } => (Code::ResourceExhausted, "RATE_LIMIT"),
        Refusal::OpenCalls { .. } => (Code::ResourceExhausted, "OPEN_CALL_LIMIT"),
        Refusal::Overloaded => (Code::Unavailable, "OVERLOADED"),
        Refusal::DeadlinePassed => (Code::DeadlineExceeded, "DEADLINE_PASSED"),
        Refusal::CallTooLong { .. } => (Code::DeadlineExceeded, "CALL_TOO_LONG"),
        Refusal::StreamTooLong { .. } => (Code::Unavailable, "STREAM_TOO_LONG"),
        Refusal::AnswersUnread { .. } => (Code::DeadlineExceeded, "ANSWERS_UNREAD"),
        Refusal::AnswersNotTaken { .. } => (Code::ResourceExhausted, "ANSWERS_NOT_TAKEN"),
        Refusal::RulesInWork { .. } => (Code::FailedPrecondition, "STATUS_RULES_IN_WORK"),
        Refusal::ImportInWork { .. } => (Code::FailedPrecondition, "IMPORT_IN_WORK"),
        Refusal::ErasureGoesOn { .. } => (Code::Unavailable, "ERASURE_GOES_ON"),
        Refusal::WrongState { .. } => (Code::FailedPrecondition, "WRONG_IMPORT_STATUS"),
        Refusal::ImportFailed { reason, .. } => (Code::FailedPrecondition, reason),
        Refusal::NothingToRetry => (Code::FailedPrecondition, "NOTHING_TO_RETRY"),
        Refusal::RowErrorsNotKept { .. } => (Code::FailedPrecondition, "ROW_ERRORS_NOT_KEPT"),
        Refusal::WarningsNotKept { .. } => (Code::FailedPrecondition, "WARNINGS_NOT_KEPT"),
        Refusal::WrongOffset { .. } => (Code::OutOfRange, "WRONG_OFFSET"),
        Refusal::WrongSize { .. } => (Code::OutOfRange, "WRONG_SIZE"),
        Refusal::ChunkChecksum { .. } => (Code::DataLoss, "CHUNK_CHECKSUM_MISMATCH"),
        Refusal::SourceChecksum(_) => (Code::DataLoss, "SHA256_MISMATCH"),
        Refusal::SourceLimit { reason, .. } => (Code::ResourceExhausted, reason),
        Refusal::SourceChanged { .. } => (Code::FailedPrecondition, "SOURCE_CHANGED"),
        Refusal::UploadTakenOver => (Code::Aborted, "UPLOAD_TAKEN_OVER"),
        Refusal::UploadUnfinished { .. } => (Code::InvalidArgument, "UPLOAD_UNFINISHED"),
        Refusal::TooManyChunks { .. } => (Code::ResourceExhausted, "TOO_MANY_CHUNKS"),
        Refusal::UploadIdle { .. } => (Code::DeadlineExceeded, "UPLOAD_IDLE"),
        Refusal::SourceGone => (Code::FailedPrecondition, "SOURCE_GONE"),
        Refusal::ShuttingDown => (Code::Unavailable, "SHUTTING_DOWN"),
    }
}

/// Facts of a refusal for programs.
fn metadata(refusal: &Refusal) -> HashMap<String, String> {
    let pair = |key: &str, value: String| HashMap::from([(key.to_owned(), value)]);
    match refusal {
        Refusal::WrongOffset { expected, .. } => pair("expected_offset", expected.to_string()),
        Refusal::WrongSize { received, .. } => pair("received_size", received.to_string()),
        Refusal::ChunkChecksum { offset, .. } => pair("offset", offset.to_string()),
        Refusal::UploadUnfinished { committed } => pair("committed_size", committed.to_string()),
        Refusal::RulesInWork { import } | Refusal::ImportInWork { import } => {
            pair("import_id", import.to_string())
        }
        Refusal::TooManyCalls { limit, .. } => pair("limit", limit.to_string()),
        Refusal::OpenCalls { limit, .. } => pair("limit", limit.to_string()),
        Refusal::AnswersNotTaken { bytes } => pair("limit_bytes", bytes.to_string()),
        Refusal::CallTooLong { seconds }
        | Refusal::StreamTooLong { seconds }
        | Refusal::AnswersUnread { seconds } => pair("limit_seconds", seconds.to_string()),
        Refusal::ErasureGoesOn { sessions, transactions } => HashMap::from([
            ("session_count".to_owned(), sessions.to_string()),
            ("transaction_count".to_owned(), transactions.to_string()),
        ]),
        Refusal::TooManyChunks { limit, .. } => pair("limit", limit.to_string()),
        Refusal::WrongState { status, .. } => pair("status", status.as_str().to_owned()),
        Refusal::RowErrorsNotKept { failed, stored } => HashMap::from([
            ("failed_count".to_owned(), failed.to_string()),
            ("stored_error_count".to_owned(), stored.to_string()),
        ]),
        Refusal::WarningsNotKept { counted, stored } => HashMap::from([
            ("warning_count".to_owned(), counted.to_string()),
            ("stored_warning_count".to_owned(), stored.to_string()),
        ]),
        Refusal::ActiveImports { limit, active } => {
            let mut metadata = pair("limit", limit.to_string());
            metadata.extend(pair("active", active.len().to_string()));
            let ids: Vec<_> = active.iter().take(SHOWN_IMPORTS).map(ToString::to_string).collect();
            metadata.extend(pair("import_ids", ids.join(",")));
            metadata
        }
        _ => HashMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::refusal::{FieldViolation, Role};

    #[test]
    fn every_refusal_names_its_reason_and_its_facts() {
        for (refusal, code, reason) in [
            (Refusal::Unauthenticated, Code::Unauthenticated, "INVALID_API_KEY"),
            (
                Refusal::RoleTooLow { needed: Role::Admin, actual: Role::Reader },
                Code::PermissionDenied,
                "ROLE_TOO_LOW",
            ),
            (Refusal::WrongOffset { expected: 7, actual: 9 }, Code::OutOfRange, "WRONG_OFFSET"),
            (
                Refusal::SourceLimit { reason: "TOO_MANY_ROWS", message: "m".into() },
                Code::ResourceExhausted,
                "TOO_MANY_ROWS",
            ),
        ] {
            let status = Status::from(refusal);
            assert_eq!(status.code(), code);
            let info = status.get_details_error_info().expect("error info");
            assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, DOMAIN));
        }
        let status = Status::from(Refusal::WrongOffset { expected: 7, actual: 9 });
        assert_eq!(status.get_details_error_info().expect("info").metadata["expected_offset"], "7");
        let violations = vec![FieldViolation::new("a", "is bad"), FieldViolation::new("b", "is worse")];
        let status = Status::from(Refusal::InvalidFields(violations));
        assert_eq!(status.get_details_bad_request().expect("bad request").field_violations.len(), 2);
    }
}
