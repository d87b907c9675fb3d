//! Rows of a stored source that are wanted, byte for byte as they were sent, under its header.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};

use crate::{
    domain::{import::Import, ledger::Outcome, segment::SegmentKind},
    error::Error,
    intake::splitter,
    objects::Objects,
    store::{SettledSegment, Store},
};

/// Most bytes of one message.
const MESSAGE_BYTES: usize = 256 << 10;

/// What to take of a row.
pub(super) enum Take {
    /// Nothing.
    Nothing,
    /// It as it was sent.
    Row,
    /// Something else in its place.
    Instead(String),
}

/// What to take of a row, by its number and outcome.
pub(super) type Wanted = Box<dyn Fn(i64, Outcome) -> Take + Send + Sync>;

struct Export {
    store: Store,
    objects: Objects,
    import: Arc<Import>,
    wanted: Wanted,
    /// Only rows that have warnings.
    warned_only: bool,
    next_seq: i32,
    /// The last record is oversized and wanted, so its rest is, too.
    in_oversized: bool,
    /// What is read and not sent.
    ready: Bytes,
}

/// The wanted rows of every settled segment (with `warned_only`, those of them that have warnings), under the
/// source's header.
pub(super) fn export(
    store: Store,
    objects: Objects,
    import: Arc<Import>,
    wanted: Wanted,
    warned_only: bool,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let export = Export {
        store,
        objects,
        import,
        wanted,
        warned_only,
        next_seq: 0,
        in_oversized: false,
        ready: Bytes::new(),
    };
    stream::try_unfold(
        export,
        |mut export| async move { Ok(export.next().await?.map(|bytes| (bytes, export))) },
    )
}

impl Export {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.ready.is_empty() {
            let (application, id) = (self.import.application_id, self.import.id);
            let found = self.store.next_settled_segment(application, id, self.next_seq).await?;
            let Some(segment) = found else { return Ok(None) };
            self.next_seq = segment.range.seq + 1;
            self.ready = self.select(&segment).await?;
        }
        let length = self.ready.len().min(MESSAGE_BYTES);
        Ok(Some(self.ready.split_to(length)))
    }

    async fn select(&mut self, segment: &SettledSegment) -> Result<Bytes, Error> {
        let range = &segment.range;
        let (application, id) = (self.import.application_id, self.import.id);
        let warned = match self.warned_only {
            true => Some(self.store.rows_with_warnings(application, id, range).await?),
            false => None,
        };
        let is_meant = |row| warned.as_ref().is_none_or(|rows| rows.binary_search(&row).is_ok());
        let taken: Vec<_> = (range.first_row..)
            .zip(&segment.outcomes)
            .map(|(row, outcome)| if is_meant(row) { (self.wanted)(row, *outcome) } else { Take::Nothing })
            .collect();
        let some = taken.iter().any(|take| !matches!(take, Take::Nothing));
        let rest = range.kind == SegmentKind::OversizedRest && self.in_oversized;
        if !(some || rest || range.preamble > 0) {
            self.in_oversized = false;
            return Ok(Bytes::new());
        }
        let bytes = self.objects.get_segment(application, id, range).await?;
        if rest {
            return Ok(bytes);
        }
        // Records are found as they were cut, without a look at what they say.
        let spans = match (range.kind, self.import.format) {
            (SegmentKind::Records, Some(format)) => {
                splitter::record_spans(format, self.import.delimiter.unwrap_or(b','), range, &bytes)
            }
            _ => std::iter::once(0..bytes.len()).collect(),
        };
        self.in_oversized = false;
        let mut out = BytesMut::from(&bytes[..range.preamble as usize]);
        for (span, take) in spans.into_iter().zip(taken) {
            match take {
                Take::Nothing => {}
                Take::Row => {
                    end_line(&mut out);
                    out.extend_from_slice(&bytes[span]);
                    self.in_oversized = range.kind == SegmentKind::OversizedRecord;
                }
                Take::Instead(row) => {
                    end_line(&mut out);
                    out.extend_from_slice(row.as_bytes());
                }
            }
        }
        if !self.in_oversized {
            end_line(&mut out);
        }
        Ok(out.freeze())
    }
}

/// The last record of a source may have no line end; another one may come behind it here.
fn end_line(out: &mut BytesMut) {
    const BOM: &[u8] = crate::intake::splitter::BOM;
    if !matches!(out.last(), None | Some(b'\n' | b'\r')) && &out[..] != BOM {
        out.extend_from_slice(b"\n");
    }
}
