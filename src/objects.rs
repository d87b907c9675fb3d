//! The object store: where segments and media are kept.

mod media;

use std::{collections::HashSet, io, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::{
    ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutPayload, aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, local::LocalFileSystem, path::Path as Key,
    prefix::PrefixStore, signer::Signer,
};
use thiserror::Error;
use tokio_stream::StreamExt;
use url::Url;
use uuid::Uuid;

use crate::domain::{
    ids::{ApplicationId, ImportId},
    segment::SegmentRange,
};
pub use media::Sha256;

/// Why an object could not be stored or read.
#[derive(Debug, Error)]
pub enum Error {
    /// The store said no.
    #[error("{action} in the object store")]
    Store {
        /// What was being done.
        action: &'static str,
        /// What it said.
        #[source]
        source: object_store::Error,
    },
    /// Its folder cannot be made.
    #[error("make the object store's folder")]
    Folder(#[from] io::Error),
    /// A medium's file cannot be read, or not be stored.
    #[error("store a medium")]
    Medium(#[source] io::Error),
    /// Its URL is of no kind that is known.
    #[error(
        "--object-store must be a URL such as file:///folder, s3://bucket/folder, gs://bucket or az://container"
    )]
    Url,
    /// It is gone.
    #[error("the object is not in the store")]
    Gone,
    /// The folder, or the disk it is on, is not there.
    #[error("the object store's folder is not there")]
    Away,
    /// It gives back something else than was stored a moment before.
    #[error("the object store gives back something else than was stored")]
    Untrue,
    /// It is not what was stored.
    #[error("segment {seq} is damaged: its checksum disagrees")]
    Damaged {
        /// Number of the segment.
        seq: i32,
    },
}

impl Error {
    /// Whether the store answers, and does not have what was stored.
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Gone | Self::Damaged { .. })
    }
}

/// A handle to the object store; cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Makes links that the store itself serves; none of a local folder.
    signer: Option<Arc<dyn Signer>>,
    /// A file in a local folder that is there as long as the folder is.
    sign: Option<Arc<Path>>,
}

/// A builder of a bucket, at a URL and with those of the settings that are its own.
macro_rules! build_bucket {
    ($builder:ident, $url:expr, $settings:expr) => {
        $settings
            .fold($builder::new().with_url($url), |builder, (name, value)| {
                match name.to_ascii_lowercase().parse() {
                    Ok(name) => builder.with_config(name, value),
                    Err(_) => builder,
                }
            })
            .build()
    };
}

/// What the file is called that tells a folder from an empty place where its disk should be.
const SIGN: &str = "carryover.objects";

impl Objects {
    /// A store in a local folder, which is made if it does not exist.
    pub fn open_folder(folder: &Path) -> Result<Self, Error> {
        // Sources are personal data: nobody else on the machine reads them.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| Error::Store { action: "open the folder", source })?
            // What was acknowledged must survive a power loss.
            .with_fsync(true);
        let sign = folder.join(SIGN);
        std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&sign)?;
        Ok(Self { store: Arc::new(store), signer: None, sign: Some(sign.into()) })
    }

    /// The store at a URL: a local folder (`file://`), or S3, Google Cloud Storage or Azure Blob Storage, whose
    /// credentials and settings come from `settings`, named as in the environment of their own tools
    /// (`AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_KEY`, …).
    pub fn open(url: &str, settings: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|_| Error::Url)?;
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|_| Error::Url)?;
        let opened = match scheme {
            ObjectStoreScheme::Local => {
                return Self::open_folder(&url.to_file_path().map_err(|()| Error::Url)?);
            }
            ObjectStoreScheme::AmazonS3 => {
                build_bucket!(AmazonS3Builder, url, settings).map(|bucket| Self::in_bucket(bucket, prefix))
            }
            ObjectStoreScheme::GoogleCloudStorage => build_bucket!(GoogleCloudStorageBuilder, url, settings)
                .map(|bucket| Self::in_bucket(bucket, prefix)),
            ObjectStoreScheme::MicrosoftAzure => build_bucket!(MicrosoftAzureBuilder, url, settings)
                .map(|bucket| Self::in_bucket(bucket, prefix)),
            _ => return Err(Error::Url),
        };
        opened.map_err(|source| Error::Store { action: "open the bucket", source })
    }

    fn in_bucket(bucket: impl ObjectStore + Signer, prefix: Key) -> Self {
        let store = Arc::new(PrefixStore::new(bucket, prefix));
        Self { store: store.clone(), signer: Some(store), sign: None }
    }

    /// Whether the folder of a local store is gone, or the disk it is on.
    fn is_away(&self) -> bool {
        self.sign.as_ref().is_some_and(|sign| !sign.exists())
    }

    /// Stores a segment for good; storing the same one again replaces it.
    pub async fn put_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let put =
            self.store.put(&segment_key(application, import, range), PutPayload::from_bytes(bytes)).await;
        put.map(drop).map_err(|source| Error::Store { action: "store a segment", source })
    }

    /// Deletes a segment; one that is gone already is no error.
    pub async fn delete_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
    ) -> Result<(), Error> {
        match self.store.delete(&segment_key(application, import, range)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::Store { action: "delete a segment", source }),
        }
    }

    /// Deletes all that is stored of an import's source, whatever segments it has.
    pub async fn delete_source(&self, application: ApplicationId, import: ImportId) -> Result<(), Error> {
        let failed = |source| Error::Store { action: "delete a source", source };
        let mut objects = self.store.list(Some(&source_key(application, import)));
        while let Some(object) = objects.next().await {
            match self.store.delete(&object.map_err(failed)?.location).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(source) => return Err(failed(source)),
            }
        }
        Ok(())
    }

    /// Deletes what is stored of an import's source, but these segments and what is younger than `before`.
    pub async fn delete_strays(
        &self,
        application: ApplicationId,
        import: ImportId,
        named: &[SegmentRange],
        before: DateTime<Utc>,
    ) -> Result<(), Error> {
        let failed = |source| Error::Store { action: "delete what no segment names", source };
        let named: HashSet<Key> = named.iter().map(|range| segment_key(application, import, range)).collect();
        let mut objects = self.store.list(Some(&source_key(application, import)));
        while let Some(object) = objects.next().await {
            let object = object.map_err(failed)?;
            if !named.contains(&object.location) && object.last_modified < before {
                self.store.delete(&object.location).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Writes an object, reads it and deletes it, to see whether all of that may be done.
    pub async fn try_out(&self) -> Result<(), Error> {
        const TRIAL: &[u8] = b"carryover";
        let failed = |action| move |source| Error::Store { action, source };
        let key = Key::from(format!("carryover.trial.{}", Uuid::new_v4()));
        let written = self.store.put(&key, PutPayload::from_static(TRIAL)).await;
        written.map_err(failed("write a trial object"))?;
        let read = async { self.store.get(&key).await?.bytes().await };
        let read = read.await.map_err(failed("read a trial object"))?;
        self.store.delete(&key).await.map_err(failed("delete a trial object"))?;
        if read == TRIAL { Ok(()) } else { Err(Error::Untrue) }
    }

    /// Whether the store answers. It is asked for what nobody stored: that is one cheap question to a bucket.
    pub async fn check(&self) -> Result<(), Error> {
        if self.sign.as_ref().is_some_and(|sign| !sign.exists()) {
            return Err(Error::Away);
        }
        match self.store.head(&Key::from("carryover.check")).await {
            Ok(_) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::Store { action: "look", source }),
        }
    }

    /// Reads a segment and checks that it is what was stored.
    pub async fn get_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
    ) -> Result<Bytes, Error> {
        let read = async { self.store.get(&segment_key(application, import, range)).await?.bytes().await };
        let bytes = read.await.map_err(|source| match source {
            object_store::Error::NotFound { .. } if self.is_away() => Error::Away,
            object_store::Error::NotFound { .. } => Error::Gone,
            source => Error::Store { action: "read a segment", source },
        })?;
        if crc32c::crc32c(&bytes) == range.crc32c {
            Ok(bytes)
        } else {
            Err(Error::Damaged { seq: range.seq })
        }
    }
}

fn source_key(application: ApplicationId, import: ImportId) -> Key {
    Key::from(format!("imports/{application}/{import}"))
}

fn segment_key(application: ApplicationId, import: ImportId, range: &SegmentRange) -> Key {
    let name = match range.revision {
        0 => format!("{:08}", range.seq),
        revision => format!("{:08}.{revision}", range.seq),
    };
    source_key(application, import).join(name)
}
