//! An accepted connection, on which the peer must speak and listen in time.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;

use super::{
    accept::Connections,
    permits::{self, Permit},
    tls::{Certificate, Peer, Shown, Socket},
};

/// Bytes that must come in time: the whole preface of HTTP/2, and less than any request of gRPC-web. From
/// there on hyper has its own deadlines, for the head of a request and for the answer to a PING.
const HANDSHAKE_BYTES: usize = 24;

/// A connection; its end gives the permit back.
pub(super) struct Connection {
    socket: Socket,
    peer: Peer,
    hung_up: Pin<Box<WaitForCancellationFutureOwned>>,
    /// None once it is over.
    handshake: Option<Handshake>,
    /// When a peer must have taken something at last, while nothing more can be sent. The keepalive of
    /// HTTP/2 notices such a peer as well, but then waits until its farewell is sent.
    stalled: Option<Pin<Box<Sleep>>>,
    bounds: Connections,
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
        let peer = Peer { address, shown: Shown::default(), hang_up: CancellationToken::new() };
        let hung_up = Box::pin(peer.hang_up.clone().cancelled_owned());
        let socket = Socket::new(socket, certificate, peer.shown.clone());
        let deadline = Box::pin(tokio::time::sleep(bounds.handshake));
        let handshake = Some(Handshake { missing_bytes: HANDSHAKE_BYTES, deadline });
        Self { socket, peer, hung_up, handshake, stalled: None, bounds, _permit: permit }
    }

    /// What a write came to, or an error when none has come to anything for too long.
    fn within_patience(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        if self.hung_up.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let patience = self.bounds.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.hung_up.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
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
        let written = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.within_patience(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.socket).poll_write_vectored(cx, buffers);
        self.within_patience(cx, written)
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
