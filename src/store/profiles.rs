//! Profiles of users and businesses, derived from sessions each time they are read: one *is* the sessions of
//! a vendor_data, so nothing can disagree, and an import writes no profile at all.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select};
use serde_json::Value;

use super::{
    Store,
    business_sessions::StoredBusinessSession,
    entities::{
        business_session,
        user_session::{self, Column},
    },
    error::Error,
    sessions::SessionTable,
    user_sessions::StoredSession,
};
use crate::{canonical::status::SessionStatus, domain::ids::ApplicationId};

/// What the sessions of one vendor_data come to.
#[derive(Debug, Clone)]
pub struct Profile<S> {
    /// The customer's own id.
    pub vendor_data: String,
    /// The latest approved session, by `created_at`.
    pub latest_approved: Option<S>,
    /// The latest session, by `created_at`.
    pub latest: S,
    /// How many there are.
    pub counts: SessionCounts,
    /// Details of the newest sessions, for their tags.
    pub details: Vec<Value>,
}

/// Sessions of somebody, counted.
#[derive(Debug, Clone, Copy, FromQueryResult)]
pub struct SessionCounts {
    /// In all.
    pub sessions: i64,
    /// Of these, approved.
    pub approved: i64,
    /// Of these, declined.
    pub declined: i64,
    /// Of these, in review.
    pub in_review: i64,
    /// `created_at` of the earliest; nothing when there are none.
    pub first_session_at: Option<DateTime<Utc>>,
}

/// A user.
#[derive(Debug, Clone)]
pub struct UserProfile {
    /// What the sessions come to.
    pub profile: Profile<StoredSession>,
    /// Issuing states of the documents, sorted.
    pub issuing_states: Vec<String>,
}

/// A business.
pub type BusinessProfile = Profile<StoredBusinessSession>;

/// How many sessions are looked at for tags.
const TAG_SESSIONS: u64 = 100;

const COUNT: &str = "SELECT COUNT(*) AS sessions, \
    COUNT(CASE WHEN status = 'Approved' THEN 1 END) AS approved, \
    COUNT(CASE WHEN status = 'Declined' THEN 1 END) AS declined, \
    COUNT(CASE WHEN status = 'In Review' THEN 1 END) AS in_review, \
    MIN(created_at) AS first_session_at \
    FROM {table} WHERE application_id = $1 AND vendor_data = $2";

/// Walks the sessions newest first and keeps one when nobody of its vendor_data has a newer.
const LIST: &str = "SELECT s.vendor_data, s.session_number FROM {table} s \
    WHERE s.application_id = $1 AND s.vendor_data IS NOT NULL AND s.session_number < $2 \
    AND NOT EXISTS (SELECT 1 FROM {table} n WHERE n.application_id = s.application_id \
        AND n.vendor_data = s.vendor_data AND n.session_number > s.session_number) \
    ORDER BY s.session_number DESC LIMIT $3";

#[derive(FromQueryResult)]
struct Newest {
    vendor_data: String,
    session_number: i64,
}

impl Store {
    /// A user of the application.
    pub async fn find_user(
        &self,
        application: ApplicationId,
        vendor_data: &str,
    ) -> Result<Option<UserProfile>, Error> {
        let found = self.find_profile::<user_session::Entity>(application, vendor_data).await?;
        let Some(profile) = found else { return Ok(None) };
        let issuing_states = user_session::Entity::of_application(application)
            .filter(Column::VendorData.eq(vendor_data))
            .filter(Column::IssuingState.is_not_null())
            .select_only()
            .column(Column::IssuingState)
            .distinct()
            .order_by_asc(Column::IssuingState)
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(Some(UserProfile { profile, issuing_states }))
    }

    /// A business of the application.
    pub async fn find_business(
        &self,
        application: ApplicationId,
        vendor_data: &str,
    ) -> Result<Option<BusinessProfile>, Error> {
        self.find_profile::<business_session::Entity>(application, vendor_data).await
    }

    /// Users by the number of their newest session, descending, those below `before` only; with that
    /// number.
    pub async fn list_users(
        &self,
        application: ApplicationId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<(i64, UserProfile)>, Error> {
        let mut users = Vec::new();
        for newest in self.list_newest::<user_session::Entity>(application, before, limit).await? {
            let user = self.find_user(application, &newest.vendor_data).await?;
            users.extend(user.map(|user| (newest.session_number, user)));
        }
        Ok(users)
    }

    /// Businesses, as [`Store::list_users`] lists users.
    pub async fn list_businesses(
        &self,
        application: ApplicationId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<(i64, BusinessProfile)>, Error> {
        let mut businesses = Vec::new();
        for newest in self.list_newest::<business_session::Entity>(application, before, limit).await? {
            let business = self.find_business(application, &newest.vendor_data).await?;
            businesses.extend(business.map(|business| (newest.session_number, business)));
        }
        Ok(businesses)
    }

    async fn find_profile<T: SessionTable>(
        &self,
        application: ApplicationId,
        vendor_data: &str,
    ) -> Result<Option<Profile<T::Stored>>, Error> {
        let sessions = || T::of_application(application).filter(T::VENDOR_DATA.eq(vendor_data));
        let latest_first = |query: Select<T>| query.order_by_desc(T::CREATED_AT).order_by_desc(T::NUMBER);
        let Some(latest) = latest_first(sessions()).one(&self.db).await? else { return Ok(None) };
        let approved = sessions().filter(T::STATUS.eq(SessionStatus::Approved.as_str()));
        let latest_approved = latest_first(approved).one(&self.db).await?;
        let count = COUNT.replace("{table}", T::NAME);
        let count = self.statement(&count, [application.0.into(), vendor_data.into()]);
        let counts = self.db.query_one_raw(count).await?.ok_or(Error::Corrupt("count"))?;
        let details = sessions()
            .filter(T::DETAILS.is_not_null())
            .select_only()
            .column(T::DETAILS)
            .order_by_desc(T::NUMBER)
            .limit(TAG_SESSIONS)
            .into_tuple()
            .all(&self.db)
            .await?;
        Ok(Some(Profile {
            vendor_data: vendor_data.to_owned(),
            latest_approved: latest_approved.map(T::Stored::try_from).transpose()?,
            latest: T::Stored::try_from(latest)?,
            counts: SessionCounts::from_query_result(&counts, "")?,
            details,
        }))
    }

    async fn list_newest<T: SessionTable>(
        &self,
        application: ApplicationId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<Newest>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let list = [application.0.into(), before.unwrap_or(i64::MAX).into(), limit.into()];
        let rows = self.db.query_all_raw(self.statement(&LIST.replace("{table}", T::NAME), list)).await?;
        rows.iter().map(|row| Ok(Newest::from_query_result(row, "")?)).collect()
    }
}
