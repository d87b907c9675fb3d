//! The members of an object, looked through by key: to tell what a record is, and for objects whose
//! keys are anybody's.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Key, is_nothing, is_same};

/// Members of an object, by key, in the order they stand in.
#[derive(Debug, Default)]
pub(in crate::adapters) struct Top<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Top<'a> {
    /// Reads an object; nothing when the text is another thing.
    pub(in crate::adapters) fn read(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// Whether one of its keys is exactly that.
    pub(in crate::adapters) fn has_exactly(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| name == key)
    }

    /// The value of a key, unless it says nothing.
    pub(in crate::adapters) fn get(&self, key: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(name, _)| is_same(name, key))?;
        Some(found.1.get()).filter(|raw| !is_nothing(raw))
    }

    /// Whether it has a key, whatever it says.
    pub(in crate::adapters) fn has(&self, key: &str) -> bool {
        self.0.iter().any(|(name, _)| is_same(name, key))
    }

    /// The object behind a key.
    pub(in crate::adapters) fn object(&self, key: &str) -> Option<Self> {
        Self::read(self.get(key)?)
    }

    /// The text behind a key.
    pub(in crate::adapters) fn word(&self, key: &str) -> Option<String> {
        serde_json::from_str(self.get(key)?).ok()
    }

    /// Its members, for whoever outlives it.
    pub(in crate::adapters) fn into_members(self) -> impl Iterator<Item = (Cow<'a, str>, &'a str)> {
        self.0.into_iter().map(|(key, value)| (key, value.get()))
    }

    /// Its members.
    pub(in crate::adapters) fn members(&self) -> impl Iterator<Item = (&str, &'a str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.get()))
    }
}

impl<'de> Deserialize<'de> for Top<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Top<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    // A map of thousands of keys is no record of anybody.
                    if members.len() > MEMBERS {
                        return Err(A::Error::custom("too many members"));
                    }
                    members.push((key, map.next_value()?));
                }
                Ok(Top(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// Most members of an object whose keys are looked through.
const MEMBERS: usize = 1_000;
