//! Fetching the source of an import by URL, into the intake like any upload.
//!
//! What breaks off is gone on with: from where it stands when the server has a strong validator, or else from
//! the beginning, where what is stored already is compared and skipped.

use std::collections::VecDeque;

use bytes::Bytes;
use thiserror::Error;

use super::Imports;
use crate::{
    domain::{
        fault::SourceFault,
        import::Import,
        refusal::{Refusal, Role},
        segment::SegmentRange,
    },
    error,
    guard::{Answer, Ask, FetchError},
    intake::{Finish, Opened, Piece},
    metrics::{Metrics, Way},
    store::{self, Caller, SourceFetch},
};

/// Why a source was not fetched to its end.
#[derive(Debug, Error)]
pub enum FetchFailure {
    /// The other side, or the way there.
    #[error("fetch the source")]
    Fetch(#[source] FetchError),
    /// What is there cannot be the source.
    #[error(transparent)]
    Fault(SourceFault),
    /// Our side.
    #[error(transparent)]
    Own(#[from] error::Error),
}

impl From<store::Error> for FetchFailure {
    fn from(error: store::Error) -> Self {
        Self::Own(error.into())
    }
}

impl Imports {
    /// The URL of a source, checked as far as its text goes, and without what may be a token.
    pub(super) fn check_source_url(&self, url: &str) -> Result<String, Refusal> {
        self.guard
            .check(url)
            .map_err(|refused| Refusal::field("spec.source_file_url", refused.to_string()))?;
        Ok(url.split(['?', '#']).next().unwrap_or_default().to_owned())
    }

    /// Fetches what is missing of a source and takes it in. What the validator is of what is stored is kept in
    /// `fetch`.
    pub async fn fetch_source(
        &self,
        import: Import,
        fetch: &mut SourceFetch,
        metrics: &Metrics,
    ) -> Result<(), FetchFailure> {
        let stored = import.committed_size.unsigned_abs();
        let limit = import.limits.upload_bytes;
        let validator = fetch.etag.clone().filter(|_| stored > 0);
        let range_from = validator.is_some().then_some(stored);
        let ask = Ask { range_from, if_match: validator, max_bytes: limit, total_time: None };
        let answer = self.guard.get(&fetch.url, ask).await.map_err(|error| told(error, limit))?;
        let begins = if answer.status == PARTIAL { stored } else { 0 };
        if answer.content_length.is_some_and(|length| begins.saturating_add(length) > limit) {
            return Err(FetchFailure::Fault(SourceFault::TooLarge { limit }));
        }
        fetch.etag = answer.etag.clone().filter(|etag| etag.starts_with('"'));
        self.store.keep_validator(fetch).await?;
        let known = if begins == 0 && stored > 0 {
            self.store.list_segments(import.application_id, import.id, 0).await?
        } else {
            Vec::new()
        };
        self.take_in(&import, answer, begins, Prefix::of(known), metrics).await
    }

    async fn take_in(
        &self,
        import: &Import,
        answer: Answer,
        begins: u64,
        mut known: Prefix,
        metrics: &Metrics,
    ) -> Result<(), FetchFailure> {
        let application = Some(import.application_id);
        let fetcher = Caller { key: import.created_by, application, role: Role::Importer };
        let opened = self.intake.open(fetcher, import.id, import.committed_size).await?;
        let Opened::Stream(upload) = opened else { return Ok(()) };
        let (mut size, limit) = (begins, import.limits.upload_bytes);
        let mut body = answer.body;
        loop {
            let bytes = match body.chunk().await {
                Ok(Some(bytes)) => bytes,
                Ok(None) => break,
                Err(error) => {
                    // What has come is stored before anybody asks how far the fetch got; how else the upload ends is
                    // no news.
                    let _ = upload.outcome().await;
                    return Err(told(error, limit));
                }
            };
            size += bytes.len() as u64;
            let new = known.skip(bytes).map_err(FetchFailure::Fault)?;
            // Whoever ended it says why in the outcome.
            let Some(room) = upload.reserve().await else { break };
            metrics.bytes_received(Way::Fetch, new.len());
            if !new.is_empty() {
                room.send(Piece::Data(new));
            }
        }
        if known.is_left() {
            return Err(FetchFailure::Fault(SourceFault::SourceChanged));
        }
        if let Some(room) = upload.reserve().await {
            room.send(Piece::Finish(Finish { size, sha256: None }));
        }
        Ok(upload.outcome().await.map(drop)?)
    }
}

/// What the other side says of the source itself is a fault of it.
fn told(error: FetchError, limit: u64) -> FetchFailure {
    match error {
        FetchError::TooLarge { .. } => FetchFailure::Fault(SourceFault::TooLarge { limit }),
        FetchError::Changed => FetchFailure::Fault(SourceFault::SourceChanged),
        error => FetchFailure::Fetch(error),
    }
}

/// HTTP's word for a part of a file.
const PARTIAL: u16 = 206;

/// What is stored of a source already, to be compared and skipped.
struct Prefix {
    segments: VecDeque<SegmentRange>,
    /// Of the first of them: bytes that are still to come, and the checksum of those that came.
    left: usize,
    crc32c: u32,
}

impl Prefix {
    fn of(segments: Vec<SegmentRange>) -> Self {
        let segments = VecDeque::from(segments);
        let left = segments.front().map_or(0, length);
        Self { segments, left, crc32c: 0 }
    }

    fn is_left(&self) -> bool {
        !self.segments.is_empty()
    }

    /// Takes off what is known; what is left of `bytes` is new.
    fn skip(&mut self, mut bytes: Bytes) -> Result<Bytes, SourceFault> {
        while let Some(first) = self.segments.front() {
            let part = bytes.split_to(self.left.min(bytes.len()));
            self.crc32c = crc32c::crc32c_append(self.crc32c, &part);
            self.left -= part.len();
            if self.left > 0 {
                break;
            }
            if self.crc32c != first.crc32c {
                return Err(SourceFault::SourceChanged);
            }
            self.segments.pop_front();
            (self.left, self.crc32c) = (self.segments.front().map_or(0, length), 0);
        }
        Ok(bytes)
    }
}

fn length(segment: &SegmentRange) -> usize {
    segment.bytes.unsigned_abs() as usize
}
