//! Bounds on what a caller may send. Every one of them has a default here and a flag in the config.

/// Bounds of one import.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of an upload, as sent and as decoded.
    pub upload_bytes: u64,
    /// Rows of a source.
    pub rows: u64,
    /// Bytes of one record.
    pub row_bytes: usize,
    /// Columns of a CSV source.
    pub columns: usize,
    /// How many times larger than its packed form a source may be, once 10 MiB have been decoded.
    pub compression_ratio: u64,
    /// Bytes of one segment.
    pub segment_bytes: usize,
    /// Rows of one segment.
    pub segment_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            upload_bytes: 5 << 30,
            rows: 5_000_000,
            row_bytes: 1 << 20,
            columns: 512,
            // Honest CSV packs up to about 1:60, a bomb 1:1000 and more.
            compression_ratio: 200,
            segment_bytes: 4 << 20,
            segment_rows: 10_000,
        }
    }
}
