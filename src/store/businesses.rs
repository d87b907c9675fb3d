//! Sessions of companies, and the profiles derived from them: a business *is* the sessions of one
//! vendor_data.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect, Select,
};
use serde_json::Value;
use uuid::Uuid;

use super::{Store, entities::business_session, error::Error, sessions::SessionFilter};
use crate::{
    canonical::status::SessionStatus,
    domain::ids::{ApplicationId, SessionId},
};

/// A session of a company as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredBusinessSession {
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Its id.
    pub id: Uuid,
    /// Its number.
    pub session_number: i64,
    /// Import that made it, or changed it last.
    pub import_id: Uuid,
    /// Row of that import.
    pub row_number: i64,
    /// Workflow it belongs to.
    pub workflow_id: Uuid,
    /// Where it comes from.
    pub provider: String,
    /// Its id there.
    pub external_id: String,
    /// The customer's id of the business.
    pub vendor_data: Option<String>,
    /// Where it stands.
    pub status: SessionStatus,
    /// When the old provider made it.
    pub created_at: DateTime<Utc>,
    /// Name in the registry.
    pub company_name: String,
    /// Number in the registry.
    pub registration_number: Option<String>,
    /// Country of the registry, alpha-2.
    pub country_code: Option<String>,
    /// What has no column.
    pub details: Option<Value>,
    /// Free data.
    pub metadata: Option<Value>,
}

/// A business.
#[derive(Debug, Clone)]
pub struct BusinessProfile {
    /// The customer's own id.
    pub vendor_data: String,
    /// The latest approved session, by `created_at`.
    pub latest_approved: Option<StoredBusinessSession>,
    /// The latest session, by `created_at`.
    pub latest: StoredBusinessSession,
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
    /// Details of the newest sessions, for their tags.
    pub details: Vec<Value>,
}

/// How many of a business' sessions are looked at for tags.
const TAG_SESSIONS: u64 = 100;

const COUNT: &str = "SELECT COUNT(*) AS sessions, \
    COUNT(CASE WHEN status = 'Approved' THEN 1 END) AS approved, \
    COUNT(CASE WHEN status = 'Declined' THEN 1 END) AS declined, \
    COUNT(CASE WHEN status = 'In Review' THEN 1 END) AS in_review, \
    MIN(created_at) AS first_session_at \
    FROM business_sessions WHERE application_id = $1 AND vendor_data = $2";

/// Walks the sessions newest first and keeps one when its business has no newer.
const LIST: &str = "SELECT s.vendor_data, s.session_number FROM business_sessions s \
    WHERE s.application_id = $1 AND s.vendor_data IS NOT NULL AND s.session_number < $2 \
    AND NOT EXISTS (SELECT 1 FROM business_sessions n WHERE n.application_id = s.application_id \
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

impl TryFrom<business_session::Model> for StoredBusinessSession {
    type Error = Error;

    fn try_from(row: business_session::Model) -> Result<Self, Error> {
        let status =
            SessionStatus::from_word(&row.status).ok_or(Error::Corrupt("business_sessions.status"))?;
        Ok(Self {
            application_id: ApplicationId(row.application_id),
            id: row.id,
            session_number: row.session_number,
            import_id: row.import_id,
            row_number: row.row_number,
            workflow_id: row.workflow_id,
            provider: row.provider,
            external_id: row.external_id,
            vendor_data: row.vendor_data,
            status,
            created_at: row.created_at,
            company_name: row.company_name,
            registration_number: row.registration_number,
            country_code: row.country_code,
            details: row.details,
            metadata: row.metadata,
        })
    }
}

fn of_application(application: ApplicationId) -> Select<business_session::Entity> {
    business_session::Entity::find().filter(business_session::Column::ApplicationId.eq(application.0))
}

impl Store {
    /// Lists sessions of companies by descending number, those below `before` only.
    pub async fn list_business_sessions(
        &self,
        application: ApplicationId,
        filter: &SessionFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<StoredBusinessSession>, Error> {
        let mut query = filter.apply_to_businesses(of_application(application));
        if let Some(before) = before {
            query = query.filter(business_session::Column::SessionNumber.lt(before));
        }
        let query = query.order_by_desc(business_session::Column::SessionNumber).limit(limit);
        query.all(&self.db).await?.into_iter().map(StoredBusinessSession::try_from).collect()
    }

    /// A session of a company of the application.
    pub async fn find_business_session(
        &self,
        application: ApplicationId,
        id: SessionId,
    ) -> Result<Option<StoredBusinessSession>, Error> {
        let row = business_session::Entity::find_by_id((application.0, id.0)).one(&self.db).await?;
        row.map(StoredBusinessSession::try_from).transpose()
    }

    /// A business of the application.
    pub async fn find_business(
        &self,
        application: ApplicationId,
        vendor_data: &str,
    ) -> Result<Option<BusinessProfile>, Error> {
        use business_session::Column;
        let sessions = || of_application(application).filter(Column::VendorData.eq(vendor_data));
        let latest_first = |query: Select<business_session::Entity>| {
            query.order_by_desc(Column::CreatedAt).order_by_desc(Column::SessionNumber)
        };
        let Some(latest) = latest_first(sessions()).one(&self.db).await? else { return Ok(None) };
        let approved = sessions().filter(Column::Status.eq(SessionStatus::Approved.as_str()));
        let latest_approved = latest_first(approved).one(&self.db).await?;
        let count = self.statement(COUNT, [application.0.into(), vendor_data.into()]);
        let counts = self.db.query_one_raw(count).await?.ok_or(Error::Corrupt("count"))?;
        let counts = Counts::from_query_result(&counts, "")?;
        let details: Vec<Value> = sessions()
            .select_only()
            .column(Column::Details)
            .filter(Column::Details.is_not_null())
            .order_by_desc(Column::SessionNumber)
            .limit(TAG_SESSIONS)
            .into_tuple()
            .all(&self.db)
            .await?;
        let latest = StoredBusinessSession::try_from(latest)?;
        Ok(Some(BusinessProfile {
            vendor_data: vendor_data.to_owned(),
            latest_approved: latest_approved.map(StoredBusinessSession::try_from).transpose()?,
            sessions: counts.sessions,
            approved: counts.approved,
            declined: counts.declined,
            in_review: counts.in_review,
            first_session_at: counts.first_session_at.unwrap_or(latest.created_at),
            latest,
            details,
        }))
    }

    /// Businesses by the number of their newest session, descending, those below `before` only; with
    /// that number.
    pub async fn list_businesses(
        &self,
        application: ApplicationId,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<(i64, BusinessProfile)>, Error> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let list = [application.0.into(), before.unwrap_or(i64::MAX).into(), limit.into()];
        let mut businesses = Vec::new();
        for row in self.db.query_all_raw(self.statement(LIST, list)).await? {
            let newest = Newest::from_query_result(&row, "")?;
            if let Some(business) = self.find_business(application, &newest.vendor_data).await? {
                businesses.push((newest.session_number, business));
            }
        }
        Ok(businesses)
    }
}
