//! A folder as an object store: whether it is there, and objects that are held while they are replaced or deleted.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt},
    },
    path::Path,
    sync::Arc,
    time::SystemTime,
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

    /// Deletes what processes that died had begun to write and last wrote to before then; gives how much. `object_store`
    /// writes an object beside its place, as `NAME#N`, and moves it there; it does not list the others.
    pub(super) async fn delete_unfinished(&self, before: SystemTime) -> io::Result<u64> {
        let path = self.path.clone();
        tokio::task::spawn_blocking(move || delete_unfinished(&path, before)).await?
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

fn delete_unfinished(folder: &Path, before: SystemTime) -> io::Result<u64> {
    let mut count = 0;
    let entries = match fs::read_dir(folder) {
        // It was deleted meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            count += delete_unfinished(&entry.path(), before)?;
        } else if is_unfinished(&entry.file_name()) {
            match entry.metadata().and_then(|file| file.modified()) {
                Ok(written) if written < before => match fs::remove_file(entry.path()) {
                    // Another process was faster.
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    removed => {
                        removed?;
                        count += 1;
                    }
                },
                // Young, or at its place by now.
                _ => {}
            }
        }
    }
    Ok(count)
}

/// Keys hold no `#`.
fn is_unfinished(name: &OsStr) -> bool {
    let number = name.as_bytes().rsplit(|byte| *byte == b'#').next();
    number.is_some_and(|number| number.len() < name.len() && number.iter().all(u8::is_ascii_digit))
}

fn is_same(one: &fs::Metadata, other: &fs::Metadata) -> bool {
    (one.dev(), one.ino()) == (other.dev(), other.ino())
}
