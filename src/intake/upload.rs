//! One upload stream: its bytes become stored segments.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncReadExt, BufReader},
    sync::mpsc,
    task::JoinHandle,
};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tokio_util::{io::StreamReader, sync::CancellationToken, task::TaskTracker};

use super::{
    decompress::{self, MAGIC_BYTES},
    sniff,
    splitter::{Cut, Splitter},
};
use crate::{
    canonical::header::Header,
    clock,
    domain::{
        fault::SourceFault,
        ids::{ApplicationId, ImportId},
        import::{Compression, Import, SourceFormat, StartMode},
        limits::Limits,
        refusal::Refusal,
        segment::{SegmentKind, SegmentRange},
    },
    error::Error,
    feed::Feed,
    objects::Objects,
    pipeline,
    store::{SourceShape, Store, UploadLease},
};

/// Pieces that wait between the stream and its intake.
const PIECES: usize = 4;

/// Bytes read from the decoder at a time.
const READ_BYTES: usize = 256 << 10;

/// Decoded bytes before the compression ratio counts.
const RATIO_FREE_BYTES: u64 = 10 << 20;

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
    store: Store,
    objects: Objects,
    feed: Feed,
    limits: Limits,
    tasks: TaskTracker,
    stop: CancellationToken,
    open: Arc<Mutex<HashMap<ImportId, (i64, CancellationToken)>>>,
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

    /// Bounds of a source.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Opens the upload of an import at `offset`, which must be its committed size; a stream that
    /// was open before is told that it has been taken over. `Err(import)` when the upload is
    /// finished already.
    pub async fn open(
        &self,
        application: ApplicationId,
        id: ImportId,
        offset: i64,
    ) -> Result<Result<Upload, Box<Import>>, Error> {
        let (import, lease) = self.store.open_upload(application, id, clock::now()).await?;
        if import.upload_finished {
            return Ok(Err(Box::new(import)));
        }
        if import.status.is_terminal() {
            let needed = "an upload needs one that has not ended";
            return Err(Refusal::WrongState { status: import.status, needed }.into());
        }
        if offset != import.committed_size {
            let expected = import.committed_size as u64;
            return Err(Refusal::WrongOffset { expected, actual: offset }.into());
        }
        let taken_over = CancellationToken::new();
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, earlier)) = open.insert(id, (lease.epoch, taken_over.clone())) {
            earlier.cancel();
        }
        drop(open);
        let (pieces, received) = mpsc::channel(PIECES);
        let stream = Taking::new(self.clone(), import, lease);
        // A task of its own: tonic drops a handler when its client leaves, also while it commits.
        let task = self.tasks.spawn(stream.run(received, taken_over));
        Ok(Ok(Upload { offset: offset as u64, pieces, task }))
    }

    fn close(&self, lease: UploadLease) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&lease.import).is_some_and(|(epoch, _)| *epoch == lease.epoch) {
            open.remove(&lease.import);
        }
    }
}

/// What has been taken in of one stream.
struct Taking {
    intake: Intake,
    import: Import,
    lease: UploadLease,
    /// What the first bytes told; known before the first segment is stored.
    shape: Option<SourceShape>,
    splitter: Option<Splitter>,
    /// Segments an earlier stream stored and this one sends again.
    existing: std::vec::IntoIter<SegmentRange>,
    committed: i64,
    decoded: u64,
}

/// The wire's side of a stream, shared with the reader that the decoder drains.
#[derive(Default)]
struct Wire {
    bytes: u64,
    hash: Sha256,
    finish: Option<Finish>,
}

/// Why taking in came to an early end.
enum Halt {
    Fault(SourceFault),
    Error(Error),
}

impl From<SourceFault> for Halt {
    fn from(fault: SourceFault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Error> for Halt {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Taking {
    fn new(intake: Intake, import: Import, lease: UploadLease) -> Self {
        let committed = import.committed_size;
        let existing = Vec::new().into_iter();
        Self { intake, import, lease, shape: None, splitter: None, existing, committed, decoded: 0 }
    }

    async fn run(
        mut self,
        received: mpsc::Receiver<Piece>,
        taken_over: CancellationToken,
    ) -> Result<Import, Error> {
        let (intake, lease) = (self.intake.clone(), self.lease);
        // Dropping this work loses no acknowledged byte: transactions run in tasks of their own.
        let outcome = tokio::select! {
            outcome = self.take_in(received) => outcome,
            () = taken_over.cancelled() => Err(Refusal::UploadTakenOver.into()),
            () = intake.stop.cancelled() => Err(Refusal::ShuttingDown.into()),
        };
        intake.close(lease);
        intake.feed.changed(lease.import);
        intake.feed.work_arrived();
        outcome
    }

    async fn take_in(&mut self, received: mpsc::Receiver<Piece>) -> Result<Import, Error> {
        let wire = Arc::new(Mutex::new(Wire::default()));
        self.resume().await?;
        let halted = self.read(received, &wire).await;
        let Wire { bytes, hash, finish } = std::mem::take(&mut *lock(&wire));
        let fault = match halted {
            Err(Halt::Error(error)) => return Err(error),
            Err(Halt::Fault(fault)) => Some(fault),
            Ok(()) => None,
        };
        let received = self.import.committed_size as u64 + bytes;
        if let Some(fault) = fault {
            return self.end_with_fault(fault).await;
        }
        let Some(finish) = finish else {
            return Err(Refusal::UploadUnfinished { committed: self.committed }.into());
        };
        if finish.size != received {
            return Err(Refusal::WrongSize { received, announced: finish.size }.into());
        }
        match self.finish_splitting().await {
            Ok(()) => {}
            Err(Halt::Fault(fault)) => return self.end_with_fault(fault).await,
            Err(Halt::Error(error)) => return Err(error),
        }
        if let Some(announced) = finish.sha256 {
            self.check_hash(hash, announced).await?;
        }
        self.finish(received, None).await
    }

    /// Finds the place behind the last whole segment and what is stored beyond it.
    async fn resume(&mut self) -> Result<(), Error> {
        let (application, id) = (self.lease.application, self.lease.import);
        let mut segments = self.intake.store.list_segments(application, id, 0).await?;
        if self.import.committed_size > 0
            && let (Some(format), Some(compression)) = (self.import.format, self.import.compression)
        {
            let whole = |range: &SegmentRange| {
                range.kind == SegmentKind::Records && range.byte_end() == self.import.committed_size
            };
            let Some(last) = segments.iter().position(whole) else {
                return Err(crate::store::Error::Corrupt("imports.committed_size").into());
            };
            let beyond = segments.split_off(last + 1);
            let range = segments[last];
            let bytes = self.intake.objects.get_segment(application, id, &range).await?;
            let delimiter = self.import.delimiter.unwrap_or(b',');
            let last = Cut { range, bytes };
            self.splitter = Some(Splitter::resume(format, delimiter, self.intake.limits, &last));
            self.decoded = range.byte_end() as u64;
            let columns = self.import.columns.clone();
            self.shape = Some(SourceShape { format, compression, delimiter, columns });
            segments = beyond;
        }
        self.existing = segments.into_iter();
        Ok(())
    }

    /// Reads the stream to its end and stores every segment that can be cut.
    async fn read(&mut self, received: mpsc::Receiver<Piece>, wire: &Arc<Mutex<Wire>>) -> Result<(), Halt> {
        let mut reader =
            BufReader::with_capacity(READ_BYTES, StreamReader::new(wire_bytes(received, wire.clone())));
        let mut magic = BytesMut::new();
        let compression = match &self.shape {
            Some(shape) => shape.compression,
            None => {
                // The wire's own side gives no error; a broken stream is an end without finish.
                while magic.len() < MAGIC_BYTES && matches!(reader.read_buf(&mut magic).await, Ok(1..)) {}
                decompress::recognise(&magic)?
            }
        };
        let start = io::Cursor::new(magic.freeze());
        let mut decoder = decompress::decoder(compression, start.chain(reader));
        let mut bytes = BytesMut::with_capacity(READ_BYTES);
        loop {
            bytes.reserve(READ_BYTES);
            let end = match decoder.read_buf(&mut bytes).await {
                Ok(length) => {
                    self.decoded += length as u64;
                    length == 0
                }
                // A stream that broke off looks like a truncated file; it is one only after finish.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && lock(wire).finish.is_none() => {
                    return Ok(());
                }
                Err(error) => {
                    return Err(SourceFault::CorruptCompression {
                        at: self.decoded,
                        detail: error.to_string(),
                    }
                    .into());
                }
            };
            self.check_size(compression, lock(wire).bytes)?;
            if end && lock(wire).finish.is_none() {
                return Ok(());
            }
            if self.splitter.is_none() && (end || sniff::is_enough(&bytes)) {
                let dialect = sniff::sniff(&bytes, &self.import.spec)?;
                self.splitter = Some(Splitter::new(dialect.format, dialect.delimiter, self.intake.limits));
                self.shape = Some(SourceShape {
                    format: dialect.format,
                    compression,
                    delimiter: dialect.delimiter,
                    columns: Vec::new(),
                });
            }
            if let Some(splitter) = &mut self.splitter {
                let mut cuts = Vec::new();
                let pushed = splitter.push(&bytes, &mut cuts);
                bytes.clear();
                self.store(cuts).await?;
                pushed?;
            }
            if end {
                return Ok(());
            }
        }
    }

    fn check_size(&self, compression: Compression, wire: u64) -> Result<(), SourceFault> {
        let Limits { upload_bytes, compression_ratio, .. } = self.intake.limits;
        if self.decoded > upload_bytes || wire > upload_bytes {
            return Err(SourceFault::TooLarge { limit: upload_bytes });
        }
        let grown = self.decoded > RATIO_FREE_BYTES && self.decoded / compression_ratio > wire;
        if compression != Compression::None && grown {
            return Err(SourceFault::CompressionRatio { limit: compression_ratio });
        }
        Ok(())
    }

    async fn finish_splitting(&mut self) -> Result<(), Halt> {
        let Some(splitter) = &mut self.splitter else { return Err(SourceFault::Empty.into()) };
        let mut cuts = Vec::new();
        let finished = splitter.finish(&mut cuts);
        self.store(cuts).await?;
        Ok(finished?)
    }

    /// Checks the header as soon as it is there, so that a wrong file fails with its first bytes.
    fn resolve_header(&mut self, header: Option<&Bytes>) -> Result<(), SourceFault> {
        let Some(shape) = &mut self.shape else { return Ok(()) };
        if let Some(header) = header
            && shape.columns.is_empty()
        {
            let columns = pipeline::read_header(header, shape.delimiter)?;
            Header::resolve(&columns, self.intake.limits.columns)?;
            shape.columns = columns;
        }
        Ok(())
    }

    async fn store(&mut self, cuts: Vec<Cut>) -> Result<(), Halt> {
        let header = self.splitter.as_ref().and_then(Splitter::header).cloned();
        self.resolve_header(header.as_ref())?;
        for cut in cuts {
            self.store_segment(cut).await?;
        }
        Ok(())
    }

    async fn store_segment(&mut self, Cut { range, bytes }: Cut) -> Result<(), Error> {
        if let Some(existing) = self.existing.next() {
            return if existing == range {
                Ok(())
            } else {
                Err(Refusal::SourceChanged { at: existing.byte_offset }.into())
            };
        }
        let UploadLease { application, import, .. } = self.lease;
        let Some(shape) = self.shape.clone() else { return Ok(()) };
        self.intake.objects.put_segment(application, import, range.seq, bytes).await?;
        if shape.compression == Compression::None && range.kind == SegmentKind::Records {
            self.committed = range.byte_end();
        }
        self.intake.store.add_segment(self.lease, range, shape, self.committed, clock::now()).await?;
        self.intake.feed.changed(import);
        self.intake.feed.work_arrived();
        Ok(())
    }

    /// The source is unusable from here on; what is whole before the fault is kept and settled.
    async fn end_with_fault(&mut self, fault: SourceFault) -> Result<Import, Error> {
        let mut cuts = Vec::new();
        if let Some(splitter) = &mut self.splitter {
            splitter.cut_whole(&mut cuts);
        }
        if self
            .shape
            .as_ref()
            .is_some_and(|shape| shape.format == SourceFormat::Ndjson || !shape.columns.is_empty())
        {
            for cut in cuts {
                self.store_segment(cut).await?;
            }
        }
        let import = if self.import.spec.start == StartMode::AfterUpload {
            self.intake
                .store
                .fail_import(self.lease.application, self.lease.import, &fault, clock::now())
                .await?
        } else {
            self.finish(self.committed as u64, Some(fault.clone())).await?
        };
        if fault.is_limit() {
            return Err(Refusal::SourceLimit { reason: fault.reason(), message: fault.to_string() }.into());
        }
        Ok(import)
    }

    async fn finish(&self, size: u64, fault: Option<SourceFault>) -> Result<Import, Error> {
        Ok(self.intake.store.finish_upload(self.lease, size as i64, fault, clock::now()).await?)
    }

    /// Compares the file's hash with the one announced; a source that was resumed is hashed from
    /// what is stored, because this stream saw only the end of it.
    async fn check_hash(&self, seen: Sha256, announced: [u8; 32]) -> Result<(), Error> {
        let hash = if self.import.committed_size > 0 { self.hash_stored().await? } else { seen };
        let actual: [u8; 32] = hash.finalize().into();
        if actual == announced {
            return Ok(());
        }
        let fault = SourceFault::Sha256 { actual: hex::encode(actual), announced: hex::encode(announced) };
        let UploadLease { application, import, .. } = self.lease;
        self.intake.store.fail_import(application, import, &fault, clock::now()).await?;
        Err(Refusal::SourceChecksum(fault.to_string()).into())
    }

    async fn hash_stored(&self) -> Result<Sha256, Error> {
        let UploadLease { application, import, .. } = self.lease;
        let mut hash = Sha256::new();
        for range in self.intake.store.list_segments(application, import, 0).await? {
            hash.update(self.intake.objects.get_segment(application, import, &range).await?);
        }
        Ok(hash)
    }
}

/// The bytes of a stream as the decoder reads them, counted and hashed on the way.
fn wire_bytes(
    received: mpsc::Receiver<Piece>,
    wire: Arc<Mutex<Wire>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin {
    ReceiverStream::new(received).map_while(move |piece| {
        let mut wire = lock(&wire);
        match piece {
            Piece::Data(bytes) => {
                wire.bytes += bytes.len() as u64;
                wire.hash.update(&bytes);
                Some(Ok(bytes))
            }
            Piece::Finish(finish) => {
                wire.finish = Some(finish);
                None
            }
        }
    })
}

fn lock(wire: &Mutex<Wire>) -> std::sync::MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}
