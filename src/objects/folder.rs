//! A folder as an object store: whether it is there, and objects that are held while they are replaced or deleted.

use std::{
    ffi::OsStr,
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
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
    /// Whether nothing was kept in it before.
    pub(super) is_new: bool,
    was_made: bool,
}

/// Whether objects are kept in a folder, or have been.
pub fn is_store(path: &Path) -> bool {
    path.join(SIGN).exists()
}

impl Folder {
    /// Makes it if it does not exist.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        // A copy may lack the sign.
        let is_new = !is_store(path) && !path.join("imports").exists();
        let was_made = !path.exists();
        // Sources are personal data: nobody else on the machine reads them.
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let sign =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path.join(SIGN))?;
        Ok(Self { path: path.into(), has_locks: sign.lock().is_ok(), is_new, was_made })
    }

    /// Makes a new one what it was before.
    pub(super) fn disown(&self) -> io::Result<()> {
        fs::remove_file(self.path.join(SIGN))?;
        if self.was_made {
            // What was noted of keys may be in it by now, and stays.
            drop(fs::remove_dir(&self.path));
        }
        Ok(())
    }

    /// Whether it is gone, or the disk it is on.
    pub(super) fn is_away(&self) -> bool {
        !is_store(&self.path)
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

    /// Deletes what processes began to write below a key and died over; with a time, only what is older. The store
    /// writes an object under a name of its own first, which it never lists.
    pub(super) async fn delete_unfinished(&self, below: &Key, before: Option<SystemTime>) -> io::Result<()> {
        let path = self.path.join(below.as_ref());
        tokio::task::spawn_blocking(move || delete_unfinished(&path, before)).await?
    }
}

fn delete_unfinished(folder: &Path, before: Option<SystemTime>) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !is_unfinished(&entry.file_name()) {
            continue;
        }
        match delete_older(&entry, before) {
            // It was finished just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            deleted => deleted?,
        }
    }
    Ok(())
}

fn delete_older(entry: &fs::DirEntry, before: Option<SystemTime>) -> io::Result<()> {
    let modified = entry.metadata()?.modified()?;
    if before.is_none_or(|before| modified < before) { fs::remove_file(entry.path()) } else { Ok(()) }
}

/// Whether a file has a name that the store writes an object under first: the object's, `#`, and a number.
fn is_unfinished(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
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
