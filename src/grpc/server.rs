//! The server: every service on one port, with limits on what a connection may do.

use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio_stream::{StreamExt, wrappers::TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::{codec::CompressionEncoding, transport::Server};
use tonic_health::ServingStatus;
use tonic_web::GrpcWebLayer;

use super::{
    admin_service,
    auth::Auth,
    entity_service, import_service,
    pb::{
        self, admin_service_server::AdminServiceServer, entity_service_server::EntityServiceServer,
        import_service_server::ImportServiceServer, session_service_server::SessionServiceServer,
        workflow_service_server::WorkflowServiceServer,
    },
    session_service, workflow_service,
};
use crate::{administration::Administration, imports::Imports, records::Records};

/// What the services stand on.
pub struct Parts {
    /// Imports.
    pub imports: Imports,
    /// Records.
    pub records: Records,
    /// Administration.
    pub administration: Administration,
    /// Ends open streams, then the server.
    pub stop: CancellationToken,
}

/// Bounds of the transport.
#[derive(Debug, Clone, Copy)]
pub struct Transport {
    /// Largest message.
    pub message_bytes: usize,
    /// Streams at a time on a connection.
    pub streams: u32,
    /// Longest silence in an upload.
    pub upload_idle: Duration,
}

impl Default for Transport {
    fn default() -> Self {
        Self { message_bytes: 4 << 20, streams: 200, upload_idle: Duration::from_secs(60) }
    }
}

/// Window of one stream. Smaller frames than 256 bytes cost h2 the difference from a budget of half
/// the connection's window; with these two, a stream's window runs out before that budget does.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

/// Window of a connection; a smaller one lets h2 close it under a slow store and tiny chunks.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;

/// Twice the throughput of the default of 16 KiB.
const FRAME_BYTES: u32 = 1 << 20;

/// Most bytes of all metadata of a call.
const HEADER_BYTES: u32 = 16 << 10;

/// When a silent connection is asked whether it lives, and how long it may take to answer.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Serves until `parts.stop` is cancelled and open calls have ended.
pub async fn serve(listener: TcpListener, parts: Parts, transport: Transport) -> Result<(), ServeError> {
    let Parts { imports, records, administration, stop } = parts;
    let auth = Auth(administration.clone());
    let (health, health_service) = tonic_health::server::health_reporter();
    for service in [
        "",
        "carryover.v1.ImportService",
        "carryover.v1.SessionService",
        "carryover.v1.EntityService",
        "carryover.v1.WorkflowService",
        "carryover.v1.AdminService",
    ] {
        health.set_service_status(service, ServingStatus::Serving).await;
    }
    let import_service = import_service::Service {
        auth: auth.clone(),
        imports,
        stop: stop.clone(),
        upload_idle: transport.upload_idle,
    };
    let import_service = ImportServiceServer::new(import_service)
        .max_decoding_message_size(transport.message_bytes)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd);
    let session_service = session_service::Service { auth: auth.clone(), records: records.clone() };
    let entity_service = entity_service::Service { auth: auth.clone(), records };
    let workflow_service =
        workflow_service::Service { auth: auth.clone(), administration: administration.clone() };
    let admin_service = admin_service::Service { auth, administration };
    let incoming = TcpListenerStream::new(listener).map(|socket| {
        socket.inspect(|socket| {
            // Best effort: only latency depends on it.
            let _ = socket.set_nodelay(true);
        })
    });
    let stopped = stop.clone();
    Server::builder()
        .accept_http1(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(transport.streams)
        .http2_max_header_list_size(HEADER_BYTES)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(GrpcWebLayer::new())
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?)
        .add_service(import_service)
        .add_service(SessionServiceServer::new(session_service))
        .add_service(EntityServiceServer::new(entity_service))
        .add_service(WorkflowServiceServer::new(workflow_service))
        .add_service(AdminServiceServer::new(admin_service))
        .serve_with_incoming_shutdown(incoming, async move {
            stopped.cancelled().await;
            health.set_service_status("", ServingStatus::NotServing).await;
        })
        .await?;
    Ok(())
}

/// Why the server ended.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The transport failed.
    #[error("serve gRPC")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors inside this program are unreadable.
    #[error("build the reflection service")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Reflection over our services and the standard ones beside them.
fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(pb::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}
