//! The pace of an upload stream: what it must bring for the chunks it sends and for the time it takes.

use std::time::Duration;

use crate::domain::refusal::Refusal;

/// Chunks that need not bring anything: small files and careless clients.
const FREE_CHUNKS: u64 = 100_000;

/// Bytes that pay for one more chunk. Below that a chunk costs more work than its bytes.
const BYTES_PER_CHUNK: u64 = 64;

/// Bytes that must come while the stream is waited for as long as it may be silent.
const LEAST_BYTES: u64 = 1 << 10;

/// What a stream has brought so far.
pub(super) struct Pace {
    idle: Duration,
    chunks: u64,
    bytes: u64,
    /// Time waited for the bytes behind `paid_bytes`.
    waited: Duration,
    paid_bytes: u64,
}

impl Pace {
    /// The pace of a stream that may be silent for `idle`.
    pub(super) fn new(idle: Duration) -> Self {
        Self { idle, chunks: 0, bytes: 0, waited: Duration::ZERO, paid_bytes: 0 }
    }

    /// How long the next chunk may be waited for.
    pub(super) fn patience(&self) -> Duration {
        self.idle.saturating_sub(self.waited)
    }

    /// Counts time in which only the stream was waited for.
    pub(super) fn waited(&mut self, time: Duration) {
        self.waited += time;
    }

    /// Counts a chunk of so many bytes.
    pub(super) fn chunk(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.chunks += 1;
        self.bytes += bytes as u64;
        if self.bytes - self.paid_bytes >= LEAST_BYTES {
            self.paid_bytes = self.bytes;
            self.waited = Duration::ZERO;
        }
        let limit = FREE_CHUNKS + self.bytes / BYTES_PER_CHUNK;
        if self.chunks > limit { Err(Refusal::TooManyChunks { limit, bytes: self.bytes }) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn chunks_are_paid_for_by_their_bytes() {
        for (bytes, chunks) in [(0, 100_000), (1, 101_587), (16, 133_333), (63, 6_400_000)] {
            let mut pace = Pace::new(SECOND);
            for n in 1..=chunks {
                assert!(pace.chunk(bytes).is_ok(), "chunk {n} of {bytes} bytes");
            }
            assert!(pace.chunk(bytes).is_err(), "chunk {} of {bytes} bytes", chunks + 1);
        }
        let mut pace = Pace::new(SECOND);
        assert!((0..10_000_000).all(|_| pace.chunk(64).is_ok()), "whole ones pay for themselves");
    }

    #[test]
    fn patience_returns_with_a_kibibyte_only() {
        let mut pace = Pace::new(60 * SECOND);
        for n in 1..=40 {
            pace.waited(SECOND);
            pace.chunk(1).expect("few");
            assert_eq!(pace.patience(), (60 - n) * SECOND, "a byte a second");
        }
        pace.chunk(1023 - 40).expect("few");
        assert_eq!(pace.patience(), 20 * SECOND);
        pace.chunk(1).expect("few");
        assert_eq!(pace.patience(), 60 * SECOND);
        pace.waited(90 * SECOND);
        assert_eq!(pace.patience(), Duration::ZERO);
    }
}
