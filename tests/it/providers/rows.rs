//! Lines read as a segment of an import, shown as JSON.

use carryover::{
    canonical::{
        schema::{FieldId, Form},
        schema_of,
    },
    clock,
    domain::{
        import::{Import, ImportType, ProviderOptions, SourceFormat},
        limits::Limits,
    },
    intake::splitter::Splitter,
    pipeline::{self, Reading},
};
use serde_json::{Map, Value, json};

#[path = "../../../benches/shared/imports.rs"]
mod imports;

/// What becomes of each line: its cells, warnings, and issues when it fails.
pub fn read_lines(provider: &str, import_type: ImportType, lines: &[String]) -> Vec<Value> {
    read_with(ProviderOptions::default(), provider, import_type, lines)
}

/// The same with judgement calls.
pub fn read_with(
    options: ProviderOptions,
    provider: &str,
    import_type: ImportType,
    lines: &[String],
) -> Vec<Value> {
    let mut import = imports::import(provider, import_type, SourceFormat::Ndjson);
    import.spec.provider_options = options;
    read(import, &(lines.join("\n") + "\n"))
}

/// What becomes of each row of a provider's own CSV.
pub fn read_sheet(provider: &str, import_type: ImportType, text: &str) -> Vec<Value> {
    let mut import = imports::import(provider, import_type, SourceFormat::Ndjson);
    import.format = Some(SourceFormat::Csv);
    read(import, text)
}

fn read(mut import: Import, text: &str) -> Vec<Value> {
    let (import_type, format) = (import.spec.import_type, import.format.expect("a format"));
    let (mut cuts, mut shown) = (Vec::new(), Vec::new());
    let mut splitter = Splitter::new(format, b',', Limits::default());
    splitter.push(text.as_bytes(), &mut cuts).expect("rows");
    splitter.finish(&mut cuts).expect("rows");
    if let Some(header) = splitter.header() {
        import.columns = pipeline::read_header(header, b',').expect("columns");
    }
    let reading = Reading::of(&import).expect("a reading");
    for cut in cuts {
        let parse = || pipeline::parse(&reading, &cut.range, cut.bytes.clone(), &import.limits);
        let rows = parse();
        let cells: Vec<_> = (0..rows.len()).map(|row| cells(import_type, &rows, row)).collect();
        let batch = pipeline::transform(&import, parse(), clock::now());
        for (row, cells) in cells.into_iter().enumerate() {
            let mut out = json!({"cells": cells});
            if let Some(warned) = batch.warnings.iter().find(|warned| warned.row as usize == row) {
                out["warnings"] = serde_json::to_value(&warned.issues).expect("JSON");
            }
            if let Some(failure) = batch.failures.iter().find(|failure| failure.row as usize == row) {
                out["issues"] = serde_json::to_value(&failure.issues).expect("JSON");
            }
            shown.push(out);
        }
    }
    shown
}

fn cells(import_type: ImportType, rows: &pipeline::Rows, row: usize) -> Map<String, Value> {
    let schema = schema_of(import_type);
    let mut cells = Map::new();
    for (at, field) in schema.fields.iter().enumerate() {
        let Some(text) = rows.find(row, FieldId(at as u8)) else { continue };
        let is_json = field.form != Form::Text || text.starts_with('[');
        let json = serde_json::from_str(text).ok().filter(|_| is_json);
        cells.insert(field.name.to_owned(), json.unwrap_or_else(|| Value::String(text.to_owned())));
    }
    cells
}
