//! What is to be looked at.

use bytes::Bytes;

use super::import_spec;
use crate::{
    domain::{import::ImportSpec, refusal::Refusal},
    grpc::pb,
    preview::Sample,
};

/// Rows that are shown where the caller did not say.
const ROWS: usize = 10;

/// Reads a request of a preview.
pub(in crate::grpc) fn preview_request(
    spec: Option<pb::ImportSpec>,
    bytes: Bytes,
    is_whole: bool,
    rows: i32,
) -> Result<(ImportSpec, Sample), Refusal> {
    let (spec, _) = import_spec(spec, String::new())?;
    if spec.source_file_url.is_some() {
        return Err(Refusal::field("spec.source_file_url", "is for CreateImport; send the first bytes"));
    }
    if bytes.len() > Sample::BYTES {
        return Err(Refusal::field("data", "must be at most 1 MiB, the beginning of the source"));
    }
    let rows = match usize::try_from(rows) {
        Ok(0) => ROWS,
        Ok(rows) if rows <= Sample::ROWS => rows,
        _ => return Err(Refusal::field("rows", "must be from 1 to 100, or 0 for 10")),
    };
    Ok((spec, Sample { bytes, is_whole, rows }))
}
