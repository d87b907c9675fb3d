//! Status rules of a workflow, and the versions that publish them.
//!
//! A running import stages its rules beside those in force; the version that puts them in force is made in
//! the transaction that completes the import, so that either all of them are or none. Imports of rules are
//! small, so this is one code for both databases.

mod staging;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, sea_query::Expr,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Store,
    entities::{import, status_rule, workflow, workflow_version},
    error::Error,
    imports::{self, active_of},
};
use crate::domain::{
    ids::{ApplicationId, ImportId, WorkflowId},
    import::{Import, ImportStatus, ImportType},
    refusal::Refusal,
};

/// A rule as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRule {
    /// Its id, derived from its identity.
    pub id: Uuid,
    /// Import that wrote it.
    pub import_id: Uuid,
    /// Row of that import.
    pub row_number: i64,
    /// Version that put it in force.
    pub version: i32,
    /// The caller's id of it.
    pub external_id: Option<String>,
    /// Which check it is about.
    pub feature: String,
    /// Node of the workflow.
    pub node_id: Option<String>,
    /// Path of what is looked at.
    pub field: String,
    /// How it is compared.
    pub operator: String,
    /// With what.
    pub value: Option<Value>,
    /// What the value is.
    pub value_type: String,
    /// Least similarity of a fuzzy match.
    pub score: Option<f64>,
    /// What the feature's status becomes.
    pub status: String,
    /// Place among the rules of its feature.
    pub priority: Option<i32>,
}

/// A published version of a workflow's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowVersion {
    /// Its number, from 1.
    pub version: i32,
    /// Import that published it.
    pub import_id: Uuid,
    /// When.
    pub created_at: DateTime<Utc>,
}

impl From<status_rule::Model> for StoredRule {
    fn from(row: status_rule::Model) -> Self {
        Self {
            id: row.id,
            import_id: row.import_id,
            row_number: row.row_number,
            version: row.valid_from.unwrap_or(0),
            external_id: row.external_id,
            feature: row.feature,
            node_id: row.node_id,
            field: row.field,
            operator: row.operator,
            value: row.value,
            value_type: row.value_type,
            score: row.score.and_then(|score| score.parse().ok()),
            status: row.status,
            priority: row.priority,
        }
    }
}

/// Rules of a workflow that `version` holds.
fn in_version(application: Uuid, workflow: Uuid, version: i32) -> sea_orm::Select<status_rule::Entity> {
    use status_rule::Column;
    let behind = Condition::any().add(Column::ValidUntil.is_null()).add(Column::ValidUntil.gt(version));
    status_rule::Entity::find()
        .filter(Column::ApplicationId.eq(application))
        .filter(Column::WorkflowId.eq(workflow))
        .filter(Column::ValidFrom.lte(version))
        .filter(behind)
}

/// Refuses a second import of rules into one workflow, or the revert of one: both would go by the same version.
pub(super) async fn check_alone(
    tx: &DatabaseTransaction,
    application: Uuid,
    workflow: Uuid,
) -> Result<(), Error> {
    for row in active_of(application).all(tx).await? {
        let active = row.into_domain()?;
        let spec = &active.spec;
        if spec.import_type == ImportType::StatusRules && spec.workflow_id == Some(WorkflowId(workflow)) {
            return Err(Refusal::RulesInWork { import: active.id }.into());
        }
    }
    Ok(())
}

/// Forgets the rules an import staged; of one that completed there are none.
pub(super) async fn discard(
    tx: &impl ConnectionTrait,
    application: ApplicationId,
    id: ImportId,
) -> Result<(), Error> {
    use status_rule::Column;
    status_rule::Entity::delete_many()
        .filter(Column::ApplicationId.eq(application.0))
        .filter(Column::ImportId.eq(id.0))
        .filter(Column::ValidFrom.is_null())
        .exec(tx)
        .await?;
    Ok(())
}

/// Publishes what an import of rules staged, if it has completed; forgets it if it has failed, or was a
/// dry run. Of other imports there is nothing to settle.
pub(super) async fn settle(
    tx: &DatabaseTransaction,
    application: ApplicationId,
    id: ImportId,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let row = import::Entity::find_by_id((application.0, id.0)).one(tx).await?;
    let import = row.ok_or(Refusal::NotFound("import"))?.into_domain()?;
    if import.spec.import_type != ImportType::StatusRules {
        return Ok(());
    }
    match import.spec.workflow_id {
        Some(workflow) if import.status == ImportStatus::Completed && !import.spec.dry_run => {
            publish(tx, &import, workflow.0, now).await
        }
        _ => discard(tx, application, id).await,
    }
}

async fn publish(
    tx: &DatabaseTransaction,
    import: &Import,
    workflow: Uuid,
    now: DateTime<Utc>,
) -> Result<(), Error> {
    use status_rule::Column;
    let application = import.application_id.0;
    status_rule::Entity::delete_many()
        .filter(Column::ApplicationId.eq(application))
        .filter(Column::ImportId.eq(import.id.0))
        .filter(Column::ValidFrom.is_null())
        .filter(Column::ValidUntil.is_not_null())
        .exec(tx)
        .await?;
    let staged = |query: sea_orm::Select<status_rule::Entity>| {
        query
            .filter(Column::ApplicationId.eq(application))
            .filter(Column::WorkflowId.eq(workflow))
            .filter(Column::ImportId.eq(import.id.0))
            .filter(Column::ValidFrom.is_null())
    };
    let ids: Vec<Uuid> =
        staged(status_rule::Entity::find()).select_only().column(Column::Id).into_tuple().all(tx).await?;
    if ids.is_empty() {
        return Ok(());
    }
    let current = workflow::Entity::find_by_id((application, workflow)).one(tx).await?;
    let version = current.ok_or(Refusal::NotFound("workflow"))?.version + 1;
    for ids in ids.chunks(500) {
        status_rule::Entity::update_many()
            .col_expr(Column::ValidUntil, Expr::value(version))
            .filter(Column::ApplicationId.eq(application))
            .filter(Column::WorkflowId.eq(workflow))
            .filter(Column::Id.is_in(ids.iter().copied()))
            .filter(Column::ValidFrom.is_not_null())
            .filter(Column::ValidUntil.is_null())
            .exec(tx)
            .await?;
    }
    status_rule::Entity::update_many()
        .col_expr(Column::ValidFrom, Expr::value(version))
        .filter(Column::ApplicationId.eq(application))
        .filter(Column::ImportId.eq(import.id.0))
        .filter(Column::ValidFrom.is_null())
        .exec(tx)
        .await?;
    workflow::Entity::update_many()
        .col_expr(workflow::Column::Version, Expr::value(version))
        .filter(workflow::Column::ApplicationId.eq(application))
        .filter(workflow::Column::Id.eq(workflow))
        .exec(tx)
        .await?;
    let row = workflow_version::ActiveModel {
        application_id: Set(application),
        workflow_id: Set(workflow),
        version: Set(version),
        import_id: Set(import.id.0),
        created_at: Set(now),
    };
    workflow_version::Entity::insert(row).exec_without_returning(tx).await?;
    Ok(())
}

/// Takes back the version that an import published, as if it had never been; tells whether it was in force,
/// without which nothing is done. Versions below it whose imports were reverted before go with it.
pub(super) async fn withdraw(tx: &DatabaseTransaction, import: &Import) -> Result<bool, Error> {
    let withdrawn = withdraw_version(tx, import).await?;
    let mut below = withdrawn;
    while below {
        below = match import_in_force(tx, import).await? {
            Some(earlier) if earlier.status == ImportStatus::Reverted => {
                withdraw_version(tx, &earlier).await?
            }
            _ => false,
        };
    }
    Ok(withdrawn)
}

/// The import that published the version in force of a workflow.
async fn import_in_force(tx: &DatabaseTransaction, import: &Import) -> Result<Option<Import>, Error> {
    let application = import.application_id;
    let workflow_id = import.spec.workflow_id.map(|id| id.0).ok_or(Error::Corrupt("imports.spec"))?;
    let newest = workflow_version::Entity::find()
        .filter(workflow_version::Column::ApplicationId.eq(application.0))
        .filter(workflow_version::Column::WorkflowId.eq(workflow_id))
        .order_by_desc(workflow_version::Column::Version)
        .one(tx)
        .await?;
    match newest {
        Some(version) => imports::find(tx, application, ImportId(version.import_id)).await,
        None => Ok(None),
    }
}

async fn withdraw_version(tx: &DatabaseTransaction, import: &Import) -> Result<bool, Error> {
    use status_rule::Column;
    let (application, workflow_id) = (import.application_id.0, import.spec.workflow_id.map(|id| id.0));
    let workflow_id = workflow_id.ok_or(Error::Corrupt("imports.spec"))?;
    let current = workflow::Entity::find_by_id((application, workflow_id)).one(tx).await?;
    let version = current.ok_or(Refusal::NotFound("workflow"))?.version;
    let withdrawn = workflow_version::Entity::delete_many()
        .filter(workflow_version::Column::ApplicationId.eq(application))
        .filter(workflow_version::Column::WorkflowId.eq(workflow_id))
        .filter(workflow_version::Column::Version.eq(version))
        .filter(workflow_version::Column::ImportId.eq(import.id.0))
        .exec(tx)
        .await?;
    if withdrawn.rows_affected == 0 {
        return Ok(false);
    }
    status_rule::Entity::delete_many()
        .filter(Column::ApplicationId.eq(application))
        .filter(Column::WorkflowId.eq(workflow_id))
        .filter(Column::ValidFrom.eq(version))
        .exec(tx)
        .await?;
    status_rule::Entity::update_many()
        .col_expr(Column::ValidUntil, Expr::value(Option::<i32>::None))
        .filter(Column::ApplicationId.eq(application))
        .filter(Column::WorkflowId.eq(workflow_id))
        .filter(Column::ValidUntil.eq(version))
        .exec(tx)
        .await?;
    workflow::Entity::update_many()
        .col_expr(workflow::Column::Version, Expr::value(version - 1))
        .filter(workflow::Column::ApplicationId.eq(application))
        .filter(workflow::Column::Id.eq(workflow_id))
        .exec(tx)
        .await?;
    Ok(true)
}

impl Store {
    /// The rules a version of a workflow holds, in the order in which they are asked: by feature, then
    /// priority, then as they were first imported; at most `limit`, behind the first `skip`.
    pub async fn list_status_rules(
        &self,
        application: ApplicationId,
        workflow: WorkflowId,
        version: i32,
        skip: u64,
        limit: u64,
    ) -> Result<Vec<StoredRule>, Error> {
        use status_rule::Column;
        let rows = in_version(application.0, workflow.0, version)
            .order_by_asc(Column::Feature)
            .order_by_asc(Expr::cust("CASE WHEN priority IS NULL THEN 1 ELSE 0 END"))
            .order_by_asc(Column::Priority)
            .order_by_asc(Column::Position)
            .offset(skip)
            .limit(limit)
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(StoredRule::from).collect())
    }

    /// The published versions of a workflow, newest first, those below `before` only.
    pub async fn list_workflow_versions(
        &self,
        application: ApplicationId,
        workflow: WorkflowId,
        before: Option<i32>,
        limit: u64,
    ) -> Result<Vec<WorkflowVersion>, Error> {
        let mut query = workflow_version::Entity::find()
            .filter(workflow_version::Column::ApplicationId.eq(application.0))
            .filter(workflow_version::Column::WorkflowId.eq(workflow.0));
        if let Some(before) = before {
            query = query.filter(workflow_version::Column::Version.lt(before));
        }
        let rows = query.order_by_desc(workflow_version::Column::Version).limit(limit).all(&self.db).await?;
        let version = |row: workflow_version::Model| WorkflowVersion {
            version: row.version,
            import_id: row.import_id,
            created_at: row.created_at,
        };
        Ok(rows.into_iter().map(version).collect())
    }
}
