//! One download: from its URL into a file, through inspection, into the object store.

use std::{io, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{sync::Semaphore, task};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use uuid::Uuid;

use super::{
    MediaSettings,
    in_flight::Flight,
    inspect::{self, Flaw},
    spool::{Spool, Spooled},
};
use crate::{
    clock,
    error::Error,
    fault_points,
    guard::{Ask, FetchError, Guard},
    objects::Objects,
    store::{Announced, Download, MediaOutcome, Store, StoredMedium},
};

/// Wait of a medium after its first failure; each later one doubles it.
const BACKOFF: Duration = Duration::from_secs(2);

/// Longest wait that a server may ask for.
const MAX_WAIT: Duration = Duration::from_mins(5);

/// Time between two tries of what is our own to provide: room on the disk, and the object store.
const OWN_WAIT: Duration = Duration::from_secs(2);

/// What downloads are made with.
pub(super) struct Downloader {
    pub(super) guard: Guard,
    pub(super) store: Store,
    /// Who holds what is downloaded.
    pub(super) owner: Uuid,
    pub(super) objects: Objects,
    pub(super) spool: Spool,
    pub(super) puts: Semaphore,
    pub(super) settings: MediaSettings,
}

/// How a download ends.
pub(super) enum End {
    /// For good.
    Settled(MediaOutcome),
    /// It is to be tried again from then on.
    PutOff(DateTime<Utc>),
    /// It is another's, at once.
    Released,
}

/// Why a medium is not fetched.
pub(super) enum Trouble {
    /// The other side, or the way there.
    Fetch(FetchError),
    /// What came is not what is stored.
    Unfit { reason: &'static str, message: String },
    /// Ours; nothing is said against the medium.
    Own(io::Error),
}

impl Trouble {
    pub(super) fn corrupt(message: &str) -> Self {
        Self::Unfit { reason: "MEDIA_CORRUPT", message: message.to_owned() }
    }

    pub(super) fn of_type(found: &str, wanted: &str) -> Self {
        Self::Unfit { reason: "MEDIA_TYPE", message: format!("it is {found}, and not {wanted}") }
    }
}

impl From<FetchError> for Trouble {
    fn from(error: FetchError) -> Self {
        Self::Fetch(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Own(error)
    }
}

impl From<Flaw> for Trouble {
    fn from(flaw: Flaw) -> Self {
        let reason = match flaw {
            Flaw::Unreadable(error) => return Self::Own(error),
            Flaw::Corrupt(_) => "MEDIA_CORRUPT",
            Flaw::Frames => "MEDIA_FRAMES",
            Flaw::Dimensions(_) => "MEDIA_DIMENSIONS",
        };
        Self::Unfit { reason, message: flaw.to_string() }
    }
}

impl Downloader {
    /// Carries one out, whatever becomes of it; when this process stops, it is given back.
    pub(super) async fn carry_out(&self, flight: &Flight, stop: &CancellationToken) -> End {
        if let Some(end) = self.foregone(flight) {
            return end;
        }
        let Some(fetched) = stop.run_until_cancelled(self.fetch(&flight.download)).await else {
            return End::Released;
        };
        match fetched {
            Ok((spooled, medium)) => {
                flight.answered();
                self.keep(&flight.download, &spooled, medium, stop).await
            }
            Err(Trouble::Unfit { reason, message }) => {
                flight.answered();
                failed(reason, message)
            }
            Err(Trouble::Fetch(error)) => self.judge(flight, &error),
            Err(Trouble::Own(error)) => {
                warn!(error = &error as &dyn std::error::Error, "a medium cannot be spooled");
                stop.run_until_cancelled(tokio::time::sleep(OWN_WAIT)).await;
                End::Released
            }
        }
    }

    /// How one ends for which nobody is to be asked.
    fn foregone(&self, flight: &Flight) -> Option<End> {
        let download = &flight.download;
        if let Some(error) = flight.is_hopeless() {
            return Some(failed(error.code(), format!("{error}, and did so before ({})", download.host)));
        }
        if download.attempts >= self.settings.attempts {
            let message = "whoever fetched it died, again and again".to_owned();
            return Some(failed("MEDIA_ABANDONED", message));
        }
        (download.remaining_budget == 0).then(over_budget)
    }

    /// Fetches a medium and looks at it.
    async fn fetch(&self, download: &Download) -> Result<(Spooled, StoredMedium), Trouble> {
        let ask = Ask {
            max_bytes: self.bytes(download).min(download.remaining_budget),
            total_time: Some(self.settings.total_time),
            ..Ask::default()
        };
        let answer = self.guard.get(&download.url, ask).await?;
        let spooled = self.spool.receive(answer.body, download.is_video).await?;
        let (file, kind, max_pixels) = (spooled.file.try_clone()?, spooled.kind, self.settings.image_pixels);
        let looked = task::spawn_blocking(move || inspect::inspect(&file, kind, max_pixels)).await;
        let picture = looked.map_err(|_| Trouble::corrupt("it cannot be read"))??;
        let medium = StoredMedium {
            sha256: spooled.sha256,
            size: spooled.size,
            media_type: kind.media_type(),
            width: picture.map(|picture| picture.width),
            height: picture.map(|picture| picture.height),
        };
        Ok((spooled, medium))
    }

    /// Puts it into the object store, which is waited for.
    async fn keep(
        &self,
        download: &Download,
        spooled: &Spooled,
        medium: StoredMedium,
        stop: &CancellationToken,
    ) -> End {
        loop {
            match self.put(download, spooled, medium.media_type).await {
                Ok(Announced::Free) => {
                    fault_points::reach("medium_stored");
                    return End::Settled(MediaOutcome::Stored(medium));
                }
                Ok(Announced::Lost) => return End::Released,
                Ok(Announced::BeingDeleted) => {}
                Err(error) => warn!(
                    import.id = %download.job,
                    error = &error as &dyn std::error::Error,
                    "a medium is not stored yet"
                ),
            }
            if stop.run_until_cancelled(tokio::time::sleep(OWN_WAIT)).await.is_none() {
                return End::Released;
            }
        }
    }

    /// Puts it into the object store, if it may be.
    async fn put(
        &self,
        download: &Download,
        Spooled { sha256, file, .. }: &Spooled,
        media_type: &'static str,
    ) -> Result<Announced, Error> {
        let announced = self.store.announce_medium(self.owner, download, sha256, clock::now()).await?;
        if announced == Announced::Free {
            let _room = self.puts.acquire().await;
            self.objects.put_medium(download.application, sha256, media_type, file).await?;
        }
        Ok(announced)
    }

    /// Tries again later what may pass by itself.
    fn judge(&self, flight: &Flight, error: &FetchError) -> End {
        let download = &flight.download;
        flight.failed(error);
        if error.is_transient() && download.attempts + 1 < self.settings.attempts {
            debug!(import.id = %download.job, reason = error.code(), "a medium is tried again");
            let wait = error.retry_after().unwrap_or_else(|| backoff(download.attempts));
            return End::PutOff(clock::now() + wait.min(MAX_WAIT));
        }
        match error {
            FetchError::TooLarge { limit } if *limit < self.bytes(download) => over_budget(),
            FetchError::TooLarge { limit } => {
                failed("MEDIA_TOO_LARGE", format!("it has more than {limit} bytes"))
            }
            FetchError::Empty => failed("MEDIA_CORRUPT", "there is nothing in it".to_owned()),
            error => failed(error.code(), format!("{error} ({})", download.host)),
        }
    }

    /// Bytes that one of its kind may have.
    const fn bytes(&self, download: &Download) -> u64 {
        if download.is_video { self.settings.video_bytes } else { self.settings.image_bytes }
    }
}

/// A wait that media which failed together do not end together.
fn backoff(attempts: u32) -> Duration {
    let wait = BACKOFF.saturating_mul(2_u32.saturating_pow(attempts));
    wait.mul_f64(0.75 + 0.5 * fastrand::f64())
}

fn failed(reason: &'static str, message: String) -> End {
    End::Settled(MediaOutcome::Failed { reason, message })
}

fn over_budget() -> End {
    failed("MEDIA_BUDGET", "the import's bytes of media are used up".to_owned())
}
