//! Compiles `proto/` in pure Rust (protox), so that no system protoc is needed.

use std::{env, error::Error, fs, path::PathBuf};

use prost::Message as _;

const PROTOS: [&str; 6] = [
    "import_service",
    "session_service",
    "entity_service",
    "transaction_service",
    "workflow_service",
    "admin_service",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = PROTOS.map(|name| format!("proto/carryover/v1/{name}.proto"));
    let descriptors = protox::compile(files, ["proto"])?;
    // With `compile_fds` tonic-prost-build ignores its own descriptor-set path; reflection needs it.
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("carryover_descriptor.bin"), descriptors.encode_to_vec())?;
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    tonic_prost_build::configure()
        .bytes(".carryover.v1.UploadChunk.data")
        .bytes(".carryover.v1.ExportRowsResponse.data")
        .bytes(".carryover.v1.GetImportTemplateResponse.data")
        .bytes(".carryover.v1.PreviewImportRequest.data")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
