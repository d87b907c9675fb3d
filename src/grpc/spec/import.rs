//! What an import is to be.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Violations, import_type, options::provider_options};
use crate::{
    canonical::scalar::is_provider,
    domain::{
        ids::WorkflowId,
        import::{
            ImportSpec, ImportType, Mapping, MediaPolicy, OnExisting, Retry, SourceFormat, StartMode,
            Thresholds,
        },
        issue::IssueCode,
        refusal::{FieldViolation, Refusal},
    },
    grpc::pb,
    imports::{self, Correction, RetryRequest},
    intake::transcode,
};

/// Most characters of a file name or label value.
const TEXT_CHARS: usize = 255;

/// Most labels of an import.
const LABELS: usize = 32;

/// Most characters of a label's key.
const LABEL_KEY_CHARS: usize = 64;

/// Most characters of a request id.
const REQUEST_ID_CHARS: usize = 128;

/// Reads a spec and its request id.
pub(in crate::grpc) fn import_spec(
    spec: Option<pb::ImportSpec>,
    request_id: String,
) -> Result<(ImportSpec, Option<String>), Refusal> {
    let spec = spec.ok_or_else(|| Refusal::field("spec", "must be given"))?;
    let mut wrong = Violations::default();
    let thresholds = thresholds(&spec, &mut wrong);
    let import_type = import_type(spec.import_type);
    let types = "must be USER_VERIFICATION, BUSINESS_VERIFICATION, TRANSACTIONS or STATUS_RULES";
    wrong.check(import_type.is_some(), "spec.import_type", types);
    let import_type = import_type.unwrap_or(ImportType::UserVerification);
    let media = media(&spec, import_type, &mut wrong);
    let provider = spec.provider.trim().to_lowercase();
    let provider = if provider.is_empty() { "generic".to_owned() } else { provider };
    wrong.check(is_provider(&provider), "spec.provider", "must have the form [a-z0-9][a-z0-9_-]{0,63}");
    let workflow_id = Uuid::parse_str(&spec.workflow_id).ok().map(WorkflowId);
    if import_type == ImportType::Transactions {
        wrong.check(spec.workflow_id.is_empty(), "spec.workflow_id", "transactions belong to no workflow");
    } else {
        let text = "must be the UUID of a workflow of this application";
        wrong.check(workflow_id.is_some(), "spec.workflow_id", text);
    }
    let on_existing = on_existing(spec.on_existing, &mut wrong);
    let encoding = Some(spec.encoding).filter(|label| !label.is_empty());
    let known = encoding.as_deref().is_none_or(|label| transcode::find(label).is_some());
    wrong.check(known, "spec.encoding", "must be the label of an encoding, such as windows-1252 or utf-16le");
    let source_format = source_format(spec.source_format, &mut wrong);
    let start = start(spec.start, &mut wrong);
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
    let mapping = mapping(spec.mapping, import_type, &mut wrong);
    let provider_options = provider_options(spec.provider_options, &provider, &mut wrong);
    let request_id = self::request_id(request_id, &mut wrong);
    wrong.none_or((
        ImportSpec {
            import_type,
            provider,
            workflow_id,
            source_format,
            source_filename: spec.source_filename,
            source_file_url: Some(spec.source_file_url).filter(|url| !url.is_empty()),
            csv_delimiter,
            start,
            dry_run: spec.dry_run,
            on_existing,
            import_erased: spec.import_erased,
            encoding,
            thresholds,
            media,
            media_byte_budget: spec.media_byte_budget,
            source_size: spec.source_size,
            labels: spec.labels.into_iter().collect(),
            mapping,
            provider_options,
        },
        request_id,
    ))
}

/// Reads which rows are to be retried, and the request id.
pub(in crate::grpc) fn retry_request(
    request: pb::RetryImportRequest,
) -> Result<(RetryRequest, Option<String>), Refusal> {
    let mut wrong = Violations::default();
    let request_id = request_id(request.request_id, &mut wrong);
    let code = |number: &i32| {
        let name = pb::IssueCode::try_from(*number).ok()?.as_str_name();
        IssueCode::from_word(name.strip_prefix("ISSUE_CODE_")?)
    };
    let codes: Vec<_> = request.codes.iter().filter_map(code).collect();
    wrong.check(codes.len() == request.codes.len(), "codes", "holds a value that is no code of an issue");
    let mut row = |number: i64, field| {
        wrong.check(number >= 0, field, "must not be negative");
        Some(number).filter(|number| *number > 0)
    };
    let (first_row, last_row) = (row(request.first_row, "first_row"), row(request.last_row, "last_row"));
    let is_all = codes.is_empty() && first_row.is_none() && last_row.is_none();
    let corrected_only = is_all && !request.corrections.is_empty();
    let failed_media = request.failed_media;
    let media_alone = !failed_media || (is_all && request.corrections.is_empty());
    wrong.check(
        media_alone,
        "failed_media",
        "takes no codes, rows or corrections: those are about failed rows",
    );
    let rows = Retry { codes, first_row, last_row, corrected_only, failed_media, corrections_sha256: None };
    let few = request.corrections.len() <= Retry::CORRECTIONS;
    wrong.check(few, "corrections", "must be at most 10,000; retry once with each part of them");
    let correction = |one: pb::RowCorrection| Correction { row_number: one.row_number, row: one.row };
    let corrections = request.corrections.into_iter().map(correction).collect();
    wrong.none_or((RetryRequest { rows, corrections }, request_id))
}

fn request_id(id: String, wrong: &mut Violations) -> Option<String> {
    wrong.check(
        id.chars().count() <= REQUEST_ID_CHARS && !id.contains('\0'),
        "request_id",
        "must have at most 128 characters",
    );
    Some(id).filter(|id| !id.is_empty())
}

fn thresholds(spec: &pb::ImportSpec, wrong: &mut Violations) -> Thresholds {
    let rows = spec.max_failed_rows.is_none_or(|rows| rows >= 0);
    wrong.check(rows, "spec.max_failed_rows", "must not be negative");
    let ratio = spec.max_failed_ratio.is_none_or(|ratio| ratio > 0.0 && ratio < 1.0);
    wrong.check(ratio, "spec.max_failed_ratio", "must be above 0 and below 1, such as 0.05");
    let sample = spec.failed_ratio_min_rows.is_none_or(|rows| rows > 0);
    wrong.check(sample, "spec.failed_ratio_min_rows", "must be at least 1");
    Thresholds {
        max_failed_rows: spec.max_failed_rows,
        max_failed_ratio: spec.max_failed_ratio,
        failed_ratio_min_rows: spec.failed_ratio_min_rows,
    }
}

/// Whether media are to be fetched; none where the caller leaves that to the server.
fn media(spec: &pb::ImportSpec, import_type: ImportType, wrong: &mut Violations) -> Option<MediaPolicy> {
    let budget = spec.media_byte_budget.is_none_or(|bytes| bytes > 0);
    wrong.check(budget, "spec.media_byte_budget", "must be at least 1");
    let has_media = import_type == ImportType::UserVerification;
    match pb::MediaPolicy::try_from(spec.media) {
        Ok(pb::MediaPolicy::Unspecified) => None,
        Ok(pb::MediaPolicy::Skip) => Some(MediaPolicy::Skip),
        Ok(pb::MediaPolicy::Fetch) => {
            wrong.check(has_media, "spec.media", "must be SKIP: only user verifications link to media");
            Some(MediaPolicy::Fetch)
        }
        Err(_) => {
            wrong.add("spec.media", "must be FETCH or SKIP");
            None
        }
    }
}

fn on_existing(number: i32, wrong: &mut Violations) -> OnExisting {
    match pb::OnExisting::try_from(number) {
        Ok(pb::OnExisting::Update) => OnExisting::Update,
        Ok(_) => OnExisting::Skip,
        Err(_) => {
            wrong.add("spec.on_existing", "must be SKIP or UPDATE");
            OnExisting::Skip
        }
    }
}

fn source_format(number: i32, wrong: &mut Violations) -> Option<SourceFormat> {
    match pb::SourceFormat::try_from(number) {
        Ok(pb::SourceFormat::Unspecified) => None,
        Ok(pb::SourceFormat::Csv) => Some(SourceFormat::Csv),
        Ok(pb::SourceFormat::Ndjson) => Some(SourceFormat::Ndjson),
        Err(_) => {
            wrong.add("spec.source_format", "must be CSV or NDJSON");
            None
        }
    }
}

fn start(number: i32, wrong: &mut Violations) -> StartMode {
    match pb::StartMode::try_from(number) {
        Ok(pb::StartMode::AfterUpload) => StartMode::AfterUpload,
        Ok(_) => StartMode::OnArrival,
        Err(_) => {
            wrong.add("spec.start", "must be ON_ARRIVAL or AFTER_UPLOAD");
            StartMode::OnArrival
        }
    }
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

fn mapping(mapping: Option<pb::Mapping>, import_type: ImportType, wrong: &mut Violations) -> Option<Mapping> {
    let mapping = Mapping::from(mapping?);
    for FieldViolation { field, description } in imports::check_mapping(&mapping, import_type) {
        wrong.add(&format!("spec.mapping.{field}"), &description);
    }
    Some(mapping)
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
