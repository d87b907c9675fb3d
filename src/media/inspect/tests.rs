use std::io::Cursor;

use super::{Flaw, inspect};
use crate::media::kind::{HEAD, Kind};

macro_rules! fixtures {
    ($($name:literal: $size:expr),* $(,)?) => {
        /// Whole files, each with the size of its picture.
        const FILES: &[(&str, &[u8], Option<(u32, u32)>)] = &[$((
            $name,
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/media/", $name)),
            $size,
        )),*];
    };
}

fixtures! {
    "plain.jpg": Some((16, 12)),
    "progressive.jpg": Some((16, 12)),
    "plain.png": Some((16, 12)),
    "animated.png": Some((16, 12)),
    "lossy.webp": Some((16, 12)),
    "lossless.webp": Some((16, 12)),
    "animated.webp": Some((16, 12)),
    "little.tiff": Some((16, 12)),
    "big.tiff": Some((16, 12)),
    "pages.tiff": Some((16, 12)),
    "plain.heic": Some((64, 64)),
    "plain.mp4": None,
    "faststart.mp4": None,
    "fragmented.mp4": None,
    "plain.mov": None,
    "plain.webm": None,
    "live.webm": None,
}

fn bytes_of(name: &str) -> Vec<u8> {
    FILES.iter().find(|(other, ..)| *other == name).unwrap().1.to_vec()
}

/// What becomes of a file: its size, or why it is not stored.
fn look(bytes: &[u8]) -> Result<Option<(u32, u32)>, String> {
    let kind = Kind::of(&bytes[..bytes.len().min(HEAD)])?;
    match inspect(Cursor::new(bytes), kind, 100_000_000) {
        Ok(picture) => Ok(picture.map(|picture| (picture.width, picture.height))),
        Err(Flaw::Corrupt(_)) => Err("corrupt".to_owned()),
        Err(Flaw::Frames) => Err("frames".to_owned()),
        Err(Flaw::Dimensions(_)) => Err("dimensions".to_owned()),
        Err(Flaw::Unreadable(error)) => panic!("{error}"),
    }
}

/// The file with what is at `place` replaced.
fn with(name: &str, find: &[u8], behind: usize, new: &[u8]) -> Vec<u8> {
    let mut bytes = bytes_of(name);
    let place = memchr::memmem::find(&bytes, find).unwrap() + find.len() + behind;
    bytes[place..place + new.len()].copy_from_slice(new);
    bytes
}

fn corrupt<T>() -> Result<T, String> {
    Err("corrupt".to_owned())
}

#[test]
fn whole_files_of_every_kind_are_read() {
    for (name, bytes, size) in FILES {
        assert_eq!(look(bytes), Ok(*size), "{name}");
    }
}

#[test]
fn d006_d011_what_is_cut_anywhere_is_damaged() {
    // A fragment more or less leaves a whole film.
    let may_end = |name: &str| ["live.webm", "fragmented.mp4"].contains(&name);
    for (name, bytes, _) in FILES.iter().filter(|(name, ..)| !may_end(name)) {
        for length in 0..bytes.len() {
            let seen = look(&bytes[..length]);
            assert!(seen.is_err(), "{name} of {length} bytes: {seen:?}");
            assert!(length < 48 || seen == corrupt(), "{name} of {length} bytes: {seen:?}");
        }
    }
    let live = bytes_of("live.webm");
    let pictures = memchr::memmem::find(&live, b"\x1f\x43\xb6\x75").unwrap();
    assert_eq!(look(&live[..pictures]), corrupt());
}

#[test]
fn d006_a_header_alone_is_no_picture() {
    let png = bytes_of("plain.png");
    assert_eq!(look(&[&png[..33], &png[png.len() - 12..]].concat()), corrupt());
    let jpeg = bytes_of("plain.jpg");
    let scan = memchr::memmem::find(&jpeg, b"\xff\xda").unwrap();
    assert_eq!(look(&[&jpeg[..scan], b"\xff\xd9"].concat()), corrupt());
    assert_eq!(look(b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0\x0f\0\0\x0b\0\0"), corrupt());
    assert_eq!(look(b"\0\0\0\x10ftypisom\0\0\0\0\0\0\0\x08moov\0\0\0\x08mdat"), corrupt());
    assert_eq!(look(b"II*\0\x08\0\0\0\0\0\0\0\0\0"), corrupt());
    assert_eq!(look(&with("plain.heic", b"iprp", 0, b"")[..28]), corrupt());
}

#[test]
fn d007_sizes_are_believed_before_anything_is_decoded() {
    let large = 100_000_u32.to_be_bytes();
    for (name, bytes) in [
        ("PNG", with("plain.png", b"IHDR", 0, &[large, large].concat())),
        ("JPEG of 65,535 by 65,535", with("plain.jpg", b"\xff\xc0\0\x11\x08", 0, &[0xff; 4])),
        ("WebP", with("animated.webp", b"VP8X", 8, &[0xff; 6])),
        ("frame of a WebP", with("animated.webp", b"ANMF", 10, &[0xff; 6])),
        ("lossless WebP is 16,384 wide at most", with("lossless.webp", b"VP8L", 5, &[0xff; 4])),
        ("TIFF", with("big.tiff", b"\x01\0\0\x03\0\0\0\x01", 0, &60_000_u16.to_be_bytes())),
        ("HEIC", with("plain.heic", b"ispe", 4, &[large, large].concat())),
    ] {
        assert_eq!(look(&bytes), Err("dimensions".to_owned()), "{name}");
    }
    let wide = with("plain.png", b"IHDR", 0, &[30_001_u32.to_be_bytes(), 1_u32.to_be_bytes()].concat());
    assert_eq!(look(&wide), Err("dimensions".to_owned()), "a side counts as well");
    assert_eq!(look(&with("plain.png", b"IHDR", 0, &[0; 4])), corrupt(), "no side at all");
}

#[test]
fn d008_frames_are_counted_and_not_believed() {
    let frames = |name: &str, chunk: &[u8], at: usize, times: usize| {
        let bytes = bytes_of(name);
        [&bytes[..at], &chunk.repeat(times), &bytes[at..]].concat()
    };
    let control = [&26_u32.to_be_bytes()[..], b"fcTL", &[0; 30]].concat();
    assert_eq!(look(&frames("plain.png", &control, 33, 1_000)), Ok(Some((16, 12))));
    assert_eq!(look(&frames("plain.png", &control, 33, 1_001)), Err("frames".to_owned()));

    let frame = [&b"ANMF"[..], &16_u32.to_le_bytes(), &[0; 16]].concat();
    let mut webp = frames("animated.webp", &frame, 30, 1_000);
    let length = (webp.len() - 8) as u32;
    webp[4..8].copy_from_slice(&length.to_le_bytes());
    assert_eq!(look(&webp), Err("frames".to_owned()));

    // The second page is followed by the first.
    let mut ring = bytes_of("pages.tiff");
    let first: [u8; 4] = ring[4..8].try_into().unwrap();
    let count = |at: usize| usize::from(u16::from_le_bytes(ring[at..at + 2].try_into().unwrap()));
    let first_at = u32::from_le_bytes(first) as usize;
    let next = first_at + 2 + count(first_at) * 12;
    let second_at = u32::from_le_bytes(ring[next..next + 4].try_into().unwrap()) as usize;
    let end = second_at + 2 + count(second_at) * 12;
    ring[end..end + 4].copy_from_slice(&first);
    assert!(look(&ring).is_err());
}

#[test]
fn d004_what_follows_a_picture_is_let_be() {
    for name in ["plain.jpg", "plain.png", "lossy.webp", "little.tiff"] {
        let more = [&bytes_of(name)[..], b"PK\x03\x04 <script>alert(1)</script> %PDF-1.7"].concat();
        assert!(look(&more).is_ok(), "{name}");
    }
    let more = [&bytes_of("plain.mp4")[..], b"PK\x03\x04 <script>"].concat();
    assert_eq!(look(&more), corrupt(), "boxes have nothing behind them");
}

#[test]
fn files_twisted_in_one_place_end_somehow() {
    for (name, bytes, _) in FILES {
        for place in 0..bytes.len() {
            for twist in [0x00, 0x01, 0x7f, 0xff] {
                let mut twisted = bytes.to_vec();
                twisted[place] ^= twist;
                if let Ok(Some((width, height))) = look(&twisted) {
                    assert!(width * height <= 100_000_000, "{name}");
                }
            }
        }
    }
}
