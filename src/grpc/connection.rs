//! An accepted connection, on which the peer must speak in time.

use std::{
    future, io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use super::{
    accept::Connections,
    idle::OpenCalls,
    patience::Patient,
    tls::{Certificate, Peer, Shown, Socket},
};
use crate::permits::{self, Permit};

/// Bytes that must come in time: the whole preface of HTTP/2, and less than any request of gRPC-web. From
/// there on hyper has its own deadlines, for the head of a request and for the answer to a PING.
const HANDSHAKE_BYTES: usize = 24;

/// A connection; its end gives the permit back.
pub(super) struct Connection {
    socket: Socket,
    peer: Peer,
    /// None once it is over.
    handshake: Option<Handshake>,
    /// Cancelled with it.
    gone: CancellationToken,
    _permit: Permit<IpAddr>,
}

struct Handshake {
    missing_bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl Connection {
    /// A connection that was just accepted. The time in which it must speak is that of a TLS handshake, too.
    pub(super) fn new(
        socket: TcpStream,
        certificate: Option<&Certificate>,
        permit: Permit<IpAddr>,
        bounds: Connections,
    ) -> Self {
        let address = socket.peer_addr().ok().map(|address| permits::peer(address.ip()));
        let peer = Peer {
            address,
            shown: Shown::default(),
            hang_up: CancellationToken::new(),
            calls: OpenCalls::default(),
        };
        let socket = Patient::new(socket, bounds.stall, peer.hang_up.clone());
        let socket = Socket::new(socket, certificate, peer.shown.clone());
        let deadline = Box::pin(tokio::time::sleep(bounds.handshake));
        let handshake = Some(Handshake { missing_bytes: HANDSHAKE_BYTES, deadline });
        Self { socket, peer, handshake, gone: CancellationToken::new(), _permit: permit }
    }

    /// Waits until it must be told to take no more calls: at its age, at `stop`, or when there have been none for too
    /// long. Its end is waited for as well, since nobody needs to be told then.
    pub(super) fn farewell(&self, stop: CancellationToken, bounds: &Connections) -> BoxFuture<'static, ()> {
        let (calls, gone) = (self.peer.calls.clone(), self.gone.clone());
        let (age, idle) = (bounds.age.map(about), bounds.idle);
        let farewell = async move {
            let aged = async {
                match age {
                    Some(age) => tokio::time::sleep(age).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                () = gone.cancelled() => {}
                () = stop.cancelled() => {}
                () = aged => {}
                () = calls.none_for(idle) => {}
            }
        };
        farewell.boxed()
    }
}

/// A time within a tenth of the one that is meant, so that clients that came together, as after a restart, do not come
/// back together.
fn about(meant: Duration) -> Duration {
    let tenth = meant / 10;
    (meant - tenth).saturating_add(tenth.mul_f64(2.0 * fastrand::f64()))
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.gone.cancel();
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if let Some(handshake) = &mut self.handshake {
            let bytes = buffer.filled().len() - before;
            handshake.missing_bytes = handshake.missing_bytes.saturating_sub(bytes);
            if handshake.missing_bytes == 0 {
                self.handshake = None;
            } else if handshake.deadline.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.peer.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_lie_around_the_one_that_is_meant() {
        let age = Duration::from_secs(1800);
        let several: Vec<_> = (0..1000).map(|_| about(age)).collect();
        assert!(several.iter().all(|one| (age * 9 / 10..=age * 11 / 10).contains(one)));
        assert!(several.iter().any(|one| *one < age) && several.iter().any(|one| *one > age));
        about(Duration::MAX);
    }
}
