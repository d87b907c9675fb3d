//! Recognises how an upload is packed and decodes it while it streams.

use std::pin::Pin;

use async_compression::tokio::bufread::{GzipDecoder, ZstdDecoder};
use tokio::io::{AsyncBufRead, AsyncRead};

use crate::domain::{fault::SourceFault, import::Compression};

/// Bytes that are needed to recognise a packing.
pub(super) const MAGIC_BYTES: usize = 6;

/// Packings and archives that are not read.
const UNSUPPORTED: &[(&[u8], &str)] = &[
    (b"PK\x03\x04", "a ZIP archive"),
    (b"BZh", "packed with bzip2"),
    (b"\xfd7zXZ\0", "packed with xz"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
];

/// Tells the packing from a file's first bytes.
pub(super) fn recognise(start: &[u8]) -> Result<Compression, SourceFault> {
    if let Some((_, name)) = UNSUPPORTED.iter().find(|(magic, _)| start.starts_with(magic)) {
        return Err(SourceFault::UnsupportedCompression(name));
    }
    Ok(match start {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // A skippable frame may come first, as pzstd writes it.
        [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Compression::Zstd,
        _ => Compression::None,
    })
}

/// A reader of the decoded bytes. All members of a gzip file and all frames of a zstd file are read.
pub(super) fn decoder(
    compression: Compression,
    wire: impl AsyncBufRead + Send + 'static,
) -> Pin<Box<dyn AsyncRead + Send>> {
    match compression {
        Compression::None => Box::pin(wire),
        Compression::Gzip => {
            let mut decoder = GzipDecoder::new(wire);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
        Compression::Zstd => {
            let mut decoder = ZstdDecoder::new(wire);
            decoder.multiple_members(true);
            Box::pin(decoder)
        }
    }
}
