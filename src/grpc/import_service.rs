//! `ImportService`.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use prost::Name;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use super::{
    auth::{self, Auth},
    convert,
    page::Page,
    pb::{self, import_service_server::ImportService, watch_import_response::Event},
    preview, spec,
    streams::{Answers, until_stopped},
    token::Seal,
    upload,
};
use crate::{
    domain::{
        ids::ImportId,
        import::{ImportType, SourceFormat},
        refusal::{Refusal, Role},
    },
    error::Error,
    imports::{self, Imports, WatchEvent},
    metrics::Metrics,
    store::ImportPage,
};

pub(super) struct Service {
    pub(super) auth: Auth,
    pub(super) imports: Imports,
    pub(super) stop: CancellationToken,
    pub(super) upload_idle: Duration,
    pub(super) metrics: Metrics,
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl ImportService for Service {
    async fn upload_import(
        &self,
        request: Request<Streaming<pb::UploadImportRequest>>,
    ) -> Answer<pb::UploadImportResponse> {
        let caller = auth::member(&request, Role::Importer)?;
        let revoked = self.auth.revoked(request.extensions());
        // What is stored stays so when the handler is dropped: the upload can be resumed.
        let import = tokio::select! {
            import = upload::run(
                &self.imports,
                caller,
                request.into_inner(),
                self.upload_idle,
                &self.metrics,
            ) => import?,
            error = revoked => return Err(error.into()),
        };
        Ok(Response::new(pb::UploadImportResponse { import: Some(convert::import(import)) }))
    }

    async fn create_import(
        &self,
        request: Request<pb::CreateImportRequest>,
    ) -> Answer<pb::CreateImportResponse> {
        let caller = auth::member(&request, Role::Importer)?;
        let request = request.into_inner();
        let (spec, request_id) = spec::import_spec(request.spec, request.request_id)?;
        let import = self.imports.create(caller, spec, request_id).await?;
        Ok(Response::new(pb::CreateImportResponse { import: Some(convert::import(import)) }))
    }

    async fn preview_import(
        &self,
        request: Request<pb::PreviewImportRequest>,
    ) -> Answer<pb::PreviewImportResponse> {
        let application = auth::application(&request, Role::Importer)?;
        let limits = self.imports.limits(application).await?;
        Ok(Response::new(preview::run(request.into_inner(), limits).await?))
    }

    async fn get_import(&self, request: Request<pb::GetImportRequest>) -> Answer<pb::GetImportResponse> {
        let application = auth::application(&request, Role::Reader)?;
        let import = self.imports.get(application, spec::import_id(&request.get_ref().import_id)?).await?;
        Ok(Response::new(pb::GetImportResponse { import: Some(convert::import(import)) }))
    }

    async fn list_imports(
        &self,
        request: Request<pb::ListImportsRequest>,
    ) -> Answer<pb::ListImportsResponse> {
        let application = auth::application(&request, Role::Reader)?;
        let mut request = request.into_inner();
        let (page, before) = Page::of(Some(application), &mut request)?;
        let before = before.map(ImportId);
        let statuses = spec::import_statuses(&request.statuses)?;
        let wanted = ImportPage { size: page.limit(), before, statuses };
        let imports = self.imports.list(application, wanted).await?;
        let (imports, next_page_token) = page.cut(imports, convert::import, |import, _| import.id);
        Ok(Response::new(pb::ListImportsResponse { imports, next_page_token }))
    }

    type WatchImportStream = Answers<pb::WatchImportResponse>;

    async fn watch_import(
        &self,
        request: Request<pb::WatchImportRequest>,
    ) -> Answer<Self::WatchImportStream> {
        let application = auth::application(&request, Role::Reader)?;
        let revoked = self.auth.revoked(request.extensions());
        let request = request.into_inner();
        let id = spec::import_id(&request.import_id)?;
        let seal = Seal::new(pb::WatchImportRequest::NAME, Some(application), id.0.as_bytes());
        let after = seal.place("resume_token", &request.resume_token)?.unwrap_or(0);
        let events = self.imports.watch(application, id, after).await?;
        let mut seen = after;
        let answers = events.map(move |event| {
            let event = match event? {
                WatchEvent::Import(import) => {
                    seen = import.sequence;
                    Event::Import(convert::import(*import))
                }
                WatchEvent::Heartbeat(time) => Event::Heartbeat(convert::timestamp(time)),
            };
            Ok(pb::WatchImportResponse { event: Some(event), resume_token: seal.token(seen) })
        });
        Ok(Response::new(until_stopped(answers, self.stop.clone(), revoked)))
    }

    async fn pause_import(
        &self,
        request: Request<pb::PauseImportRequest>,
    ) -> Answer<pb::PauseImportResponse> {
        let caller = auth::member(&request, Role::Importer)?;
        let import = self.imports.pause(caller, spec::import_id(&request.get_ref().import_id)?).await?;
        Ok(Response::new(pb::PauseImportResponse { import: Some(convert::import(import)) }))
    }

    async fn resume_import(
        &self,
        request: Request<pb::ResumeImportRequest>,
    ) -> Answer<pb::ResumeImportResponse> {
        let caller = auth::member(&request, Role::Importer)?;
        let import = self.imports.resume(caller, spec::import_id(&request.get_ref().import_id)?).await?;
        Ok(Response::new(pb::ResumeImportResponse { import: Some(convert::import(import)) }))
    }

    async fn retry_import(
        &self,
        request: Request<pb::RetryImportRequest>,
    ) -> Answer<pb::RetryImportResponse> {
        let caller = auth::member(&request, Role::Importer)?;
        let request = request.into_inner();
        let id = spec::import_id(&request.import_id)?;
        let (request, request_id) = spec::retry_request(request)?;
        let import = self.imports.retry(caller, id, request, request_id).await?;
        Ok(Response::new(pb::RetryImportResponse { import: Some(convert::import(import)) }))
    }

    async fn revert_import(
        &self,
        request: Request<pb::RevertImportRequest>,
    ) -> Answer<pb::RevertImportResponse> {
        let caller = auth::member(&request, Role::Operator)?;
        let import = self.imports.revert(caller, spec::import_id(&request.get_ref().import_id)?).await?;
        Ok(Response::new(pb::RevertImportResponse { import: Some(convert::import(import)) }))
    }

    async fn cancel_import(
        &self,
        request: Request<pb::CancelImportRequest>,
    ) -> Answer<pb::CancelImportResponse> {
        let caller = auth::member(&request, Role::Importer)?;
        let import = self.imports.cancel(caller, spec::import_id(&request.get_ref().import_id)?).await?;
        Ok(Response::new(pb::CancelImportResponse { import: Some(convert::import(import)) }))
    }

    async fn list_row_errors(
        &self,
        request: Request<pb::ListRowErrorsRequest>,
    ) -> Answer<pb::ListRowErrorsResponse> {
        let application = auth::application(&request, Role::Reader)?;
        let mut request = request.into_inner();
        let (page, after) = Page::of(Some(application), &mut request)?;
        let after = after.unwrap_or(0);
        let (id, severity) = (spec::import_id(&request.import_id)?, spec::severity(request.severity)?);
        let errors = self.imports.list_row_errors(application, id, severity, after, page.limit()).await?;
        let (row_errors, next_page_token) = page.cut_from(
            errors.errors,
            errors.more,
            |error| convert::row_error(application, id, error),
            |error, _| error.stored.row_number,
        );
        Ok(Response::new(pb::ListRowErrorsResponse { row_errors, next_page_token }))
    }

    type StreamRowErrorsStream = Answers<pb::StreamRowErrorsResponse>;

    async fn stream_row_errors(
        &self,
        request: Request<pb::StreamRowErrorsRequest>,
    ) -> Answer<Self::StreamRowErrorsStream> {
        let application = auth::application(&request, Role::Reader)?;
        let revoked = self.auth.revoked(request.extensions());
        let request = request.into_inner();
        let (id, severity) = (spec::import_id(&request.import_id)?, spec::severity(request.severity)?);
        let pb::StreamRowErrorsRequest { after_row, follow, .. } = request;
        let pages = self.imports.stream_row_errors(application, id, severity, after_row, follow).await?;
        let answers = pages.flat_map(move |page| match page {
            Ok(errors) => stream::iter(errors)
                .map(move |error| {
                    let row_error = Some(convert::row_error(application, id, error));
                    Ok(pb::StreamRowErrorsResponse { row_error })
                })
                .left_stream(),
            Err(error) => stream::iter([Err(error.into())]).right_stream(),
        });
        Ok(Response::new(until_stopped(answers, self.stop.clone(), revoked)))
    }

    type ExportRowsStream = Answers<pb::ExportRowsResponse>;

    async fn export_rows(&self, request: Request<pb::ExportRowsRequest>) -> Answer<Self::ExportRowsStream> {
        let caller = auth::member(&request, Role::Reader)?;
        let revoked = self.auth.revoked(request.extensions());
        let request = request.into_inner();
        let (id, severity) = (spec::import_id(&request.import_id)?, spec::severity(request.severity)?);
        let outcomes = spec::outcomes(&request.outcomes, severity)?;
        let parts = self.imports.export(caller, id, outcomes, severity).await?;
        let answers = parts.map(|part: Result<_, Error>| Ok(pb::ExportRowsResponse { data: part? }));
        Ok(Response::new(until_stopped(answers, self.stop.clone(), revoked)))
    }

    async fn get_import_template(
        &self,
        request: Request<pb::GetImportTemplateRequest>,
    ) -> Answer<pb::GetImportTemplateResponse> {
        auth::application(&request, Role::Reader)?;
        let request = request.get_ref();
        let import_type = match pb::ImportType::try_from(request.import_type) {
            Ok(pb::ImportType::Unspecified) => ImportType::UserVerification,
            _ => spec::import_type(request.import_type)
                .ok_or_else(|| Refusal::field("import_type", "is no import type this server knows"))?,
        };
        let (format, ending, content_type) = match pb::SourceFormat::try_from(request.source_format) {
            Ok(pb::SourceFormat::Ndjson) => (SourceFormat::Ndjson, "ndjson", "application/x-ndjson"),
            Ok(_) => (SourceFormat::Csv, "csv", "text/csv"),
            Err(_) => return Err(Refusal::field("source_format", "must be CSV or NDJSON").into()),
        };
        Ok(Response::new(pb::GetImportTemplateResponse {
            data: imports::template(import_type, format).into(),
            filename: format!("{}.{ending}", import_type.as_str()),
            content_type: content_type.to_owned(),
        }))
    }
}
