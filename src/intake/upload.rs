//! Open upload streams: who may write, and how pieces and the outcome get across.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::segment_writer::SegmentWriter;
use crate::{
    clock,
    domain::{ids::ImportId, import::Import, limits::Limits, refusal::Refusal},
    error::Error,
    feed::Feed,
    objects::Objects,
    store::{Caller, Store, UploadLease},
};

/// Pieces that wait between the stream and its intake.
const PIECES: usize = 2;

/// What a stream hands over.
#[derive(Debug)]
pub enum Piece {
    /// The next bytes of the file as sent.
    Data(Bytes),
    /// There are no more.
    Finish(Finish),
}

/// The end of an upload, as the caller sees it.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Size of the file as sent.
    pub size: u64,
    /// Its SHA-256, where the caller told it.
    pub sha256: Option<[u8; 32]>,
}

/// Takes uploads in; cheap to clone.
#[derive(Clone)]
pub struct Intake {
    pub(super) store: Store,
    pub(super) objects: Objects,
    pub(super) feed: Feed,
    pub(super) limits: Limits,
    tasks: TaskTracker,
    stop: CancellationToken,
    open: Arc<Mutex<HashMap<ImportId, (i64, CancellationToken)>>>,
}

/// What became of opening an upload.
pub enum Opened {
    /// The stream may send.
    Stream(Upload),
    /// There is nothing more to send: the upload is finished already.
    Finished(Box<Import>),
}

/// An open upload stream.
pub struct Upload {
    /// Where the next byte belongs.
    pub offset: u64,
    pieces: mpsc::Sender<Piece>,
    task: JoinHandle<Result<Import, Error>>,
}

impl Upload {
    /// Waits for room for the next piece; `None` once the intake has ended by itself.
    pub async fn reserve(&self) -> Option<mpsc::Permit<'_, Piece>> {
        self.pieces.reserve().await.ok()
    }

    /// Waits until the intake has ended, which it does by itself only when something is wrong.
    pub async fn ended(&self) {
        self.pieces.closed().await;
    }

    /// Ends the stream's side and waits for the outcome.
    pub async fn outcome(self) -> Result<Import, Error> {
        drop(self.pieces);
        self.task.await?
    }
}

impl Intake {
    /// An intake whose tasks `tasks` tracks; `stop` ends its open streams.
    pub fn new(
        store: Store,
        objects: Objects,
        feed: Feed,
        limits: Limits,
        tasks: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self { store, objects, feed, limits, tasks, stop, open: Arc::default() }
    }

    /// Runs work that outlives the call that began it, and that the stop waits for.
    pub fn track(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Whether that work is to end where it stands.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Bounds of a source.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Opens the upload of an import at `offset`, which must be its committed size; a stream that
    /// was open before is told that it has been taken over.
    pub async fn open(&self, caller: Caller, id: ImportId, offset: i64) -> Result<Opened, Error> {
        let (import, lease) = self.store.open_upload(caller, id, offset, clock::now()).await?;
        if import.upload_finished {
            return Ok(Opened::Finished(Box::new(import)));
        }
        if let Some(refusal) = import.refuses_upload() {
            return Err(refusal.into());
        }
        let Some(lease) = lease else {
            let expected = import.committed_size as u64;
            return Err(Refusal::WrongOffset { expected, actual: offset }.into());
        };
        let taken_over = CancellationToken::new();
        self.take_over(lease, &taken_over);
        let (pieces, received) = mpsc::channel(PIECES);
        // A task of its own: tonic drops a handler when its client leaves, also while it commits.
        let taking = self.clone().take_in(import, lease, received, taken_over);
        let task = self.tasks.spawn(taking.in_current_span());
        Ok(Opened::Stream(Upload { offset: offset as u64, pieces, task }))
    }

    /// Ends the older one of two streams, in whatever order they come here.
    fn take_over(&self, lease: UploadLease, taken_over: &CancellationToken) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get(&lease.import) {
            Some((newer, _)) if *newer > lease.epoch => taken_over.cancel(),
            _ => {
                if let Some((_, earlier)) = open.insert(lease.import, (lease.epoch, taken_over.clone())) {
                    earlier.cancel();
                }
            }
        }
    }

    async fn take_in(
        self,
        import: Import,
        lease: UploadLease,
        received: mpsc::Receiver<Piece>,
        taken_over: CancellationToken,
    ) -> Result<Import, Error> {
        let mut writer = SegmentWriter::new(self.clone(), import, lease);
        // Dropping this work loses no acknowledged byte: transactions run in tasks of their own.
        let outcome = tokio::select! {
            outcome = writer.write(received) => outcome,
            () = taken_over.cancelled() => Err(Refusal::UploadTakenOver.into()),
            () = self.stop.cancelled() => Err(Refusal::ShuttingDown.into()),
        };
        self.close(lease);
        self.feed.changed(lease.import);
        self.feed.work_arrived();
        outcome
    }

    fn close(&self, lease: UploadLease) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&lease.import).is_some_and(|(epoch, _)| *epoch == lease.epoch) {
            open.remove(&lease.import);
        }
    }
}
