//! Claims on segments: who works on what, and for how long.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, Value};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::{
    Bulk, Store,
    commit::{Batch, Commit, Committed, OBEY_PAUSE},
    entities::segment,
    error::Error,
    table::Table,
};
use crate::domain::{
    ids::{ApplicationId, ImportId, WorkflowId},
    import::{Import, OnExisting},
    isolation::Isolation,
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
    deaths: i32,
    isolation: Option<Isolation>,
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

    /// How often whoever had claimed it neither settled it nor gave it back.
    pub fn deaths(&self) -> i32 {
        self.deaths
    }

    /// Whether so many died over it that a row of it may be to blame, or that is being looked into.
    pub fn is_suspect(&self, deaths: i32) -> bool {
        self.isolation.is_some() || self.deaths >= deaths
    }

    /// What is known of rows that keep it from being settled.
    pub fn isolation(&self) -> Option<&Isolation> {
        self.isolation.as_ref()
    }
}

impl Claim {
    /// The values of [`HELD`].
    fn held(&self) -> [Value; 5] {
        [
            self.application_id.0.into(),
            self.import_id.0.into(),
            self.range.seq.into(),
            self.epoch.into(),
            self.owner.into(),
        ]
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
UPDATE segments SET state = 'CLAIMED', owner = $1, epoch = epoch + 1, attempts = attempts + 1, lease_expires_at = $2,
    deaths = deaths + CASE WHEN state = 'CLAIMED' AND owner IS NOT NULL THEN 1 ELSE 0 END
WHERE (application_id, import_id, seq) = (
    SELECT s.application_id, s.import_id, s.seq
    FROM segments s JOIN imports i ON i.application_id = s.application_id AND i.id = s.import_id
    WHERE s.state <> 'DONE' AND (s.state = 'READY' OR s.lease_expires_at < $3)
        AND i.status IN ('PENDING', 'PROCESSING') AND NOT i.held AND NOT i.pause_requested
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
    revision, replaced_revision, reverted, deaths, isolation";

const MARK_STARTED: &str = "
UPDATE imports SET status = 'PROCESSING', started_at = $3, updated_at = $3, sequence = sequence + 1
WHERE application_id = $1 AND id = $2 AND status = 'PENDING'";

/// Whether a claim stands: the import may have been paused or ended between the choice and the claim. Locked
/// on PostgreSQL, so that a pause comes before the claim or sees it.
const STILL_WANTED: &str = "
SELECT 1 AS one FROM imports WHERE application_id = $1 AND id = $2 AND status = 'PROCESSING' AND NOT pause_requested";

/// Says on an import what its next segment waits for.
const WAITS: &str = "
UPDATE imports SET waiting_reason = $4, updated_at = $3, sequence = sequence + 1
WHERE application_id = $1 AND id = $2 AND status IN ('PENDING', 'PROCESSING', 'PAUSED')";

/// The segment of a claim, as long as the claim holds.
const HELD: &str = "WHERE application_id = $1 AND import_id = $2 AND seq = $3 AND epoch = $4 AND owner = $5 \
    AND state = 'CLAIMED'";

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
        let share = if lock.is_empty() { "" } else { "FOR SHARE" };
        let store = self.clone();
        let claimed = self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = tx.query_one_raw(claim).await? else { return Ok(None) };
                let row = segment::Model::from_query_result(&row, "")?;
                let started = [row.application_id.into(), row.import_id.into(), now.into()];
                tx.execute_raw(store.statement(MARK_STARTED, started)).await?;
                let import = [row.application_id.into(), row.import_id.into()];
                let wanted = store.statement(&format!("{STILL_WANTED} {share}"), import);
                tx.query_one_raw(wanted).await?.ok_or(Error::LeaseLost)?;
                let isolation = row.isolation.clone().map(serde_json::from_value).transpose();
                Ok(Some(Claim {
                    application_id: ApplicationId(row.application_id),
                    import_id: ImportId(row.import_id),
                    range: row.range()?,
                    first_session_number: row.first_session_number,
                    owner,
                    epoch: row.epoch,
                    attempts: row.attempts,
                    deaths: row.deaths,
                    isolation: isolation.map_err(|_| Error::Corrupt("segments.isolation"))?,
                }))
            })
        });
        match claimed.await {
            Err(Error::LeaseLost) => Ok(None),
            claimed => claimed,
        }
    }

    /// Lets a claim hold until `lease_until`. One whose segment is being written at this moment needs it not:
    /// nobody else can claim what is locked, and whoever waited for the lock would let other leases run out.
    pub async fn renew(&self, claim: &Claim, lease_until: DateTime<Utc>) -> Result<(), Error> {
        let lock = match self.bulk {
            Bulk::Postgres(_) => "FOR UPDATE SKIP LOCKED",
            Bulk::Sqlite(_) => "",
        };
        let renew = format!(
            "UPDATE segments SET lease_expires_at = $6 WHERE (application_id, import_id, seq) = \
             (SELECT application_id, import_id, seq FROM segments {HELD} {lock})"
        );
        self.change_held(claim, &renew, lease_until.into()).await.map(drop)
    }

    /// Keeps what is known of rows that keep a segment from being settled.
    pub async fn save_isolation(&self, claim: &Claim, isolation: Option<&Isolation>) -> Result<(), Error> {
        let isolation = isolation.map(serde_json::to_value).transpose();
        let isolation = isolation.map_err(|_| Error::Corrupt("isolation"))?;
        let save = format!("UPDATE segments SET isolation = $6 {HELD}");
        match self.change_held(claim, &save, isolation.into()).await? {
            true => Ok(()),
            false => Err(Error::LeaseLost),
        }
    }

    async fn change_held(&self, claim: &Claim, sql: &str, value: Value) -> Result<bool, Error> {
        let change = self.statement(sql, claim.held().into_iter().chain([value]));
        self.write(move |tx| Box::pin(async move { Ok(tx.execute_raw(change).await?.rows_affected() == 1) }))
            .await
    }

    /// Gives a segment back, to be claimed again from `not_before` on; its import says what it waits for.
    pub async fn release(
        &self,
        claim: &Claim,
        not_before: DateTime<Utc>,
        reason: &'static str,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        let release = format!("UPDATE segments SET owner = NULL, lease_expires_at = $6 {HELD}");
        let release = self.statement(&release, claim.held().into_iter().chain([not_before.into()]));
        let import = || [claim.application_id.0.into(), claim.import_id.0.into(), now.into()];
        let waits = self.statement(WAITS, import().into_iter().chain([reason.into()]));
        let obey = self.statement(OBEY_PAUSE, import());
        self.write(move |tx| {
            Box::pin(async move {
                if tx.execute_raw(release).await?.rows_affected() == 1 {
                    tx.execute_raw(waits).await?;
                    tx.execute_raw(obey).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Writes a claimed segment and takes it back: only to see whether the database takes it.
    pub async fn try_segment(
        &self,
        claim: Arc<Claim>,
        import: &Import,
        batch: Batch,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        match Table::of(import.spec.import_type) {
            // Only the decoder may fail on a rule; its table takes what it takes.
            None => Ok(()),
            Some(table) => {
                let turn = Arc::new(Semaphore::new(1)).acquire_owned().await.map_err(|_| Error::LeaseLost)?;
                let commit = Commit { trial: true, ..Self::commit_of(claim, import, batch, table, now) };
                self.write_segment(commit, turn).await.map(drop)
            }
        }
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
        let Some(table) = Table::of(import.spec.import_type) else {
            return self.commit_rules(claim, import, batch, now).await;
        };
        self.write_segment(Self::commit_of(claim, import, batch, table, now), turn).await
    }

    fn commit_of(
        claim: Arc<Claim>,
        import: &Import,
        batch: Batch,
        table: &'static Table,
        now: DateTime<Utc>,
    ) -> Commit {
        let spec = &import.spec;
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
            limits: import.limits,
            has_media: import.fetches_media(),
            thresholds: spec.thresholds,
            trial: false,
            now,
        }
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
