//! The source of one upload stream: its pieces as they come in, counted and unpacked.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    sync::mpsc,
};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tokio_util::io::StreamReader;

use super::{
    Finish, Piece,
    decompress::{self, MAGIC_BYTES},
};
use crate::{
    domain::{fault::SourceFault, import::Compression, limits::Limits},
    store::SourceShape,
};

/// Bytes read from a decoder at a time.
const READ_BYTES: usize = 256 << 10;

/// Decoded bytes before the compression ratio counts.
const RATIO_FREE_BYTES: u64 = 10 << 20;

/// Reads the source's own bytes, whatever they are packed in.
pub(super) struct SourceReader {
    wire: Arc<Mutex<Wire>>,
    compression: Compression,
    bytes: Unpacked,
    decoded: u64,
    limits: Limits,
}

/// What came over the wire.
#[derive(Default)]
pub(super) struct Wire {
    /// Bytes of this stream.
    pub(super) bytes: u64,
    /// Their hash, where they are packed; what is not can be hashed as it is stored.
    pub(super) hash: Option<Sha256>,
    /// The end, as the caller told it.
    pub(super) finish: Option<Finish>,
}

type Pieces = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

enum Unpacked {
    /// Not packed: first what was looked at to tell so, then pieces as they come.
    Plain {
        start: Bytes,
        pieces: Pieces,
    },
    Decoder {
        decoder: Pin<Box<dyn AsyncRead + Send>>,
        bytes: BytesMut,
    },
}

impl SourceReader {
    /// Reads on at byte `at` of a source whose shape is `known`, or from its beginning, whose first
    /// bytes tell the packing.
    pub(super) async fn open(
        received: mpsc::Receiver<Piece>,
        known: Option<&SourceShape>,
        at: u64,
        limits: Limits,
    ) -> Result<Self, SourceFault> {
        let wire = Arc::new(Mutex::new(Wire { hash: Some(Sha256::new()), ..Wire::default() }));
        let mut pieces: Pieces = Box::pin(wire_bytes(received, wire.clone()));
        let mut start = BytesMut::new();
        let compression = match known {
            Some(shape) => shape.compression,
            None => {
                while start.len() < MAGIC_BYTES
                    && let Some(Ok(piece)) = pieces.next().await
                {
                    start.extend_from_slice(&piece);
                }
                decompress::recognise(&start)?
            }
        };
        let start = start.freeze();
        let bytes = if compression == Compression::None {
            lock(&wire).hash = None;
            Unpacked::Plain { start, pieces }
        } else {
            let packed = io::Cursor::new(start).chain(StreamReader::new(pieces));
            Unpacked::Decoder { decoder: decompress::decoder(compression, packed), bytes: BytesMut::new() }
        };
        Ok(Self { wire, compression, bytes, decoded: at, limits })
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// Whether the caller has told the end of the file, and did not just go away.
    pub(super) fn is_finished(&self) -> bool {
        lock(&self.wire).finish.is_some()
    }

    /// The next bytes; `None` when there are no more, finished or not.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, SourceFault> {
        let next = match &mut self.bytes {
            Unpacked::Plain { start, .. } if !start.is_empty() => std::mem::take(start),
            Unpacked::Plain { pieces, .. } => match pieces.next().await {
                Some(Ok(piece)) => piece,
                _ => return Ok(None),
            },
            Unpacked::Decoder { decoder, bytes } => {
                bytes.reserve(READ_BYTES);
                match decoder.read_buf(bytes).await {
                    Ok(0) => return Ok(None),
                    Ok(_) => bytes.split().freeze(),
                    // A stream that broke off looks like a truncated file; it is one only after finish.
                    Err(error)
                        if error.kind() == io::ErrorKind::UnexpectedEof
                            && lock(&self.wire).finish.is_none() =>
                    {
                        return Ok(None);
                    }
                    Err(error) => {
                        let (at, detail) = (self.decoded, error.to_string());
                        return Err(SourceFault::CorruptCompression { at, detail });
                    }
                }
            }
        };
        self.decoded += next.len() as u64;
        self.check_size()?;
        Ok(Some(next))
    }

    /// What came over the wire, at the end.
    pub(super) fn into_wire(self) -> Wire {
        std::mem::take(&mut *lock(&self.wire))
    }

    fn check_size(&self) -> Result<(), SourceFault> {
        let Limits { upload_bytes, compression_ratio, .. } = self.limits;
        let wire = lock(&self.wire).bytes;
        if self.decoded > upload_bytes || wire > upload_bytes {
            return Err(SourceFault::TooLarge { limit: upload_bytes });
        }
        let grown = self.decoded > RATIO_FREE_BYTES && self.decoded / compression_ratio > wire;
        if self.compression != Compression::None && grown {
            return Err(SourceFault::CompressionRatio { limit: compression_ratio });
        }
        Ok(())
    }
}

/// The bytes of a stream, counted and hashed on the way; the wire's own side gives no error.
fn wire_bytes(
    received: mpsc::Receiver<Piece>,
    wire: Arc<Mutex<Wire>>,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    ReceiverStream::new(received).map_while(move |piece| {
        let mut wire = lock(&wire);
        match piece {
            Piece::Data(bytes) => {
                wire.bytes += bytes.len() as u64;
                if let Some(hash) = &mut wire.hash {
                    hash.update(&bytes);
                }
                Some(Ok(bytes))
            }
            Piece::Finish(finish) => {
                wire.finish = Some(finish);
                None
            }
        }
    })
}

fn lock(wire: &Mutex<Wire>) -> MutexGuard<'_, Wire> {
    wire.lock().unwrap_or_else(PoisonError::into_inner)
}
