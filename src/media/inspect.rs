//! Reads how a file is made, without decoding any of it: whether it is whole, how large its picture is and
//! how many frames it has. Every walk goes forward, or through lists that are no longer than the file.

pub(super) mod boxes;
mod ebml;
mod jpeg;
mod png;
mod riff;
mod tiff;
mod walk;

use std::io::{self, BufReader, Read, Seek};

use thiserror::Error;

use self::walk::Walk;
use super::kind::Kind;

/// Frames of an animation, or pages of a TIFF, at most.
const MAX_FRAMES: u32 = 1_000;

/// Longest side of a picture.
const MAX_SIDE: u32 = 30_000;

/// Size of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dimensions {
    pub(super) width: u32,
    pub(super) height: u32,
}

/// Why a file is not stored.
#[derive(Debug, Error)]
pub(super) enum Flaw {
    #[error("it is damaged: {0}")]
    Corrupt(&'static str),
    #[error("it has more than {MAX_FRAMES} frames or pages")]
    Frames,
    #[error("its picture is {} by {} pixels, which is too large", .0.width, .0.height)]
    Dimensions(Dimensions),
    /// Ours, not the file's.
    #[error("read a spooled file")]
    Unreadable(#[from] io::Error),
}

/// The size of the picture, which videos are not asked for.
pub(super) fn inspect(
    file: impl Read + Seek,
    kind: Kind,
    max_pixels: u64,
) -> Result<Option<Dimensions>, Flaw> {
    let mut walk = Walk::new(BufReader::new(file))?;
    let mut pictures = Pictures { max_pixels, largest: None };
    match kind {
        Kind::Jpeg => jpeg::walk(&mut walk, &mut pictures)?,
        Kind::Png => png::walk(&mut walk, &mut pictures)?,
        Kind::WebP => riff::walk(&mut walk, &mut pictures)?,
        Kind::Tiff => tiff::walk(&mut walk, &mut pictures)?,
        Kind::Heic => boxes::walk_image(&mut walk, &mut pictures)?,
        Kind::Mp4 | Kind::Mov => return boxes::walk_video(&mut walk).map(|()| None),
        Kind::WebM => return ebml::walk(&mut walk).map(|()| None),
    }
    pictures.largest.map(Some).ok_or(Flaw::Corrupt("it does not say how large its picture is"))
}

/// The pictures of a file, none of which may be too large.
struct Pictures {
    max_pixels: u64,
    largest: Option<Dimensions>,
}

impl Pictures {
    fn add(&mut self, width: u32, height: u32) -> Result<(), Flaw> {
        let picture = Dimensions { width, height };
        if picture.pixels() == 0 {
            return Err(Flaw::Corrupt("its picture has no size"));
        }
        if width.max(height) > MAX_SIDE || picture.pixels() > self.max_pixels {
            return Err(Flaw::Dimensions(picture));
        }
        if self.largest.is_none_or(|largest| largest.pixels() < picture.pixels()) {
            self.largest = Some(picture);
        }
        Ok(())
    }
}

impl Dimensions {
    const fn pixels(self) -> u64 {
        self.width as u64 * self.height as u64
    }
}

#[cfg(test)]
mod tests;
