//! User profiles, derived from sessions each time they are read: a user *is* the sessions of one
//! vendor_data, so nothing can disagree, and an import writes no profile at all.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect};

use super::{
    Store,
    entities::user_session,
    error::Error,
    sessions::{StoredSession, of_application},
};
use crate::{canonical::status::SessionStatus, domain::ids::ApplicationId};

/// A user.
#[derive(Debug, Clone)]
pub struct UserProfile {
    /// The customer's own id.
    pub vendor_data: String,
    /// The latest approved session, by `created_at`.
    pub latest_approved: Option<StoredSession>,
    /// The latest session, by `created_at`.
    pub latest: StoredSession,
    /// Sessions in all.
    pub sessions: i64,
    /// Of these, approved.
    pub approved: i64,
    /// Of these, declined.
    pub declined: i64,
    /// Of these, in review.
    pub in_review: i64,
    /// `created_at` of the earliest.
    pub first_session_at: DateTime<Utc>,
    /// Issuing states, sorted.
    pub issuing_states: Vec<String>,
    /// Details of the newest sessions, for their tags.
    pub details: Vec<serde_json::Value>,
}

/// How many of a user's sessions are looked at for tags.
const TAG_SESSIONS: u64 = 100;

const COUNT: &str = "SELECT COUNT(*) AS sessions, \
    COUNT(CASE WHEN status = 'Approved' THEN 1 END) AS approved, \
    COUNT(CASE WHEN status = 'Declined' THEN 1 END) AS declined, \
    COUNT(CASE WHEN status = 'In Review' THEN 1 END) AS in_review, \
    MIN(created_at) AS first_session_at \
    FROM user_sessions WHERE application_id = $1 AND vendor_data = $2";

/// Walks the sessions newest first and keeps one when its user has no newer.
const LIST: &str = "SELECT s.vendor_data, s.session_number FROM user_sessions s \
    WHERE s.application_id = $1 AND s.vendor_data IS NOT NULL AND s.session_number < $2 \
    AND NOT EXISTS (SELECT 1 FROM user_sessions n WHERE n.application_id = s.application_id \
        AND n.vendor_data = s.vendor_data AND n.session_number > s.session_number) \
    ORDER BY s.session_number DESC LIMIT $3";

#[derive(FromQueryResult)]
struct Counts {
    sessions: i64,
    approved: i64,
    declined: i64,
    in_review: i64,
    first_session_at: Option<DateTime<Utc>>,
}

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
        let sessions =
            || of_application(application).filter(user_session::Column::VendorData.eq(vendor_data));
        let latest_first = |query: sea_orm::Select<user_session::Entity>| {
            query
                .order_by_desc(user_session::Column::CreatedAt)
                .order_by_desc(user_session::Column::SessionNumber)
        };
        let Some(latest) = latest_first(sessions()).one(&self.db).await? else { return Ok(None) };
        let approved = sessions().filter(user_session::Column::Status.eq(SessionStatus::Approved.as_str()));
        let latest_approved = latest_first(approved).one(&self.db).await?;
        let count = self.statement(COUNT, [application.0.into(), vendor_data.into()]);
        let counts = self.db.query_one_raw(count).await?.ok_or(Error::Corrupt("count"))?;
        let counts = Counts::from_query_result(&counts, "")?;
        let issuing_states: Vec<String> = sessions()
            .select_only()
            .column(user_session::Column::IssuingState)
            .filter(user_session::Column::IssuingState.is_not_null())
            .distinct()
            .order_by_asc(user_session::Column::IssuingState)
            .into_tuple()
            .all(&self.db)
            .await?;
        let details: Vec<serde_json::Value> = sessions()
            .select_only()
            .column(user_session::Column::Details)
            .filter(user_session::Column::Details.is_not_null())
            .order_by_desc(user_session::Column::SessionNumber)
            .limit(TAG_SESSIONS)
            .into_tuple()
            .all(&self.db)
            .await?;
        let latest = latest.into_session()?;
        Ok(Some(UserProfile {
            vendor_data: vendor_data.to_owned(),
            latest_approved: latest_approved.map(user_session::Model::into_session).transpose()?,
            sessions: counts.sessions,
            approved: counts.approved,
            declined: counts.declined,
            in_review: counts.in_review,
            first_session_at: counts.first_session_at.unwrap_or(latest.columns.created_at),
            latest,
            issuing_states,
            details,
        }))
    }

    /// Users by the number of their newest session, descending, those below `before` only; with
    /// that number.
    pub async fn list_users(
        &self,
        application: ApplicationId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<(i64, UserProfile)>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let list = [application.0.into(), before.unwrap_or(i64::MAX).into(), limit.into()];
        let mut users = Vec::new();
        for row in self.db.query_all_raw(self.statement(LIST, list)).await? {
            let newest = Newest::from_query_result(&row, "")?;
            if let Some(user) = self.find_user(application, &newest.vendor_data).await? {
                users.push((newest.session_number, user));
            }
        }
        Ok(users)
    }
}

impl UserProfile {
    /// Date of birth by the latest approved session.
    pub fn date_of_birth(&self) -> Option<NaiveDate> {
        self.latest_approved.as_ref()?.columns.date_of_birth
    }
}
