//! Checks of JSON that is kept as text: its type, its depth, and characters no database keeps.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// What is wrong with a JSON text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JsonFault {
    /// Not JSON; what the parser said.
    Syntax(String),
    /// Another type than asked for.
    WrongType,
    /// Nested deeper than allowed.
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
    /// An array of objects.
    Objects,
}

/// Checks that `text` is one JSON value of the given type that can be kept: nested at most `max_depth`
/// deep, without NUL characters.
pub fn check(text: &str, wanted: JsonType, max_depth: usize) -> Result<(), JsonFault> {
    let right = match wanted {
        JsonType::Object => text.trim_start().starts_with('{'),
        JsonType::Texts | JsonType::Objects => text.trim_start().starts_with('['),
    };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let items = match wanted {
        JsonType::Texts if right => Items::Texts,
        JsonType::Objects if right => Items::Objects,
        _ => Items::Any,
    };
    let seed = Check { depth: max_depth, items };
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

/// Whether a JSON text of any type can be kept as a part of another: nested at most `max_depth` deep, without
/// NUL characters and numbers that none can hold.
pub fn can_be_kept(text: &str, max_depth: usize) -> bool {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    Check::any(max_depth).deserialize(&mut deserializer).and_then(|()| deserializer.end()).is_ok()
}

// Markers of own faults inside serde's error type, which carries nothing but text.
const DEEP: &str = "carryover: too deep";
const NUL: &str = "carryover: NUL";
const TYPE: &str = "carryover: wrong type";

/// What the items of an array must be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Items {
    Any,
    Texts,
    Objects,
}

/// Walks a value without keeping it.
struct Check {
    depth: usize,
    items: Items,
}

impl Check {
    const fn any(depth: usize) -> Self {
        Self { depth, items: Items::Any }
    }
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
        match self.items {
            Items::Any => while seq.next_element_seed(Check::any(depth))?.is_some() {},
            only => while seq.next_element_seed(Only { items: only, depth })?.is_some() {},
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let depth = self.depth.checked_sub(1).ok_or_else(|| A::Error::custom(DEEP))?;
        while map.next_key_seed(Check::any(depth))?.is_some() {
            map.next_value_seed(Check::any(depth))?;
        }
        Ok(())
    }
}

/// Takes items of one kind only.
struct Only {
    items: Items,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Only {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Only {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or an object")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        match self.items {
            Items::Texts => Check::any(0).visit_str(text),
            _ => Err(E::custom(TYPE)),
        }
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

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        match self.items {
            Items::Objects => Check::any(self.depth).visit_map(map),
            _ => Err(A::Error::custom(TYPE)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAX_DEPTH: usize = 64;

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
            (r#"[{"a":1},{}]"#.to_owned(), JsonType::Objects, Ok(())),
            (r#"[{},"a"]"#.to_owned(), JsonType::Objects, Err(JsonFault::WrongType)),
            (r#"{}"#.to_owned(), JsonType::Objects, Err(JsonFault::WrongType)),
        ] {
            assert_eq!(check(&text, wanted, MAX_DEPTH), result, "{}", &text[..text.len().min(60)]);
        }
        for bad in [r#"{"a":1"#, r#"{"a":1}x"#, r#"{"a":"\ud800"}"#, "{'a':1}", "{\"a\":01}", ""] {
            assert!(matches!(check(bad, JsonType::Object, MAX_DEPTH), Err(JsonFault::Syntax(_))), "{bad}");
        }
    }
}
