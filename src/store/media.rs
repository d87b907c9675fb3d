//! Media: what is to be fetched for the records of an import, who fetches it, and what came of it.
//!
//! Rows of one job, the import that fetches and counts them, with the same URL are one download. One of these
//! rows leads: whoever fetches holds that one, and the others wait for what comes of it.

mod claim;
mod deletions;
mod settle;

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter,
    sea_query::{Expr, LockBehavior, LockType, Query},
};
use uuid::Uuid;

pub use deletions::Announced;

use super::{
    Store,
    entities::medium::{self, Column},
    error::Error,
};
use crate::domain::ids::{ApplicationId, ImportId};

/// A URL that is to be fetched for an import, held for whoever claimed it until its lease runs out.
#[derive(Clone)]
pub struct Download {
    /// Whose it is.
    pub application: ApplicationId,
    /// The import that fetches and counts it.
    pub job: ImportId,
    /// What its URL comes to; one download a job and URL.
    pub url_id: Uuid,
    /// Where it is; never shown, since it may hold a token.
    pub url: String,
    /// Its host, as [`crate::domain::media::host_of`] tells it.
    pub host: String,
    /// Whether a video is expected there, or an image.
    pub is_video: bool,
    /// How often it has failed, or whoever held it let the lease run out.
    pub attempts: u32,
    /// Which claim this is.
    pub epoch: i64,
    /// Bytes that may still be stored for its job.
    pub remaining_budget: u64,
}

impl fmt::Debug for Download {
    /// Without the URL, which may hold a token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("job", &self.job)
            .field("url_id", &self.url_id)
            .finish_non_exhaustive()
    }
}

/// What came of a download.
#[derive(Debug, Clone)]
pub enum MediaOutcome {
    /// It is in the object store.
    Stored(StoredMedium),
    /// It will not be.
    Failed {
        /// Why, as a stable word such as `MEDIA_TYPE`.
        reason: &'static str,
        /// Why, in words; without anything of the URL but its host.
        message: String,
    },
}

/// A medium in the object store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredMedium {
    /// SHA-256 of its bytes, which it is stored under.
    pub sha256: [u8; 32],
    /// How many they are.
    pub size: u64,
    /// Its media type, such as `image/jpeg`.
    pub media_type: &'static str,
    /// Its width in pixels, where that is known.
    pub width: Option<u32>,
    /// Its height in pixels, where that is known.
    pub height: Option<u32>,
}

/// Where claims stand in their turns over applications, over the jobs of each, and over the hosts of each of these.
#[derive(Debug, Default)]
pub struct MediaCursor {
    /// The application that was served last.
    application: Uuid,
    /// The job that was served last, of each application.
    jobs: HashMap<Uuid, Uuid>,
    /// The host that was served last, of each job.
    hosts: HashMap<Uuid, String>,
}

/// What is to be passed over because as much of it is fetched as may be.
#[derive(Debug)]
pub struct BusyMedia {
    /// Hosts, as [`Download::host`] names them.
    pub hosts: Vec<String>,
    /// Jobs.
    pub jobs: Vec<ImportId>,
    /// How many downloads there are of each application. One look may take several of one, each of another job.
    pub applications: HashMap<ApplicationId, usize>,
    /// How many there may be.
    pub per_application: usize,
}

impl Default for BusyMedia {
    /// Nothing is.
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            jobs: Vec::new(),
            applications: HashMap::new(),
            per_application: usize::MAX,
        }
    }
}

impl BusyMedia {
    /// Whether an application has all it may have, with what was claimed since.
    fn has_its_share(&self, application: ApplicationId, claimed: &[Download]) -> bool {
        let since = claimed.iter().filter(|download| download.application == application).count();
        self.applications.get(&application).copied().unwrap_or(0) + since >= self.per_application
    }
}

/// What came of a look for media.
#[derive(Debug, Default)]
pub struct ClaimedMedia {
    /// What is to be fetched, at most one of each job and of each host; where there is room, there may be more
    /// of them.
    pub downloads: Vec<Download>,
    /// Imports that were changed: they have media of which all is known already.
    pub changed: Vec<ImportId>,
}

/// Rows of one URL that one transaction goes over. A file may link to one thing from every row of it.
const ROWS: u64 = 1_000;

/// Media that wait, and rows that lead: in the words of the indexes for them, which no parameter matches.
const PENDING: &str = "state = 'PENDING'";
const LEADS: &str = "leads";

/// What names a row.
const KEY: [Column; 4] = [Column::ApplicationId, Column::RecordId, Column::ImportId, Column::Slot];

/// Rows of a job that link to a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Group {
    application: Uuid,
    job: Uuid,
    url_id: Uuid,
}

impl Group {
    fn of(row: &medium::Model) -> Self {
        Self { application: row.application_id, job: row.job_id, url_id: row.url_id }
    }

    fn rows(self) -> Condition {
        Condition::all()
            .add(Column::ApplicationId.eq(self.application))
            .add(Column::JobId.eq(self.job))
            .add(Column::UrlId.eq(self.url_id))
    }
}

impl From<&Download> for Group {
    fn from(download: &Download) -> Self {
        Self { application: download.application.0, job: download.job.0, url_id: download.url_id }
    }
}

/// Exactly one row.
fn row(medium: &medium::Model) -> Condition {
    Condition::all()
        .add(Column::ApplicationId.eq(medium.application_id))
        .add(Column::RecordId.eq(medium.record_id))
        .add(Column::ImportId.eq(medium.import_id))
        .add(Column::Slot.eq(medium.slot.clone()))
}

impl Store {
    /// Lets downloads of `owner` hold until `lease_until`, each named by its application, job and URL. Those that
    /// were claimed in vain, because the answer was lost, are not among them. What is being settled at this moment
    /// needs it not, and is not waited for.
    pub async fn renew_media(
        &self,
        owner: Uuid,
        held: &[(ApplicationId, ImportId, Uuid)],
        lease_until: DateTime<Utc>,
    ) -> Result<(), Error> {
        let group = Expr::tuple([Column::ApplicationId, Column::JobId, Column::UrlId].map(Expr::col));
        let held = held.iter().map(|(application, job, url_id)| (application.0, job.0, *url_id));
        let mut renewed = Query::select();
        renewed
            .columns(KEY)
            .from(medium::Entity)
            .and_where(group.in_tuples(held))
            .and_where(Expr::cust(LEADS))
            .and_where(Column::Owner.eq(owner))
            .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked);
        let renew = medium::Entity::update_many()
            .col_expr(Column::DueAt, Expr::value(lease_until))
            .filter(Expr::tuple(KEY.map(Expr::col)).in_subquery(renewed));
        self.write(move |tx| Box::pin(async move { Ok(renew.exec(tx).await.map(drop)?) })).await
    }

    /// Gives a download back that has failed, to be claimed again from `again` on.
    pub async fn put_off_media(
        &self,
        owner: Uuid,
        download: &Download,
        again: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.give_back(owner, download, Expr::col(Column::Attempts).add(1), again).await
    }

    /// Gives a download back that has not failed, to be claimed again at once: whoever held it stops.
    pub async fn release_media(
        &self,
        owner: Uuid,
        download: &Download,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.give_back(owner, download, Expr::col(Column::Attempts), now).await
    }

    async fn give_back(
        &self,
        owner: Uuid,
        download: &Download,
        attempts: impl Into<Expr>,
        again: DateTime<Utc>,
    ) -> Result<(), Error> {
        let give_back = medium::Entity::update_many()
            .col_expr(Column::Owner, Expr::value(Option::<Uuid>::None))
            .col_expr(Column::Attempts, attempts.into())
            .col_expr(Column::DueAt, Expr::value(again))
            .filter(Group::from(download).rows())
            .filter(Expr::cust(LEADS))
            .filter(Column::Owner.eq(owner))
            .filter(Column::Epoch.eq(download.epoch));
        self.write(move |tx| Box::pin(async move { Ok(give_back.exec(tx).await.map(drop)?) })).await
    }
}
