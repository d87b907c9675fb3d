//! Keys of the operator's, in which the keys of objects are wrapped.

use std::{fs, io, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use ring::{
    aead::{AES_256_GCM, LessSafeKey, UnboundKey},
    digest,
};
use thiserror::Error;
use tracing::warn;

use super::Error;

/// Bytes of a key's name at most.
pub(super) const NAME: usize = 32;

/// What tells a key from others, whatever they are called.
pub(super) type Fingerprint = [u8; 8];

/// What is hashed with a key to its fingerprint.
const CONTEXT: &[u8] = b"carryover: fingerprint of an encryption key\0";

/// Why a file of keys is not taken.
#[derive(Debug, Error)]
pub enum KeyError {
    /// It cannot be read.
    #[error("read the file of --encryption-keys")]
    File(#[from] io::Error),
    /// A line is no key. It is not shown: it may hold one.
    #[error(
        "line {0} of --encryption-keys must be NAME:KEY, a name of at most {NAME} letters, digits, dots, dashes and \
         underscores, and 64 hexadecimal digits"
    )]
    Line(usize),
    /// A name or a key stands there already.
    #[error("line {0} of --encryption-keys has a name or a key that another line has")]
    Twice(usize),
    /// There is none.
    #[error("--encryption-keys names a file without a key")]
    Empty,
}

/// Keys of the operator's; cheap to clone. None where nothing is to be sealed.
#[derive(Debug, Clone, Default)]
pub struct Keys(Arc<[OperatorKey]>);

/// One of them.
#[derive(Debug)]
pub(super) struct OperatorKey {
    pub(super) name: String,
    pub(super) fingerprint: Fingerprint,
    pub(super) key: LessSafeKey,
}

impl Keys {
    /// Reads a file of lines `NAME:KEY`. The first key seals, all of them open; what begins with `#` is passed over.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = fs::read_to_string(path)?;
        if fs::metadata(path)?.permissions().mode() & 0o007 != 0 {
            warn!(file = %path.display(), "everybody on this machine may read or change the encryption keys");
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, KeyError> {
        let mut keys: Vec<OperatorKey> = Vec::new();
        for (at, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = OperatorKey::parse(line).ok_or(KeyError::Line(at))?;
            if keys.iter().any(|other| other.name == key.name || other.fingerprint == key.fingerprint) {
                return Err(KeyError::Twice(at));
            }
            keys.push(key);
        }
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self(keys.into())) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The key that seals.
    pub(super) fn first(&self) -> Option<&OperatorKey> {
        self.0.first()
    }

    /// The key that something is sealed with.
    pub(super) fn find(&self, name: &str, fingerprint: Fingerprint) -> Result<&OperatorKey, Error> {
        if let Some(key) = self.0.iter().find(|key| key.fingerprint == fingerprint) {
            return Ok(key);
        }
        let name = name.to_owned();
        let is_another = self.0.iter().any(|key| key.name == name);
        Err(if is_another { Error::OtherKey { name } } else { Error::NoKey { name } })
    }
}

impl OperatorKey {
    fn parse(line: &str) -> Option<Self> {
        let (name, digits) = line.split_once(':')?;
        let mut key = [0; 32];
        hex::decode_to_slice(digits.trim(), &mut key).ok()?;
        let name = name.trim();
        Some(Self {
            name: is_name(name).then(|| name.to_owned())?,
            fingerprint: fingerprint(&key),
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?),
        })
    }
}

/// Whether a key may be called so.
pub(super) fn is_name(name: &str) -> bool {
    let is_of_name = |c: u8| c.is_ascii_alphanumeric() || b".-_".contains(&c);
    (1..=NAME).contains(&name.len()) && name.bytes().all(is_of_name)
}

fn fingerprint(key: &[u8; 32]) -> Fingerprint {
    let hash = digest::digest(&digest::SHA256, &[CONTEXT, key].concat());
    let mut fingerprint = Fingerprint::default();
    fingerprint.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_taken_whole_or_not_at_all() {
        let (one, two) = ("1f".repeat(32), "2e".repeat(32));
        let keys = Keys::parse(&format!("# newest first\n\nb-2 : {two} \r\na.1:{one}\n")).expect("keys");
        let names: Vec<_> = keys.0.iter().map(|key| key.name.as_str()).collect();
        assert_eq!(names, ["b-2", "a.1"]);
        assert_eq!(keys.first().map(|key| key.name.as_str()), Some("b-2"));
        for (text, wrong) in [
            (String::new(), KeyError::Empty),
            ("# nothing\n".to_owned(), KeyError::Empty),
            (one.clone(), KeyError::Line(1)),
            (format!(":{one}"), KeyError::Line(1)),
            (format!("a b:{one}"), KeyError::Line(1)),
            (format!("{}:{one}", "n".repeat(33)), KeyError::Line(1)),
            (format!("a:{one}\nb:{}", &two[2..]), KeyError::Line(2)),
            (format!("a:{one}00"), KeyError::Line(1)),
            (format!("a:{one}\na:{two}"), KeyError::Twice(2)),
            (format!("a:{one}\nb:{}", one.to_uppercase()), KeyError::Twice(2)),
        ] {
            let error = Keys::parse(&text).expect_err("refused").to_string();
            assert_eq!(error, wrong.to_string());
            assert!(!error.contains(&one[..8]), "{error}");
        }
    }
}
