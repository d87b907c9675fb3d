//! `EntityService`.

use tonic::{Request, Response, Status};

use super::{
    auth::Auth,
    convert,
    pb::{self, entity_service_server::EntityService},
    spec,
};
use crate::{domain::refusal::Role, records::Records};

pub(super) struct Service {
    pub(super) auth: Auth,
    pub(super) records: Records,
}

#[tonic::async_trait]
impl EntityService for Service {
    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        let application = self.auth.application(request.metadata(), Role::Reader).await?;
        let vendor_data = spec::vendor_data(&request.get_ref().vendor_data)?;
        let user = self.records.get_user(application, vendor_data).await?;
        Ok(Response::new(pb::GetUserResponse { user: Some(convert::user(user)) }))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        let application = self.auth.application(request.metadata(), Role::Reader).await?;
        let request = request.get_ref();
        let size = spec::page_size(request.page_size)?;
        let before = spec::page_token(&request.page_token)?;
        let users = self.records.list_users(application, before, size).await?;
        let next_page_token = spec::next_page_token(&users, size, |(number, _)| number.to_string());
        let users = users.into_iter().map(|(_, user)| convert::user(user)).collect();
        Ok(Response::new(pb::ListUsersResponse { users, next_page_token }))
    }
}
