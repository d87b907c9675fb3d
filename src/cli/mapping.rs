//! `carryover mapping`, and the files that hold mappings.

use std::path::Path;

use super::Failure;
use crate::domain::import::Mapping;

/// Most bytes of a mapping's file; the server takes 64 KiB of text.
const FILE_BYTES: u64 = 1 << 20;

/// Reads a mapping from its file.
pub(super) fn read(path: &Path) -> Result<Mapping, Failure> {
    let shown = path.display();
    let what = || format!("read {shown}");
    let failed = |source| Failure::Io { what: what(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > FILE_BYTES {
        return Err(Failure::Usage(format!("{shown} is larger than a mapping may be")));
    }
    let text = std::fs::read(path).map_err(failed)?;
    serde_json::from_slice(&text).map_err(|error| Failure::Usage(format!("{shown} is no mapping: {error}")))
}
