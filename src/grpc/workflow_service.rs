//! `WorkflowService`.

use tonic::{Request, Response, Status};

use super::{
    auth::Auth,
    convert,
    pb::{self, workflow_service_server::WorkflowService},
    spec,
};
use crate::{
    administration::Administration,
    domain::{
        ids::{ApplicationId, WorkflowId},
        refusal::{Refusal, Role},
    },
    store::WorkflowKind,
};

pub(super) struct Service {
    pub(super) auth: Auth,
    pub(super) administration: Administration,
}

#[tonic::async_trait]
impl WorkflowService for Service {
    async fn create_workflow(
        &self,
        request: Request<pb::CreateWorkflowRequest>,
    ) -> Result<Response<pb::CreateWorkflowResponse>, Status> {
        self.auth.caller(request.metadata(), Role::Admin).await?;
        let request = request.get_ref();
        let kind = match pb::WorkflowKind::try_from(request.kind) {
            Ok(pb::WorkflowKind::User) => WorkflowKind::User,
            Ok(pb::WorkflowKind::Business) => WorkflowKind::Business,
            _ => return Err(Refusal::field("kind", "must be USER or BUSINESS").into()),
        };
        let application = ApplicationId(spec::id(&request.application_id, "application")?);
        let workflow = self.administration.create_workflow(application, &request.name, kind).await?;
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
}
