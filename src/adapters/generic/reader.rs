//! Reads the cells of a row one by one; what is wrong with a value becomes an issue of the row.

use std::str::FromStr;

use chrono::{DateTime, NaiveDate, Utc};

use crate::{
    canonical::{
        arena::{Arena, Text},
        cell::{Cell, MADE_DEPTH, Value},
        date::{parse_date, parse_timestamp},
        decimal::{self, DecimalFault, Precision},
        json::{self, JsonFault, JsonType},
        object_writer::push_json_text,
        scalar,
        schema::{FieldId, FieldSet, Schema},
        user_verification::MediaLink,
    },
    domain::issue::{Issue, IssueCode},
    guard,
};

/// Most characters of a field that has no limit of its own.
pub(super) const TEXT_CHARS: usize = 255;

/// Most tags of a row.
const TAGS: usize = 100;

/// Most characters of a URL.
const URL_CHARS: usize = 2_048;

/// The issue of what must be given and was not: whoever wrote null has said something else than who wrote
/// nothing.
pub(super) fn missing(is_null: bool, message: &str) -> (IssueCode, String) {
    match is_null {
        true => (IssueCode::NullValue, format!("is null; {message}")),
        false => (IssueCode::Required, message.to_owned()),
    }
}

/// A row and where its issues go.
pub(super) struct Reader<'r> {
    pub(super) cells: &'r [Cell],
    /// Fields that are null.
    pub(super) nulls: FieldSet,
    pub(super) schema: &'static Schema,
    pub(super) arena: &'r mut Arena,
    pub(super) now: DateTime<Utc>,
    pub(super) max_depth: usize,
    pub(super) issues: &'r mut Vec<Issue>,
    /// Where links to media go.
    pub(super) links: &'r mut Vec<MediaLink>,
}

impl Reader<'_> {
    /// Adds an issue of a cell's value.
    pub(super) fn refuse<T>(&mut self, cell: Cell, code: IssueCode, message: impl Into<String>) -> Option<T> {
        let field = self.schema.spec(cell.field);
        let value = self.arena.get(cell.value.text());
        self.issues.push(Issue::of_field(code, field.name, message).with_value(value, field.sensitive));
        None
    }

    fn invalid<T>(&mut self, cell: Cell) -> Option<T> {
        let field = self.schema.spec(cell.field);
        let issue = Issue::of_field(IssueCode::InvalidValue, field.name, "")
            .with_value(self.arena.get(cell.value.text()), field.sensitive);
        self.refuse(cell, IssueCode::InvalidValue, format!("invalid value '{}'", issue.value))
    }

    /// Adds an issue when a field that must be given was not, unless it was given and refused.
    pub(super) fn require(&mut self, given: bool, field: FieldId) {
        let name = self.schema.spec(field).name;
        if !given && !self.issues.iter().any(|issue| issue.field == name) {
            let (code, message) = missing(self.nulls.contains(field), "must be given");
            self.issues.push(Issue::of_field(code, name, message));
        }
    }

    /// Text of at most `max` characters; nothing when it is blank.
    pub(super) fn text(&mut self, cell: Cell, max: usize) -> Option<Text> {
        let Value::Text(text) = cell.value else {
            return self.refuse(cell, IssueCode::WrongType, "must be text");
        };
        let value = self.arena.get(text);
        if value.is_empty() {
            return None;
        }
        if value.contains('\0') {
            return self.refuse(cell, IssueCode::NulCharacter, "holds a NUL character");
        }
        // A character has at least one byte, so a short text needs no count.
        if value.len() > max {
            let count = value.chars().count();
            if count > max {
                let message = format!("has {count} characters, and {max} are allowed");
                return self.refuse(cell, IssueCode::TooLong, message);
            }
        }
        Some(text)
    }

    /// A word that `parse` knows.
    pub(super) fn word<T>(&mut self, cell: Cell, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(cell, TEXT_CHARS)?;
        let parsed = parse(self.arena.get(text));
        if parsed.is_none() { self.invalid(cell) } else { parsed }
    }

    /// Text that `is_good`.
    pub(super) fn shaped(
        &mut self,
        cell: Cell,
        is_good: impl Fn(&str) -> bool,
        message: &str,
    ) -> Option<Text> {
        let text = self.text(cell, TEXT_CHARS)?;
        if is_good(self.arena.get(text)) {
            return Some(text);
        }
        self.refuse(cell, IssueCode::InvalidValue, message)
    }

    /// An e-mail address.
    pub(super) fn email(&mut self, cell: Cell) -> Option<Text> {
        self.shaped(cell, scalar::is_email, "is not an e-mail address")
    }

    /// A source label, in lower case.
    pub(super) fn provider(&mut self, cell: Cell) -> Option<Text> {
        let text = self.text(cell, scalar::PROVIDER_CHARS)?;
        let label = self.arena.get(text);
        if scalar::is_provider(label) {
            return Some(text);
        }
        let lower = label.to_lowercase();
        if scalar::is_provider(&lower) { Some(self.arena.push(&lower)) } else { self.invalid(cell) }
    }

    /// A date.
    pub(super) fn date(&mut self, cell: Cell) -> Option<NaiveDate> {
        let text = self.text(cell, TEXT_CHARS)?;
        match parse_date(self.arena.get(text)) {
            Some(date) => Some(date),
            None => self.refuse(cell, IssueCode::InvalidValue, "is not a date of the form YYYY-MM-DD"),
        }
    }

    /// A date that has come.
    pub(super) fn past_date(&mut self, cell: Cell) -> Option<NaiveDate> {
        let date = self.date(cell)?;
        if date <= self.now.date_naive() {
            return Some(date);
        }
        self.refuse(cell, IssueCode::OutOfRange, "lies in the future")
    }

    /// A point in time.
    pub(super) fn timestamp(&mut self, cell: Cell) -> Option<DateTime<Utc>> {
        let text = self.text(cell, TEXT_CHARS)?;
        match parse_timestamp(self.arena.get(text)) {
            Some(time) => Some(time),
            None => {
                let message = "is not an RFC 3339 timestamp such as 2024-03-11T09:20:41Z";
                self.refuse(cell, IssueCode::InvalidValue, message)
            }
        }
    }

    /// A point in time that has come.
    pub(super) fn past_timestamp(&mut self, cell: Cell) -> Option<DateTime<Utc>> {
        let time = self.timestamp(cell)?;
        if time <= self.now {
            return Some(time);
        }
        self.refuse(cell, IssueCode::OutOfRange, "lies in the future")
    }

    /// A number from 0 to 100.
    pub(super) fn score(&mut self, cell: Cell) -> Option<Text> {
        let text = self.text(cell, TEXT_CHARS)?;
        if scalar::is_score(self.arena.get(text)) {
            return Some(text);
        }
        self.refuse(cell, IssueCode::OutOfRange, "is not a decimal number from 0 to 100, such as 97.5")
    }

    /// A whole number within a range.
    pub(super) fn integer<T: FromStr + PartialOrd>(
        &mut self,
        cell: Cell,
        range: std::ops::RangeInclusive<T>,
        message: &str,
    ) -> Option<T> {
        let text = self.text(cell, TEXT_CHARS)?;
        // `FromStr` takes a plus sign, which no number of an export has.
        let digits = Some(self.arena.get(text)).filter(|text| !text.starts_with('+'));
        match digits.and_then(|text| text.parse().ok()).filter(|number| range.contains(number)) {
            Some(number) => Some(number),
            None => self.refuse(cell, IssueCode::OutOfRange, message),
        }
    }

    /// An exact decimal.
    pub(super) fn decimal(&mut self, cell: Cell, precision: Precision) -> Option<Text> {
        let text = self.text(cell, TEXT_CHARS)?;
        let fault = match decimal::parse(self.arena.get(text), precision) {
            // Zero has no sign, so it is no beginning of `-0`.
            Ok("0") => return Some(self.arena.push("0")),
            Ok(short) => return Some(text.part(0..short.len())),
            Err(fault) => fault,
        };
        let Precision { whole, fraction } = precision;
        match fault {
            DecimalFault::Form => {
                self.refuse(cell, IssueCode::InvalidValue, "is not a decimal such as 1500.00")
            }
            DecimalFault::Comma => self.refuse(
                cell,
                IssueCode::InvalidValue,
                "has a comma; write a point before the fraction and nothing between thousands, as in 1500.00",
            ),
            DecimalFault::Digits => self.refuse(
                cell,
                IssueCode::OutOfRange,
                format!("has more digits than are kept: {whole} before the point and {fraction} behind it"),
            ),
        }
    }

    /// A URL that the guard would fetch.
    pub(super) fn url(&mut self, cell: Cell) -> Option<Text> {
        let text = self.text(cell, URL_CHARS)?;
        let Err(refused) = guard::check_url(self.arena.get(text)) else { return Some(text) };
        // A provider's link carries its token in the query, which must not be shown.
        let shown = self.arena.get(text).split(['?', '#']).next().unwrap_or_default();
        let name = self.schema.spec(cell.field).name;
        let issue = Issue::of_field(IssueCode::UnsafeUrl, name, refused.to_string());
        self.issues.push(issue.with_value(shown, false));
        None
    }

    /// A JSON object.
    pub(super) fn object(&mut self, cell: Cell) -> Option<Text> {
        self.json(cell, JsonType::Object, "must be a JSON object")
    }

    /// A JSON list of objects.
    pub(super) fn objects(&mut self, cell: Cell) -> Option<Text> {
        self.json(cell, JsonType::Objects, "must be a JSON list of objects")
    }

    fn json(&mut self, cell: Cell, wanted: JsonType, message: &str) -> Option<Text> {
        let text = match cell.value {
            Value::Made(text) if self.max_depth >= MADE_DEPTH => return Some(text),
            Value::Json(text) | Value::EncodedJson(text) | Value::Made(text) => text.trim(self.arena),
            Value::Text(_) => return self.refuse(cell, IssueCode::WrongType, message),
        };
        match json::check(self.arena.get(text), wanted, self.max_depth) {
            Ok(()) => Some(text),
            Err(fault) => self.refuse_json(cell, &fault, message),
        }
    }

    fn refuse_json<T>(&mut self, cell: Cell, fault: &JsonFault, wanted: &str) -> Option<T> {
        match fault {
            JsonFault::WrongType => self.refuse(cell, IssueCode::WrongType, wanted),
            JsonFault::Syntax(_) => self.refuse(cell, IssueCode::BadJson, format!("is not JSON; {wanted}")),
            JsonFault::Nul => self.refuse(cell, IssueCode::NulCharacter, "holds a NUL character"),
            JsonFault::TooDeep => {
                let message = format!("is nested deeper than {} levels (limit json_depth)", self.max_depth);
                self.refuse(cell, IssueCode::TooDeep, message)
            }
        }
    }

    /// Tags: a JSON array of texts, or a comma-separated list; kept as a JSON array.
    pub(super) fn tags(&mut self, cell: Cell) -> Option<Text> {
        const WANTED: &str = "must be a list of texts";
        let text = self.arena.get(cell.value.text());
        let mut list = TagList::with_capacity(text.len());
        match cell.value {
            Value::Json(_) | Value::EncodedJson(_) | Value::Made(_) => {
                if let Err(fault) = json::check(text, JsonType::Texts, self.max_depth) {
                    return self.refuse_json(cell, &fault, WANTED);
                }
                let tags: Vec<String> = serde_json::from_str(text).unwrap_or_default();
                tags.iter().for_each(|tag| list.add(tag));
            }
            Value::Text(_) if text.contains('\0') => {
                return self.refuse(cell, IssueCode::NulCharacter, "holds a NUL character");
            }
            Value::Text(_) => text.split(',').for_each(|tag| list.add(tag.trim())),
        }
        let count = list.count;
        if list.has_long {
            let message = format!("a tag has more than {TEXT_CHARS} characters");
            return self.refuse(cell, IssueCode::TooLong, message);
        }
        if count > TAGS {
            let message = format!("has {count} tags, and {TAGS} are allowed");
            return self.refuse(cell, IssueCode::TooLong, message);
        }
        list.json.push(']');
        (count > 0).then(|| self.arena.push(&list.json))
    }
}

/// Tags on their way into a JSON array.
struct TagList {
    json: String,
    count: usize,
    /// Whether one has more characters than a tag may have.
    has_long: bool,
}

impl TagList {
    /// A list for tags that have `bytes` between them.
    fn with_capacity(bytes: usize) -> Self {
        let mut json = String::with_capacity(bytes + bytes / 2 + 8);
        json.push('[');
        Self { json, count: 0, has_long: false }
    }

    fn add(&mut self, tag: &str) {
        if tag.is_empty() {
            return;
        }
        self.has_long |= tag.len() > TEXT_CHARS && tag.chars().count() > TEXT_CHARS;
        if self.count > 0 {
            self.json.push(',');
        }
        push_json_text(&mut self.json, tag);
        self.count += 1;
    }
}
