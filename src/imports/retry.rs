//! Taking failed rows of an import up again, as an import of their own.
//!
//! A retry of media has no source and no rows: it takes over what failed from its parent, step by step, and ends with
//! that.
//! Its source is made of the parent's: the same header, and the rows that are meant, or what corrects them.
//! It is fed to the intake like any upload, in the background. The bytes are the same every time, so whoever
//! comes after a feeder that died goes on where that one stood.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    pin::pin,
    sync::Arc,
};

use futures_util::StreamExt;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tracing::{Instrument, Span, info, warn};
use uuid::Uuid;

use super::{
    Imports,
    export::{self, Take, Wanted},
};
use crate::{
    canonical::{schema::FieldId, schema_of},
    clock,
    domain::{
        fault::SourceFault,
        ids::{ApplicationId, ImportId},
        import::{Import, ImportSpec, ImportStatus, Retry, SourceFormat, StartMode, Thresholds},
        issue::IssueCode,
        ledger::Outcome,
        refusal::{FieldViolation, Refusal, Role},
    },
    error::Error,
    fault_points,
    intake::{Finish, Opened, Piece},
    store::{Caller, NewImport, NewRetry},
    telemetry,
};

/// A row to take instead of a failed one.
#[derive(Debug, Clone)]
pub struct Correction {
    /// Number of the failed row.
    pub row_number: i64,
    /// The row as a JSON object.
    pub row: String,
}

/// Which failed rows to take up again.
#[derive(Debug, Clone, Default)]
pub struct RetryRequest {
    /// Those that are meant.
    pub rows: Retry,
    /// Rows to take instead.
    pub corrections: Vec<Correction>,
}

/// How often the source of a retry is fed without growing before it fails, as often as a segment is tried.
const FEEDINGS: i32 = 8;

impl Imports {
    /// Makes an import of failed rows, or media, of one that has ended, or finds the one this request id made.
    pub async fn retry(
        &self,
        caller: Caller,
        id: ImportId,
        request: RetryRequest,
        request_id: Option<String>,
    ) -> Result<Import, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let parent = self.get(application, id).await?;
        let RetryRequest { mut rows, corrections } = request;
        rows.corrections_sha256 = sum_of(&corrections);
        // Whatever became of the parent since, a repeated request has its answer.
        if let Some(request_id) = &request_id
            && let Some(earlier) = self.store.find_requested_import(application, request_id).await?
        {
            let is_same = earlier.parent == Some(id) && earlier.retry.as_ref() == Some(&rows);
            return if is_same { Ok(earlier) } else { Err(Refusal::RequestIdReused.into()) };
        }
        check_parent(&parent)?;
        check_codes(&parent, &rows)?;
        let corrections = self.written(&parent, corrections).await?;
        if !rows.failed_media {
            let wanted = self.wanted(&parent, &rows, corrections.clone()).await?;
            if !self.any_row(&parent, &wanted).await? {
                return Err(Refusal::NothingToRetry.into());
            }
        }
        let new = NewImport {
            id: ImportId(clock::new_id()),
            spec: spec_of_retry(&parent),
            request_id,
            retry: Some(NewRetry { parent: id, rows, corrections }),
            source_url: None,
            traceparent: telemetry::traceparent(&Span::current()),
        };
        let limits = *self.intake.limits();
        let child = self.store.create_import(application, new, limits, caller, clock::now()).await?;
        if child.upload_finished {
            // A retry of media waits for nothing but a worker.
            self.feed.changed(child.id);
        } else if !child.status.has_ended() && child.committed_size == 0 {
            let (imports, child) = (self.clone(), child.clone());
            self.intake.track(async move { imports.feed_retry(child).await }.in_current_span());
        }
        Ok(child)
    }

    /// Feeds the source of a retry to the intake, from where it stands.
    pub async fn feed_retry(&self, child: Import) {
        let (application, id) = (child.application_id, child.id);
        let Err(error) = self.feed(child).await else {
            info!(import.id = %id, "a retry was fed");
            return;
        };
        warn!(import.id = %id, error = &error as &dyn std::error::Error, "a retry was not fed to its end");
        let now = clock::now();
        let told = match error {
            Error::Refused(Refusal::SourceGone) => {
                self.store.fail_import(application, id, &SourceFault::ParentSourceGone, now).await.map(drop)
            }
            // Another feeds it, or it has ended.
            Error::Refused(_) => return,
            // The sweeper comes back to it.
            error => self.store.wait_for(application, id, reason(&error), now).await,
        };
        if let Err(error) = told {
            warn!(import.id = %id, error = &error as &dyn std::error::Error, "could not say so in a retry");
        }
        self.feed.changed(id);
    }

    async fn feed(&self, child: Import) -> Result<(), Error> {
        let (application, rows) = (child.application_id, child.retry.clone().unwrap_or_default());
        let now = clock::now();
        if child.feedings >= FEEDINGS {
            self.store.fail_import(application, child.id, &SourceFault::RetryNotFed, now).await?;
            self.feed.changed(child.id);
            return Ok(());
        }
        // Counted before it is tried: whoever feeds it may die of it.
        if !self.store.begin_feeding(&child, now).await? {
            return Ok(());
        }
        let parent = self.get(application, child.parent.ok_or(Refusal::NotFound("import"))?).await?;
        if rows.failed_media {
            return self.take_over_media(&child, parent.id).await;
        }
        let corrections = self.store.corrections(application, child.id).await?;
        let wanted = self.wanted(&parent, &rows, corrections).await?;
        // What is meant is told by row errors, and they go with the source.
        if self.get(application, parent.id).await?.source_deleted_at.is_some() {
            return Err(Refusal::SourceGone.into());
        }
        let feeder = Caller { key: child.created_by, application: Some(application), role: Role::Importer };
        let opened = self.intake.open(feeder, child.id, child.committed_size).await?;
        let Opened::Stream(upload) = opened else { return Ok(()) };
        let source =
            export::export(self.store.clone(), self.objects.clone(), Arc::new(parent), wanted, false);
        let mut source = pin!(source);
        let (mut size, mut known) = (0, upload.offset);
        while let Some(bytes) = source.next().await {
            let mut bytes = bytes?;
            size += bytes.len() as u64;
            let skip = known.min(bytes.len() as u64);
            known -= skip;
            let new = bytes.split_off(skip as usize);
            // Whoever ended it says why in the outcome.
            let Some(room) = upload.reserve().await else { break };
            room.send(Piece::Data(new));
        }
        if let Some(room) = upload.reserve().await {
            room.send(Piece::Finish(Finish { size, sha256: None }));
        }
        upload.outcome().await.map(drop)
    }

    /// Takes over what the parent has of media, until there is no more.
    async fn take_over_media(&self, child: &Import, parent: ImportId) -> Result<(), Error> {
        let mut next = Some(Uuid::nil());
        while let Some(from) = next
            && !self.intake.is_stopping()
        {
            next = self.store.take_over_media(child, parent, from, clock::now()).await?;
            fault_points::reach("media_taken_over");
            self.feed.changed(child.id);
        }
        Ok(())
    }

    /// What to take of each row of the parent.
    async fn wanted(
        &self,
        parent: &Import,
        rows: &Retry,
        corrections: BTreeMap<i64, String>,
    ) -> Result<Wanted, Error> {
        let meant = match rows.codes.as_slice() {
            [] => None,
            codes => Some(self.store.rows_with_issues(parent.application_id, parent.id, codes).await?),
        };
        let erased = [IssueCode::Erased];
        let erased = self.store.rows_with_issues(parent.application_id, parent.id, &erased).await?;
        let rows = rows.clone();
        Ok(Box::new(move |row, outcome| {
            if outcome != Outcome::Failed {
                return Take::Nothing;
            }
            if let Some(correction) = corrections.get(&row) {
                return Take::Instead(correction.clone());
            }
            let is_meant = !rows.corrected_only
                && !erased.contains(&row)
                && rows.spans(row)
                && meant.as_ref().is_none_or(|meant| meant.contains(&row));
            if is_meant { Take::Row } else { Take::Nothing }
        }))
    }

    async fn any_row(&self, parent: &Import, wanted: &Wanted) -> Result<bool, Error> {
        let (application, id, mut next) = (parent.application_id, parent.id, 0);
        while let Some(segment) = self.store.next_settled_segment(application, id, next).await? {
            next = segment.range.seq + 1;
            let mut rows = (segment.range.first_row..).zip(&segment.outcomes);
            if rows.any(|(row, outcome)| !matches!(wanted(row, *outcome), Take::Nothing)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Corrections as rows of the source; all that is wrong with them at once.
    async fn written(
        &self,
        parent: &Import,
        corrections: Vec<Correction>,
    ) -> Result<BTreeMap<i64, String>, Error> {
        let numbers = corrections.iter().map(|correction| correction.row_number).collect();
        let failed = self.failed_among(parent.application_id, parent.id, &numbers).await?;
        let (mut written, mut violations) = (BTreeMap::new(), Vec::new());
        let schema = schema_of(parent.spec.import_type);
        // What a mapping makes a field of may be several columns, in another form: then only columns are named.
        let field = |column: &String| schema.find_column(column).filter(|_| parent.spec.mapping.is_none());
        let fields: Vec<_> = parent.columns.iter().map(field).collect();
        for (at, Correction { row_number, row }) in corrections.into_iter().enumerate() {
            let mut refuse = |member: &str, text: String| {
                violations.push(FieldViolation::new(format!("corrections[{at}].{member}"), text));
            };
            if !failed.contains(&row_number) {
                refuse("row_number", format!("row {row_number} of the import has not failed"));
                continue;
            }
            match write_row(parent, &fields, &row) {
                Ok(text) => {
                    if written.insert(row_number, text).is_some() {
                        refuse("row_number", format!("row {row_number} stands here twice"));
                    }
                }
                Err(text) => refuse("row", text),
            }
        }
        if violations.is_empty() { Ok(written) } else { Err(Refusal::InvalidFields(violations).into()) }
    }

    async fn failed_among(
        &self,
        application: ApplicationId,
        id: ImportId,
        numbers: &BTreeSet<i64>,
    ) -> Result<HashSet<i64>, Error> {
        let (mut failed, mut next) = (HashSet::new(), 0);
        while !numbers.is_empty()
            && let Some(segment) = self.store.next_settled_segment(application, id, next).await?
        {
            next = segment.range.seq + 1;
            let rows = (segment.range.first_row..).zip(&segment.outcomes);
            let own = rows.filter(|(row, outcome)| **outcome == Outcome::Failed && numbers.contains(row));
            failed.extend(own.map(|(row, _)| row));
        }
        Ok(failed)
    }
}

/// What a retry waits for that could not be fed.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::Store(error) => error.reason(),
        Error::Objects(error) => error.reason(),
        Error::Refused(_) | Error::Task(_) => "SOURCE_NOT_MADE",
    }
}

/// What tells corrections from others; they are not kept themselves once the retry's source is stored.
fn sum_of(corrections: &[Correction]) -> Option<String> {
    let mut sum = Sha256::new();
    for Correction { row_number, row } in corrections {
        sum.update(row_number.to_be_bytes());
        sum.update((row.len() as u64).to_be_bytes());
        sum.update(row);
    }
    (!corrections.is_empty()).then(|| hex::encode(sum.finalize()))
}

fn check_parent(parent: &Import) -> Result<(), Refusal> {
    let status = parent.status;
    if !status.has_ended() {
        return Err(Refusal::WrongState { status, needed: "only one that has ended can be retried" });
    }
    if matches!(status, ImportStatus::Reverting | ImportStatus::Reverted) {
        return Err(Refusal::WrongState { status, needed: "one that was reverted is to be imported anew" });
    }
    if parent.spec.dry_run {
        return Err(Refusal::WrongState { status, needed: "a dry run has nothing to retry" });
    }
    if parent.source_deleted_at.is_some() { Err(Refusal::SourceGone) } else { Ok(()) }
}

/// Codes are found in row errors alone, so a row without one would be left out in silence.
fn check_codes(parent: &Import, rows: &Retry) -> Result<(), Refusal> {
    let (failed, stored) = (parent.counters.failed, parent.stored_errors);
    let is_sure = rows.codes.is_empty() || stored >= failed;
    if is_sure { Ok(()) } else { Err(Refusal::RowErrorsNotKept { failed, stored }) }
}

/// The parent's spec, with what was found out about its source.
fn spec_of_retry(parent: &Import) -> ImportSpec {
    ImportSpec {
        source_format: parent.format,
        csv_delimiter: parent.delimiter.filter(|_| parent.format == Some(SourceFormat::Csv)),
        // What is stored is UTF-8.
        encoding: None,
        source_size: None,
        source_file_url: None,
        start: StartMode::OnArrival,
        // They were set for a whole file. These rows have all failed once, and some may well again.
        thresholds: Thresholds::default(),
        ..parent.spec.clone()
    }
}

/// A JSON object as a row of the parent's source, with its line end. Its members are named like the columns, or
/// like the fields these stand for, as row errors name them.
fn write_row(parent: &Import, fields: &[Option<FieldId>], row: &str) -> Result<String, String> {
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_str(row).map_err(|_| "must be a JSON object".to_owned())?;
    if parent.format != Some(SourceFormat::Csv) {
        // Line ends stand between the tokens of JSON, never in its texts.
        return Ok(row.replace(['\n', '\r'], " ") + "\n");
    }
    let (columns, schema) = (&parent.columns, schema_of(parent.spec.import_type));
    let delimiter = char::from(parent.delimiter.unwrap_or(b','));
    let mut cells: Vec<Option<String>> = vec![None; columns.len()];
    for (name, value) in &members {
        let is_column = columns.contains(name);
        let field = schema.find_column(name);
        let is_meant = |at: usize| {
            if is_column { columns[at] == *name } else { field.is_some() && fields[at] == field }
        };
        let meant: Vec<_> = (0..columns.len()).filter(|at| is_meant(*at)).collect();
        if meant.is_empty() {
            return Err(format!("the source has no column \"{name}\""));
        }
        for at in meant {
            if cells[at].replace(write_cell(value.get(), delimiter)).is_some() {
                return Err(format!("gives the column \"{}\" twice", columns[at]));
            }
        }
    }
    let cells: Vec<_> = cells.into_iter().map(Option::unwrap_or_default).collect();
    let line = cells.join(&delimiter.to_string());
    // A line of nothing would be no row.
    Ok(if line.is_empty() { "\"\"\n".to_owned() } else { line + "\n" })
}

/// A JSON value as a cell: texts as they are, null as nothing, all else as JSON.
fn write_cell(value: &str, delimiter: char) -> String {
    let text = match value {
        "null" => String::new(),
        value => serde_json::from_str(value).unwrap_or_else(|_| value.to_owned()),
    };
    let is_plain = |c: char| c != delimiter && !matches!(c, '"' | '\r' | '\n');
    if text.chars().all(is_plain) { text } else { format!("\"{}\"", text.replace('"', "\"\"")) }
}
