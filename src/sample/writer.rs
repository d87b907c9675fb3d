//! Rows as lines: flat in CSV, with inner objects in NDJSON.

use crate::{
    canonical::{
        object_writer::{ObjectWriter, push_json_text},
        schema::Form,
        schema_of,
    },
    domain::import::{ImportType, SourceFormat},
};

/// Writes rows of some columns.
pub(super) struct Writer {
    format: SourceFormat,
    members: Vec<Member>,
}

/// What a column is in NDJSON.
struct Member {
    /// Its path, with dots.
    path: &'static str,
    shape: Shape,
}

#[derive(Clone, Copy)]
enum Shape {
    Text,
    /// Digits that are a number.
    Number,
    /// A list of texts, with commas in CSV.
    Texts,
    /// An object or a list, unless it was spoilt.
    Json,
    /// Any JSON.
    Any,
}

impl Shape {
    fn of(path: &str, form: Form) -> Self {
        match (form, path) {
            (Form::Json, _) => Self::Json,
            (Form::Any, _) => Self::Any,
            (Form::Text, "tags" | "alternative_names") => Self::Texts,
            (Form::Text, "score" | "priority") => Self::Number,
            (Form::Text, _) => Self::Text,
        }
    }
}

impl Writer {
    /// A writer of these columns, which stand in the order of the schema.
    pub(super) fn new(import_type: ImportType, format: SourceFormat, columns: &[&str]) -> Self {
        let schema = schema_of(import_type);
        let fields = columns.iter().filter_map(|column| schema.find_column(column));
        let member = |field| {
            let spec = schema.spec(field);
            Member { path: spec.name, shape: Shape::of(spec.name, spec.form) }
        };
        Self { format, members: fields.map(member).collect() }
    }

    /// Appends a row, without a line end.
    pub(super) fn write(&self, row: &[String], line: &mut String) {
        match self.format {
            SourceFormat::Csv => write_cells(row, line),
            SourceFormat::Ndjson => {
                let given = self.members.iter().zip(row).filter(|(_, value)| !value.is_empty());
                let mut object = ObjectWriter::new(line);
                write_members(&given.collect::<Vec<_>>(), 0, &mut object);
                object.close();
            }
        }
    }
}

fn write_cells(row: &[String], line: &mut String) {
    for (position, value) in row.iter().enumerate() {
        if position > 0 {
            line.push(',');
        }
        if value.contains(['"', ',', '\n']) {
            line.push('"');
            line.push_str(&value.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(value);
        }
    }
}

/// Writes members by the part of their paths behind `depth` bytes; those of a group stand together.
fn write_members(members: &[(&Member, &String)], depth: usize, object: &mut ObjectWriter<'_>) {
    let mut rest = members;
    while let Some((member, value)) = rest.first() {
        let name = &member.path[depth..];
        let Some((group, _)) = name.split_once('.') else {
            write_member(name, member.shape, value, object);
            rest = &rest[1..];
            continue;
        };
        let inside = &member.path[..depth + group.len() + 1];
        let count = rest.iter().take_while(|(member, _)| member.path.starts_with(inside)).count();
        object.object(group, |inner| write_members(&rest[..count], inside.len(), inner));
        rest = &rest[count..];
    }
}

fn write_member(name: &str, shape: Shape, value: &str, object: &mut ObjectWriter<'_>) {
    match shape {
        Shape::Number | Shape::Any => object.raw(name, value),
        Shape::Json if value.starts_with(['{', '[']) => object.raw(name, value),
        Shape::Texts => {
            let mut list = String::from("[");
            for (position, text) in value.split(',').enumerate() {
                if position > 0 {
                    list.push(',');
                }
                push_json_text(&mut list, text);
            }
            list.push(']');
            object.raw(name, &list);
        }
        Shape::Text | Shape::Json => object.text(name, value),
    }
}
