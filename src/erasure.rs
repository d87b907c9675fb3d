//! Erasing a person or company: records, what row errors say of them, and their rows in stored sources.
//!
//! The records go first, in one transaction that leaves tombstones, so that nothing brings them back, and
//! writes down what is left to do. Then the objects of their media go that nothing else names, and every source the application still keeps is gone over, and each row
//! about them is blanked out: its segment is stored again under a new name, with the row's bytes as blanks,
//! before the old object is deleted. Rows keep their numbers, lines and bytes their places. A process that
//! dies in between leaves the rest to a sweeper. What cannot be parsed cannot be told apart: records larger
//! than a row may be stay as they are and are counted.

mod media;
mod sources;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::{
    clock,
    domain::{
        ids::{ApplicationId, ImportId, SessionId},
        import::Import,
        refusal::Refusal,
        segment::{SegmentKind, SegmentRange},
    },
    error::Error,
    fault_points,
    objects::{self, Objects},
    pipeline::Reading,
    store::{self, AuditEvent, Caller, Erased, ErasedKind, PendingErasure, Revised, SourceRows, Store},
};
use sources::{Places, blank_out_rows};

/// Imports looked at in one go.
const PAGE: u64 = 100;

/// How long an erasure is left to the process that works on it, which says at each source that it still does.
const LEASE: Duration = Duration::from_secs(600);

/// How long an erasure that could not be finished rests.
const RETRY: Duration = Duration::from_secs(5);

/// Erases people and companies; cheap to clone.
#[derive(Clone)]
pub struct Erasure {
    store: Store,
    objects: Objects,
    /// Sources are gone over for one erasure at a time.
    turn: Arc<Mutex<()>>,
}

/// What was erased.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// Sessions, decisions and media with them.
    pub sessions: u64,
    /// Transactions in which a party was made nameless.
    pub transactions: u64,
    /// Rows of stored sources that were blanked out.
    pub source_rows: u64,
    /// Rows of stored sources that nobody could read, and so may still hold something.
    pub unreadable_rows: u64,
    /// Stored images and videos that were deleted.
    pub media: u64,
}

/// What the sweeper came upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// How many erasures were finished, or media deleted.
    pub count: u64,
    /// Whether nothing failed.
    pub well: bool,
}

impl Erasure {
    /// Erasure over these stores.
    pub fn new(store: Store, objects: Objects) -> Self {
        Self { store, objects, turn: Arc::default() }
    }

    /// Erases a user.
    pub async fn erase_user(&self, caller: Caller, vendor_data: &str) -> Result<Report, Error> {
        self.erase_entity(caller, ErasedKind::User, vendor_data).await
    }

    /// Erases a business.
    pub async fn erase_business(&self, caller: Caller, vendor_data: &str) -> Result<Report, Error> {
        self.erase_entity(caller, ErasedKind::Business, vendor_data).await
    }

    async fn erase_entity(
        &self,
        caller: Caller,
        kind: ErasedKind,
        vendor_data: &str,
    ) -> Result<Report, Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        if vendor_data.is_empty() {
            return Err(Refusal::field("vendor_data", "must be given").into());
        }
        let action = match kind {
            ErasedKind::User => "erase_user",
            ErasedKind::Business => "erase_business",
        };
        let erasure = PendingErasure::new(application, kind, Some(vendor_data.to_owned()));
        let event = AuditEvent::new(caller, Some(application), action, erasure.id.to_string());
        let now = clock::now();
        let erased = self.store.erase_entity(erasure, event, now, lease(now)).await?;
        fault_points::reach("entity_erased");
        self.go_on(erased).await
    }

    /// Erases one session; gives its number, too.
    pub async fn delete_session(&self, caller: Caller, id: SessionId) -> Result<(i64, Report), Error> {
        let application = caller.application.ok_or(Refusal::NoApplication)?;
        let (kind, number) = match self.store.find_session(application, id).await? {
            Some(session) => (ErasedKind::User, session.columns.session_number),
            None => {
                let found = self.store.find_business_session(application, id).await?;
                let session = found.ok_or(Refusal::NotFound("session"))?;
                (ErasedKind::Business, session.session_number)
            }
        };
        let event = AuditEvent::new(caller, Some(application), "delete_session", id.to_string());
        let now = clock::now();
        let erasure = PendingErasure::new(application, kind, None);
        let erased = self.store.erase_session(erasure, id, event, now, lease(now)).await?;
        Ok((number, self.go_on(erased).await?))
    }

    /// Goes on with erasures that nobody works on any more.
    pub async fn resume(&self) -> Swept {
        let mut swept = Swept { count: 0, well: true };
        loop {
            let now = clock::now();
            let pending = match self.store.claim_erasure(now, lease(now)).await {
                Ok(Some(pending)) => pending,
                Ok(None) => return swept,
                Err(error) => {
                    warn!(error = &error as &dyn std::error::Error, "could not look for unfinished erasures");
                    return Swept { well: false, ..swept };
                }
            };
            match self.finish(&pending).await {
                Ok(report) => {
                    info!(erasure.id = %pending.id, rows = report.source_rows, "erasure finished");
                    swept.count += 1;
                }
                // It stays written down, and is tried again after a while.
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    warn!(erasure.id = %pending.id, error, "could not finish an erasure");
                    swept.well = false;
                }
            }
        }
    }

    /// Goes over the sources in a task of its own: a caller who hangs up does not stop it half-way.
    #[expect(clippy::disallowed_methods, reason = "it outlives the call")]
    async fn go_on(&self, erased: Erased) -> Result<Report, Error> {
        let erasure = self.clone();
        let Erased { sessions, transactions, pending } = erased;
        let finishing = tokio::spawn(async move { erasure.finish(&pending).await });
        let report = finishing.await.map_err(store::Error::from)?.map_err(|error| {
            warn!(error = &error as &dyn std::error::Error, "an erasure is gone on with later");
            Refusal::ErasureGoesOn { sessions, transactions }
        })?;
        Ok(Report { sessions, transactions, ..report })
    }

    /// Deletes media, goes over all sources, and forgets the erasure; when it cannot, gives it back.
    async fn finish(&self, pending: &PendingErasure) -> Result<Report, Error> {
        let _turn = self.turn.lock().await;
        let media = self.delete_unnamed(pending.application, &pending.media).await;
        let gone_over = self.go_over_sources(pending).await;
        if media.is_err() || gone_over.is_err() {
            self.store.lease_erasure(pending, clock::now() + RETRY).await?;
        }
        let report = Report { media: media?, ..gone_over? };
        self.store.end_erasure(pending).await?;
        if let Err(error) = self.store.overwrite_deleted().await {
            let error = &error as &dyn std::error::Error;
            warn!(erasure.id = %pending.id, error, "what was deleted is not overwritten yet");
        }
        Ok(report)
    }

    /// Goes over every source and segment, also behind one that cannot be; fails then all the same.
    async fn go_over_sources(&self, pending: &PendingErasure) -> Result<Report, Error> {
        let mut report = Report::default();
        let (mut after, mut failed) = (None, None);
        self.delete_replaced(pending.application).await?;
        loop {
            let imports = self.store.list_imports_with_source(pending.application, after, PAGE).await?;
            let Some(last) = imports.last() else { return failed.map_or(Ok(report), Err) };
            after = Some(last.id);
            for import in imports {
                self.store.lease_erasure(pending, lease(clock::now())).await?;
                let places = Places::of(import.spec.import_type, pending);
                if let (Some(places), Ok(reading)) = (places, Reading::of(&import)) {
                    let source = Arc::new((import, reading, places, pending.clone()));
                    if let Err(error) = self.clean_source(&source, &mut report).await {
                        failed.get_or_insert(error);
                    }
                }
            }
        }
    }

    async fn clean_source(&self, source: &Arc<Source>, report: &mut Report) -> Result<(), Error> {
        let (application, id) = (source.0.application_id, source.0.id);
        let mut ranges = self.store.list_segments(application, id, 0).await?;
        ranges.reverse();
        let mut failed = None;
        while let Some(range) = ranges.pop() {
            match self.clean_segment(source, range, report).await {
                Ok(Revised::Done) => {}
                Ok(Revised::SourceGone) => return Ok(()),
                Err(error) => drop(failed.get_or_insert(error)),
                Ok(Revised::Changed) => {
                    self.delete_replaced(application).await?;
                    ranges = self.store.list_segments(application, id, range.seq).await?;
                    ranges.reverse();
                }
            }
        }
        // What a process stored that died before it could write it down holds rows, too.
        let named = self.store.list_segments(application, id, 0).await?;
        let before = clock::now() - LEASE;
        self.objects.delete_strays(application, id, &named, before).await?;
        failed.map_or(Ok(()), Err)
    }

    /// Blanks rows of a segment out, where there are any to be.
    async fn clean_segment(
        &self,
        source: &Arc<Source>,
        range: SegmentRange,
        report: &mut Report,
    ) -> Result<Revised, Error> {
        let (application, id) = (source.0.application_id, source.0.id);
        let bytes = match self.objects.get_segment(application, id, &range).await {
            Ok(bytes) => bytes,
            Err(objects::Error::Gone) => {
                let is_that = self.store.find_segment(application, id, range.seq).await? == Some(range);
                return Ok(if is_that { Revised::Done } else { Revised::Changed });
            }
            Err(error) => return Err(error.into()),
        };
        if range.kind != SegmentKind::Records {
            report.unreadable_rows += u64::from(range.rows.unsigned_abs());
            return Ok(Revised::Done);
        }
        let of = source.clone();
        let found = tokio::task::spawn_blocking(move || {
            let (import, reading, places, pending) = &*of;
            blank_out_rows(pending, places, import, reading, &range, &bytes)
        });
        let found = found.await.map_err(store::Error::from)?;
        let mut revised = Revised::Done;
        let count = found.rows.len() as u64;
        if let Some(bytes) = found.bytes {
            revised = self.revise(application, id, range, bytes, found.rows).await?;
        }
        if revised == Revised::Done {
            report.source_rows += count;
            report.unreadable_rows += found.unreadable;
        }
        Ok(revised)
    }

    async fn revise(
        &self,
        application: ApplicationId,
        id: ImportId,
        before: SegmentRange,
        bytes: Bytes,
        rows: Vec<i64>,
    ) -> Result<Revised, Error> {
        // A number that another process, revising the same segment, does not come upon.
        let revision = (clock::new_id().as_u128() as i32 & i32::MAX).max(1);
        let after = SegmentRange { crc32c: crc32c::crc32c(&bytes), revision, ..before };
        self.objects.put_segment(application, id, &after, bytes).await?;
        fault_points::reach("blanked_segment_stored");
        match self.store.revise_segment(application, id, SourceRows { before, after, rows }).await {
            Ok(Revised::Done) => {
                fault_points::reach("segment_revised");
                self.delete_replaced_segment(application, id, before).await?;
                Ok(Revised::Done)
            }
            Ok(other) => {
                self.objects.delete_segment(application, id, &after).await?;
                Ok(other)
            }
            // It may have come to pass all the same, so the object stays; it goes with the whole source.
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the objects of segments that were revised, where that was left undone.
    async fn delete_replaced(&self, application: ApplicationId) -> Result<(), Error> {
        for (id, range) in self.store.list_replaced_segments(application).await? {
            self.delete_replaced_segment(application, id, range).await?;
        }
        Ok(())
    }

    async fn delete_replaced_segment(
        &self,
        application: ApplicationId,
        id: ImportId,
        replaced: SegmentRange,
    ) -> Result<(), Error> {
        self.objects.delete_segment(application, id, &replaced).await?;
        Ok(self.store.forget_replaced_segment(application, id, replaced).await?)
    }
}

/// A source, how it is read, and what is looked for in it.
type Source = (Import, Reading, Places, PendingErasure);

fn lease(now: DateTime<Utc>) -> DateTime<Utc> {
    now + LEASE
}
