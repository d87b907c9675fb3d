//! What a caller may ask of the records that imports made, and what is derived of them each time.

pub mod business;
mod media;
pub mod transaction;
pub mod user;

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    canonical::user_verification::detail,
    domain::{
        ids::{ApplicationId, RecordKind, SessionId, TransactionId, WorkflowId, derive},
        refusal::Refusal,
    },
    error::Error,
    links::Links,
    store::{
        BusinessProfile, SessionFilter, Store, StoredBusinessSession, StoredRule, StoredSession,
        StoredTransaction, UserProfile, WorkflowVersion,
    },
};

pub use media::MediaLinks;

/// A session of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Session {
    /// Of a person.
    User(Box<StoredSession>),
    /// Of a company.
    Business(Box<StoredBusinessSession>),
}

impl Session {
    /// Its number, which is unique over both kinds.
    pub fn number(&self) -> i64 {
        match self {
            Self::User(session) => session.columns.session_number,
            Self::Business(session) => session.session_number,
        }
    }
}

/// Which kinds of sessions to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionKinds {
    /// Of people.
    User,
    /// Of companies.
    Business,
    /// Of both.
    All,
}

/// Records of all applications; cheap to clone.
#[derive(Clone)]
pub struct Records {
    store: Store,
    links: Links,
}

impl Records {
    /// Records over this store, and links to their media.
    pub fn new(store: Store, links: Links) -> Self {
        Self { store, links }
    }

    /// Lists sessions by descending number, those below `before` only.
    pub async fn list_sessions(
        &self,
        application: ApplicationId,
        kinds: SessionKinds,
        filter: &SessionFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Session>, Error> {
        let mut sessions = Vec::new();
        if kinds != SessionKinds::Business {
            let users = self.store.list_sessions(application, filter, before, limit).await?;
            sessions.extend(users.into_iter().map(|session| Session::User(Box::new(session))));
        }
        if kinds != SessionKinds::User {
            let businesses = self.store.list_business_sessions(application, filter, before, limit).await?;
            sessions.extend(businesses.into_iter().map(|session| Session::Business(Box::new(session))));
        }
        // Each kind came in order, and a stable sort merges such runs in one pass.
        sessions.sort_by_key(|session| std::cmp::Reverse(session.number()));
        sessions.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(sessions)
    }

    /// A session of the application.
    pub async fn get_session(&self, application: ApplicationId, id: SessionId) -> Result<Session, Error> {
        if let Some(session) = self.store.find_session(application, id).await? {
            return Ok(Session::User(Box::new(session)));
        }
        let found = self.store.find_business_session(application, id).await?;
        Ok(Session::Business(Box::new(found.ok_or(Refusal::NotFound("session"))?)))
    }

    /// A user of the application.
    pub async fn get_user(
        &self,
        application: ApplicationId,
        vendor_data: &str,
    ) -> Result<UserProfile, Error> {
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

    /// A business of the application.
    pub async fn get_business(
        &self,
        application: ApplicationId,
        vendor_data: &str,
    ) -> Result<BusinessProfile, Error> {
        Ok(self.store.find_business(application, vendor_data).await?.ok_or(Refusal::NotFound("business"))?)
    }

    /// Lists businesses by the number of their newest session, descending.
    pub async fn list_businesses(
        &self,
        application: ApplicationId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<(i64, BusinessProfile)>, Error> {
        Ok(self.store.list_businesses(application, before, limit).await?)
    }

    /// Lists transactions, newest first by when they happened, those behind `after` only.
    pub async fn list_transactions(
        &self,
        application: ApplicationId,
        after: Option<(DateTime<Utc>, i64)>,
        limit: u64,
    ) -> Result<Vec<StoredTransaction>, Error> {
        Ok(self.store.list_transactions(application, after, limit).await?)
    }

    /// A transaction of the application.
    pub async fn get_transaction(
        &self,
        application: ApplicationId,
        id: TransactionId,
    ) -> Result<StoredTransaction, Error> {
        Ok(self.store.find_transaction(application, id).await?.ok_or(Refusal::NotFound("transaction"))?)
    }

    /// Lists the versions of a workflow's status rules, newest first, those below `before` only.
    pub async fn list_workflow_versions(
        &self,
        application: ApplicationId,
        workflow: WorkflowId,
        before: Option<i32>,
        limit: u64,
    ) -> Result<Vec<WorkflowVersion>, Error> {
        self.newest_version(application, workflow).await?;
        Ok(self.store.list_workflow_versions(application, workflow, before, limit).await?)
    }

    /// Lists the status rules of a version, or of the one in force, behind the first `skip`; gives that
    /// version, too.
    pub async fn list_status_rules(
        &self,
        application: ApplicationId,
        workflow: WorkflowId,
        version: Option<i32>,
        skip: u64,
        limit: u64,
    ) -> Result<(i32, Vec<StoredRule>), Error> {
        let newest = self.newest_version(application, workflow).await?;
        let version = version.unwrap_or(newest);
        if !(0..=newest).contains(&version) {
            return Err(Refusal::NotFound("version of this workflow").into());
        }
        let rules = self.store.list_status_rules(application, workflow, version, skip, limit).await?;
        Ok((version, rules))
    }

    async fn newest_version(&self, application: ApplicationId, workflow: WorkflowId) -> Result<i32, Error> {
        let found = self.store.find_workflow(application, workflow).await?;
        Ok(found.ok_or(Refusal::NotFound("workflow"))?.version)
    }
}

/// Tags among the details of records, sorted.
pub fn tags<'d>(details: impl IntoIterator<Item = &'d Value>) -> Vec<String> {
    let tags = details.into_iter().filter_map(|details| details.get(detail::TAGS)?.as_array()).flatten();
    let sorted: BTreeSet<_> = tags.filter_map(Value::as_str).collect();
    sorted.into_iter().map(str::to_owned).collect()
}

/// Id of a part of a record that has none of its own.
pub fn part_id(application: ApplicationId, record: Uuid, name: &str, place: usize) -> Uuid {
    let place = (place as u64).to_be_bytes();
    derive(application, RecordKind::Part, &[record.as_bytes(), name.as_bytes(), &place])
}
