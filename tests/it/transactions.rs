//! Transactions, read: exact amounts, parties and their payment methods, pages.

use std::collections::HashSet;

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, PartyKind, PartyRole, PaymentMethodRole},
};
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, counters},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(
    amounts_come_back_digit_by_digit,
    parties_and_payment_methods_are_derived,
    transactions_page_while_an_import_runs,
    wrong_ids_and_tokens_are_refused,
);

const TRANSACTIONS: &str = include_str!("../fixtures/transactions.ndjson");

async fn page(tenant: &Tenant, page_size: i32, page_token: String) -> pb::ListTransactionsResponse {
    let request = pb::ListTransactionsRequest { page_size, page_token };
    tenant.client.transactions().list_transactions(request).await.expect("a page").into_inner()
}

async fn all(tenant: &Tenant, page_size: i32) -> Vec<pb::Transaction> {
    let (mut found, mut token) = (Vec::new(), String::new());
    loop {
        let next = page(tenant, page_size, token).await;
        found.extend(next.transactions);
        token = next.next_page_token;
        if token.is_empty() {
            return found;
        }
    }
}

async fn get(tenant: &Tenant, transaction_id: &str) -> Result<pb::TransactionDetail, tonic::Status> {
    let request = pb::GetTransactionRequest { transaction_id: transaction_id.to_owned() };
    let answer = tenant.client.transactions().get_transaction(request).await?;
    Ok(answer.into_inner().transaction.expect("a transaction"))
}

fn row(id: &str, at: &str, amount: &str) -> String {
    format!(
        "{{\"transaction_id\":\"{id}\",\"transaction_at\":\"{at}\",\"transaction_category\":\"finance\",\
         \"transaction_details\":{{\"direction\":\"in\",\"amount\":{amount},\"currency\":\"ETH\",\
         \"amount_in_default_currency\":{amount},\"default_currency\":\"EUR\"}},\
         \"subject\":{{\"vendor_data\":\"v\",\"full_name\":\"V\"}}}}\n"
    )
}

async fn amounts_come_back_digit_by_digit(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::Transactions).await;
    let amounts = [
        ("\"0.512345678901234567\"", "0.512345678901234567"),
        ("0.512345678901234567", "0.512345678901234567"),
        (
            "\"99999999999999999999999999999999999999.999999999999999999\"",
            "99999999999999999999999999999999999999.999999999999999999",
        ),
        ("12345678901234567890.000000000000000001", "12345678901234567890.000000000000000001"),
        ("1500.00", "1500"),
        ("\"0.10\"", "0.1"),
        ("\"-3.50\"", "-3.5"),
        ("0", "0"),
    ];
    let rows: String = amounts
        .iter()
        .enumerate()
        .map(|(n, (written, _))| row(&format!("t-{n}"), &format!("2024-01-01T00:00:{:02}Z", 59 - n), written))
        .collect();
    let import = tenant.import_as(spec, rows).await.expect("an import");
    assert_eq!(counters(&import), (8, 0, 0), "{:?}", tenant.row_errors(&import.uuid).await);
    for (listed, (_, amount)) in all(&tenant, 3).await.iter().zip(amounts) {
        assert_eq!(listed.amount, amount, "{}", listed.txn_id);
        let detail = get(&tenant, &listed.uuid).await.expect("a transaction");
        assert_eq!((detail.amount.as_str(), detail.amount_in_default_currency()), (amount, amount));
    }
}

async fn parties_and_payment_methods_are_derived(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::Transactions).await;
    tenant.import_as(spec, TRANSACTIONS).await.expect("an import");
    let mut details = Vec::new();
    for listed in all(&tenant, 50).await {
        details.push(get(&tenant, &listed.uuid).await.expect("a transaction"));
    }
    let of = |id: &str| details.iter().find(|detail| detail.txn_id == id).expect("a transaction");
    let kinds =
        |id: &str| of(id).parties.iter().map(|party| (party.role(), party.kind())).collect::<Vec<_>>();
    let (applicant, counterparty) = (PartyRole::Applicant, PartyRole::Counterparty);
    assert_eq!(kinds("pay-1"), [(applicant, PartyKind::User), (counterparty, PartyKind::Business)]);
    assert_eq!(kinds("pay-2"), [(applicant, PartyKind::User), (counterparty, PartyKind::External)]);
    assert_eq!(kinds("pay-3"), [(applicant, PartyKind::Business), (counterparty, PartyKind::External)]);
    assert_eq!(kinds("pay-4"), [(applicant, PartyKind::User)]);
    let methods = |id: &str| {
        let methods = of(id).payment_methods.iter();
        methods.map(|method| (method.role(), method.fingerprint.as_str())).collect::<Vec<_>>()
    };
    assert_eq!(
        methods("pay-1"),
        [
            // bank_account:DE00987654321000000000:DEU
            (PaymentMethodRole::Source, "0324ab4d070ffc7195073c4e9ecf88bae59506fe18f6db8fbe2aeb95aac25029"),
            // e_wallet:desk@hollowoak.example:
            (
                PaymentMethodRole::Destination,
                "f7ef05bb158a28976dd97e10b89fdf8b2e5f4c3c1039c1171eab69b350ef5043"
            ),
        ]
    );
    let roles: Vec<_> = methods("pay-2").iter().map(|(role, _)| *role).collect();
    assert_eq!(roles, [PaymentMethodRole::Destination, PaymentMethodRole::Source], "it came in");
    assert!(of("pay-3").payment_methods.is_empty());
    let uuids: HashSet<_> = details
        .iter()
        .flat_map(|detail| {
            let parts = detail.parties.iter().map(|party| &party.uuid);
            parts.chain(detail.payment_methods.iter().map(|method| &method.uuid)).chain([&detail.uuid])
        })
        .collect();
    assert_eq!(uuids.len(), 4 + 7 + 4, "every part has an id of its own");
}

async fn transactions_page_while_an_import_runs(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "20"]).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::Transactions).await;
    // Four share each moment, so that pages end between equal times.
    let old: String = (0..40)
        .map(|n| row(&format!("o-{n}"), &format!("2024-02-{:02}T00:00:00.5Z", 1 + n / 4), "1"))
        .collect();
    tenant.import_as(spec.clone(), old).await.expect("an import");
    let before: Vec<String> = all(&tenant, 1_000).await.into_iter().map(|one| one.uuid).collect();
    assert_eq!(before.len(), 40);
    let new: String = (0..300)
        .map(|n| row(&format!("n-{n}"), &format!("2024-02-{:02}T00:00:00.5Z", 1 + n % 10), "1"))
        .collect();
    let running = tenant.clone();
    let import = tokio::spawn(async move { running.import_as(spec, new).await.expect("an import") });
    for _ in 0..5 {
        let found = all(&tenant, 7).await;
        let key =
            |one: &pb::Transaction| (one.txn_date.map(|at| (at.seconds, at.nanos)), one.transaction_number);
        assert!(found.is_sorted_by(|newer, older| key(newer) > key(older)), "newest first, each once");
        let old: Vec<_> = found.iter().map(|one| &one.uuid).filter(|uuid| before.contains(uuid)).collect();
        assert_eq!(old, before.iter().collect::<Vec<_>>(), "what was there is there, in its order");
    }
    assert_eq!(counters(&import.await.expect("a task")), (300, 0, 0));
    assert_eq!(all(&tenant, 7).await.len(), 340);
}

async fn wrong_ids_and_tokens_are_refused(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    for id in ["", "pay-1", "00000000-0000-0000-0000-000000000000"] {
        assert_refused(get(&tenant, id).await, Code::NotFound, "NOT_FOUND");
    }
    for token in ["x", "1", ".", "1.x", "1.1", "9223372036854775807.1", "-9223372036854775808.1", "1.2.3"] {
        let request = pb::ListTransactionsRequest { page_size: 1, page_token: token.to_owned() };
        let answer = tenant.client.transactions().list_transactions(request).await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    }
}
