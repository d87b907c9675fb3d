//! Measures every call, whichever service answers it: what it came to, how long it took, how many are open; and traces
//! it from its beginning to the end of its answer.

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
use tracing::{Instrument, Span, debug};

use super::methods::Method;
use crate::{
    metrics::{Metrics, Open},
    telemetry,
};

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

/// Names of metadata about a call's place in a trace: as callers give it, and as they are told of it (W3C Trace Context,
/// levels 1 and 2).
const TRACE_PARENT: &str = "traceparent";
const TRACE_RESPONSE: &str = "traceresponse";

/// The span of a call; none of one that only asks how the server is, or what it can do.
fn span(method: &'static str, headers: &HeaderMap) -> Span {
    if !method.starts_with("carryover.") {
        return Span::none();
    }
    // Where there are two, none is to be believed.
    let mut given = headers.get_all(TRACE_PARENT).iter();
    let parent = given.next().filter(|_| given.next().is_none());
    telemetry::call_span(method, parent.and_then(|parent| parent.to_str().ok()))
}

/// What a head or trailers say of the end.
fn code(headers: &HeaderMap) -> Option<Code> {
    Some(Code::from_bytes(headers.get("grpc-status")?.as_bytes()))
}

/// Whether a call came to what is the server's fault, and not the caller's.
fn is_fault(code: Code) -> bool {
    use Code::{DataLoss, DeadlineExceeded, Internal, Unavailable, Unimplemented, Unknown};
    matches!(code, Unknown | DeadlineExceeded | Unimplemented | Internal | Unavailable | DataLoss)
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
    span: Span,
    _open: Open,
}

impl Drop for Call {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        let (name, took) = (CODES[code as usize], self.began.elapsed());
        telemetry::call_ended(&self.span, name, is_fault(code));
        if !self.span.is_none() {
            debug!(parent: &self.span, code = name, ms = took.as_millis() as u64, "call ended");
        }
        self.metrics.call_ended(self.method, name, took);
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
        let span = span(method, request.headers());
        let answer = span.in_scope(|| self.inner.call(request));
        let mut call =
            Call { method, began: Instant::now(), code: None, metrics, span: span.clone(), _open: open };
        let answered = async move {
            let mut answer = answer.await?;
            call.code = code(answer.headers());
            let place = telemetry::traceparent(&call.span).and_then(|place| place.parse().ok());
            if let Some(place) = place {
                answer.headers_mut().insert(TRACE_RESPONSE, place);
            }
            Ok(answer.map(|body| MeasuredBody { body: Box::pin(body), call }))
        };
        Box::pin(answered.instrument(span))
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
        let this = &mut *self;
        let frame = ready!(this.call.span.in_scope(|| this.body.as_mut().poll_frame(cx)));
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
