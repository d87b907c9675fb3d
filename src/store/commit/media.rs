//! Media that a segment's records link to: queued with the record, and taken away with it.

use uuid::Uuid;

use super::{Commit, RecordRow};
use crate::{
    canonical::arena::Text,
    domain::{
        ids::{RecordKind, derive},
        media::{MediaSlot, host_of},
    },
    store::table::Cells,
};

/// A link of a row, and where the row stands.
#[derive(Debug, Clone, Copy)]
pub struct MediumRow {
    /// Position in the segment.
    pub row: u32,
    /// Line of the source on which the row begins.
    pub line_number: i64,
    /// Byte of the source at which it begins.
    pub byte_offset: i64,
    /// Its bytes, line end included.
    pub byte_count: i64,
    /// What the medium shows.
    pub slot: MediaSlot,
    /// Where it is.
    pub url: Text,
}

/// What a segment does to the media of its import.
#[derive(Debug, Default)]
pub(in crate::store) struct MediaChange {
    pub(in crate::store) pending: i64,
    pub(in crate::store) stored: i64,
    pub(in crate::store) failed: i64,
    /// Rows that were told of media which are taken away.
    pub(in crate::store) gone_rows: Vec<i64>,
}

impl MediaChange {
    /// Counts a medium of a row as taken away, by its state.
    pub(in crate::store) fn take_away(&mut self, row_number: i64, state: &str) {
        match state {
            "STORED" => self.stored -= 1,
            "FAILED" => {
                self.failed -= 1;
                self.gone_rows.push(row_number);
            }
            _ => self.pending -= 1,
        }
    }

    /// Whether there is nothing to it.
    pub(in crate::store) fn is_none(&self) -> bool {
        [self.pending, self.stored, self.failed] == [0; 3]
    }
}

/// Columns of `media` that are filled when a medium is queued.
pub(in crate::store) const MEDIA_COLUMNS: &str = "application_id, record_id, import_id, slot, job_id, row_number, \
    line_number, byte_offset, byte_count, url_id, url, host, due_at";

/// How many they are.
pub(in crate::store) const MEDIA_CELLS: usize = 13;

/// Takes away media of this import's versions of records (`{records}`) that others take the place of. What is
/// fetched at this moment is settled before or not at all.
pub(in crate::store) const DELETE_MEDIA: &str = "DELETE FROM media \
    WHERE application_id = $1 AND record_id = {records} AND import_id = $3 RETURNING row_number, state";

/// Counts what a segment does to media.
pub(in crate::store) const ADD_MEDIA: &str = "UPDATE imports SET media_pending_count = media_pending_count + $3, \
    media_stored_count = media_stored_count + $4, media_failed_count = media_failed_count + $5 \
    WHERE application_id = $1 AND id = $2";

/// Takes away what was told of media of row `$3`, after it was settled.
pub(in crate::store) const DELETE_WARNINGS: &str = "DELETE FROM row_warnings \
    WHERE application_id = $1 AND import_id = $2 AND row_number = $3 AND ordinal >= 100";

/// Counts fewer warnings by `$3`, of which `$4` were kept.
pub(in crate::store) const FEWER_WARNINGS: &str = "UPDATE imports SET warning_count = warning_count - $3, \
    stored_warning_count = stored_warning_count - $4 WHERE application_id = $1 AND id = $2";

impl Commit {
    /// Links of a row.
    pub(in crate::store) fn media_of(&self, row: u32) -> &[MediumRow] {
        let media = &self.batch.media;
        let first = media.partition_point(|medium| medium.row < row);
        let count = media[first..].iter().take_while(|medium| medium.row == row).count();
        &media[first..first + count]
    }

    /// Fills the cells of a medium, in the order of [`MEDIA_COLUMNS`].
    pub(in crate::store) fn fill_medium(
        &self,
        record: &RecordRow,
        medium: &MediumRow,
        cells: &mut impl Cells,
    ) {
        let (claim, url) = (&self.claim, self.batch.arena.get(medium.url));
        cells.uuid(claim.application_id.0);
        cells.uuid(record.id);
        cells.uuid(claim.import_id.0);
        cells.text(Some(medium.slot.as_str()));
        cells.uuid(claim.import_id.0);
        cells.bigint(self.row_number(medium.row));
        cells.bigint(medium.line_number);
        cells.bigint(medium.byte_offset);
        cells.bigint(medium.byte_count);
        cells.uuid(url_id(self, medium.slot, url));
        cells.text(Some(url));
        cells.text(Some(&host_of(url)));
        cells.time(Some(self.now));
    }
}

/// An image and a video are two downloads, even where one URL is given for both.
fn url_id(commit: &Commit, slot: MediaSlot, url: &str) -> Uuid {
    let kind: &[u8] = if slot.is_video() { b"video" } else { b"image" };
    derive(commit.claim.application_id, RecordKind::Medium, &[kind, url.as_bytes()])
}
