//! JSON objects and texts, written member by member into a text that is used again and again.

/// Writes one JSON object; nothing at all when it has no members.
#[derive(Debug)]
pub struct ObjectWriter<'o> {
    out: &'o mut String,
    open: bool,
}

impl<'o> ObjectWriter<'o> {
    /// Begins an object at the end of `out`.
    pub fn new(out: &'o mut String) -> Self {
        Self { out, open: false }
    }

    fn key(&mut self, key: &str) {
        self.out.push(if self.open { ',' } else { '{' });
        self.open = true;
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    /// A member that is JSON already.
    pub fn raw(&mut self, key: &str, json: &str) {
        self.key(key);
        self.out.push_str(json);
    }

    /// A member whose text has no characters that JSON escapes.
    pub fn word(&mut self, key: &str, word: &str) {
        self.key(key);
        self.out.push('"');
        self.out.push_str(word);
        self.out.push('"');
    }

    /// A member of any text.
    pub fn text(&mut self, key: &str, text: &str) {
        self.key(key);
        push_json_text(self.out, text);
    }

    /// A member that is an object of its own; left out when `members` writes none.
    pub fn object(&mut self, key: &str, members: impl FnOnce(&mut ObjectWriter<'_>)) {
        let (before, was_open) = (self.out.len(), self.open);
        self.key(key);
        let mut inner = ObjectWriter::new(self.out);
        members(&mut inner);
        let written = inner.open;
        inner.close();
        if !written {
            self.out.truncate(before);
            self.open = was_open;
        }
    }

    /// Ends the object.
    pub fn close(self) {
        if self.open {
            self.out.push('}');
        }
    }
}

/// Appends `text` as a JSON string.
pub fn push_json_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    // What is escaped is ASCII, so bytes are enough to look at and every cut is between characters.
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.push_str(&text[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            _ => {
                out.push_str("\\u00");
                let digits = [byte >> 4, byte & 15];
                out.extend(digits.into_iter().filter_map(|digit| char::from_digit(digit.into(), 16)));
            }
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        let mut out = String::new();
        ObjectWriter::new(&mut out).close();
        assert_eq!(out, "");
        let mut object = ObjectWriter::new(&mut out);
        object.object("none", |_| {});
        object.word("status", "SINGLE");
        object.raw("tags", r#"["a"]"#);
        object.object("inner", |inner| inner.text("url", "https://h.example/\"\\\u{1}é\n"));
        object.close();
        let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        assert_eq!(
            value,
            serde_json::json!({"status": "SINGLE", "tags": ["a"], "inner": {"url": "https://h.example/\"\\\u{1}é\n"}})
        );
    }
}
