//! Links to media of sessions.

use std::collections::HashMap;

use uuid::Uuid;

use super::{Records, Session};
use crate::{
    domain::{ids::ApplicationId, media::MediaSlot},
    error::Error,
    links::Medium,
    store::{StoredSession, UserProfile},
};

/// Links to media of some sessions, as far as they are stored.
#[derive(Debug, Default)]
pub struct MediaLinks(HashMap<(Uuid, MediaSlot), String>);

impl MediaLinks {
    /// The link to a medium of a session.
    pub fn of(&self, session: &StoredSession, slot: MediaSlot) -> Option<String> {
        self.0.get(&(session.columns.id, slot)).cloned()
    }

    /// The link to the face of a user: of the latest approved session the person's own, else the portrait on the
    /// document.
    pub fn face(&self, user: &UserProfile) -> Option<String> {
        let session = user.profile.latest_approved.as_ref()?;
        self.of(session, MediaSlot::SelfieImage).or_else(|| self.of(session, MediaSlot::PortraitImage))
    }
}

impl Records {
    /// Links to media that decisions show.
    pub async fn media_links(
        &self,
        application: ApplicationId,
        session: &Session,
    ) -> Result<MediaLinks, Error> {
        self.links_to(application, people(std::slice::from_ref(session)), MediaSlot::ALL).await
    }

    /// Links to media that lists of sessions show.
    pub async fn portraits(
        &self,
        application: ApplicationId,
        sessions: &[Session],
    ) -> Result<MediaLinks, Error> {
        self.links_to(application, people(sessions), &[MediaSlot::PortraitImage]).await
    }

    /// Links to media that users show.
    pub async fn faces<'u>(
        &self,
        application: ApplicationId,
        users: impl Iterator<Item = &'u UserProfile>,
    ) -> Result<MediaLinks, Error> {
        let sessions = users.filter_map(|user| user.profile.latest_approved.as_ref());
        let slots = [MediaSlot::SelfieImage, MediaSlot::PortraitImage];
        self.links_to(application, sessions.map(key).collect(), &slots).await
    }

    async fn links_to(
        &self,
        application: ApplicationId,
        sessions: Vec<(Uuid, Uuid)>,
        slots: &[MediaSlot],
    ) -> Result<MediaLinks, Error> {
        let stored = self.store.list_session_media(application, &sessions, slots).await?;
        let places: Vec<_> = stored.iter().map(|medium| (medium.session, medium.slot)).collect();
        let media: Vec<_> = stored
            .into_iter()
            .map(|medium| Medium { application, sha256: medium.sha256, media_type: medium.media_type })
            .collect();
        Ok(MediaLinks(places.into_iter().zip(self.links.make(&media).await).collect()))
    }
}

/// A session, and the import that wrote it last.
fn key(session: &StoredSession) -> (Uuid, Uuid) {
    (session.columns.id, session.columns.import_id)
}

/// Those of people; companies have no media.
fn people(sessions: &[Session]) -> Vec<(Uuid, Uuid)> {
    let people = sessions.iter().filter_map(|session| match session {
        Session::User(session) => Some(key(session)),
        Session::Business(_) => None,
    });
    people.collect()
}
