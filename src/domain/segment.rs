//! A segment: a slice of the decoded source that holds whole records only.

/// What a segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SegmentKind {
    /// Whole records.
    Records,
    /// The beginning of one record that is larger than a row may be; counts as one (failed) row.
    OversizedRecord,
    /// More of that record; counts as no row.
    OversizedRest,
}

impl SegmentKind {
    /// The stored form.
    pub const fn code(self) -> i16 {
        match self {
            Self::Records => 0,
            Self::OversizedRecord => 1,
            Self::OversizedRest => 2,
        }
    }

    /// Reads the stored form.
    pub const fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::Records),
            1 => Some(Self::OversizedRecord),
            2 => Some(Self::OversizedRest),
            _ => None,
        }
    }
}

/// Where a segment stands in its source. Segments tile the decoded source exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentRange {
    /// Number of the segment, from 0.
    pub seq: i32,
    /// What it holds.
    pub kind: SegmentKind,
    /// Number of its first row, from 1.
    pub first_row: i64,
    /// Its rows.
    pub rows: i32,
    /// Where it begins in the decoded source.
    pub byte_offset: i64,
    /// Its bytes.
    pub bytes: i32,
    /// Bytes at its beginning that are no record: the BOM and header in the first segment of a CSV.
    pub preamble: i32,
    /// Line on which it begins, from 1.
    pub first_line: i64,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
    /// How often rows were blanked out of it, which makes another object of it.
    pub revision: i32,
}

impl SegmentRange {
    /// Number of its last row.
    pub const fn last_row(&self) -> i64 {
        self.first_row + self.rows as i64 - 1
    }

    /// Where it ends in the decoded source.
    pub const fn byte_end(&self) -> i64 {
        self.byte_offset + self.bytes as i64
    }
}
