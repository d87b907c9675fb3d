//! JSON text gone over once, strictly: what is taken here is what `serde_json` takes.

use std::borrow::Cow;

use super::Ends;

/// A value or a key, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node {
    pub(super) start: u32,
    pub(super) end: u32,
    /// The node that comes after this one and all inside it.
    pub(super) next: u32,
    /// Of a key, to compare it by.
    pub(super) ends: Ends,
    /// Whether it is a text with escapes.
    pub(super) is_escaped: bool,
}

/// Bytes of text for which there is one value, if not more: few texts outgrow the room that makes.
const BYTES_OF_VALUE: usize = 12;

/// Finds the values of a text, each before those inside it; nothing where it is not one JSON value.
pub(super) fn scan(text: &str) -> Option<Vec<Node>> {
    u32::try_from(text.len()).ok()?;
    let nodes = Vec::with_capacity(text.len() / BYTES_OF_VALUE);
    Scan { text, bytes: text.as_bytes(), at: 0, nodes }.run()
}

/// A text that is gone over.
struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node>,
}

impl Scan<'_> {
    fn run(mut self) -> Option<Vec<Node>> {
        // Objects and lists that have begun, and what ends each: nothing here recurs, so nothing is too deep.
        let mut open: Vec<(usize, u8)> = Vec::new();
        loop {
            let node = self.begin();
            match self.peek()? {
                b'"' => self.string(node)?,
                opening @ (b'{' | b'[') => {
                    self.at += 1;
                    let closing = if opening == b'{' { b'}' } else { b']' };
                    self.skip_blanks();
                    if self.peek()? != closing {
                        open.push((node, closing));
                        self.key(closing)?;
                        continue;
                    }
                    self.at += 1;
                }
                b't' => self.word(b"true")?,
                b'f' => self.word(b"false")?,
                b'n' => self.word(b"null")?,
                _ => self.number()?,
            }
            self.end(node);
            // Whatever ends behind a value, up to the next one.
            loop {
                self.skip_blanks();
                let Some(&(node, closing)) = open.last() else {
                    return (self.at == self.bytes.len()).then_some(self.nodes);
                };
                let byte = self.peek()?;
                self.at += 1;
                if byte == b',' {
                    self.key(closing)?;
                    break;
                }
                if byte != closing {
                    return None;
                }
                open.pop();
                self.end(node);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn skip_blanks(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Begins a node behind blanks.
    fn begin(&mut self) -> usize {
        self.skip_blanks();
        let start = self.at as u32;
        self.nodes.push(Node { start, end: start, next: 0, ends: Ends::default(), is_escaped: false });
        self.nodes.len() - 1
    }

    /// Ends a node behind all that has been read.
    fn end(&mut self, node: usize) {
        let next = self.nodes.len() as u32;
        if let Some(node) = self.nodes.get_mut(node) {
            (node.end, node.next) = (self.at as u32, next);
        }
    }

    /// Reads a member's key and its colon, where what is open ends as an object does.
    fn key(&mut self, closing: u8) -> Option<()> {
        if closing != b'}' {
            return Some(());
        }
        let at = self.begin();
        self.string(at)?;
        self.end(at);
        if let Some(node) = self.nodes.get_mut(at) {
            let quoted = self.text.get(node.start as usize..node.end as usize)?;
            node.ends = Ends::of(&unescaped(quoted, node.is_escaped));
        }
        self.skip_blanks();
        self.one(b':')
    }

    fn one(&mut self, byte: u8) -> Option<()> {
        (self.peek() == Some(byte)).then(|| self.at += 1)
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        rest.starts_with(word).then(|| self.at += word.len())
    }

    fn string(&mut self, node: usize) -> Option<()> {
        self.one(b'"')?;
        loop {
            while let Some(eight) = self.bytes.get(self.at..).and_then(<[u8]>::first_chunk)
                && is_plain(u64::from_le_bytes(*eight))
            {
                self.at += 8;
            }
            let rest = self.bytes.get(self.at..)?;
            self.at += rest.iter().position(|byte| matches!(byte, 0..b' ' | b'"' | b'\\'))? + 1;
            match self.bytes.get(self.at - 1)? {
                b'"' => return Some(()),
                b'\\' => {
                    self.nodes.get_mut(node)?.is_escaped = true;
                    self.escape()?;
                }
                _ => return None,
            }
        }
    }

    /// Reads what stands behind a backslash.
    fn escape(&mut self) -> Option<()> {
        let escape = self.peek()?;
        self.at += 1;
        match escape {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => {
                let digits = self.bytes.get(self.at..self.at + 4)?;
                self.at += 4;
                digits.iter().all(u8::is_ascii_hexdigit).then_some(())
            }
            _ => None,
        }
    }

    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.at += 1;
        }
        match self.peek()? {
            b'0' => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    /// Reads one digit at least.
    fn digits(&mut self) -> Option<()> {
        let rest = self.bytes.get(self.at..)?;
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        (count > 0).then_some(())
    }
}

/// Whether none of eight bytes ends a text, begins an escape or may not stand in one. What is subtracted from
/// such a byte borrows from its highest bit.
const fn is_plain(eight: u64) -> bool {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let (quotes, backslashes) = (eight ^ (EACH * b'"' as u64), eight ^ (EACH * b'\\' as u64));
    let found = (eight.wrapping_sub(EACH * 0x20) & !eight)
        | (quotes.wrapping_sub(EACH) & !quotes)
        | (backslashes.wrapping_sub(EACH) & !backslashes);
    found & (EACH * 0x80) == 0
}

/// The text of a key; one whose escapes are no characters stays as it was written, and so is nobody's.
pub(super) fn unescaped(quoted: &str, is_escaped: bool) -> Cow<'_, str> {
    let key = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
    match is_escaped {
        true => serde_json::from_str(quoted).map_or(Cow::Borrowed(key), Cow::Owned),
        false => Cow::Borrowed(key),
    }
}
