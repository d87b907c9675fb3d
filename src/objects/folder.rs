//! A folder as an object store: whether it is there, and objects that are held while they are replaced or deleted.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::Path,
    sync::Arc,
};

use object_store::path::Path as Key;

/// What the file is called that tells a folder from an empty place where its disk should be.
const SIGN: &str = "carryover.objects";

/// A folder; cheap to clone.
#[derive(Clone)]
pub(super) struct Folder {
    path: Arc<Path>,
    /// Whether its file system has locks; a few have not.
    pub(super) has_locks: bool,
}

impl Folder {
    /// Makes it if it does not exist.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // Sources are personal data: nobody else on the machine reads them.
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let sign =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(SIGN))?;
        Ok(Self { path: path.into(), has_locks: sign.lock().is_ok() })
    }

    /// Whether it is gone, or the disk it is on.
    pub(super) fn is_away(&self) -> bool {
        !self.path.join(SIGN).exists()
    }

    /// Waits until nobody else holds an object, and holds it until the file is dropped; nothing where it is not there
    /// or cannot be locked. Processes that share the folder respect each other.
    pub(super) async fn hold(&self, key: &Key) -> io::Result<Option<File>> {
        if !self.has_locks {
            return Ok(None);
        }
        let path = self.path.join(key.as_ref());
        tokio::task::spawn_blocking(move || hold(&path)).await?
    }
}

fn hold(path: &Path) -> io::Result<Option<File>> {
    loop {
        let held = OpenOptions::new().read(true).write(true).open(path).and_then(|file| {
            file.lock()?;
            // Whoever held it before may have put another file in its place.
            Ok(is_same(&file.metadata()?, &fs::metadata(path)?).then_some(file))
        });
        match held {
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            held => return held,
        }
    }
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}
