//! User sessions, read.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, Func, LikeExpr},
};
use uuid::Uuid;

use super::{
    Store,
    entities::{business_session, user_session},
    error::Error,
};
use crate::{
    canonical::{
        country,
        document::DocumentType,
        status::{FeatureStatus, SessionStatus},
    },
    domain::ids::{ApplicationId, SessionId},
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

impl user_session::Model {
    pub(super) fn into_session(self) -> Result<StoredSession, Error> {
        Ok(StoredSession {
            application_id: ApplicationId(self.application_id),
            status: SessionStatus::from_word(&self.status).ok_or(Error::Corrupt("user_sessions.status"))?,
            document_type: self.document_type.as_deref().and_then(DocumentType::from_word),
            id_verification_status: self.id_verification_status.as_deref().and_then(FeatureStatus::from_word),
            columns: SessionColumns {
                id: self.id,
                session_number: self.session_number,
                import_id: self.import_id,
                row_number: self.row_number,
                workflow_id: self.workflow_id,
                provider: self.provider,
                external_id: self.external_id,
                vendor_data: self.vendor_data,
                created_at: self.created_at,
                expires_at: self.expires_at,
                document_subtype: self.document_subtype,
                document_number: self.document_number,
                personal_number: self.personal_number,
                first_name: self.first_name,
                last_name: self.last_name,
                full_name: self.full_name,
                date_of_birth: self.date_of_birth,
                gender: self.gender,
                nationality: self.nationality,
                issuing_state: self.issuing_state,
                date_of_issue: self.date_of_issue,
                expiration_date: self.expiration_date,
                address: self.address,
                place_of_birth: self.place_of_birth,
                email: self.email,
                phone: self.phone,
                details: self.details,
                metadata: self.metadata,
            },
        })
    }
}

/// Which sessions to list. Filters join with AND, values inside one with OR; empty means any.
#[derive(Debug, Default, Clone)]
pub struct SessionFilter {
    /// Where they stand.
    pub statuses: Vec<SessionStatus>,
    /// The customer's id of the user, exactly.
    pub vendor_data: Option<String>,
    /// A session id, digits, an e-mail address or part of a name; see the proto.
    pub search: Option<String>,
    /// Workflows; `Some` of nothing matches nothing.
    pub workflow_ids: Option<Vec<Uuid>>,
    /// First day of `created_at`, UTC.
    pub date_from: Option<NaiveDate>,
    /// Last day of `created_at`, UTC, all of it.
    pub date_to: Option<NaiveDate>,
    /// Issuing states.
    pub countries: Vec<String>,
    /// Document types.
    pub document_types: Vec<DocumentType>,
    /// Where they come from.
    pub provider: Option<String>,
    /// Their id there.
    pub external_id: Option<String>,
    /// Import that made them.
    pub import_id: Option<Uuid>,
}

impl Store {
    /// Lists sessions by descending number, those below `before` only.
    pub async fn list_sessions(
        &self,
        application: ApplicationId,
        filter: &SessionFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<StoredSession>, Error> {
        let mut query = filter.apply(of_application(application));
        if let Some(before) = before {
            query = query.filter(user_session::Column::SessionNumber.lt(before));
        }
        let rows =
            query.order_by_desc(user_session::Column::SessionNumber).limit(limit).all(&self.db).await?;
        rows.into_iter().map(user_session::Model::into_session).collect()
    }

    /// A session of the application.
    pub async fn find_session(
        &self,
        application: ApplicationId,
        id: SessionId,
    ) -> Result<Option<StoredSession>, Error> {
        let row = user_session::Entity::find_by_id((application.0, id.0)).one(&self.db).await?;
        row.map(user_session::Model::into_session).transpose()
    }
}

pub(super) fn of_application(application: ApplicationId) -> Select<user_session::Entity> {
    user_session::Entity::find().filter(user_session::Column::ApplicationId.eq(application.0))
}

impl SessionFilter {
    /// Sessions of companies that pass. Document types are of people only, and are not looked at.
    pub(super) fn apply_to_businesses(
        &self,
        mut query: Select<business_session::Entity>,
    ) -> Select<business_session::Entity> {
        use business_session::Column;
        if !self.statuses.is_empty() {
            query = query.filter(Column::Status.is_in(self.statuses.iter().map(|status| status.as_str())));
        }
        if let Some(workflows) = &self.workflow_ids {
            query = query.filter(Column::WorkflowId.is_in(workflows.iter().copied()));
        }
        if !self.countries.is_empty() {
            let countries = self.countries.iter().filter_map(|country| country::parse_alpha2(country));
            query = query.filter(Column::CountryCode.is_in(countries));
        }
        if let Some(from) = self.date_from {
            query = query.filter(Column::CreatedAt.gte(midnight(from)));
        }
        if let Some(behind) = self.date_to.and_then(|to| to.checked_add_days(Days::new(1))) {
            query = query.filter(Column::CreatedAt.lt(midnight(behind)));
        }
        for (column, value) in [
            (Column::VendorData, &self.vendor_data),
            (Column::Provider, &self.provider),
            (Column::ExternalId, &self.external_id),
        ] {
            if let Some(value) = value {
                query = query.filter(column.eq(value));
            }
        }
        if let Some(import) = self.import_id {
            query = query.filter(Column::ImportId.eq(import));
        }
        match &self.search {
            Some(search) => query.filter(business_search(search)),
            None => query,
        }
    }

    fn apply(&self, mut query: Select<user_session::Entity>) -> Select<user_session::Entity> {
        use user_session::Column;
        if !self.statuses.is_empty() {
            query = query.filter(Column::Status.is_in(self.statuses.iter().map(|status| status.as_str())));
        }
        if let Some(workflows) = &self.workflow_ids {
            query = query.filter(Column::WorkflowId.is_in(workflows.iter().copied()));
        }
        if !self.countries.is_empty() {
            query = query.filter(Column::IssuingState.is_in(&self.countries));
        }
        if !self.document_types.is_empty() {
            query = query.filter(Column::DocumentType.is_in(self.document_types.iter().map(|d| d.as_str())));
        }
        if let Some(from) = self.date_from {
            query = query.filter(Column::CreatedAt.gte(midnight(from)));
        }
        if let Some(behind) = self.date_to.and_then(|to| to.checked_add_days(Days::new(1))) {
            query = query.filter(Column::CreatedAt.lt(midnight(behind)));
        }
        for (column, value) in [
            (Column::VendorData, &self.vendor_data),
            (Column::Provider, &self.provider),
            (Column::ExternalId, &self.external_id),
        ] {
            if let Some(value) = value {
                query = query.filter(column.eq(value));
            }
        }
        if let Some(import) = self.import_id {
            query = query.filter(Column::ImportId.eq(import));
        }
        match &self.search {
            Some(search) => query.filter(search_condition(search)),
            None => query,
        }
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

fn business_search(search: &str) -> Condition {
    use business_session::Column;
    let any = Condition::any();
    if let Ok(id) = Uuid::parse_str(search) {
        return any.add(Column::Id.eq(id));
    }
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

fn search_condition(search: &str) -> Condition {
    use user_session::Column;
    let any = Condition::any();
    if let Ok(id) = Uuid::parse_str(search) {
        return any.add(Column::Id.eq(id));
    }
    if search.contains('@') {
        return any.add(Column::Email.eq(search));
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

/// Adds that a column contains a text, whatever the case of its letters. PostgreSQL lowers them all;
/// SQLite only those of ASCII, so the text as given is tried, too.
fn contains<C: ColumnTrait>(any: Condition, column: C, text: &str) -> Condition {
    let escaped = escaped(text);
    let like = |text: &str| LikeExpr::new(format!("%{text}%")).escape('\\');
    any.add(Expr::expr(Func::lower(Expr::col(column))).like(like(&escaped.to_lowercase())))
        .add(Expr::col(column).like(like(&escaped)))
}

/// A text for LIKE, in which nothing stands for anything else.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}
