//! `EntityService`.

use tonic::{Request, Response, Status};

use super::{
    auth, convert,
    page::Page,
    pb::{self, entity_service_server::EntityService},
    spec,
};
use crate::{domain::refusal::Role, erasure::Erasure, records::Records};

pub(super) struct Service {
    pub(super) records: Records,
    pub(super) erasure: Erasure,
}

#[tonic::async_trait]
impl EntityService for Service {
    async fn get_user(
        &self,
        request: Request<pb::GetUserRequest>,
    ) -> Result<Response<pb::GetUserResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let vendor_data = spec::vendor_data(&request.get_ref().vendor_data)?;
        let user = self.records.get_user(application, vendor_data).await?;
        let faces = self.records.faces(application, std::iter::once(&user)).await?;
        Ok(Response::new(pb::GetUserResponse { user: Some(convert::user(user, &faces)) }))
    }

    async fn list_users(
        &self,
        request: Request<pb::ListUsersRequest>,
    ) -> Result<Response<pb::ListUsersResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let (page, before) = Page::of(Some(application), &mut request.into_inner())?;
        let users = self.records.list_users(application, before, page.limit()).await?;
        let faces = self.records.faces(application, users.iter().map(|(_, user)| user)).await?;
        let (users, next_page_token) =
            page.cut(users, |(_, user)| convert::user(user, &faces), |(number, _), _| *number);
        Ok(Response::new(pb::ListUsersResponse { users, next_page_token }))
    }

    async fn get_business(
        &self,
        request: Request<pb::GetBusinessRequest>,
    ) -> Result<Response<pb::GetBusinessResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let vendor_data = spec::vendor_data(&request.get_ref().vendor_data)?;
        let business = self.records.get_business(application, vendor_data).await?;
        Ok(Response::new(pb::GetBusinessResponse { business: Some(convert::business(business)) }))
    }

    async fn list_businesses(
        &self,
        request: Request<pb::ListBusinessesRequest>,
    ) -> Result<Response<pb::ListBusinessesResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let (page, before) = Page::of(Some(application), &mut request.into_inner())?;
        let businesses = self.records.list_businesses(application, before, page.limit()).await?;
        let (businesses, next_page_token) =
            page.cut(businesses, |(_, business)| convert::business(business), |(number, _), _| *number);
        Ok(Response::new(pb::ListBusinessesResponse { businesses, next_page_token }))
    }

    async fn erase_user(
        &self,
        request: Request<pb::EraseUserRequest>,
    ) -> Result<Response<pb::EraseUserResponse>, Status> {
        let caller = auth::member(&request, Role::Operator)?;
        let vendor_data = spec::vendor_data(&request.get_ref().vendor_data)?;
        let report = self.erasure.erase_user(caller, vendor_data).await?;
        Ok(Response::new(convert::erased_user(report)))
    }

    async fn erase_business(
        &self,
        request: Request<pb::EraseBusinessRequest>,
    ) -> Result<Response<pb::EraseBusinessResponse>, Status> {
        let caller = auth::member(&request, Role::Operator)?;
        let vendor_data = spec::vendor_data(&request.get_ref().vendor_data)?;
        let report = self.erasure.erase_business(caller, vendor_data).await?;
        Ok(Response::new(convert::erased_business(report)))
    }
}
