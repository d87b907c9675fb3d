//! A client of the service, as the command line uses it.

use std::{
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::pb::{
    self, admin_service_client::AdminServiceClient, entity_service_client::EntityServiceClient,
    import_service_client::ImportServiceClient, session_service_client::SessionServiceClient,
    transaction_service_client::TransactionServiceClient, upload_import_request::Message,
    workflow_service_client::WorkflowServiceClient,
};

/// A channel that sends the key with every call, where there is one.
pub type Authorised = InterceptedService<Channel, Key>;

/// A connection to a server under one key, or under the certificate it was made with; cheap to clone.
#[derive(Clone)]
pub struct Client {
    channel: Channel,
    key: Key,
}

/// Adds the API key to a call, where there is one.
#[derive(Clone)]
pub struct Key(Option<MetadataValue<Ascii>>);

impl Key {
    fn new(key: Option<&str>) -> Result<Self, ConnectError> {
        key.map(str::parse).transpose().map(Self).map_err(|_| ConnectError::Key)
    }
}

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(key) = &self.0 {
            request.metadata_mut().insert("x-api-key", key.clone());
        }
        Ok(request)
    }
}

/// Files (PEM) that a connection by `https` stands on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trust<'a> {
    /// Certificates to trust; those of the system without it.
    pub authority: Option<&'a Path>,
    /// A certificate of one's own, and its key.
    pub identity: Option<(&'a Path, &'a Path)>,
}

impl Trust<'_> {
    /// The endpoint, which trusts and shows what the files hold.
    async fn secure(self, endpoint: Endpoint) -> Result<Endpoint, ConnectError> {
        let unusable = |source| {
            let file = self.authority.unwrap_or(Path::new("the system's"));
            ConnectError::Authority(file.to_owned(), source)
        };
        let trust = match self.authority {
            None => ClientTlsConfig::new().with_native_roots(),
            Some(file) => {
                let pem = tokio::fs::read(file).await.map_err(|error| unusable(error.into()))?;
                ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem))
            }
        };
        let endpoint = endpoint.tls_config(trust.clone()).map_err(|error| unusable(error.into()))?;
        let Some((certificate, key)) = self.identity else { return Ok(endpoint) };
        let unusable = |file: &Path, source| ConnectError::Identity(file.to_owned(), source);
        let read =
            |file| async move { tokio::fs::read(file).await.map_err(|error| unusable(file, error.into())) };
        let identity = Identity::from_pem(read(certificate).await?, read(key).await?);
        endpoint.tls_config(trust.identity(identity)).map_err(|error| unusable(certificate, error.into()))
    }
}

/// Why no connection came about.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The address is none.
    #[error("\"{0}\" is not the address of a server; write http://HOST:PORT or https://HOST:PORT")]
    Address(String),
    /// What is to be trusted cannot be.
    #[error("{} cannot be used as certificates to trust", .0.display())]
    Authority(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// What is to be shown cannot be.
    #[error("{} cannot be used as a certificate of one's own, with its key", .0.display())]
    Identity(PathBuf, #[source] Box<dyn std::error::Error + Send + Sync>),
    /// The key cannot be sent.
    #[error("the API key holds characters that no key has")]
    Key,
    /// Nobody answers.
    #[error("no server answers at {address}")]
    Unreachable {
        /// Where.
        address: String,
        /// What the network said.
        #[source]
        source: tonic::transport::Error,
    },
}

/// Bytes of one chunk.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Chunks that wait for the network.
const CHUNKS: usize = 4;

/// As large as the server's, or h2 on this side gives up on a busy watch that is not read.
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;

impl Client {
    /// Connects to `address`, `http://HOST:PORT`, `HOST:PORT`, or `https://HOST:PORT`, whose certificate the
    /// system must trust.
    pub async fn connect(address: &str, key: &str) -> Result<Self, ConnectError> {
        Self::connect_with(address, Some(key), Trust::default()).await
    }

    /// Connects as [`Client::connect`] does, but by the files that are given; without a key it calls under its
    /// certificate.
    pub async fn connect_with(
        address: &str,
        key: Option<&str>,
        trust: Trust<'_>,
    ) -> Result<Self, ConnectError> {
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let mut endpoint = Endpoint::from_str(&url).map_err(|_| ConnectError::Address(address.to_owned()))?;
        let scheme = endpoint.uri().scheme_str();
        if !matches!(scheme, Some("http" | "https")) {
            return Err(ConnectError::Address(address.to_owned()));
        }
        if scheme == Some("https") {
            endpoint = trust.secure(endpoint).await?;
        }
        let endpoint = endpoint
            .connect_timeout(Duration::from_secs(10))
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .tcp_nodelay(true);
        let key = Key::new(key)?;
        let channel =
            endpoint.connect().await.map_err(|source| ConnectError::Unreachable { address: url, source })?;
        Ok(Self { channel, key })
    }

    /// The same connection under another key.
    pub fn with_key(&self, key: &str) -> Result<Self, ConnectError> {
        Ok(Self { channel: self.channel.clone(), key: Key::new(Some(key))? })
    }

    /// Calls of ImportService.
    pub fn imports(&self) -> ImportServiceClient<Authorised> {
        ImportServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
    }

    /// Calls of SessionService.
    pub fn sessions(&self) -> SessionServiceClient<Authorised> {
        SessionServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
    }

    /// Calls of EntityService.
    pub fn entities(&self) -> EntityServiceClient<Authorised> {
        EntityServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
    }

    /// Calls of TransactionService.
    pub fn transactions(&self) -> TransactionServiceClient<Authorised> {
        TransactionServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
    }

    /// Calls of WorkflowService.
    pub fn workflows(&self) -> WorkflowServiceClient<Authorised> {
        WorkflowServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
    }

    /// Calls of AdminService.
    pub fn admin(&self) -> AdminServiceClient<Authorised> {
        AdminServiceClient::with_interceptor(self.channel.clone(), self.key.clone())
    }

    /// Uploads what is left of a source into an import, from `offset` on.
    pub async fn upload(
        &self,
        import_id: &str,
        offset: u64,
        source: impl AsyncRead + Unpin + Send + 'static,
    ) -> Result<pb::Import, UploadError> {
        self.upload_rest(import_id, offset, None, source).await
    }

    /// Uploads what is left of a source behind what `before` has seen, so that the server finds out whether that was
    /// what it has stored.
    pub async fn upload_rest(
        &self,
        import_id: &str,
        offset: u64,
        before: Option<Sha256>,
        source: impl AsyncRead + Unpin + Send + 'static,
    ) -> Result<pb::Import, UploadError> {
        let (messages, stream) = mpsc::channel(CHUNKS);
        let resume = pb::UploadResume { import_id: import_id.to_owned(), write_offset: offset as i64 };
        let mut imports = self.imports();
        let (answer, read) = tokio::join!(
            imports.upload_import(ReceiverStream::new(stream)),
            send_chunks(messages, Message::Resume(resume), offset, before, source)
        );
        match (answer, read) {
            (_, Err(error)) => Err(UploadError::Read(error)),
            (Ok(answer), _) => {
                answer.into_inner().import.ok_or(UploadError::Call(Status::internal("empty answer")))
            }
            (Err(status), _) => Err(UploadError::Call(status)),
        }
    }
}

/// Why an upload broke off.
#[derive(Debug, Error)]
pub enum UploadError {
    /// The file could not be read.
    #[error("read the file")]
    Read(#[source] std::io::Error),
    /// The call failed.
    #[error(transparent)]
    Call(Status),
}

async fn send_chunks(
    messages: mpsc::Sender<pb::UploadImportRequest>,
    first: Message,
    mut offset: u64,
    mut hash: Option<Sha256>,
    mut source: impl AsyncRead + Unpin,
) -> std::io::Result<()> {
    let request = |message| pb::UploadImportRequest { message: Some(message) };
    // A closed channel means that the server has answered already; its answer says why.
    if messages.send(request(first)).await.is_err() {
        return Ok(());
    }
    loop {
        let mut data = bytes::BytesMut::with_capacity(CHUNK_BYTES);
        while data.len() < CHUNK_BYTES && source.read_buf(&mut data).await? > 0 {}
        if data.is_empty() {
            break;
        }
        let data = data.freeze();
        if let Some(hash) = &mut hash {
            hash.update(&data);
        }
        let chunk =
            pb::UploadChunk { write_offset: offset as i64, crc32c: Some(crc32c::crc32c(&data)), data };
        offset += chunk.data.len() as u64;
        if messages.send(request(Message::Chunk(chunk))).await.is_err() {
            return Ok(());
        }
    }
    let sha256 = hash.map(|hash| hash.finalize().to_vec()).unwrap_or_default();
    let finish = pb::UploadFinish { size: offset as i64, sha256 };
    let _ = messages.send(request(Message::Finish(finish))).await;
    Ok(())
}
