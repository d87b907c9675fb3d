//! `WorkflowService`.

use std::{fmt, str::FromStr};

use tonic::{Request, Response, Status};

use super::{
    auth::Auth,
    convert,
    page::Page,
    pb::{self, workflow_service_server::WorkflowService},
    spec,
};
use crate::{
    administration::Administration,
    domain::{
        ids::{ApplicationId, WorkflowId},
        refusal::{Refusal, Role},
    },
    records::Records,
    store::WorkflowKind,
};

pub(super) struct Service {
    pub(super) auth: Auth,
    pub(super) administration: Administration,
    pub(super) records: Records,
}

/// Where a page of rules begins: the version it is of, and how many rules come before.
struct PageToken {
    version: i32,
    skip: u64,
}

impl fmt::Display for PageToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.skip)
    }
}

impl FromStr for PageToken {
    type Err = ();

    fn from_str(token: &str) -> Result<Self, ()> {
        let (version, skip) = token.split_once('.').ok_or(())?;
        let skip = skip.parse().ok().filter(|skip| i64::try_from(*skip).is_ok());
        Ok(Self { version: version.parse().map_err(|_| ())?, skip: skip.ok_or(())? })
    }
}

#[tonic::async_trait]
impl WorkflowService for Service {
    async fn create_workflow(
        &self,
        request: Request<pb::CreateWorkflowRequest>,
    ) -> Result<Response<pb::CreateWorkflowResponse>, Status> {
        let caller = self.auth.caller(request.metadata(), Role::Admin).await?;
        let request = request.get_ref();
        let kind = match pb::WorkflowKind::try_from(request.kind) {
            Ok(pb::WorkflowKind::User) => WorkflowKind::User,
            Ok(pb::WorkflowKind::Business) => WorkflowKind::Business,
            _ => return Err(Refusal::field("kind", "must be USER or BUSINESS").into()),
        };
        let application = ApplicationId(spec::id(&request.application_id, "application")?);
        let created = self.administration.create_workflow(caller, application, &request.name, kind);
        let workflow = created.await?;
        Ok(Response::new(pb::CreateWorkflowResponse { workflow: Some(convert::workflow(workflow)) }))
    }

    async fn get_workflow(
        &self,
        request: Request<pb::GetWorkflowRequest>,
    ) -> Result<Response<pb::GetWorkflowResponse>, Status> {
        let application = self.auth.application(request.metadata(), Role::Reader).await?;
        let id = WorkflowId(spec::id(&request.get_ref().workflow_id, "workflow")?);
        let workflow = self.administration.get_workflow(application, id).await?;
        Ok(Response::new(pb::GetWorkflowResponse { workflow: Some(convert::workflow(workflow)) }))
    }

    async fn list_workflows(
        &self,
        request: Request<pb::ListWorkflowsRequest>,
    ) -> Result<Response<pb::ListWorkflowsResponse>, Status> {
        let caller = self.auth.caller(request.metadata(), Role::Reader).await?;
        let application = match caller.application {
            Some(application) => application,
            None => ApplicationId(spec::id(&request.get_ref().application_id, "application")?),
        };
        let workflows = self.administration.list_workflows(application).await?;
        let workflows = workflows.into_iter().map(convert::workflow).collect();
        Ok(Response::new(pb::ListWorkflowsResponse { workflows }))
    }

    async fn list_workflow_versions(
        &self,
        request: Request<pb::ListWorkflowVersionsRequest>,
    ) -> Result<Response<pb::ListWorkflowVersionsResponse>, Status> {
        let application = self.auth.application(request.metadata(), Role::Reader).await?;
        let id = WorkflowId(spec::id(&request.get_ref().workflow_id, "workflow")?);
        let versions = self.records.list_workflow_versions(application, id).await?;
        let versions = versions.into_iter().map(convert::workflow_version).collect();
        Ok(Response::new(pb::ListWorkflowVersionsResponse { versions }))
    }

    async fn list_status_rules(
        &self,
        request: Request<pb::ListStatusRulesRequest>,
    ) -> Result<Response<pb::ListStatusRulesResponse>, Status> {
        let application = self.auth.application(request.metadata(), Role::Reader).await?;
        let request = request.get_ref();
        let id = WorkflowId(spec::id(&request.workflow_id, "workflow")?);
        let page = Page::of(request.page_size)?;
        let token: Option<PageToken> = spec::page_token(&request.page_token)?;
        if token.as_ref().is_some_and(|token| request.version.is_some_and(|asked| asked != token.version)) {
            return Err(Refusal::field("page_token", "is of another version").into());
        }
        let skip = token.as_ref().map_or(0, |token| token.skip);
        let version = token.map(|token| token.version).or(request.version);
        let listed = self.records.list_status_rules(application, id, version, skip, page.limit());
        let (version, rules) = listed.await?;
        let (status_rules, next_page_token) = page.cut(rules, convert::status_rule, |_, count| {
            PageToken { version, skip: skip.saturating_add(count as u64) }.to_string()
        });
        Ok(Response::new(pb::ListStatusRulesResponse { status_rules, next_page_token, version }))
    }
}
