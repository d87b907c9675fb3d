//! `AdminService`.

use tonic::{Request, Response, Status};

use super::{
    auth, convert,
    page::Page,
    pb::{self, admin_service_server::AdminService},
    spec,
};
use crate::{
    administration::{Administration, NewApiKey},
    domain::{
        ids::{ApiKeyId, ApplicationId},
        refusal::{Refusal, Role},
    },
    store::{ApplicationChange, Caller},
};

pub(super) struct Service {
    pub(super) administration: Administration,
}

fn admin<T>(request: &Request<T>) -> Result<Caller, Refusal> {
    auth::caller(request, Role::Admin)
}

/// An application's id; empty means none.
fn some_application(id: &str) -> Result<Option<ApplicationId>, Refusal> {
    if id.is_empty() { Ok(None) } else { spec::id(id, "application").map(|id| Some(ApplicationId(id))) }
}

#[tonic::async_trait]
impl AdminService for Service {
    async fn create_application(
        &self,
        request: Request<pb::CreateApplicationRequest>,
    ) -> Result<Response<pb::CreateApplicationResponse>, Status> {
        let caller = admin(&request)?;
        let pb::CreateApplicationRequest { name, enable_imports, sandbox } = request.into_inner();
        let created = self.administration.create_application(caller, &name, enable_imports, sandbox);
        let application = created.await?;
        Ok(Response::new(pb::CreateApplicationResponse {
            application: Some(convert::application(application)),
        }))
    }

    async fn update_application(
        &self,
        request: Request<pb::UpdateApplicationRequest>,
    ) -> Result<Response<pb::UpdateApplicationResponse>, Status> {
        let caller = admin(&request)?;
        let request = request.into_inner();
        let id = ApplicationId(spec::id(&request.application_id, "application")?);
        let change = ApplicationChange {
            imports_enabled: request.imports_enabled,
            max_active_imports: request.max_active_imports,
            limits: request.limits.map(spec::limit_settings),
        };
        let changed = self.administration.change_application(caller, id, change).await?;
        let application = Some(convert::application(changed));
        Ok(Response::new(pb::UpdateApplicationResponse { application }))
    }

    async fn list_applications(
        &self,
        request: Request<pb::ListApplicationsRequest>,
    ) -> Result<Response<pb::ListApplicationsResponse>, Status> {
        admin(&request)?;
        let (page, after) = Page::of(None, &mut request.into_inner())?;
        let after = after.map(ApplicationId);
        let applications = self.administration.list_applications(after, page.limit()).await?;
        let (applications, next_page_token) = page.cut(applications, convert::application, |last, _| last.id);
        Ok(Response::new(pb::ListApplicationsResponse { applications, next_page_token }))
    }

    async fn create_api_key(
        &self,
        request: Request<pb::CreateApiKeyRequest>,
    ) -> Result<Response<pb::CreateApiKeyResponse>, Status> {
        let caller = admin(&request)?;
        let request = request.get_ref();
        let role = match pb::Role::try_from(request.role) {
            Ok(pb::Role::Reader) => Role::Reader,
            Ok(pb::Role::Importer) => Role::Importer,
            Ok(pb::Role::Operator) => Role::Operator,
            Ok(pb::Role::Admin) => Role::Admin,
            _ => return Err(Refusal::field("role", "must be READER, IMPORTER, OPERATOR or ADMIN").into()),
        };
        let application = some_application(&request.application_id)?;
        let certificate_name = Some(request.certificate_name.as_str()).filter(|name| !name.is_empty());
        let new = NewApiKey { application_id: application, role, name: &request.name, certificate_name };
        let (api_key, secret) = self.administration.create_api_key(caller, new).await?;
        let (api_key, key) = (Some(convert::api_key(api_key)), secret.unwrap_or_default());
        Ok(Response::new(pb::CreateApiKeyResponse { api_key, key }))
    }

    async fn revoke_api_key(
        &self,
        request: Request<pb::RevokeApiKeyRequest>,
    ) -> Result<Response<pb::RevokeApiKeyResponse>, Status> {
        let caller = admin(&request)?;
        let id = ApiKeyId(spec::id(&request.get_ref().api_key_id, "API key")?);
        let api_key = Some(convert::api_key(self.administration.revoke_api_key(caller, id).await?));
        Ok(Response::new(pb::RevokeApiKeyResponse { api_key }))
    }

    async fn list_api_keys(
        &self,
        request: Request<pb::ListApiKeysRequest>,
    ) -> Result<Response<pb::ListApiKeysResponse>, Status> {
        admin(&request)?;
        let mut request = request.into_inner();
        let (page, after) = Page::of(None, &mut request)?;
        let application = some_application(&request.application_id)?;
        let after = after.map(ApiKeyId);
        let keys = self.administration.list_api_keys(application, after, page.limit()).await?;
        let (api_keys, next_page_token) = page.cut(keys, convert::api_key, |last, _| last.id);
        Ok(Response::new(pb::ListApiKeysResponse { api_keys, next_page_token }))
    }

    async fn list_audit_events(
        &self,
        request: Request<pb::ListAuditEventsRequest>,
    ) -> Result<Response<pb::ListAuditEventsResponse>, Status> {
        admin(&request)?;
        let mut request = request.into_inner();
        let (page, before) = Page::of(None, &mut request)?;
        let application = some_application(&request.application_id)?;
        let events = self.administration.list_audit_events(application, before, page.limit()).await?;
        let (audit_events, next_page_token) = page.cut(events, convert::audit_event, |last, _| last.id);
        Ok(Response::new(pb::ListAuditEventsResponse { audit_events, next_page_token }))
    }
}
