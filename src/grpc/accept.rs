//! The accept loop: it takes in as many connections as there are permits, and survives its own errors.

use std::{convert::Infallible, io, net::IpAddr, sync::Arc, time::Duration};

use futures_util::{
    future::BoxFuture,
    stream::{self, BoxStream, StreamExt},
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

use super::{connection::Connection, tls::Certificate};
use crate::{
    metrics::Metrics,
    permits::{self, Permit, Permits},
};

/// Bounds of connections.
#[derive(Debug, Clone, Copy)]
pub struct Connections {
    /// Most of them at a time.
    pub total: usize,
    /// Most of them of one peer.
    pub per_peer: usize,
    /// Time in which a new one must begin to speak.
    pub handshake: Duration,
    /// Time in which a peer must take something of what waits for it.
    pub stall: Duration,
    /// Silence after which a peer is asked whether it lives.
    pub keepalive: Duration,
    /// Time in which it must answer.
    pub keepalive_timeout: Duration,
    /// When one is told to take no more calls (GOAWAY), while open ones go on; never without.
    pub age: Option<Duration>,
    /// Time without an open call after which it is told the same; never without.
    pub idle: Option<Duration>,
}

/// Rest when there is nothing to accept with, such as file descriptors: soon enough for honest peers, and
/// no busy loop.
const REST: Duration = Duration::from_millis(100);

/// One complaint is logged once in this time.
const SILENCE: Duration = Duration::from_secs(10);

/// Gives each connection that comes through a door to a server of its own, with what tells it to go, until `stop` is
/// cancelled and the last connection has ended: a server of tonic's tells all that it has to go at once.
pub(super) async fn serve_each<F>(
    mut door: Door,
    stop: CancellationToken,
    serve: impl Fn(BoxStream<'static, Result<Connection, Infallible>>, BoxFuture<'static, ()>) -> F,
) where
    F: Future<Output: Send> + Send + 'static,
{
    let open = TaskTracker::new();
    while let Some(connection) = stop.run_until_cancelled(door.next()).await {
        let farewell = connection.farewell(stop.clone(), &door.bounds);
        let alone = stream::iter([Ok(connection)]).chain(stream::pending());
        open.spawn(serve(alone.boxed(), farewell));
    }
    // The port is closed as soon as nobody lets connections in any more.
    drop(door);
    open.close();
    open.wait().await;
}

/// Lets connections in, within bounds; what is beyond them is closed at once.
pub(super) struct Door {
    listener: TcpListener,
    certificate: Option<Certificate>,
    bounds: Connections,
    permits: Arc<Permits<IpAddr>>,
    metrics: Metrics,
    surplus: Complaint,
    errors: Complaint,
}

impl Door {
    pub(super) fn new(
        listener: TcpListener,
        certificate: Option<Certificate>,
        bounds: Connections,
        metrics: Metrics,
    ) -> Self {
        let permits = Permits::new(bounds.total, bounds.per_peer);
        let (surplus, errors) = (Complaint::default(), Complaint::default());
        Self { listener, certificate, bounds, permits, metrics, surplus, errors }
    }

    async fn next(&mut self) -> Connection {
        let (socket, permit) = self.accept().await;
        // Only latency depends on it.
        let _ = socket.set_nodelay(true);
        Connection::new(socket, self.certificate.as_ref(), permit, self.bounds)
    }

    async fn accept(&mut self) -> (TcpStream, Permit<IpAddr>) {
        loop {
            match self.listener.accept().await {
                Ok((socket, address)) => match self.permits.take(permits::peer(address.ip())) {
                    Ok(permit) => return (socket, permit),
                    Err(_) => {
                        self.metrics.connection_refused();
                        if let Some(count) = self.surplus.speak() {
                            warn!(connections.refused = count, "too many connections");
                        }
                    }
                },
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if let Some(count) = self.errors.speak() {
                        let error = &error as &dyn std::error::Error;
                        warn!(error, accept.errors = count, "a connection cannot be accepted");
                    }
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }
}

/// Whether it is over with the connection that it is about.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted)
}

/// Something that may happen more often than anyone wants to read.
#[derive(Default)]
struct Complaint {
    spoken: Option<Instant>,
    count: u64,
}

impl Complaint {
    /// How often it happened since it was logged last, where it is time to log it again.
    fn speak(&mut self) -> Option<u64> {
        self.count += 1;
        if self.spoken.is_some_and(|spoken| spoken.elapsed() < SILENCE) {
            return None;
        }
        self.spoken = Some(Instant::now());
        Some(std::mem::take(&mut self.count))
    }
}
