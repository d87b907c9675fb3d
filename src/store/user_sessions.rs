//! Sessions of people, read.

use chrono::{DateTime, NaiveDate, Utc};
use sea_orm::{
    ColumnTrait, Condition, QueryFilter, Select,
    sea_query::{Expr, ExprTrait, Func},
};
use uuid::Uuid;

use super::{
    entities::user_session::{self, Column},
    error::Error,
    sessions::{SessionFilter, SessionTable, contains},
};
use crate::{
    canonical::{
        document::DocumentType,
        status::{FeatureStatus, SessionStatus},
    },
    domain::ids::ApplicationId,
};

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSession {
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Where it stands.
    pub status: SessionStatus,
    /// Type of the document.
    pub document_type: Option<DocumentType>,
    /// Status of the document check, where the row gave one.
    pub id_verification_status: Option<FeatureStatus>,
    /// Everything else, by column.
    pub columns: SessionColumns,
}

/// Columns of a session that are read as they are kept.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionColumns {
    /// Its id.
    pub id: Uuid,
    /// Its number.
    pub session_number: i64,
    /// Import that made it.
    pub import_id: Uuid,
    /// Row of that import.
    pub row_number: i64,
    /// Workflow it belongs to.
    pub workflow_id: Uuid,
    /// Where it comes from.
    pub provider: String,
    /// Its id there.
    pub external_id: String,
    /// The customer's id of the user.
    pub vendor_data: Option<String>,
    /// When the old provider made it.
    pub created_at: DateTime<Utc>,
    /// When it expires.
    pub expires_at: Option<DateTime<Utc>>,
    /// Canonical field `document_subtype`.
    pub document_subtype: Option<String>,
    /// Canonical field `document_number`.
    pub document_number: Option<String>,
    /// Canonical field `personal_number`.
    pub personal_number: Option<String>,
    /// Canonical field `first_name`.
    pub first_name: Option<String>,
    /// Canonical field `last_name`.
    pub last_name: Option<String>,
    /// Canonical field `full_name`.
    pub full_name: Option<String>,
    /// Canonical field `date_of_birth`.
    pub date_of_birth: Option<NaiveDate>,
    /// Canonical field `gender`.
    pub gender: Option<String>,
    /// Canonical field `nationality`.
    pub nationality: Option<String>,
    /// Canonical field `issuing_state`.
    pub issuing_state: Option<String>,
    /// Canonical field `date_of_issue`.
    pub date_of_issue: Option<NaiveDate>,
    /// Canonical field `expiration_date`.
    pub expiration_date: Option<NaiveDate>,
    /// Canonical field `address`.
    pub address: Option<String>,
    /// Canonical field `place_of_birth`.
    pub place_of_birth: Option<String>,
    /// Canonical field `email`.
    pub email: Option<String>,
    /// Canonical field `phone`.
    pub phone: Option<String>,
    /// What has no column.
    pub details: Option<serde_json::Value>,
    /// Free data.
    pub metadata: Option<serde_json::Value>,
}

impl TryFrom<user_session::Model> for StoredSession {
    type Error = Error;

    fn try_from(row: user_session::Model) -> Result<Self, Error> {
        Ok(Self {
            application_id: ApplicationId(row.application_id),
            status: SessionStatus::from_word(&row.status).ok_or(Error::Corrupt("user_sessions.status"))?,
            document_type: row.document_type.as_deref().and_then(DocumentType::from_word),
            id_verification_status: row.id_verification_status.as_deref().and_then(FeatureStatus::from_word),
            columns: SessionColumns {
                id: row.id,
                session_number: row.session_number,
                import_id: row.import_id,
                row_number: row.row_number,
                workflow_id: row.workflow_id,
                provider: row.provider,
                external_id: row.external_id,
                vendor_data: row.vendor_data,
                created_at: row.created_at,
                expires_at: row.expires_at,
                document_subtype: row.document_subtype,
                document_number: row.document_number,
                personal_number: row.personal_number,
                first_name: row.first_name,
                last_name: row.last_name,
                full_name: row.full_name,
                date_of_birth: row.date_of_birth,
                gender: row.gender,
                nationality: row.nationality,
                issuing_state: row.issuing_state,
                date_of_issue: row.date_of_issue,
                expiration_date: row.expiration_date,
                address: row.address,
                place_of_birth: row.place_of_birth,
                email: row.email,
                phone: row.phone,
                details: row.details,
                metadata: row.metadata,
            },
        })
    }
}

impl SessionTable for user_session::Entity {
    type Stored = StoredSession;

    const NAME: &str = "user_sessions";
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

    fn filter_own(filter: &SessionFilter, mut query: Select<Self>) -> Select<Self> {
        if !filter.countries.is_empty() {
            query = query.filter(Column::IssuingState.is_in(&filter.countries));
        }
        if !filter.document_types.is_empty() {
            query =
                query.filter(Column::DocumentType.is_in(filter.document_types.iter().map(|d| d.as_str())));
        }
        query
    }

    /// Digits begin a number, an e-mail address is whole, anything else is part of a name.
    fn search(any: Condition, search: &str) -> Condition {
        if search.contains('@') {
            let email = Expr::expr(Func::lower(Expr::col(Column::Email)));
            return any.add(email.eq(search.to_lowercase()));
        }
        let digits = search.strip_prefix('+').unwrap_or(search);
        if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            let any = [Column::DocumentNumber, Column::PersonalNumber]
                .into_iter()
                .fold(any, |any, column| any.add(column.starts_with(digits)))
                .add(Column::Phone.starts_with(format!("+{digits}")));
            return match digits.parse::<i64>() {
                Ok(number) => any.add(Column::SessionNumber.eq(number)),
                Err(_) => any,
            };
        }
        [Column::FirstName, Column::LastName, Column::FullName, Column::VendorData]
            .into_iter()
            .fold(any, |any, column| contains(any, column, search))
    }
}
