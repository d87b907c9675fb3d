//! Keys that a store's objects are sealed with, and how they are changed while others read and write.
//!
//! A store keeps a sealed word for each key that any of its objects may be sealed with, so that who lacks one is told
//! so at the start. Resealing replaces each object that is plain or sealed with another key than the first, on the
//! condition that it is still the one that was read: what is deleted meanwhile stays deleted.

use futures_util::{StreamExt, TryStreamExt};
use object_store::{ObjectMeta, ObjectStoreExt, PutMode, PutPayload, UpdateVersion, path::Path as Key};
use tokio::sync::Mutex;
use tracing::warn;
use uuid::Uuid;

use super::{Error, Objects, keys::OperatorKey, seal};

/// Where the sealed words are.
const KEYS: &str = "carryover.keys";

/// Where the objects are.
const OBJECTS: [&str; 2] = ["imports", "media"];

/// Objects that are looked at a time.
const LOOKS: usize = 16;

/// How often an object is tried that others replace meanwhile.
const TRIES: usize = 8;

/// What became of the objects of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Now sealed with the first key.
    pub resealed: u64,
    /// Sealed with it before.
    pub kept: u64,
    /// Deleted meanwhile.
    pub gone: u64,
    /// As they were: each stands in the log.
    pub failed: u64,
    /// Keys that no object is sealed with any more.
    pub retired: Vec<String>,
}

enum Became {
    Resealed,
    Kept,
    Gone,
}

impl Objects {
    /// Whether there is every key that objects of the store are sealed with.
    pub async fn check_keys(&self) -> Result<(), Error> {
        for key in self.words().await? {
            self.find_word(&key).await?;
        }
        Ok(())
    }

    /// Does the same, and notes that objects are sealed with the first key from now on, if there is one.
    pub async fn take_up_keys(&self) -> Result<(), Error> {
        self.check_keys().await?;
        let Some(first) = self.keys.first() else { return Ok(()) };
        let word = word_of(first);
        if self.head(&word).await?.is_none() {
            let object = seal::seal_object(first, word.as_ref(), first.name.clone().into())?;
            let put = self.store.put(&word, object).await;
            put.map_err(|source| Error::Store { action: "note an encryption key", source })?;
        }
        Ok(())
    }

    async fn words(&self) -> Result<Vec<Key>, Error> {
        let words = self.store.list(Some(&Key::from(KEYS))).map_ok(|word| word.location).try_collect().await;
        words.map_err(|source| Error::Store { action: "list encryption keys", source })
    }

    /// The name of the key that a word is sealed with; nothing when it is gone.
    async fn find_word(&self, word: &Key) -> Result<Option<String>, Error> {
        let read = async { self.store.get(word).await?.bytes().await };
        match read.await {
            Ok(object) => {
                let name = self.open_object(word, object).await?;
                Ok(Some(String::from_utf8_lossy(&name).into_owned()))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(Error::Store { action: "read what is noted of an encryption key", source }),
        }
    }

    /// Seals every object with the first key that is not; does nothing without a key. Objects that are stored meanwhile
    /// are seen to only if they were listed, so all others must have the key as their first already.
    pub async fn reseal(&self) -> Result<Resealed, Error> {
        let Some(first) = self.keys.first() else { return Ok(Resealed::default()) };
        self.try_conditions().await?;
        self.take_up_keys().await?;
        let (mut done, turn) = (Resealed::default(), Mutex::new(()));
        for prefix in OBJECTS {
            let prefix = Key::from(prefix);
            let listed = self.store.list(Some(&prefix));
            let mut looks = listed
                .map(|object| async {
                    let object = object.map_err(|source| Error::Store { action: "list objects", source })?;
                    let became = self.reseal_object(first, &object, &turn).await;
                    Ok::<_, Error>((object.location, became))
                })
                .buffer_unordered(LOOKS);
            while let Some((key, became)) = looks.try_next().await? {
                match became {
                    Ok(Became::Resealed) => done.resealed += 1,
                    Ok(Became::Kept) => done.kept += 1,
                    Ok(Became::Gone) => done.gone += 1,
                    Err(error) => {
                        warn!(object = %key, error = &error as &dyn std::error::Error, "an object stays as it is");
                        done.failed += 1;
                    }
                }
            }
        }
        if done.failed == 0 {
            done.retired = self.retire_others(first).await?;
        }
        Ok(done)
    }

    /// Large objects are in memory as a whole, so that they take turns.
    async fn reseal_object(
        &self,
        first: &OperatorKey,
        object: &ObjectMeta,
        turn: &Mutex<()>,
    ) -> Result<Became, Error> {
        let key = &object.location;
        if object.size == 0 {
            return Ok(Became::Kept);
        }
        let mut tries = 0;
        loop {
            let Some((_, head)) = self.head(key).await? else { return Ok(Became::Gone) };
            if seal::sealed_with(&head)?.is_some_and(|(_, fingerprint)| fingerprint == first.fingerprint) {
                return Ok(Became::Kept);
            }
            let _turn = turn.lock().await;
            match self.replace(key).await {
                Ok(()) => return Ok(Became::Resealed),
                Err(object_store::Error::NotFound { .. }) => return Ok(Became::Gone),
                Err(object_store::Error::Precondition { .. }) if tries < TRIES => tries += 1,
                Err(source) => return Err(Error::Store { action: "reseal an object", source }),
            }
        }
    }

    /// Puts an object's content in its own place, sealed anew, if nobody else does anything to it meanwhile.
    async fn replace(&self, key: &Key) -> Result<(), object_store::Error> {
        let failed = |error: Error| object_store::Error::Generic { store: "sealed", source: error.into() };
        let held = self.hold(key).await.map_err(failed)?;
        let read = self.store.get(key).await?;
        let mode = match held {
            Some(_) => PutMode::Overwrite,
            None => PutMode::Update(version(&read.meta)),
        };
        let content = self.open_object(key, read.bytes().await?).await.map_err(failed)?;
        let object = self.seal(key, content).await.map_err(failed)?;
        self.store.put_opts(key, object, mode.into()).await.map(drop)
    }

    /// Sees whether an object that is deleted stays so. What a bucket does not know it may pass over in silence.
    async fn try_conditions(&self) -> Result<(), Error> {
        if let Some(folder) = &self.folder {
            return if folder.has_locks { Ok(()) } else { Err(Error::Unconditional) };
        }
        let failed = |source| Error::Store { action: "try out conditions", source };
        let key = Key::from(format!("carryover.trial.{}", Uuid::new_v4()));
        let trial = || PutPayload::from_static(b"carryover");
        self.store.put(&key, trial()).await.map_err(failed)?;
        let version = version(&self.store.head(&key).await.map_err(failed)?);
        self.store.delete(&key).await.map_err(failed)?;
        match self.store.put_opts(&key, trial(), PutMode::Update(version).into()).await {
            Err(object_store::Error::Precondition { .. } | object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(failed(source)),
            Ok(_) => {
                self.store.delete(&key).await.map_err(failed)?;
                Err(Error::Unconditional)
            }
        }
    }

    /// Forgets all keys but the first; gives their names.
    async fn retire_others(&self, first: &OperatorKey) -> Result<Vec<String>, Error> {
        let mut retired = Vec::new();
        for word in self.words().await? {
            if word != word_of(first) {
                retired.extend(self.find_word(&word).await?);
                self.delete(&word, "forget an encryption key").await?;
            }
        }
        Ok(retired)
    }
}

fn version(meta: &ObjectMeta) -> UpdateVersion {
    UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}

fn word_of(key: &OperatorKey) -> Key {
    Key::from(KEYS).join(hex::encode(key.fingerprint))
}
