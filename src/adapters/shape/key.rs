//! Keys of objects: the same but for case, `_`, `-` and blanks, since a record comes in kebab, snake and camel case.

/// The first and the last letter of a key, by which nearly all that are not the same are told apart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::adapters) struct Ends(u16);

impl Ends {
    /// Those of a key; of a shape's, they are found when it is compiled.
    pub(in crate::adapters) const fn of(key: &str) -> Self {
        let bytes = key.as_bytes();
        let (mut first, mut last) = (0, bytes.len());
        while first < last && is_blank(bytes[first]) {
            first += 1;
        }
        while first < last && is_blank(bytes[last - 1]) {
            last -= 1;
        }
        if first == last {
            return Self(0);
        }
        Self(u16::from_le_bytes([bytes[first].to_ascii_lowercase(), bytes[last - 1].to_ascii_lowercase()]))
    }
}

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b'_' | b'-' | b' ')
}

/// Whether two keys are the same but for case, `_`, `-` and blanks.
pub(in crate::adapters) fn is_same(key: &str, other: &str) -> bool {
    fn letters(text: &str) -> impl Iterator<Item = u8> {
        text.bytes().filter(|byte| !is_blank(*byte)).map(|byte| byte.to_ascii_lowercase())
    }
    key == other || (Ends::of(key) == Ends::of(other) && letters(key).eq(letters(other)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_in_any_spelling() {
        for (key, other, same) in [
            ("firstName", "first_name", true),
            ("-FIRST-NAME-", "firstName", true),
            ("firstName", "fullName", false),
            ("", "_", true),
            ("é", "É", false),
            ("a", "", false),
        ] {
            assert_eq!((is_same(key, other), is_same(other, key)), (same, same), "{key} {other}");
        }
    }
}
