//! `WorkflowService`.

use std::{fmt, str::FromStr};

use tonic::{Request, Response, Status};

use super::{
    auth, convert,
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
    pub(super) administration: Administration,
    pub(super) records: Records,
}

/// Where a page of rules begins: the version it is of, and how many rules come before.
struct Place {
    version: i32,
    skip: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.skip)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(place: &str) -> Result<Self, ()> {
        let (version, skip) = place.split_once('.').ok_or(())?;
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
        let caller = auth::caller(&request, Role::Admin)?;
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
        let application = auth::application(&request, Role::Reader)?;
        let id = WorkflowId(spec::id(&request.get_ref().workflow_id, "workflow")?);
        let workflow = self.administration.get_workflow(application, id).await?;
        Ok(Response::new(pb::GetWorkflowResponse { workflow: Some(convert::workflow(workflow)) }))
    }

    async fn list_workflows(
        &self,
        request: Request<pb::ListWorkflowsRequest>,
    ) -> Result<Response<pb::ListWorkflowsResponse>, Status> {
        let caller = auth::caller(&request, Role::Reader)?;
        let application = match caller.application {
            Some(application) => application,
            None => ApplicationId(spec::id(&request.get_ref().application_id, "application")?),
        };
        let (page, after) = Page::of(Some(application), &mut request.into_inner())?;
        let after = after.map(WorkflowId);
        let workflows = self.administration.list_workflows(application, after, page.limit()).await?;
        let (workflows, next_page_token) = page.cut(workflows, convert::workflow, |last, _| last.id);
        Ok(Response::new(pb::ListWorkflowsResponse { workflows, next_page_token }))
    }

    async fn list_workflow_versions(
        &self,
        request: Request<pb::ListWorkflowVersionsRequest>,
    ) -> Result<Response<pb::ListWorkflowVersionsResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let mut request = request.into_inner();
        let (page, before) = Page::of(Some(application), &mut request)?;
        let id = WorkflowId(spec::id(&request.workflow_id, "workflow")?);
        let listed = self.records.list_workflow_versions(application, id, before, page.limit());
        let (versions, next_page_token) =
            page.cut(listed.await?, convert::workflow_version, |last, _| last.version);
        Ok(Response::new(pb::ListWorkflowVersionsResponse { versions, next_page_token }))
    }

    async fn list_status_rules(
        &self,
        request: Request<pb::ListStatusRulesRequest>,
    ) -> Result<Response<pb::ListStatusRulesResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let mut request = request.into_inner();
        let (page, place) = Page::of(Some(application), &mut request)?;
        let id = WorkflowId(spec::id(&request.workflow_id, "workflow")?);
        let skip = place.as_ref().map_or(0, |place: &Place| place.skip);
        let version = place.map(|place| place.version).or(request.version);
        let listed = self.records.list_status_rules(application, id, version, skip, page.limit());
        let (version, rules) = listed.await?;
        let (status_rules, next_page_token) = page.cut(rules, convert::status_rule, |_, count| Place {
            version,
            skip: skip.saturating_add(count as u64),
        });
        Ok(Response::new(pb::ListStatusRulesResponse { status_rules, next_page_token, version }))
    }
}
