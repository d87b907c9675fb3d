//! Sessions of companies, read.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, QueryFilter, Select,
    sea_query::{Expr, ExprTrait, LikeExpr},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    entities::business_session::{self, Column},
    error::Error,
    sessions::{SessionFilter, SessionTable, contains, escaped},
};
use crate::{
    canonical::{country, status::SessionStatus},
    domain::ids::ApplicationId,
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

impl SessionTable for business_session::Entity {
    type Stored = StoredBusinessSession;

    const NAME: &str = "business_sessions";
    const APPLICATION: Column = Column::ApplicationId;
    const ID: Column = Column::Id;
    const NUMBER: Column = Column::SessionNumber;
    const IMPORT: Column = Column::ImportId;
    const WORKFLOW: Column = Column::WorkflowId;
    const PROVIDER: Column = Column::Provider;
    const EXTERNAL_ID: Column = Column::ExternalId;
    const VENDOR_DATA: Column = Column::VendorData;
    const STATUS: Column = Column::Status;
    const CREATED_AT: Column = Column::CreatedAt;
    const DETAILS: Column = Column::Details;

    /// Document types are of people only, and are not looked at.
    fn filter_own(filter: &SessionFilter, query: Select<Self>) -> Select<Self> {
        if filter.countries.is_empty() {
            return query;
        }
        let countries = filter.countries.iter().filter_map(|country| country::parse_alpha2(country));
        query.filter(Column::CountryCode.is_in(countries))
    }

    fn search(any: Condition, search: &str) -> Condition {
        let any = match search.parse::<i64>() {
            Ok(number) => any.add(Column::SessionNumber.eq(number)),
            Err(_) => any,
        };
        let beginning = LikeExpr::new(format!("{}%", escaped(search))).escape('\\');
        let any = any.add(Expr::col(Column::RegistrationNumber).like(beginning));
        [Column::CompanyName, Column::VendorData]
            .into_iter()
            .fold(any, |any, column| contains(any, column, search))
    }
}
