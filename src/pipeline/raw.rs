//! Rows of a stored segment as they were sent: for row errors and exports.

use serde_json::{Map, Value};

use super::{Reading, Syntax, csv};

/// Most of a record that is neither object nor CSV, as it is shown.
const RAW_CHARS: usize = 4_096;

/// A record as an object: column to text for CSV, the object for NDJSON, `{"_raw": text}` for what
/// is neither, or is nested deeper than a protobuf can be.
pub fn raw_row(reading: &Reading, columns: &[String], record: &[u8]) -> Map<String, Value> {
    let object = match &reading.syntax {
        Syntax::Csv { delimiter, .. } => csv::read_header(record, *delimiter).ok().map(|cells| {
            let names = columns.iter().cloned().chain((columns.len() + 1..).map(|n| format!("_column_{n}")));
            names.zip(cells.into_iter().map(Value::String)).collect::<Map<_, _>>()
        }),
        Syntax::Ndjson { .. } => match serde_json::from_slice(record) {
            Ok(Value::Object(object)) if depth(&object) <= DEPTH => Some(object),
            _ => None,
        },
    };
    object.unwrap_or_else(|| raw_text(record))
}

/// A record as it was sent, without a look at what it says.
pub fn raw_text(record: &[u8]) -> Map<String, Value> {
    let text = String::from_utf8_lossy(record);
    let text: String = text.trim_end_matches(['\r', '\n']).chars().take(RAW_CHARS).collect();
    Map::from_iter([("_raw".to_owned(), Value::String(text))])
}

/// A protobuf message may be nested 100 deep; an object or list in a Struct takes three levels.
const DEPTH: usize = 25;

fn depth(object: &Map<String, Value>) -> usize {
    fn of(value: &Value) -> usize {
        match value {
            Value::Array(items) => 1 + items.iter().map(of).max().unwrap_or(0),
            Value::Object(members) => depth(members),
            _ => 0,
        }
    }
    1 + object.values().map(of).max().unwrap_or(0)
}
