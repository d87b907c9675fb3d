//! Sessions, of people and of companies, found and listed.

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, Func, LikeExpr},
};
use uuid::Uuid;

use super::{
    Store,
    business_sessions::StoredBusinessSession,
    entities::{business_session, user_session},
    error::Error,
    user_sessions::StoredSession,
};
use crate::{
    canonical::{document::DocumentType, status::SessionStatus},
    domain::ids::{ApplicationId, SessionId},
};

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

/// A table of sessions: what those of people and of companies share, and where they differ.
pub(super) trait SessionTable: EntityTrait {
    /// A session as it is kept.
    type Stored: TryFrom<Self::Model, Error = Error>;

    const NAME: &str;
    const APPLICATION: Self::Column;
    const ID: Self::Column;
    const NUMBER: Self::Column;
    const IMPORT: Self::Column;
    const WORKFLOW: Self::Column;
    const PROVIDER: Self::Column;
    const EXTERNAL_ID: Self::Column;
    const VENDOR_DATA: Self::Column;
    const STATUS: Self::Column;
    const CREATED_AT: Self::Column;
    const DETAILS: Self::Column;

    /// Applies the filters that this table has columns of its own for.
    fn filter_own(filter: &SessionFilter, query: Select<Self>) -> Select<Self>;

    /// Adds where a text that is no id is looked for.
    fn search(any: Condition, search: &str) -> Condition;

    /// Sessions of an application.
    fn of_application(application: ApplicationId) -> Select<Self> {
        Self::find().filter(Self::APPLICATION.eq(application.0))
    }
}

impl Store {
    /// Lists sessions of people by descending number, those below `before` only.
    pub async fn list_sessions(
        &self,
        application: ApplicationId,
        filter: &SessionFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<StoredSession>, Error> {
        self.list::<user_session::Entity>(application, filter, before, limit).await
    }

    /// Lists sessions of companies by descending number, those below `before` only.
    pub async fn list_business_sessions(
        &self,
        application: ApplicationId,
        filter: &SessionFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<StoredBusinessSession>, Error> {
        self.list::<business_session::Entity>(application, filter, before, limit).await
    }

    /// A session of a person.
    pub async fn find_session(
        &self,
        application: ApplicationId,
        id: SessionId,
    ) -> Result<Option<StoredSession>, Error> {
        self.find::<user_session::Entity>(application, id).await
    }

    /// A session of a company.
    pub async fn find_business_session(
        &self,
        application: ApplicationId,
        id: SessionId,
    ) -> Result<Option<StoredBusinessSession>, Error> {
        self.find::<business_session::Entity>(application, id).await
    }

    async fn list<T: SessionTable>(
        &self,
        application: ApplicationId,
        filter: &SessionFilter,
        before: Option<i64>,
        limit: u64,
    ) -> Result<Vec<T::Stored>, Error> {
        let mut query = filter.apply(T::of_application(application));
        if let Some(before) = before {
            query = query.filter(T::NUMBER.lt(before));
        }
        let rows = query.order_by_desc(T::NUMBER).limit(limit).all(&self.db).await?;
        rows.into_iter().map(T::Stored::try_from).collect()
    }

    async fn find<T: SessionTable>(
        &self,
        application: ApplicationId,
        id: SessionId,
    ) -> Result<Option<T::Stored>, Error> {
        let row = T::of_application(application).filter(T::ID.eq(id.0)).one(&self.db).await?;
        row.map(T::Stored::try_from).transpose()
    }
}

impl SessionFilter {
    fn apply<T: SessionTable>(&self, query: Select<T>) -> Select<T> {
        let mut query = T::filter_own(self, query);
        if !self.statuses.is_empty() {
            query = query.filter(T::STATUS.is_in(self.statuses.iter().map(|status| status.as_str())));
        }
        if let Some(workflows) = &self.workflow_ids {
            query = query.filter(T::WORKFLOW.is_in(workflows.iter().copied()));
        }
        if let Some(from) = self.date_from {
            query = query.filter(T::CREATED_AT.gte(midnight(from)));
        }
        if let Some(behind) = self.date_to.and_then(|to| to.checked_add_days(Days::new(1))) {
            query = query.filter(T::CREATED_AT.lt(midnight(behind)));
        }
        for (column, value) in [
            (T::VENDOR_DATA, &self.vendor_data),
            (T::PROVIDER, &self.provider),
            (T::EXTERNAL_ID, &self.external_id),
        ] {
            if let Some(value) = value {
                query = query.filter(column.eq(value));
            }
        }
        if let Some(import) = self.import_id {
            query = query.filter(T::IMPORT.eq(import));
        }
        match &self.search {
            Some(search) => query.filter(match Uuid::parse_str(search) {
                Ok(id) => Condition::any().add(T::ID.eq(id)),
                Err(_) => T::search(Condition::any(), search),
            }),
            None => query,
        }
    }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// Adds that a column contains a text, whatever the case of its letters. PostgreSQL lowers them all;
/// SQLite only those of ASCII, so the text as given is tried, too.
pub(super) fn contains<C: ColumnTrait>(any: Condition, column: C, text: &str) -> Condition {
    let escaped = escaped(text);
    let like = |text: &str| LikeExpr::new(format!("%{text}%")).escape('\\');
    any.add(Expr::expr(Func::lower(Expr::col(column))).like(like(&escaped.to_lowercase())))
        .add(Expr::col(column).like(like(&escaped)))
}

/// A text for LIKE, in which nothing stands for anything else.
pub(super) fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}
