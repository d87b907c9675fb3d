//! Sealed objects.
//!
//! Each has a key of its own, which stands before its content, wrapped in one of the operator's. The wrapping vouches
//! for the whole head, so for how much content there is, and for the name under which the object was stored: a copy of
//! it elsewhere does not open. The content is sealed in chunks that are numbered, so none can be left out, moved or
//! taken from another object, and any can be opened alone.

use std::ops::Range;

use bytes::{Buf, Bytes, BytesMut};
use object_store::PutPayload;
use ring::{
    aead::{AES_256_GCM, Aad, LessSafeKey, MAX_TAG_LEN as TAG, NONCE_LEN, Nonce, Tag, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};

use super::{
    Error,
    keys::{self, Fingerprint, Keys, NAME, OperatorKey},
};

/// What a sealed object begins with. No text that is stored does, and neither does an image or a video.
const MAGIC: &[u8; 8] = b"\xffsealed\x01";

const KEY: usize = 32;

/// Bytes that stand before the content: the magic, the name and the fingerprint of the operator's key, how much content
/// there is, and the wrapped key.
pub(super) const HEAD: usize = WRAPPED + NONCE_LEN + KEY + TAG;

/// Where the wrapped key begins, with its nonce.
const WRAPPED: usize = MAGIC.len() + NAME + size_of::<Fingerprint>() + size_of::<u64>();

/// Bytes of content in a chunk; the last may have fewer.
const CHUNK: usize = 64 << 10;

/// The operator's key that an object says it is sealed with, by name and fingerprint; nothing where it is plain.
pub(super) fn sealed_with(object: &[u8]) -> Result<Option<(&str, Fingerprint)>, Error> {
    let Some(rest) = object.strip_prefix(MAGIC) else { return Ok(None) };
    let (name, rest) = rest.split_first_chunk::<NAME>().ok_or(Error::Altered)?;
    let (fingerprint, _) = rest.split_first_chunk().ok_or(Error::Altered)?;
    let name = std::str::from_utf8(name).map_err(|_| Error::Altered)?.trim_end_matches('\0');
    if keys::is_name(name) { Ok(Some((name, *fingerprint))) } else { Err(Error::Altered) }
}

/// What opens and seals the content of one object.
pub(super) struct Envelope {
    key: LessSafeKey,
    size: u64,
}

impl Envelope {
    /// A new one for so much content, and the head of the object that is stored under `name`.
    pub(super) fn new(with: &OperatorKey, name: &str, size: u64) -> Result<(Self, Vec<u8>), Error> {
        let random = SystemRandom::new();
        let (mut key, mut nonce) = ([0; KEY], [0; NONCE_LEN]);
        random.fill(&mut key).and_then(|()| random.fill(&mut nonce)).map_err(|_| Error::Seal)?;
        let envelope = Self { key: aes(&key)?, size };
        let mut head = Vec::with_capacity(HEAD);
        head.extend_from_slice(MAGIC);
        head.extend_from_slice(with.name.as_bytes());
        head.resize(MAGIC.len() + NAME, 0);
        head.extend_from_slice(&with.fingerprint);
        head.extend_from_slice(&size.to_be_bytes());
        let vouched = Aad::from([head.as_slice(), name.as_bytes()].concat());
        let wrapped =
            with.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), vouched, &mut key);
        let tag = wrapped.map_err(|_| Error::Seal)?;
        head.extend_from_slice(&nonce);
        head.extend_from_slice(&key);
        head.extend_from_slice(tag.as_ref());
        Ok((envelope, head))
    }

    /// The one that an object begins with which is stored under `name`; nothing where it is plain.
    pub(super) fn open(keys: &Keys, name: &str, object: &[u8]) -> Result<Option<Self>, Error> {
        let Some((key, fingerprint)) = sealed_with(object)? else { return Ok(None) };
        let with = keys.find(key, fingerprint)?;
        let (vouched, wrapped) = object.get(..HEAD).ok_or(Error::Altered)?.split_at(WRAPPED);
        let size = vouched.last_chunk().map(|size| u64::from_be_bytes(*size)).ok_or(Error::Altered)?;
        let (nonce, wrapped) = wrapped.split_first_chunk().ok_or(Error::Altered)?;
        let (vouched, mut wrapped) = (Aad::from([vouched, name.as_bytes()].concat()), wrapped.to_vec());
        let key = with.key.open_in_place(Nonce::assume_unique_for_key(*nonce), vouched, &mut wrapped);
        Ok(Some(Self { key: aes(key.map_err(|_| Error::Altered)?)?, size }))
    }

    /// Bytes of content.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Bytes of the object.
    pub(super) fn object_size(&self) -> u64 {
        let tags = self.chunks().saturating_mul(TAG as u64);
        self.size.saturating_add(tags).saturating_add(HEAD as u64)
    }

    /// How many chunks there are.
    pub(super) fn chunks(&self) -> u64 {
        self.size.div_ceil(CHUNK as u64)
    }

    /// The number of the chunk that holds a byte of content.
    pub(super) fn chunk_of(byte: u64) -> u64 {
        byte / CHUNK as u64
    }

    /// Where a chunk begins in the content.
    pub(super) fn begin_of(chunk: u64) -> u64 {
        chunk.saturating_mul(CHUNK as u64)
    }

    /// Bytes of content in a chunk.
    pub(super) fn content_len(&self, chunk: u64) -> usize {
        let left = self.size.saturating_sub(Self::begin_of(chunk));
        usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK)
    }

    /// The same, sealed.
    pub(super) fn sealed_len(&self, chunk: u64) -> usize {
        self.content_len(chunk) + TAG
    }

    /// The bytes of the object that hold these of the content.
    pub(super) fn object_range(&self, content: &Range<u64>) -> Range<u64> {
        let start = |chunk: u64| HEAD as u64 + chunk * (CHUNK + TAG) as u64;
        let end = start(content.end.div_ceil(CHUNK as u64));
        start(Self::chunk_of(content.start))..end.min(self.object_size())
    }

    /// Seals a chunk that is as long as it should be; gives what stands behind it and vouches for it.
    pub(super) fn seal_chunk(&self, number: u64, chunk: &mut [u8]) -> Result<Tag, Error> {
        let sealed = self.key.seal_in_place_separate_tag(nonce(number), Aad::empty(), chunk);
        sealed.map_err(|_| Error::Seal)
    }

    /// Opens a chunk that begins at `from`, and moves its content to the begin of the slice; gives how much it is.
    pub(super) fn open_chunk(&self, number: u64, chunk: &mut [u8], from: usize) -> Result<usize, Error> {
        let opened = self.key.open_within(nonce(number), Aad::empty(), chunk, from..);
        opened.map(|content| content.len()).map_err(|_| Error::Altered)
    }

    /// Opens a whole object, in place where nobody else has it.
    pub(super) fn open_object(&self, object: Bytes) -> Result<Bytes, Error> {
        if object.len() as u64 != self.object_size() {
            return Err(Error::Altered);
        }
        let mut object = object.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
        object.advance(HEAD);
        let (mut opened, mut at) = (0, 0);
        for number in 0..self.chunks() {
            let end = at + self.sealed_len(number);
            let chunk = object.get_mut(opened..end).ok_or(Error::Altered)?;
            opened += self.open_chunk(number, chunk, at - opened)?;
            at = end;
        }
        object.truncate(opened);
        Ok(object.freeze())
    }
}

/// An object of this content, to be stored under `name`; sealed in place where nobody else has the content.
pub(super) fn seal_object(with: &OperatorKey, name: &str, content: Bytes) -> Result<PutPayload, Error> {
    let (envelope, head) = Envelope::new(with, name, content.len() as u64)?;
    let mut content = content.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared));
    let mut parts = vec![Bytes::from(head)];
    for number in 0..envelope.chunks() {
        let mut chunk = content.split_to(envelope.content_len(number));
        let tag = envelope.seal_chunk(number, &mut chunk)?;
        parts.extend([chunk.freeze(), Bytes::copy_from_slice(tag.as_ref())]);
    }
    Ok(parts.into_iter().collect())
}

fn aes(key: &[u8]) -> Result<LessSafeKey, Error> {
    UnboundKey::new(&AES_256_GCM, key).map(LessSafeKey::new).map_err(|_| Error::Altered)
}

/// The nonce of a chunk. Its key seals one content once, so its number is enough.
fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[NONCE_LEN - size_of::<u64>()..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}
