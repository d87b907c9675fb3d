//! Bounds of every call: who may make it, the time it may take, and its place among those that are open.

use std::{
    mem,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt};
use http_body::Body as _;
use tonic::{
    Status,
    body::Body,
    codegen::http::{Request, Response},
};
use tower::{Layer, Service};

use super::{
    answers::{Answer, pass_on},
    auth::{Auth, Head},
    deadline::End,
    delivery::{Behind, Slot},
    methods::{Method, Way},
    places::{Holder, Places},
    receive::Receiving,
    room::AnswerRoom,
    tls::Peer,
};
use crate::permits::Permit;

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
