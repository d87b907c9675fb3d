//! Room for large messages: an application may have a few of them on their way at a time, in each direction, so that
//! those who send or take them by halves do not fill the memory.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// Bytes up to which a message needs no room: so many calls may be open, and no more.
pub(super) const SMALL: usize = 64 << 10;

/// Largest messages that an application may have half received at a time; more of them wait.
const LARGEST_AT_A_TIME: usize = 8;

/// Bytes of large answers that may wait at a time for one application to take them.
pub(super) const ANSWER_BYTES: usize = 64 << 20;

/// The room that one application has; cheap to clone.
#[derive(Clone)]
pub(super) struct Rooms {
    /// For what it sends.
    pub(super) sent: SentRoom,
    /// For what it is sent.
    pub(super) answers: AnswerRoom,
}

impl Rooms {
    /// Rooms where messages that are sent have at most so many bytes.
    pub(super) fn new(message_bytes: usize) -> Self {
        let largest = u32::try_from(message_bytes).unwrap_or(u32::MAX);
        let bytes = LARGEST_AT_A_TIME.saturating_mul(message_bytes).min(Semaphore::MAX_PERMITS);
        Self {
            sent: SentRoom { bytes: Arc::new(Semaphore::new(bytes)), largest },
            answers: AnswerRoom(Arc::new(Semaphore::new(ANSWER_BYTES))),
        }
    }
}

/// Room for messages that are being received.
#[derive(Clone)]
pub(super) struct SentRoom {
    bytes: Arc<Semaphore>,
    largest: u32,
}

impl SentRoom {
    /// Whether a message of this size needs any. Of one that is too large nothing is kept.
    pub(super) fn is_needed(&self, size: u32) -> bool {
        size as usize > SMALL && size <= self.largest
    }

    /// Where to wait for so many bytes of it.
    pub(super) fn door(&self) -> PollSemaphore {
        PollSemaphore::new(self.bytes.clone())
    }
}

/// Room for answers until they are taken.
#[derive(Clone)]
pub(super) struct AnswerRoom(Arc<Semaphore>);

impl AnswerRoom {
    /// Puts bytes there, where they stay until the last part of them is let go of; nothing where there is no room.
    pub(super) fn put(&self, bytes: Bytes) -> Option<Bytes> {
        let Some(size) = needed(&bytes) else { return Some(bytes) };
        let room = self.0.clone().try_acquire_many_owned(size).ok()?;
        Some(Bytes::from_owner(Roomy { bytes, _room: room }))
    }

    /// Does so as soon as there is room.
    pub(super) async fn wait(&self, bytes: Bytes) -> Bytes {
        let Some(size) = needed(&bytes) else { return bytes };
        match self.0.clone().acquire_many_owned(size).await {
            Ok(room) => Bytes::from_owner(Roomy { bytes, _room: room }),
            // It is never closed.
            Err(_) => bytes,
        }
    }
}

/// The room that bytes need; none for small ones.
fn needed(bytes: &Bytes) -> Option<u32> {
    (bytes.len() > SMALL).then(|| bytes.len().min(ANSWER_BYTES) as u32)
}

/// Bytes that take room.
struct Roomy {
    bytes: Bytes,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Roomy {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn answers_take_room_until_the_last_part_is_let_go_of() {
        let room = Rooms::new(1).answers;
        let half = || Bytes::from(vec![7; ANSWER_BYTES / 2]);
        let mut first = room.put(half()).expect("room");
        let second = room.put(half()).expect("room");
        assert!(room.put(half()).is_none() && room.wait(half()).now_or_never().is_none());
        assert_eq!(room.put(vec![7; SMALL].into()).expect("small ones need none").len(), SMALL);
        let part = first.split_to(9);
        drop(first);
        assert!(room.put(half()).is_none(), "a part of it is left");
        drop(part);
        assert_eq!(room.wait(half()).now_or_never().expect("room").len(), ANSWER_BYTES / 2);
        drop(second);
        assert!(room.put(vec![7; 2 * ANSWER_BYTES].into()).is_some(), "what is larger takes all of it");
    }
}
