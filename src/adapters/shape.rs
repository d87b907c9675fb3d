//! The shapes of providers' records: structs that borrow from the line and take anything.
//!
//! A member of another JSON type than its provider documents is absent, and told by name. Keys are
//! compared without case, `_`, `-` and blanks, because the same record comes in kebab, snake and camel
//! case. Numbers keep the digits they were written with. A line is gone over once ([`Tree`]), and shapes are
//! read from what was found.

mod key;
mod scan;
mod top;
mod tree;

use std::borrow::Cow;

use super::normal;
pub(super) use key::{Ends, is_same};
pub(super) use top::Top;
pub(super) use tree::{Key, Tree, Value};

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
pub(super) trait Part<'a>: Default {
    /// Reads it from any value.
    fn read_from(value: Value<'a>) -> Self;

    /// Whether it was there, and says something.
    fn is_there(&self) -> bool;

    /// Adds the names of members that have another type than they should.
    fn tell_wrong(&self, name: &'static str, wrong: &mut Vec<&'static str>);
}

/// A text, or a number or truth value as it was written.
#[derive(Debug, Clone, Default)]
pub(super) enum Leaf<'a> {
    /// Absent, null or blank.
    #[default]
    Nothing,
    /// Of another JSON type.
    Wrong,
    /// What it says, without blanks around it.
    Text(Cow<'a, str>),
}

impl<'a> Leaf<'a> {
    /// What it says, without blanks around it.
    pub(super) fn get(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Wrong => None,
        }
    }

    /// What it says, for a record that borrows it.
    pub(super) fn pick(&self) -> Option<Cow<'_, str>> {
        self.get().map(Cow::Borrowed)
    }

    /// What it says, for whoever outlives it.
    pub(super) fn take(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Nothing | Self::Wrong => None,
        }
    }

    /// Whether it is `true`.
    pub(super) fn is_true(&self) -> bool {
        self.get() == Some("true")
    }

    /// A leaf of that text.
    pub(super) fn of(text: Cow<'a, str>) -> Self {
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(normal::trimmed(text)),
            Cow::Owned(text) if normal::trimmed(&text).len() == text.len() => Cow::Owned(text),
            Cow::Owned(text) => Cow::Owned(normal::trimmed(&text).to_owned()),
        };
        if text.is_empty() { Self::Nothing } else { Self::Text(text) }
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

/// Whether a value is an object with members, or stands for none.
pub(super) fn found(value: Value<'_>) -> Found {
    match value.text() {
        raw if is_nothing(raw) => Found::No,
        raw if raw.starts_with('{') => Found::Yes,
        _ if matches!(Leaf::read_from(value), Leaf::Nothing) => Found::No,
        _ => Found::Wrong,
    }
}

impl<'a> Part<'a> for Leaf<'a> {
    fn read_from(value: Value<'a>) -> Self {
        let raw = value.text();
        match raw.as_bytes() {
            _ if is_nothing(raw) => Self::Nothing,
            [b'"', ..] if !value.is_escaped() => Self::of(Cow::Borrowed(&raw[1..raw.len() - 1])),
            [b'"', ..] => serde_json::from_str(raw)
                .or_else(|_| serde_json::from_str(&normal::storable_json(raw)))
                .map_or(Self::Wrong, |text| Self::of(Cow::Owned(text))),
            [b'{' | b'[', ..] => Self::Wrong,
            _ => Self::of(Cow::Borrowed(raw)),
        }
    }

    fn is_there(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    fn tell_wrong(&self, name: &'static str, wrong: &mut Vec<&'static str>) {
        if matches!(self, Self::Wrong) {
            wrong.push(name);
        }
    }
}

/// Any JSON that is not looked into here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Raw<'a> {
    text: Option<&'a str>,
    /// What can be read from it; nothing where the text was not gone over.
    value: Option<Value<'a>>,
}

impl<'a> Raw<'a> {
    /// JSON of that text, to be kept as it is.
    pub(super) fn of(text: &'a str) -> Self {
        Self { text: Some(text).filter(|text| !is_nothing(text)), value: None }
    }

    /// It as it was written, unless it says nothing.
    pub(super) const fn get(&self) -> Option<&'a str> {
        self.text
    }

    /// Its members, where it is an object.
    pub(super) fn top(&self) -> Top<'a> {
        self.value.and_then(Top::of).unwrap_or_default()
    }

    /// The value at the end of a path of keys, unless it says nothing.
    pub(super) fn dig(&self, path: &[&str]) -> Self {
        path.iter().fold(*self, |raw, key| raw.top().get(key))
    }

    /// It as a text.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        self.read::<Leaf<'a>>().take()
    }

    /// The JSON of a text, as which some write an object or a list.
    pub(super) fn encoded(&self) -> Option<Tree<'a>> {
        Tree::read(self.text()?)
    }

    /// What [`encoded`](Self::encoded) gave, else it itself.
    pub(super) fn decoded<'t>(&self, encoded: &'t Option<Tree<'a>>) -> Raw<'t> {
        encoded.as_ref().map_or(*self, Tree::raw)
    }

    /// It read as another shape.
    pub(super) fn read<T: Part<'a>>(&self) -> T {
        self.value.map(T::read_from).unwrap_or_default()
    }
}

impl<'a> Part<'a> for Raw<'a> {
    fn read_from(value: Value<'a>) -> Self {
        match value.text() {
            text if is_nothing(text) => Self::default(),
            text => Self { text: Some(text), value: Some(value) },
        }
    }

    fn is_there(&self) -> bool {
        self.text.is_some()
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
        Self { items: Vec::new(), raw: Raw::default(), found: Found::No }
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
        Self { found: if items.is_empty() { Found::No } else { Found::Yes }, items, raw: Raw::default() }
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

impl<'a, T: Part<'a>> Part<'a> for List<'a, T> {
    fn read_from(value: Value<'a>) -> Self {
        let raw = Raw::read_from(value);
        let items = match raw.get() {
            None => return Self::default(),
            Some(text) if text.starts_with('[') => value.items().map(T::read_from).collect(),
            Some(_) => vec![T::read_from(value)],
        };
        Self { items, raw, found: Found::Yes }
    }

    fn is_there(&self) -> bool {
        self.found == Found::Yes
    }

    fn tell_wrong(&self, name: &'static str, wrong: &mut Vec<&'static str>) {
        self.items.iter().for_each(|item| item.tell_wrong(name, wrong));
    }
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

        impl<'a> $crate::adapters::shape::Part<'a> for $name<'a> {
            fn read_from(value: $crate::adapters::shape::Value<'a>) -> Self {
                use $crate::adapters::shape::{Ends, Part, found};
                let mut shape = Self { found: found(value), ..Self::default() };
                for (key, value) in value.members() {
                    $(if $((key.ends() == const { Ends::of($key) } && key.is($key)))||+ { shape.$field = Part::read_from(value); } else)+ {}
                }
                shape
            }

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

/// Reads a record as a shape and tells of members with the wrong type.
pub(super) fn read<'a, T: Part<'a>>(record: Raw<'a>, draft: &mut super::draft::Draft<'_>) -> T {
    let shape: T = record.read();
    let mut wrong = Vec::new();
    shape.tell_wrong("record", &mut wrong);
    draft.warn_of_types(&wrong);
    shape
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
        let (tree, mut wrong) = (Tree::read(text).expect("JSON"), Vec::new());
        Outer::read_from(tree.root()).tell_wrong("record", &mut wrong);
        wrong
    }

    #[test]
    fn members_are_found_in_any_spelling_and_numbers_keep_their_digits() {
        let text =
            r#"{"ID":" \u00e9 ","inner-part":{"sum":0.512345678901234567},"list":{"amount":true},"x":[1]}"#;
        let tree = Tree::read(text).expect("JSON");
        let outer = Outer::read_from(tree.root());
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
