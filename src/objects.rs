//! The object store: where segments are kept.

use std::{collections::HashSet, os::unix::fs::DirBuilderExt, path::Path, sync::Arc};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, local::LocalFileSystem, path::Path as Key};
use thiserror::Error;
use tokio_stream::StreamExt;

use crate::domain::{
    ids::{ApplicationId, ImportId},
    segment::SegmentRange,
};

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
    Folder(#[from] std::io::Error),
    /// It is gone.
    #[error("the object is not in the store")]
    Gone,
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
pub struct Objects(Arc<dyn ObjectStore>);

impl Objects {
    /// A store in a local folder, which is made if it does not exist.
    pub fn open_folder(folder: &Path) -> Result<Self, Error> {
        // Sources are personal data: nobody else on the machine reads them.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        let store = LocalFileSystem::new_with_prefix(folder)
            .map_err(|source| Error::Store { action: "open the folder", source })?
            // What was acknowledged must survive a power loss.
            .with_fsync(true);
        Ok(Self(Arc::new(store)))
    }

    /// Stores a segment for good; storing the same one again replaces it.
    pub async fn put_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
        bytes: Bytes,
    ) -> Result<(), Error> {
        let put = self.0.put(&segment_key(application, import, range), PutPayload::from_bytes(bytes)).await;
        put.map(drop).map_err(|source| Error::Store { action: "store a segment", source })
    }

    /// Deletes a segment; one that is gone already is no error.
    pub async fn delete_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
    ) -> Result<(), Error> {
        match self.0.delete(&segment_key(application, import, range)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(Error::Store { action: "delete a segment", source }),
        }
    }

    /// Deletes all that is stored of an import's source, whatever segments it has.
    pub async fn delete_source(&self, application: ApplicationId, import: ImportId) -> Result<(), Error> {
        let failed = |source| Error::Store { action: "delete a source", source };
        let mut objects = self.0.list(Some(&source_key(application, import)));
        while let Some(object) = objects.next().await {
            match self.0.delete(&object.map_err(failed)?.location).await {
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
        let mut objects = self.0.list(Some(&source_key(application, import)));
        while let Some(object) = objects.next().await {
            let object = object.map_err(failed)?;
            if !named.contains(&object.location) && object.last_modified < before {
                self.0.delete(&object.location).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Reads a segment and checks that it is what was stored.
    pub async fn get_segment(
        &self,
        application: ApplicationId,
        import: ImportId,
        range: &SegmentRange,
    ) -> Result<Bytes, Error> {
        let read = async { self.0.get(&segment_key(application, import, range)).await?.bytes().await };
        let bytes = read.await.map_err(|source| match source {
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
