//! Stored media. They are kept by their content, so that what comes twice is there once, and of each application
//! apart: what one erases stays with the others.

use std::{fs::File, io, ops::Range, time::Duration};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use object_store::{
    Attribute, Attributes, GetOptions, ObjectStoreExt, buffered::BufWriter, path::Path as Key, signer::Method,
};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufReader};
use tokio_stream::{Stream, StreamExt};
use url::Url;

use super::{Error, Objects};
use crate::domain::ids::ApplicationId;

/// SHA-256 of a medium's bytes.
pub type Sha256 = [u8; 32];

/// A medium that is larger than this is stored in parts of it; buckets take none that are smaller.
const PART: usize = 5 << 20;

/// As much of a medium's file as is read at once.
const READ_AHEAD: usize = 256 << 10;

impl Objects {
    /// Stores a medium under its SHA-256 for good; storing the same one again makes it young.
    pub async fn put_medium(
        &self,
        application: ApplicationId,
        sha256: &Sha256,
        media_type: &'static str,
        file: &File,
    ) -> Result<(), Error> {
        // The place where a disk should be is not to be filled.
        if self.is_away() {
            return Err(Error::Away);
        }
        let mut file = tokio::fs::File::from_std(file.try_clone().map_err(Error::Medium)?);
        file.rewind().await.map_err(Error::Medium)?;
        let mut file = BufReader::with_capacity(READ_AHEAD, file);
        let key = medium_key(application, sha256);
        let mut writer = BufWriter::with_capacity(self.store.clone(), key, PART).with_max_concurrency(1);
        // A folder keeps no types; what is in it is served by us.
        if self.signer.is_some() {
            writer = writer.with_attributes(attributes(media_type));
        }
        if let Err(error) = tokio::io::copy_buf(&mut file, &mut writer).await {
            // Parts that stay behind cost money; that they do is not worth more than a rule of the bucket.
            drop(writer.abort().await);
            return Err(Error::Medium(error));
        }
        writer.shutdown().await.map_err(Error::Medium)
    }

    /// Bytes of a medium; nothing when it is not there.
    pub async fn medium_size(
        &self,
        application: ApplicationId,
        sha256: &Sha256,
    ) -> Result<Option<u64>, Error> {
        match self.store.head(&medium_key(application, sha256)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) if self.is_away() => Err(Error::Away),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::Store { action: "look for a medium", source }),
        }
    }

    /// Reads bytes of a medium; nothing when it is not there.
    pub async fn read_medium(
        &self,
        application: ApplicationId,
        sha256: &Sha256,
        range: Range<u64>,
    ) -> Result<Option<BoxStream<'static, io::Result<Bytes>>>, Error> {
        let options = GetOptions::new().with_range(Some(range));
        match self.store.get_opts(&medium_key(application, sha256), options).await {
            Ok(read) => Ok(Some(Box::pin(read.into_stream().map(|bytes| bytes.map_err(io::Error::from))))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::Store { action: "read a medium", source }),
        }
    }

    /// Links to media that the store itself serves to whoever has them, in the order of the media; nothing when
    /// it serves none.
    pub async fn sign_media(
        &self,
        media: impl Iterator<Item = (ApplicationId, &Sha256)>,
        valid: Duration,
    ) -> Result<Option<Vec<Url>>, Error> {
        let Some(signer) = &self.signer else { return Ok(None) };
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

    /// Deletes a medium; one that is gone already is no error.
    pub async fn delete_medium(&self, application: ApplicationId, sha256: &Sha256) -> Result<(), Error> {
        match self.store.delete(&medium_key(application, sha256)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::Store { action: "delete a medium", source }),
        }
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
