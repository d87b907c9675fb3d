//! Messages that are being received. tonic keeps what has come of a message until it is whole, so that callers who send
//! all but the end of many would fill the memory.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::PollSemaphore;

use super::room::SentRoom;

/// The body of a request, whose large messages wait until there is room for the whole of them.
pub(super) struct Receiving<B> {
    body: Pin<Box<B>>,
    framing: Framing,
    room: SentRoom,
    door: PollSemaphore,
    /// Room for the message that has begun.
    held: Option<OwnedSemaphorePermit>,
    /// The beginning of a message that waits for room of so many bytes.
    waiting: Option<(Bytes, u32)>,
}

impl<B> Receiving<B> {
    pub(super) fn new(body: B, room: SentRoom) -> Self {
        let door = room.door();
        Self { body: Box::pin(body), framing: Framing::default(), room, door, held: None, waiting: None }
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
            let mut data = match frame.into_data() {
                Ok(data) => data,
                Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
            };
            let before = this.framing.begun;
            let begun = this.framing.pass(&data);
            let needs_room = begun.filter(|message| this.room.is_needed(message.size));
            match needs_room {
                // More of the one that there is room for.
                Some(_) if before == begun => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(message) => {
                    let ends = data.split_to(data.len().saturating_sub(this.framing.passed));
                    this.waiting = Some((data, message.size));
                    if !ends.is_empty() {
                        // With the end of the message before, whoever reads lets go of that one.
                        return Poll::Ready(Some(Ok(Frame::data(ends))));
                    }
                }
                None => {
                    this.held = None;
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
            }
        }
        if let Some((_, size)) = this.waiting {
            // What came before is whole, and passed on.
            this.held = None;
            this.held = ready!(this.door.poll_acquire_many(cx, size));
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
    /// Bytes of it that have come, with those before it.
    passed: usize,
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
                    self.passed = Self::PREFIX;
                    self.begun = (size > 0).then_some(Begun { number: self.messages, size });
                }
            }
            let passed = data.len().min(self.missing);
            data = &data[passed..];
            self.missing -= passed;
            self.passed += passed;
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
    use crate::grpc::room::{Rooms, SMALL};

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
        const AT_A_TIME: usize = 8;
        let room = Rooms::new(LARGE as usize).sent;
        let half = || framed(&[LARGE])[..80_000].to_vec();
        let rest = || framed(&[LARGE])[80_000..].to_vec();
        let begin = || Receiving::new(body(vec![half(), rest()]), room.clone());
        let mut first: Vec<_> = (0..AT_A_TIME).map(|_| begin()).collect();
        for body in &mut first {
            assert!(body.frame().now_or_never().is_some(), "there is room for so many");
        }
        let mut next = begin();
        assert!(next.frame().now_or_never().is_none(), "one too many");
        let mut small = Receiving::new(body(vec![framed(&[SMALL as u32])[..9].to_vec()]), room.clone());
        assert!(small.frame().now_or_never().is_some(), "a small one needs no room");
        let mut beyond = Receiving::new(body(vec![framed(&[LARGE + 1])[..9].to_vec()]), room.clone());
        assert!(beyond.frame().now_or_never().is_some(), "nothing is kept of one that is refused");
        first.pop().expect("one").frame().await.expect("the rest").expect("whole");
        assert!(next.frame().now_or_never().is_some(), "there is room again");
        assert!(begin().frame().now_or_never().is_none());
        drop(first.pop());
        assert!(begin().frame().now_or_never().is_some(), "who gives up gives its room back");
    }

    /// With the room that it had before, whoever sends the end of one and the beginning of another in one frame
    /// would have two of them kept.
    #[tokio::test]
    async fn a_message_that_ends_is_passed_on_before_the_next_one_waits() {
        let room = Rooms::new(100_000).sent;
        let bytes = framed(&[100_000, 100_000]);
        let (first, second) = (framed(&[100_000]), 100_000 + 50_000);
        let parts = vec![bytes[..80_000].to_vec(), bytes[80_000..second].to_vec(), bytes[second..].to_vec()];
        let mut body = Receiving::new(body(parts), room.clone());
        let mut passed = Vec::new();
        for _ in 0..2 {
            let frame =
                body.frame().now_or_never().expect("there is room").expect("a frame").expect("no error");
            passed.extend_from_slice(&frame.into_data().expect("data"));
        }
        assert_eq!(passed, first, "the whole of it, and nothing of the next");
        let rest = body.collect().await.expect("there is room for the next").to_bytes();
        assert_eq!([passed, rest.to_vec()].concat(), bytes);
    }

    #[tokio::test]
    async fn nothing_is_lost_or_changed() {
        let bytes = framed(&[70_000, 3, 0, 100_000, 1, 70_000]);
        let parts = bytes.chunks(4_999).map(<[u8]>::to_vec).collect();
        let passed = Receiving::new(body(parts), Rooms::new(100_000).sent).collect().await.expect("all");
        assert_eq!(passed.to_bytes(), bytes);
    }
}
