//! Bounds of every call: the time it may take, and its place among those that are open.
//!
//! tonic's own deadlines end where an answer begins, and hyper asks a stream for its next answer only while the peer
//! reads. So streams of answers are passed on by a task of their own, which ends them whether anybody reads or not.

use std::{
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{self, BoxFuture, FutureExt};
use http_body::{Body as _, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::{sync::mpsc, time::Instant};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status,
    body::Body,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::{Layer, Service};

use super::{
    methods::{Method, Way},
    places::{Holder, Place, Places},
    tls::Peer,
};
use crate::domain::refusal::Refusal;

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
    /// Longest time in which nobody reads the next answer of a stream.
    pub unread: Duration,
}

/// Wraps services in [`Bounded`].
#[derive(Clone)]
pub(super) struct Bound {
    pub(super) bounds: CallBounds,
    pub(super) places: Places,
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
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let method = Method::at(request.uri().path());
        let (bounds, place) = (self.bound.bounds, self.bound.places.begin());
        // Whoever needs a key has a place when it is known; a question about health is never one too many.
        if method.keyless && method.way == Way::Answers {
            let peer = Peer::of(request.extensions()).and_then(|peer| peer.address);
            if let Err(refusal) = place.take(Holder::Peer(peer)) {
                return future::ready(Ok(Status::from(refusal).into_http())).boxed();
            }
        }
        let end = End::of(method.way, request.headers(), &bounds);
        request.extensions_mut().insert(method.using);
        request.extensions_mut().insert(place.clone());
        let answer = self.inner.call(request);
        let bounded = async move {
            let answer = tokio::select! {
                biased;
                answer = answer => answer?,
                status = End::come(end.clone()) => return Ok(status.into_http()),
            };
            Ok(answer.map(|body| match method.way {
                // A refusal is all head, and must stay so.
                _ if body.is_end_stream() => body,
                Way::Answers => pass_on(body, end, bounds.unread, place),
                Way::Single | Way::Upload => Body::new(body.map_frame(move |frame| {
                    // It is kept until the answer is sent.
                    let _ = &place;
                    frame
                })),
            }))
        };
        bounded.boxed()
    }
}

/// A body whose frames come from `body`, until its end or `end`, or until nobody has read for too long. Then what
/// stands behind it is let go of, even if the peer keeps the stream open.
#[expect(clippy::disallowed_methods, reason = "ends with the body at the latest")]
fn pass_on(body: Body, end: Option<End>, unread: Duration, place: Place) -> Body {
    let (frames, passed) = mpsc::channel(2);
    // Room for the last word is kept from the beginning.
    let last = frames.clone().try_reserve_owned();
    tokio::spawn(async move {
        if let Some(status) = pass_frames(body, end, unread, &frames).await
            && let Ok(last) = last
        {
            last.send(Ok(trailers(&status)));
        }
        drop(place);
    });
    Body::new(StreamBody::new(ReceiverStream::new(passed)))
}

/// Passes frames on; gives why it was ended before the body was.
async fn pass_frames(
    mut body: Body,
    end: Option<End>,
    unread: Duration,
    frames: &mpsc::Sender<Result<Frame<Bytes>, Status>>,
) -> Option<Status> {
    let mut end = Box::pin(End::come(end));
    loop {
        let frame = tokio::select! {
            biased;
            status = &mut end => return Some(status),
            () = frames.closed() => return None,
            frame = body.frame() => frame?,
        };
        tokio::select! {
            biased;
            room = frames.reserve() => room.ok()?.send(frame),
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
