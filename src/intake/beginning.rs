//! The beginning of a source: read, sniffed and cut as an upload is, and stored nowhere.

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use super::{
    Finish, Piece,
    sniff::{self, Dialect},
    source::SourceReader,
    splitter::{Cut, Splitter},
};
use crate::{
    domain::{
        fault::SourceFault,
        import::{Compression, ImportSpec, SourceFormat},
        limits::Limits,
    },
    pipeline,
};

/// Decoded bytes that are looked at.
const DECODED_BYTES: usize = 4 << 20;

/// The first records of a source.
#[derive(Debug)]
pub struct Beginning {
    /// How the records are written.
    pub format: SourceFormat,
    /// CSV delimiter.
    pub delimiter: u8,
    /// How the source is packed.
    pub compression: Compression,
    /// Its character encoding, by its label.
    pub encoding: &'static str,
    /// CSV column names; empty where the header does not end in it.
    pub columns: Vec<String>,
    /// Segments with at least as many rows as were wanted, if there are so many.
    pub cuts: Vec<Cut>,
    /// What makes the source unusable behind these.
    pub fault: Option<SourceFault>,
}

impl Beginning {
    /// Reads the beginning of a source of which `bytes` are the first, or with `is_whole` all.
    pub async fn read(
        spec: &ImportSpec,
        limits: Limits,
        bytes: Bytes,
        is_whole: bool,
        rows: usize,
    ) -> Result<Self, SourceFault> {
        let (pieces, received) = mpsc::channel(2);
        let size = bytes.len() as u64;
        // There is room for both, and so nothing is waited for.
        let _ = pieces.try_send(Piece::Data(bytes));
        if is_whole {
            let _ = pieces.try_send(Piece::Finish(Finish { size, sha256: None }));
        }
        drop(pieces);
        let mut source = SourceReader::open(received, None, 0, spec.encoding.clone(), limits).await?;
        let mut start = BytesMut::new();
        while !sniff::is_enough(&start)
            && let Some(bytes) = source.next().await?
        {
            start.extend_from_slice(&bytes);
        }
        let Dialect { format, delimiter } = sniff::sniff(&start, spec)?;
        let (compression, encoding) = (source.compression(), source.encoding().name());
        // A segment then ends with the last row that is wanted.
        let limits = Limits { segment_rows: rows, ..limits };
        let mut splitter = Splitter::new(format, delimiter, limits);
        let (mut cuts, mut columns) = (Vec::new(), Vec::new());
        let cut = Self::cut(&mut source, start, &mut splitter, &mut cuts, rows).await;
        let header = splitter.header().map(|header| pipeline::read_header(header, delimiter)).transpose();
        let fault = match header {
            Ok(header) => {
                columns = header.unwrap_or_default();
                cut.err()
            }
            Err(fault) => Some(fault),
        };
        Ok(Self { format, delimiter, compression, encoding, columns, cuts, fault })
    }

    async fn cut(
        source: &mut SourceReader,
        start: BytesMut,
        splitter: &mut Splitter,
        cuts: &mut Vec<Cut>,
        rows: usize,
    ) -> Result<(), SourceFault> {
        let (mut decoded, mut next) = (0, Some(start.freeze()));
        while let Some(bytes) = next {
            decoded += bytes.len();
            splitter.push(&bytes, cuts)?;
            let found: i64 = cuts.iter().map(|cut| i64::from(cut.range.rows)).sum();
            if found >= rows as i64 || decoded >= DECODED_BYTES {
                return Ok(());
            }
            next = match source.next().await {
                Ok(next) => next,
                Err(fault) => {
                    splitter.cut_whole(cuts);
                    return Err(fault);
                }
            };
        }
        if source.is_finished() {
            splitter.finish(cuts)
        } else {
            splitter.cut_whole(cuts);
            Ok(())
        }
    }
}
