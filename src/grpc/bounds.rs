//! Bounds of every call: who may make it, the time it may take, and its place among those that are open.
//!
//! tonic's own deadlines end where an answer begins, and hyper asks a stream for its next answer only when it has handed
//! on the one before. So streams of answers are passed on by a task of their own, which ends them whether anybody reads
//! or not.

use std::{
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::{Layer, Service};

use super::{
    auth::{Auth, Head},
    delivery::{Behind, Slot},
    methods::{Method, Way},
    places::{Holder, Places},
    receive::Receiving,
    room::{ANSWER_BYTES, AnswerRoom, Taken},
    tls::Peer,
};
use crate::{domain::refusal::Refusal, permits::Permit};

/// Bounds of calls.
#[derive(Debug, Clone, Copy)]
pub struct CallBounds {
    /// Most that are open at a time.
    pub total: usize,
    /// Most of them of one application.
    pub per_application: usize,
    /// Longest time of a call that is no stream.
    pub call: Duration,
    /// Longest time of a stream; none is no bound.
    pub stream: Option<Duration>,
    /// Longest time in which nobody reads the next answer of a stream, or the one of another call.
    pub unread: Duration,
}

/// Wraps services in [`Bounded`].
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) bounds: CallBounds,
    pub(super) places: Places,
    /// None where no method needs a key.
    pub(super) auth: Option<Auth>,
    /// Time in which a peer must take what ends a stream.
    pub(super) stall: Duration,
}

impl<S> Layer<S> for Bound {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded { inner, bound: self.clone() }
    }
}

/// A service whose calls are bounded.
#[derive(Clone)]
pub(super) struct Bounded<S> {
    inner: S,
    bound: Bound,
}

/// When a call must be over, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct End {
    at: Instant,
    why: Refusal,
}

impl End {
    /// The end of a call that begins now: what its caller asked for, or the server's own where that is earlier.
    fn of(way: Way, headers: &HeaderMap, bounds: &CallBounds) -> Option<Self> {
        let now = Instant::now();
        let end = |after: Duration, why| Some(Self { at: now.checked_add(after)?, why });
        let own = match way {
            Way::Single => end(bounds.call, Refusal::CallTooLong { seconds: bounds.call.as_secs() }),
            Way::Upload | Way::Answers => bounds
                .stream
                .and_then(|stream| end(stream, Refusal::StreamTooLong { seconds: stream.as_secs() })),
        };
        let asked = headers.get("grpc-timeout").and_then(|timeout| parse(timeout.to_str().ok()?));
        let asked = asked.and_then(|timeout| end(timeout, Refusal::DeadlinePassed));
        asked.into_iter().chain(own).min_by_key(|end| end.at)
    }

    /// Waits for it.
    async fn come(end: Option<Self>) -> Status {
        match end {
            Some(Self { at, why }) => {
                tokio::time::sleep_until(at).await;
                why.into()
            }
            None => future::pending().await,
        }
    }
}

/// Reads a `grpc-timeout`: at most eight digits and a unit. What is none is no deadline, as tonic takes it.
fn parse(timeout: &str) -> Option<Duration> {
    let (digits, unit) = timeout.split_at_checked(timeout.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok().filter(|_| digits.len() <= 8 && !digits.starts_with('+'))?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

impl<S, B> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let method = Method::at(request.uri().path());
        let Bound { bounds, places, auth, stall } = self.bound.clone();
        // The one that is ready.
        let clone = self.inner.clone();
        let mut inner = mem::replace(&mut self.inner, clone);
        let end = End::of(method.way, request.headers(), &bounds);
        let bounded = async move {
            let answer = async {
                let (request, leave) = match let_in(auth.as_ref(), method, request, &places).await {
                    Ok(let_in) => let_in,
                    Err(status) => return Ok((status.into_http(), Leave::default())),
                };
                Ok((inner.call(request).await?, leave))
            };
            let (mut answer, leave) = tokio::select! {
                biased;
                answer = answer => answer?,
                status = End::come(end.clone()) => return Ok(status.into_http()),
            };
            // A refusal is all head, and must stay so.
            if answer.body().is_end_stream() {
                return Ok(answer);
            }
            let Leave { place, answers } = leave;
            let patience = match method.way {
                // Where answers come often it is told first, and has time to take that.
                Way::Answers => bounds.unread.saturating_add(stall),
                Way::Single | Way::Upload => bounds.unread,
            };
            let slot = Slot::default();
            answer.extensions_mut().insert(Behind { held: Arc::new(place), room: slot.clone(), patience });
            Ok(answer.map(|body| match (method.way, answers) {
                (Way::Answers, room) => pass_on(body, end, bounds.unread, room, slot),
                (Way::Single | Way::Upload, Some(room)) => Body::new(Answer { body, room, slot }),
                (Way::Single | Way::Upload, None) => body,
            }))
        };
        bounded.boxed()
    }
}

/// What a call has that was let in.
#[derive(Default)]
struct Leave {
    /// Its place, until its answer is taken; none of a question about health, which is never one too many.
    place: Option<Permit<Holder>>,
    /// Room for its answer; none where it needs no key.
    answers: Option<AnswerRoom>,
}

/// Lets a call in, if it may be. Where it needs a key its large messages wait for room.
async fn let_in<B>(
    auth: Option<&Auth>,
    method: &Method,
    request: Request<B>,
    places: &Places,
) -> Result<(Request<Body>, Leave), Status>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    let Some(auth) = auth.filter(|_| !method.keyless) else {
        let peer = Peer::of(request.extensions()).and_then(|peer| peer.address);
        let place = (method.keyless && method.way == Way::Answers).then(|| places.take(Holder::Peer(peer)));
        let leave = Leave { place: place.transpose()?, answers: None };
        return Ok((request.map(Body::new), leave));
    };
    let (admitted, place, rooms) = auth.admit(Head::of(&request, method.using), places).await?;
    let mut request = request.map(|body| Body::new(Receiving::new(body, rooms.sent)));
    request.extensions_mut().insert(admitted);
    Ok((request, Leave { place: Some(place), answers: Some(rooms.answers) }))
}

/// The one answer of a call. A large one for which there is no room is not given: those before it are to be taken first.
struct Answer {
    body: Body,
    room: AnswerRoom,
    slot: Slot,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        let Some(room) = self.room.try_take(frame.data_ref().map_or(0, Bytes::len)) else {
            self.body = Body::empty();
            let refusal = Refusal::AnswersNotTaken { bytes: ANSWER_BYTES };
            return Poll::Ready(Some(Ok(trailers(&refusal.into()))));
        };
        self.slot.put(room);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A frame on its way to the peer, and the room that it takes.
type Passed = (Result<Frame<Bytes>, Status>, Taken);

/// A body whose frames come from `body`, until its end or `end`, or until nobody has read for too long. Then `body` is
/// let go of, even if the peer keeps the stream open.
#[expect(clippy::disallowed_methods, reason = "ends with the body at the latest")]
fn pass_on(body: Body, end: Option<End>, unread: Duration, room: Option<AnswerRoom>, slot: Slot) -> Body {
    let (frames, passed) = mpsc::channel(2);
    // Room for the last word is kept from the beginning.
    let last = frames.clone().try_reserve_owned();
    tokio::spawn(async move {
        let ended = pass_frames(body, end, unread, room, &frames).await;
        if let (Some(status), Ok(last)) = (ended, last) {
            last.send((Ok(trailers(&status)), Taken::default()));
        }
    });
    Body::new(StreamBody::new(ReceiverStream::new(passed).map(move |(frame, room)| {
        slot.put(room);
        frame
    })))
}

/// Passes frames on; gives why it was ended before the body was.
async fn pass_frames(
    mut body: Body,
    end: Option<End>,
    unread: Duration,
    room: Option<AnswerRoom>,
    frames: &mpsc::Sender<Passed>,
) -> Option<Status> {
    let mut end = Box::pin(End::come(end));
    loop {
        let frame = tokio::select! {
            biased;
            status = &mut end => return Some(status),
            () = frames.closed() => return None,
            frame = body.frame() => frame?,
        };
        let bytes = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
        let taken = async {
            match &room {
                Some(room) => room.take(bytes).await,
                None => Taken::default(),
            }
        };
        // Others may be what is waited for, which is not this reader's fault.
        let taken = tokio::select! {
            biased;
            taken = taken => taken,
            status = &mut end => return Some(status),
            () = frames.closed() => return None,
        };
        tokio::select! {
            biased;
            passed = frames.send((frame, taken)) => passed.ok()?,
            status = &mut end => return Some(status),
            () = tokio::time::sleep(unread) => {
                return Some(Refusal::AnswersUnread { seconds: unread.as_secs() }.into());
            }
        }
    }
}

fn trailers(status: &Status) -> Frame<Bytes> {
    let mut headers = HeaderMap::new();
    // What is told in vain leaves a stream without a status, which is an error, too.
    let _ = status.add_header(&mut headers);
    Frame::trailers(headers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::room::Rooms;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        for (text, timeout) in [
            ("1H", Duration::from_secs(3600)),
            ("99999999H", Duration::from_secs(99_999_999 * 3600)),
            ("2M", Duration::from_secs(120)),
            ("00000003S", Duration::from_secs(3)),
            ("4m", Duration::from_millis(4)),
            ("5u", Duration::from_micros(5)),
            ("0n", Duration::ZERO),
        ] {
            assert_eq!(parse(text), Some(timeout), "{text}");
        }
        for none in ["", "1", "S", "-1S", "+1S", "1x", "1 S", "999999999S", "1.5S", "1ß", "garbage"] {
            assert_eq!(parse(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_large_answer_without_room_is_a_refusal() {
        let room = Rooms::new(1).answers;
        let slot = Slot::default();
        let answer = |size| {
            let body = Body::new(http_body_util::Full::new(Bytes::from(vec![7; size])));
            Answer { body, room: room.clone(), slot: slot.clone() }
        };
        assert_eq!(answer(ANSWER_BYTES).collect().await.expect("room").to_bytes().len(), ANSWER_BYTES);
        let refused = answer(ANSWER_BYTES).collect().await.expect("an answer");
        let status = Status::from_header_map(refused.trailers().expect("a status")).expect("one");
        assert_eq!((status.code(), refused.to_bytes().len()), (tonic::Code::ResourceExhausted, 0));
        assert_eq!(answer(9).collect().await.expect("small").to_bytes().len(), 9);
        drop(slot.take());
        assert_eq!(answer(ANSWER_BYTES).collect().await.expect("room again").to_bytes().len(), ANSWER_BYTES);
    }

    /// A stream that its caller gives up while it waits for room.
    #[tokio::test]
    async fn who_gives_up_a_stream_that_waits_lets_go_of_it() {
        let room = Rooms::new(1).answers;
        let _all = room.take(ANSWER_BYTES).await;
        let alive = Arc::new(());
        let held = alive.clone();
        let bytes = tokio_stream::once(()).map(move |()| {
            let _ = &held;
            Ok::<_, Status>(Frame::data(Bytes::from(vec![7; 1 << 20])))
        });
        let inner = Body::new(StreamBody::new(bytes.chain(tokio_stream::pending())));
        let unread = Duration::from_secs(3_600);
        let mut passed = pass_on(inner, None, unread, Some(room), Slot::default());
        let waits = tokio::time::timeout(Duration::from_millis(50), passed.frame()).await;
        assert!(waits.is_err() && Arc::strong_count(&alive) == 2);
        drop(passed);
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_earlier_end_counts() {
        let bounds = CallBounds {
            total: 1,
            per_application: 1,
            call: Duration::from_secs(60),
            stream: Some(Duration::from_secs(3600)),
            unread: Duration::from_secs(1),
        };
        let why = |way, timeout: &str, bounds| {
            let headers = HeaderMap::from_iter([(
                "grpc-timeout".parse().expect("a name"),
                timeout.parse().expect("a value"),
            )]);
            End::of(way, &headers, &bounds).map(|end| end.why)
        };
        let (call, stream) = (Refusal::CallTooLong { seconds: 60 }, Refusal::StreamTooLong { seconds: 3600 });
        assert_eq!(why(Way::Single, "none", bounds), Some(call.clone()));
        assert_eq!(why(Way::Single, "2M", bounds), Some(call));
        assert_eq!(why(Way::Single, "30S", bounds), Some(Refusal::DeadlinePassed));
        assert_eq!(why(Way::Answers, "2M", bounds), Some(Refusal::DeadlinePassed));
        assert_eq!(why(Way::Upload, "2H", bounds), Some(stream));
        assert_eq!(why(Way::Upload, "none", CallBounds { stream: None, ..bounds }), None);
    }
}
