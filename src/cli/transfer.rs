//! A whole import from the caller's side: create, upload (again after a break), follow to the end.

use std::{io, path::Path, time::Duration};

use sha2::{Digest, Sha256};
use tokio::{
    fs::File,
    io::{AsyncRead, AsyncReadExt},
    task::JoinHandle,
};
use tonic::{Code, Status};

use super::{Failure, output, progress::Progress};
use crate::grpc::{
    client::{Client, UploadError},
    pb::{self, watch_import_response::Event},
};

/// Where the bytes come from.
pub(super) enum Source<'p> {
    /// A file, which can be read again.
    File(&'p Path),
    /// Standard input, which cannot.
    Stdin,
}

/// How often a broken upload is taken up again.
const RESUMES: u32 = 8;

/// How often a broken watch is taken up again without a message in between.
const REWATCHES: u32 = 8;

/// Makes an import, to be uploaded.
pub(super) async fn create(client: &Client, spec: pb::ImportSpec) -> Result<pb::Import, Failure> {
    // The same request id after a lost answer gives the same import, so nothing is imported twice.
    let request_id = uuid::Uuid::new_v4().to_string();
    let request = pb::CreateImportRequest { spec: Some(spec), request_id };
    import_of(client.imports().create_import(request).await?.into_inner().import)
}

/// Uploads what the server does not have of a source, and follows the import to its end; with `detach`, only
/// uploads it. Gives the import as it stands then.
#[expect(clippy::disallowed_methods, reason = "ends with the command at the latest")]
pub(super) async fn run(
    client: &Client,
    import: pb::Import,
    source: Source<'_>,
    detach: bool,
    silent: bool,
) -> Result<pb::Import, Failure> {
    let watch = (!detach).then(|| {
        let (client, id) = (client.clone(), import.uuid.clone());
        tokio::spawn(async move { follow(&client, &id, Progress::new(silent), |_| Ok(())).await })
    });
    let uploaded = upload(client, &import.uuid, import.committed_size as u64, source).await;
    match (uploaded, watch) {
        (Err(failure), watch) => {
            // What stopped the upload may be told by the import, in better words.
            let request = pb::GetImportRequest { import_id: import.uuid };
            let ended =
                client.imports().get_import(request).await.ok().and_then(|answer| answer.into_inner().import);
            match (ended, watch) {
                (Some(ended), _) if is_terminal(&ended) => Ok(ended),
                // It is over, but for rows in work.
                (Some(ended), Some(watch)) if ended.last_error_reason.is_some() => joined(watch).await,
                (_, watch) => {
                    watch.inspect(JoinHandle::abort);
                    Err(failure)
                }
            }
        }
        (Ok(import), None) => Ok(import),
        (Ok(_), Some(watch)) => joined(watch).await,
    }
}

async fn joined(watch: JoinHandle<Result<pb::Import, Failure>>) -> Result<pb::Import, Failure> {
    watch.await.map_err(|error| Failure::Other(error.to_string()))?
}

/// The import of an answer, which holds one.
pub(super) fn import_of(import: Option<pb::Import>) -> Result<pb::Import, Failure> {
    import.ok_or_else(|| Failure::Other("the server answered without an import".to_owned()))
}

/// Whether nothing will change any more.
pub(super) fn is_terminal(import: &pb::Import) -> bool {
    use pb::ImportStatus::{Cancelled, Completed, Failed, Reverted};
    [Completed, Failed, Cancelled, Reverted].contains(&import.status())
}

async fn upload(
    client: &Client,
    id: &str,
    mut offset: u64,
    source: Source<'_>,
) -> Result<pb::Import, Failure> {
    let path = match source {
        Source::Stdin => {
            let failed = match client.upload(id, offset, tokio::io::stdin()).await {
                Ok(import) => return Ok(import),
                Err(failed) => failed,
            };
            if matches!(&failed, UploadError::Call(status) if passes_by_itself(status)) {
                output::note(&format!(
                    "standard input cannot be read again: put it into a file, and `carryover resume {id} FILE`"
                ));
            }
            return Err(into_failure(failed));
        }
        Source::File(path) => path,
    };
    for resume in 1.. {
        let (before, rest) = open_at(path, offset).await?;
        let failed = match client.upload_rest(id, offset, before, rest).await {
            Ok(import) => return Ok(import),
            Err(failed) => failed,
        };
        // Out of range: what was sent before the break has been stored since its size was asked for.
        let passes = matches!(&failed, UploadError::Call(status)
            if passes_by_itself(status) || status.code() == Code::OutOfRange);
        if !passes || resume > RESUMES {
            return Err(into_failure(failed));
        }
        tokio::time::sleep(Duration::from_millis(200) * 2_u32.pow(resume.min(6))).await;
        let request = pb::GetImportRequest { import_id: id.to_owned() };
        if let Ok(answer) = client.imports().get_import(request).await {
            offset = import_of(answer.into_inner().import)?.committed_size as u64;
            output::note(&format!(
                "the upload broke off; going on at byte {}",
                output::grouped(offset as i64)
            ));
        }
    }
    Err(Failure::Other("the upload did not come through".to_owned()))
}

fn into_failure(error: UploadError) -> Failure {
    match error {
        UploadError::Call(status) => status.into(),
        UploadError::Read(source) => Failure::Io { what: "read the file".to_owned(), source },
    }
}

/// A connection that broke, a server that went down, one that stopped for bytes that were lost, or one that says
/// when to come back.
fn passes_by_itself(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable | Code::Unknown | Code::Cancelled | Code::DeadlineExceeded | Code::Internal
    ) || (status.code() == Code::ResourceExhausted && status.message().contains("too_many"))
        || status.metadata().contains_key("grpc-retry-pushback-ms")
}

/// A file from `offset` on, and the hash of what stands before. It is asked for only where something does: there the
/// file may be another than was begun with.
async fn open_at(
    path: &Path,
    offset: u64,
) -> Result<(Option<Sha256>, impl AsyncRead + Unpin + Send + use<>), Failure> {
    let open = async {
        let mut file = File::open(path).await?;
        file.set_max_buf_size(crate::grpc::client::CHUNK_BYTES);
        let mut hash = (offset > 0).then(Sha256::new);
        if let Some(hash) = &mut hash {
            let mut before = file.take(offset);
            let mut piece = bytes::BytesMut::with_capacity(crate::grpc::client::CHUNK_BYTES);
            while before.read_buf(&mut piece).await? > 0 {
                hash.update(&piece);
                piece.clear();
            }
            if before.limit() > 0 {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    format!("it is shorter than the {offset} bytes that are stored already"),
                ));
            }
            file = before.into_inner();
        }
        Ok((hash, file))
    };
    open.await.map_err(|source| Failure::Io { what: format!("read {}", path.display()), source })
}

/// Follows an import to its end through any number of broken watches.
pub(super) async fn follow(
    client: &Client,
    id: &str,
    mut progress: Progress,
    mut each: impl FnMut(&pb::Import) -> Result<(), Failure>,
) -> Result<pb::Import, Failure> {
    let mut resume_token = String::new();
    let mut last = None;
    let mut broken = 0;
    loop {
        let request = pb::WatchImportRequest { import_id: id.to_owned(), resume_token: resume_token.clone() };
        let ended = match client.imports().watch_import(request).await {
            Err(status) => Err(status),
            Ok(stream) => {
                let mut stream = stream.into_inner();
                loop {
                    match stream.message().await {
                        Ok(Some(message)) => {
                            broken = 0;
                            resume_token = message.resume_token;
                            if let Some(Event::Import(import)) = message.event {
                                progress.show(&import);
                                each(&import)?;
                                last = Some(import);
                            }
                        }
                        Ok(None) => break Ok(()),
                        Err(status) => break Err(status),
                    }
                }
            }
        };
        match ended {
            Ok(()) => {
                progress.finish();
                return import_of(last);
            }
            Err(status) if passes_by_itself(&status) && broken < REWATCHES => {
                broken += 1;
                tokio::time::sleep(Duration::from_millis(200) * 2_u32.pow(broken.min(6))).await;
            }
            Err(status) => {
                progress.finish();
                output::note(&format!("the import goes on by itself; see carryover watch {id}"));
                return Err(status.into());
            }
        }
    }
}
