//! Imports and their row errors.

use prost::Message;
use prost_types::Struct;
use serde_json::{Map, Value};

use super::{object, options::provider_options, timestamp};
use crate::{
    clock,
    domain::{
        ids::{ApplicationId, ImportId, RecordKind, derive},
        import::{Compression, Import, ImportType, MediaPolicy, OnExisting, SourceFormat, StartMode},
        issue::{Issue, IssueCode, IssueSeverity},
        lines::LineEnds,
    },
    grpc::pb,
    imports::{self, RowError},
};

fn import_type(import_type: ImportType) -> pb::ImportType {
    match import_type {
        ImportType::UserVerification => pb::ImportType::UserVerification,
        ImportType::BusinessVerification => pb::ImportType::BusinessVerification,
        ImportType::Transactions => pb::ImportType::Transactions,
        ImportType::StatusRules => pb::ImportType::StatusRules,
    }
}

pub(super) fn source_format(format: Option<SourceFormat>) -> pb::SourceFormat {
    match format {
        None => pb::SourceFormat::Unspecified,
        Some(SourceFormat::Csv) => pb::SourceFormat::Csv,
        Some(SourceFormat::Ndjson) => pb::SourceFormat::Ndjson,
    }
}

pub(super) fn compression(compression: Option<Compression>) -> pb::Compression {
    match compression {
        None => pb::Compression::Unspecified,
        Some(Compression::None) => pb::Compression::None,
        Some(Compression::Gzip) => pb::Compression::Gzip,
        Some(Compression::Zstd) => pb::Compression::Zstd,
    }
}

pub(in crate::grpc) fn import(import: Import) -> pb::Import {
    let now = clock::now();
    let control = control(&import);
    let status = format!("IMPORT_STATUS_{}", import.status.as_str());
    let (reason, failure) = import.failure.clone().unzip();
    pb::Import {
        uuid: import.id.to_string(),
        status: pb::ImportStatus::from_str_name(&status).unwrap_or_default() as i32,
        import_type: import_type(import.spec.import_type) as i32,
        source_format: source_format(import.format.or(import.spec.source_format)) as i32,
        total_rows: import.total_rows,
        processed_rows: import.counters.processed(),
        checkpoint_row: import.checkpoint_row,
        created_count: import.counters.created,
        updated_count: import.counters.updated,
        skipped_count: import.counters.skipped,
        failed_count: import.counters.failed,
        duplicate_count: import.counters.duplicate,
        last_error: failure,
        last_error_reason: reason,
        created_at: Some(timestamp(import.created_at)),
        updated_at: Some(timestamp(import.updated_at)),
        started_at: import.started_at.map(timestamp),
        completed_at: import.completed_at.map(timestamp),
        workflow_id: import.spec.workflow_id.map(|id| id.to_string()),
        committed_size: import.committed_size,
        source_bytes: import.source_bytes,
        processed_bytes: import.processed_bytes,
        upload_finished: import.upload_finished,
        compression: compression(import.compression) as i32,
        csv_delimiter: match (import.format, import.delimiter) {
            (Some(SourceFormat::Csv), Some(delimiter)) => char::from(delimiter).to_string(),
            _ => String::new(),
        },
        rows_per_second: import.rows_per_second(now),
        eta_seconds: import.eta_seconds(now),
        sequence: import.sequence,
        ignored_columns: imports::ignored_columns(&import),
        columns: import.columns,
        dry_run: import.spec.dry_run,
        on_existing: match import.spec.on_existing {
            OnExisting::Skip => pb::OnExisting::Skip,
            OnExisting::Update => pb::OnExisting::Update,
        } as i32,
        import_erased: import.spec.import_erased,
        encoding: import.encoding.or(import.spec.encoding).unwrap_or_default(),
        stored_error_count: import.stored_errors,
        warning_count: import.warnings,
        stored_warning_count: import.stored_warnings,
        source_deleted_at: import.source_deleted_at.map(timestamp),
        line_ends: line_ends(import.line_ends),
        start: match import.spec.start {
            StartMode::OnArrival => pb::StartMode::OnArrival,
            StartMode::AfterUpload => pb::StartMode::AfterUpload,
        } as i32,
        source_size: import.spec.source_size,
        source_filename: import.spec.source_filename,
        provider: import.spec.provider,
        labels: import.spec.labels.into_iter().collect(),
        mapping: import.spec.mapping.map(Into::into),
        ..control
    }
}

/// What commands made of an import, and what stops it.
fn control(import: &Import) -> pb::Import {
    pb::Import {
        pause_requested: import.pause_requested,
        resume_needs_operator: import.resume_needs_operator,
        waiting_reason: import.waiting_reason.clone(),
        source_file_url: import.spec.source_file_url.clone(),
        provider_options: Some(provider_options(import.spec.provider_options.clone())),
        parent_import_id: import.parent.map(|id| id.to_string()),
        max_failed_rows: import.spec.thresholds.max_failed_rows,
        max_failed_ratio: import.spec.thresholds.max_failed_ratio,
        failed_ratio_min_rows: import.spec.thresholds.failed_ratio_min_rows,
        reverted_count: import.revert.reverted,
        revert_kept_count: import.revert.kept,
        revert_failed_count: import.revert.failed,
        reverted_at: import.reverted_at.map(timestamp),
        ..media(import)
    }
}

/// What has become of media.
fn media(import: &Import) -> pb::Import {
    pb::Import {
        total_media_bytes: import.media.bytes,
        media_byte_budget: import.fetches_media().then(|| import.media_budget()),
        media: match import.spec.media {
            Some(MediaPolicy::Fetch) => pb::MediaPolicy::Fetch,
            Some(MediaPolicy::Skip) | None => pb::MediaPolicy::Skip,
        } as i32,
        media_pending_count: import.media.pending,
        media_stored_count: import.media.stored,
        media_failed_count: import.media.failed,
        ..Default::default()
    }
}

fn line_ends(ends: LineEnds) -> Vec<i32> {
    let wire = [
        (LineEnds::LF, pb::LineEnd::Lf),
        (LineEnds::CRLF, pb::LineEnd::Crlf),
        (LineEnds::CR, pb::LineEnd::Cr),
    ];
    wire.into_iter().filter(|(end, _)| ends.contains(*end)).map(|(_, wire)| wire as i32).collect()
}

pub(in crate::grpc) fn row_error(
    application: ApplicationId,
    import: ImportId,
    error: RowError,
) -> pb::RowError {
    let RowError { stored, raw } = error;
    let kind = match stored.severity {
        IssueSeverity::Error => RecordKind::RowError,
        IssueSeverity::Warning => RecordKind::RowWarning,
    };
    let key: [&[u8]; 2] = [import.0.as_bytes(), &stored.row_number.to_be_bytes()];
    pb::RowError {
        uuid: derive(application, kind, &key).to_string(),
        row_number: stored.row_number,
        line_number: stored.line_number,
        byte_offset: stored.byte_offset,
        external_id: stored.external_id,
        error: stored.issues.iter().map(Issue::line).collect::<Vec<_>>().join("; "),
        issues: stored.issues.into_iter().map(|told| issue(told, stored.severity)).collect(),
        raw_row: raw.as_ref().map(raw_row),
        created_at: Some(timestamp(stored.created_at)),
    }
}

/// Bytes of a failed row as a message; of a larger one only the beginning is shown, as text.
const RAW_ROW_BYTES: usize = 1 << 20;

/// Characters that are shown of it.
const RAW_CHARS: usize = 64 << 10;

pub(super) fn raw_row(row: &Map<String, Value>) -> Struct {
    let whole = object(row);
    if whole.encoded_len() <= RAW_ROW_BYTES {
        return whole;
    }
    let text = Value::Object(row.clone()).to_string().chars().take(RAW_CHARS).collect();
    object(&Map::from_iter([("_raw".to_owned(), Value::String(text))]))
}

pub(super) fn issue(issue: Issue, severity: IssueSeverity) -> pb::Issue {
    let known = IssueCode::from_word(&issue.code).map(|code| format!("ISSUE_CODE_{}", code.as_str()));
    let code = known.and_then(|name| pb::IssueCode::from_str_name(&name)).unwrap_or_default();
    let severity = match severity {
        IssueSeverity::Error => pb::IssueSeverity::Error,
        IssueSeverity::Warning => pb::IssueSeverity::Warning,
    };
    pb::Issue {
        code: code as i32,
        field: issue.field,
        message: issue.message,
        value: issue.value,
        severity: severity as i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_has_its_wire_value() {
        for code in IssueCode::ALL {
            let wire = issue(Issue::of_record(*code, "m"), IssueSeverity::Error);
            assert_ne!(wire.code, pb::IssueCode::Unspecified as i32, "{code:?}");
        }
        for status in crate::domain::import::ImportStatus::ALL {
            let name = format!("IMPORT_STATUS_{}", status.as_str());
            assert!(pb::ImportStatus::from_str_name(&name).is_some(), "{name}");
        }
    }
}
