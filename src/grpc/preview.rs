//! `PreviewImport`, also for whoever has no server.

use tonic::Status;

use super::{convert, pb, spec};
use crate::{
    domain::limits::Limits,
    preview::{self, Sample},
};

/// Answers a request under these limits.
pub async fn run(
    request: pb::PreviewImportRequest,
    limits: Limits,
) -> Result<pb::PreviewImportResponse, Status> {
    let pb::PreviewImportRequest { spec, data, whole, rows } = request;
    let (spec, sample) = spec::preview_request(spec, data, whole, rows)?;
    Ok(convert::preview(preview::preview(spec, limits, sample).await?))
}

/// Most bytes of a source that are sent.
pub const BYTES: usize = Sample::BYTES;
