//! Bodies of answers: single ones that need room, and streams, which end in time whether anybody reads them or not.
//!
//! hyper asks a stream for its next answer only when it has handed on the one before. So streams are passed on by a task
//! of their own.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{Status, body::Body, codegen::http::HeaderMap};

use super::{
    deadline::End,
    delivery::Slot,
    room::{ANSWER_BYTES, AnswerRoom, Taken},
};
use crate::domain::refusal::Refusal;

/// The one answer of a call. A large one for which there is no room is not given: those before it are to be taken first.
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) room: AnswerRoom,
    pub(super) slot: Slot,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Ok(frame)) => frame,
            end => return Poll::Ready(end),
        };
        let Some(room) = self.room.try_take(frame.data_ref().map_or(0, Bytes::len)) else {
            self.body = Body::empty();
            let refusal = Refusal::AnswersNotTaken { bytes: ANSWER_BYTES };
            return Poll::Ready(Some(Ok(trailers(&refusal.into()))));
        };
        self.slot.put(room);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

/// A frame on its way to the peer, and the room that it takes.
type Passed = (Result<Frame<Bytes>, Status>, Taken);

/// A body whose frames come from `body`, until its end or `end`, or until nobody has read for too long. Then `body` is
/// let go of, even if the peer keeps the stream open.
#[expect(clippy::disallowed_methods, reason = "ends with the body at the latest")]
pub(super) fn pass_on(
    body: Body,
    end: Option<End>,
    unread: Duration,
    room: Option<AnswerRoom>,
    slot: Slot,
) -> Body {
    let (frames, passed) = mpsc::channel(2);
    // Room for the last word is kept from the beginning.
    let last = frames.clone().try_reserve_owned();
    tokio::spawn(async move {
        let ended = pass_frames(body, end, unread, room, &frames).await;
        if let (Some(status), Ok(last)) = (ended, last) {
            last.send((Ok(trailers(&status)), Taken::default()));
        }
    });
    Body::new(StreamBody::new(ReceiverStream::new(passed).map(move |(frame, room)| {
        slot.put(room);
        frame
    })))
}

/// Passes frames on; gives why it was ended before the body was.
async fn pass_frames(
    mut body: Body,
    end: Option<End>,
    unread: Duration,
    room: Option<AnswerRoom>,
    frames: &mpsc::Sender<Passed>,
) -> Option<Status> {
    let mut end = Box::pin(End::come(end));
    loop {
        let frame = tokio::select! {
            biased;
            status = &mut end => return Some(status),
            () = frames.closed() => return None,
            frame = body.frame() => frame?,
        };
        let bytes = frame.as_ref().ok().and_then(Frame::data_ref).map_or(0, Bytes::len);
        let taken = async {
            match &room {
                Some(room) => room.take(bytes).await,
                None => Taken::default(),
            }
        };
        // Others may be what is waited for, which is not this reader's fault.
        let taken = tokio::select! {
            biased;
            taken = taken => taken,
            status = &mut end => return Some(status),
            () = frames.closed() => return None,
        };
        tokio::select! {
            biased;
            passed = frames.send((frame, taken)) => passed.ok()?,
            status = &mut end => return Some(status),
            () = tokio::time::sleep(unread) => {
                return Some(Refusal::AnswersUnread { seconds: unread.as_secs() }.into());
            }
        }
    }
}

fn trailers(status: &Status) -> Frame<Bytes> {
    let mut headers = HeaderMap::new();
    // What is told in vain leaves a stream without a status, which is an error, too.
    let _ = status.add_header(&mut headers);
    Frame::trailers(headers)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;

    use super::*;
    use crate::grpc::room::Rooms;

    #[tokio::test]
    async fn a_large_answer_without_room_is_a_refusal() {
        let room = Rooms::new(1).answers;
        let slot = Slot::default();
        let answer = |size| {
            let body = Body::new(http_body_util::Full::new(Bytes::from(vec![7; size])));
            Answer { body, room: room.clone(), slot: slot.clone() }
        };
        assert_eq!(answer(ANSWER_BYTES).collect().await.expect("room").to_bytes().len(), ANSWER_BYTES);
        let refused = answer(ANSWER_BYTES).collect().await.expect("an answer");
        let status = Status::from_header_map(refused.trailers().expect("a status")).expect("one");
        assert_eq!((status.code(), refused.to_bytes().len()), (tonic::Code::ResourceExhausted, 0));
        assert_eq!(answer(9).collect().await.expect("small").to_bytes().len(), 9);
        drop(slot.take());
        assert_eq!(answer(ANSWER_BYTES).collect().await.expect("room again").to_bytes().len(), ANSWER_BYTES);
    }

    /// A stream that its caller gives up while it waits for room.
    #[tokio::test]
    async fn who_gives_up_a_stream_that_waits_lets_go_of_it() {
        let room = Rooms::new(1).answers;
        let _all = room.take(ANSWER_BYTES).await;
        let alive = Arc::new(());
        let held = alive.clone();
        let bytes = tokio_stream::once(()).map(move |()| {
            let _ = &held;
            Ok::<_, Status>(Frame::data(Bytes::from(vec![7; 1 << 20])))
        });
        let inner = Body::new(StreamBody::new(bytes.chain(tokio_stream::pending())));
        let unread = Duration::from_secs(3_600);
        let mut passed = pass_on(inner, None, unread, Some(room), Slot::default());
        for _ in 0..100 {
            assert!(passed.frame().now_or_never().is_none(), "there is no room for it");
            tokio::task::yield_now().await;
        }
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(passed);
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
