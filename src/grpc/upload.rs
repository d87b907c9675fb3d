//! An upload stream: its messages are checked in order, their bytes handed to the intake.
//!
//! The stream is read even while the intake is busy, into a buffer of bounded size: h2 closes a
//! connection on which a few thousand small frames wait unread.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use super::{pace::Pace, pb, spec};
use crate::{
    domain::{import::Import, refusal::Refusal},
    error::Error,
    imports::Imports,
    intake::{Finish, Opened, Piece, Upload},
    metrics::{Metrics, Way},
    store::Caller,
};
use pb::upload_import_request::Message;

/// How long a stream may stay open behind finish; then it is answered all the same.
const AFTER_FINISH: Duration = Duration::from_secs(1);

/// Bytes that may wait for the intake.
const PENDING_BYTES: usize = 2 << 20;

/// A chunk of this size is worth not copying.
const UNCOPIED_BYTES: usize = 64 << 10;

/// Takes a whole stream in.
pub(super) async fn run(
    imports: &Imports,
    caller: Caller,
    mut stream: Streaming<pb::UploadImportRequest>,
    idle: Duration,
    metrics: &Metrics,
) -> Result<Import, Status> {
    let first = within(idle, stream.message()).await?;
    let Some(first) = first else {
        return Err(Refusal::field("message", "the stream is empty; begin with start or resume").into());
    };
    let upload = match first.message {
        Some(Message::Start(start)) => {
            let (spec, request_id) = spec::import_spec(start.spec, start.request_id)?;
            if spec.source_file_url.is_some() {
                let text = "is for CreateImport; an upload brings the source itself";
                return Err(Refusal::field("spec.source_file_url", text).into());
            }
            let import = imports.create(caller, spec, request_id).await?;
            imports.open_upload(caller, import.id, 0).await?
        }
        Some(Message::Resume(resume)) => {
            let id = spec::import_id(&resume.import_id)?;
            imports.open_upload(caller, id, resume.write_offset).await?
        }
        _ => return Err(Refusal::field("message", "the first one must be start or resume").into()),
    };
    match upload {
        Opened::Finished(import) => Ok(*import),
        Opened::Stream(upload) => {
            let broken = pass_on(&upload, &mut stream, idle, metrics).await;
            let outcome = upload.outcome().await;
            match (broken, outcome) {
                // What the client did wrong says more than that its stream then ended.
                (Err(status), Err(Error::Refused(Refusal::UploadUnfinished { .. }))) => Err(status),
                (_, outcome) => Ok(outcome?),
            }
        }
    }
}

/// Passes the stream's chunks on until its end, or until the intake ends by itself.
async fn pass_on(
    upload: &Upload,
    stream: &mut Streaming<pb::UploadImportRequest>,
    idle: Duration,
    metrics: &Metrics,
) -> Result<(), Status> {
    let mut offset = upload.offset;
    let mut pending = Bytes::new();
    let mut finish = None;
    let mut ended = false;
    let mut pace = Pace::new(idle);
    while !(ended && pending.is_empty()) {
        let patience = if finish.is_some() { AFTER_FINISH } else { pace.patience() };
        let since = Instant::now();
        tokio::select! {
            permit = upload.reserve(), if !pending.is_empty() => {
                let Some(permit) = permit else { return Ok(()) };
                permit.send(Piece::Data(std::mem::take(&mut pending)));
            }
            message = stream.message(), if !ended && pending.len() < PENDING_BYTES => {
                // While bytes wait for the intake, it is not the client who keeps the other waiting.
                if pending.is_empty() {
                    pace.waited(since.elapsed());
                }
                match message?.map(|request| request.message) {
                    Some(Some(Message::Chunk(chunk))) if finish.is_none() => {
                        check_chunk(&chunk, offset)?;
                        pace.chunk(chunk.data.len())?;
                        offset += chunk.data.len() as u64;
                        metrics.bytes_received(Way::Upload, chunk.data.len());
                        append(&mut pending, chunk.data);
                    }
                    Some(Some(Message::Finish(message))) if finish.is_none() => finish = Some(read_finish(message)?),
                    Some(_) if finish.is_some() => {
                        return Err(Refusal::field("message", "nothing may follow finish").into());
                    }
                    Some(_) => return Err(Refusal::field("message", "must be a chunk or finish").into()),
                    None => ended = true,
                }
            }
            () = upload.ended() => return Ok(()),
            () = tokio::time::sleep(patience), if pending.is_empty() => {
                if finish.is_none() {
                    return Err(Refusal::UploadIdle { seconds: idle.as_secs() }.into());
                }
                ended = true;
            }
        }
    }
    if let Some(finish) = finish
        && let Some(permit) = upload.reserve().await
    {
        permit.send(Piece::Finish(finish));
    }
    Ok(())
}

/// Puts a chunk behind what waits. A large one that waits alone is passed on as it came; a small one is
/// copied, since it would keep the whole receive buffer it lies in.
fn append(pending: &mut Bytes, chunk: Bytes) {
    if pending.is_empty() && chunk.len() >= UNCOPIED_BYTES {
        *pending = chunk;
        return;
    }
    let mut joined =
        std::mem::take(pending).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    joined.extend_from_slice(&chunk);
    *pending = joined.freeze();
}

fn check_chunk(chunk: &pb::UploadChunk, offset: u64) -> Result<(), Refusal> {
    if u64::try_from(chunk.write_offset) != Ok(offset) {
        return Err(Refusal::WrongOffset { expected: offset, actual: chunk.write_offset });
    }
    match chunk.crc32c {
        Some(announced) => {
            let actual = crc32c::crc32c(&chunk.data);
            if actual == announced {
                Ok(())
            } else {
                Err(Refusal::ChunkChecksum { offset, actual, announced })
            }
        }
        None => Ok(()),
    }
}

fn read_finish(finish: pb::UploadFinish) -> Result<Finish, Refusal> {
    let size =
        u64::try_from(finish.size).map_err(|_| Refusal::field("finish.size", "must not be negative"))?;
    let sha256 = match finish.sha256.len() {
        0 => None,
        _ => Some(finish.sha256.try_into().map_err(|_| Refusal::field("finish.sha256", "must be 32 bytes"))?),
    };
    Ok(Finish { size, sha256 })
}

/// A message, unless it takes too long. Waiting for one holds nothing that must not be dropped.
async fn within<T>(idle: Duration, message: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
    tokio::select! {
        message = message => message,
        () = tokio::time::sleep(idle) => Err(Refusal::UploadIdle { seconds: idle.as_secs() }.into()),
    }
}
