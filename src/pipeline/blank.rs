//! Rows taken out of a segment, without anything else losing its place.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// The bytes of a segment with rows blanked out: as long as before, so that everything else keeps its
/// place. An NDJSON row becomes an empty object, since a blank line would be no row.
pub fn blank_out(bytes: &[u8], spans: &[Range<usize>], ndjson: bool) -> Bytes {
    let mut out = BytesMut::from(bytes);
    for span in spans {
        let row = &mut out[span.clone()];
        let content = row.trim_ascii_end().len();
        row[..content].fill(b' ');
        if ndjson && content >= 2 {
            row[..2].copy_from_slice(b"{}");
        }
    }
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanked_rows_keep_their_place_and_their_line_ends() {
        let bytes = b"id\na,\"x\ny\"\r\nb,z\n";
        assert_eq!(
            &blank_out(bytes, std::slice::from_ref(&(3..11)), false)[..],
            b"id\n       \r\nb,z\n".as_slice()
        );
        assert_eq!(
            &blank_out(b"{\"a\":1}\n{\"b\":2}\n", std::slice::from_ref(&(8..16)), true)[..],
            b"{\"a\":1}\n{}     \n"
        );
    }
}
