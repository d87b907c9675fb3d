//! `carryover template` and `carryover sample`.

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::PathBuf,
};

use clap::Args;

use super::{
    Done, Failure,
    connection::Connection,
    import::{Format, Type},
    output,
};
use crate::{domain::import::SourceFormat, grpc::pb, sample::Sample};

/// Flags of `template`.
#[derive(Debug, Args)]
pub(super) struct TemplateArgs {
    /// What rows describe
    #[arg(long = "type", default_value = "user_verification", value_enum)]
    import_type: Type,

    /// How records are written
    #[arg(long, default_value = "csv", value_enum)]
    format: Format,

    #[command(flatten)]
    connection: Connection,
}

/// Flags of `sample`.
#[derive(Debug, Args)]
pub(super) struct SampleArgs {
    /// What rows describe
    #[arg(long = "type", default_value = "user_verification", value_enum)]
    import_type: Type,

    /// How records are written
    #[arg(long, default_value = "csv", value_enum)]
    format: Format,

    /// Rows
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    rows: u64,

    /// The same seed gives the same bytes
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,

    /// Share of rows that break a rule, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = parse_share, value_name = "SHARE")]
    invalid: f64,

    /// Share of rows whose key stands earlier, 0 to 1
    #[arg(long, default_value_t = 0.0, value_parser = parse_share, value_name = "SHARE")]
    duplicate: f64,

    /// File to write to; standard output without it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn parse_share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "must be from 0 to 1".to_owned())
}

impl Format {
    pub(super) fn domain(self) -> SourceFormat {
        match self {
            Self::Csv => SourceFormat::Csv,
            Self::Ndjson => SourceFormat::Ndjson,
        }
    }
}

pub(super) async fn template(args: TemplateArgs) -> Result<Done, Failure> {
    let client = args.connection.open().await?;
    let request = pb::GetImportTemplateRequest {
        import_type: args.import_type.wire() as i32,
        source_format: args.format.wire(),
    };
    let template = client.imports().get_import_template(request).await?.into_inner();
    output::raw(&template.data)?;
    Ok(Done::Well)
}

pub(super) fn run(args: SampleArgs) -> Result<Done, Failure> {
    let SampleArgs { rows, seed, invalid, duplicate, .. } = args;
    let (import_type, format) = (args.import_type.domain(), args.format.domain());
    let sample = Sample { import_type, format, rows, seed, invalid, duplicate };
    let written = match &args.output {
        Some(path) => File::create(path).and_then(|file| write(&sample, file)),
        None => write(&sample, std::io::stdout().lock()),
    };
    written.map_err(|source| Failure::Io { what: "write the sample".to_owned(), source })?;
    Ok(Done::Well)
}

fn write(sample: &Sample, out: impl Write) -> std::io::Result<()> {
    let mut out = BufWriter::with_capacity(1 << 20, out);
    sample.write(&mut out)?;
    out.flush()
}
