//! All that is wrong with a mapping, told before a row is read.

use chrono::{DateTime, Utc};

use super::{METADATA, To, date_format::DateFormat, kind::Kind, paths, rule::fold};
use crate::{
    adapters::generic::Adapter,
    canonical::{
        arena::Arena,
        cell::{Cell, Value},
        schema::{FieldId, FieldSet, Form, Schema},
        schema_of,
    },
    domain::{
        import::{FieldMapping, ImportType, Mapping},
        limits::Limits,
        refusal::FieldViolation,
    },
};

/// Most fields of a mapping.
const FIELDS: usize = 200;

/// Most sources of a field.
const SOURCES: usize = 16;

/// Most words of a table.
const WORDS: usize = 1_000;

/// Most characters of a source, a word or a value.
const TEXT_CHARS: usize = 255;

/// Most keys of a path.
const KEYS: usize = 16;

/// Most bytes of all texts of a mapping together: it is shown with its import.
const BYTES: usize = 64 << 10;

/// All that is wrong with a mapping of rows of that type, under the path of what is at fault. `now` bounds
/// constants that may not lie in the future.
pub fn check(mapping: &Mapping, import_type: ImportType, now: DateTime<Utc>) -> Vec<FieldViolation> {
    let schema = schema_of(import_type);
    let mut check = Check { schema, import_type, now, violations: Vec::new() };
    if mapping.fields.len() > FIELDS || bytes(mapping) > BYTES {
        check.refuse("fields", "must be at most 200, with 64 KiB of text together");
        return check.violations;
    }
    let mut met = Vec::new();
    for (at, field) in mapping.fields.iter().enumerate() {
        check.field(&format!("fields[{at}]"), field, &mut met);
    }
    check.required(&met);
    check.violations
}

fn bytes(mapping: &Mapping) -> usize {
    let of_field = |field: &FieldMapping| {
        let texts = [&field.join, &field.constant, &field.otherwise, &field.date_format];
        let texts = texts.into_iter().flatten().chain([&field.field]).chain(&field.sources);
        let words = field.values.iter().flat_map(|(word, value)| [word, value]);
        texts.chain(words).map(String::len).sum::<usize>()
    };
    mapping.fields.iter().map(of_field).sum()
}

/// A mapping that is checked.
struct Check {
    schema: &'static Schema,
    import_type: ImportType,
    now: DateTime<Utc>,
    violations: Vec<FieldViolation>,
}

impl Check {
    fn refuse(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.violations.push(FieldViolation::new(field, description));
    }

    fn field(&mut self, path: &str, field: &FieldMapping, met: &mut Vec<To>) {
        let to = To::find(&field.field, self.schema);
        match &to {
            None => {
                let text = format!("\"{}\" is no field of {}", field.field, self.import_type.as_str());
                self.refuse(format!("{path}.field"), text);
            }
            Some(to) if met.contains(to) => {
                self.refuse(format!("{path}.field"), format!("\"{}\" is mapped already", field.field));
            }
            Some(to) => {
                let metadata = self.schema.find_column(METADATA).map(To::Field);
                let is_member = |to: &To| matches!(to, To::Metadata(_));
                let clashes = (is_member(to) && met.iter().any(|other| Some(other) == metadata.as_ref()))
                    || (Some(to) == metadata.as_ref() && met.iter().any(is_member));
                if clashes {
                    let text = "metadata is mapped as a whole or by its members, not both";
                    self.refuse(format!("{path}.field"), text);
                }
                met.push(to.clone());
            }
        }
        self.sources(path, field);
        self.words(path, field);
        let Some(To::Field(id)) = to else {
            if field.date_format.is_some() {
                self.refuse(format!("{path}.date_format"), NO_DATE);
            }
            return;
        };
        self.date_format(path, field, Kind::of(self.schema.spec(id).name));
        self.literals(path, field, id);
        self.verdict(path, field, id);
    }

    fn sources(&mut self, path: &str, field: &FieldMapping) {
        if field.sources.is_empty() && field.constant.is_none() {
            self.refuse(format!("{path}.sources"), "must name a column or path, or constant be given");
        }
        if field.sources.len() > SOURCES {
            self.refuse(format!("{path}.sources"), "must be at most 16");
        }
        for (at, source) in field.sources.iter().enumerate() {
            if source.trim().is_empty() || !is_short(source) || paths::keys(source).len() > KEYS {
                let text = "must have 1 to 255 characters, and at most 16 keys as a path";
                self.refuse(format!("{path}.sources[{at}]"), text);
            }
        }
        if let Some(join) = &field.join {
            if field.sources.len() < 2 {
                self.refuse(format!("{path}.join"), "needs at least two sources");
            }
            if !is_short(join) {
                self.refuse(format!("{path}.join"), "must have at most 255 characters");
            }
        }
    }

    fn words(&mut self, path: &str, field: &FieldMapping) {
        let values = format!("{path}.values");
        if field.values.len() > WORDS {
            self.refuse(&values, "must be at most 1,000");
            return;
        }
        if !field.values.is_empty() && field.sources.is_empty() {
            self.refuse(&values, "needs a source");
        }
        if field.otherwise.is_some() && field.values.is_empty() {
            self.refuse(format!("{path}.otherwise"), "needs values; a constant needs none");
        }
        let mut folded = Vec::with_capacity(field.values.len());
        for word in field.values.keys() {
            let mut key = String::new();
            fold(word, &mut key);
            if key.is_empty() || !is_short(word) {
                self.refuse(&values, "words must have 1 to 255 characters");
            } else {
                folded.push(key);
            }
        }
        folded.sort_unstable();
        if let Some(pair) = folded.windows(2).find(|pair| pair[0] == pair[1]) {
            let text =
                format!("\"{}\" stands there twice: case and blanks around a word do not count", pair[0]);
            self.refuse(&values, text);
        }
    }

    fn date_format(&mut self, path: &str, field: &FieldMapping, kind: Kind) {
        let Some(format) = &field.date_format else { return };
        let fault = match DateFormat::of(format) {
            _ if !matches!(kind, Kind::Date | Kind::Time) => Some(NO_DATE),
            _ if field.sources.is_empty() => Some("needs a source"),
            _ if !is_short(format) => Some("must have at most 255 characters"),
            form => form.err(),
        };
        if let Some(fault) = fault {
            self.refuse(format!("{path}.date_format"), fault);
        }
    }

    /// What the mapping writes itself must be good, or every row that gets it would fail.
    fn literals(&mut self, path: &str, field: &FieldMapping, id: FieldId) {
        let constant = field.constant.iter().map(|text| (format!("{path}.constant"), text));
        let otherwise = field.otherwise.iter().map(|text| (format!("{path}.otherwise"), text));
        let values = field.values.iter().map(|(word, text)| (format!("{path}.values[\"{word}\"]"), text));
        for (path, text) in constant.chain(otherwise).chain(values) {
            if let Some(fault) = self.literal(id, text) {
                self.refuse(path, fault);
            }
        }
    }

    fn literal(&self, id: FieldId, text: &str) -> Option<String> {
        if text.trim().is_empty() {
            return None;
        }
        let (mut arena, mut issues, spec) = (Arena::default(), Vec::new(), self.schema.spec(id));
        let text = arena.push(text.trim());
        let value = if spec.form == Form::Json { Value::EncodedJson(text) } else { Value::Text(text) };
        let mut adapter = Adapter::new(self.import_type, self.now, Limits::default().json_depth);
        adapter.read(&[Cell { field: id, value }], FieldSet::default(), &mut arena, &mut issues);
        issues.into_iter().find(|issue| issue.field == spec.name).map(|issue| issue.message)
    }

    /// History is approved by a word of its own, never because there was none, or one that nobody knows.
    fn verdict(&mut self, path: &str, field: &FieldMapping, id: FieldId) {
        let is_verdict = self.schema.spec(id).name.ends_with("status");
        let approves = |text: &Option<String>| {
            text.as_deref().is_some_and(|text| text.trim().eq_ignore_ascii_case("approved"))
        };
        if is_verdict && approves(&field.otherwise) {
            let text = "must not be Approved: name the words that are";
            self.refuse(format!("{path}.otherwise"), text);
        }
        if is_verdict && approves(&field.constant) && !field.sources.is_empty() {
            let text = "must not be Approved beside a source: a row that says nothing is not approved";
            self.refuse(format!("{path}.constant"), text);
        }
    }

    fn required(&mut self, met: &[To]) {
        let names = |field: FieldId| self.schema.spec(field).name;
        let is_mapped = |field: &FieldId| met.contains(&To::Field(*field));
        let lists = self.schema.required.iter().copied().filter(|one_of| !one_of.iter().any(is_mapped));
        let mut missing: Vec<_> = lists
            .map(|one_of| one_of.iter().map(|field| names(*field)).collect::<Vec<_>>().join(" or "))
            .collect();
        if let Some(field) = self.schema.find_column(TRANSACTION_AT)
            && !is_mapped(&field)
        {
            missing.push(TRANSACTION_AT.to_owned());
        }
        if !missing.is_empty() {
            self.refuse("fields", format!("must map {}", missing.join(", ")));
        }
    }
}

const NO_DATE: &str = "is for dates and points in time";

/// What no transaction can do without, though a header may.
const TRANSACTION_AT: &str = "transaction_at";

fn is_short(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS && !text.contains('\0')
}
