//! Media of sessions, read.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use uuid::Uuid;

use super::{
    Store,
    entities::medium::{self, Column},
    error::Error,
};
use crate::domain::{ids::ApplicationId, media::MediaSlot};

/// A medium of a session that is in the object store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMedium {
    /// The session.
    pub session: Uuid,
    /// What it shows of it.
    pub slot: MediaSlot,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Its media type.
    pub media_type: String,
}

/// Sessions that are looked for at a time.
const CHUNK: usize = 500;

impl Store {
    /// Media of these slots that are stored for sessions, each given with the import that wrote it last.
    pub async fn list_session_media(
        &self,
        application: ApplicationId,
        sessions: &[(Uuid, Uuid)],
        slots: &[MediaSlot],
    ) -> Result<Vec<SessionMedium>, Error> {
        let imports: HashMap<Uuid, Uuid> = sessions.iter().copied().collect();
        let mut found = Vec::new();
        for sessions in sessions.chunks(CHUNK) {
            let rows = medium::Entity::find()
                .filter(Column::ApplicationId.eq(application.0))
                .filter(Column::RecordId.is_in(sessions.iter().map(|(session, _)| *session)))
                .filter(Column::Slot.is_in(slots.iter().map(|slot| slot.as_str())))
                .filter(Column::State.eq("STORED"))
                .select_only()
                .columns([
                    Column::RecordId,
                    Column::ImportId,
                    Column::Slot,
                    Column::Sha256,
                    Column::MediaType,
                ])
                .into_tuple::<(Uuid, Uuid, String, Option<Vec<u8>>, Option<String>)>()
                .all(&self.db)
                .await?;
            for (session, import, slot, sha256, media_type) in rows {
                // What an import wrote that was updated since has media of its own.
                if imports.get(&session) == Some(&import) {
                    let sha256 = sha256.and_then(|sha256| sha256.try_into().ok());
                    found.push(SessionMedium {
                        session,
                        slot: MediaSlot::from_word(&slot).ok_or(Error::Corrupt("media.slot"))?,
                        sha256: sha256.ok_or(Error::Corrupt("media.sha256"))?,
                        media_type: media_type.ok_or(Error::Corrupt("media.media_type"))?,
                    });
                }
            }
        }
        Ok(found)
    }
}
