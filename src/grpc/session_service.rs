//! `SessionService`.

use tonic::{Request, Response, Status};

use super::{
    auth::Auth,
    convert,
    pb::{self, session_service_server::SessionService},
    spec,
};
use crate::{
    domain::{ids::SessionId, refusal::Role},
    erasure::Erasure,
    records::{Records, Session},
};

pub(super) struct Service {
    pub(super) auth: Auth,
    pub(super) records: Records,
    pub(super) erasure: Erasure,
}

#[tonic::async_trait]
impl SessionService for Service {
    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let application = self.auth.application(request.metadata(), Role::Reader).await?;
        let request = request.into_inner();
        let size = spec::page_size(request.page_size)?;
        let before = spec::page_token(&request.page_token)?;
        let (kinds, filter) = spec::session_filter(request)?;
        let sessions = self.records.list_sessions(application, kinds, &filter, before, size).await?;
        let next_page_token =
            spec::next_page_token(&sessions, size, |last: &Session| last.number().to_string());
        let sessions = sessions.into_iter().map(convert::session).collect();
        Ok(Response::new(pb::ListSessionsResponse { sessions, next_page_token }))
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Result<Response<pb::GetSessionResponse>, Status> {
        let application = self.auth.application(request.metadata(), Role::Reader).await?;
        let id = SessionId(spec::id(&request.get_ref().session_id, "session")?);
        let session = self.records.get_session(application, id).await?;
        Ok(Response::new(pb::GetSessionResponse { session: Some(convert::session(session)) }))
    }

    async fn get_session_decision(
        &self,
        request: Request<pb::GetSessionDecisionRequest>,
    ) -> Result<Response<pb::GetSessionDecisionResponse>, Status> {
        let application = self.auth.application(request.metadata(), Role::Reader).await?;
        let id = SessionId(spec::id(&request.get_ref().session_id, "session")?);
        let session = self.records.get_session(application, id).await?;
        Ok(Response::new(pb::GetSessionDecisionResponse { decision: Some(convert::decision(session)) }))
    }

    async fn delete_session(
        &self,
        request: Request<pb::DeleteSessionRequest>,
    ) -> Result<Response<pb::DeleteSessionResponse>, Status> {
        let caller = self.auth.member(request.metadata(), Role::Operator).await?;
        let id = SessionId(spec::id(&request.get_ref().session_id, "session")?);
        let (number, report) = self.erasure.delete_session(caller, id).await?;
        Ok(Response::new(convert::deleted_session(id, number, report)))
    }
}
