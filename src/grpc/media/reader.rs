//! Who reads media: so many at a time, each of whom keeps a chunk in memory and must take it in time.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream};
use tokio_util::sync::CancellationToken;

use crate::grpc::{
    permits::{Permit, Permits},
    tls::Peer,
    waits::Waits,
};

/// All of them.
pub(in crate::grpc) struct Readers {
    permits: Arc<Permits<Option<IpAddr>>>,
    stall: Duration,
}

/// One that was admitted, until this is dropped.
pub(super) struct Reader {
    permit: Permit<Option<IpAddr>>,
    hang_up: CancellationToken,
    stall: Duration,
}

impl Readers {
    /// So many, half of them for one peer, who must take a chunk in this time.
    pub(in crate::grpc) fn new(count: usize, stall: Duration) -> Self {
        Self { permits: Permits::new(count, count.div_ceil(2)), stall }
    }

    /// Lets one in, unless there are too many.
    pub(super) fn admit(&self, peer: Option<&Peer>) -> Option<Reader> {
        let hang_up = peer.map(|peer| peer.hang_up.clone()).unwrap_or_default();
        let permit = self.permits.take(peer.and_then(|peer| peer.address)).ok()?;
        Some(Reader { permit, hang_up, stall: self.stall })
    }
}

impl Reader {
    /// These bytes as they are taken.
    pub(super) fn read(self, bytes: BoxStream<'static, io::Result<Bytes>>) -> Reading {
        let Self { permit, hang_up, stall } = self;
        Reading { bytes, waits: Waits::begin(stall, hang_up), _permit: permit }
    }
}

/// The body of an answer.
pub(super) struct Reading {
    bytes: BoxStream<'static, io::Result<Bytes>>,
    waits: Waits,
    _permit: Permit<Option<IpAddr>>,
}

impl Stream for Reading {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.waits.taken();
        let chunk = ready!(self.bytes.as_mut().poll_next(cx));
        self.waits.given();
        Poll::Ready(chunk)
    }
}
