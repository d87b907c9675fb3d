//! Rows of a stored source, read in order.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::{
    domain::{import::Import, issue::IssueCode, segment::SegmentRange},
    error::Error,
    objects::{self, Objects},
    pipeline::{self, Reading},
    store::{Store, StoredRowError},
};

/// Most of one record that is read to be shown.
const RECORD_BYTES: usize = 1 << 20;

/// Reads rows of one source; the segment read last is kept, because rows come in order.
pub(super) struct SourceReader {
    store: Store,
    objects: Objects,
    import: Import,
    reading: Option<Reading>,
    held: Option<(SegmentRange, Bytes)>,
}

impl SourceReader {
    pub(super) fn new(store: Store, objects: Objects, import: &Import) -> Self {
        Self { store, objects, reading: Reading::of(import).ok(), import: import.clone(), held: None }
    }

    /// The row of a row error as an object; none once the source is gone.
    pub(super) async fn raw_row(
        &mut self,
        error: &StoredRowError,
    ) -> Result<Option<Map<String, Value>>, Error> {
        if self.reading.is_none() {
            // A watcher may have come before the first byte told the format.
            if let Some(import) = self.store.find_import(self.import.application_id, self.import.id).await? {
                self.reading = Reading::of(&import).ok();
                self.import = import;
            }
        }
        let Some((range, bytes)) = self.segment_at(error.byte_offset).await? else { return Ok(None) };
        let start = (error.byte_offset - range.byte_offset) as usize;
        let end = bytes.len().min(start + (error.byte_count as usize).min(RECORD_BYTES));
        let record = &bytes[start..end];
        // What killed a worker is not read here, either.
        if error.issues.iter().any(|issue| issue.code == IssueCode::Unprocessable.as_str()) {
            return Ok(Some(pipeline::raw_text(record)));
        }
        Ok(self.reading.as_ref().map(|reading| pipeline::raw_row(reading, &self.import.columns, record)))
    }

    async fn segment_at(&mut self, offset: i64) -> Result<Option<(SegmentRange, Bytes)>, Error> {
        if let Some((range, bytes)) = &self.held
            && (range.byte_offset..range.byte_end()).contains(&offset)
        {
            return Ok(Some((*range, bytes.clone())));
        }
        let (application, id) = (self.import.application_id, self.import.id);
        let Some(range) = self.store.find_segment_at(application, id, offset).await? else { return Ok(None) };
        match self.objects.get_segment(application, id, &range).await {
            Ok(bytes) => {
                self.held = Some((range, bytes.clone()));
                Ok(Some((range, bytes)))
            }
            Err(objects::Error::Gone) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}
