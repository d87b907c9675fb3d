//! Claims: turns go round over jobs, and over the hosts of each, so that neither a large import nor a slow or dead
//! host holds others up.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, ExprTrait, FromQueryResult, QueryFilter, QueryOrder,
    QuerySelect, SqlErr, sea_query::Expr,
};
use uuid::Uuid;

use super::{BusyMedia, ClaimedMedia, Download, Group, LEADS, MediaCursor, PENDING, ROWS, row, settle};
use crate::{
    domain::{
        ids::{ApplicationId, ImportId},
        import::{Import, ImportStatus},
        media::MediaSlot,
    },
    store::{
        Bulk, Store,
        entities::medium::{self, Column},
        error::Error,
        imports,
    },
};

/// Jobs that one look goes over, those behind the one served last.
const JOBS: &str = "SELECT application_id, id FROM imports \
    WHERE status IN ('PENDING', 'PROCESSING', 'PAUSED') AND status = 'PROCESSING' AND media_pending_count > 0 \
    AND NOT pause_requested \
    ORDER BY ((application_id, id) > ($1, $2)) DESC, application_id, id LIMIT 64";

/// Hosts of a job behind `$3` from which something may be fetched. Each is found by one step into the index,
/// however much it has.
const HOSTS: &str = "WITH RECURSIVE hosts (host, nth) AS ( \
        SELECT (SELECT MIN(m.host) FROM media m WHERE m.application_id = $1 AND m.job_id = $2 \
            AND m.state = 'PENDING' AND m.host > $3), 1 \
        UNION ALL \
        SELECT (SELECT MIN(m.host) FROM media m WHERE m.application_id = $1 AND m.job_id = $2 \
            AND m.state = 'PENDING' AND m.host > h.host), h.nth + 1 \
        FROM hosts h WHERE h.host IS NOT NULL AND h.nth < 100 \
    ) \
    SELECT h.host AS host FROM hosts h WHERE h.host IS NOT NULL AND EXISTS (SELECT 1 FROM media m \
        WHERE m.application_id = $1 AND m.job_id = $2 AND m.state = 'PENDING' AND m.host = h.host \
        AND m.due_at <= $4) \
    ORDER BY h.nth";

/// Transactions that one look at a host may take to find something to fetch.
const STEPS: usize = 16;

/// Jobs whose turns over hosts are remembered.
const REMEMBERED_JOBS: usize = 1_000;

/// An import with media that are to be fetched.
#[derive(Debug, Clone, Copy, FromQueryResult)]
struct Job {
    application_id: Uuid,
    id: Uuid,
}

/// What a step came to.
enum Step {
    /// This is to be fetched.
    Claimed(Download),
    /// Media of the import were settled by what is known of their URL.
    Settled(ImportId),
    /// Media were put behind others with the same URL, or somebody else was faster.
    Again,
    /// There is nothing to do.
    Nothing,
}

/// Who claims, when, and until when.
#[derive(Clone, Copy)]
struct Claimer {
    owner: Uuid,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
}

impl Store {
    /// Takes downloads for `owner`, at most `limit`, each until `lease_until`.
    pub async fn claim_media(
        &self,
        owner: Uuid,
        after: &mut MediaCursor,
        busy: &BusyMedia,
        limit: usize,
        now: DateTime<Utc>,
        lease_until: DateTime<Utc>,
    ) -> Result<ClaimedMedia, Error> {
        let claimer = Claimer { owner, now, lease_until };
        let mut claimed = ClaimedMedia::default();
        if after.hosts.len() > REMEMBERED_JOBS {
            after.hosts.clear();
        }
        let (application, job) = after.job.unwrap_or_default();
        for job in self.query::<Job>(JOBS, [application.into(), job.into()]).await? {
            if claimed.downloads.len() >= limit {
                break;
            }
            after.job = Some((job.application_id, job.id));
            if !busy.jobs.contains(&ImportId(job.id)) {
                self.claim_of_job(claimer, job, after, busy, &mut claimed).await?;
            }
        }
        Ok(claimed)
    }

    async fn claim_of_job(
        &self,
        claimer: Claimer,
        job: Job,
        after: &mut MediaCursor,
        busy: &BusyMedia,
        claimed: &mut ClaimedMedia,
    ) -> Result<(), Error> {
        for host in self.due_hosts(job, after, claimer.now).await? {
            let is_taken = claimed.downloads.iter().any(|download| download.host == host);
            if is_taken || busy.hosts.contains(&host) {
                continue;
            }
            for _ in 0..STEPS {
                match self.claim_of_host(claimer, job, host.clone()).await? {
                    Step::Claimed(download) => {
                        after.hosts.insert(job.id, host);
                        claimed.downloads.push(download);
                        return Ok(());
                    }
                    Step::Settled(import) if !claimed.changed.contains(&import) => {
                        claimed.changed.push(import);
                    }
                    Step::Settled(_) | Step::Again => {}
                    Step::Nothing => break,
                }
            }
        }
        Ok(())
    }

    /// Hosts of a job from which something may be fetched, those behind the one served last first.
    async fn due_hosts(
        &self,
        job: Job,
        after: &MediaCursor,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, Error> {
        #[derive(FromQueryResult)]
        struct Host {
            host: String,
        }
        let behind = |host: String| {
            self.query::<Host>(HOSTS, [job.application_id.into(), job.id.into(), host.into(), now.into()])
        };
        let last = after.hosts.get(&job.id).cloned().unwrap_or_default();
        let mut hosts = behind(last.clone()).await?;
        if !last.is_empty() {
            let from_start = behind(String::new()).await?;
            hosts.extend(from_start.into_iter().take_while(|before| before.host <= last));
        }
        Ok(hosts.into_iter().map(|host| host.host).collect())
    }

    async fn claim_of_host(&self, claimer: Claimer, job: Job, host: String) -> Result<Step, Error> {
        let store = self.clone();
        let step = self.write(move |tx| {
            Box::pin(async move {
                let (application, id) = (ApplicationId(job.application_id), ImportId(job.id));
                let import = imports::get(tx, application, id).await?;
                if import.status != ImportStatus::Processing || import.pause_requested {
                    return Ok(Step::Nothing);
                }
                let found = medium::Entity::find()
                    .filter(Column::ApplicationId.eq(job.application_id))
                    .filter(Column::JobId.eq(job.id))
                    .filter(Expr::cust(PENDING))
                    .filter(Column::Host.eq(host))
                    .filter(Column::DueAt.lte(claimer.now))
                    .order_by_asc(Column::DueAt)
                    .limit(1)
                    .one(tx)
                    .await?;
                match found {
                    Some(found) => take_up(&store, tx, claimer, &import, found).await,
                    None => Ok(Step::Nothing),
                }
            })
        });
        match step.await {
            // Another process leads a row of the same URL since.
            Err(Error::Orm(error))
                if matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_))) =>
            {
                Ok(Step::Again)
            }
            step => step,
        }
    }

    async fn query<T: FromQueryResult>(
        &self,
        sql: &str,
        values: impl IntoIterator<Item = sea_orm::Value>,
    ) -> Result<Vec<T>, Error> {
        let rows = sea_orm::ConnectionTrait::query_all_raw(&self.db, self.statement(sql, values)).await?;
        rows.iter().map(|row| Ok(T::from_query_result(row, "")?)).collect()
    }
}

/// Does what is to be done about a row that is due: what is known of its URL already goes to it, it waits for the
/// row that leads, or it is claimed.
async fn take_up(
    store: &Store,
    tx: &DatabaseTransaction,
    claimer: Claimer,
    import: &Import,
    found: medium::Model,
) -> Result<Step, Error> {
    let group = Group::of(&found);
    let mut leading = medium::Entity::find().filter(group.rows()).filter(Expr::cust(LEADS));
    if let Bulk::Postgres(_) = store.bulk {
        // With nothing else locked: whoever is settling it is waited for.
        leading = leading.lock_exclusive();
    }
    let leader = match leading.one(tx).await? {
        Some(leader) if leader.due_at > claimer.now => {
            wait_for(store, tx, group, &leader, claimer.now).await?;
            return Ok(Step::Again);
        }
        Some(leader) => leader,
        None => {
            if settle::by_sibling(store, tx, group, claimer.now).await? {
                return Ok(Step::Settled(import.id));
            }
            found
        }
    };
    let died = i32::from(leader.owner.is_some());
    let claimed = medium::Entity::update_many()
        .col_expr(Column::Leads, Expr::value(true))
        .col_expr(Column::Owner, Expr::value(claimer.owner))
        .col_expr(Column::Epoch, Expr::col(Column::Epoch).add(1))
        .col_expr(Column::Attempts, Expr::col(Column::Attempts).add(died))
        .col_expr(Column::DueAt, Expr::value(claimer.lease_until))
        .filter(row(&leader))
        .filter(Expr::cust(PENDING))
        .filter(Column::Epoch.eq(leader.epoch))
        .filter(Column::DueAt.lte(claimer.now))
        .exec_with_returning(tx)
        .await?;
    let Some(claimed) = claimed.into_iter().next() else { return Ok(Step::Again) };
    let slot = MediaSlot::from_word(&claimed.slot).ok_or(Error::Corrupt("media.slot"))?;
    Ok(Step::Claimed(Download {
        application: import.application_id,
        job: import.id,
        url_id: claimed.url_id,
        url: claimed.url.ok_or(Error::Corrupt("media.url"))?,
        host: claimed.host,
        is_video: slot.is_video(),
        attempts: claimed.attempts.unsigned_abs(),
        epoch: claimed.epoch,
        remaining_budget: u64::try_from(import.media_budget() - import.media.bytes).unwrap_or(0),
    }))
}

/// Puts rows that are due behind the one that leads. Rows that somebody holds are passed over.
async fn wait_for(
    store: &Store,
    tx: &DatabaseTransaction,
    group: Group,
    leader: &medium::Model,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let lock = match store.bulk {
        Bulk::Postgres(_) => "FOR UPDATE SKIP LOCKED",
        Bulk::Sqlite(_) => "",
    };
    let wait = format!(
        "UPDATE media SET due_at = $4 WHERE (application_id, record_id, import_id, slot) IN \
         (SELECT application_id, record_id, import_id, slot FROM media \
          WHERE application_id = $1 AND job_id = $2 AND url_id = $3 AND state = 'PENDING' AND NOT leads \
          AND due_at <= $5 LIMIT {ROWS} {lock})"
    );
    let values = [group.application.into(), group.job.into(), group.url_id.into()];
    let values = values.into_iter().chain([leader.due_at.into(), now.into()]);
    sea_orm::ConnectionTrait::execute_raw(tx, store.statement(&wait, values)).await?;
    Ok(())
}
