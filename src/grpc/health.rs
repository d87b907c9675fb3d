//! `grpc.health.v1`: the whole server lives until the stop, and each service serves while what it stands on
//! answers and no stop is announced.
//!
//! Whoever asks for the whole server (an empty name) asks whether to restart it: a database that is away does not
//! come back by that. Whoever asks for `readiness` or for a service asks whether to send calls there.

use tokio::sync::watch;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus, health_server::Health,
};

use super::{pb, streams::Answers};
use crate::probe::Vitals;

/// Health as the stop and the vitals tell it; there is no other state.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) stop: CancellationToken,
    pub(super) vitals: watch::Receiver<Vitals>,
    /// Whether the other services are served, too.
    pub(super) is_api: bool,
}

/// Asked by whoever sends work: everything that a server of any role stands on answers.
const READINESS: &str = "readiness";

/// Services that only read and write the database.
const OF_DATABASE: [&str; 5] = [
    pb::session_service_server::SERVICE_NAME,
    pb::entity_service_server::SERVICE_NAME,
    pb::transaction_service_server::SERVICE_NAME,
    pb::workflow_service_server::SERVICE_NAME,
    pb::admin_service_server::SERVICE_NAME,
];

/// The service that stores what is uploaded.
const OF_OBJECTS: &str = pb::import_service_server::SERVICE_NAME;

impl Service {
    fn status(&self, service: &str, vitals: Vitals) -> ServingStatus {
        let serves = match service {
            "" => true,
            READINESS => vitals.serves_all(),
            OF_OBJECTS if self.is_api => vitals.serves_all(),
            other if self.is_api && OF_DATABASE.contains(&other) => vitals.serves_database(),
            _ => return ServingStatus::ServiceUnknown,
        };
        if serves && !self.stop.is_cancelled() { ServingStatus::Serving } else { ServingStatus::NotServing }
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
        let vitals = *self.vitals.borrow();
        match self.status(&request.get_ref().service, vitals) {
            ServingStatus::ServiceUnknown => Err(Status::not_found("there is no such service")),
            status => Ok(Response::new(answer(status))),
        }
    }

    type WatchStream = Answers<HealthCheckResponse>;

    /// Tells the status and each change of it, up to the stop; the stream ends with it, or it would hold it up.
    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (health, service, mut told) = (self.clone(), request.into_inner().service, None);
        let looks = WatchStream::new(self.vitals.clone()).map(drop);
        let looks = futures_util::StreamExt::take_until(looks, self.stop.clone().cancelled_owned());
        let statuses = looks.chain(tokio_stream::once(())).map(move |()| {
            let vitals = *health.vitals.borrow();
            health.status(&service, vitals)
        });
        let changes = statuses.filter(move |status| told.replace(*status) != Some(*status));
        Ok(Response::new(Box::pin(changes.map(|status| Ok(answer(status))))))
    }
}
