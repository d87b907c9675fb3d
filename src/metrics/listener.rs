//! The port that Prometheus asks, over plain HTTP/1.1, and probes that speak no TLS.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode, body::Bytes, body::Incoming, header::CONTENT_TYPE,
    server::conn::http1, service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::Metrics;

/// Connections at a time; others wait for their turn.
const CONNECTIONS: usize = 16;

/// Time in which the head of a request must come.
const HEAD: Duration = Duration::from_secs(10);

/// Longest life of a connection, so that who reads nothing does not keep others waiting, probes among them. Prometheus
/// opens another one.
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
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    while let Some(Ok(permit)) = stop.run_until_cancelled(room.clone().acquire_owned()).await {
        let socket = match stop.run_until_cancelled(listener.accept()).await {
            None => return,
            Some(Ok((socket, _))) => socket,
            Some(Err(_)) => {
                tokio::time::sleep(REST).await;
                continue;
            }
        };
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
