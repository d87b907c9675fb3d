//! Stored media for whoever has a link, by plain HTTP on the port of gRPC.

mod range;

use std::{
    net::IpAddr,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use futures_util::{
    future::{BoxFuture, Either, FutureExt},
    stream::StreamExt,
};
use http_body_util::StreamBody;
use hyper::body::Frame;
use tonic::{
    body::Body,
    codegen::http::{
        HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
        header::{
            ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
            CONTENT_SECURITY_POLICY, CONTENT_TYPE, IF_RANGE, RANGE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
        },
    },
};
use tower::Service;
use tracing::error;

use super::{
    delivery::{Behind, Slot},
    methods::Use,
    rates::Rates,
    tls::Peer,
};
use crate::{
    clock,
    domain::refusal::Refusal,
    error::Error,
    links::{self, Links, Medium, Opened},
    permits::Permits,
};
use range::Part;

/// What media are served from, and how often.
pub(super) struct Door {
    pub(super) links: Links,
    pub(super) rates: Arc<Rates>,
    /// Media that are read at a time: each has a chunk in memory.
    pub(super) readers: Arc<Permits<Option<IpAddr>>>,
    /// Time in which a reader must take something.
    pub(super) stall: Duration,
}

/// Answers requests for media, and hands all others on.
#[derive(Clone)]
pub(super) struct MediaService<S> {
    pub(super) inner: S,
    /// None where no media are served.
    pub(super) door: Option<Arc<Door>>,
}

impl<S, B> Service<Request<B>> for MediaService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, BoxFuture<'static, Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match &self.door {
            Some(door) if request.uri().path().starts_with(links::PREFIX) => {
                let (door, (asked, _)) = (door.clone(), request.into_parts());
                let answer = async move {
                    let peer = Peer::of(&asked.extensions);
                    let link = asked.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
                    let answer = door.answer(&asked.method, &link, &asked.headers, peer);
                    Ok(answer.await.unwrap_or_else(Into::into))
                };
                Either::Right(answer.boxed())
            }
            _ => Either::Left(self.inner.call(request)),
        }
    }
}

/// Why somebody gets no medium.
#[derive(Debug)]
enum Refused {
    /// Media are read.
    Method,
    /// A link that was altered, that has expired, or that never was one: nobody is told which.
    Link,
    /// It was deleted since.
    Gone,
    /// There is no such part of it.
    Range {
        /// Bytes that there are.
        size: u64,
    },
    /// Too often.
    TooMany {
        /// When there is one again.
        wait: Duration,
    },
    /// As many are read as may be.
    Busy,
    /// The object store does not answer.
    Unavailable,
}

impl Door {
    async fn answer(
        &self,
        method: &Method,
        link: &str,
        headers: &HeaderMap,
        peer: Option<&Peer>,
    ) -> Result<Response<Body>, Refused> {
        let with_body = match *method {
            Method::GET => true,
            Method::HEAD => false,
            _ => return Err(Refused::Method),
        };
        let medium = self.open(link, peer)?;
        let address = peer.and_then(|peer| peer.address);
        let reader = with_body.then(|| self.readers.take(address).map_err(|_| Refused::Busy)).transpose()?;
        let stored = self.links.find(&medium).await?.ok_or(Refused::Gone)?;
        let size = stored.size();
        // There is no validator that a condition could name.
        let range = headers.get(RANGE).filter(|_| !headers.contains_key(IF_RANGE));
        let part =
            range.and_then(|range| range.to_str().ok()).map_or(Part::Whole, |range| Part::of(range, size));
        let (status, range) = match part {
            Part::Whole => (StatusCode::OK, 0..size),
            Part::Of(range) => (StatusCode::PARTIAL_CONTENT, range),
            Part::Nowhere => return Err(Refused::Range { size }),
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let headers = response.headers_mut();
        say(headers, &medium);
        headers.insert(CONTENT_LENGTH, (range.end - range.start).into());
        if status == StatusCode::PARTIAL_CONTENT {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            headers.extend(HeaderValue::try_from(text).ok().map(|text| (CONTENT_RANGE, text)));
        }
        if let Some(reader) = reader {
            let bytes = self.links.read(stored, range).await?.ok_or(Refused::Gone)?;
            *response.body_mut() = Body::new(StreamBody::new(bytes.map(|bytes| bytes.map(Frame::data))));
            response.extensions_mut().insert(Behind {
                held: Arc::new(reader),
                room: Slot::default(),
                patience: self.stall,
            });
        }
        Ok(response)
    }

    /// What a link leads to. Who has one has as much as who has a key, and is bound alike.
    fn open(&self, link: &str, peer: Option<&Peer>) -> Result<Medium, Refused> {
        let (now, peer) = (Instant::now(), peer.and_then(|peer| peer.address));
        let trial = self.rates.try_key(peer, Some(link), now)?;
        let opened = self.links.open(link, clock::now());
        match opened {
            // It is no guess, and a page with many of them may have been open for long.
            Opened::Good(_) | Opened::Expired => self.rates.was_not_wrong(&trial, now),
            Opened::Wrong => self.rates.was_wrong(Some(link)),
        }
        let Opened::Good(medium) = opened else { return Err(Refused::Link) };
        self.rates.count_call(link, Use::Read, now)?;
        Ok(medium)
    }
}

/// Says what a medium is, so that nobody takes it for anything else: it was sent by strangers.
fn say(headers: &mut HeaderMap, medium: &Medium) {
    let fixed = [
        (ACCEPT_RANGES, "bytes"),
        (CACHE_CONTROL, "private, no-store"),
        (CONTENT_DISPOSITION, "inline"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    headers.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
    let media_type = HeaderValue::try_from(medium.media_type.as_str());
    headers.insert(CONTENT_TYPE, media_type.unwrap_or(HeaderValue::from_static("application/octet-stream")));
}

impl From<Refused> for Response<Body> {
    fn from(refused: Refused) -> Self {
        let (status, text) = match refused {
            Refused::Method => (StatusCode::METHOD_NOT_ALLOWED, "media are read by GET and HEAD\n"),
            Refused::Link => (StatusCode::FORBIDDEN, "the link is wrong, or has expired\n"),
            Refused::Gone => (StatusCode::NOT_FOUND, "the medium has been deleted\n"),
            Refused::Range { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, "there are no such bytes\n"),
            Refused::TooMany { .. } => {
                (StatusCode::TOO_MANY_REQUESTS, "too many requests; try again later\n")
            }
            Refused::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many media are being read; try again\n"),
            Refused::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "the storage does not answer; try again\n")
            }
        };
        let body = http_body_util::Full::new(text.into());
        let mut response = Response::new(Body::new(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match refused {
            Refused::Method => {
                headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            }
            Refused::Range { size } => {
                let text = HeaderValue::try_from(format!("bytes */{size}"));
                headers.extend(text.ok().map(|text| (CONTENT_RANGE, text)));
            }
            Refused::TooMany { wait } => {
                headers.insert(RETRY_AFTER, (wait.as_secs() + 1).into());
            }
            Refused::Busy | Refused::Unavailable => {
                headers.insert(RETRY_AFTER, 1.into());
            }
            Refused::Link | Refused::Gone => {}
        }
        response
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::TooManyCalls { wait, .. } => Self::TooMany { wait },
            Refusal::OpenCalls { .. } => Self::TooMany { wait: Duration::ZERO },
            _ => Self::Unavailable,
        }
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        error!(error = &error as &dyn std::error::Error, "a medium cannot be served");
        Self::Unavailable
    }
}
