//! Which sessions to list.

use uuid::Uuid;

use super::{FILTER_VALUES, NOT_TEXT, Violations, is_text};
use crate::{
    canonical::{date::parse_date, document::DocumentType, status::SessionStatus},
    domain::refusal::Refusal,
    grpc::pb,
    records::SessionKinds,
    store::SessionFilter,
};

/// Reads the kinds and filters of a session list.
pub(in crate::grpc) fn session_filter(
    request: pb::ListSessionsRequest,
) -> Result<(SessionKinds, SessionFilter), Refusal> {
    let mut wrong = Violations::default();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    let kinds = kinds(request.session_kind, &mut wrong);
    for session_type in &request.session_types {
        let good = *session_type == pb::SessionType::Migrated as i32;
        wrong.check(good, "session_types", "can only be MIGRATED: no other sessions are kept here");
    }
    let mut statuses = Vec::new();
    for status in &request.statuses {
        match pb::SessionStatus::try_from(*status)
            .ok()
            .and_then(|status| SessionStatus::parse(status.as_str_name().strip_prefix("SESSION_STATUS_")?))
        {
            Some(status) => statuses.push(status),
            None => wrong.add("statuses", "holds a value that is no status"),
        }
    }
    let mut date = |field: &str, text: &str| {
        let date = parse_date(text);
        wrong.check(text.is_empty() || date.is_some(), field, "must have the form YYYY-MM-DD");
        date
    };
    let (date_from, date_to) = (date("date_from", &request.date_from), date("date_to", &request.date_to));
    let mut document_types = Vec::new();
    for code in &request.document_types {
        match DocumentType::parse(code) {
            Some(document) => document_types.push(document),
            None => wrong.add("document_types", "must be document type codes such as P, DL or ID"),
        }
    }
    let import_id = Uuid::parse_str(&request.import_id).ok();
    wrong.check(request.import_id.is_empty() || import_id.is_some(), "import_id", "must be a UUID");
    let workflows = request.workflow_ids.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect();
    for (field, text) in [
        ("search", &request.search),
        ("vendor_data", &request.vendor_data),
        ("provider", &request.provider),
        ("external_id", &request.external_id),
    ] {
        wrong.check(is_text(text), field, NOT_TEXT);
    }
    wrong.check(request.countries.iter().all(|country| is_text(country)), "countries", NOT_TEXT);
    for (field, count) in [
        ("statuses", request.statuses.len()),
        ("workflow_ids", request.workflow_ids.len()),
        ("countries", request.countries.len()),
        ("document_types", request.document_types.len()),
    ] {
        wrong.check(count <= FILTER_VALUES, field, "must be at most 300 values");
    }
    let filter = SessionFilter {
        statuses,
        vendor_data: some(request.vendor_data),
        search: some(request.search.trim().to_owned()),
        workflow_ids: (!request.workflow_ids.is_empty()).then_some(workflows),
        date_from,
        date_to,
        countries: request.countries.iter().map(|country| country.to_uppercase()).collect(),
        document_types,
        provider: some(request.provider),
        external_id: some(request.external_id),
        import_id,
    };
    wrong.none_or((kinds, filter))
}

fn kinds(number: i32, wrong: &mut Violations) -> SessionKinds {
    match pb::SessionKind::try_from(number) {
        Ok(pb::SessionKind::Unspecified | pb::SessionKind::User) => SessionKinds::User,
        Ok(pb::SessionKind::Business) => SessionKinds::Business,
        Ok(pb::SessionKind::All) => SessionKinds::All,
        Err(_) => {
            wrong.add("session_kind", "must be USER, BUSINESS or ALL");
            SessionKinds::User
        }
    }
}
