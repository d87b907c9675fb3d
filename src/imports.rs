//! What a caller may ask of imports.

mod export;
mod fetch;
mod retry;
mod source;
mod watch;

use std::sync::Arc;

use futures_util::{Stream, stream};
use serde_json::{Map, Value};
use tracing::Span;

use crate::{
    canonical::schema_of,
    clock,
    domain::{
        ids::{ApplicationId, ImportId},
        import::{Import, ImportSpec, ImportStatus, ImportType, Mapping, MediaPolicy, SourceFormat},
        issue::IssueSeverity,
        ledger::Outcome,
        limits::Limits,
        refusal::{FieldViolation, Refusal},
    },
    error::Error,
    feed::Feed,
    guard::Guard,
    intake::{Intake, Opened},
    objects::Objects,
    pipeline::{self, Columns},
    store::{AuditEvent, Caller, ImportPage, NewImport, Store, StoredRowError},
    telemetry,
};
use export::Take;
pub use fetch::FetchFailure;
pub use retry::{Correction, RetryRequest};
use source::SourceReader;
pub use watch::WatchEvent;
use watch::Watches;

/// Imports of all applications; cheap to clone.
#[derive(Clone)]
pub struct Imports {
    store: Store,
    objects: Objects,
    feed: Feed,
    intake: Intake,
    guard: Guard,
    /// What becomes of media where the caller leaves that to the server.
    media: MediaPolicy,
    watches: Watches,
}

/// A failed row or one with warnings, and the row itself as its source has it.
#[derive(Debug)]
pub struct RowError {
    /// What is kept of it.
    pub stored: StoredRowError,
    /// The row as an object; none once the source is gone.
    pub raw: Option<Map<String, Value>>,
}

/// Some failed rows, or rows with warnings.
#[derive(Debug)]
pub struct RowErrors {
    /// They, in row order.
    pub errors: Vec<RowError>,
    /// Whether there are more of those asked for, left out because these are large.
    pub more: bool,
}

/// Row errors read at a time.
const ERROR_PAGE: u64 = 200;

/// Bytes of failed rows behind which no more are read at a time.
const ERROR_PAGE_BYTES: i64 = 4 << 20;

impl Imports {
    /// Imports over these parts.
    pub fn new(
        store: Store,
        objects: Objects,
        feed: Feed,
        intake: Intake,
        guard: Guard,
        media: MediaPolicy,
    ) -> Self {
        Self { store, objects, feed, intake, guard, media, watches: Watches::default() }
    }

    /// Bounds of a source of the application: its own, and the server's where it has none.
    pub async fn limits(&self, application: ApplicationId) -> Result<Limits, Error> {
        Ok(self.store.own_limits(application).await?.over(self.intake.limits()))
    }

    /// Makes an import, or finds the one this request id made.
    pub async fn create(
        &self,
        caller: Caller,
        mut spec: ImportSpec,
        request_id: Option<String>,
    ) -> Result<Import, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        // Other records have none, whatever the server is set to.
        let has_media = spec.import_type == ImportType::UserVerification;
        spec.media.get_or_insert(if has_media { self.media } else { MediaPolicy::Skip });
        let source_url = spec.source_file_url.take();
        if let Some(url) = &source_url {
            let shown = self.check_source_url(url)?;
            if spec.source_filename.is_empty() {
                spec.source_filename =
                    shown.rsplit('/').next().unwrap_or_default().chars().take(255).collect();
            }
            spec.source_file_url = Some(shown);
        }
        let new = NewImport {
            id: ImportId(clock::new_id()),
            spec,
            request_id,
            retry: None,
            source_url,
            traceparent: telemetry::traceparent(&Span::current()),
        };
        let limits = *self.intake.limits();
        Ok(self.store.create_import(application, new, limits, caller, clock::now()).await?)
    }

    /// Opens an upload stream; the import itself when its upload is finished already.
    pub async fn open_upload(&self, caller: Caller, id: ImportId, offset: i64) -> Result<Opened, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let import = self.get(application, id).await?;
        if import.spec.source_file_url.is_some() {
            return Err(Refusal::field("import_id", "has a source that the server fetches itself").into());
        }
        if import.parent.is_some() {
            let text = "is a retry, whose source is made by the server of its parent's";
            return Err(Refusal::field("import_id", text).into());
        }
        self.intake.open(caller, id, offset).await
    }

    /// An import of the application.
    pub async fn get(&self, application: ApplicationId, id: ImportId) -> Result<Import, Error> {
        Ok(self.store.find_import(application, id).await?.ok_or(Refusal::NotFound("import"))?)
    }

    /// Lists imports, newest first.
    pub async fn list(&self, application: ApplicationId, page: ImportPage) -> Result<Vec<Import>, Error> {
        Ok(self.store.list_imports(application, page).await?)
    }

    /// Cancels an import; one that is cancelled already stays so.
    pub async fn cancel(&self, caller: Caller, id: ImportId) -> Result<Import, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let import = self.store.cancel_import(application, id, caller, clock::now()).await?;
        self.feed.changed(id);
        if import.status == ImportStatus::Cancelled {
            return Ok(import);
        }
        Err(Refusal::WrongState {
            status: import.status,
            needed: "only one that has not ended can be cancelled",
        }
        .into())
    }

    /// Asks for a pause; a paused import stays so.
    pub async fn pause(&self, caller: Caller, id: ImportId) -> Result<Import, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let import = self.store.pause_import(application, id, caller, clock::now()).await?;
        self.feed.changed(id);
        if import.status.has_ended() {
            let needed = "only one that has not ended can be paused";
            return Err(Refusal::WrongState { status: import.status, needed }.into());
        }
        Ok(import)
    }

    /// Lets a paused import go on; one that goes on does so.
    pub async fn resume(&self, caller: Caller, id: ImportId) -> Result<Import, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let was = self.get(application, id).await?.status;
        let import = self.store.resume_import(application, id, caller, clock::now()).await?;
        self.feed.changed(id);
        self.feed.work_arrived();
        if was.has_ended() {
            let needed = "only one that has not ended can be resumed";
            return Err(Refusal::WrongState { status: import.status, needed }.into());
        }
        Ok(import)
    }

    /// Has what an import wrote taken back; of one that is reverted only what failed.
    pub async fn revert(&self, caller: Caller, id: ImportId) -> Result<Import, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let import = self.store.begin_revert(application, id, caller, clock::now()).await?;
        self.feed.changed(id);
        Ok(import)
    }

    /// Follows an import from behind change `after`.
    pub async fn watch(
        &self,
        application: ApplicationId,
        id: ImportId,
        after: i64,
    ) -> Result<impl Stream<Item = Result<WatchEvent, Error>> + Send + use<>, Error> {
        let snapshot = self.get(application, id).await?;
        if after > snapshot.sequence {
            return Err(Refusal::field("resume_token", "is ahead of the import").into());
        }
        Ok(watch::watch(&self.watches, &self.store, &self.feed, snapshot, after))
    }

    /// Failed rows (or rows with warnings) behind row `after`, in row order, at most `limit`. Of a running
    /// import only those before its checkpoint, so that no page ever misses one. Large ones come with fewer
    /// others.
    pub async fn list_row_errors(
        &self,
        application: ApplicationId,
        id: ImportId,
        severity: IssueSeverity,
        after: i64,
        limit: u64,
    ) -> Result<RowErrors, Error> {
        let import = self.get(application, id).await?;
        let mut source = SourceReader::new(self.store.clone(), self.objects.clone(), &import);
        self.read_row_errors(&import, &mut source, severity, after, limit).await
    }

    async fn read_row_errors(
        &self,
        import: &Import,
        source: &mut SourceReader,
        severity: IssueSeverity,
        after: i64,
        limit: u64,
    ) -> Result<RowErrors, Error> {
        let up_to = if import.status.has_ended() { i64::MAX } else { import.checkpoint_row };
        let (application, id) = (import.application_id, import.id);
        let stored = match severity {
            IssueSeverity::Error => self.store.list_row_errors(application, id, after, up_to, limit).await?,
            IssueSeverity::Warning => {
                self.store.list_row_warnings(application, id, after, up_to, limit).await?
            }
        };
        let (mut errors, mut bytes) = (Vec::with_capacity(stored.len()), 0);
        for stored in stored {
            if bytes > ERROR_PAGE_BYTES {
                return Ok(RowErrors { errors, more: true });
            }
            bytes += stored.byte_count;
            let raw = source.raw_row(&stored).await?;
            errors.push(RowError { stored, raw });
        }
        Ok(RowErrors { errors, more: false })
    }

    /// Streams failed rows (or rows with warnings) behind row `after`; with `follow`, until the import has ended.
    pub async fn stream_row_errors(
        &self,
        application: ApplicationId,
        id: ImportId,
        severity: IssueSeverity,
        after: i64,
        follow: bool,
    ) -> Result<impl Stream<Item = Result<Vec<RowError>, Error>> + Send + use<>, Error> {
        let import = self.get(application, id).await?;
        let source = SourceReader::new(self.store.clone(), self.objects.clone(), &import);
        let state = (self.clone(), source, self.feed.subscribe(id), after, false);
        Ok(stream::try_unfold(state, move |(imports, mut source, mut changes, after, ended)| async move {
            if ended {
                return Ok(None);
            }
            loop {
                let import = imports.get(application, id).await?;
                let page = imports.read_row_errors(&import, &mut source, severity, after, ERROR_PAGE).await?;
                let errors = page.errors;
                if let Some(last) = errors.last() {
                    let after = last.stored.row_number;
                    return Ok(Some((errors, (imports, source, changes, after, false))));
                }
                if !follow || import.status.has_ended() {
                    return Ok(Some((errors, (imports, source, changes, after, true))));
                }
                watch::changed_or_polled(&mut changes).await;
            }
        }))
    }

    /// Streams rows with these outcomes (those of them alone that have warnings, if these are asked for), byte
    /// for byte, under the source's header.
    pub async fn export(
        &self,
        caller: Caller,
        id: ImportId,
        outcomes: Vec<Outcome>,
        severity: IssueSeverity,
    ) -> Result<impl Stream<Item = Result<bytes::Bytes, Error>> + Send + use<>, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let import = Arc::new(self.get(application, id).await?);
        let outcomes_told: Vec<_> = outcomes.iter().map(|outcome| outcome.as_str()).collect();
        let warned = severity == IssueSeverity::Warning;
        let event = AuditEvent::new(caller, Some(application), "export_rows", id.to_string())
            .with("with_warnings_only", warned);
        self.store.record_event(event.with("outcomes", outcomes_told), clock::now()).await?;
        if import.source_deleted_at.is_some() {
            return Err(Refusal::SourceGone.into());
        }
        // A row whose warnings are not kept would be left out in silence.
        if warned && import.stored_warnings < import.warnings {
            let (counted, stored) = (import.warnings, import.stored_warnings);
            return Err(Refusal::WarningsNotKept { counted, stored }.into());
        }
        let wanted = move |_, outcome| if outcomes.contains(&outcome) { Take::Row } else { Take::Nothing };
        Ok(export::export(self.store.clone(), self.objects.clone(), import, Box::new(wanted), warned))
    }
}

/// All that is wrong with a mapping, under the path of what is at fault.
pub fn check_mapping(mapping: &Mapping, import_type: ImportType) -> Vec<FieldViolation> {
    pipeline::check_mapping(mapping, import_type, clock::now())
}

/// Columns of an import's CSV source that are not read.
pub fn ignored_columns(import: &Import) -> Vec<String> {
    if import.columns.is_empty() {
        return Vec::new();
    }
    match Columns::of(&import.spec).and_then(|columns| columns.resolve(&import.columns, usize::MAX)) {
        Ok(sheet) => sheet.ignored(&import.columns),
        Err(_) => Vec::new(),
    }
}

/// An empty file of an import type.
pub fn template(import_type: ImportType, format: SourceFormat) -> String {
    let schema = schema_of(import_type);
    match format {
        SourceFormat::Csv => {
            let names: Vec<_> = schema.fields.iter().map(|field| field.column).collect();
            names.join(",") + "\n"
        }
        SourceFormat::Ndjson => {
            let mut object = Map::new();
            for field in schema.fields {
                let parts: Vec<_> = field.name.split('.').collect();
                insert_null(&mut object, &parts);
            }
            format!("{}\n", Value::Object(object))
        }
    }
}

/// Puts a null at a path of inner objects.
fn insert_null(object: &mut Map<String, Value>, path: &[&str]) {
    match path {
        [] => {}
        [member] => drop(object.insert((*member).to_owned(), Value::Null)),
        [group, rest @ ..] => {
            let inner = object.entry(*group).or_insert_with(|| Map::new().into());
            if let Value::Object(inner) = inner {
                insert_null(inner, rest);
            }
        }
    }
}
