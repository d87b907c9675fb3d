//! Who reads media: so many at a time, each of whom keeps a chunk in memory and must take it in time.
//!
//! A peer of HTTP/2 may listen to its connection and yet take nothing of one stream. Its body is then asked for no
//! more, so nothing in the body could end it: somebody else looks at the clock, and closes the whole connection.

use std::{
    io,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::grpc::{
    permits::{Permit, Permits},
    tls::Peer,
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
    #[expect(clippy::disallowed_methods, reason = "it ends with the body")]
    pub(super) fn read(self, bytes: BoxStream<'static, io::Result<Bytes>>) -> Reading {
        let Self { permit, hang_up, stall } = self;
        let waits = Waits::begin();
        let watch = AbortOnDropHandle::new(tokio::spawn(waits.clone().watch(stall, hang_up)));
        Reading { bytes, waits, _watch: watch, _permit: permit }
    }
}

/// The body of an answer.
pub(super) struct Reading {
    bytes: BoxStream<'static, io::Result<Bytes>>,
    waits: Waits,
    _watch: AbortOnDropHandle<()>,
    _permit: Permit<Option<IpAddr>>,
}

impl Stream for Reading {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        // The last chunk is taken, and the object store's time is not the reader's.
        self.waits.set(None);
        let chunk = ready!(self.bytes.as_mut().poll_next(cx));
        self.waits.set(Some(Instant::now()));
        Poll::Ready(chunk)
    }
}

/// Since when the reader is waited for, if it is.
#[derive(Clone)]
struct Waits(Arc<Mutex<Option<Instant>>>);

impl Waits {
    /// Who gives no room for a first byte is waited for, too.
    fn begin() -> Self {
        Self(Arc::new(Mutex::new(Some(Instant::now()))))
    }

    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    /// Hangs up when it has been waited for so long.
    async fn watch(self, stall: Duration, hang_up: CancellationToken) {
        loop {
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let deadline = since.unwrap_or_else(Instant::now) + stall;
            if deadline <= Instant::now() {
                hang_up.cancel();
                return;
            }
            tokio::time::sleep_until(deadline).await;
        }
    }
}
