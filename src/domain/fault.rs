//! Why a source as a whole is unusable. A fault fails its import; rows settled before stay.

use thiserror::Error;

/// A whole-file fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceFault {
    /// No byte, or nothing but a BOM.
    #[error("the file is empty")]
    Empty,
    /// Neither name nor content tell the format.
    #[error(
        "cannot tell whether the file is CSV or NDJSON, as its first line is no JSON and names no column that is \
         known: name it .csv or .ndjson, or set source_format"
    )]
    UnknownFormat,
    /// Text in an encoding that is not read.
    #[error("the file is {0}; name its encoding in the spec, such as utf-16le, or send it as UTF-8")]
    Encoding(&'static str),
    /// A label that names no encoding.
    #[error("\"{0}\" is no character encoding; use a label such as windows-1252 or utf-16le")]
    UnknownEncoding(String),
    /// An archive or a packing that is not read.
    #[error("the file is {0}; send it plain, or packed with gzip or zstd")]
    UnsupportedCompression(&'static str),
    /// The packed stream ends early or does not decode.
    #[error("the packed file cannot be read behind decoded byte {at}: {detail}")]
    CorruptCompression {
        /// Decoded bytes before the fault.
        at: u64,
        /// What the decoder said.
        detail: String,
    },
    /// A packed file that grows too much.
    #[error("the packed file grows more than {limit}-fold when decoded (limit compression_ratio)")]
    CompressionRatio {
        /// The limit.
        limit: u64,
    },
    /// Too many bytes.
    #[error("the file has more than {limit} bytes (limit upload_bytes)")]
    TooLarge {
        /// The limit.
        limit: u64,
    },
    /// Too many rows.
    #[error("the file has more than {limit} rows (limit rows)")]
    TooManyRows {
        /// The limit.
        limit: u64,
    },
    /// Too many rows of the application in a day.
    #[error(
        "the application may import {limit} rows in 24 hours, and this file would make it more (limit rows_per_day)"
    )]
    TooManyRowsPerDay {
        /// The limit.
        limit: u64,
    },
    /// The header line does not end within the size of a row.
    #[error("the header line has more than {limit} bytes (limit row_bytes)")]
    HeaderTooLarge {
        /// The limit.
        limit: usize,
    },
    /// The header is not UTF-8.
    #[error("the header line is not UTF-8 text")]
    HeaderEncoding,
    /// Too many columns.
    #[error("the header names {found} columns, and {limit} are allowed (limit columns)")]
    TooManyColumns {
        /// Columns found.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A mandatory column is missing.
    #[error("the header has no column \"{column}\"; found: {found}; {USE_MAPPING}")]
    MissingColumn {
        /// What is missing.
        column: &'static str,
        /// The columns there are, cut.
        found: String,
    },
    /// A header that is neither a provider's own nor canonical.
    #[error(
        "the header is not that of an export of {provider}, which has {expected}, and has no column \"{column}\" \
         either; found: {found}; {USE_MAPPING}"
    )]
    UnknownHeader {
        /// The provider.
        provider: String,
        /// Columns its exports are told by.
        expected: &'static str,
        /// The canonical column that is missing.
        column: &'static str,
        /// The columns there are, cut.
        found: String,
    },
    /// Columns that the mapping names are missing.
    #[error("the header has no {missing}, which the mapping names; found: {found}")]
    UnmappedColumns {
        /// What is missing, cut.
        missing: String,
        /// The columns there are, cut.
        found: String,
    },
    /// A mapping that an earlier version took.
    #[error("this version does not understand the mapping of the import; import the file again")]
    Mapping,
    /// Two columns mean the same field.
    #[error("the header names the field \"{0}\" twice")]
    DuplicateColumn(String),
    /// A quote is open at the end of the file.
    #[error("the quoted cell that begins in the record on line {line} is never closed")]
    UnterminatedQuote {
        /// Line on which the record begins.
        line: u64,
    },
    /// One large JSON text instead of one object a line.
    #[error("the file is not NDJSON but {0}; write one object a line")]
    NotNdjson(&'static str),
    /// The whole file's SHA-256 is not what the caller said.
    #[error("the SHA-256 of the upload is {actual}, the caller announced {announced}")]
    Sha256 {
        /// Hash of what arrived.
        actual: String,
        /// Hash the caller announced.
        announced: String,
    },
    /// The server could not settle a segment.
    #[error("the server could not settle rows {first_row} to {last_row}; retry with a new import")]
    Unprocessable {
        /// First row of the segment.
        first_row: i64,
        /// Its last row.
        last_row: i64,
    },
    /// Stored rows that are gone, or not what they were.
    #[error(
        "rows {first_row} to {last_row} are lost: the object store no longer has them as they were stored; import the file again"
    )]
    Lost {
        /// First row of the segment.
        first_row: i64,
        /// Its last row.
        last_row: i64,
    },
    /// More rows failed than the spec allows.
    #[error("{failed} rows failed, and the spec allows {limit} (max_failed_rows)")]
    TooManyFailedRows {
        /// Failed rows.
        failed: i64,
        /// The limit.
        limit: i64,
    },
    /// A larger share of the rows failed than the spec allows.
    #[error("{failed} of {settled} rows failed, and the spec allows a share of {limit} (max_failed_ratio)")]
    FailedRatio {
        /// Failed rows.
        failed: i64,
        /// Rows with an outcome.
        settled: i64,
        /// The limit.
        limit: String,
    },
    /// A retry whose rows are gone.
    #[error("the source of the import that is retried is no longer kept")]
    ParentSourceGone,
    /// The source could not be fetched.
    #[error("the source could not be fetched: {detail}")]
    NotFetched {
        /// Why, as a stable word.
        reason: &'static str,
        /// The same in words.
        detail: String,
    },
    /// What is at the URL is no longer what has been stored of it.
    #[error("the file at the URL has changed while it was fetched")]
    SourceChanged,
    /// A retry whose source could not be made of its parent's.
    #[error("the server could not make the source of this retry of its parent's; retry once more")]
    RetryNotFed,
    /// Nobody went on with the upload.
    #[error("the upload was not finished within {hours} hours")]
    Abandoned {
        /// The limit.
        hours: u64,
    },
}

/// What helps where columns have other names.
const USE_MAPPING: &str =
    "if it is a file of another form, tell by a field mapping which column is which field";

/// How much of a list of columns a fault shows, in characters.
const SHOWN_CHARS: usize = 200;

impl SourceFault {
    /// Columns as a fault shows them.
    pub fn shown<'c>(columns: impl IntoIterator<Item = &'c str>) -> String {
        let shown = columns.into_iter().collect::<Vec<_>>().join(", ");
        shown.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect()
    }

    /// Whether a limit was passed, which is answered as such.
    pub const fn is_limit(&self) -> bool {
        matches!(
            self,
            Self::TooLarge { .. }
                | Self::TooManyRows { .. }
                | Self::TooManyRowsPerDay { .. }
                | Self::CompressionRatio { .. }
        )
    }

    /// A stable word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Empty => "EMPTY_FILE",
            Self::UnknownFormat => "UNKNOWN_FORMAT",
            Self::Encoding(_) => "UNSUPPORTED_ENCODING",
            Self::UnknownEncoding(_) => "UNKNOWN_ENCODING",
            Self::UnsupportedCompression(_) => "UNSUPPORTED_COMPRESSION",
            Self::CorruptCompression { .. } => "CORRUPT_COMPRESSION",
            Self::CompressionRatio { .. } => "COMPRESSION_RATIO",
            Self::TooLarge { .. } => "UPLOAD_TOO_LARGE",
            Self::TooManyRows { .. } => "TOO_MANY_ROWS",
            Self::TooManyRowsPerDay { .. } => "TOO_MANY_ROWS_PER_DAY",
            Self::HeaderTooLarge { .. } => "HEADER_TOO_LARGE",
            Self::HeaderEncoding => "HEADER_ENCODING",
            Self::TooManyColumns { .. } => "TOO_MANY_COLUMNS",
            Self::MissingColumn { .. } | Self::UnknownHeader { .. } | Self::UnmappedColumns { .. } => {
                "MISSING_COLUMN"
            }
            Self::Mapping => "BAD_MAPPING",
            Self::DuplicateColumn(_) => "DUPLICATE_COLUMN",
            Self::UnterminatedQuote { .. } => "UNTERMINATED_QUOTE",
            Self::NotNdjson(_) => "NOT_NDJSON",
            Self::Sha256 { .. } => "SHA256_MISMATCH",
            Self::Unprocessable { .. } => "UNPROCESSABLE_SEGMENT",
            Self::Lost { .. } => "SOURCE_LOST",
            Self::TooManyFailedRows { .. } => "TOO_MANY_FAILED_ROWS",
            Self::FailedRatio { .. } => "FAILED_RATIO",
            Self::ParentSourceGone => "SOURCE_GONE",
            Self::NotFetched { reason, .. } => reason,
            Self::SourceChanged => "SOURCE_CHANGED",
            Self::RetryNotFed => "RETRY_NOT_FED",
            Self::Abandoned { .. } => "UPLOAD_ABANDONED",
        }
    }
}
