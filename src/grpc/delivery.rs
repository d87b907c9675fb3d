//! Answers on their way: until the peer has taken the last byte of one, its call counts as open, and what its giver
//! holds for it stays held.
//!
//! A body is over when its last byte is handed to HTTP/2, which keeps it until the peer opens its window. So the bytes
//! themselves hold what stands behind them, and a clock beside them closes the connection of a peer that takes none of
//! them for too long: it may listen to its connection, and yet take nothing of one stream.

use std::{
    any::Any,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::{idle::OpenCall, room::Taken, tls::Peer};

/// Bytes that are handed on at once, so that a slow peer is seen to take them. Peers take no larger frames unless they
/// say so.
const PIECE: usize = 16 << 10;

/// What stands behind an answer, as its giver puts it into the extensions of the response.
#[derive(Clone)]
pub(super) struct Behind {
    /// What is held until all is taken.
    pub(super) held: Arc<dyn Any + Send + Sync>,
    /// What is held for the next bytes until these are taken.
    pub(super) room: Slot,
    /// Time in which the peer must take something of what was given.
    pub(super) patience: Duration,
}

/// Room for bytes that are given, as it goes past those who change them on their way.
#[derive(Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Vec<Taken>>>);

impl Slot {
    /// Puts in what the next bytes need.
    pub(super) fn put(&self, room: Taken) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(room);
    }

    pub(super) fn take(&self) -> Vec<Taken> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Wraps services in [`Delivering`]; it must be outermost, or others change the bytes.
#[derive(Clone, Copy)]
pub(super) struct Deliver {
    /// Patience with answers whose givers do not say.
    pub(super) patience: Duration,
}

impl<S> Layer<S> for Deliver {
    type Service = Delivering<S>;

    fn layer(&self, inner: S) -> Delivering<S> {
        Delivering { inner, patience: self.patience }
    }
}

/// A service whose answers are followed until they are taken.
#[derive(Clone)]
pub(super) struct Delivering<S> {
    inner: S,
    patience: Duration,
}

impl<S, A, B> Service<Request<A>> for Delivering<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Body,
{
    type Response = Response<Delivery<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let peer = Peer::of(request.extensions());
        let call = peer.map(|peer| peer.calls.begin());
        let hang_up = peer.map(|peer| peer.hang_up.clone()).unwrap_or_default();
        let patience = self.patience;
        let answer = self.inner.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            let behind = answer.extensions_mut().remove::<Behind>();
            let patience = behind.as_ref().map_or(patience, |behind| behind.patience);
            let (held, slot) = behind.map(|behind| (behind.held, behind.room)).unzip();
            let slot = slot.unwrap_or_default();
            Ok(answer.map(|body| {
                let is_empty = body.is_end_stream();
                let parcel = (!is_empty).then(|| Parcel::new(patience, hang_up, held, call));
                Delivery { body: Box::pin(body), rest: Bytes::new(), slot, room: Arc::default(), parcel }
            }))
        })
    }
}

/// The body of an answer, given in pieces that tell when they are taken.
pub(super) struct Delivery<B> {
    body: Pin<Box<B>>,
    /// What is still to be given of the last frame.
    rest: Bytes,
    slot: Slot,
    /// The room that it takes.
    room: Arc<Vec<Taken>>,
    /// None of an answer without a body.
    parcel: Option<Arc<Parcel>>,
}

impl<B: Body<Data = Bytes>> Body for Delivery<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.rest.is_empty() {
            let frame = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            match frame.into_data() {
                Ok(data) => {
                    this.rest = data;
                    this.room = Arc::new(this.slot.take());
                }
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            }
        }
        let bytes = this.rest.split_to(this.rest.len().min(PIECE));
        let piece = match &this.parcel {
            Some(parcel) if !bytes.is_empty() => {
                Bytes::from_owner(Piece::new(bytes, this.room.clone(), parcel.clone()))
            }
            _ => bytes,
        };
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (mut hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        if let Some(upper) = hint.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint.set_lower(hint.lower().saturating_add(rest));
        hint
    }
}

/// An answer on its way, for as long as a byte of it is.
struct Parcel {
    given: Arc<Mutex<Given>>,
    _clock: AbortOnDropHandle<()>,
    _held: Option<Arc<dyn Any + Send + Sync>>,
    _call: Option<OpenCall>,
}

/// What was given and is not yet taken.
struct Given {
    pieces: usize,
    /// When one was taken last, or given where there was none before.
    since: Instant,
}

impl Parcel {
    #[expect(clippy::disallowed_methods, reason = "it ends with the parcel")]
    fn new(
        patience: Duration,
        hang_up: CancellationToken,
        held: Option<Arc<dyn Any + Send + Sync>>,
        call: Option<OpenCall>,
    ) -> Arc<Self> {
        let given = Arc::new(Mutex::new(Given { pieces: 0, since: Instant::now() }));
        let clock = AbortOnDropHandle::new(tokio::spawn(watch(given.clone(), patience, hang_up)));
        Arc::new(Self { given, _clock: clock, _held: held, _call: call })
    }
}

fn lock(given: &Mutex<Given>) -> MutexGuard<'_, Given> {
    given.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hangs up on a peer that takes nothing for so long.
async fn watch(given: Arc<Mutex<Given>>, patience: Duration, hang_up: CancellationToken) {
    loop {
        let now = Instant::now();
        let since = Some(lock(&given)).filter(|given| given.pieces > 0).map_or(now, |given| given.since);
        // A time that never comes.
        let Some(deadline) = since.checked_add(patience) else { return };
        if deadline <= now {
            hang_up.cancel();
            return;
        }
        tokio::time::sleep_until(deadline).await;
    }
}

/// A piece of an answer, which is taken when whoever sends it lets go of it.
struct Piece {
    bytes: Bytes,
    _room: Arc<Vec<Taken>>,
    parcel: Arc<Parcel>,
}

impl Piece {
    fn new(bytes: Bytes, room: Arc<Vec<Taken>>, parcel: Arc<Parcel>) -> Self {
        let mut given = lock(&parcel.given);
        if given.pieces == 0 {
            given.since = Instant::now();
        }
        given.pieces += 1;
        drop(given);
        Self { bytes, _room: room, parcel }
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut given = lock(&self.parcel.given);
        given.pieces -= 1;
        given.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Full};

    use super::*;

    fn delivery(
        bytes: Bytes,
        patience: Duration,
        held: Arc<()>,
    ) -> (Delivery<Full<Bytes>>, CancellationToken) {
        let hang_up = CancellationToken::new();
        let parcel = Parcel::new(patience, hang_up.clone(), Some(held), None);
        let (body, rest, slot, room) =
            (Box::pin(Full::new(bytes)), Bytes::new(), Slot::default(), Arc::default());
        (Delivery { body, rest, slot, room, parcel: Some(parcel) }, hang_up)
    }

    #[tokio::test]
    async fn nothing_is_lost_or_changed() {
        let bytes: Bytes = (0..100_000_u32).map(|n| n as u8).collect();
        let (mut delivery, _) = self::delivery(bytes.clone(), Duration::MAX, Arc::new(()));
        let mut taken = Vec::new();
        while let Some(frame) = delivery.frame().await {
            let piece = frame.expect("a frame").into_data().expect("data");
            assert!(piece.len() <= PIECE);
            taken.extend_from_slice(&piece);
            let left = (bytes.len() - taken.len()) as u64;
            assert_eq!(delivery.size_hint().exact(), Some(left));
            assert_eq!(delivery.is_end_stream(), left == 0);
        }
        assert_eq!(taken, bytes);
    }

    #[tokio::test]
    async fn what_stands_behind_bytes_stays_until_they_are_taken() {
        let held = Arc::new(());
        let bytes = Bytes::from(vec![7; 2 * PIECE]);
        let (mut delivery, hang_up) = self::delivery(bytes, Duration::from_millis(1), held.clone());
        for _ in 0..2 {
            drop(delivery.frame().await);
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(!hang_up.is_cancelled(), "there is nothing that it could take");
        }
        drop(delivery);
        assert_eq!(Arc::strong_count(&held), 1, "all is taken");

        let bytes = Bytes::from(vec![7; 2 * PIECE]);
        let (mut delivery, hang_up) = self::delivery(bytes, Duration::from_millis(1), held.clone());
        let pieces = [delivery.frame().await, delivery.frame().await];
        drop(delivery);
        assert_eq!(Arc::strong_count(&held), 2, "all is given, and nothing taken");
        hang_up.cancelled().await;
        drop(pieces);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
