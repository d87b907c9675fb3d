//! From what the sources of a field say to its value.

use std::{borrow::Cow, collections::HashMap};

use super::{Scratch, date_format::DateFormat, given::Given, kind::Kind};
use crate::{
    adapters::{draft::Draft, metadata::Metadata},
    canonical::schema::{FieldId, FieldSpec, Form},
    domain::{
        import::FieldMapping,
        issue::{Issue, IssueCode},
    },
};

/// How the value of one field is made.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    slots: Vec<usize>,
    join: Option<String>,
    constant: Option<String>,
    /// By the word as [`fold`] writes it.
    values: HashMap<String, String>,
    otherwise: Option<String>,
    date_format: Option<(String, DateFormat)>,
    kind: Kind,
}

/// A value on its way into the row.
pub(super) enum Made<'a> {
    Nothing,
    Text(Cow<'a, str>),
    /// JSON as it was written.
    Json(&'a str),
}

/// Why there is none.
pub(super) enum Fault {
    NoText,
    Undecodable,
    NoDate { format: String, value: String },
}

/// A word to compare by: without blanks around it, and case.
pub(super) fn fold(word: &str, folded: &mut String) {
    folded.clear();
    folded.extend(word.trim().chars().flat_map(char::to_lowercase));
}

impl Rule {
    /// The rule of the field of that name; nothing when its date format is none.
    pub(super) fn new(field: &FieldMapping, name: &str, slots: Vec<usize>) -> Option<Self> {
        let folded = |(word, value): (&String, &String)| {
            let mut key = String::new();
            fold(word, &mut key);
            (key, value.clone())
        };
        let date_format = match &field.date_format {
            Some(format) => Some((format.clone(), DateFormat::of(format).ok()?)),
            None => None,
        };
        Some(Self {
            slots,
            join: field.join.clone(),
            constant: field.constant.clone(),
            values: field.values.iter().map(folded).collect(),
            otherwise: field.otherwise.clone(),
            date_format,
            kind: Kind::of(name),
        })
    }

    /// The value that the row's sources give.
    pub(super) fn value<'a, 'f: 'a>(
        &'a self,
        found: &impl Fn(usize) -> Given<'f>,
        form: Form,
        scratch: &'a mut Scratch,
    ) -> Result<Made<'a>, Fault> {
        let Scratch { joined, folded } = scratch;
        let given = self.slots.iter().map(|slot| found(*slot));
        let text = if let Some(between) = &self.join {
            joined.clear();
            for given in given {
                let part = read(given)?;
                if !part.is_empty() {
                    if !joined.is_empty() {
                        joined.push_str(between);
                    }
                    joined.push_str(&part);
                }
            }
            Cow::Borrowed(joined.as_str())
        } else {
            let first = { given }.find(|given| *given != Given::Nothing).unwrap_or_default();
            match first {
                Given::Container(raw) if self.is_plain() => return Ok(Made::Json(raw)),
                Given::Scalar(raw) if self.is_plain() && form == Form::Any => return Ok(Made::Json(raw)),
                given => read(given)?,
            }
        };
        if text.is_empty() {
            return Ok(self.constant.as_deref().map_or(Made::Nothing, |text| Made::Text(text.into())));
        }
        if !self.values.is_empty() {
            fold(&text, folded);
            if let Some(value) = self.values.get(folded.as_str()).or(self.otherwise.as_ref()) {
                return Ok(Made::Text(value.into()));
            }
        }
        match &self.date_format {
            Some((format, dates)) => dates
                .read(&text, self.kind)
                .map(|date| Made::Text(date.into()))
                .ok_or_else(|| Fault::NoDate { format: format.clone(), value: text.into_owned() }),
            None => Ok(Made::Text(match text {
                Cow::Borrowed(text) => self.kind.tidy(text),
                Cow::Owned(text) => Cow::Owned(self.kind.tidy(&text).into_owned()),
            })),
        }
    }

    /// Whether a value goes through as it is.
    fn is_plain(&self) -> bool {
        self.values.is_empty() && self.date_format.is_none()
    }
}

fn read(given: Given<'_>) -> Result<Cow<'_, str>, Fault> {
    let fault = if matches!(given, Given::Escaped(_)) { Fault::Undecodable } else { Fault::NoText };
    given.read().ok_or(fault)
}

impl Made<'_> {
    /// Puts the value into a field.
    pub(super) fn put(self, field: FieldId, form: Form, draft: &mut Draft<'_>) {
        match self {
            Made::Nothing => {}
            Made::Text(text) if form == Form::Json => draft.encoded(field, &text),
            Made::Text(text) => draft.text(field, &text),
            Made::Json(json) => draft.json(field, json),
        }
    }

    /// Puts the value into metadata.
    pub(super) fn tell(self, key: &str, metadata: &mut Metadata) {
        match self {
            Made::Nothing => {}
            Made::Text(text) => metadata.text(key, Some(&text)),
            Made::Json(json) => metadata.raw(key, Some(json)),
        }
    }
}

impl Fault {
    /// The issue of a field.
    pub(super) fn of_field(self, spec: &FieldSpec) -> Issue {
        match self {
            Self::NoText => {
                let message = "its source is a JSON object or list, and a text is needed";
                Issue::of_field(IssueCode::WrongType, spec.name, message)
            }
            Self::Undecodable => {
                let message = "the text holds an escape that is no character";
                Issue::of_field(IssueCode::BadJson, spec.name, message)
            }
            Self::NoDate { format, value } => {
                let message = format!("is not written as the mapping says ({format})");
                Issue::of_field(IssueCode::InvalidValue, spec.name, message)
                    .with_value(&value, spec.sensitive)
            }
        }
    }
}
