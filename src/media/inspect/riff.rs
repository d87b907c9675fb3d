//! WebP: chunks in a RIFF file that says how long it is.

use std::io::{BufRead, Seek};

use super::{Flaw, MAX_FRAMES, Pictures, walk::Walk};

pub(super) fn walk(walk: &mut Walk<impl BufRead + Seek>, pictures: &mut Pictures) -> Result<(), Flaw> {
    walk.skip(4)?;
    let end = u64::from(u32::from_le_bytes(walk.bytes()?)) + 8;
    walk.check(end, 0)?;
    walk.skip(4)?;
    let (mut data, mut frames) = (0, 0);
    while walk.at() + 8 <= end {
        let kind: [u8; 4] = walk.bytes()?;
        let length = u64::from(u32::from_le_bytes(walk.bytes()?));
        let chunk_end = walk.at() + length + length % 2;
        // A frame may be larger than the canvas that is named.
        let size = match &kind {
            b"VP8X" => {
                walk.skip(4)?;
                Some(less_one(walk)?)
            }
            b"VP8 " => {
                data += length;
                Some(lossy(walk)?)
            }
            b"VP8L" => {
                data += length;
                Some(lossless(walk)?)
            }
            b"ANMF" => {
                (data, frames) = (data + length, frames + 1);
                walk.skip(6)?;
                Some(less_one(walk)?)
            }
            _ => None,
        };
        if frames > MAX_FRAMES {
            return Err(Flaw::Frames);
        }
        if let Some((width, height)) = size {
            pictures.add(width, height)?;
        }
        walk.go_to(chunk_end.min(end))?;
    }
    if data == 0 {
        return Err(Flaw::Corrupt("it has a header and no picture"));
    }
    Ok(())
}

/// Two sides of 24 bits, each less one.
fn less_one(walk: &mut Walk<impl BufRead + Seek>) -> Result<(u32, u32), Flaw> {
    let [a, b, c, d, e, f] = walk.bytes()?;
    let side = |bytes: [u8; 3]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], 0]) + 1;
    Ok((side([a, b, c]), side([d, e, f])))
}

fn lossy(walk: &mut Walk<impl BufRead + Seek>) -> Result<(u32, u32), Flaw> {
    walk.skip(3)?;
    if walk.bytes()? != [0x9d, 0x01, 0x2a] {
        return Err(Flaw::Corrupt("its picture does not begin as it should"));
    }
    // Two bits of each are for the display.
    let side = |bytes| u32::from(u16::from_le_bytes(bytes) & 0x3fff);
    Ok((side(walk.bytes()?), side(walk.bytes()?)))
}

fn lossless(walk: &mut Walk<impl BufRead + Seek>) -> Result<(u32, u32), Flaw> {
    if walk.byte()? != 0x2f {
        return Err(Flaw::Corrupt("its picture does not begin as it should"));
    }
    let bits = u32::from_le_bytes(walk.bytes()?);
    Ok(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
}
