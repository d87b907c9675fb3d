//! What an upload stream brings becomes stored segments, each with its row in the database.

use bytes::{Bytes, BytesMut};
use encoding_rs::UTF_8;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;

use super::{
    Intake, Piece,
    sniff::{self, Dialect},
    source::{SourceReader, Wire},
    splitter::{Cut, Splitter},
};
use crate::{
    clock,
    domain::{
        fault::SourceFault,
        import::{Compression, Import, SourceFormat, StartMode},
        lines::LineEnds,
        refusal::Refusal,
        segment::{SegmentKind, SegmentRange},
    },
    error::Error,
    fault_points,
    pipeline::{self, Columns},
    store::{SourceShape, UploadLease},
};

/// Writes the segments of one upload stream.
pub(super) struct SegmentWriter {
    intake: Intake,
    import: Import,
    lease: UploadLease,
    /// What the first bytes told; known before the first segment is stored.
    shape: Option<SourceShape>,
    splitter: Option<Splitter>,
    /// Segments an earlier stream stored and this one sends again.
    existing: std::vec::IntoIter<SegmentRange>,
    committed: i64,
}

/// Why writing came to an early end.
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

impl SegmentWriter {
    pub(super) fn new(intake: Intake, import: Import, lease: UploadLease) -> Self {
        let committed = import.committed_size;
        let existing = Vec::new().into_iter();
        Self { intake, import, lease, shape: None, splitter: None, existing, committed }
    }

    /// Stores what is received until the stream ends; gives the import as it stands then.
    pub(super) async fn write(&mut self, received: mpsc::Receiver<Piece>) -> Result<Import, Error> {
        self.resume().await?;
        let at = self.committed as u64;
        let (label, limits) = (self.import.spec.encoding.clone(), self.import.limits);
        let opened = SourceReader::open(received, self.shape.as_ref(), at, label, limits).await;
        let mut source = match opened {
            Ok(source) => source,
            Err(fault) => return self.end_with_fault(fault).await,
        };
        match self.read(&mut source).await {
            Ok(()) => {}
            Err(Halt::Fault(fault)) => return self.end_with_fault(fault).await,
            Err(Halt::Error(error)) => return Err(error),
        }
        let Wire { bytes, hash, finish } = source.into_wire();
        let received = at + bytes;
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
            let last = Cut { range, bytes, line_ends: LineEnds::default() };
            self.splitter = Some(Splitter::resume(format, delimiter, self.import.limits, &last));
            let columns = self.import.columns.clone();
            let encoding = UTF_8.name().to_owned();
            self.shape = Some(SourceShape { format, compression, encoding, delimiter, columns });
            segments = beyond;
        } else if self.import.parent.is_some()
            && let Some(format) = self.import.spec.source_format
        {
            // Rows of a retry stood in a source before. The first may look like anything: it failed.
            let delimiter = self.import.spec.csv_delimiter.unwrap_or(b',');
            let (compression, encoding) = (Compression::None, UTF_8.name().to_owned());
            self.splitter = Some(Splitter::new(format, delimiter, self.import.limits));
            self.shape = Some(SourceShape { format, compression, encoding, delimiter, columns: Vec::new() });
        }
        self.existing = segments.into_iter();
        Ok(())
    }

    /// Reads the source to its end and stores every segment that can be cut.
    async fn read(&mut self, source: &mut SourceReader) -> Result<(), Halt> {
        let mut start = BytesMut::new();
        while let Some(mut bytes) = source.next().await? {
            if self.splitter.is_none() {
                start.extend_from_slice(&bytes);
                if !sniff::is_enough(&start) {
                    continue;
                }
                self.sniff(&start, source)?;
                bytes = std::mem::take(&mut start).freeze();
            }
            self.split(&bytes).await?;
        }
        if self.splitter.is_none() && source.is_finished() {
            self.sniff(&start, source)?;
            self.split(&start).await?;
        }
        Ok(())
    }

    fn sniff(&mut self, start: &[u8], source: &SourceReader) -> Result<(), SourceFault> {
        let Dialect { format, delimiter } = sniff::sniff(start, &self.import.spec)?;
        let (compression, encoding) = (source.compression(), source.encoding().name().to_owned());
        self.splitter = Some(Splitter::new(format, delimiter, self.import.limits));
        self.shape = Some(SourceShape { format, compression, encoding, delimiter, columns: Vec::new() });
        Ok(())
    }

    async fn split(&mut self, bytes: &[u8]) -> Result<(), Halt> {
        let Some(splitter) = &mut self.splitter else { return Ok(()) };
        let mut cuts = Vec::new();
        let pushed = splitter.push(bytes, &mut cuts);
        self.store(cuts).await?;
        Ok(pushed?)
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
            Columns::of(&self.import.spec)?.resolve(&columns, self.import.limits.columns)?;
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

    #[tracing::instrument(skip_all, fields(import.id = %self.import.id, segment.seq = cut.range.seq))]
    async fn store_segment(&mut self, cut: Cut) -> Result<(), Halt> {
        let Cut { range, bytes, line_ends } = cut;
        if let Some(existing) = self.existing.next() {
            return if existing == range {
                Ok(())
            } else {
                Err(Error::from(Refusal::SourceChanged { at: existing.byte_offset }).into())
            };
        }
        let UploadLease { application, import, .. } = self.lease;
        let Some(shape) = self.shape.clone() else { return Ok(()) };
        self.check_rows_per_day(&range).await?;
        let put = self.intake.objects.put_segment(application, import, &range, bytes).await;
        put.map_err(Error::from)?;
        fault_points::reach("segment_stored");
        // Bytes of the wire and bytes that are stored count the same only where nothing was decoded.
        let as_sent = shape.compression == Compression::None && shape.encoding == UTF_8.name();
        if as_sent && range.kind == SegmentKind::Records {
            self.committed = range.byte_end();
        }
        let store = &self.intake.store;
        let added =
            store.add_segment(self.lease, range, line_ends, shape, self.committed, clock::now()).await;
        added.map_err(Error::from)?;
        fault_points::reach("segment_added");
        self.intake.feed.changed(import);
        self.intake.feed.work_arrived();
        Ok(())
    }

    async fn check_rows_per_day(&self, range: &SegmentRange) -> Result<(), Halt> {
        let counted = self.intake.store.count_rows_of_a_day(self.lease.application, clock::now()).await;
        let rows = counted.map_err(Error::from)?.unsigned_abs() + u64::from(range.rows.unsigned_abs());
        let limit = self.import.limits.rows_per_day;
        if rows > limit { Err(SourceFault::TooManyRowsPerDay { limit }.into()) } else { Ok(()) }
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
                match self.store_segment(cut).await {
                    Ok(()) => {}
                    Err(Halt::Error(error)) => return Err(error),
                    // The first fault is told; what does not fit behind it is not kept.
                    Err(Halt::Fault(_)) => break,
                }
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

    /// Compares the file's hash with the one announced: that of the wire (`packed`), or of what is
    /// stored, which is the same bytes when nothing was packed, also after a resume.
    async fn check_hash(&self, packed: Option<Sha256>, announced: [u8; 32]) -> Result<(), Error> {
        let hash = match packed {
            Some(hash) => hash,
            None => self.hash_stored().await?,
        };
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
