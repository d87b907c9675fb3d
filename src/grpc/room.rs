//! Room for large messages: an application may have a few of them on their way at a time, in each direction, so that
//! those who send or take them by halves do not fill the memory.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// Bytes up to which a message needs no room: so many calls may be open, and no more.
pub(super) const SMALL: usize = 64 << 10;

/// Largest messages that an application may have half received at a time; more of them wait.
const LARGEST_AT_A_TIME: usize = 8;

/// Bytes of large answers that may wait at a time for one application to take them, and as many of streams.
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
            answers: AnswerRoom::new(),
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

/// Room for answers until they are taken. That of streams is another one, since they wait for it: who waits comes first.
#[derive(Clone)]
pub(super) struct AnswerRoom {
    single: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

/// Room that was taken, until this is dropped; none by what is small.
#[derive(Default)]
pub(super) struct Taken {
    _room: Option<OwnedSemaphorePermit>,
}

impl AnswerRoom {
    fn new() -> Self {
        let room = || Arc::new(Semaphore::new(ANSWER_BYTES));
        Self { single: room(), streams: room() }
    }

    /// Takes room for a single answer of so many bytes; nothing where there is none.
    pub(super) fn try_take(&self, bytes: usize) -> Option<Taken> {
        match needed(bytes) {
            None => Some(Taken::default()),
            Some(bytes) => {
                let room = self.single.clone().try_acquire_many_owned(bytes).ok()?;
                Some(Taken { _room: Some(room) })
            }
        }
    }

    /// Takes room for so many bytes of a stream as soon as there is some.
    pub(super) async fn take(&self, bytes: usize) -> Taken {
        match needed(bytes) {
            None => Taken::default(),
            // It is never closed.
            Some(bytes) => Taken { _room: self.streams.clone().acquire_many_owned(bytes).await.ok() },
        }
    }
}

/// The room that bytes need; none for a few.
fn needed(bytes: usize) -> Option<u32> {
    (bytes > SMALL).then(|| bytes.min(ANSWER_BYTES) as u32)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn single_answers_find_room_or_not_and_streams_wait_for_theirs() {
        const HALF: usize = ANSWER_BYTES / 2;
        let room = AnswerRoom::new();
        let held = [room.try_take(HALF).expect("room"), room.try_take(HALF).expect("room")];
        assert!(room.try_take(HALF).is_none());
        assert!(room.try_take(SMALL).is_some(), "a small one needs none");
        let of_stream = room.take(2 * ANSWER_BYTES).now_or_never().expect("what is larger takes all");
        assert!(room.take(HALF).now_or_never().is_none());
        drop(held);
        assert!(room.try_take(ANSWER_BYTES).is_some(), "whoever waits for the other");
        drop(of_stream);
        assert!(room.take(HALF).now_or_never().is_some());
    }
}
