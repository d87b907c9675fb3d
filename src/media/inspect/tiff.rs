//! TIFF: a chain of pages, each a list of tags, whose data lie in strips or tiles anywhere in the file.

use std::io::{BufRead, Seek};

use super::{Flaw, MAX_FRAMES, Pictures, walk::Walk};

const WIDTH: u16 = 256;
const HEIGHT: u16 = 257;
const STRIP_OFFSETS: u16 = 273;
const STRIP_LENGTHS: u16 = 279;
const TILE_OFFSETS: u16 = 324;
const TILE_LENGTHS: u16 = 325;
/// Where an old JPEG is, in place of strips, and how long.
const JPEG_OFFSET: u16 = 513;
const JPEG_LENGTH: u16 = 514;

const SHORT: u16 = 3;
const LONG: u16 = 4;

pub(super) fn walk(walk: &mut Walk<impl BufRead + Seek>, pictures: &mut Pictures) -> Result<(), Flaw> {
    let mut tiff = Tiff { is_big_endian: walk.bytes()? == *b"MM", strips_left: walk.length() / 4, walk };
    tiff.walk.skip(2)?;
    let mut pages = 0;
    loop {
        let place = tiff.long()?;
        if place == 0 {
            break;
        }
        pages += 1;
        // The chain may be a ring.
        if pages > MAX_FRAMES {
            return Err(Flaw::Frames);
        }
        tiff.walk.go_to(u64::from(place))?;
        let (width, height) = tiff.page()?;
        pictures.add(width, height)?;
    }
    Ok(())
}

struct Tiff<'w, R> {
    walk: &'w mut Walk<R>,
    is_big_endian: bool,
    /// Strips that the file has room for; pages that share theirs would be gone over without end.
    strips_left: u64,
}

/// Bytes of one value of a type; unknown types may be anything.
const fn width_of(kind: u16) -> u64 {
    match kind {
        1 | 2 | 6 | 7 => 1,
        SHORT | 8 => 2,
        LONG | 9 | 11 | 13 => 4,
        5 | 10 | 12 => 8,
        _ => 0,
    }
}

/// Numbers of a tag: one that stands in it, or where they are.
#[derive(Clone, Copy)]
struct List {
    kind: u16,
    count: u32,
    place: u64,
}

impl<R: BufRead + Seek> Tiff<'_, R> {
    /// Reads one page, and goes to where the place of the next one is.
    fn page(&mut self) -> Result<(u32, u32), Flaw> {
        let count = self.short()?;
        let (mut width, mut height) = (0, 0);
        let (mut offsets, mut lengths) = (None, None);
        let next = self.walk.at() + u64::from(count) * 12;
        for tag in 0..u64::from(count) {
            self.walk.go_to(next - (u64::from(count) - tag) * 12)?;
            let (name, kind, count) = (self.short()?, self.short()?, self.long()?);
            let bytes = u64::from(count) * width_of(kind);
            let place = if bytes > 4 { u64::from(self.long()?) } else { self.walk.at() };
            self.walk.check(place, bytes)?;
            let list = List { kind, count, place };
            match name {
                WIDTH => width = self.number(list, 0)?,
                HEIGHT => height = self.number(list, 0)?,
                STRIP_OFFSETS | TILE_OFFSETS | JPEG_OFFSET => offsets = Some(list),
                STRIP_LENGTHS | TILE_LENGTHS | JPEG_LENGTH => lengths = Some(list),
                _ => {}
            }
        }
        let (Some(offsets), Some(lengths)) = (offsets, lengths) else {
            return Err(Flaw::Corrupt("a page has no picture"));
        };
        self.check_strips(offsets, lengths)?;
        self.walk.go_to(next)?;
        Ok((width, height))
    }

    /// Every strip must be in the file, and one of them hold something.
    fn check_strips(&mut self, offsets: List, lengths: List) -> Result<(), Flaw> {
        let count = offsets.count.min(lengths.count);
        let left = self.strips_left.checked_sub(u64::from(count));
        self.strips_left = left.ok_or(Flaw::Corrupt("it has more strips than room for them"))?;
        let mut data = 0;
        for n in 0..count {
            let (offset, length) = (self.number(offsets, n)?, u64::from(self.number(lengths, n)?));
            self.walk.check(u64::from(offset), length)?;
            data += length;
        }
        if data == 0 { Err(Flaw::Corrupt("a page has no picture")) } else { Ok(()) }
    }

    fn number(&mut self, list: List, n: u32) -> Result<u32, Flaw> {
        if n >= list.count {
            return Err(Flaw::Corrupt("a tag has no value"));
        }
        match list.kind {
            SHORT => {
                self.walk.go_to(list.place + u64::from(n) * 2)?;
                self.short().map(u32::from)
            }
            LONG => {
                self.walk.go_to(list.place + u64::from(n) * 4)?;
                self.long()
            }
            _ => Err(Flaw::Corrupt("a tag is of the wrong type")),
        }
    }

    fn short(&mut self) -> Result<u16, Flaw> {
        let bytes = self.walk.bytes()?;
        Ok(if self.is_big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    fn long(&mut self) -> Result<u32, Flaw> {
        let bytes = self.walk.bytes()?;
        Ok(if self.is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }
}
