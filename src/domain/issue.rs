//! What can be wrong with a row.

use serde::{Deserialize, Serialize};

use super::import::words;

words! {
    /// What kind of fault an issue is.
    IssueCode {
        /// A field that must be given is missing or blank; one that is null has a code of its own.
        Required = "REQUIRED",
        /// Not one of the words, or not of the shape, the field allows.
        InvalidValue = "INVALID_VALUE",
        /// Longer than the field allows.
        TooLong = "TOO_LONG",
        /// Outside the field's range.
        OutOfRange = "OUT_OF_RANGE",
        /// The wrong JSON type.
        WrongType = "WRONG_TYPE",
        /// More or fewer cells than the header.
        ColumnCount = "COLUMN_COUNT",
        /// Not JSON.
        BadJson = "BAD_JSON",
        /// JSON, but not an object.
        NotAnObject = "NOT_AN_OBJECT",
        /// A key stands twice.
        DuplicateKey = "DUPLICATE_KEY",
        /// Nested too deep.
        TooDeep = "TOO_DEEP",
        /// Not UTF-8.
        Encoding = "ENCODING",
        /// A NUL character.
        NulCharacter = "NUL_CHARACTER",
        /// Larger than a row may be.
        RecordTooLarge = "RECORD_TOO_LARGE",
        /// A URL Carryover would refuse to fetch.
        UnsafeUrl = "UNSAFE_URL",
        /// The row has been erased since.
        Erased = "ERASED",
        /// A field that must be given is null.
        NullValue = "NULL_VALUE",
        /// A record of another kind than the import is of.
        WrongKind = "WRONG_KIND",
        /// An image or video that the row links to could not be fetched or kept; a warning only.
        Media = "MEDIA",
        /// A provider's status word that nobody knows.
        UnknownSourceStatus = "UNKNOWN_SOURCE_STATUS",
        /// No date.
        InvalidDate = "INVALID_DATE",
        /// No point in time.
        InvalidTimestamp = "INVALID_TIMESTAMP",
        /// No country.
        UnknownCountry = "UNKNOWN_COUNTRY",
        /// A record of a provider's sandbox.
        Sandbox = "SANDBOX",
        /// The provider had come to a result, which its export does not tell.
        ResultNotInExport = "RESULT_NOT_IN_EXPORT",
        /// The provider had not decided yet.
        NoVerdict = "NO_VERDICT",
        /// The provider's verdict was not its last word.
        ProvisionalVerdict = "PROVISIONAL_VERDICT",
        /// Declined, and another try would have been allowed.
        ResubmissionAllowed = "RESUBMISSION_ALLOWED",
        /// The person left before the end.
        StoppedMidway = "STOPPED_MIDWAY",
        /// No source of data had looked at any field.
        NoFieldEvaluated = "NO_FIELD_EVALUATED",
        /// The provider had wiped out the record's data.
        DataWiped = "DATA_WIPED",
        /// A transaction that does not tell its direction.
        DirectionNotTold = "DIRECTION_NOT_TOLD",
        /// A company without a name.
        NameNotTold = "NAME_NOT_TOLD",
        /// The server cannot process the row, and does not know why.
        Unprocessable = "UNPROCESSABLE",
    }
}

/// How grave an issue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueSeverity {
    /// The row failed because of it.
    Error,
    /// No row failed because of it.
    Warning,
}

/// One fault of a row, or a warning that its owner should know of, in the form it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// What kind of fault, as [`IssueCode::as_str`] writes it.
    pub code: String,
    /// Field or column; empty when the record as a whole is at fault.
    pub field: String,
    /// What is wrong, in words.
    pub message: String,
    /// The offending value, cut and masked.
    pub value: String,
}

/// Most warnings of a row.
pub const WARNINGS_OF_A_ROW: usize = 32;

/// Longest offending value that is kept, in characters.
const VALUE_CHARS: usize = 64;

impl Issue {
    /// An issue of the record as a whole.
    pub fn of_record(code: IssueCode, message: impl Into<String>) -> Self {
        Self::of_field(code, "", message)
    }

    /// An issue of a field whose value is not shown.
    pub fn of_field(code: IssueCode, field: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.as_str().to_owned(),
            field: field.to_owned(),
            message: message.into(),
            value: String::new(),
        }
    }

    /// Shows the offending value, cut; of a sensitive field only its first character and length.
    pub fn with_value(mut self, value: &str, sensitive: bool) -> Self {
        // No database keeps a NUL, and what is wrong with a row must always be kept.
        let mut chars = value.chars().map(|c| if c == '\0' { char::REPLACEMENT_CHARACTER } else { c });
        self.value = if sensitive {
            match chars.next() {
                Some(first) => format!("{first}*** ({} characters)", chars.count() + 1),
                None => String::new(),
            }
        } else {
            let mut cut: String = chars.by_ref().take(VALUE_CHARS).collect();
            if chars.next().is_some() {
                cut.push('…');
            }
            cut
        };
        self
    }

    /// A warning in place of a fault whose value is left out.
    pub fn into_warning(self) -> Self {
        Self { message: format!("left out: {}", self.message), ..self }
    }

    /// Whether the record as a whole is at fault.
    pub const fn is_of_record(&self) -> bool {
        self.field.is_empty()
    }

    /// Whether it is about the field of another one, or a member of it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.field.strip_prefix(&other.field).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    /// The issue as one line: field, then what is wrong.
    pub fn line(&self) -> String {
        if self.is_of_record() { self.message.clone() } else { format!("{}: {}", self.field, self.message) }
    }
}
