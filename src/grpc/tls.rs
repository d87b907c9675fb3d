//! TLS on the server's side: its certificate, those of clients, and a socket that may be wrapped in it.

mod certificate;
mod expiry;
mod peer;
mod renewal;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::{Accept, server::TlsStream};

pub(super) use self::peer::{Peer, Shown};
pub use self::{
    certificate::{CertificateError, ClientFiles, TlsFiles},
    renewal::Certificate,
};
use super::patience::Patient;

/// A socket, plain or behind TLS; the handshake is made by the first who reads or writes.
pub(super) enum Socket {
    /// As it came.
    Plain(Patient),
    /// The handshake goes on; what the peer shows in it is taken down.
    Opening(Box<Accept<Patient>>, Shown),
    /// The handshake is over.
    Secure(Box<TlsStream<Patient>>),
    /// The handshake came to nothing.
    Broken,
}

impl Socket {
    pub(super) fn new(socket: Patient, certificate: Option<&Certificate>, shown: Shown) -> Self {
        match certificate {
            Some(certificate) => Self::Opening(Box::new(certificate.acceptor().accept(socket)), shown),
            None => Self::Plain(socket),
        }
    }

    fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Opening(handshake, shown) = self {
            *self = match ready!(Pin::new(handshake.as_mut()).poll(cx)) {
                Ok(stream) => {
                    if let Some([certificate, ..]) = stream.get_ref().1.peer_certificates() {
                        shown.set(certificate);
                    }
                    Self::Secure(Box::new(stream))
                }
                Err(error) => {
                    *self = Self::Broken;
                    return Poll::Ready(Err(error));
                }
            };
        }
        Poll::Ready(Ok(()))
    }
}

fn broken<T>() -> Poll<io::Result<T>> {
    Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx))?;
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Secure(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Opening(..) | Self::Broken => broken(),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?;
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Secure(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Opening(..) | Self::Broken => broken(),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx))?;
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_write_vectored(cx, buffers),
            Self::Secure(stream) => Pin::new(stream).poll_write_vectored(cx, buffers),
            Self::Opening(..) | Self::Broken => broken(),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream).poll_flush(cx),
            Self::Opening(..) | Self::Broken => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Opening(..) | Self::Broken => Poll::Ready(Ok(())),
        }
    }
}
