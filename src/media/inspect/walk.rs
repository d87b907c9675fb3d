//! A way through a file that ends where the file does.

use std::io::{BufRead, Seek, SeekFrom};

use super::Flaw;

const SHORT: Flaw = Flaw::Corrupt("it ends too early");

pub(super) struct Walk<R> {
    reader: R,
    at: u64,
    length: u64,
}

impl<R: BufRead + Seek> Walk<R> {
    pub(super) fn new(mut reader: R) -> Result<Self, Flaw> {
        let length = reader.seek(SeekFrom::End(0))?;
        reader.rewind()?;
        Ok(Self { reader, at: 0, length })
    }

    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// The next bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        self.check(self.at, N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes)?;
        self.at += N as u64;
        Ok(bytes)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Flaw> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    /// Passes over bytes, which must be there.
    pub(super) fn skip(&mut self, count: u64) -> Result<(), Flaw> {
        self.go_to(self.at.checked_add(count).ok_or(SHORT)?)
    }

    /// Whether so many bytes are at a place.
    pub(super) fn check(&self, place: u64, count: u64) -> Result<(), Flaw> {
        if place.checked_add(count).is_some_and(|end| end <= self.length) { Ok(()) } else { Err(SHORT) }
    }

    /// Goes to a place of the file, at most to its end.
    pub(super) fn go_to(&mut self, place: u64) -> Result<(), Flaw> {
        self.check(place, 0)?;
        // Keeps what is buffered, unlike a seek to a place.
        let distance = place.wrapping_sub(self.at).cast_signed();
        self.reader.seek_relative(distance)?;
        self.at = place;
        Ok(())
    }

    /// Goes behind the next byte of this value; tells how many were passed before it.
    pub(super) fn find(&mut self, byte: u8) -> Result<u64, Flaw> {
        let from = self.at;
        loop {
            let buffered = self.reader.fill_buf()?;
            if buffered.is_empty() {
                return Err(SHORT);
            }
            let found = memchr::memchr(byte, buffered);
            let passed = found.map_or(buffered.len(), |place| place + 1);
            self.reader.consume(passed);
            self.at += passed as u64;
            if found.is_some() {
                return Ok(self.at - from - 1);
            }
        }
    }
}
