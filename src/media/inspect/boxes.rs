//! The boxes that MP4, QuickTime and HEIC are made of.

use std::io::{BufRead, Seek};

use super::{Flaw, Pictures, walk::Walk};

/// What a file says in its first box that it is.
pub(in crate::media) struct FileType<'h> {
    pub(in crate::media) major: &'h [u8; 4],
    pub(in crate::media) compatible: &'h [[u8; 4]],
}

impl<'h> FileType<'h> {
    /// Reads it from the beginning of a file that has one.
    pub(in crate::media) fn of(head: &'h [u8]) -> Self {
        let length = head.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
        let body = head.get(8..length.min(head.len())).unwrap_or_default();
        let (brands, _) = body.as_chunks();
        match brands {
            // The version is between them.
            [major, _, compatible @ ..] => Self { major, compatible },
            _ => Self { major: b"    ", compatible: &[] },
        }
    }
}

/// A box: what it is and where it ends.
struct Head {
    kind: [u8; 4],
    end: u64,
}

/// Reads how a box begins, which must be over by `limit`.
fn next_box(walk: &mut Walk<impl BufRead + Seek>, limit: u64) -> Result<Head, Flaw> {
    let from = walk.at();
    let short = u32::from_be_bytes(walk.bytes()?);
    let kind = walk.bytes()?;
    let length = match short {
        0 => limit - from,
        1 => u64::from_be_bytes(walk.bytes()?),
        short => u64::from(short),
    };
    let end =
        from.checked_add(length).filter(|end| *end <= limit).ok_or(Flaw::Corrupt("it ends too early"))?;
    if end < walk.at() {
        return Err(Flaw::Corrupt("a box is shorter than its header"));
    }
    Ok(Head { kind, end })
}

/// A film needs its index, and data.
pub(super) fn walk_video(walk: &mut Walk<impl BufRead + Seek>) -> Result<(), Flaw> {
    let (mut is_indexed, mut data) = (false, 0);
    while walk.at() + 8 <= walk.length() {
        let head = next_box(walk, walk.length())?;
        match &head.kind {
            b"moov" => is_indexed = true,
            b"mdat" => data += head.end - walk.at(),
            _ => {}
        }
        walk.go_to(head.end)?;
    }
    match (is_indexed, data) {
        (true, 1..) => Ok(()),
        (true, 0) => Err(Flaw::Corrupt("it has a header and no pictures")),
        (false, _) => Err(Flaw::Corrupt("it has no index")),
    }
}

/// An image needs properties, a picture's size among them, and data.
pub(super) fn walk_image(walk: &mut Walk<impl BufRead + Seek>, pictures: &mut Pictures) -> Result<(), Flaw> {
    let mut data = 0;
    while walk.at() + 8 <= walk.length() {
        let head = next_box(walk, walk.length())?;
        match &head.kind {
            b"mdat" => data += head.end - walk.at(),
            b"meta" => {
                // Its version.
                walk.skip(4)?;
                data += described(walk, head.end, pictures)?;
            }
            _ => {}
        }
        walk.go_to(head.end)?;
    }
    if data == 0 { Err(Flaw::Corrupt("it has a header and no picture")) } else { Ok(()) }
}

/// Goes over what describes the pictures; tells how many bytes of them are in between.
fn described(walk: &mut Walk<impl BufRead + Seek>, end: u64, pictures: &mut Pictures) -> Result<u64, Flaw> {
    let mut data = 0;
    while walk.at() + 8 <= end {
        let head = next_box(walk, end)?;
        match &head.kind {
            b"idat" => data += head.end - walk.at(),
            // Their own boxes come next.
            b"iprp" | b"ipco" => continue,
            b"ispe" => {
                walk.skip(4)?;
                let [width, height] = [walk.bytes()?, walk.bytes()?].map(u32::from_be_bytes);
                pictures.add(width, height)?;
            }
            _ => {}
        }
        walk.go_to(head.end)?;
    }
    Ok(data)
}
