//! Character encodings: what is not UTF-8 becomes it, before anything else looks at the source.

use bytes::Bytes;
use encoding_rs::{DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE};

use crate::domain::fault::SourceFault;

/// Bytes that are needed to see a byte order mark.
pub(super) const BOM_BYTES: usize = 3;

/// A byte that no UTF-8 holds: it stands where the source is malformed, so that the row fails and says so.
const MALFORMED: u8 = 0xff;

/// Tells a source's encoding: by its byte order mark, else by the label the caller gave, else UTF-8.
pub(super) fn recognise(start: &[u8], label: Option<&str>) -> Result<&'static Encoding, SourceFault> {
    match start {
        [0xff, 0xfe, ..] => return Ok(UTF_16LE),
        [0xfe, 0xff, ..] => return Ok(UTF_16BE),
        [0xef, 0xbb, 0xbf, ..] => return Ok(UTF_8),
        _ => {}
    }
    match label {
        None => Ok(UTF_8),
        Some(label) => find(label).ok_or_else(|| SourceFault::UnknownEncoding(label.to_owned())),
    }
}

/// The encoding of a label such as `windows-1252`, `latin1` or `utf-16le`.
pub fn find(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label_no_replacement(label.trim().as_bytes())
}

/// Turns the bytes of a source into UTF-8 as they come, in any pieces.
pub(super) struct Transcoder {
    decoder: Option<encoding_rs::Decoder>,
}

impl Transcoder {
    /// A transcoder from `encoding`; UTF-8 passes as it is, malformed parts and all.
    pub(super) fn new(encoding: &'static Encoding) -> Self {
        let decoder = (encoding != UTF_8).then(|| encoding.new_decoder_with_bom_removal());
        Self { decoder }
    }

    /// Turns the next bytes; `last` when there are no more.
    pub(super) fn push(&mut self, bytes: Bytes, last: bool) -> Bytes {
        let Some(decoder) = &mut self.decoder else { return bytes };
        let mut out = Vec::with_capacity(bytes.len() * 2 + 16);
        let mut rest = &bytes[..];
        loop {
            let begun = out.len();
            out.resize(begun + rest.len() * 3 + 16, 0);
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(rest, &mut out[begun..], last);
            out.truncate(begun + written);
            rest = &rest[read..];
            match result {
                DecoderResult::InputEmpty => return out.into(),
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => out.push(MALFORMED),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn transcode(encoding: &'static Encoding, bytes: &[u8], size: usize) -> Vec<u8> {
        let mut transcoder = Transcoder::new(encoding);
        let mut out = Vec::new();
        for chunk in bytes.chunks(size) {
            out.extend_from_slice(&transcoder.push(Bytes::copy_from_slice(chunk), false));
        }
        out.extend_from_slice(&transcoder.push(Bytes::new(), true));
        out
    }

    #[test]
    fn labels_and_marks() {
        assert_eq!(recognise(b"\xff\xfea\0", None), Ok(UTF_16LE));
        assert_eq!(recognise(b"\xfe\xff\0a", Some("latin1")), Ok(UTF_16BE));
        assert_eq!(recognise(b"abc", Some(" Windows-1252 ")), Ok(encoding_rs::WINDOWS_1252));
        assert_eq!(recognise(b"abc", None), Ok(UTF_8));
        assert_eq!(recognise(b"\xef\xbb\xbfabc", Some("latin1")), Ok(UTF_8));
        assert_eq!(find("iso-2022-kr"), None, "no decoder reads it");
        assert_eq!(
            recognise(b"abc", Some("klingon")),
            Err(SourceFault::UnknownEncoding("klingon".to_owned()))
        );
    }

    #[test]
    fn what_is_malformed_stays_visible() {
        assert_eq!(transcode(UTF_16LE, b"\xff\xfea\0\x00\xd8b\0", 1), b"a\xffb");
        assert_eq!(transcode(UTF_16LE, b"a\0b", 1), b"a\xff");
        assert_eq!(transcode(encoding_rs::WINDOWS_1252, b"Jos\xe9 \x80", 2), "José €".as_bytes());
        assert_eq!(transcode(UTF_8, b"a\xffb", 1), b"a\xffb");
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_same_text(text in "\\PC{0,60}", size in 1_usize..9, big in any::<bool>()) {
            let units = text.encode_utf16();
            let bytes: Vec<u8> = match big {
                true => units.flat_map(u16::to_be_bytes).collect(),
                false => units.flat_map(u16::to_le_bytes).collect(),
            };
            let encoding = if big { UTF_16BE } else { UTF_16LE };
            prop_assert_eq!(transcode(encoding, &bytes, size), text.trim_start_matches('\u{feff}').as_bytes());
        }
    }
}
