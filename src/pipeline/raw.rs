//! Rows as they were sent, for row errors and exports, and as they were parsed, for previews.

use serde_json::{Map, Value};

use super::{Reading, Rows, Syntax, csv};
use crate::{
    canonical::{
        cell::{self, Cell},
        schema_of,
    },
    domain::import::ImportType,
};

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

/// The canonical fields of a row by their names, as it was parsed: texts, and JSON where it is JSON.
pub fn fields(rows: &Rows, row: usize, import_type: ImportType) -> Map<String, Value> {
    let schema = schema_of(import_type);
    let shown = |cell: &Cell| {
        let text = rows.text(cell.value);
        let json = match cell.value {
            cell::Value::Text(_) => None,
            _ => serde_json::from_str(text).ok().filter(|json| depth_of(json) <= DEPTH),
        };
        let value = json.unwrap_or_else(|| Value::String(text.to_owned()));
        (schema.spec(cell.field).name.to_owned(), value)
    };
    rows.fields(row).iter().map(shown).collect()
}

/// A protobuf message may be nested 100 deep; an object or list in a Struct takes three levels.
const DEPTH: usize = 25;

fn depth(object: &Map<String, Value>) -> usize {
    1 + object.values().map(depth_of).max().unwrap_or(0)
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth_of).max().unwrap_or(0),
        Value::Object(members) => depth(members),
        _ => 0,
    }
}
