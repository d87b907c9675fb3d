//! A segment of status rules: its rules are staged beside those in force.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, FromQueryResult,
    QueryFilter, QuerySelect,
};
use serde_json::Value;
use uuid::Uuid;

use super::{in_version, settle};
use crate::{
    canonical::{record::Record, status_rule::StatusRule},
    domain::{
        import::Import,
        ledger::{Ledger, Outcome},
        refusal::Refusal,
    },
    store::{
        Batch, Committed, Store, audit,
        claims::Claim,
        commit::{
            ADD_COUNTERS, COMPLETE, FAIL, FENCE, MOVE_CHECKPOINT, OBEY_PAUSE, RecordRow, SEGMENT_DONE,
            Standing,
        },
        entities::{row_error, status_rule, workflow},
        error::Error,
        imports,
        warnings::{self, NewWarning},
    },
};

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

#[derive(FromQueryResult)]
struct Stored {
    stored_error_count: i64,
}

impl Store {
    /// Settles a segment of status rules: the transaction of [`Store::commit_segment`], by SeaORM.
    pub(in crate::store) async fn commit_rules(
        &self,
        claim: Arc<Claim>,
        import: &Import,
        batch: Batch,
        now: DateTime<Utc>,
    ) -> Result<Committed, Error> {
        let (store, import) = (self.clone(), import.clone());
        self.write(move |tx| Box::pin(commit(store, tx, claim, import, batch, now))).await
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
    let told = batch.warnings().map(|(of, ordinal, issue)| NewWarning {
        row_number: claim.range.first_row + i64::from(of.row),
        ordinal,
        line_number: of.line_number,
        byte_offset: of.byte_offset,
        byte_count: of.byte_count,
        external_id: of.external_id.clone(),
        issue: issue.clone(),
    });
    warnings::add(tx, application, id, told.collect(), now).await?;
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
        // Warnings are counted already.
        0_i64.into(),
        0_i64.into(),
    ]);
    let standing = tx.query_one_raw(store.statement(ADD_COUNTERS, add)).await?.ok_or(Error::LeaseLost)?;
    let standing = Standing::from_query_result(&standing, "")?;
    tx.execute_raw(store.statement(MOVE_CHECKPOINT, key())).await?;
    let end = match standing.fault(&import.spec.thresholds) {
        Some(fault) => {
            let values = [now.into(), fault.reason().into(), fault.to_string().into()];
            store.statement(FAIL, key().into_iter().chain(values))
        }
        None => store.statement(COMPLETE, key().into_iter().chain([now.into()])),
    };
    let ended = tx.execute_raw(end).await?.rows_affected() == 1;
    if ended {
        settle(tx, application, id, now).await?;
        let import = imports::find(tx, application, id).await?.ok_or(Error::LeaseLost)?;
        audit::record_end(tx, &import, now).await?;
    } else if standing.pause_requested {
        tx.execute_raw(store.statement(OBEY_PAUSE, key().into_iter().chain([now.into()]))).await?;
    }
    Ok(Committed { ended, counters })
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
        let kept = in_force.get(&record.id);
        let position = kept.map_or_else(|| new_position(version, claim, record), |kept| kept.position);
        let mut staged = model(import, workflow, claim, record, rule, position)?;
        let outcome = match kept {
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

/// Behind all rules of versions before, in the order of the source.
fn new_position(version: i32, claim: &Claim, record: &RecordRow) -> i64 {
    ((i64::from(version) + 1) << 32) + claim.range.first_row + i64::from(record.row)
}

fn model(
    import: &Import,
    workflow: Uuid,
    claim: &Claim,
    record: &RecordRow,
    rule: &StatusRule,
    position: i64,
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
        position: Set(position),
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
