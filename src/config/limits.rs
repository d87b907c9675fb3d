//! Flags of limits on sources.

use clap::Args;

use super::parse_bytes;

/// Bounds on sources.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Bytes of an upload, as sent and as decoded
    #[arg(long, env = "CARRYOVER_MAX_UPLOAD_BYTES", default_value = "5GiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub max_upload_bytes: u64,

    /// Rows of a source
    #[arg(long, env = "CARRYOVER_MAX_ROWS", default_value_t = 5_000_000, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub max_rows: u64,

    /// Bytes of one record, at most 4MiB; a larger one fails as a row
    #[arg(long, env = "CARRYOVER_MAX_ROW_BYTES", default_value = "1MiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub max_row_bytes: u64,

    /// Columns of a CSV source
    #[arg(long, env = "CARRYOVER_MAX_COLUMNS", default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_columns: u32,

    /// Bytes of one cell or member; a row with a larger one fails
    #[arg(long, env = "CARRYOVER_MAX_CELL_BYTES", default_value = "256KiB", value_parser = parse_bytes, value_name = "BYTES")]
    pub max_cell_bytes: u64,

    /// Nesting of JSON in a cell or member
    #[arg(long, env = "CARRYOVER_MAX_JSON_DEPTH", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_json_depth: u32,

    /// Rows of all sources of an application in 24 hours
    #[arg(long, env = "CARRYOVER_MAX_ROWS_PER_DAY", default_value_t = 50_000_000, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub max_rows_per_day: u64,

    /// Row errors of an import that are kept; those beyond are counted only
    #[arg(long, env = "CARRYOVER_MAX_STORED_ROW_ERRORS", default_value_t = 100_000, value_name = "N")]
    pub max_stored_row_errors: u64,

    /// Warnings of an import that are kept; those beyond are counted only
    #[arg(long, env = "CARRYOVER_MAX_STORED_WARNINGS", default_value_t = 100_000, value_name = "N")]
    pub max_stored_warnings: u64,

    /// Days after its end that the source of an import is kept, and with it the rows of its row errors
    #[arg(long, env = "CARRYOVER_SOURCE_RETENTION_DAYS", default_value_t = 30, value_name = "N")]
    pub source_retention_days: u32,

    /// How many times larger than its packed form a source may be, once 10 MiB are decoded
    #[arg(long, env = "CARRYOVER_MAX_COMPRESSION_RATIO", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub max_compression_ratio: u64,

    /// Hours an unfinished upload may stand still before its import fails
    #[arg(long, env = "CARRYOVER_UPLOAD_TTL_HOURS", default_value_t = 24, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub upload_ttl_hours: u64,
}
