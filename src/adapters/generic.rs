//! The canonical format itself (contract §2.1). Strict: it was written for us, so a bad value is an
//! issue of its row, and all of them are told at once.

use chrono::{DateTime, NaiveDate, Utc};

use crate::{
    canonical::{
        arena::{Arena, Text},
        cell::{Cell, Value},
        country,
        date::{parse_date, parse_timestamp},
        document::{DocumentType, Gender, MaritalStatus},
        field::Field,
        json::{self, JsonFault, JsonType},
        scalar,
        status::{FeatureStatus, SessionStatus},
        user_verification::{UserVerification, push_json_text},
    },
    domain::issue::{Issue, IssueCode},
    guard,
};

/// Most characters of a field that has no limit of its own.
const TEXT_CHARS: usize = 255;

/// Most tags of a row.
const TAGS: usize = 100;

/// Reads a user verification from a row's cells; what is wrong with them goes to `issues`.
pub fn user_verification(
    cells: &[Cell],
    arena: &mut Arena,
    now: DateTime<Utc>,
    issues: &mut Vec<Issue>,
) -> UserVerification {
    let mut record = UserVerification::default();
    for &cell in cells {
        let mut reader = Reader { cell, arena, now, issues };
        read_field(&mut record, &mut reader);
    }
    if record.external_id.is_empty() && !issues.iter().any(|issue| issue.field == Field::ExternalId.name()) {
        issues.push(Issue::of_field(IssueCode::Required, Field::ExternalId.name(), "must be given"));
    }
    record
}

fn read_field(record: &mut UserVerification, reader: &mut Reader<'_>) {
    let details = &mut record.details;
    match reader.cell.field {
        Field::ExternalId => record.external_id = reader.text(TEXT_CHARS).unwrap_or_default(),
        Field::Provider => record.provider = reader.provider(),
        Field::VendorData => record.vendor_data = reader.text(TEXT_CHARS),
        Field::Status => record.status = reader.word(SessionStatus::parse),
        Field::CreatedAt => record.created_at = reader.past_timestamp(),
        Field::ExpiresAt => record.expires_at = reader.timestamp(),
        Field::DocumentType => record.document_type = reader.word(DocumentType::parse),
        Field::DocumentSubtype => record.document_subtype = reader.text(128),
        Field::DocumentNumber => record.document_number = reader.text(TEXT_CHARS),
        Field::PersonalNumber => record.personal_number = reader.text(TEXT_CHARS),
        Field::FirstName => record.first_name = reader.text(TEXT_CHARS),
        Field::LastName => record.last_name = reader.text(TEXT_CHARS),
        Field::FullName => record.full_name = reader.text(512),
        Field::DateOfBirth => record.date_of_birth = reader.past_date(),
        Field::Gender => record.gender = reader.word(Gender::parse),
        Field::Nationality => record.nationality = reader.text(32),
        Field::IssuingState => record.issuing_state = reader.word(country::parse_alpha3),
        Field::DateOfIssue => record.date_of_issue = reader.date(),
        Field::ExpirationDate => record.expiration_date = reader.date(),
        Field::Address => record.address = reader.text(TEXT_CHARS),
        Field::ParsedAddress => details.parsed_address = reader.object(),
        Field::PlaceOfBirth => record.place_of_birth = reader.text(TEXT_CHARS),
        Field::MaritalStatus => details.marital_status = reader.word(MaritalStatus::parse),
        Field::ExtraFields => details.extra_fields = reader.object(),
        Field::IdVerificationStatus => record.id_verification_status = reader.word(FeatureStatus::parse),
        Field::FrontImageUrl => details.media[0] = reader.url(),
        Field::BackImageUrl => details.media[1] = reader.url(),
        Field::PortraitImageUrl => details.media[2] = reader.url(),
        Field::SelfieImageUrl => details.media[3] = reader.url(),
        Field::FrontVideoUrl => details.media[4] = reader.url(),
        Field::BackVideoUrl => details.media[5] = reader.url(),
        Field::LivenessVideoUrl => details.media[6] = reader.url(),
        Field::LivenessStatus => details.liveness_status = reader.word(FeatureStatus::parse),
        Field::LivenessScore => details.liveness_score = reader.score(),
        Field::FaceMatchStatus => details.face_match_status = reader.word(FeatureStatus::parse),
        Field::FaceMatchScore => details.face_match_score = reader.score(),
        Field::Email => record.email = reader.shaped(scalar::is_email, "is not an e-mail address"),
        Field::Phone => record.phone = reader.shaped(scalar::is_phone, "is not a phone number in E.164 form"),
        Field::Tags => details.tags = reader.tags(),
        Field::Metadata => record.metadata = reader.object(),
    }
}

/// Reads one cell.
struct Reader<'r> {
    cell: Cell,
    arena: &'r mut Arena,
    now: DateTime<Utc>,
    issues: &'r mut Vec<Issue>,
}

impl Reader<'_> {
    fn refuse<T>(&mut self, code: IssueCode, message: impl Into<String>) -> Option<T> {
        let field = self.cell.field;
        let value = self.arena.get(self.cell.value.text());
        self.issues
            .push(Issue::of_field(code, field.name(), message).with_value(value, field.is_sensitive()));
        None
    }

    fn invalid<T>(&mut self) -> Option<T> {
        let field = self.cell.field;
        let issue = Issue::of_field(IssueCode::InvalidValue, field.name(), "")
            .with_value(self.arena.get(self.cell.value.text()), field.is_sensitive());
        self.refuse(IssueCode::InvalidValue, format!("invalid value '{}'", issue.value))
    }

    /// Text of at most `max` characters, trimmed; nothing when it is blank.
    fn text(&mut self, max: usize) -> Option<Text> {
        let text = match self.cell.value {
            Value::Text(text) => text,
            _ => return self.refuse(IssueCode::WrongType, "must be text"),
        };
        let value = self.arena.get(text);
        if value.is_empty() {
            return None;
        }
        if value.contains('\0') {
            return self.refuse(IssueCode::NulCharacter, "holds a NUL character");
        }
        // A character has at least one byte, so a short text needs no count.
        if value.len() > max {
            let count = value.chars().count();
            if count > max {
                return self
                    .refuse(IssueCode::TooLong, format!("has {count} characters, and {max} are allowed"));
            }
        }
        Some(text)
    }

    fn word<T>(&mut self, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(TEXT_CHARS)?;
        let parsed = parse(self.arena.get(text));
        if parsed.is_none() { self.invalid() } else { parsed }
    }

    fn shaped(&mut self, is_good: impl Fn(&str) -> bool, message: &str) -> Option<Text> {
        let text = self.text(TEXT_CHARS)?;
        if is_good(self.arena.get(text)) { Some(text) } else { self.refuse(IssueCode::InvalidValue, message) }
    }

    fn provider(&mut self) -> Option<Text> {
        let text = self.text(scalar::PROVIDER_CHARS)?;
        let label = self.arena.get(text);
        if scalar::is_provider(label) {
            return Some(text);
        }
        let lower = label.to_lowercase();
        if scalar::is_provider(&lower) { Some(self.arena.push(&lower)) } else { self.invalid() }
    }

    fn date(&mut self) -> Option<NaiveDate> {
        let text = self.text(TEXT_CHARS)?;
        let date = parse_date(self.arena.get(text));
        if date.is_none() {
            self.refuse(IssueCode::InvalidValue, "is not a date of the form YYYY-MM-DD")
        } else {
            date
        }
    }

    fn past_date(&mut self) -> Option<NaiveDate> {
        let date = self.date()?;
        if date <= self.now.date_naive() {
            Some(date)
        } else {
            self.refuse(IssueCode::OutOfRange, "lies in the future")
        }
    }

    fn timestamp(&mut self) -> Option<DateTime<Utc>> {
        let text = self.text(TEXT_CHARS)?;
        let time = parse_timestamp(self.arena.get(text));
        if time.is_none() {
            return self.refuse(
                IssueCode::InvalidValue,
                "is not an RFC 3339 timestamp such as 2024-03-11T09:20:41Z",
            );
        }
        time
    }

    fn past_timestamp(&mut self) -> Option<DateTime<Utc>> {
        let time = self.timestamp()?;
        if time <= self.now { Some(time) } else { self.refuse(IssueCode::OutOfRange, "lies in the future") }
    }

    fn score(&mut self) -> Option<Text> {
        let text = self.text(TEXT_CHARS)?;
        if scalar::is_score(self.arena.get(text)) {
            return Some(text);
        }
        self.refuse(IssueCode::OutOfRange, "is not a decimal number from 0 to 100")
    }

    fn url(&mut self) -> Option<Text> {
        let text = self.text(2_048)?;
        match guard::check_url(self.arena.get(text)) {
            Ok(_) => Some(text),
            Err(refused) => {
                // A provider's link carries its token in the query, which must not be shown.
                let url = self.arena.get(text);
                let shown = url.split(['?', '#']).next().unwrap_or_default();
                let issue =
                    Issue::of_field(IssueCode::UnsafeUrl, self.cell.field.name(), refused.to_string());
                self.issues.push(issue.with_value(shown, false));
                None
            }
        }
    }

    fn object(&mut self) -> Option<Text> {
        let text = match self.cell.value {
            Value::Json(text) | Value::EncodedJson(text) => text.trim(self.arena),
            Value::Text(_) => return self.refuse(IssueCode::WrongType, "must be a JSON object"),
        };
        match json::check(self.arena.get(text), JsonType::Object) {
            Ok(()) => Some(text),
            Err(fault) => self.refuse_json(&fault, "must be a JSON object"),
        }
    }

    fn refuse_json<T>(&mut self, fault: &JsonFault, wanted: &str) -> Option<T> {
        match fault {
            JsonFault::WrongType => self.refuse(IssueCode::WrongType, wanted),
            JsonFault::Syntax(_) => self.refuse(IssueCode::BadJson, format!("is not JSON; {wanted}")),
            JsonFault::Nul => self.refuse(IssueCode::NulCharacter, "holds a NUL character"),
            JsonFault::TooDeep => {
                self.refuse(IssueCode::TooDeep, format!("is nested deeper than {} levels", json::MAX_DEPTH))
            }
        }
    }

    /// Tags: a JSON array of texts, or a comma-separated list; kept as a JSON array.
    fn tags(&mut self) -> Option<Text> {
        const WANTED: &str = "must be a list of texts";
        let tags: Vec<String> = match self.cell.value {
            Value::Json(text) | Value::EncodedJson(text) => {
                if let Err(fault) = json::check(self.arena.get(text), JsonType::Texts) {
                    return self.refuse_json(&fault, WANTED);
                }
                serde_json::from_str(self.arena.get(text)).unwrap_or_default()
            }
            Value::Text(text) => {
                if self.arena.get(text).contains('\0') {
                    return self.refuse(IssueCode::NulCharacter, "holds a NUL character");
                }
                self.arena.get(text).split(',').map(|tag| tag.trim().to_owned()).collect()
            }
        };
        let mut list = String::from("[");
        let mut count = 0;
        for tag in tags.iter().filter(|tag| !tag.is_empty()) {
            if tag.chars().count() > TEXT_CHARS {
                return self
                    .refuse(IssueCode::TooLong, format!("a tag has more than {TEXT_CHARS} characters"));
            }
            if count > 0 {
                list.push(',');
            }
            push_json_text(&mut list, tag);
            count += 1;
        }
        if count > TAGS {
            return self.refuse(IssueCode::TooLong, format!("has {count} tags, and {TAGS} are allowed"));
        }
        list.push(']');
        (count > 0).then(|| self.arena.push(&list))
    }
}
