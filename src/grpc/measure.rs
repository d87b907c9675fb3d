//! Measures every call, whichever service answers it: what it came to, how long it took, how many are open.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tonic::{
    Code,
    codegen::http::{HeaderMap, Request, Response},
};
use tower::{Layer, Service};

use super::methods::Method;
use crate::metrics::{Metrics, Open};

/// Names of status codes, by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// What a head or trailers say of the end.
fn code(headers: &HeaderMap) -> Option<Code> {
    Some(Code::from_bytes(headers.get("grpc-status")?.as_bytes()))
}

/// Wraps services in [`Measured`].
#[derive(Clone)]
pub(super) struct Measure(pub(super) Metrics);

impl<S> Layer<S> for Measure {
    type Service = Measured<S>;

    fn layer(&self, inner: S) -> Measured<S> {
        Measured { inner, metrics: self.0.clone() }
    }
}

/// A service whose calls are measured.
#[derive(Clone)]
pub(super) struct Measured<S> {
    inner: S,
    metrics: Metrics,
}

/// A call that is open; its end is counted when this is dropped.
struct Call {
    method: &'static str,
    began: Instant,
    /// None as long as nothing tells; a call that is dropped before was given up by its caller.
    code: Option<Code>,
    metrics: Metrics,
    _open: Open,
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        self.metrics.call_ended(self.method, CODES[code as usize], self.began.elapsed());
    }
}

impl<S, A, B> Service<Request<A>> for Measured<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    B: 'static,
{
    type Response = Response<MeasuredBody<B>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<A>) -> Self::Future {
        let method: &'static str = &Method::at(request.uri().path()).name;
        let (metrics, open) = (self.metrics.clone(), self.metrics.call_open(method));
        let mut call = Call { method, began: Instant::now(), code: None, metrics, _open: open };
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            call.code = code(answer.headers());
            Ok(answer.map(|body| MeasuredBody { body: Box::pin(body), call }))
        })
    }
}

/// The body of an answer, whose trailers tell what the call came to.
pub(super) struct MeasuredBody<B> {
    body: Pin<Box<B>>,
    call: Call,
}

impl<B: Body<Data = Bytes>> Body for MeasuredBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = ready!(self.body.as_mut().poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(told) = frame.trailers_ref().and_then(code) {
                    self.call.code = Some(told);
                }
            }
            Some(Err(_)) => self.call.code = Some(Code::Unknown),
            // Not every answer is of gRPC.
            None => {
                self.call.code.get_or_insert(Code::Unknown);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
