//! Media: what is to be fetched for the records of an import, who fetches it, and what came of it.
//!
//! Rows of one job, the import that fetches and counts them, with the same URL are one download. One of these
//! rows leads: whoever fetches holds that one, and the others wait for what comes of it.

use std::{collections::HashMap, fmt};

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Store, error::Error};
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

/// Where claims stand in their turns over jobs, and over the hosts of each.
#[derive(Debug, Default)]
pub struct MediaCursor {
    /// The job that was served last.
    job: Option<(Uuid, Uuid)>,
    /// The host that was served last, of each job.
    hosts: HashMap<Uuid, String>,
}

/// What is to be passed over because as much of it is fetched as may be.
#[derive(Debug, Default)]
pub struct BusyMedia {
    /// Hosts, as [`Download::host`] names them.
    pub hosts: Vec<String>,
    /// Jobs.
    pub jobs: Vec<ImportId>,
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

impl Store {
    /// Takes downloads for `owner`, at most `limit`, each until `lease_until`.
    pub async fn claim_media(
        &self,
        _owner: Uuid,
        _after: &mut MediaCursor,
        _busy: &BusyMedia,
        _limit: usize,
        _now: DateTime<Utc>,
        _lease_until: DateTime<Utc>,
    ) -> Result<ClaimedMedia, Error> {
        Ok(ClaimedMedia::default())
    }

    /// Lets these downloads of `owner` hold until `lease_until`, each named by its job and URL. Others of it may
    /// have been claimed in vain, where the answer was lost.
    pub async fn renew_media(
        &self,
        _owner: Uuid,
        _held: Vec<(ApplicationId, ImportId, Uuid)>,
        _now: DateTime<Utc>,
        _lease_until: DateTime<Utc>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Gives a download up that has failed, to be claimed again from `again` on.
    pub async fn put_off_media(
        &self,
        _owner: Uuid,
        _download: &Download,
        _again: DateTime<Utc>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Gives a download up that has not failed, to be claimed again at once: this process stops.
    pub async fn release_media(
        &self,
        _owner: Uuid,
        _download: &Download,
        _now: DateTime<Utc>,
    ) -> Result<(), Error> {
        Ok(())
    }

    /// Settles downloads: what came of them goes to every row that links to them, and their jobs' counters, in
    /// one transaction; a job that waited for nothing else ends. What would pass a job's byte budget fails. Gives
    /// the imports that were changed; downloads whose claim is lost, or whose job has ended, change nothing.
    pub async fn settle_media(
        &self,
        _owner: Uuid,
        _batch: Vec<(Download, MediaOutcome)>,
        _now: DateTime<Utc>,
    ) -> Result<Vec<ImportId>, Error> {
        Ok(Vec::new())
    }
}
