//! `grpc.health.v1`: the server and each of its services serve until the stop.

use std::future::ready;

use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use super::{pb, streams::Answers};

/// Health as the stop tells it; there is no other state.
pub(super) struct Service {
    pub(super) stop: CancellationToken,
    /// Whether the other services are served, too.
    pub(super) is_api: bool,
}

/// The services beside the whole server, whose name is empty.
const SERVICES: [&str; 6] = [
    pb::import_service_server::SERVICE_NAME,
    pb::session_service_server::SERVICE_NAME,
    pb::entity_service_server::SERVICE_NAME,
    pb::transaction_service_server::SERVICE_NAME,
    pb::workflow_service_server::SERVICE_NAME,
    pb::admin_service_server::SERVICE_NAME,
];

impl Service {
    fn status(&self, service: &str) -> ServingStatus {
        if !(service.is_empty() || self.is_api && SERVICES.contains(&service)) {
            ServingStatus::ServiceUnknown
        } else if self.stop.is_cancelled() {
            ServingStatus::NotServing
        } else {
            ServingStatus::Serving
        }
    }
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status as i32 }
}

#[tonic::async_trait]
impl Health for Service {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        match self.status(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("there is no such service")),
            status => Ok(Response::new(answer(status))),
        }
    }

    type WatchStream = Answers<HealthCheckResponse>;

    /// Tells the status, and then its end; the stream ends with it, or it would hold up the stop.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let now = self.status(&request.get_ref().service);
        let stop = self.stop.clone();
        let end = async move {
            stop.cancelled_owned().await;
            now == ServingStatus::Serving
        };
        let answers = stream::once(ready(answer(now))).chain(
            stream::once(end).filter(|served| ready(*served)).map(|_| answer(ServingStatus::NotServing)),
        );
        Ok(Response::new(Box::pin(answers.map(Ok))))
    }
}
