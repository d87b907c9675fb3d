//! The port that Prometheus asks, over plain HTTP/1.1, and probes that speak no TLS. Anybody may connect: who finds no
//! place is closed at once, since probes would be late in a line of strangers.

use std::{convert::Infallible, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header::CONTENT_TYPE,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Metrics;
use crate::permits::{self, Permits};

/// Connections at a time.
const CONNECTIONS: usize = 64;

/// Connections at a time of one peer. A node's probes are three, and Prometheus keeps one.
const CONNECTIONS_PER_PEER: usize = 4;

/// Time in which the head of a request must come.
const HEAD: Duration = Duration::from_secs(2);

/// Longest life of a connection, so that who reads nothing gives its place back. Prometheus opens another one.
const LIFE: Duration = Duration::from_secs(10);

/// Rest when there is nothing to accept with, such as file descriptors.
const REST: Duration = Duration::from_millis(100);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers `GET /metrics`, `/livez` and `/readyz` until `stop` is cancelled.
pub async fn serve(
    listener: TcpListener,
    metrics: Metrics,
    is_ready: impl Fn() -> bool + Clone + Send + 'static,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let permits = Permits::new(CONNECTIONS, CONNECTIONS_PER_PEER);
    while let Some(accepted) = stop.run_until_cancelled(listener.accept()).await {
        let Ok((socket, address)) = accepted else {
            tokio::time::sleep(REST).await;
            continue;
        };
        let Ok(permit) = permits.take(permits::peer(address.ip())) else { continue };
        let (metrics, is_ready, stop) = (metrics.clone(), is_ready.clone(), stop.clone());
        tasks.spawn(async move {
            let answer = service_fn(move |request| {
                let answer = answer(&request, &metrics, &is_ready);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .serve_connection(TokioIo::new(socket), answer);
            tokio::select! {
                // Who asks is told by the answer; nobody else needs to know how a connection ended.
                _ = connection => {}
                () = tokio::time::sleep(LIFE) => {}
                () = stop.cancelled() => {}
            }
            drop(permit);
        });
    }
}

fn answer(
    request: &Request<Incoming>,
    metrics: &Metrics,
    is_ready: impl Fn() -> bool,
) -> Response<Full<Bytes>> {
    let (status, text) = match request.uri().path() {
        "/metrics" | "/livez" | "/readyz" if request.method() != Method::GET => {
            (StatusCode::METHOD_NOT_ALLOWED, String::new())
        }
        "/metrics" => (StatusCode::OK, metrics.text()),
        "/livez" => (StatusCode::OK, String::new()),
        "/readyz" if is_ready() => (StatusCode::OK, String::new()),
        "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, String::new()),
        _ => (StatusCode::NOT_FOUND, String::new()),
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(OPENMETRICS));
    response
}
