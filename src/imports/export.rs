//! Rows by outcome, byte for byte as they were sent.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, stream};

use crate::{
    domain::{import::Import, ledger::Outcome, segment::SegmentKind},
    error::Error,
    objects::Objects,
    pipeline::{self, Reading},
    store::{SettledSegment, Store},
};

/// Most bytes of one message.
const MESSAGE_BYTES: usize = 256 << 10;

struct Export {
    store: Store,
    objects: Objects,
    import: Arc<Import>,
    outcomes: Vec<Outcome>,
    next_seq: i32,
    /// The last record is oversized and wanted, so its rest is, too.
    in_oversized: bool,
    /// What is read and not sent.
    ready: Bytes,
}

/// The wanted rows of every settled segment, under the source's header.
pub(super) fn export(
    store: Store,
    objects: Objects,
    import: Arc<Import>,
    outcomes: Vec<Outcome>,
) -> impl Stream<Item = Result<Bytes, Error>> + Send {
    let export =
        Export { store, objects, import, outcomes, next_seq: 0, in_oversized: false, ready: Bytes::new() };
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
        let wanted = segment.outcomes.iter().any(|outcome| self.outcomes.contains(outcome));
        let rest = range.kind == SegmentKind::OversizedRest && self.in_oversized;
        if !(wanted || rest || range.preamble > 0) {
            self.in_oversized = false;
            return Ok(Bytes::new());
        }
        let bytes = self.objects.get_segment(self.import.application_id, self.import.id, range).await?;
        if rest {
            return Ok(bytes);
        }
        self.in_oversized = range.kind == SegmentKind::OversizedRecord;
        let mut out = BytesMut::from(&bytes[..range.preamble as usize]);
        if let Ok(reading) = Reading::of(&self.import) {
            let spans = pipeline::record_spans(&reading, range, bytes.clone());
            for (span, outcome) in spans.into_iter().zip(&segment.outcomes) {
                if self.outcomes.contains(outcome) {
                    end_line(&mut out);
                    out.extend_from_slice(&bytes[span]);
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
