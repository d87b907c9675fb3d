//! What a caller may ask of the records that imports made.

use crate::{
    domain::{
        ids::{ApplicationId, SessionId},
        refusal::Refusal,
    },
    error::Error,
    store::{SessionFilter, Store, StoredSession, UserProfile},
};

/// Records of all applications; cheap to clone.
#[derive(Clone)]
pub struct Records {
    store: Store,
}

impl Records {
    /// Records over this store.
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Lists sessions by descending number, those below `before` only.
    pub async fn list_sessions(
        &self,
        application: ApplicationId,
        filter: &SessionFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<StoredSession>, Error> {
        Ok(self.store.list_sessions(application, filter, before, limit).await?)
    }

    /// A session of the application.
    pub async fn get_session(&self, application: ApplicationId, id: SessionId) -> Result<StoredSession, Error> {
        Ok(self.store.find_session(application, id).await?.ok_or(Refusal::NotFound("session"))?)
    }

    /// A user of the application.
    pub async fn get_user(&self, application: ApplicationId, vendor_data: &str) -> Result<UserProfile, Error> {
        Ok(self.store.find_user(application, vendor_data).await?.ok_or(Refusal::NotFound("user"))?)
    }

    /// Lists users by the number of their newest session, descending.
    pub async fn list_users(
        &self,
        application: ApplicationId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<(i64, UserProfile)>, Error> {
        Ok(self.store.list_users(application, before, limit).await?)
    }
}
