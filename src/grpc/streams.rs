//! Server streams that end when the server stops: an open one would block its shutdown for ever.

use std::pin::Pin;

use futures_util::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::domain::refusal::Refusal;

/// What a streaming method answers with.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The stream, until the server stops; then one UNAVAILABLE.
pub(super) fn until_stopped<T: Send + 'static>(
    answers: impl Stream<Item = Result<T, Status>> + Send + 'static,
    stop: CancellationToken,
) -> Answers<T> {
    let state = Some((Box::pin(answers), stop));
    Box::pin(stream::unfold(state, |state| async move {
        let (mut answers, stop) = state?;
        match stop.run_until_cancelled(answers.next()).await {
            Some(answer) => answer.map(|answer| (answer, Some((answers, stop)))),
            None => Some((Err(Refusal::ShuttingDown.into()), None)),
        }
    }))
}
