//! Why a call is refused. The edge turns these into gRPC status, in one place.

use std::time::Duration;

use thiserror::Error;

use super::{
    ids::ImportId,
    import::{ImportStatus, words},
};

words! {
    /// What a key may do; each role includes the ones before it.
    Role {
        /// Read imports and records.
        Reader = "reader",
        /// Import, too.
        Importer = "importer",
        /// Control any import of the application, too.
        Operator = "operator",
        /// Administer; belongs to no application.
        Admin = "admin",
    }
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldViolation {
    /// Path of the field, such as `spec.workflow_id`.
    pub field: String,
    /// What is wrong, and what would be right.
    pub description: String,
}

impl FieldViolation {
    /// A violation of `field`.
    pub fn new(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { field: field.into(), description: description.into() }
    }
}

/// A call that is refused, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// Fields that are missing or wrong, all of them.
    #[error("{}", .0.iter().map(|v| format!("{}: {}", v.field, v.description)).collect::<Vec<_>>().join("; "))]
    InvalidFields(Vec<FieldViolation>),
    /// No key, or none that is good.
    #[error("send a valid API key as x-api-key, or as authorization: Bearer")]
    Unauthenticated,
    /// The key's role does not reach.
    #[error("this call needs the role {}, and the key has {}", needed.as_str(), actual.as_str())]
    RoleTooLow {
        /// The least role that may call.
        needed: Role,
        /// The key's role.
        actual: Role,
    },
    /// An admin key called for an application's data.
    #[error("this key belongs to no application; use a key of the application")]
    NoApplication,
    /// Imports are switched off.
    #[error("imports are not switched on for this application; an admin can do it")]
    ImportsNotEnabled,
    /// A sandbox.
    #[error("sandbox applications cannot import")]
    Sandbox,
    /// Unknown to this application.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The same request id with another spec, or for another retry.
    #[error("this request_id was used for an import with another spec, or for another retry")]
    RequestIdReused,
    /// Too many imports at once.
    #[error(
        "the application has {} active imports, and {limit} are allowed (limit max_active_imports); see {}",
        active.len(),
        active.first().map(ToString::to_string).unwrap_or_default()
    )]
    ActiveImports {
        /// Active ones, the newest first.
        active: Vec<ImportId>,
        /// The limit.
        limit: i64,
    },
    /// Too many calls in a minute.
    #[error("{limit} {what} are allowed in a minute; try again in {} ms", wait.as_millis())]
    TooManyCalls {
        /// Whose calls are counted: `api_key` or `peer`.
        subject: &'static str,
        /// Which calls.
        what: &'static str,
        /// The limit.
        limit: u32,
        /// When there is one again.
        wait: Duration,
    },
    /// Too many calls of one caller are open.
    #[error("{limit} calls of one {subject} may be open at a time; try again when one has ended")]
    OpenCalls {
        /// Whose calls are counted: `application`, or `peer` where there is none.
        subject: &'static str,
        /// The limit.
        limit: usize,
    },
    /// Too many calls of all callers together are open.
    #[error("as many calls are open as this server takes; try again elsewhere, or a little later")]
    Overloaded,
    /// The caller's own deadline.
    #[error("the deadline of the call has passed")]
    DeadlinePassed,
    /// A call that is no stream takes too long.
    #[error(
        "the call was not answered within {seconds} seconds; what it began goes on or is undone as a whole"
    )]
    CallTooLong {
        /// The limit.
        seconds: u64,
    },
    /// A stream is open for too long.
    #[error("a stream may be open for {seconds} seconds; call again and go on from where it ended")]
    StreamTooLong {
        /// The limit.
        seconds: u64,
    },
    /// Nobody reads the answers of a stream.
    #[error(
        "no answer of the stream was read for {seconds} seconds; call again and go on from where it ended"
    )]
    AnswersUnread {
        /// The limit.
        seconds: u64,
    },
    /// Large answers wait to be taken, and one more would be too many.
    #[error(
        "{bytes} bytes of answers wait for this application to read them; read those first, and call again"
    )]
    AnswersNotTaken {
        /// The limit.
        bytes: usize,
    },
    /// Rules of a workflow are imported one file at a time.
    #[error("import {import} is at work on the status rules of this workflow; wait for its end")]
    RulesInWork {
        /// That import.
        import: ImportId,
    },
    /// Sources are gone over when nobody reads or writes them.
    #[error("import {import} has not ended; wait for its end or cancel it, and erase then")]
    ImportInWork {
        /// That import.
        import: ImportId,
    },
    /// Records are erased, and what is stored of their rows is not yet.
    #[error(
        "{sessions} sessions and {transactions} transactions are erased; stored sources and media do not answer, and are gone \
         over by themselves when they do"
    )]
    ErasureGoesOn {
        /// Sessions that were erased.
        sessions: u64,
        /// Transactions that were.
        transactions: u64,
    },
    /// The import's state does not allow the call.
    #[error("the import is {}, and {needed}", status.as_str())]
    WrongState {
        /// Where it stands.
        status: ImportStatus,
        /// What the call needs.
        needed: &'static str,
    },
    /// The import has failed while its upload went on.
    #[error("the import has failed: {message}")]
    ImportFailed {
        /// Stable word.
        reason: String,
        /// Why.
        message: String,
    },
    /// There is no failed row, or medium, that is meant.
    #[error("nothing that failed in the import is meant by this retry")]
    NothingToRetry,
    /// Which failed rows have an issue of some kind is not known of all of them.
    #[error(
        "{failed} rows of the import failed, and {stored} row errors were kept (limit stored_row_errors), so \
         not every row is found by its code; retry without codes, all rows or by first_row and last_row"
    )]
    RowErrorsNotKept {
        /// Failed rows.
        failed: i64,
        /// Row errors that were kept.
        stored: i64,
    },
    /// Which rows have warnings is not known of all of them.
    #[error(
        "{counted} warnings of the import were counted, and {stored} are kept (limit stored_warnings), so not \
         every row with a warning is known; export rows by outcome"
    )]
    WarningsNotKept {
        /// Warnings.
        counted: i64,
        /// Warnings that are kept.
        stored: i64,
    },
    /// Bytes for another place than the next one.
    #[error("the upload goes on at offset {expected}, not at {actual}")]
    WrongOffset {
        /// Where it goes on.
        expected: u64,
        /// What the caller said.
        actual: i64,
    },
    /// The size at the end is not what arrived.
    #[error("{received} bytes arrived, and finish announced {announced}; resume from the committed size")]
    WrongSize {
        /// What arrived.
        received: u64,
        /// What the caller said.
        announced: u64,
    },
    /// A chunk whose checksum disagrees.
    #[error(
        "the CRC-32C of the chunk at offset {offset} is {actual:08x}, not {announced:08x}; resume from the committed size"
    )]
    ChunkChecksum {
        /// Where the chunk begins.
        offset: u64,
        /// What arrived.
        actual: u32,
        /// What the caller said.
        announced: u32,
    },
    /// The file's hash disagrees; the import has failed.
    #[error("{0}")]
    SourceChecksum(String),
    /// A limit of the source was passed; the import has failed.
    #[error("{message}")]
    SourceLimit {
        /// Stable word.
        reason: &'static str,
        /// Which limit, and its value.
        message: String,
    },
    /// The file sent again is another one; the import stays as it is.
    #[error("the file sent again differs from the one begun, at decoded byte {at}")]
    SourceChanged {
        /// Beginning of the first segment that differs.
        at: i64,
    },
    /// Another stream goes on with the upload.
    #[error("another stream has taken over this upload")]
    UploadTakenOver,
    /// The stream ended before finish.
    #[error("the stream ended without finish; {committed} bytes are stored, resume from there")]
    UploadUnfinished {
        /// Bytes stored for good.
        committed: i64,
    },
    /// Next to nothing came for too long.
    #[error("less than 1 KiB came in {seconds} seconds; resume from the committed size")]
    UploadIdle {
        /// The limit.
        seconds: u64,
    },
    /// Chunks that are far too small.
    #[error("a stream of {bytes} bytes may have {limit} chunks; send larger ones from the committed size on")]
    TooManyChunks {
        /// What came before the limit was passed.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The source is no longer kept.
    #[error("the source of this import is no longer kept")]
    SourceGone,
    /// The server is going down.
    #[error("the server is shutting down; try again elsewhere")]
    ShuttingDown,
}

impl Refusal {
    /// One wrong field.
    pub fn field(field: &str, description: impl Into<String>) -> Self {
        Self::InvalidFields(vec![FieldViolation::new(field, description)])
    }
}
