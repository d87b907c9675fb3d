//! Sources of JSON lines: paths to members, found in one pass over the line.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::given::Given;

/// Paths of a mapping, as a tree of their keys.
#[derive(Debug, Clone)]
pub struct Paths {
    root: Node,
    count: usize,
}

/// A key, and what lies behind it.
#[derive(Debug, Clone, Default)]
struct Node {
    key: String,
    /// The key as a place in a list.
    place: Option<usize>,
    slot: Option<usize>,
    children: Vec<Node>,
}

impl Paths {
    /// The tree of these paths; the value at the end of the first goes to slot 0, and so on.
    pub fn of(paths: &[String]) -> Self {
        let mut root = Node::default();
        for (slot, path) in paths.iter().enumerate() {
            let mut node = &mut root;
            for key in keys(path) {
                let known = node.children.iter().position(|child| child.key == key);
                let at = known.unwrap_or_else(|| {
                    node.children.push(Node { place: key.parse().ok(), key, ..Node::default() });
                    node.children.len() - 1
                });
                node = &mut node.children[at];
            }
            node.slot = Some(slot);
        }
        Self { root, count: paths.len() }
    }

    /// Finds what a line says at each path. Gives the slot of a path whose last key stands twice.
    pub fn find<'a>(
        &self,
        line: &'a str,
        found: &mut Vec<Given<'a>>,
    ) -> Result<Option<usize>, serde_json::Error> {
        found.clear();
        found.resize(self.count, Given::Nothing);
        let mut met = Met { found, seen: 0, twice: None };
        let mut json = serde_json::Deserializer::from_str(line);
        Members { node: &self.root, met: &mut met }.deserialize(&mut json)?;
        json.end()?;
        Ok(met.twice)
    }
}

/// Keys of a path: what stands between its dots, where a backslash makes a dot part of a key.
pub(super) fn keys(path: &str) -> Vec<String> {
    let (mut keys, mut key, mut escaped) = (Vec::new(), String::new(), false);
    for c in path.trim().chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '.' if !escaped => keys.push(std::mem::take(&mut key)),
            c => {
                if escaped && c != '.' && c != '\\' {
                    key.push('\\');
                }
                key.push(c);
                escaped = false;
            }
        }
    }
    if escaped {
        key.push('\\');
    }
    keys.push(key);
    keys
}

/// What has been found of a line.
struct Met<'m, 'a> {
    found: &'m mut Vec<Given<'a>>,
    /// Slots that were met, whatever their values said; slots beyond the last bit are not checked.
    seen: u128,
    twice: Option<usize>,
}

impl<'a> Met<'_, 'a> {
    fn take(&mut self, node: &Node, raw: &'a str) {
        if let Some(slot) = node.slot {
            let bit = u32::try_from(slot).ok().and_then(|slot| 1_u128.checked_shl(slot)).unwrap_or(0);
            if self.seen & bit != 0 {
                self.twice = Some(slot);
            }
            self.seen |= bit;
            self.found[slot] = Given::json(raw);
        }
        if !node.children.is_empty() && raw.starts_with(['{', '[']) {
            // It is JSON already; what this cannot read of it, such as a key that is no text, is absent.
            let mut json = serde_json::Deserializer::from_str(raw);
            let members = Members { node, met: self };
            let _ = match raw.as_bytes()[0] {
                b'{' => members.deserialize(&mut json),
                _ => json.deserialize_seq(members),
            };
        }
    }
}

/// Reads an object or a list for what lies behind a node.
struct Members<'n, 'm, 'f, 'a> {
    node: &'n Node,
    met: &'m mut Met<'f, 'a>,
}

impl<'a> DeserializeSeed<'a> for Members<'_, '_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Members<'_, '_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(child) = map.next_key_seed(Key(self.node))? {
            match child {
                Some(child) => {
                    let raw: &'a RawValue = map.next_value()?;
                    self.met.take(child, raw.get());
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut place = 0;
        while let Some(raw) = seq.next_element::<&'a RawValue>()? {
            if let Some(child) = self.node.children.iter().find(|child| child.place == Some(place)) {
                self.met.take(child, raw.get());
            }
            place += 1;
        }
        Ok(())
    }
}

/// Reads a key: the child of a node that has it.
struct Key<'n>(&'n Node);

impl<'de, 'n> DeserializeSeed<'de> for Key<'n> {
    type Value = Option<&'n Node>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'n> Visitor<'_> for Key<'n> {
    type Value = Option<&'n Node>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.children.iter().find(|child| child.key == key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_through_objects_and_lists() {
        let paths: Vec<_> = ["id", "a.b", "list.1.x", "a", r"odd\.key", "list", "none.x", "7"]
            .map(str::to_owned)
            .into_iter()
            .collect();
        let line = r#"{"id":" 1 ","a":{"b":null,"c":[]},"list":[{"x":1},{"x":-2.50}],"odd.key":"\u00e9","7":true,"none":[]}"#;
        let mut found = Vec::new();
        assert_eq!(Paths::of(&paths).find(line, &mut found).expect("JSON"), None);
        assert_eq!(
            found,
            [
                Given::Text("1"),
                Given::Nothing,
                Given::Scalar("-2.50"),
                Given::Container(r#"{"b":null,"c":[]}"#),
                Given::Escaped(r#""\u00e9""#),
                Given::Container(r#"[{"x":1},{"x":-2.50}]"#),
                Given::Nothing,
                Given::Scalar("true"),
            ]
        );
        let twice = r#"{"a":{"b":1},"id":null,"id":2}"#;
        assert_eq!(Paths::of(&paths).find(twice, &mut found).expect("JSON"), Some(0));
        for bad in ["[1]", "7", "", "{\"id\":1", "{} {}"] {
            assert!(Paths::of(&paths).find(bad, &mut found).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_backslash_keeps_a_dot() {
        assert_eq!(keys(r"a.b\.c.\d"), ["a", "b.c", r"\d"]);
        assert_eq!(keys(r"a\\.b\"), [r"a\", r"b\"]);
        assert_eq!(keys(" a "), ["a"]);
    }
}
