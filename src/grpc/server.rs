//! The server: every service on one port, with limits on what a connection may do.

use std::{sync::Arc, time::Duration};

use thiserror::Error;
use tokio::{net::TcpListener, sync::watch};
use tokio_util::sync::CancellationToken;
use tonic::{
    codec::CompressionEncoding,
    service::{Routes, RoutesBuilder},
    transport::Server,
};
use tonic_health::pb::health_server::HealthServer;
use tonic_web::GrpcWebLayer;
use tower::{layer::layer_fn, util::MapResponseLayer};
use tracing::warn;

use super::{
    accept::{self, Connections},
    admin_service,
    auth::Auth,
    bounds::{Bound, CallBounds},
    delivery::Deliver,
    entity_service,
    explain::explain,
    health, import_service,
    measure::Measure,
    media::{Door, MediaService},
    pb::{
        self, admin_service_server::AdminServiceServer, entity_service_server::EntityServiceServer,
        import_service_server::ImportServiceServer, session_service_server::SessionServiceServer,
        transaction_service_server::TransactionServiceServer, workflow_service_server::WorkflowServiceServer,
    },
    places::Places,
    rates::{CallRates, Rates},
    session_service,
    tls::Certificate,
    transaction_service, workflow_service,
};
use crate::{
    administration::Administration, erasure::Erasure, imports::Imports, links::Links, metrics::Metrics,
    permits::Permits, probe::Vitals, records::Records,
};

/// What the services stand on.
pub struct Parts {
    /// Imports.
    pub imports: Imports,
    /// Records.
    pub records: Records,
    /// Links to media, which are served on the same port.
    pub links: Links,
    /// Erasure.
    pub erasure: Erasure,
    /// Administration.
    pub administration: Administration,
}

/// Bounds of the transport.
#[derive(Clone)]
pub struct Transport {
    /// Largest message.
    pub message_bytes: usize,
    /// Most bytes of all metadata of a call.
    pub header_bytes: u32,
    /// Streams at a time on a connection.
    pub streams: u32,
    /// Longest time in which an upload may bring next to nothing.
    pub upload_idle: Duration,
    /// Bounds of calls in a minute.
    pub rates: CallRates,
    /// Bounds of calls at a time, and of the time they take.
    pub calls: CallBounds,
    /// Bounds of connections.
    pub connections: Connections,
    /// Media read at a time.
    pub media_readers: usize,
    /// Whether the server tells what it can do.
    pub reflection: bool,
    /// What it shows to callers; without it nothing is encrypted.
    pub certificate: Option<Certificate>,
}

/// Window of one stream. Smaller frames than 256 bytes cost h2 the difference from a budget of half
/// the connection's window; with these two, the window of a stream of the smallest chunks (13 bytes) runs out
/// before that budget does.
const STREAM_WINDOW_BYTES: u32 = 320 << 10;

/// Smallest window of a connection; a smaller one lets h2 close it under a slow store and tiny chunks.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;

/// Largest window that HTTP/2 has.
const LARGEST_WINDOW_BYTES: u32 = i32::MAX as u32;

/// Twice the throughput of the default of 16 KiB.
const FRAME_BYTES: u32 = 1 << 20;

/// Streams of a connection that may end by the peer's faults; tonic switches hyper's own bound off. Each is
/// a call that was begun, and no longer counts among those that are open.
const FAULTY_STREAMS: usize = 1024;

/// Largest question to reflection, or about health: it holds a name, which an error repeats.
const QUESTION_BYTES: usize = 4 << 10;

/// How long open calls may hold up a stop: those of peers that do not read what ends them, and reflection.
const DRAIN: Duration = Duration::from_secs(10);

/// Serves until `stop` is cancelled and open calls have ended, or should have. Without parts it answers for
/// its health only.
pub async fn serve(
    listener: TcpListener,
    parts: Option<Parts>,
    transport: Transport,
    metrics: Metrics,
    vitals: watch::Receiver<Vitals>,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let mut routes = Routes::builder();
    let health = health::Service { stop: stop.clone(), vitals, is_api: parts.is_some() };
    routes.add_service(HealthServer::new(health).max_decoding_message_size(QUESTION_BYTES));
    let rates = Arc::new(Rates::new(transport.rates));
    let auth = parts.as_ref().map(|parts| Auth::new(parts.administration.clone(), rates.clone()));
    let bound = Bound {
        bounds: transport.calls,
        places: Places::new(transport.calls.total, transport.calls.per_application, transport.message_bytes),
        auth: auth.clone(),
        stall: transport.connections.stall,
    };
    let media = parts.zip(auth).map(|(parts, auth)| {
        let links = parts.links.clone();
        add_services(&mut routes, parts, &transport, auth, &metrics, &stop);
        Arc::new(Door {
            links,
            rates,
            readers: Permits::new(transport.media_readers, transport.media_readers.div_ceil(2)),
            stall: transport.connections.stall,
        })
    });
    if transport.reflection {
        routes.add_service(reflection().build_v1()?.max_decoding_message_size(QUESTION_BYTES));
        routes.add_service(reflection().build_v1alpha()?.max_decoding_message_size(QUESTION_BYTES));
    }
    // Calls whose messages wait for room must leave some to those that they wait for.
    let windows = transport.streams.saturating_mul(STREAM_WINDOW_BYTES);
    let connection_window = windows.clamp(CONNECTION_WINDOW_BYTES, LARGEST_WINDOW_BYTES);
    let server = Server::builder()
        .accept_http1(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(connection_window)
        .max_frame_size(FRAME_BYTES)
        .max_concurrent_streams(transport.streams)
        .http2_max_local_error_reset_streams(Some(FAULTY_STREAMS))
        .http2_max_header_list_size(transport.header_bytes)
        .http2_keepalive_interval(Some(transport.connections.keepalive))
        .http2_keepalive_timeout(Some(transport.connections.keepalive_timeout))
        .layer(Deliver { patience: transport.connections.stall })
        // gRPC-web refuses all else of HTTP/1.1, so it comes behind.
        .layer(layer_fn(move |inner| MediaService { inner, door: media.clone() }))
        .layer(GrpcWebLayer::new())
        .layer(Measure(metrics.clone()))
        .layer(MapResponseLayer::new(explain))
        .layer(bound);
    let routes = routes.routes().prepare();
    let door = accept::Door::new(listener, transport.certificate, transport.connections, metrics);
    let served = accept::serve_each(door, stop.clone(), move |alone, farewell| {
        server.clone().serve_with_incoming_shutdown(routes.clone(), alone, farewell)
    });
    // Nothing that must not be dropped is: connections run in tasks of their own.
    tokio::select! {
        () = served => {}
        () = async { stop.cancelled().await; tokio::time::sleep(DRAIN).await } => {
            warn!("some connections did not end in time");
        }
    }
    Ok(())
}

fn add_services(
    routes: &mut RoutesBuilder,
    parts: Parts,
    transport: &Transport,
    auth: Auth,
    metrics: &Metrics,
    stop: &CancellationToken,
) {
    let Parts { imports, records, links: _, erasure, administration } = parts;
    let import_service = import_service::Service {
        auth,
        imports,
        stop: stop.clone(),
        upload_idle: transport.upload_idle,
        metrics: metrics.clone(),
    };
    let import_service = ImportServiceServer::new(import_service)
        .max_decoding_message_size(transport.message_bytes)
        .accept_compressed(CompressionEncoding::Gzip)
        .accept_compressed(CompressionEncoding::Zstd)
        .send_compressed(CompressionEncoding::Gzip)
        .send_compressed(CompressionEncoding::Zstd);
    let session_service = session_service::Service { records: records.clone(), erasure: erasure.clone() };
    let entity_service = entity_service::Service { records: records.clone(), erasure };
    let transaction_service = transaction_service::Service { records: records.clone() };
    let workflow_service = workflow_service::Service { administration: administration.clone(), records };
    let admin_service = admin_service::Service { administration };
    let bytes = transport.message_bytes;
    routes
        .add_service(import_service)
        .add_service(SessionServiceServer::new(session_service).max_decoding_message_size(bytes))
        .add_service(EntityServiceServer::new(entity_service).max_decoding_message_size(bytes))
        .add_service(TransactionServiceServer::new(transaction_service).max_decoding_message_size(bytes))
        .add_service(WorkflowServiceServer::new(workflow_service).max_decoding_message_size(bytes))
        .add_service(AdminServiceServer::new(admin_service).max_decoding_message_size(bytes));
}

/// Why the server ended.
#[derive(Debug, Error)]
pub enum ServeError {
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
