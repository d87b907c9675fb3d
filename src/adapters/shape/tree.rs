//! JSON that is gone over once. A tree knows where each value of a text stands, and everything that is read
//! from the text, however often and however deep, is found by that.

use std::borrow::Cow;

use super::{
    Ends, Part, Raw, is_same,
    scan::{Node, scan, unescaped},
};

/// Where the values of a JSON text stand, each before those inside it; a member's key stands before its value.
#[derive(Debug)]
pub(in crate::adapters) struct Tree<'a> {
    text: Cow<'a, str>,
    nodes: Vec<Node>,
}

impl<'a> Tree<'a> {
    /// Goes over a text; nothing where it is not one JSON value.
    pub(in crate::adapters) fn read(text: impl Into<Cow<'a, str>>) -> Option<Self> {
        let text = text.into();
        let nodes = scan(&text)?;
        Some(Self { text, nodes })
    }

    /// The whole of it, as JSON that is not looked into.
    pub(in crate::adapters) fn raw(&self) -> Raw<'_> {
        Raw::read_from(self.root())
    }

    /// The whole of it.
    pub(in crate::adapters) fn root(&self) -> Value<'_> {
        Value { tree: self, at: 0 }
    }
}

/// A value of a tree.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters) struct Value<'a> {
    tree: &'a Tree<'a>,
    at: u32,
}

impl<'a> Value<'a> {
    fn node(self) -> Option<Node> {
        self.tree.nodes.get(self.at as usize).copied()
    }

    /// It as it was written.
    pub(in crate::adapters) fn text(self) -> &'a str {
        self.node()
            .and_then(|node| self.tree.text.get(node.start as usize..node.end as usize))
            .unwrap_or_default()
    }

    /// Whether it is a text with escapes.
    pub(super) fn is_escaped(self) -> bool {
        self.node().is_some_and(|node| node.is_escaped)
    }

    /// Keys and values of an object.
    pub(in crate::adapters) fn members(self) -> impl Iterator<Item = (Key<'a>, Self)> {
        let mut nodes = self.inside(b'{');
        std::iter::from_fn(move || {
            let key = nodes.next()?;
            Some((Key { quoted: key, ends: key.node()?.ends }, nodes.next()?))
        })
    }

    /// Items of a list.
    pub(in crate::adapters) fn items(self) -> impl Iterator<Item = Self> {
        self.inside(b'[')
    }

    /// The nodes within it, if it begins so, without those within them.
    fn inside(self, opening: u8) -> impl Iterator<Item = Self> {
        let Self { tree, at } = self;
        let (mut at, end) = match self.node() {
            Some(node) if tree.text.as_bytes().get(node.start as usize) == Some(&opening) => {
                (at + 1, node.next)
            }
            _ => (at, at),
        };
        std::iter::from_fn(move || {
            let found = Self { tree, at };
            at = found.node().filter(|_| at < end)?.next;
            Some(found)
        })
    }
}

/// A key of an object.
#[derive(Debug, Clone, Copy)]
pub(in crate::adapters) struct Key<'a> {
    quoted: Value<'a>,
    ends: Ends,
}

impl<'a> Key<'a> {
    /// Its text.
    pub(in crate::adapters) fn text(self) -> Cow<'a, str> {
        unescaped(self.quoted.text(), self.quoted.is_escaped())
    }

    /// Its ends, to be compared first.
    pub(in crate::adapters) const fn ends(self) -> Ends {
        self.ends
    }

    /// Whether it is the same as another but for case, `_`, `-` and blanks.
    pub(in crate::adapters) fn is(self, other: &str) -> bool {
        is_same(&self.text(), other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// The text again, from the values of its tree.
    fn written(value: Value<'_>) -> String {
        let text = value.text();
        match text.as_bytes().first() {
            Some(b'{') => {
                let member = |(key, value): (Key<'_>, _)| {
                    format!("{}:{}", serde_json::json!(key.text()), written(value))
                };
                format!("{{{}}}", value.members().map(member).collect::<Vec<_>>().join(","))
            }
            Some(b'[') => format!("[{}]", value.items().map(written).collect::<Vec<_>>().join(",")),
            _ => text.to_owned(),
        }
    }

    /// Text that is nearly JSON, or is.
    fn near_json() -> impl Strategy<Value = String> {
        const PIECES: &str = "{ } [ ] , : \"a\" \"\\u00e9\" \"\\ud800\" \" \\ \\u12 \u{1} \n \t é 1 0 - . e5 E+1 \
                              true nul null false {\"a\": [1, ]] }} 1] 2}";
        let pieces: Vec<_> = PIECES.split(' ').chain([" "]).collect();
        prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_json_is_what_others_take_for_it(text in near_json()) {
            let tree = Tree::read(text.as_str());
            prop_assert_eq!(tree.is_some(), serde_json::from_str::<IgnoredAny>(&text).is_ok(), "{}", text);
            if let Some(tree) = tree {
                prop_assert_eq!(tree.root().text(), text.trim_matches([' ', '\t', '\n']));
            }
        }
    }

    #[test]
    fn every_value_is_found_where_it_stands() {
        let text = r#"{"a":[1,-0.5e3,{"b":[]},"x\"y"],"c\u00e9":{},"d":[[true],null,[[false]]]}"#;
        let tree = Tree::read(text).expect("JSON");
        assert_eq!(written(tree.root()), text.replace("\\u00e9", "é"));
        let spaced = Tree::read("{ \"a\" : [ 1 ,\t{ } , [ ] ] }\n").expect("JSON");
        assert_eq!(written(spaced.root()), r#"{"a":[1,{},[]]}"#);
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(Tree::read(deep.as_str()).is_some());
    }
}
