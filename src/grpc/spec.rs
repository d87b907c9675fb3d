//! Import specs and filters from the wire: all that is wrong with them is told at once.

use std::collections::HashMap;

use uuid::Uuid;

use super::pb;
use crate::{
    canonical::{date::parse_date, document::DocumentType, scalar::is_provider, status::SessionStatus},
    domain::{
        ids::{ImportId, WorkflowId},
        import::{ImportSpec, ImportStatus, ImportType, SourceFormat, StartMode},
        ledger::Outcome,
        refusal::{FieldViolation, Refusal},
    },
    store::SessionFilter,
};

/// Most characters of a file name or label value.
const TEXT_CHARS: usize = 255;

/// Most labels of an import.
const LABELS: usize = 32;

/// Most characters of a label's key.
const LABEL_KEY_CHARS: usize = 64;

/// Most characters of a request id.
const REQUEST_ID_CHARS: usize = 128;

/// Gathers what is wrong with a request.
#[derive(Default)]
struct Violations(Vec<FieldViolation>);

impl Violations {
    fn add(&mut self, field: &str, description: &str) {
        self.0.push(FieldViolation::new(field, description));
    }

    fn check(&mut self, good: bool, field: &str, description: &str) {
        if !good {
            self.add(field, description);
        }
    }

    fn none_or<T>(self, value: T) -> Result<T, Refusal> {
        if self.0.is_empty() { Ok(value) } else { Err(Refusal::InvalidFields(self.0)) }
    }
}

/// Reads a spec and its request id.
pub(super) fn import_spec(
    spec: Option<pb::ImportSpec>,
    request_id: String,
) -> Result<(ImportSpec, Option<String>), Refusal> {
    let spec = spec.ok_or_else(|| Refusal::field("spec", "must be given"))?;
    let mut wrong = Violations::default();
    wrong.check(
        spec.import_type == pb::ImportType::UserVerification as i32,
        "spec.import_type",
        "must be IMPORT_TYPE_USER_VERIFICATION",
    );
    let provider = spec.provider.trim().to_lowercase();
    let provider = if provider.is_empty() { "generic".to_owned() } else { provider };
    wrong.check(is_provider(&provider), "spec.provider", "must have the form [a-z0-9][a-z0-9_-]{0,63}");
    let workflow_id = Uuid::parse_str(&spec.workflow_id).ok().map(WorkflowId);
    wrong.check(
        workflow_id.is_some(),
        "spec.workflow_id",
        "must be the UUID of a workflow of this application",
    );
    let source_format = match pb::SourceFormat::try_from(spec.source_format) {
        Ok(pb::SourceFormat::Unspecified) => None,
        Ok(pb::SourceFormat::Csv) => Some(SourceFormat::Csv),
        Ok(pb::SourceFormat::Ndjson) => Some(SourceFormat::Ndjson),
        Err(_) => {
            wrong.add("spec.source_format", "must be CSV or NDJSON");
            None
        }
    };
    let start = match pb::StartMode::try_from(spec.start) {
        Ok(pb::StartMode::AfterUpload) => StartMode::AfterUpload,
        Ok(_) => StartMode::OnArrival,
        Err(_) => {
            wrong.add("spec.start", "must be ON_ARRIVAL or AFTER_UPLOAD");
            StartMode::OnArrival
        }
    };
    let name = &spec.source_filename;
    let good_name = name.chars().count() <= TEXT_CHARS && !name.contains(|c: char| c.is_control());
    wrong.check(
        good_name,
        "spec.source_filename",
        "must have at most 255 characters, none of them a control character",
    );
    let csv_delimiter = delimiter(&spec.csv_delimiter, &mut wrong);
    wrong.check(spec.source_size.is_none_or(|size| size >= 0), "spec.source_size", "must not be negative");
    check_labels(&spec.labels, &mut wrong);
    wrong.check(
        request_id.chars().count() <= REQUEST_ID_CHARS && !request_id.contains('\0'),
        "request_id",
        "must have at most 128 characters",
    );
    let request_id = Some(request_id).filter(|id| !id.is_empty());
    wrong.none_or((
        ImportSpec {
            import_type: ImportType::UserVerification,
            provider,
            workflow_id,
            source_format,
            source_filename: spec.source_filename,
            csv_delimiter,
            start,
            dry_run: spec.dry_run,
            source_size: spec.source_size,
            labels: spec.labels.into_iter().collect(),
        },
        request_id,
    ))
}

fn delimiter(text: &str, wrong: &mut Violations) -> Option<u8> {
    match text.as_bytes() {
        [] => None,
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\r' | b'\n' | 0) => Some(*byte),
        _ => {
            wrong.add("spec.csv_delimiter", "must be one ASCII character other than a quote or a line end");
            None
        }
    }
}

fn check_labels(labels: &HashMap<String, String>, wrong: &mut Violations) {
    wrong.check(labels.len() <= LABELS, "spec.labels", "must be at most 32");
    for (key, value) in labels {
        let good =
            (1..=LABEL_KEY_CHARS).contains(&key.chars().count()) && value.chars().count() <= TEXT_CHARS;
        let text_only = !key.contains('\0') && !value.contains('\0');
        wrong.check(
            good && text_only,
            "spec.labels",
            "keys must have 1 to 64 characters, values at most 255",
        );
    }
}

/// Whether a database can look for a text at all.
fn is_text(text: &str) -> bool {
    !text.contains('\0')
}

const NOT_TEXT: &str = "must hold no NUL character";

/// Values of one filter; there are 249 countries.
const FILTER_VALUES: usize = 300;

/// Reads the key of a user.
pub(super) fn vendor_data(text: &str) -> Result<&str, Refusal> {
    if is_text(text) { Ok(text) } else { Err(Refusal::field("vendor_data", NOT_TEXT)) }
}

/// Reads a UUID; anything else names nothing that exists.
pub(super) fn id(text: &str, what: &'static str) -> Result<Uuid, Refusal> {
    Uuid::parse_str(text).map_err(|_| Refusal::NotFound(what))
}

/// Reads an import's id.
pub(super) fn import_id(text: &str) -> Result<ImportId, Refusal> {
    id(text, "import").map(ImportId)
}

/// Reads a page size: 0 means 50, and 1,000 is the most.
pub(super) fn page_size(size: i32) -> Result<u64, Refusal> {
    match size {
        0 => Ok(50),
        1.. => Ok(size.min(1_000) as u64),
        _ => Err(Refusal::field("page_size", "must not be negative")),
    }
}

/// Reads a page token: the number or id behind which the page begins.
pub(super) fn page_token<T: std::str::FromStr>(token: &str) -> Result<Option<T>, Refusal> {
    if token.is_empty() {
        return Ok(None);
    }
    token.parse().map(Some).map_err(|_| Refusal::field("page_token", "is none that this method gave out"))
}

/// The token of the next page, when this page is full.
pub(super) fn next_page_token<T>(page: &[T], size: u64, token: impl Fn(&T) -> String) -> String {
    page.last().filter(|_| page.len() as u64 == size).map(token).unwrap_or_default()
}

/// Reads import states.
pub(super) fn import_statuses(statuses: &[i32]) -> Result<Vec<ImportStatus>, Refusal> {
    let word = |status: &i32| {
        let name = pb::ImportStatus::try_from(*status).ok()?.as_str_name();
        ImportStatus::from_word(name.strip_prefix("IMPORT_STATUS_")?)
    };
    let read =
        |status| word(status).ok_or_else(|| Refusal::field("statuses", "holds a value that is no status"));
    statuses.iter().map(read).collect()
}

/// Reads outcomes; none means failed.
pub(super) fn outcomes(outcomes: &[i32]) -> Result<Vec<Outcome>, Refusal> {
    if outcomes.is_empty() {
        return Ok(vec![Outcome::Failed]);
    }
    let read = |outcome: &i32| match pb::RowOutcome::try_from(*outcome) {
        Ok(pb::RowOutcome::Created) => Ok(Outcome::Created),
        Ok(pb::RowOutcome::Updated) => Ok(Outcome::Updated),
        Ok(pb::RowOutcome::Skipped) => Ok(Outcome::Skipped),
        Ok(pb::RowOutcome::Failed) => Ok(Outcome::Failed),
        _ => Err(Refusal::field("outcomes", "holds a value that is no outcome")),
    };
    outcomes.iter().map(read).collect()
}

/// Reads the filters of a session list.
pub(super) fn session_filter(request: pb::ListSessionsRequest) -> Result<SessionFilter, Refusal> {
    let mut wrong = Violations::default();
    let some = |text: String| Some(text).filter(|text| !text.is_empty());
    wrong.check(pb::SessionKind::try_from(request.session_kind).is_ok(), "session_kind", "must be USER");
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
    wrong.none_or(SessionFilter {
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
    })
}
