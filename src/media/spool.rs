//! Files without a name that hold what is fetched until it is stored; a process that dies leaves none.

use std::{
    fs::{DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use tokio::{
    io::{AsyncWriteExt, BufWriter},
    task,
};

use super::{
    download::Trouble,
    kind::{HEAD, Kind},
};
use crate::guard::Body;

/// What is kept in memory of a file before it is written.
const BUFFER: usize = 64 << 10;

/// A folder for these files.
pub(super) struct Spool(PathBuf);

/// A file that is complete.
pub(super) struct Spooled {
    pub(super) file: File,
    pub(super) size: u64,
    pub(super) sha256: [u8; 32],
    pub(super) kind: Kind,
}

impl Spool {
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        // Documents of people: nobody else on the machine reads them.
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        Ok(Self(folder.to_owned()))
    }

    /// Takes a body in, or gives it up as soon as it is seen to be of another kind than is expected.
    pub(super) async fn receive(&self, mut body: Body, is_video: bool) -> Result<Spooled, Trouble> {
        let folder = self.0.clone();
        let made = task::spawn_blocking(move || tempfile::tempfile_in(folder)).await;
        let file = made.map_err(io::Error::other).flatten()?;
        let mut file = BufWriter::with_capacity(BUFFER, tokio::fs::File::from_std(file));
        let (mut hash, mut size) = (Sha256::new(), 0);
        let (mut head, mut kind) = (Vec::new(), None);
        while let Some(bytes) = body.chunk().await? {
            size += bytes.len() as u64;
            hash.update(&bytes);
            if kind.is_none() {
                head.extend_from_slice(&bytes[..bytes.len().min(HEAD - head.len())]);
                if head.len() == HEAD {
                    kind = Some(expected(&head, is_video)?);
                }
            }
            file.write_all(&bytes).await?;
        }
        let kind = kind.map_or_else(|| expected(&head, is_video), Ok)?;
        file.flush().await?;
        let file = file.into_inner().into_std().await;
        Ok(Spooled { file, size, sha256: hash.finalize().into(), kind })
    }
}

fn expected(head: &[u8], is_video: bool) -> Result<Kind, Trouble> {
    let wanted = if is_video { "a video" } else { "an image" };
    // There is nothing to tell it by.
    if head.len() < 2 {
        return Err(Trouble::corrupt("there is nothing in it"));
    }
    match Kind::of(head) {
        Ok(kind) if kind.is_video() == is_video => Ok(kind),
        Ok(kind) => Err(Trouble::of_type(kind.media_type(), wanted)),
        Err(other) => Err(Trouble::of_type(other, wanted)),
    }
}
