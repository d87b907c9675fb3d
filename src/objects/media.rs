//! Stored media. They are kept by their content, so that what comes twice is there once, and of each application
//! apart: what one erases stays with the others.

use std::{fs::File, io, ops::Range, time::Duration};

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream};
use object_store::{
    Attribute, Attributes, GetOptions, buffered::BufWriter, path::Path as Key, signer::Method,
};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader};
use tokio_stream::{Stream, StreamExt};
use tracing::error;
use url::Url;

use super::{Error, Objects, keys::OperatorKey, seal::Envelope};
use crate::domain::ids::ApplicationId;

/// SHA-256 of a medium's bytes.
pub type Sha256 = [u8; 32];

/// A medium that is larger than this is stored in parts of it; buckets take none that are smaller.
const PART: usize = 5 << 20;

/// As much of a medium's file as is read at once.
const READ_AHEAD: usize = 256 << 10;

/// How often a medium is looked up that is replaced meanwhile.
const LOOKS: usize = 4;

/// A medium that is there.
pub struct MediumObject {
    key: Key,
    size: u64,
    version: Option<String>,
    /// What opens it; none where it is plain.
    envelope: Option<Envelope>,
}

impl MediumObject {
    /// Bytes of it.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Objects {
    /// Stores a medium under its SHA-256 for good; storing the same one again makes it young.
    pub async fn put_medium(
        &self,
        application: ApplicationId,
        sha256: &Sha256,
        media_type: &'static str,
        file: &File,
    ) -> Result<(), Error> {
        self.must_be_there()?;
        let mut file = tokio::fs::File::from_std(file.try_clone().map_err(Error::Medium)?);
        file.rewind().await.map_err(Error::Medium)?;
        let mut file = BufReader::with_capacity(READ_AHEAD, file);
        let key = medium_key(application, sha256);
        let mut writer =
            BufWriter::with_capacity(self.store.clone(), key.clone(), PART).with_max_concurrency(1);
        let first = self.keys.first();
        // A folder keeps no types, and what is sealed has none; both are served by us.
        if self.signer.is_some() && first.is_none() {
            writer = writer.with_attributes(attributes(media_type));
        }
        let copied = match first {
            None => tokio::io::copy_buf(&mut file, &mut writer).await.map(drop).map_err(Error::Medium),
            Some(first) => seal_medium(first, &key, &mut file, &mut writer).await,
        };
        if let Err(error) = copied {
            // Parts that stay behind cost money; that they do is not worth more than a rule of the bucket.
            drop(writer.abort().await);
            return Err(error);
        }
        let _held = self.hold(&key).await?;
        writer.shutdown().await.map_err(Error::Medium)
    }

    /// A medium; nothing when it is not there.
    pub async fn find_medium(
        &self,
        application: ApplicationId,
        sha256: &Sha256,
    ) -> Result<Option<MediumObject>, Error> {
        self.find(medium_key(application, sha256)).await
    }

    async fn find(&self, key: Key) -> Result<Option<MediumObject>, Error> {
        self.must_be_there()?;
        let Some((found, head)) = self.head(&key).await? else {
            return self.must_be_there().map(|()| None);
        };
        let envelope = Envelope::open(&self.keys, key.as_ref(), &head)?;
        if envelope.as_ref().is_some_and(|envelope| envelope.object_size() != found.size) {
            return Err(Error::Altered);
        }
        let size = envelope.as_ref().map_or(found.size, Envelope::size);
        Ok(Some(MediumObject { key, size, version: found.e_tag, envelope }))
    }

    /// Reads bytes of a medium; nothing when it is no longer there.
    pub async fn read_medium(
        &self,
        mut medium: MediumObject,
        range: Range<u64>,
    ) -> Result<Option<BoxStream<'static, io::Result<Bytes>>>, Error> {
        let range = range.start..range.end.min(medium.size);
        if range.is_empty() {
            return Ok(Some(Box::pin(stream::empty())));
        }
        let mut looks = 1;
        loop {
            let envelope = medium.envelope.as_ref();
            let stored = envelope.map_or_else(|| range.clone(), |envelope| envelope.object_range(&range));
            let options = GetOptions::new().with_range(Some(stored)).with_if_match(medium.version);
            match self.store.get_opts(&medium.key, options).await {
                Ok(read) => {
                    let read = read.into_stream().map(|bytes| bytes.map_err(io::Error::from));
                    return Ok(Some(match medium.envelope {
                        None => Box::pin(read),
                        Some(envelope) => open_medium(medium.key, envelope, range, Box::pin(read)),
                    }));
                }
                Err(object_store::Error::NotFound { .. }) => return Ok(None),
                // It was sealed anew.
                Err(object_store::Error::Precondition { .. }) if looks < LOOKS => {}
                Err(source) => return Err(Error::Store { action: "read a medium", source }),
            }
            looks += 1;
            match self.find(medium.key).await? {
                Some(found) => medium = found,
                None => return Ok(None),
            }
        }
    }

    /// Links to media that the store itself serves to whoever has them, in the order of the media; nothing when
    /// it serves none.
    pub async fn sign_media(
        &self,
        media: impl Iterator<Item = (ApplicationId, &Sha256)>,
        valid: Duration,
    ) -> Result<Option<Vec<Url>>, Error> {
        // A store serves what it has, and so what is sealed.
        let Some(signer) = self.signer.as_ref().filter(|_| self.keys.is_empty()) else { return Ok(None) };
        let keys: Vec<_> = media.map(|(application, sha256)| medium_key(application, sha256)).collect();
        let signed = signer.signed_urls(Method::GET, &keys, valid).await;
        signed.map(Some).map_err(|source| Error::Store { action: "sign links to media", source })
    }

    /// Media of an application that were last stored before `before`.
    pub fn list_media(
        &self,
        application: ApplicationId,
        before: DateTime<Utc>,
    ) -> impl Stream<Item = Result<Sha256, Error>> + Send + use<> {
        self.store.list(Some(&media_key(application))).filter_map(move |object| match object {
            Ok(object) if object.last_modified < before => sha256_of(&object.location).map(Ok),
            Ok(_) => None,
            Err(source) => Some(Err(Error::Store { action: "list media", source })),
        })
    }

    /// Deletes what processes began to write of an application's media before then and died over.
    pub async fn delete_unfinished_media(
        &self,
        application: ApplicationId,
        before: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.delete_unfinished(&media_key(application), Some(before)).await
    }

    /// Deletes a medium; one that is gone already is no error.
    pub async fn delete_medium(&self, application: ApplicationId, sha256: &Sha256) -> Result<(), Error> {
        self.delete(&medium_key(application, sha256), "delete a medium").await
    }
}

/// Seals the rest of a file, chunk by chunk.
async fn seal_medium(
    with: &OperatorKey,
    key: &Key,
    file: &mut BufReader<tokio::fs::File>,
    writer: &mut BufWriter,
) -> Result<(), Error> {
    let size = file.get_ref().metadata().await.map_err(Error::Medium)?.len();
    let (envelope, head) = Envelope::new(with, key.as_ref(), size)?;
    writer.write_all(&head).await.map_err(Error::Medium)?;
    let mut chunk = Vec::with_capacity(envelope.sealed_len(0));
    for number in 0..envelope.chunks() {
        chunk.clear();
        chunk.resize(envelope.content_len(number), 0);
        file.read_exact(&mut chunk).await.map_err(Error::Medium)?;
        let tag = envelope.seal_chunk(number, &mut chunk)?;
        chunk.extend_from_slice(tag.as_ref());
        writer.write_all(&chunk).await.map_err(Error::Medium)?;
    }
    Ok(())
}

/// Opens those chunks of a medium that hold a range of it, as they come.
fn open_medium(
    key: Key,
    envelope: Envelope,
    range: Range<u64>,
    read: BoxStream<'static, io::Result<Bytes>>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let number = Envelope::chunk_of(range.start);
    let opening = Opening { key, envelope, number, range, read, held: BytesMut::new() };
    Box::pin(stream::try_unfold(opening, |mut opening| async move {
        let opened = opening.next().await;
        if let Err(error) = &opened {
            // Whoever reads it sees no more than that it breaks off.
            error!(object = %opening.key, error = error as &dyn std::error::Error, "a medium breaks off");
        }
        Ok(opened?.map(|bytes| (bytes, opening)))
    }))
}

/// A medium that is being opened.
struct Opening {
    key: Key,
    envelope: Envelope,
    /// Number of the next chunk.
    number: u64,
    /// What is wanted still.
    range: Range<u64>,
    read: BoxStream<'static, io::Result<Bytes>>,
    held: BytesMut,
}

impl Opening {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.range.is_empty() {
            return Ok(None);
        }
        let sealed = self.envelope.sealed_len(self.number);
        while self.held.len() < sealed {
            let more = self.read.next().await.ok_or(io::ErrorKind::UnexpectedEof)?;
            self.held.extend_from_slice(&more?);
        }
        let mut chunk = self.held.split_to(sealed);
        let size = self.envelope.open_chunk(self.number, &mut chunk, 0).map_err(io::Error::other)?;
        chunk.truncate(size);
        let begin = Envelope::begin_of(self.number);
        let from = (self.range.start - begin) as usize;
        let to = size.min((self.range.end - begin) as usize);
        self.number += 1;
        self.range.start = begin + to as u64;
        Ok(Some(chunk.freeze().slice(from..to)))
    }
}

/// What a store that serves a medium itself says of it.
fn attributes(media_type: &'static str) -> Attributes {
    Attributes::from_iter([
        (Attribute::ContentType, media_type),
        (Attribute::CacheControl, "private, no-store"),
        (Attribute::ContentDisposition, "inline"),
    ])
}

fn media_key(application: ApplicationId) -> Key {
    Key::from(format!("media/{application}"))
}

fn medium_key(application: ApplicationId, sha256: &Sha256) -> Key {
    media_key(application).join(hex::encode(sha256))
}

/// What is no medium is left alone.
fn sha256_of(key: &Key) -> Option<Sha256> {
    let mut sha256 = Sha256::default();
    hex::decode_to_slice(key.filename()?, &mut sha256).ok().map(|()| sha256)
}
