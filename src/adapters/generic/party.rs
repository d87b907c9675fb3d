//! Officers, beneficial owners and documents of a company: lists of objects, checked item by item and
//! kept in the form the contract gives them. They are few and rare, so each is read on its own.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::reader::{Reader, TEXT_CHARS, missing};
use crate::{
    canonical::{
        arena::Text,
        business_verification::{BusinessDocumentType, PartyRole},
        cell::Cell,
        date::parse_date,
        object_writer::ObjectWriter,
        scalar,
    },
    domain::issue::{Issue, IssueCode},
    guard,
};

/// A text that must be given.
#[derive(Default)]
enum Given {
    #[default]
    Missing,
    Null,
    Text(String),
}

impl<'de> Deserialize<'de> for Given {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Option::deserialize(deserializer)?.map_or(Self::Null, Self::Text))
    }
}

impl Given {
    /// What it says, unless that is blank.
    fn text(&self) -> Option<&String> {
        match self {
            Self::Text(text) if !text.trim().is_empty() => Some(text),
            _ => None,
        }
    }
}

#[derive(Deserialize)]
struct Officer {
    #[serde(default)]
    name: Given,
    designation: Option<String>,
    role: Option<String>,
    nationality: Option<String>,
    appointment_date: Option<String>,
    termination_date: Option<String>,
    is_active: Option<bool>,
    address: Option<String>,
}

#[derive(Deserialize)]
struct Owner {
    #[serde(default)]
    name: Given,
    first_name: Option<String>,
    last_name: Option<String>,
    entity_type: Option<String>,
    date_of_birth: Option<String>,
    country_of_birth: Option<String>,
    email: Option<String>,
    company_name: Option<String>,
    registration_number: Option<String>,
    nationality: Option<String>,
    designation: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    ownership_min_shares: Option<Box<RawValue>>,
    ownership_max_shares: Option<Box<RawValue>>,
    is_active: Option<bool>,
}

#[derive(Deserialize)]
struct Document {
    document_type: Option<String>,
    #[serde(default)]
    file_url: Given,
}

/// Reads one item of a list and writes its members; where an item breaks a rule is told by its path.
struct Item<'i, 'r> {
    reader: &'i mut Reader<'r>,
    field: &'static str,
    at: usize,
}

impl Item<'_, '_> {
    fn refuse(&mut self, member: &str, code: IssueCode, message: impl Into<String>) {
        let path = format!("{}[{}].{member}", self.field, self.at);
        self.reader.issues.push(Issue::of_field(code, &path, message));
    }

    fn require(&mut self, member: &str, given: &Given) {
        let (code, message) = missing(matches!(given, Given::Null), "must be given");
        self.refuse(member, code, message);
    }

    fn name(&mut self, name: &Given, out: &mut ObjectWriter<'_>) {
        match name.text() {
            Some(text) => self.text("name", Some(text), 512, out),
            None => self.require("name", name),
        }
    }

    fn text(&mut self, member: &str, text: Option<&String>, max: usize, out: &mut ObjectWriter<'_>) {
        let Some(text) = text.map(|text| text.trim()).filter(|text| !text.is_empty()) else { return };
        let count = text.chars().count();
        if count > max {
            let message = format!("has {count} characters, and {max} are allowed");
            return self.refuse(member, IssueCode::TooLong, message);
        }
        out.text(member, text);
    }

    /// A designation, and behind it the words given for a role (as `member`) that is none: they are kept
    /// where a person will read them (contract §2.2).
    fn designation<'w>(
        &mut self,
        designation: Option<&'w String>,
        member: &str,
        roles: impl IntoIterator<Item = &'w String>,
        out: &mut ObjectWriter<'_>,
    ) {
        let mut parts: Vec<&str> = Vec::new();
        let unknown = roles.into_iter().filter(|word| find_role(word).is_none()).map(|word| (member, word));
        for (member, part) in designation.map(|text| ("designation", text)).into_iter().chain(unknown) {
            let (part, count) = (part.trim(), part.trim().chars().count());
            if count > TEXT_CHARS {
                let message = format!("has {count} characters, and {TEXT_CHARS} are allowed");
                self.refuse(member, IssueCode::TooLong, message);
            } else if count > 0 && !parts.contains(&part) {
                parts.push(part);
            }
        }
        if !parts.is_empty() {
            out.text("designation", &parts.join("; "));
        }
    }

    fn date(&mut self, member: &str, date: Option<&String>, out: &mut ObjectWriter<'_>) {
        let Some(date) = date.map(|date| date.trim()).filter(|date| !date.is_empty()) else { return };
        match parse_date(date) {
            Some(_) => out.word(member, date),
            None => {
                self.refuse(member, IssueCode::InvalidValue, "is not a date of the form YYYY-MM-DD");
            }
        }
    }
}

fn find_role(word: &str) -> Option<PartyRole> {
    PartyRole::from_word(&word.trim().to_lowercase().replace([' ', '-'], "_"))
}

/// A known role, or `other` for a word that is none.
fn role(word: &str) -> PartyRole {
    find_role(word).unwrap_or(PartyRole::Other)
}

/// Reads the list of a cell and writes each of its items; nothing when one of them is no object.
fn list<T: for<'de> Deserialize<'de>>(
    reader: &mut Reader<'_>,
    cell: Cell,
    mut write: impl FnMut(&mut Item<'_, '_>, T, &mut ObjectWriter<'_>),
) -> Option<String> {
    let text: Text = reader.objects(cell)?;
    let items: Vec<T> = match serde_json::from_str(reader.arena.get(text)) {
        Ok(items) => items,
        Err(_) => {
            let message = "holds an object whose members have the wrong types";
            return reader.refuse(cell, IssueCode::WrongType, message);
        }
    };
    let field = reader.schema.spec(cell.field).name;
    let mut out = String::from("[");
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        let begun = out.len();
        let mut writer = ObjectWriter::new(&mut out);
        write(&mut Item { reader, field, at }, item, &mut writer);
        writer.close();
        if out.len() == begun {
            out.push_str("{}");
        }
    }
    out.push(']');
    (out.len() > "[]".len()).then_some(out)
}

/// Officers, as the contract shows them.
pub(super) fn officers(reader: &mut Reader<'_>, cell: Cell) -> Option<String> {
    list(reader, cell, |item, officer: Officer, out| {
        item.name(&officer.name, out);
        item.designation(officer.designation.as_ref(), "role", officer.role.as_ref(), out);
        if let Some(role) = officer.role.as_deref().map(role) {
            out.word("role", role.as_str());
        }
        item.text("nationality", officer.nationality.as_ref(), 32, out);
        item.date("appointment_date", officer.appointment_date.as_ref(), out);
        item.date("termination_date", officer.termination_date.as_ref(), out);
        item.text("address", officer.address.as_ref(), 2_000, out);
        out.raw("is_active", if officer.is_active.unwrap_or(true) { "true" } else { "false" });
    })
}

/// Beneficial owners, as the contract shows them.
pub(super) fn beneficial_owners(reader: &mut Reader<'_>, cell: Cell) -> Option<String> {
    list(reader, cell, |item, owner: Owner, out| {
        item.name(&owner.name, out);
        item.text("first_name", owner.first_name.as_ref(), TEXT_CHARS, out);
        item.text("last_name", owner.last_name.as_ref(), TEXT_CHARS, out);
        let entity_type = owner.entity_type.as_deref().map(|word| word.trim().to_lowercase());
        match entity_type.as_deref() {
            Some("person") => out.word("entity_type", "person"),
            Some("company") => out.word("entity_type", "company"),
            None | Some("") => {
                out.word("entity_type", if owner.company_name.is_some() { "company" } else { "person" });
            }
            Some(_) => item.refuse("entity_type", IssueCode::InvalidValue, "must be person or company"),
        }
        item.date("date_of_birth", owner.date_of_birth.as_ref(), out);
        item.text("country_of_birth", owner.country_of_birth.as_ref(), 64, out);
        match owner.email.as_ref().map(|email| email.trim()).filter(|email| !email.is_empty()) {
            Some(email) if !scalar::is_email(email) => {
                item.refuse("email", IssueCode::InvalidValue, "is not an e-mail address");
            }
            _ => item.text("email", owner.email.as_ref(), TEXT_CHARS, out),
        }
        item.text("company_name", owner.company_name.as_ref(), TEXT_CHARS, out);
        item.text("registration_number", owner.registration_number.as_ref(), 100, out);
        item.text("nationality", owner.nationality.as_ref(), 32, out);
        item.designation(owner.designation.as_ref(), "roles", &owner.roles, out);
        let roles: Vec<_> = owner.roles.iter().map(|word| format!("\"{}\"", role(word).as_str())).collect();
        out.raw("roles", &format!("[{}]", roles.join(",")));
        share("ownership_min_shares", owner.ownership_min_shares, item, out);
        share("ownership_max_shares", owner.ownership_max_shares, item, out);
        out.raw("is_active", if owner.is_active.unwrap_or(true) { "true" } else { "false" });
    })
}

/// A share in percent, as a text or a number, whose digits are kept as they are.
fn share(member: &str, share: Option<Box<RawValue>>, item: &mut Item<'_, '_>, out: &mut ObjectWriter<'_>) {
    let text = match share.as_deref().map(RawValue::get) {
        None | Some("null") => return,
        Some(number) if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => Ok(number.to_owned()),
        Some(text) => serde_json::from_str::<String>(text),
    };
    match text {
        Ok(text) => item.text(member, Some(&text), 32, out),
        Err(_) => item.refuse(member, IssueCode::WrongType, "must be text or a number"),
    }
}

/// Documents of a company: links and what they show.
pub(super) fn documents(reader: &mut Reader<'_>, cell: Cell) -> Option<String> {
    list(reader, cell, |item, document: Document, out| {
        let kind = document.document_type.as_deref().unwrap_or(BusinessDocumentType::Other.as_str());
        match BusinessDocumentType::from_word(&kind.trim().to_uppercase()) {
            Some(kind) => out.word("document_type", kind.as_str()),
            None => {
                let words: Vec<_> = BusinessDocumentType::ALL.iter().map(|kind| kind.as_str()).collect();
                let message = format!("must be one of {}", words.join(", "));
                item.refuse("document_type", IssueCode::InvalidValue, message);
            }
        }
        let Some(url) = document.file_url.text() else { return item.require("file_url", &document.file_url) };
        match guard::check_url(url) {
            Err(refused) => item.refuse("file_url", IssueCode::UnsafeUrl, refused.to_string()),
            Ok(()) => item.text("file_url", Some(url), 2_048, out),
        }
    })
}
