//! What a server answers, and its body as it comes.

use std::{fmt, time::Duration};

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use reqwest::{
    Response, StatusCode,
    header::{
        ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderName, LAST_MODIFIED,
        TRANSFER_ENCODING,
    },
};
use tokio::time::Instant;

use super::{
    client::{Ask, Patience},
    error::FetchError,
    policy::Policy,
    redirect,
};

/// What a server answers.
#[derive(Debug)]
pub struct Answer {
    /// 200, or 206 if it begins where it was asked to; a server may leave that wish alone.
    pub status: u16,
    /// How many bytes the body has, if the server says.
    pub content_length: Option<u64>,
    /// How many bytes the whole has of which this is the rest.
    pub total_length: Option<u64>,
    /// Which version it is; not strong if it begins with `W/`.
    pub etag: Option<String>,
    /// When it was changed last, in the server's words.
    pub last_modified: Option<String>,
    /// Whether the rest of it may be asked for.
    pub accepts_ranges: bool,
    /// What the server says it is.
    pub content_type: Option<String>,
    /// Name or address that answered in the end.
    pub host: String,
    /// The bytes, as sent: what is packed stays packed.
    pub body: Body,
}

impl Answer {
    /// Reads the head of a response that is no redirect.
    pub(super) fn of(
        response: Response,
        ask: &Ask,
        patience: Patience,
        policy: &Policy,
    ) -> Result<Self, FetchError> {
        let text = |name: HeaderName| response.headers().get(name)?.to_str().ok().map(str::to_owned);
        let status = response.status();
        match status {
            StatusCode::OK => {}
            StatusCode::PARTIAL_CONTENT if ask.range_from.is_some() => {}
            StatusCode::PRECONDITION_FAILED if ask.if_match.is_some() => return Err(FetchError::Changed),
            _ => {
                let retry_after = redirect::retry_after(response.headers());
                return Err(FetchError::Status { code: status.as_u16(), retry_after });
            }
        }
        // Two lengths are two opinions on where the body ends.
        if response.headers().contains_key(TRANSFER_ENCODING)
            && response.headers().contains_key(CONTENT_LENGTH)
        {
            return Err(FetchError::Protocol("says twice how long it is"));
        }
        let etag = text(ETAG);
        if ask.if_match.is_some() && etag.is_some() && ask.if_match != etag {
            return Err(FetchError::Changed);
        }
        let content_length = response.content_length();
        if content_length.is_some_and(|length| length > ask.max_bytes) {
            return Err(FetchError::TooLarge { limit: ask.max_bytes });
        }
        let mut total_length = content_length;
        if status == StatusCode::PARTIAL_CONTENT {
            let range = text(CONTENT_RANGE).and_then(|range| Range::parse(&range));
            let range = range.ok_or(FetchError::Protocol("is a part of nobody knows what"))?;
            if Some(range.first) != ask.range_from {
                return Err(FetchError::Changed);
            }
            if content_length.is_some_and(|length| length != range.length) {
                return Err(FetchError::Protocol("says twice how long it is"));
            }
            total_length = range.total;
        }
        Ok(Self {
            status: status.as_u16(),
            content_length,
            total_length,
            etag,
            last_modified: text(LAST_MODIFIED),
            accepts_ranges: status == StatusCode::PARTIAL_CONTENT
                || text(ACCEPT_RANGES).is_some_and(|units| units.trim().eq_ignore_ascii_case("bytes")),
            content_type: text(CONTENT_TYPE),
            host: response.url().host_str().unwrap_or_default().to_owned(),
            body: Body::new(response, ask.max_bytes, patience, policy),
        })
    }
}

/// A `Content-Range`: where a part begins, how long it is, and of how much.
struct Range {
    first: u64,
    length: u64,
    total: Option<u64>,
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let (part, total) = text.strip_prefix("bytes ")?.trim().split_once('/')?;
        let (first, last) = part.split_once('-')?;
        let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        let length = last.checked_sub(first)?.checked_add(1)?;
        total.is_none_or(|total| last < total).then_some(Self { first, length, total })
    }
}

/// A body as it comes, within bounds. It is over after its first error.
pub struct Body {
    response: Option<Response>,
    received: u64,
    max_bytes: u64,
    patience: Patience,
    rate: Rate,
    /// Since when a piece is waited for. It outlives a wait that is given up and begun again, or a
    /// reader that does so often would never see time pass.
    since: Option<Instant>,
}

/// The least that must come, measured over time that was waited.
struct Rate {
    window: Duration,
    least_bytes: u64,
    left: Duration,
    bytes: u64,
}

/// Leaves out the response, which knows its URL and with it a token.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("received", &self.received).finish_non_exhaustive()
    }
}

impl Body {
    fn new(response: Response, max_bytes: u64, patience: Patience, policy: &Policy) -> Self {
        let window = policy.rate_window;
        let least = u128::from(policy.min_bytes_per_second) * window.as_millis() / 1_000;
        Self {
            response: Some(response),
            received: 0,
            max_bytes,
            patience,
            rate: Rate {
                window,
                least_bytes: u64::try_from(least).unwrap_or(u64::MAX),
                left: window,
                bytes: 0,
            },
            since: None,
        }
    }

    /// The next piece; nothing when all is there. May be given up and called again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let next = self.next().await;
        if !matches!(next, Ok(Some(_))) {
            // The connection goes with it, whatever the server still sends.
            self.response = None;
        }
        next
    }

    /// The pieces as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, FetchError>> + Send + 'static {
        stream::unfold(self, |mut body| async move {
            let next = body.chunk().await.transpose()?;
            Some((next, body))
        })
    }

    async fn next(&mut self) -> Result<Option<Bytes>, FetchError> {
        let Some(response) = &mut self.response else { return Ok(None) };
        loop {
            let since = *self.since.get_or_insert_with(Instant::now);
            let allowed = self.patience.left().min(self.rate.left);
            let next = Patience::until(since + allowed, response.chunk()).await;
            let waited = since.elapsed();
            self.since = None;
            self.patience.spend(waited);
            self.rate.left = self.rate.left.saturating_sub(waited);
            let Some(next) = next else {
                if self.patience.left().is_zero() {
                    return Err(FetchError::Timeout);
                }
                if self.rate.bytes < self.rate.least_bytes {
                    return Err(FetchError::TooSlow);
                }
                self.rate.left = self.rate.window;
                self.rate.bytes = 0;
                continue;
            };
            let Some(bytes) = next.map_err(|error| FetchError::of_client(&error))? else {
                return if self.received == 0 { Err(FetchError::Empty) } else { Ok(None) };
            };
            let length = bytes.len() as u64;
            self.received += length;
            self.rate.bytes += length;
            if self.received > self.max_bytes {
                return Err(FetchError::TooLarge { limit: self.max_bytes });
            }
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_or_refused() {
        let read = |text| Range::parse(text).map(|range| (range.first, range.length, range.total));
        assert_eq!(read("bytes 5-9/10"), Some((5, 5, Some(10))));
        assert_eq!(read("bytes 0-0/*"), Some((0, 1, None)));
        for wrong in [
            "",
            "bytes */10",
            "bytes 5-4/10",
            "bytes 5-10/10",
            "items 0-1/2",
            "bytes 0-18446744073709551615/*",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
