//! PNG: a signature and chunks, from IHDR to IEND. What follows is let be.

use std::io::{BufRead, Seek};

use super::{Flaw, MAX_FRAMES, Pictures, walk::Walk};

pub(super) fn walk(walk: &mut Walk<impl BufRead + Seek>, pictures: &mut Pictures) -> Result<(), Flaw> {
    walk.skip(8)?;
    let (mut data, mut frames) = (0_u64, 0_u32);
    loop {
        let length = u64::from(u32::from_be_bytes(walk.bytes()?));
        let kind: [u8; 4] = walk.bytes()?;
        let end = walk.at() + length + 4;
        match &kind {
            b"IHDR" => {
                let [width, height] = [walk.bytes()?, walk.bytes()?].map(u32::from_be_bytes);
                pictures.add(width, height)?;
            }
            b"IDAT" => data += length,
            b"fcTL" => frames += 1,
            _ => {}
        }
        if frames > MAX_FRAMES {
            return Err(Flaw::Frames);
        }
        walk.go_to(end)?;
        if kind == *b"IEND" {
            break;
        }
    }
    if data == 0 {
        return Err(Flaw::Corrupt("it has a header and no picture"));
    }
    Ok(())
}
