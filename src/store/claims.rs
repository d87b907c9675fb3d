//! Claims on segments: who works on what, and for how long.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult};
use tokio::sync::OwnedSemaphorePermit;
use uuid::Uuid;

use super::{
    Bulk, Store,
    commit::{Batch, Commit, Committed},
    entities::segment,
    error::Error,
    table::Table,
};
use crate::domain::{
    ids::{ApplicationId, ImportId, WorkflowId},
    import::{Import, OnExisting},
    segment::{SegmentKind, SegmentRange},
};

/// A segment held for processing. Only [`Store::claim`] makes one, and every write of its rows asks
/// for it.
#[derive(Debug)]
pub struct Claim {
    pub(super) application_id: ApplicationId,
    pub(super) import_id: ImportId,
    pub(super) range: SegmentRange,
    pub(super) first_session_number: i64,
    pub(super) owner: Uuid,
    pub(super) epoch: i64,
    attempts: i32,
}

impl Claim {
    /// The application it belongs to.
    pub fn application_id(&self) -> ApplicationId {
        self.application_id
    }

    /// The import it belongs to.
    pub fn import_id(&self) -> ImportId {
        self.import_id
    }

    /// Where the segment stands in the source.
    pub fn range(&self) -> &SegmentRange {
        &self.range
    }

    /// How often it has been claimed, this time included.
    pub fn attempts(&self) -> i32 {
        self.attempts
    }
}

impl segment::Model {
    pub(super) fn range(&self) -> Result<SegmentRange, Error> {
        Ok(SegmentRange {
            seq: self.seq,
            kind: SegmentKind::from_code(self.kind).ok_or(Error::Corrupt("segments.kind"))?,
            first_row: self.first_row,
            rows: self.row_count,
            byte_offset: self.byte_offset,
            bytes: self.byte_count,
            preamble: self.preamble,
            first_line: self.first_line,
            crc32c: u32::try_from(self.crc32c).map_err(|_| Error::Corrupt("segments.crc32c"))?,
            revision: self.revision,
        })
    }
}

/// Takes the oldest open segment of the application after the one served last, so that claims go
/// round over applications, and within one the oldest import comes first. Segments of status rules are
/// settled one after the other: what the first of two equal rows says counts. `=`, not `IN`: with `IN`
/// PostgreSQL may run the subquery again and claim more than one.
const CLAIM: &str = "
UPDATE segments SET state = 'CLAIMED', owner = $1, epoch = epoch + 1, attempts = attempts + 1, lease_expires_at = $2
WHERE (application_id, import_id, seq) = (
    SELECT s.application_id, s.import_id, s.seq
    FROM segments s JOIN imports i ON i.application_id = s.application_id AND i.id = s.import_id
    WHERE s.state <> 'DONE' AND (s.state = 'READY' OR s.lease_expires_at < $3)
        AND i.status IN ('PENDING', 'PROCESSING') AND NOT i.held
        AND (i.spec ->> 'import_type' <> 'status_rules' OR NOT EXISTS (
            SELECT 1 FROM segments e WHERE e.application_id = s.application_id
                AND e.import_id = s.import_id AND e.seq < s.seq AND e.state <> 'DONE'))
    ORDER BY (s.application_id > $4) DESC, s.application_id, s.import_id, s.seq
    LIMIT 1 {lock}
)
RETURNING {columns}";

/// Columns of a claimed segment, by name: a later version may add others.
const COLUMNS: &str = "application_id, import_id, seq, kind, first_row, row_count, byte_offset, byte_count, \
    preamble, first_line, crc32c, first_session_number, state, owner, epoch, lease_expires_at, attempts, ledger, \
    revision, replaced_revision";

const MARK_STARTED: &str = "
UPDATE imports SET status = 'PROCESSING', started_at = $3, updated_at = $3, sequence = sequence + 1
WHERE application_id = $1 AND id = $2 AND status = 'PENDING'";

/// Gives a segment back; it may be claimed again from `$4` on.
const RELEASE: &str = "
UPDATE segments SET lease_expires_at = $4
WHERE application_id = $1 AND import_id = $2 AND seq = $3 AND epoch = $5 AND state = 'CLAIMED'";

impl Store {
    /// Claims the next segment for `owner`, if there is one.
    pub async fn claim(
        &self,
        owner: Uuid,
        after: Option<ApplicationId>,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<Option<Claim>, Error> {
        let lock = match self.bulk {
            Bulk::Postgres(_) => "FOR UPDATE OF s SKIP LOCKED",
            Bulk::Sqlite(_) => "",
        };
        let after = after.map_or(Uuid::nil(), |id| id.0);
        let claim = self.statement(
            &CLAIM.replace("{lock}", lock).replace("{columns}", COLUMNS),
            [owner.into(), lease_until.into(), now.into(), after.into()],
        );
        let store = self.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = tx.query_one_raw(claim).await? else { return Ok(None) };
                let row = segment::Model::from_query_result(&row, "")?;
                let started = [row.application_id.into(), row.import_id.into(), now.into()];
                tx.execute_raw(store.statement(MARK_STARTED, started)).await?;
                Ok(Some(Claim {
                    application_id: ApplicationId(row.application_id),
                    import_id: ImportId(row.import_id),
                    range: row.range()?,
                    first_session_number: row.first_session_number,
                    owner,
                    epoch: row.epoch,
                    attempts: row.attempts,
                }))
            })
        })
        .await
    }

    /// Gives a segment back, to be claimed again from `not_before` on.
    pub async fn release(&self, claim: &Claim, not_before: DateTime<Utc>) -> Result<(), Error> {
        let values = [
            claim.application_id.0.into(),
            claim.import_id.0.into(),
            claim.range.seq.into(),
            not_before.into(),
            claim.epoch.into(),
        ];
        self.db.execute_raw(self.statement(RELEASE, values)).await?;
        Ok(())
    }

    /// Settles a claimed segment: everything its rows came to, in one transaction. `turn` is given back once
    /// there is nothing more to write, so that the next one is written while this one's log goes to disk.
    pub async fn commit_segment(
        &self,
        claim: Arc<Claim>,
        import: &Import,
        batch: Batch,
        now: DateTime<Utc>,
        turn: OwnedSemaphorePermit,
    ) -> Result<Committed, Error> {
        let spec = &import.spec;
        let Some(table) = Table::of(spec.import_type) else {
            return self.commit_rules(claim, import, batch, now).await;
        };
        self.write_segment(
            Commit {
                claim,
                batch,
                table,
                provider: spec.provider.clone(),
                workflow_id: spec.workflow_id.unwrap_or(WorkflowId(Uuid::nil())),
                imported_at: import.created_at,
                dry_run: spec.dry_run,
                on_existing: spec.on_existing,
                import_erased: spec.import_erased,
                // Where one key was known, the next ones may be. A dry run writes no record, so that
                // nothing but a look tells which keys are known.
                expect_existing: spec.dry_run
                    || spec.on_existing == OnExisting::Update
                    || import.counters.skipped > 0,
                stored_row_errors: import.limits.stored_row_errors,
                now,
            },
            turn,
        )
        .await
    }

    /// A segment of an import by its number.
    pub async fn find_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        seq: i32,
    ) -> Result<Option<SegmentRange>, Error> {
        let key = (application.0, import.0, seq);
        segment::Entity::find_by_id(key).one(&self.db).await?.map(|row| row.range()).transpose()
    }
}
