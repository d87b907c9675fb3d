//! ErrorInfo for the statuses that tonic makes itself, which carry none.

use tonic::{Code, Status, codegen::http::Response};
use tonic_types::{ErrorDetails, StatusExt};

use super::status::DOMAIN;

/// Adds the reason to an answer that is nothing but a status without details.
pub(super) fn explain<B>(mut response: Response<B>) -> Response<B> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let (reason, message) = match status.code() {
        Code::Unimplemented if status.message().is_empty() => {
            ("UNKNOWN_METHOD", "this server has no such method")
        }
        Code::Unimplemented => ("UNSUPPORTED_ENCODING", status.message()),
        Code::OutOfRange | Code::ResourceExhausted => ("MESSAGE_TOO_LARGE", status.message()),
        Code::Internal => ("MALFORMED_MESSAGE", status.message()),
        _ => return response,
    };
    if status.details().is_empty() {
        let details = ErrorDetails::with_error_info(reason, DOMAIN, []);
        let metadata = status.metadata().clone();
        let explained = Status::with_error_details_and_metadata(status.code(), message, details, metadata);
        // What cannot be a header is left as it was.
        let _ = explained.add_header(response.headers_mut());
    }
    response
}
