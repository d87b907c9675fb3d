//! Previews.

use prost::Message;

use super::import::{compression, issue, raw_row, source_format};
use crate::{
    domain::{
        import::SourceFormat,
        issue::{Issue, IssueSeverity},
        ledger::Outcome,
    },
    grpc::pb,
    preview::{Preview, PreviewRow},
};

/// Bytes of rows behind which no more are shown: peers take messages of 4 MiB.
const BYTES: usize = 1 << 20;

pub(in crate::grpc) fn preview(preview: Preview) -> pb::PreviewImportResponse {
    let told = preview.fault.map(|fault| (fault.to_string(), fault.reason().to_owned()));
    let (last_error, last_error_reason) = told.unzip();
    let found = preview.beginning.map(|found| pb::PreviewImportResponse {
        source_format: source_format(Some(found.format)) as i32,
        compression: compression(Some(found.compression)) as i32,
        encoding: found.encoding.to_owned(),
        csv_delimiter: match found.format {
            SourceFormat::Csv => char::from(found.delimiter).to_string(),
            SourceFormat::Ndjson => String::new(),
        },
        columns: found.columns,
        ..Default::default()
    });
    let (mut rows, mut bytes) = (Vec::with_capacity(preview.rows.len()), 0);
    for shown in preview.rows {
        let row = row(shown);
        bytes += row.encoded_len();
        rows.push(row);
        if bytes > BYTES {
            break;
        }
    }
    pb::PreviewImportResponse {
        ignored_columns: preview.ignored,
        rows,
        last_error,
        last_error_reason,
        ..found.unwrap_or_default()
    }
}

fn row(row: PreviewRow) -> pb::PreviewRow {
    pb::PreviewRow {
        row_number: row.row_number,
        line_number: row.line_number,
        outcome: match row.outcome {
            Outcome::Created => pb::RowOutcome::Created,
            Outcome::Updated => pb::RowOutcome::Updated,
            Outcome::Skipped => pb::RowOutcome::Skipped,
            Outcome::Failed => pb::RowOutcome::Failed,
        } as i32,
        fields: Some(raw_row(&row.fields)),
        issues: issues(row.issues, IssueSeverity::Error),
        warnings: issues(row.warnings, IssueSeverity::Warning),
        raw_row: Some(raw_row(&row.raw)),
    }
}

fn issues(issues: Vec<Issue>, severity: IssueSeverity) -> Vec<pb::Issue> {
    issues.into_iter().map(|told| issue(told, severity)).collect()
}
