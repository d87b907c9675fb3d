//! Checks of JSON that is kept as text: its type, its depth, and characters no database keeps.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// Deepest nesting that is kept.
pub const MAX_DEPTH: usize = 64;

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonFault {
    /// Not JSON; what the parser said.
    Syntax(String),
    /// Another type than asked for.
    WrongType,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// A NUL character in a text.
    Nul,
}

/// The type a JSON text must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JsonType {
    /// An object.
    Object,
    /// An array of texts.
    Texts,
}

/// Checks that `text` is one JSON value of the given type that can be kept.
pub fn check(text: &str, wanted: JsonType) -> Result<(), JsonFault> {
    let right = match wanted {
        JsonType::Object => text.trim_start().starts_with('{'),
        JsonType::Texts => text.trim_start().starts_with('['),
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let seed = Check { depth: MAX_DEPTH, texts: wanted == JsonType::Texts && right };
    let result = seed.deserialize(&mut deserializer).and_then(|()| deserializer.end());
    match result {
        Ok(()) if right => Ok(()),
        Ok(()) => Err(JsonFault::WrongType),
        Err(error) => Err(match error.to_string() {
            text if text.starts_with(DEEP) || text.starts_with("recursion limit") => JsonFault::TooDeep,
            text if text.starts_with(NUL) => JsonFault::Nul,
            text if text.starts_with(TYPE) => JsonFault::WrongType,
            text => JsonFault::Syntax(text),
        }),
    }
}

// Markers of own faults inside serde's error type, which carries nothing but text.
const DEEP: &str = "carryover: too deep";
const NUL: &str = "carryover: NUL";
const TYPE: &str = "carryover: wrong type";

/// Walks a value without keeping it.
struct Check {
    depth: usize,
    texts: bool,
}

impl<'de> DeserializeSeed<'de> for Check {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        if text.contains('\0') { Err(E::custom(NUL)) } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| A::Error::custom(DEEP))?;
        if self.texts {
            while seq.next_element_seed(TextOnly)?.is_some() {}
        } else {
            while seq.next_element_seed(Check { depth, texts: false })?.is_some() {}
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| A::Error::custom(DEEP))?;
        while map.next_key_seed(Check { depth, texts: false })?.is_some() {
            map.next_value_seed(Check { depth, texts: false })?;
        }
        Ok(())
    }
}

/// Takes texts only.
struct TextOnly;

impl<'de> DeserializeSeed<'de> for TextOnly {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TextOnly {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        Check { depth: 0, texts: false }.visit_str(text)
    }

    fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<(), E> {
        Err(E::custom(TYPE))
    }

    fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<(), E> {
        Err(E::custom(TYPE))
    }

    fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<(), E> {
        Err(E::custom(TYPE))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<(), E> {
        Err(E::custom(TYPE))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        Err(E::custom(TYPE))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(TYPE))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        Err(A::Error::custom(TYPE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_depth_and_characters() {
        let deep = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        for (text, wanted, result) in [
            ("{}".to_owned(), JsonType::Object, Ok(())),
            (r#" {"a":[1,2.5,null,true,"x"]} "#.to_owned(), JsonType::Object, Ok(())),
            ("[1]".to_owned(), JsonType::Object, Err(JsonFault::WrongType)),
            ("\"text\"".to_owned(), JsonType::Object, Err(JsonFault::WrongType)),
            (r#"{"a":"\u0000"}"#.to_owned(), JsonType::Object, Err(JsonFault::Nul)),
            (r#"{"\u0000":1}"#.to_owned(), JsonType::Object, Err(JsonFault::Nul)),
            (deep(MAX_DEPTH - 1), JsonType::Object, Ok(())),
            (deep(MAX_DEPTH), JsonType::Object, Err(JsonFault::TooDeep)),
            (deep(100_000), JsonType::Object, Err(JsonFault::TooDeep)),
            (r#"["a","b"]"#.to_owned(), JsonType::Texts, Ok(())),
            (r#"["a",1]"#.to_owned(), JsonType::Texts, Err(JsonFault::WrongType)),
            (r#"["a",{}]"#.to_owned(), JsonType::Texts, Err(JsonFault::WrongType)),
        ] {
            assert_eq!(check(&text, wanted), result, "{}", &text[..text.len().min(60)]);
        }
        for bad in [r#"{"a":1"#, r#"{"a":1}x"#, r#"{"a":"\ud800"}"#, "{'a':1}", "{\"a\":01}", ""] {
            assert!(matches!(check(bad, JsonType::Object), Err(JsonFault::Syntax(_))), "{bad}");
        }
    }
}
