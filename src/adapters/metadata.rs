//! What a provider says beyond the contract's fields, as an object of metadata.

use super::normal::storable_json;
use crate::canonical::{cell::MADE_DEPTH, json, object_writer::push_json_text};

/// Most items of a list that is made here.
const ITEMS: usize = 100;

/// How deep JSON of a provider may be nested: what is deeper would take all metadata of the record with it.
const DEPTH: usize = MADE_DEPTH - 1;

/// Bytes of a usual object, which so does not grow step by step.
const USUAL_BYTES: usize = 512;

/// An object of metadata that is put together. Links lose their queries before they come here.
#[derive(Debug, Default)]
pub(super) struct Metadata {
    json: String,
    /// Reasons the provider gave for its verdict.
    reasons: Vec<String>,
    /// Media that only the provider's own client can fetch, each an object.
    media: Vec<String>,
}

impl Metadata {
    fn key(&mut self, key: &str) {
        if self.json.is_empty() {
            self.json.reserve(USUAL_BYTES);
        }
        self.json.push(if self.json.is_empty() { '{' } else { ',' });
        push_clean(&mut self.json, key);
        self.json.push(':');
    }

    /// A text, if there is one. No database keeps a NUL.
    pub(super) fn text(&mut self, key: &str, text: Option<&str>) {
        let Some(text) = text.filter(|text| !text.is_empty()) else { return };
        self.key(key);
        push_clean(&mut self.json, text);
    }

    /// JSON as the provider wrote it, if there is any that can be kept.
    pub(super) fn raw(&mut self, key: &str, json: Option<&str>) {
        let kept = json.map(storable_json).filter(|json| json::can_be_kept(json, DEPTH));
        if let Some(json) = kept {
            self.key(key);
            self.json.push_str(&json);
        }
    }

    /// That something is so, if it is.
    pub(super) fn flag(&mut self, key: &str, is_so: bool) {
        if is_so {
            self.key(key);
            self.json.push_str("true");
        }
    }

    /// An object of texts, if it has any.
    pub(super) fn texts(&mut self, key: &str, texts: &[(&str, Option<&str>)]) {
        if let Some(object) = object(texts) {
            self.key(key);
            self.json.push_str(&object);
        }
    }

    /// A list of JSON values, if there are any.
    pub(super) fn list(&mut self, key: &str, items: impl IntoIterator<Item = String>) {
        let items: Vec<_> = items.into_iter().take(ITEMS).collect();
        if !items.is_empty() {
            self.key(key);
            self.json.push('[');
            self.json.push_str(&items.join(","));
            self.json.push(']');
        }
    }

    /// A reason the provider gave, once.
    pub(super) fn reason(&mut self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.reasons.len() < ITEMS && !reason.is_empty() && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }

    /// Media that the provider keeps: an object of texts.
    pub(super) fn media(&mut self, texts: &[(&str, Option<&str>)]) {
        if self.media.len() < ITEMS {
            self.media.extend(object(texts));
        }
    }

    /// The object, if it has any member.
    pub(super) fn finish(mut self) -> Option<String> {
        let reasons = std::mem::take(&mut self.reasons);
        if !reasons.is_empty() {
            self.key("source_warnings");
            for (at, reason) in reasons.iter().enumerate() {
                self.json.push(if at == 0 { '[' } else { ',' });
                push_clean(&mut self.json, reason);
            }
            self.json.push(']');
        }
        let media = std::mem::take(&mut self.media);
        self.list("source_media", media);
        (!self.json.is_empty()).then(|| self.json + "}")
    }
}

fn push_clean(out: &mut String, text: &str) {
    match text.contains('\0') {
        true => push_json_text(out, &text.replace('\0', "\u{fffd}")),
        false => push_json_text(out, text),
    }
}

/// An object of the texts that say anything, if any does.
pub(super) fn object(texts: &[(&str, Option<&str>)]) -> Option<String> {
    let mut out = String::new();
    for (key, text) in texts {
        let Some(text) = text.filter(|text| !text.is_empty()) else { continue };
        out.push(if out.is_empty() { '{' } else { ',' });
        push_clean(&mut out, key);
        out.push(':');
        push_clean(&mut out, text);
    }
    (!out.is_empty()).then(|| out + "}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_what_there_is() {
        assert_eq!(Metadata::default().finish(), None);
        let mut metadata = Metadata::default();
        metadata.text("nul", Some("a\0b"));
        metadata.text("none", None);
        metadata.raw("tags", Some(r#"["x"]"#));
        metadata.raw("nul_in_json", Some(r#"["\u0000"]"#));
        metadata.raw("half_a_pair", Some(r#"{"\ud800":"\\u0000"}"#));
        metadata.raw("no_number", Some("[1e999]"));
        metadata.raw("deep", Some(&("[".repeat(40) + &"]".repeat(40))));
        metadata.flag("deleted", false);
        metadata.reason("FORGERY");
        metadata.reason("FORGERY");
        metadata.media(&[("id", Some("1")), ("side", None)]);
        assert_eq!(
            metadata.finish().as_deref(),
            Some(
                "{\"nul\":\"a\u{fffd}b\",\"tags\":[\"x\"],\"nul_in_json\":[\"\u{fffd}\"],\"half_a_pair\":{\"\u{fffd}\":\"\\\\u0000\"},\"source_warnings\":[\"FORGERY\"],\"source_media\":[{\"id\":\"1\"}]}"
            )
        );
    }
}
