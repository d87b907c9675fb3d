//! The object store: where segments and media are kept, sealed where the operator gives a key.

mod error;
mod folder;
mod keys;
mod media;
mod reseal;
mod seal;

use std::{collections::HashSet, fs::File, path::Path, sync::Arc, time::SystemTime};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::{
    GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, ObjectStoreScheme, PutPayload, aws::AmazonS3Builder,
    azure::MicrosoftAzureBuilder, gcp::GoogleCloudStorageBuilder, local::LocalFileSystem, path::Path as Key,
    prefix::PrefixStore, signer::Signer,
};
use tokio_stream::StreamExt;
use url::Url;
use uuid::Uuid;

use crate::domain::{
    ids::{ApplicationId, ImportId},
    segment::SegmentRange,
};
pub use error::Error;
use folder::Folder;
pub use folder::is_store;
pub use keys::{KeyError, Keys};
pub use media::{MediumObject, Sha256};
pub use reseal::Resealed;
use seal::Envelope;

/// A handle to the object store; cheap to clone.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// Makes links that the store itself serves; none of a local folder.
    signer: Option<Arc<dyn Signer>>,
    /// The folder of a local store.
    folder: Option<Folder>,
    keys: Keys,
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

impl Objects {
    /// A store in a local folder, which is made if it does not exist.
    pub fn open_folder(folder: &Path) -> Result<Self, Error> {
        let opened = Folder::open(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| Error::Store { action: "open the folder", source })?
            // What was acknowledged must survive a power loss.
            .with_fsync(true);
        Ok(Self { store: Arc::new(store), signer: None, folder: Some(opened), keys: Keys::default() })
    }

    /// Whether this is a folder in which nothing has been kept before.
    pub fn is_new(&self) -> bool {
        self.folder.as_ref().is_some_and(|folder| folder.is_new)
    }

    /// Lets a folder that is new be so for whoever comes next.
    pub fn disown(&self) -> Result<(), Error> {
        Ok(self.folder.as_ref().map_or(Ok(()), Folder::disown)?)
    }

    /// The bucket at a URL, of S3, Google Cloud Storage or Azure Blob Storage, whose credentials and settings come from
    /// `settings`, named as in the environment of their own tools (`AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`,
    /// `AZURE_STORAGE_ACCOUNT_KEY`, …). Nobody is asked yet.
    pub fn open_bucket(url: &str, settings: impl Iterator<Item = (String, String)>) -> Result<Self, Error> {
        let url = Url::parse(url).map_err(|_| Error::Url)?;
        let (scheme, prefix) = ObjectStoreScheme::parse(&url).map_err(|_| Error::Url)?;
        let opened = match scheme {
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
        Self { store: store.clone(), signer: Some(store), folder: None, keys: Keys::default() }
    }

    /// The same store, in which objects are sealed from now on.
    pub fn with_keys(self, keys: Keys) -> Self {
        Self { keys, ..self }
    }

    /// Whether the folder of a local store is gone, or the disk it is on.
    fn is_away(&self) -> bool {
        self.folder.as_ref().is_some_and(Folder::is_away)
    }

    /// Fails where the folder is away: all that is in it looks like deleted then, and the store would make it anew. What
    /// is not there is known to be gone if the folder was there before the look, and is behind it.
    fn must_be_there(&self) -> Result<(), Error> {
        if self.is_away() { Err(Error::Away) } else { Ok(()) }
    }

    /// Keeps others from replacing or deleting an object of a folder until this is dropped; a bucket has conditions
    /// for that.
    async fn hold(&self, key: &Key) -> Result<Option<File>, Error> {
        let Some(folder) = &self.folder else { return Ok(None) };
        folder.hold(key).await.map_err(Error::Work)
    }

    /// Deletes what processes began to write to a folder and died over, but what is younger than `before`; a bucket
    /// shows no such thing.
    async fn delete_unfinished(&self, below: &Key, before: Option<DateTime<Utc>>) -> Result<(), Error> {
        let Some(folder) = &self.folder else { return Ok(()) };
        folder.delete_unfinished(below, before.map(SystemTime::from)).await.map_err(Error::Work)
    }

    /// What is stored of some content under this key.
    async fn seal(&self, key: &Key, content: Bytes) -> Result<PutPayload, Error> {
        if self.keys.is_empty() {
            return Ok(content.into());
        }
        let (keys, key) = (self.keys.clone(), key.clone());
        off_thread(move || match keys.first() {
            Some(first) => seal::seal_object(first, key.as_ref(), content),
            None => Ok(content.into()),
        })
        .await
    }

    /// The content of an object that is stored under this key, sealed or plain.
    async fn open_object(&self, key: &Key, object: Bytes) -> Result<Bytes, Error> {
        let Some(envelope) = Envelope::open(&self.keys, key.as_ref(), &object)? else { return Ok(object) };
        off_thread(move || envelope.open_object(object)).await
    }

    /// What an object begins with; nothing when it is not there.
    async fn head(&self, key: &Key) -> Result<Option<(ObjectMeta, Bytes)>, Error> {
        let options = GetOptions::new().with_range(Some(0..seal::HEAD as u64));
        let read = async {
            let read = self.store.get_opts(key, options).await?;
            Ok((read.meta.clone(), read.bytes().await?))
        };
        match read.await {
            Ok(read) => Ok(Some(read)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::Store { action: "look at an object", source }),
        }
    }

    /// Deletes an object; one that is gone already is no error.
    async fn delete(&self, key: &Key, action: &'static str) -> Result<(), Error> {
        self.must_be_there()?;
        let _held = self.hold(key).await?;
        match self.store.delete(key).await {
            Ok(()) => Ok(()),
            Err(object_store::Error::NotFound { .. }) => self.must_be_there(),
            Err(source) => Err(Error::Store { action, source }),
        }
    }

    /// Stores a segment for good; storing the same one again replaces it.
    pub async fn put_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let key = segment_key(application, import, range);
        let object = self.seal(&key, bytes).await?;
        let _held = self.hold(&key).await?;
        self.must_be_there()?;
        let put = self.store.put(&key, object).await;
        put.map(drop).map_err(|source| Error::Store { action: "store a segment", source })
    }

    /// Deletes a segment; one that is gone already is no error.
    pub async fn delete_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
    ) -> Result<(), Error> {
        self.delete(&segment_key(application, import, range), "delete a segment").await
    }

    /// Deletes all that is stored of an import's source, whatever segments it has.
    pub async fn delete_source(&self, application: ApplicationId, import: ImportId) -> Result<(), Error> {
        self.must_be_there()?;
        let (action, source) = ("delete a source", source_key(application, import));
        let mut objects = self.store.list(Some(&source));
        while let Some(object) = objects.next().await {
            self.delete(&object.map_err(|source| Error::Store { action, source })?.location, action).await?;
        }
        self.delete_unfinished(&source, None).await?;
        self.must_be_there()
    }

    /// Deletes what is stored of an import's source, but these segments and what is younger than `before`.
    pub async fn delete_strays(
        &self,
        application: ApplicationId,
        import: ImportId,
        named: &[SegmentRange],
        before: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.must_be_there()?;
        let (action, source) = ("delete what no segment names", source_key(application, import));
        let named: HashSet<Key> = named.iter().map(|range| segment_key(application, import, range)).collect();
        let mut objects = self.store.list(Some(&source));
        while let Some(object) = objects.next().await {
            let object = object.map_err(|source| Error::Store { action, source })?;
            if !named.contains(&object.location) && object.last_modified < before {
                self.delete(&object.location, action).await?;
            }
        }
        self.delete_unfinished(&source, Some(before)).await?;
        self.must_be_there()
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
        self.must_be_there()?;
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
        self.must_be_there()?;
        let key = segment_key(application, import, range);
        let read = async { self.store.get(&key).await?.bytes().await };
        let object = read.await.map_err(|source| match source {
            object_store::Error::NotFound { .. } if self.is_away() => Error::Away,
            object_store::Error::NotFound { .. } => Error::Gone,
            source => Error::Store { action: "read a segment", source },
        })?;
        // What is sealed is larger. A source may begin with whatever it likes.
        let is_plain = object.len() as u64 == u64::from(range.bytes.unsigned_abs());
        let bytes = if is_plain { object } else { self.open_object(&key, object).await? };
        if crc32c::crc32c(&bytes) == range.crc32c {
            Ok(bytes)
        } else {
            Err(Error::Damaged { seq: range.seq })
        }
    }
}

/// Does what takes a while away from the threads that others wait for.
async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| Error::Work(error.into()))?
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
