//! Claims: turns go round over applications, over the jobs of each, and over the hosts of each of these, so that
//! neither many imports, nor a large one, nor a slow or dead host holds others up.

use std::collections::HashMap;

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

/// Jobs that one look goes over, by application, those of applications behind the one served last first.
const JOBS: &str = "SELECT application_id, id FROM imports \
    WHERE status IN ('PENDING', 'PROCESSING', 'PAUSED') AND status = 'PROCESSING' AND media_pending_count > 0 \
    AND NOT pause_requested \
    ORDER BY (application_id > $1) DESC, application_id, id LIMIT 256";

/// Hosts of a job behind `$3` that something is to be fetched from, and whether it may be by `$4`. Each is found by
/// one step into the index, however much it has.
const HOSTS: &str = "WITH RECURSIVE hosts (host, nth) AS ( \
        SELECT (SELECT MIN(m.host) FROM media m WHERE m.application_id = $1 AND m.job_id = $2 \
            AND m.state = 'PENDING' AND m.host > $3), 1 \
        UNION ALL \
        SELECT (SELECT MIN(m.host) FROM media m WHERE m.application_id = $1 AND m.job_id = $2 \
            AND m.state = 'PENDING' AND m.host > h.host), h.nth + 1 \
        FROM hosts h WHERE h.host IS NOT NULL AND h.nth < {AT_ONCE} \
    ) \
    SELECT h.host AS host, EXISTS (SELECT 1 FROM media m \
        WHERE m.application_id = $1 AND m.job_id = $2 AND m.state = 'PENDING' AND m.host = h.host \
        AND m.due_at <= $4) AS is_due \
    FROM hosts h WHERE h.host IS NOT NULL ORDER BY h.nth";

/// Hosts that are read at once.
const AT_ONCE: usize = 100;

/// How often hosts of one job are read in one look. Where there are more, the next look goes on behind them.
const READS: usize = 4;

/// Transactions that one look at a host may take to find something to fetch.
const STEPS: usize = 16;

/// Jobs whose turns over hosts are remembered.
const REMEMBERED_JOBS: usize = 1_000;

/// A host of a job.
#[derive(FromQueryResult)]
struct Host {
    host: String,
    is_due: bool,
}

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
        if after.hosts.len().max(after.jobs.len()) > REMEMBERED_JOBS {
            (after.hosts, after.jobs) = Default::default();
        }
        for job in in_turn(self.query::<Job>(JOBS, [after.application.into()]).await?, &after.jobs) {
            if claimed.downloads.len() >= limit {
                break;
            }
            let application = ApplicationId(job.application_id);
            // Who is passed over has had no turn.
            if busy.jobs.contains(&ImportId(job.id)) || busy.has_its_share(application, &claimed.downloads) {
                continue;
            }
            after.application = job.application_id;
            after.jobs.insert(job.application_id, job.id);
            match self.claim_of_job(claimer, job, after, busy, &mut claimed).await {
                // What is claimed already is to be fetched; the next look has its own error.
                Err(_) if !claimed.downloads.is_empty() => break,
                result => result?,
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
        let served = after.hosts.get(&job.id).cloned().unwrap_or_default();
        let (mut behind, mut is_second_round) = (served.clone(), false);
        for _ in 0..READS {
            let values = [job.application_id.into(), job.id.into(), behind.into(), claimer.now.into()];
            let hosts = self.query::<Host>(&HOSTS.replace("{AT_ONCE}", &AT_ONCE.to_string()), values).await?;
            let last = hosts.last().filter(|_| hosts.len() == AT_ONCE).map(|last| last.host.clone());
            for Host { host, is_due } in hosts {
                if is_second_round && host > served {
                    return Ok(());
                }
                let is_taken = claimed.downloads.iter().any(|download| download.host == host);
                if is_due
                    && !is_taken
                    && !busy.hosts.contains(&host)
                    && self.claim_of_host(claimer, job, &host, claimed).await?
                {
                    after.hosts.insert(job.id, host);
                    return Ok(());
                }
            }
            match last {
                Some(last) => behind = last,
                None if is_second_round || served.is_empty() => return Ok(()),
                None => (behind, is_second_round) = (String::new(), true),
            }
        }
        after.hosts.insert(job.id, behind);
        Ok(())
    }

    /// Claims something that is due at a host, and settles what is found to be known already; tells whether there
    /// was something to claim.
    async fn claim_of_host(
        &self,
        claimer: Claimer,
        job: Job,
        host: &str,
        claimed: &mut ClaimedMedia,
    ) -> Result<bool, Error> {
        for _ in 0..STEPS {
            match self.step(claimer, job, host.to_owned()).await? {
                Step::Claimed(download) => {
                    claimed.downloads.push(download);
                    return Ok(true);
                }
                Step::Settled(import) if !claimed.changed.contains(&import) => claimed.changed.push(import),
                Step::Settled(_) | Step::Again => {}
                Step::Nothing => break,
            }
        }
        Ok(false)
    }

    async fn step(&self, claimer: Claimer, job: Job, host: String) -> Result<Step, Error> {
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

/// Jobs, sorted by application, in the order of their turns: one of each application, then another of each.
fn in_turn(mut jobs: Vec<Job>, served: &HashMap<Uuid, Uuid>) -> Vec<Job> {
    let mut turns = Vec::with_capacity(jobs.len());
    for jobs in jobs.chunk_by_mut(|one, other| one.application_id == other.application_id) {
        let last = jobs.first().and_then(|job| served.get(&job.application_id));
        let next = last.map_or(0, |last| jobs.partition_point(|job| job.id <= *last));
        jobs.rotate_left(next);
        turns.extend(jobs.iter().copied().enumerate());
    }
    turns.sort_by_key(|(turn, _)| *turn);
    turns.into_iter().map(|(_, job)| job).collect()
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
    // PostgreSQL may ask a query behind IN again for each row, and a limit within it is none.
    let wait = format!(
        "WITH due AS MATERIALIZED (SELECT application_id, record_id, import_id, slot FROM media \
          WHERE application_id = $1 AND job_id = $2 AND url_id = $3 AND state = 'PENDING' AND NOT leads \
          AND due_at <= $5 LIMIT {ROWS} {lock}) \
         UPDATE media SET due_at = $4 WHERE (application_id, record_id, import_id, slot) IN \
         (SELECT application_id, record_id, import_id, slot FROM due)"
    );
    let values = [group.application.into(), group.job.into(), group.url_id.into()];
    let values = values.into_iter().chain([leader.due_at.into(), now.into()]);
    sea_orm::ConnectionTrait::execute_raw(tx, store.statement(&wait, values)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_application_with_many_jobs_has_no_more_turns_than_others() {
        let job =
            |application, id| Job { application_id: Uuid::from_u128(application), id: Uuid::from_u128(id) };
        let jobs = vec![job(2, 21), job(2, 22), job(2, 23), job(3, 31), job(1, 11), job(1, 12)];
        let turns = |served: &[(u128, u128)]| -> Vec<u128> {
            let served = served.iter().map(|(of, id)| (Uuid::from_u128(*of), Uuid::from_u128(*id)));
            in_turn(jobs.clone(), &served.collect()).iter().map(|job| job.id.as_u128()).collect()
        };
        assert_eq!(turns(&[]), [21, 31, 11, 22, 12, 23]);
        assert_eq!(turns(&[(2, 22), (3, 31), (1, 19)]), [23, 31, 11, 21, 12, 22]);
    }
}
