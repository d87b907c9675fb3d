//! `TransactionService`.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Utc};
use tonic::{Request, Response, Status};

use super::{
    auth, convert,
    page::Page,
    pb::{self, transaction_service_server::TransactionService},
    spec,
};
use crate::{
    domain::{ids::TransactionId, refusal::Role},
    records::Records,
    store::StoredTransaction,
};

pub(super) struct Service {
    pub(super) records: Records,
}

/// Behind which transaction a page begins: its time, in microseconds on the wire, and its number.
struct Place {
    time: DateTime<Utc>,
    number: i64,
}

impl From<&StoredTransaction> for Place {
    fn from(last: &StoredTransaction) -> Self {
        Self { time: last.transaction_at, number: last.transaction_number }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.time.timestamp_micros(), self.number)
    }
}

impl FromStr for Place {
    type Err = ();

    fn from_str(token: &str) -> Result<Self, ()> {
        let (micros, number) = token.split_once('.').ok_or(())?;
        let time = micros.parse().ok().and_then(DateTime::from_timestamp_micros).filter(|time| {
            // Databases keep no other years.
            (1..=9999).contains(&time.year())
        });
        Ok(Self { time: time.ok_or(())?, number: number.parse().map_err(|_| ())? })
    }
}

#[tonic::async_trait]
impl TransactionService for Service {
    async fn list_transactions(
        &self,
        request: Request<pb::ListTransactionsRequest>,
    ) -> Result<Response<pb::ListTransactionsResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let (page, after) = Page::of(Some(application), &mut request.into_inner())?;
        let after = after.map(|place: Place| (place.time, place.number));
        let transactions = self.records.list_transactions(application, after, page.limit()).await?;
        let (transactions, next_page_token) =
            page.cut(transactions, convert::transaction, |last, _| Place::from(last));
        Ok(Response::new(pb::ListTransactionsResponse { transactions, next_page_token }))
    }

    async fn get_transaction(
        &self,
        request: Request<pb::GetTransactionRequest>,
    ) -> Result<Response<pb::GetTransactionResponse>, Status> {
        let application = auth::application(&request, Role::Reader)?;
        let id = TransactionId(spec::id(&request.get_ref().transaction_id, "transaction")?);
        let transaction = self.records.get_transaction(application, id).await?;
        let transaction = Some(convert::transaction_detail(transaction));
        Ok(Response::new(pb::GetTransactionResponse { transaction }))
    }
}
