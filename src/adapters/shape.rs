//! The shapes of providers' records: structs that borrow from the line and take anything.
//!
//! A member of another JSON type than its provider documents is absent, and told by name. Keys are
//! compared without case, `_`, `-` and blanks, because the same record comes in kebab, snake and camel
//! case. Numbers keep the digits they were written with.

mod top;

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, Visitor},
};
use serde_json::value::RawValue;

use super::normal;
pub(super) use top::Top;

/// Whether a member was there, and was what it should be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Found {
    /// Absent, null, blank or without members.
    #[default]
    No,
    /// Of another JSON type.
    Wrong,
    /// As it should be.
    Yes,
}

/// What can stand behind a key of a shape.
pub(super) trait Part {
    /// Whether it was there, and says something.
    fn is_there(&self) -> bool;

    /// Adds the names of members that have another type than they should.
    fn tell_wrong(&self, name: &'static str, wrong: &mut Vec<&'static str>);
}

/// A text, or a number or truth value as it was written.
#[derive(Debug, Clone, Default)]
pub(super) struct Leaf<'a> {
    text: Option<Cow<'a, str>>,
    found: Found,
}

impl<'a> Leaf<'a> {
    /// What it says, without blanks around it.
    pub(super) fn get(&self) -> Option<&str> {
        self.text.as_deref()
    }

    /// What it says, for a record that borrows it.
    pub(super) fn pick(&self) -> Option<Cow<'_, str>> {
        self.get().map(Cow::Borrowed)
    }

    /// What it says, for whoever outlives it.
    pub(super) fn take(self) -> Option<Cow<'a, str>> {
        self.text
    }

    /// Whether it is `true`.
    pub(super) fn is_true(&self) -> bool {
        self.get() == Some("true")
    }

    /// A leaf of that text.
    pub(super) fn of(text: Cow<'a, str>) -> Self {
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
            Cow::Owned(text) if text.trim().len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
        };
        match text.is_empty() {
            true => Self::default(),
            false => Self { text: Some(text), found: Found::Yes },
        }
    }
}

/// Whether a JSON text says nothing: null, or without any member.
fn is_nothing(raw: &str) -> bool {
    match raw.as_bytes() {
        [b'n', ..] => true,
        [b'{', inner @ .., b'}'] | [b'[', inner @ .., b']'] | [b'"', inner @ .., b'"'] => {
            inner.trim_ascii().is_empty()
        }
        _ => false,
    }
}

impl<'de> Deserialize<'de> for Leaf<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        let wrong = Self { text: None, found: Found::Wrong };
        Ok(match raw.as_bytes() {
            _ if is_nothing(raw) => Self::default(),
            [b'"', ..] if !raw.contains('\\') => Self::of(Cow::Borrowed(&raw[1..raw.len() - 1])),
            [b'"', ..] => serde_json::from_str(raw)
                .or_else(|_| serde_json::from_str(&normal::storable_json(raw)))
                .map_or(wrong, |text| Self::of(Cow::Owned(text))),
            [b'{' | b'[', ..] => wrong,
            _ => Self::of(Cow::Borrowed(raw)),
        })
    }
}

impl Part for Leaf<'_> {
    fn is_there(&self) -> bool {
        self.found == Found::Yes
    }

    fn tell_wrong(&self, name: &'static str, wrong: &mut Vec<&'static str>) {
        if self.found == Found::Wrong {
            wrong.push(name);
        }
    }
}

/// Any JSON that is not looked into here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Raw<'a>(Option<&'a str>);

impl<'a> Raw<'a> {
    /// It as it was written, unless it says nothing.
    pub(super) const fn get(&self) -> Option<&'a str> {
        self.0
    }

    /// The value at the end of a path of keys, unless it says nothing.
    pub(super) fn dig(&self, path: &[&str]) -> Self {
        path.iter().fold(*self, |raw, key| Self(raw.0.and_then(|raw| Top::read(raw)?.get(key))))
    }

    /// It as a text.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        self.read::<Leaf<'a>>().take()
    }

    /// JSON of that text.
    pub(super) fn of(raw: &'a str) -> Self {
        Self(Some(raw).filter(|raw| !is_nothing(raw)))
    }

    /// It read as another shape.
    pub(super) fn read<T: Deserialize<'a> + Default>(&self) -> T {
        self.0.and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default()
    }
}

impl<'de> Deserialize<'de> for Raw<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        Ok(Self(Some(raw).filter(|raw| !is_nothing(raw))))
    }
}

impl Part for Raw<'_> {
    fn is_there(&self) -> bool {
        self.0.is_some()
    }

    fn tell_wrong(&self, _: &'static str, _: &mut Vec<&'static str>) {}
}

/// A list; what is no list is a list of that one thing, as some providers write it.
#[derive(Debug)]
pub(super) struct List<'a, T> {
    items: Vec<T>,
    raw: Raw<'a>,
    found: Found,
}

impl<T> Default for List<'_, T> {
    fn default() -> Self {
        Self { items: Vec::new(), raw: Raw(None), found: Found::No }
    }
}

impl<T> std::ops::Deref for List<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.items
    }
}

impl<'a, T> List<'a, T> {
    /// A list of these.
    pub(super) fn of(items: Vec<T>) -> Self {
        Self { found: if items.is_empty() { Found::No } else { Found::Yes }, items, raw: Raw(None) }
    }

    /// Its items.
    pub(super) fn into_items(self) -> std::vec::IntoIter<T> {
        self.items.into_iter()
    }

    /// It as it was written, if it has items.
    pub(super) fn raw(&self) -> Option<&'a str> {
        self.raw.get().filter(|raw| raw.starts_with('['))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<'de, T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Raw::deserialize(deserializer)?;
        let Some(text) = raw.get() else { return Ok(Self::default()) };
        let items = match text.starts_with('[') {
            true => serde_json::from_str::<Vec<T>>(text),
            false => serde_json::from_str(text).map(|item| vec![item]),
        };
        Ok(match items {
            Ok(items) => Self { items, raw, found: Found::Yes },
            Err(_) => Self { found: Found::Wrong, ..Self::default() },
        })
    }
}

impl<T: Part> Part for List<'_, T> {
    fn is_there(&self) -> bool {
        self.found == Found::Yes
    }

    fn tell_wrong(&self, name: &'static str, wrong: &mut Vec<&'static str>) {
        if self.found == Found::Wrong {
            wrong.push(name);
        }
        self.items.iter().for_each(|item| item.tell_wrong(name, wrong));
    }
}

/// A key, borrowed where it has no escapes.
pub(super) struct Key<'a>(pub(super) Cow<'a, str>);

impl<'de> Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        deserializer.deserialize_str(Read)
    }
}

/// Whether two keys are the same but for case, `_`, `-` and blanks.
pub(super) fn is_same(key: &str, other: &str) -> bool {
    fn letters(text: &str) -> impl Iterator<Item = u8> {
        text.bytes().filter(|byte| !matches!(byte, b'_' | b'-' | b' ')).map(|byte| byte.to_ascii_lowercase())
    }
    // Most keys of a record are compared with all members of its shape, and differ in their first letter.
    let may_be = match (key.as_bytes().first(), other.as_bytes().first()) {
        (Some(a), Some(b)) if a.is_ascii_alphanumeric() && b.is_ascii_alphanumeric() => {
            a.eq_ignore_ascii_case(b)
        }
        _ => true,
    };
    may_be && (key == other || letters(key).eq(letters(other)))
}

/// Reads what stands where an object should, and is none.
pub(super) fn skip_seq<'de, A: serde::de::SeqAccess<'de>>(mut seq: A) -> Result<Found, A::Error> {
    let mut found = Found::No;
    while seq.next_element::<IgnoredAny>()?.is_some() {
        found = Found::Wrong;
    }
    Ok(found)
}

/// Makes a struct that reads an object's known members and takes anything:
/// `name: Leaf = "itsKey" | "another"`. A member given twice has its last value.
macro_rules! shape {
    ($(
        $(#[$doc:meta])*
        struct $name:ident { $($field:ident: $kind:ident $(<$inner:ident>)? = $($key:literal)|+),+ $(,)? }
    )+) => {$(
        $(#[$doc])*
        #[derive(Debug, Default)]
        pub(in crate::adapters) struct $name<'a> {
            $(pub(in crate::adapters) $field: $crate::adapters::shape::shape!(@kind 'a $kind $($inner)?),)+
            pub(in crate::adapters) found: $crate::adapters::shape::Found,
        }

        impl<'de> serde::Deserialize<'de> for $name<'de> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use $crate::adapters::shape::{Found, Key, is_same, skip_seq};
                struct Read;
                impl Read {
                    fn wrong<'a, E>() -> Result<$name<'a>, E> {
                        Ok($name { found: Found::Wrong, ..$name::default() })
                    }
                }
                impl<'de> serde::de::Visitor<'de> for Read {
                    type Value = $name<'de>;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("anything")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<$name<'de>, A::Error> {
                        let mut shape = $name::default();
                        while let Some(Key(key)) = map.next_key()? {
                            shape.found = Found::Yes;
                            $(if $(is_same(&key, $key))||+ { shape.$field = map.next_value()?; } else)+ {
                                map.next_value::<serde::de::IgnoredAny>()?;
                            }
                        }
                        Ok(shape)
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<$name<'de>, A::Error> {
                        Ok($name { found: skip_seq(seq)?, ..$name::default() })
                    }

                    fn visit_unit<E>(self) -> Result<$name<'de>, E> { Ok($name::default()) }
                    fn visit_bool<E>(self, _: bool) -> Result<$name<'de>, E> { Self::wrong() }
                    fn visit_i64<E>(self, _: i64) -> Result<$name<'de>, E> { Self::wrong() }
                    fn visit_u64<E>(self, _: u64) -> Result<$name<'de>, E> { Self::wrong() }
                    fn visit_f64<E>(self, _: f64) -> Result<$name<'de>, E> { Self::wrong() }
                    fn visit_str<E>(self, text: &str) -> Result<$name<'de>, E> {
                        if text.trim().is_empty() { Ok($name::default()) } else { Self::wrong() }
                    }
                }
                deserializer.deserialize_any(Read)
            }
        }

        impl $crate::adapters::shape::Part for $name<'_> {
            fn is_there(&self) -> bool {
                self.found == $crate::adapters::shape::Found::Yes
            }

            fn tell_wrong(&self, name: &'static str, wrong: &mut Vec<&'static str>) {
                use $crate::adapters::shape::Found;
                if self.found == Found::Wrong {
                    wrong.push(name);
                }
                if self.found == Found::Yes {
                    $(self.$field.tell_wrong($crate::adapters::shape::shape!(@first $($key)+), wrong);)+
                }
            }
        }
    )+};
    (@kind $a:lifetime $kind:ident) => { $kind<$a> };
    (@kind $a:lifetime $kind:ident $inner:ident) => { $kind<$a, $inner<$a>> };
    (@first $key:literal $($rest:literal)*) => { $key };
}
pub(super) use shape;

/// Reads a shape from a line and tells of members with the wrong type.
pub(super) fn read<'a, T: Deserialize<'a> + Part>(
    text: &'a str,
    draft: &mut super::draft::Draft<'_>,
) -> Result<T, serde_json::Error> {
    let shape: T = serde_json::from_str(text)?;
    let mut wrong = Vec::new();
    shape.tell_wrong("record", &mut wrong);
    draft.warn_of_types(&wrong);
    Ok(shape)
}

#[cfg(test)]
mod tests {
    use super::*;

    shape! {
        /// For the tests below.
        struct Outer { id: Leaf = "id", inner: Inner = "innerPart", list: List<Inner> = "list" }
        /// For the tests below.
        struct Inner { amount: Leaf = "amount" | "sum" }
    }

    fn wrong(text: &str) -> Vec<&'static str> {
        let mut wrong = Vec::new();
        serde_json::from_str::<Outer<'_>>(text).expect("JSON").tell_wrong("record", &mut wrong);
        wrong
    }

    #[test]
    fn members_are_found_in_any_spelling_and_numbers_keep_their_digits() {
        let text =
            r#"{"ID":" \u00e9 ","inner-part":{"sum":0.512345678901234567},"list":{"amount":true},"x":[1]}"#;
        let outer: Outer<'_> = serde_json::from_str(text).expect("JSON");
        assert_eq!(outer.id.get(), Some("é"));
        assert_eq!(outer.inner.amount.get(), Some("0.512345678901234567"));
        assert!(outer.list[0].amount.is_true());
        assert!(wrong(text).is_empty());
    }

    #[test]
    fn another_type_is_absent_and_told() {
        assert_eq!(
            wrong(r#"{"id":{"a":1},"innerPart":7,"list":[3,{"amount":[1]}]}"#),
            ["id", "innerPart", "list", "amount"]
        );
        assert_eq!(wrong(r#"[1]"#), ["record"]);
        for nothing in
            [r#"{"id":null,"innerPart":{},"list":[]}"#, r#"{"id":[],"innerPart":"","list":" "}"#, "null"]
        {
            assert!(wrong(nothing).is_empty(), "{nothing}");
        }
    }
}
