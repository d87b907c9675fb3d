//! Status rules of a workflow, and the versions that publish them.
//!
//! A running import stages its rules beside those in force; the version that puts them in force is made in
//! the transaction that completes the import, so that either all of them are or none. Imports of rules are
//! small, so this is one code for both databases.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, DatabaseTransaction, EntityTrait,
    FromQueryResult, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Batch, Committed, Store,
    claims::Claim,
    commit::{ADD_COUNTERS, COMPLETE, FENCE, MOVE_CHECKPOINT, RecordRow, SEGMENT_DONE},
    entities::{import, row_error, status_rule, workflow, workflow_version},
    error::Error,
    imports::ACTIVE,
};
use crate::{
    canonical::{record::Record, status_rule::StatusRule},
    domain::{
        ids::{ApplicationId, ImportId, WorkflowId},
        import::{Import, ImportStatus, ImportType},
        ledger::{Ledger, Outcome},
        refusal::Refusal,
    },
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

/// Whether a kept rule says what a row says.
fn says(kept: &status_rule::Model, rule: &StatusRule) -> bool {
    let value: Option<Value> = rule.value.as_deref().and_then(|value| serde_json::from_str(value).ok());
    kept.feature == rule.feature.as_str()
        && kept.node_id == rule.node_id
        && kept.field == rule.field
        && kept.operator == rule.operator.as_str()
        && kept.value == value
        && kept.value_type == rule.value_type.as_str()
        && kept.score == rule.score
        && kept.status == rule.status.as_str()
        && kept.priority == rule.priority
}

/// Refuses a second import of rules into one workflow: both would be compared with the same version.
pub(super) async fn check_alone(
    tx: &DatabaseTransaction,
    application: Uuid,
    workflow: Uuid,
) -> Result<(), Error> {
    let active = import::Entity::find()
        .filter(import::Column::ApplicationId.eq(application))
        .filter(import::Column::Status.is_in(ACTIVE.map(ImportStatus::as_str)))
        .all(tx)
        .await?;
    for row in active {
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

#[derive(FromQueryResult)]
struct Stored {
    stored_error_count: i64,
}

impl Store {
    /// Settles a segment of status rules: the transaction of [`Store::commit_segment`], by SeaORM.
    pub(super) async fn commit_rules(
        &self,
        claim: Arc<Claim>,
        import: &Import,
        batch: Batch,
        now: DateTime<Utc>,
    ) -> Result<Committed, Error> {
        let (store, import) = (self.clone(), import.clone());
        self.write(move |tx| Box::pin(commit(store, tx, claim, import, batch, now))).await
    }

    /// The rules a version of a workflow holds, in the order in which they are asked: by feature, then
    /// priority, then as they were imported; at most `limit`, behind the first `skip`.
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
            .order_by_asc(Column::ValidFrom)
            .order_by_asc(Column::RowNumber)
            .offset(skip)
            .limit(limit)
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(StoredRule::from).collect())
    }

    /// The published versions of a workflow, newest first.
    pub async fn list_workflow_versions(
        &self,
        application: ApplicationId,
        workflow: WorkflowId,
    ) -> Result<Vec<WorkflowVersion>, Error> {
        let rows = workflow_version::Entity::find()
            .filter(workflow_version::Column::ApplicationId.eq(application.0))
            .filter(workflow_version::Column::WorkflowId.eq(workflow.0))
            .order_by_desc(workflow_version::Column::Version)
            .limit(1_000)
            .all(&self.db)
            .await?;
        let version = |row: workflow_version::Model| WorkflowVersion {
            version: row.version,
            import_id: row.import_id,
            created_at: row.created_at,
        };
        Ok(rows.into_iter().map(version).collect())
    }
}

async fn commit(
    store: Store,
    tx: &DatabaseTransaction,
    claim: Arc<Claim>,
    import: Import,
    batch: Batch,
    now: DateTime<Utc>,
) -> Result<Committed, Error> {
    let (application, id) = (claim.application_id, claim.import_id);
    let key = || [application.0.into(), id.0.into()];
    let fence = key().into_iter().chain([claim.range.seq.into(), claim.epoch.into(), claim.owner.into()]);
    let held = tx.query_one_raw(store.statement(FENCE, fence)).await?.ok_or(Error::LeaseLost)?;
    let stored = Stored::from_query_result(&held, "")?.stored_error_count;
    let workflow = import.spec.workflow_id.ok_or(Error::Corrupt("imports.spec"))?.0;
    let mut ledger = Ledger::new(batch.rows);
    let mut duplicates = batch.duplicates.len() as i64;
    for row in &batch.duplicates {
        ledger.set(*row as usize, Outcome::Skipped);
    }
    duplicates += stage(tx, &import, workflow, &claim, &batch.records, &mut ledger).await?;
    let kept = write_row_errors(tx, &import, &claim, &batch, &mut ledger, stored, now).await?;
    let done = key().into_iter().chain([claim.range.seq.into(), ledger.as_bytes().to_vec().into()]);
    tx.execute_raw(store.statement(SEGMENT_DONE, done)).await?;
    let counters = ledger.counters();
    let add = key().into_iter().chain([
        counters.created.into(),
        counters.updated.into(),
        counters.skipped.into(),
        counters.failed.into(),
        duplicates.into(),
        i64::from(claim.range.bytes).into(),
        now.into(),
        kept.into(),
    ]);
    if tx.execute_raw(store.statement(ADD_COUNTERS, add)).await?.rows_affected() != 1 {
        return Err(Error::LeaseLost);
    }
    tx.execute_raw(store.statement(MOVE_CHECKPOINT, key())).await?;
    let complete = store.statement(COMPLETE, key().into_iter().chain([now.into()]));
    let ended = tx.execute_raw(complete).await?.rows_affected() == 1;
    if ended {
        settle(tx, application, id, now).await?;
    }
    Ok(Committed { ended })
}

/// Stages rules, and gives how many stand earlier in the same source. One that says what the version in
/// force says is staged as ended, and never published: it keeps later rows from taking its place. Rows of
/// one import of rules are settled in order, so the first is first.
async fn stage(
    tx: &DatabaseTransaction,
    import: &Import,
    workflow: Uuid,
    claim: &Claim,
    records: &[RecordRow],
    ledger: &mut Ledger,
) -> Result<i64, Error> {
    let application = import.application_id.0;
    let version = workflow::Entity::find_by_id((application, workflow))
        .one(tx)
        .await?
        .ok_or(Refusal::NotFound("workflow"))?
        .version;
    let in_force = in_version(application, workflow, version).all(tx).await?;
    let in_force: HashMap<Uuid, status_rule::Model> = in_force.into_iter().map(|row| (row.id, row)).collect();
    let staged: HashSet<Uuid> = status_rule::Entity::find()
        .select_only()
        .column(status_rule::Column::Id)
        .filter(status_rule::Column::ApplicationId.eq(application))
        .filter(status_rule::Column::ImportId.eq(import.id.0))
        .filter(status_rule::Column::ValidFrom.is_null())
        .into_tuple()
        .all(tx)
        .await?
        .into_iter()
        .collect();
    let mut new = Vec::new();
    let mut duplicates = 0;
    for record in records {
        let Record::Rule(rule) = &record.record else { continue };
        let row = record.row as usize;
        if staged.contains(&record.id) {
            duplicates += 1;
            ledger.set(row, Outcome::Skipped);
            continue;
        }
        let mut staged = model(import, workflow, claim, record, rule)?;
        let outcome = match in_force.get(&record.id) {
            Some(kept) if says(kept, rule) => {
                staged.valid_until = Set(Some(version));
                Outcome::Skipped
            }
            Some(_) => Outcome::Updated,
            None => Outcome::Created,
        };
        ledger.set(row, outcome);
        new.push(staged);
    }
    for new in new.chunks(200) {
        status_rule::Entity::insert_many(new.to_vec()).exec_without_returning(tx).await?;
    }
    Ok(duplicates)
}

fn model(
    import: &Import,
    workflow: Uuid,
    claim: &Claim,
    record: &RecordRow,
    rule: &StatusRule,
) -> Result<status_rule::ActiveModel, Error> {
    let value = match &rule.value {
        Some(value) => Some(serde_json::from_str(value).map_err(|_| Error::Corrupt("rule value"))?),
        None => None,
    };
    Ok(status_rule::ActiveModel {
        application_id: Set(import.application_id.0),
        workflow_id: Set(workflow),
        import_id: Set(import.id.0),
        id: Set(record.id),
        row_number: Set(claim.range.first_row + i64::from(record.row)),
        valid_from: Set(None),
        valid_until: Set(None),
        external_id: Set(rule.external_id.clone()),
        feature: Set(rule.feature.as_str().to_owned()),
        node_id: Set(rule.node_id.clone()),
        field: Set(rule.field.clone()),
        operator: Set(rule.operator.as_str().to_owned()),
        value: Set(value),
        value_type: Set(rule.value_type.as_str().to_owned()),
        score: Set(rule.score.clone()),
        status: Set(rule.status.as_str().to_owned()),
        priority: Set(rule.priority),
    })
}

async fn write_row_errors(
    tx: &DatabaseTransaction,
    import: &Import,
    claim: &Claim,
    batch: &Batch,
    ledger: &mut Ledger,
    stored: i64,
    now: DateTime<Utc>,
) -> Result<i64, Error> {
    for failure in &batch.failures {
        ledger.set(failure.row as usize, Outcome::Failed);
    }
    let room = import.limits.stored_row_errors.saturating_sub(stored.unsigned_abs());
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(batch.failures.len());
    for failures in batch.failures[..room].chunks(200) {
        let rows = failures.iter().map(|failure| {
            Ok(row_error::ActiveModel {
                application_id: Set(claim.application_id.0),
                import_id: Set(claim.import_id.0),
                row_number: Set(claim.range.first_row + i64::from(failure.row)),
                line_number: Set(failure.line_number),
                byte_offset: Set(failure.byte_offset),
                byte_count: Set(failure.byte_count),
                external_id: Set(failure.external_id.clone()),
                issues: Set(serde_json::to_value(&failure.issues).map_err(|_| Error::Corrupt("issue"))?),
                created_at: Set(now),
            })
        });
        let rows = rows.collect::<Result<Vec<_>, Error>>()?;
        row_error::Entity::insert_many(rows).exec_without_returning(tx).await?;
    }
    Ok(room as i64)
}
