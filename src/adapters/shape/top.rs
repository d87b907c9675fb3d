//! The members of an object, looked through by key: to tell what a record is, and for objects whose
//! keys are anybody's.

use std::borrow::Cow;

use super::{Ends, Key, Part, Raw, Value};

/// Members of an object, by key, in the order they stand in.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::adapters) struct Top<'a>(Option<Value<'a>>);

impl<'a> Top<'a> {
    /// The members of a value; nothing where it is no object.
    pub(in crate::adapters) fn of(value: Value<'a>) -> Option<Self> {
        let is_object = value.text().starts_with('{');
        (is_object && value.members().take(MEMBERS + 1).count() <= MEMBERS).then_some(Self(Some(value)))
    }

    /// Its members.
    pub(in crate::adapters) fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Raw<'a>)> {
        self.values().map(|(key, value)| (key.text(), Raw::read_from(value)))
    }

    fn values(self) -> impl Iterator<Item = (Key<'a>, Value<'a>)> {
        self.0.into_iter().flat_map(Value::members)
    }

    fn find(self, key: &str) -> Option<Value<'a>> {
        let ends = Ends::of(key);
        self.values().find(|(name, _)| name.ends() == ends && name.is(key)).map(|(_, value)| value)
    }

    /// Whether one of its keys is exactly that.
    pub(in crate::adapters) fn has_exactly(self, key: &str) -> bool {
        let ends = Ends::of(key);
        self.values().any(|(name, _)| name.ends() == ends && name.text() == key)
    }

    /// Whether it has a key, whatever it says.
    pub(in crate::adapters) fn has(self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// The value of a key, unless it says nothing.
    pub(in crate::adapters) fn get(self, key: &str) -> Raw<'a> {
        self.find(key).map(Raw::read_from).unwrap_or_default()
    }

    /// The members of an object that has any behind a key.
    pub(in crate::adapters) fn object(self, key: &str) -> Option<Self> {
        let raw = self.get(key);
        raw.get().filter(|text| text.starts_with('{')).map(|_| raw.top())
    }
}

/// Most members of an object whose keys are looked through: a map of thousands of keys is no record of anybody.
const MEMBERS: usize = 1_000;
