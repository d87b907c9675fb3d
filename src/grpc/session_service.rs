//! `SessionService`.

use tonic::{Request, Response, Status};

use super::{
    auth, convert,
    page::Page,
    pb::{self, session_service_server::SessionService},
    spec,
};
use crate::{
    domain::{ids::SessionId, refusal::Role},
    erasure::Erasure,
    records::{Records, Session},
};

pub(super) struct Service {
    pub(super) records: Records,
    pub(super) erasure: Erasure,
}

#[tonic::async_trait]
impl SessionService for Service {
    async fn list_sessions(
        &self,
        request: Request<pb::ListSessionsRequest>,
    ) -> Result<Response<pb::ListSessionsResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let mut request = request.into_inner();
        let (page, before) = Page::of(Some(application), &mut request)?;
        let (kinds, filter) = spec::session_filter(request)?;
        let listed = self.records.list_sessions(application, kinds, &filter, before, page.limit()).await?;
        let portraits = self.records.portraits(application, &listed).await?;
        let convert = |session| convert::session(session, &portraits);
        let (sessions, next_page_token) = page.cut(listed, convert, |last: &Session, _| last.number());
        Ok(Response::new(pb::ListSessionsResponse { sessions, next_page_token }))
    }

    async fn get_session(
        &self,
        request: Request<pb::GetSessionRequest>,
    ) -> Result<Response<pb::GetSessionResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let id = SessionId(spec::id(&request.get_ref().session_id, "session")?);
        let session = self.records.get_session(application, id).await?;
        let portraits = self.records.portraits(application, std::slice::from_ref(&session)).await?;
        Ok(Response::new(pb::GetSessionResponse { session: Some(convert::session(session, &portraits)) }))
    }

    async fn get_session_decision(
        &self,
        request: Request<pb::GetSessionDecisionRequest>,
    ) -> Result<Response<pb::GetSessionDecisionResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let id = SessionId(spec::id(&request.get_ref().session_id, "session")?);
        let session = self.records.get_session(application, id).await?;
        let media = self.records.media_links(application, &session).await?;
        let decision = Some(convert::decision(session, &media));
        Ok(Response::new(pb::GetSessionDecisionResponse { decision }))
    }

    async fn delete_session(
        &self,
        request: Request<pb::DeleteSessionRequest>,
    ) -> Result<Response<pb::DeleteSessionResponse>, Status> {
        let caller = auth::member(&request, Role::Operator)?;
        let id = SessionId(spec::id(&request.get_ref().session_id, "session")?);
        let (number, report) = self.erasure.delete_session(caller, id).await?;
        Ok(Response::new(convert::deleted_session(id, number, report)))
    }
}
