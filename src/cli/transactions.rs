//! `carryover transactions`.

use clap::Subcommand;

use super::{
    Done, Failure, output,
    page::{OneArgs, Page, day, print, shown},
};
use crate::grpc::pb;

/// What to ask of transactions.
#[derive(Debug, Subcommand)]
pub(super) enum TransactionsCommand {
    /// List transactions, newest first by when they happened
    List(Page),
    /// Show a transaction by its uuid
    Get(OneArgs),
}

pub(super) async fn run(command: TransactionsCommand) -> Result<Done, Failure> {
    match command {
        TransactionsCommand::List(page) => {
            let client = page.connection.open().await?;
            let request =
                pb::ListTransactionsRequest { page_size: page.limit, page_token: page.page_token.clone() };
            let answer = client.transactions().list_transactions(request).await?.into_inner();
            page.print(&answer.transactions, &answer.next_page_token, line)?;
        }
        TransactionsCommand::Get(args) => {
            let client = args.connection.open().await?;
            let request = pb::GetTransactionRequest { transaction_id: args.id };
            let answer = client.transactions().get_transaction(request).await?.into_inner();
            print(answer.transaction.as_ref(), args.json)?;
        }
    }
    Ok(Done::Well)
}

fn line(transaction: &pb::Transaction) -> String {
    format!(
        "{}  {}  {:<13}  {:<8}  {:>24} {:<5}  {:<24}  {}",
        day(transaction.txn_date.as_ref()),
        transaction.uuid,
        output::word_of(transaction, "status"),
        output::word_of(transaction, "direction"),
        transaction.amount,
        output::printable(&transaction.currency),
        output::printable(&transaction.txn_id),
        shown(transaction.subject_name.as_ref()),
    )
}
