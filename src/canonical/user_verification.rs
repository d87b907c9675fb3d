//! The canonical verification of a person.

use chrono::{DateTime, NaiveDate, Utc};

use super::{
    arena::{Arena, Text},
    document::{DocumentType, Gender, MaritalStatus},
    status::{FeatureStatus, SessionStatus},
};

/// A verification that passed every rule. Texts are pieces of the batch's arena.
#[derive(Debug, Clone, Default)]
pub struct UserVerification {
    /// Id at the old provider.
    pub external_id: Text,
    /// Source label; absent means the import's.
    pub provider: Option<Text>,
    /// The customer's own id of the user.
    pub vendor_data: Option<Text>,
    /// Where it stands; absent means Expired.
    pub status: Option<SessionStatus>,
    /// When the old provider made it.
    pub created_at: Option<DateTime<Utc>>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// Type of the document.
    pub document_type: Option<DocumentType>,
    /// Finer type, as the provider named it.
    pub document_subtype: Option<Text>,
    /// Number of the document.
    pub document_number: Option<Text>,
    /// Personal number on it.
    pub personal_number: Option<Text>,
    /// Given names.
    pub first_name: Option<Text>,
    /// Family names.
    pub last_name: Option<Text>,
    /// Whole name, where the parts are absent.
    pub full_name: Option<Text>,
    /// Date of birth.
    pub date_of_birth: Option<NaiveDate>,
    /// Gender.
    pub gender: Option<Gender>,
    /// Nationality.
    pub nationality: Option<Text>,
    /// Issuing state, alpha-3.
    pub issuing_state: Option<&'static str>,
    /// Date of issue.
    pub date_of_issue: Option<NaiveDate>,
    /// Expiration date.
    pub expiration_date: Option<NaiveDate>,
    /// Address in one line.
    pub address: Option<Text>,
    /// Place of birth.
    pub place_of_birth: Option<Text>,
    /// Status of the document check, where the row gave one.
    pub id_verification_status: Option<FeatureStatus>,
    /// E-mail address.
    pub email: Option<Text>,
    /// Phone number.
    pub phone: Option<Text>,
    /// Free data, a JSON object.
    pub metadata: Option<Text>,
    /// What has no column.
    pub details: Details,
}

impl UserVerification {
    /// Where the session stands; without a word of the row it has no usable outcome.
    pub fn status(&self) -> SessionStatus {
        self.status.unwrap_or(SessionStatus::Expired)
    }
}

/// Parts of a verification that have no column of their own and are kept as one JSON object.
#[derive(Debug, Clone, Default)]
pub struct Details {
    /// Marital status.
    pub marital_status: Option<MaritalStatus>,
    /// Address in parts, a JSON object.
    pub parsed_address: Option<Text>,
    /// Further fields, a JSON object.
    pub extra_fields: Option<Text>,
    /// Tags, a JSON array of texts.
    pub tags: Option<Text>,
    /// Status of the liveness check.
    pub liveness_status: Option<FeatureStatus>,
    /// Its score, a JSON number.
    pub liveness_score: Option<Text>,
    /// Status of the face comparison.
    pub face_match_status: Option<FeatureStatus>,
    /// Its score, a JSON number.
    pub face_match_score: Option<Text>,
    /// URLs of media.
    pub media: [Option<Text>; MEDIA_KEYS.len()],
}

/// Keys of the media URLs inside the details, in the order of [`Details::media`].
pub const MEDIA_KEYS: [&str; 7] = [
    "front_image",
    "back_image",
    "portrait_image",
    "selfie_image",
    "front_video",
    "back_video",
    "liveness_video",
];

impl Details {
    /// Writes the JSON object into `out`; leaves `out` empty when there is nothing to keep.
    pub fn write_json(&self, arena: &Arena, out: &mut String) {
        let mut object = ObjectWriter { out, open: false };
        if let Some(status) = self.marital_status {
            object.word("marital_status", status.as_str());
        }
        for (key, json) in [
            ("parsed_address", self.parsed_address),
            ("extra_fields", self.extra_fields),
            ("tags", self.tags),
            ("liveness_score", self.liveness_score),
            ("face_match_score", self.face_match_score),
        ] {
            if let Some(json) = json {
                object.raw(key, arena.get(json));
            }
        }
        for (key, status) in
            [("liveness_status", self.liveness_status), ("face_match_status", self.face_match_status)]
        {
            if let Some(status) = status {
                object.word(key, status.as_str());
            }
        }
        for (key, url) in MEDIA_KEYS.iter().zip(self.media) {
            if let Some(url) = url {
                object.text(key, arena.get(url));
            }
        }
        object.close();
    }
}

/// Writes a JSON object member by member.
struct ObjectWriter<'o> {
    out: &'o mut String,
    open: bool,
}

impl ObjectWriter<'_> {
    fn key(&mut self, key: &str) {
        self.out.push(if self.open { ',' } else { '{' });
        self.open = true;
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    /// A value that is JSON already.
    fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.out.push_str(json);
    }

    /// A word without characters that JSON escapes.
    fn word(&mut self, key: &str, word: &str) {
        self.key(key);
        self.out.push('"');
        self.out.push_str(word);
        self.out.push('"');
    }

    /// Any text.
    fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        push_json_text(self.out, text);
    }

    fn close(self) {
        if self.open {
            self.out.push('}');
        }
    }
}

/// Appends `text` as a JSON string.
pub fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    // What is escaped is ASCII, so bytes are enough to look at and every cut is between characters.
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u00");
                out.extend(
                    [byte >> 4, byte & 15].into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)),
                );
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_are_one_json_object_or_nothing() {
        let mut arena = Arena::default();
        let mut out = String::new();
        Details::default().write_json(&arena, &mut out);
        assert_eq!(out, "");
        let details = Details {
            marital_status: Some(MaritalStatus::Single),
            tags: Some(arena.push(r#"["a"]"#)),
            media: {
                let mut media = [None; 7];
                media[1] = Some(arena.push("https://h.example/\"\\\u{1}"));
                media
            },
            ..Details::default()
        };
        details.write_json(&arena, &mut out);
        let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({"marital_status": "SINGLE", "tags": ["a"], "back_image": "https://h.example/\"\\\u{1}"})
        );
    }
}
