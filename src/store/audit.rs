//! The audit trail: who did what to which import or application. Only ever added to; the database
//! itself refuses to change or delete an event.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Store, api_keys::Caller, entities::audit_event, error::Error};
use crate::{
    clock,
    domain::{
        ids::{ApplicationId, ImportId},
        import::{Import, ImportStatus},
    },
};

/// Something that somebody did.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEvent {
    /// Its id; ids rise with time.
    pub id: Uuid,
    /// Which application it was done to; none for what concerns all.
    pub application_id: Option<ApplicationId>,
    /// The key that did it; none for the server itself.
    pub api_key_id: Option<Uuid>,
    /// Role of that key.
    pub role: String,
    /// What was done, such as `create_import`.
    pub action: String,
    /// To what: an id, never personal data.
    pub target: String,
    /// Further facts, never personal data.
    pub details: Map<String, Value>,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl AuditEvent {
    /// What a caller did to `target`.
    pub fn new(
        caller: Caller,
        application: Option<ApplicationId>,
        action: &str,
        target: impl Into<String>,
    ) -> Self {
        Self {
            id: clock::new_id(),
            application_id: application,
            api_key_id: caller.key.map(|key| key.0),
            role: caller.role.as_str().to_owned(),
            action: action.to_owned(),
            target: target.into(),
            details: Map::new(),
            created_at: clock::now(),
        }
    }

    /// That an import has failed, which the server finds out.
    pub(super) fn of_failure(application: ApplicationId, import: ImportId, reason: &str) -> Self {
        let event = Self::new(Caller::SERVER, Some(application), "fail_import", import.to_string());
        event.with("reason", reason)
    }

    /// Adds a fact.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.details.insert(key.to_owned(), value.into());
        self
    }
}

/// Writes down that an import has failed, if that is how it has ended, in the transaction that ended it.
pub(super) async fn record_end(
    tx: &DatabaseTransaction,
    import: &Import,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let reason = import.failure.as_ref().map_or("", |(reason, _)| reason.as_str());
    if import.status == ImportStatus::Failed {
        record(tx, AuditEvent::of_failure(import.application_id, import.id, reason), now).await?;
    }
    Ok(())
}

/// The same as a statement of a segment's transaction, where `object` is the database's function that makes
/// one. `$3` is the event's id, `$4` the import's as text, `$5` the time.
pub(super) fn record_end_sql(object: &str) -> String {
    format!(
        "INSERT INTO audit_events (id, application_id, role, action, target, details, created_at) \
        SELECT $3, application_id, 'admin', 'fail_import', $4, {object}('reason', failure_reason), $5 \
        FROM imports WHERE application_id = $1 AND id = $2 AND status = 'FAILED'"
    )
}

/// Writes an event down, in the transaction of what it tells.
pub(super) async fn record(
    tx: &DatabaseTransaction,
    event: AuditEvent,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let row = audit_event::ActiveModel {
        id: Set(event.id),
        application_id: Set(event.application_id.map(|id| id.0)),
        api_key_id: Set(event.api_key_id),
        role: Set(event.role),
        action: Set(event.action),
        target: Set(event.target),
        details: Set((!event.details.is_empty()).then_some(Value::Object(event.details))),
        created_at: Set(now),
    };
    audit_event::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

impl Store {
    /// Writes an event down by itself: of something that changes nothing.
    pub async fn record_event(&self, event: AuditEvent, now: DateTime<Utc>) -> Result<(), Error> {
        self.write(move |tx| Box::pin(record(tx, event, now))).await
    }

    /// Lists events, newest first, those before `before` only; of one application, or of all.
    pub async fn list_audit_events(
        &self,
        application: Option<ApplicationId>,
        before: Option<Uuid>,
        limit: u64,
    ) -> Result<Vec<AuditEvent>, Error> {
        let mut query = audit_event::Entity::find();
        if let Some(application) = application {
            query = query.filter(audit_event::Column::ApplicationId.eq(application.0));
        }
        if let Some(before) = before {
            query = query.filter(audit_event::Column::Id.lt(before));
        }
        let rows = query.order_by_desc(audit_event::Column::Id).limit(limit).all(&self.db).await?;
        let event = |row: audit_event::Model| AuditEvent {
            id: row.id,
            application_id: row.application_id.map(ApplicationId),
            api_key_id: row.api_key_id,
            role: row.role,
            action: row.action,
            target: row.target,
            details: match row.details {
                Some(Value::Object(details)) => details,
                _ => Map::new(),
            },
            created_at: row.created_at,
        };
        Ok(rows.into_iter().map(event).collect())
    }
}
