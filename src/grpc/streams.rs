//! Server streams that end when the server stops, which an open one would block for ever, or when the key
//! they were opened with is revoked.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{domain::refusal::Refusal, error::Error};

/// What a streaming method answers with.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The stream, until the server stops (then one UNAVAILABLE) or `revoked` tells why nobody may go on.
pub(super) fn until_stopped<T: Send + 'static>(
    answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
    stop: CancellationToken,
    revoked: impl Future<Output = Error> + Send + 'static,
) -> Answers<T> {
    let end: Pin<Box<dyn Future<Output = Status> + Send>> = Box::pin(async move {
        match stop.run_until_cancelled(revoked).await {
            Some(error) => error.into(),
            None => Refusal::ShuttingDown.into(),
        }
    });
    let state = Some((Box::pin(answers), end));
    Box::pin(stream::unfold(state, |state| async move {
        let (mut answers, mut end) = state?;
        // The end first: a stream that always has an answer ready must end, too.
        tokio::select! {
            biased;
            status = &mut end => Some((Err(status), None)),
            answer = answers.next() => answer.map(|answer| (answer, Some((answers, end)))),
        }
    }))
}
