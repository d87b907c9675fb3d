//! JPEG: segments, and scans of data between them, up to the end marker. What follows that is let be: phones
//! append more to their pictures.

use std::io::{BufRead, Seek};

use super::{Flaw, Pictures, walk::Walk};

pub(super) fn walk(walk: &mut Walk<impl BufRead + Seek>, pictures: &mut Pictures) -> Result<(), Flaw> {
    walk.skip(2)?;
    let mut data = 0;
    let mut marker = next_marker(walk)?;
    loop {
        match marker {
            END => break,
            // These stand alone.
            0x01 | RESTART..=0xd7 => {}
            _ => {
                let length = u64::from(u16::from_be_bytes(walk.bytes()?));
                let end =
                    walk.at() + length.checked_sub(2).ok_or(Flaw::Corrupt("a segment has no length"))?;
                if matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
                    let [_, a, b, c, d] = walk.bytes()?;
                    let [height, width] = [[a, b], [c, d]].map(|side| u32::from(u16::from_be_bytes(side)));
                    pictures.add(width, height)?;
                }
                walk.go_to(end)?;
            }
        }
        marker = if marker == SCAN { behind_scan(walk, &mut data)? } else { next_marker(walk)? };
    }
    if data == 0 {
        return Err(Flaw::Corrupt("it has a header and no picture"));
    }
    Ok(())
}

const RESTART: u8 = 0xd0;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;

/// A marker may have any number of 0xff before it.
fn next_marker(walk: &mut Walk<impl BufRead + Seek>) -> Result<u8, Flaw> {
    if walk.byte()? != 0xff {
        return Err(Flaw::Corrupt("a segment is not where it should be"));
    }
    behind_fill(walk)
}

fn behind_fill(walk: &mut Walk<impl BufRead + Seek>) -> Result<u8, Flaw> {
    loop {
        match walk.byte()? {
            0xff => {}
            marker => return Ok(marker),
        }
    }
}

/// The marker that ends a scan, in which a zero follows each 0xff of the data.
fn behind_scan(walk: &mut Walk<impl BufRead + Seek>, data: &mut u64) -> Result<u8, Flaw> {
    loop {
        *data += walk.find(0xff)?;
        match behind_fill(walk)? {
            0 | RESTART..=0xd7 => {}
            marker => return Ok(marker),
        }
    }
}
