//! Links to stored media, each good for one medium and for a short time.
//!
//! An object store that serves media to whoever has a signed link makes the links itself. What is sealed, in a folder,
//! or in a store that cannot sign, is served by our own port, and its links are signed with a secret that all processes
//! share. What is signed is the link itself, so nothing of it can be altered.

use std::{
    io,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;
use ring::hmac;
use tracing::warn;

use crate::{
    clock,
    domain::ids::ApplicationId,
    error::Error,
    objects::{MediumObject, Objects, Sha256},
};

/// Where paths of our own links begin.
pub const PREFIX: &str = "/media/";

/// What stands between a link and its signature.
const SIGNATURE: &str = "&signature=";

/// Makes links and knows its own; cheap to clone.
#[derive(Clone)]
pub struct Links {
    objects: Objects,
    key: hmac::Key,
    public_url: Arc<str>,
    valid: Duration,
    /// A store that cannot sign is complained about once.
    complained: Arc<AtomicBool>,
}

/// A medium that a link leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Medium {
    /// Whose it is.
    pub application: ApplicationId,
    /// Hash of its bytes.
    pub sha256: Sha256,
    /// What it is, such as `image/jpeg`.
    pub media_type: String,
}

/// What became of a link that somebody came with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// It is good.
    Good(Medium),
    /// It was good once.
    Expired,
    /// It is none of ours.
    Wrong,
}

impl Links {
    /// Links that are signed with `secret`, begin with `public_url` and are good for so long.
    pub fn new(objects: Objects, secret: &[u8], public_url: &str, valid: Duration) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let public_url = public_url.trim_end_matches('/').into();
        Self { objects, key, public_url, valid, complained: Arc::default() }
    }

    /// Links to media of one application, in their order.
    pub async fn make(&self, media: &[Medium]) -> Vec<String> {
        match self
            .objects
            .sign_media(media.iter().map(|medium| (medium.application, &medium.sha256)), self.valid)
            .await
        {
            Ok(Some(links)) => return links.into_iter().map(String::from).collect(),
            Ok(None) => {}
            Err(error) => {
                if !self.complained.swap(true, Ordering::Relaxed) {
                    let error = &error as &dyn std::error::Error;
                    warn!(error, "the object store cannot sign links to media; they lead to this server");
                }
            }
        }
        let expires = clock::now() + self.valid;
        media.iter().map(|medium| format!("{}{}", self.public_url, self.sign(medium, expires))).collect()
    }

    fn sign(&self, medium: &Medium, expires: DateTime<Utc>) -> String {
        let Medium { application, sha256, media_type } = medium;
        let (sha256, expires) = (hex::encode(sha256), expires.timestamp());
        let link = format!("{PREFIX}{application}/{sha256}?type={media_type}&expires={expires}");
        let signature = hex::encode(hmac::sign(&self.key, link.as_bytes()));
        link + SIGNATURE + &signature
    }

    /// What a link leads to, by its path and query.
    pub fn open(&self, link: &str, now: DateTime<Utc>) -> Opened {
        let signed = || {
            let (link, signature) = link.split_once(SIGNATURE)?;
            let signature = hex::decode(signature).ok()?;
            hmac::verify(&self.key, link.as_bytes(), &signature).ok()?;
            read(link)
        };
        match signed() {
            Some((medium, expires)) if now.timestamp() < expires => Opened::Good(medium),
            Some(_) => Opened::Expired,
            None => Opened::Wrong,
        }
    }

    /// A medium as it is stored; nothing when it is no longer there.
    pub async fn find(&self, medium: &Medium) -> Result<Option<MediumObject>, Error> {
        Ok(self.objects.find_medium(medium.application, &medium.sha256).await?)
    }

    /// Reads bytes of a medium; nothing when it is no longer there.
    pub async fn read(
        &self,
        stored: MediumObject,
        range: Range<u64>,
    ) -> Result<Option<BoxStream<'static, io::Result<Bytes>>>, Error> {
        Ok(self.objects.read_medium(stored, range).await?)
    }
}

/// What a link of ours says, and until when it is good.
fn read(link: &str) -> Option<(Medium, i64)> {
    let (path, query) = link.strip_prefix(PREFIX)?.split_once("?type=")?;
    let (application, hash) = path.split_once('/')?;
    let (media_type, expires) = query.split_once("&expires=")?;
    let mut sha256 = Sha256::default();
    hex::decode_to_slice(hash, &mut sha256).ok()?;
    let application = ApplicationId(application.parse().ok()?);
    Some((Medium { application, sha256, media_type: media_type.to_owned() }, expires.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn links(folder: &tempfile::TempDir, secret: &[u8]) -> Links {
        let objects = Objects::open_folder(folder.path()).expect("a folder");
        Links::new(objects, secret, "https://media.example.com/", Duration::from_secs(300))
    }

    #[tokio::test]
    async fn a_link_is_good_as_it_is_and_for_as_long_as_it_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let links = links(&folder, b"secret");
        let medium = Medium {
            application: ApplicationId(Uuid::from_u128(7)),
            sha256: [0xab; 32],
            media_type: "image/jpeg".to_owned(),
        };
        let made = links.make(std::slice::from_ref(&medium)).await.remove(0);
        let link = made.strip_prefix("https://media.example.com").expect("where it was told to lead");
        let now = clock::now();
        assert_eq!(links.open(link, now), Opened::Good(medium.clone()));
        assert_eq!(links.open(link, now + Duration::from_secs(301)), Opened::Expired);
        assert_eq!(self::links(&folder, b"another").open(link, now), Opened::Wrong);
        for at in 0..link.len() {
            for other in [b'0', b'1', b'a', b'&', b'%'] {
                let mut altered = link.as_bytes().to_vec();
                altered[at] = other;
                let altered = String::from_utf8(altered).expect("text");
                assert!(altered == link || links.open(&altered, now) == Opened::Wrong, "{altered}");
            }
            assert_eq!(links.open(&link[..at], now), Opened::Wrong);
        }
        for altered in [format!("{link}0"), format!("{link}&type=text/html"), link.replace("jpeg", "svg+xml")]
        {
            assert_eq!(links.open(&altered, now), Opened::Wrong, "{altered}");
        }
    }
}
