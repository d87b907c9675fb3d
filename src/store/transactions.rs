//! Transactions, read.

use chrono::{DateTime, Utc};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use serde_json::Value;
use uuid::Uuid;

use super::{Store, entities::transaction, error::Error};
use crate::domain::ids::{ApplicationId, TransactionId};

/// A transaction as it is kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredTransaction {
    /// Whose it is.
    pub application_id: ApplicationId,
    /// Its id.
    pub id: Uuid,
    /// Its number.
    pub transaction_number: i64,
    /// Import that made it, or changed it last.
    pub import_id: Uuid,
    /// Row of that import.
    pub row_number: i64,
    /// Where it comes from.
    pub provider: String,
    /// Its id there.
    pub external_id: String,
    /// The customer's own id of it.
    pub txn_id: String,
    /// When it happened.
    pub transaction_at: DateTime<Utc>,
    /// What it is about.
    pub transaction_type: String,
    /// Deposit, withdrawal, …
    pub action_type: String,
    /// Seen from its subject.
    pub direction: String,
    /// An exact decimal.
    pub amount: String,
    /// Its currency.
    pub currency: String,
    /// The verdict.
    pub status: String,
    /// Risk score, 0 to 100.
    pub score: i32,
    /// How grave it is.
    pub severity: Option<String>,
    /// Whose transaction it is.
    pub subject: StoredParty,
    /// The other side.
    pub counterparty: StoredParty,
    /// What has no column.
    pub details: Option<Value>,
    /// Free data.
    pub metadata: Option<Value>,
}

/// A side of a transaction; all absent where the row told nothing of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredParty {
    /// What it is.
    pub entity_type: Option<String>,
    /// The customer's own id of the user or business.
    pub vendor_data: Option<String>,
    /// Its name.
    pub full_name: Option<String>,
    /// Its country.
    pub country: Option<String>,
}

impl From<transaction::Model> for StoredTransaction {
    fn from(row: transaction::Model) -> Self {
        Self {
            application_id: ApplicationId(row.application_id),
            id: row.id,
            transaction_number: row.transaction_number,
            import_id: row.import_id,
            row_number: row.row_number,
            provider: row.provider,
            external_id: row.external_id,
            txn_id: row.txn_id,
            transaction_at: row.transaction_at,
            transaction_type: row.transaction_type,
            action_type: row.action_type,
            direction: row.direction,
            amount: row.amount,
            currency: row.currency,
            status: row.status,
            score: row.score,
            severity: row.severity,
            subject: StoredParty {
                entity_type: row.subject_entity_type,
                vendor_data: row.subject_vendor_data,
                full_name: row.subject_name,
                country: row.subject_country,
            },
            counterparty: StoredParty {
                entity_type: row.counterparty_entity_type,
                vendor_data: row.counterparty_vendor_data,
                full_name: row.counterparty_name,
                country: row.counterparty_country,
            },
            details: row.details,
            metadata: row.metadata,
        }
    }
}

impl Store {
    /// Lists transactions, newest first by when they happened, those behind `after` (a time and a number)
    /// only.
    pub async fn list_transactions(
        &self,
        application: ApplicationId,
        after: Option<(DateTime<Utc>, i64)>,
        limit: u64,
    ) -> Result<Vec<StoredTransaction>, Error> {
        use transaction::Column;
        let mut query = transaction::Entity::find().filter(Column::ApplicationId.eq(application.0));
        if let Some((time, number)) = after {
            let same_time = Condition::all()
                .add(Column::TransactionAt.eq(time))
                .add(Column::TransactionNumber.lt(number));
            query = query.filter(Condition::any().add(Column::TransactionAt.lt(time)).add(same_time));
        }
        let rows = query
            .order_by_desc(Column::TransactionAt)
            .order_by_desc(Column::TransactionNumber)
            .limit(limit)
            .all(&self.db)
            .await?;
        Ok(rows.into_iter().map(StoredTransaction::from).collect())
    }

    /// A transaction of the application.
    pub async fn find_transaction(
        &self,
        application: ApplicationId,
        id: TransactionId,
    ) -> Result<Option<StoredTransaction>, Error> {
        let row = transaction::Entity::find_by_id((application.0, id.0)).one(&self.db).await?;
        Ok(row.map(StoredTransaction::from))
    }
}
