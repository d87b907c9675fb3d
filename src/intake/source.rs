//! The source of one upload stream: its pieces as they come in, counted and unpacked.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::{Bytes, BytesMut};
use encoding_rs::{Encoding, UTF_8};
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
    transcode::{self, BOM_BYTES, Transcoder},
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
    /// Label of the encoding the caller named.
    label: Option<String>,
    /// What makes UTF-8 of the bytes; known with the first of them.
    transcoder: Option<(&'static Encoding, Transcoder)>,
    ended: bool,
    decoded: u64,
    limits: Limits,
}

/// What came over the wire.
#[derive(Default)]
pub(super) struct Wire {
    /// Bytes of this stream.
    pub(super) bytes: u64,
    /// Their hash, where they are not what is stored.
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
    /// bytes tell the packing; `label` is that of the encoding the caller named.
    pub(super) async fn open(
        received: mpsc::Receiver<Piece>,
        known: Option<&SourceShape>,
        at: u64,
        label: Option<String>,
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
            if known.is_some() || transcode::recognise(&start, label.as_deref())? == UTF_8 {
                lock(&wire).hash = None;
            }
            Unpacked::Plain { start, pieces }
        } else {
            let packed = io::Cursor::new(start).chain(StreamReader::new(pieces));
            Unpacked::Decoder { decoder: decompress::decoder(compression, packed), bytes: BytesMut::new() }
        };
        // What is resumed inside is plain UTF-8: anything else is sent again from its beginning.
        let transcoder = known.map(|_| (UTF_8, Transcoder::new(UTF_8)));
        Ok(Self { wire, compression, bytes, label, transcoder, ended: false, decoded: at, limits })
    }

    pub(super) fn compression(&self) -> Compression {
        self.compression
    }

    /// The encoding; UTF-8 until the first bytes told another.
    pub(super) fn encoding(&self) -> &'static Encoding {
        self.transcoder.as_ref().map_or(UTF_8, |(encoding, _)| encoding)
    }

    /// Whether the caller has told the end of the file, and did not just go away.
    pub(super) fn is_finished(&self) -> bool {
        lock(&self.wire).finish.is_some()
    }

    /// The next bytes as UTF-8; `None` when there are no more, finished or not.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, SourceFault> {
        if self.transcoder.is_none() {
            let mut start = BytesMut::new();
            while start.len() < BOM_BYTES
                && let Some(bytes) = self.next_unpacked().await?
            {
                start.extend_from_slice(&bytes);
            }
            let encoding = transcode::recognise(&start, self.label.as_deref())?;
            let (_, transcoder) = self.transcoder.insert((encoding, Transcoder::new(encoding)));
            return Ok((!start.is_empty()).then(|| transcoder.push(start.freeze(), false)));
        }
        let next = if self.ended { None } else { self.next_unpacked().await? };
        let Some((_, transcoder)) = &mut self.transcoder else { return Ok(next) };
        if let Some(bytes) = next {
            return Ok(Some(transcoder.push(bytes, false)));
        }
        // A character that was begun and never ended still has to be told.
        let tail = if std::mem::replace(&mut self.ended, true) || !self.is_finished() {
            Bytes::new()
        } else {
            self.transcoder.as_mut().map_or_else(Bytes::new, |(_, t)| t.push(Bytes::new(), true))
        };
        Ok((!tail.is_empty()).then_some(tail))
    }

    async fn next_unpacked(&mut self) -> Result<Option<Bytes>, SourceFault> {
        self.check_size()?;
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
        // What fits comes first, however the bytes arrived; the next call tells that there was more.
        let room = self.limits.upload_bytes.saturating_sub(self.decoded);
        let fitting = next.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.decoded += next.len() as u64;
        self.check_ratio()?;
        Ok(Some(next.slice(..fitting)))
    }

    /// What came over the wire, at the end.
    pub(super) fn into_wire(self) -> Wire {
        std::mem::take(&mut *lock(&self.wire))
    }

    fn check_size(&self) -> Result<(), SourceFault> {
        let limit = self.limits.upload_bytes;
        let fits = self.decoded <= limit && lock(&self.wire).bytes <= limit;
        if fits { Ok(()) } else { Err(SourceFault::TooLarge { limit }) }
    }

    fn check_ratio(&self) -> Result<(), SourceFault> {
        let compression_ratio = self.limits.compression_ratio;
        let wire = lock(&self.wire).bytes;
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
