//! The accept loop: it takes in as many connections as there are permits, and survives its own errors.

use std::{convert::Infallible, io, sync::Arc, time::Duration};

use futures_util::{Stream, stream};
use tokio::{
    net::{TcpListener, TcpStream},
    time::Instant,
};
use tracing::warn;

use super::{
    connection::Connection,
    permits::{Permit, Permits},
    tls::Certificate,
};
use crate::metrics::Metrics;

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
}

/// Rest when there is nothing to accept with, such as file descriptors: soon enough for honest peers, and
/// no busy loop.
const REST: Duration = Duration::from_millis(100);

/// One complaint is logged once in this time.
const SILENCE: Duration = Duration::from_secs(10);

/// Connections to `listener` within `bounds`; what is beyond them is closed at once.
pub(super) fn incoming(
    listener: TcpListener,
    certificate: Option<Certificate>,
    bounds: Connections,
    metrics: Metrics,
) -> impl Stream<Item = Result<Connection, Infallible>> {
    let permits = Permits::new(bounds.total, bounds.per_peer);
    let (surplus, errors) = (Complaint::default(), Complaint::default());
    let door = Door { listener, certificate, permits, metrics, surplus, errors };
    stream::unfold(door, move |mut door| async move {
        let (socket, permit) = door.next().await;
        // Only latency depends on it.
        let _ = socket.set_nodelay(true);
        let connection = Connection::new(socket, door.certificate.as_ref(), permit, bounds);
        Some((Ok(connection), door))
    })
}

struct Door {
    listener: TcpListener,
    certificate: Option<Certificate>,
    permits: Arc<Permits>,
    metrics: Metrics,
    surplus: Complaint,
    errors: Complaint,
}

impl Door {
    async fn next(&mut self) -> (TcpStream, Permit) {
        loop {
            match self.listener.accept().await {
                Ok((socket, address)) => match self.permits.take(address.ip()) {
                    Some(permit) => return (socket, permit),
                    None => {
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
