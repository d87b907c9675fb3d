//! Messages that are being received. tonic keeps what has come of a message until it is whole, so that callers who send
//! all but the end of many would fill the memory.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// Messages up to this size need no room: so many calls may be open, and no more.
const SMALL: u32 = 64 << 10;

/// Largest messages that an application may have half received at a time; more of them wait.
const LARGEST_AT_A_TIME: usize = 8;

/// Room for what one application sends; cheap to clone.
#[derive(Clone)]
pub(super) struct Room {
    bytes: Arc<Semaphore>,
    largest: u32,
}

impl Room {
    /// Room where messages have at most so many bytes.
    pub(super) fn new(message_bytes: usize) -> Self {
        let largest = u32::try_from(message_bytes).unwrap_or(u32::MAX);
        let bytes = LARGEST_AT_A_TIME.saturating_mul(message_bytes).min(Semaphore::MAX_PERMITS);
        Self { bytes: Arc::new(Semaphore::new(bytes)), largest }
    }
}

/// The body of a request, whose large messages wait until there is room for the whole of them.
pub(super) struct Receiving<B> {
    body: Pin<Box<B>>,
    framing: Framing,
    room: PollSemaphore,
    largest: u32,
    /// Room for the message that has begun.
    held: Option<OwnedSemaphorePermit>,
    /// The beginning of a message that waits for room of so many bytes.
    waiting: Option<(Bytes, u32)>,
}

impl<B> Receiving<B> {
    pub(super) fn new(body: B, room: Room) -> Self {
        let Room { bytes, largest } = room;
        let room = PollSemaphore::new(bytes);
        Self { body: Box::pin(body), framing: Framing::default(), room, largest, held: None, waiting: None }
    }
}

impl<B: Body<Data = Bytes>> Body for Receiving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = &mut *self;
        if this.waiting.is_none() {
            let frame = match ready!(this.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                end => return Poll::Ready(end),
            };
            let data = match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            let before = this.framing.begun;
            let begun = this.framing.pass(&data);
            // Of one that is too large nothing is kept.
            let needs_room = begun.is_some_and(|message| (SMALL + 1..=this.largest).contains(&message.size));
            match begun {
                Some(message) if needs_room && before != begun => this.waiting = Some((data, message.size)),
                _ => {
                    if !needs_room {
                        this.held = None;
                    }
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
        if let Some((_, size)) = this.waiting {
            // What came before is whole by now.
            this.held = None;
            this.held = ready!(this.room.poll_acquire_many(cx, size));
        }
        Poll::Ready(this.waiting.take().map(|(data, _)| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where messages begin and end in a body of gRPC: before each stand a flag and its size, big-endian.
#[derive(Default)]
struct Framing {
    /// What is there of the five bytes before the next message.
    prefix: Vec<u8>,
    /// The message that has begun and is not whole.
    begun: Option<Begun>,
    /// Bytes of it that are still to come.
    missing: usize,
    messages: u64,
}

/// A message that is not whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Begun {
    number: u64,
    size: u32,
}

impl Framing {
    const PREFIX: usize = 5;

    /// Goes over what has come; gives the message that is not whole behind it.
    fn pass(&mut self, mut data: &[u8]) -> Option<Begun> {
        while !data.is_empty() {
            if self.begun.is_none() {
                let (prefix, rest) = data.split_at(data.len().min(Self::PREFIX - self.prefix.len()));
                self.prefix.extend_from_slice(prefix);
                data = rest;
                if let [_, a, b, c, d] = self.prefix[..] {
                    let size = u32::from_be_bytes([a, b, c, d]);
                    self.prefix.clear();
                    self.messages += 1;
                    self.missing = size as usize;
                    self.begun = (size > 0).then_some(Begun { number: self.messages, size });
                }
            }
            let passed = data.len().min(self.missing);
            data = &data[passed..];
            self.missing -= passed;
            if self.missing == 0 {
                self.begun = None;
            }
        }
        self.begun
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    use super::*;

    /// Messages of these sizes, as a body holds them.
    fn framed(sizes: &[u32]) -> Vec<u8> {
        let of = |size: &u32| [&[0][..], &size.to_be_bytes(), &vec![7; *size as usize]].concat();
        sizes.iter().flat_map(of).collect()
    }

    fn body(parts: Vec<Vec<u8>>) -> StreamBody<impl futures_util::Stream<Item = Result<Frame<Bytes>, ()>>> {
        StreamBody::new(tokio_stream::iter(parts.into_iter().map(|part| Ok(Frame::data(part.into())))))
    }

    proptest! {
        #[test]
        fn ends_of_messages_are_found_however_they_are_cut(
            sizes in proptest::collection::vec(0..200_u32, 1..8),
            cuts in proptest::collection::vec(1..64_usize, 1..8),
        ) {
            let bytes = framed(&sizes);
            let mut ends = vec![0];
            for size in &sizes {
                ends.push(ends[ends.len() - 1] + 5 + *size as usize);
            }
            let (mut framing, mut at) = (Framing::default(), 0);
            for cut in cuts.iter().cycle() {
                let next = bytes.len().min(at + cut);
                let begun = framing.pass(&bytes[at..next]);
                at = next;
                let message = ends.partition_point(|end| *end <= at);
                let within = message < ends.len() && at >= ends[message - 1] + 5;
                prop_assert_eq!(begun.map(|begun| begun.size), within.then(|| sizes[message - 1]));
                if at == bytes.len() {
                    break;
                }
            }
        }
    }

    #[tokio::test]
    async fn large_messages_wait_for_those_before_them() {
        const LARGE: u32 = 100_000;
        let room = Room::new(LARGE as usize);
        let half = || framed(&[LARGE])[..80_000].to_vec();
        let rest = || framed(&[LARGE])[80_000..].to_vec();
        let begin = || Receiving::new(body(vec![half(), rest()]), room.clone());
        let mut first: Vec<_> = (0..LARGEST_AT_A_TIME).map(|_| begin()).collect();
        for body in &mut first {
            assert!(body.frame().now_or_never().is_some(), "there is room for so many");
        }
        let mut next = begin();
        assert!(next.frame().now_or_never().is_none(), "one too many");
        let mut small = Receiving::new(body(vec![framed(&[SMALL])[..9].to_vec()]), room.clone());
        assert!(small.frame().now_or_never().is_some(), "a small one needs no room");
        let mut beyond = Receiving::new(body(vec![framed(&[LARGE + 1])[..9].to_vec()]), room.clone());
        assert!(beyond.frame().now_or_never().is_some(), "nothing is kept of one that is refused");
        first.pop().expect("one").frame().await.expect("the rest").expect("whole");
        assert!(next.frame().now_or_never().is_some(), "there is room again");
        assert!(begin().frame().now_or_never().is_none());
        drop(first.pop());
        assert!(begin().frame().now_or_never().is_some(), "who gives up gives its room back");
    }

    #[tokio::test]
    async fn nothing_is_lost_or_changed() {
        let bytes = framed(&[70_000, 3, 0, 100_000, 1, 70_000]);
        let parts = bytes.chunks(4_999).map(<[u8]>::to_vec).collect();
        let passed = Receiving::new(body(parts), Room::new(100_000)).collect().await.expect("all");
        assert_eq!(passed.to_bytes(), bytes);
    }
}
