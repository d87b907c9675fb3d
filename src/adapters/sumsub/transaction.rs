//! A transaction of Sumsub's monitoring.

use super::answered;
use crate::{
    adapters::{
        draft::Draft,
        metadata::Metadata,
        normal::{fold, spaced},
        payment::{Party, Payment, score},
        person::{no_id, no_verdict},
        registry::Export,
        shape::{self, Leaf, List, Raw, shape},
    },
    canonical::{
        object_writer::ObjectWriter,
        party::EntityType,
        status::SessionStatus,
        transaction::{Direction, TransactionCategory, TransactionStatus},
    },
    domain::{import::ImportType, issue::Issue},
};

use super::shapes::Review;

shape! {
    /// A transaction with what monitoring found.
    struct Transaction {
        id: Leaf = "id",
        external_user_id: Leaf = "externalUserId",
        applicant_id: Leaf = "applicantId",
        data: Data = "data",
        score: Leaf = "score",
        review: Review = "review",
        scoring: Raw = "scoringResult",
        typed_tags: Raw = "typedTags",
        inactive: Leaf = "txnInactive",
    }

    /// What the customer reported.
    struct Data {
        id: Leaf = "txnId",
        date: Leaf = "txnDate",
        zone: Leaf = "zoneId",
        kind: Leaf = "type",
        info: Info = "info",
        applicant: Side = "applicant",
        counterparty: Side = "counterparty",
        props: Raw = "props",
    }

    /// The movement of money.
    struct Info {
        kind: Leaf = "type",
        direction: Leaf = "direction",
        amount: Leaf = "amount",
        currency: Leaf = "currencyCode",
        currency_kind: Leaf = "currencyType",
        amount_in_default: Leaf = "amountInDefaultCurrency",
        default_currency: Leaf = "defaultCurrencyCode",
        details: Leaf = "paymentDetails",
        reference: Leaf = "paymentTxnId",
        mcc: Leaf = "mcc",
        crypto: Raw = "cryptoParams",
    }

    /// A side of it.
    struct Side {
        external_user_id: Leaf = "externalUserId",
        kind: Leaf = "type",
        full_name: Leaf = "fullName",
        first_name: Leaf = "firstName",
        last_name: Leaf = "lastName",
        dob: Leaf = "dob",
        address: Address = "address",
        method: Method = "paymentMethod",
        institution: Raw = "institutionInfo",
        device: Raw = "device",
    }

    /// Where a side is.
    struct Address {
        country: Leaf = "country",
        town: Leaf = "town",
        state: Leaf = "state",
        street: Leaf = "street",
        post_code: Leaf = "postCode",
    }

    /// How a side pays or is paid.
    struct Method { kind: Leaf = "type", account_id: Leaf = "accountId", country: Leaf = "issuingCountry" }

    /// What monitoring found.
    struct Scoring { score: Leaf = "score", action: Leaf = "action", rules: List<Rule> = "matchedRules" }

    /// A rule that was met.
    struct Rule { name: Leaf = "name" }
}

/// Reads a transaction.
pub(super) fn read(export: &Export<'_>, draft: &mut Draft<'_>) -> Result<(), Issue> {
    export.must_be(ImportType::Transactions, "a transaction")?;
    let transaction = shape::read::<Transaction<'_>>(export.record, draft);
    let Transaction { data, review, .. } = &transaction;
    let info = &data.info;
    let state = review.status.get().or(review.result.answer.get());
    let status = status_of(review.status.get(), review.result.answer.get());
    if let (Some(word), None) = (state, status) {
        draft.warn_of_status(word, "the transaction is in review");
    }
    let mut subject = party(&data.applicant);
    subject.vendor_data = subject.vendor_data.or_else(|| transaction.external_user_id.pick());
    let payment = Payment {
        external_id: transaction.id.pick(),
        transaction_id: data.id.pick(),
        at: data.date.pick(),
        time_zone: data.zone.pick(),
        category: category(data.kind.get()),
        action_type: info.kind.pick(),
        direction: info.direction.get().and_then(Direction::parse),
        amount: info.amount.pick(),
        currency: info.currency.pick(),
        currency_kind: info.currency_kind.pick(),
        amount_in_default: info.amount_in_default.pick(),
        default_currency: info.default_currency.pick(),
        details: info.details.pick(),
        reference: info.reference.pick(),
        status: state.map(|_| status.unwrap_or(TransactionStatus::InReview)),
        source_status: spaced([review.status.get(), review.result.answer.get()]),
        score: transaction.score.get().and_then(score),
        subject,
        counterparty: party(&data.counterparty),
        results: results(&transaction),
        properties: data.props.get().filter(|raw| raw.starts_with('{')),
        tags: None,
    };
    let mut metadata = Metadata::default();
    review.result.labels.iter().filter_map(Leaf::get).for_each(|label| metadata.reason(label));
    metadata.text("reject_type", review.result.reject_type.get());
    metadata.text("client_comment", review.result.client_comment.get());
    metadata.text("attempt_id", review.attempt_id.get());
    metadata.text("applicant_id", transaction.applicant_id.get());
    metadata.text("mcc", info.mcc.get());
    metadata.raw("crypto_params", info.crypto.get());
    metadata.raw("typed_tags", transaction.typed_tags.get());
    metadata.flag("source_inactive", transaction.inactive.is_true());
    let result = match (&payment.external_id, state) {
        (None, _) => Err(no_id("id")),
        (_, None) => Err(no_verdict("review.reviewStatus and no reviewAnswer")),
        _ => Ok(()),
    };
    payment.write(metadata, draft);
    result
}

/// The verdict on a transaction: an answer counts once its review is completed.
fn status_of(state: Option<&str>, answer: Option<&str>) -> Option<TransactionStatus> {
    match state.map(fold).as_deref() {
        None | Some("completed") => Some(match answered(answer?)? {
            SessionStatus::Approved => TransactionStatus::Approved,
            SessionStatus::Declined => TransactionStatus::Declined,
            _ => TransactionStatus::InReview,
        }),
        Some("onhold" | "pending" | "init" | "queued" | "prechecked" | "awaitingservice") => {
            Some(TransactionStatus::InReview)
        }
        Some("awaitinguser") => Some(TransactionStatus::AwaitingUser),
        Some(_) => None,
    }
}

fn category(kind: Option<&str>) -> Option<TransactionCategory> {
    let kind = kind?;
    TransactionCategory::parse(kind).or_else(|| {
        let is_game = ["gambling", "iGaming"].iter().any(|word| kind.starts_with(word));
        is_game.then_some(TransactionCategory::GamblingBet)
    })
}

fn party<'a>(side: &'a Side<'a>) -> Party<'a> {
    let kind = side.kind.get().map(|kind| EntityType::parse(kind).unwrap_or(EntityType::External).as_str());
    Party {
        kind,
        vendor_data: side.external_user_id.pick(),
        full_name: side.full_name.pick(),
        first_name: side.first_name.pick(),
        last_name: side.last_name.pick(),
        date_of_birth: side.dob.pick(),
        country: side.address.country.pick(),
        town: side.address.town.pick(),
        state: side.address.state.pick(),
        street: side.address.street.pick(),
        post_code: side.address.post_code.pick(),
        method: side.method.kind.pick(),
        account_id: side.method.account_id.pick(),
        issuing_country: side.method.country.pick(),
        institution: side.institution.get().filter(|raw| raw.starts_with('{')),
        device: side.device.get().filter(|raw| raw.starts_with('{')),
    }
}

/// What monitoring found, as one result.
fn results(transaction: &Transaction<'_>) -> Option<String> {
    let raw = transaction.scoring.get().filter(|raw| raw.starts_with('{'))?;
    let scoring: Scoring<'_> = transaction.scoring.read();
    let is_crypto = transaction.data.info.currency_kind.get().map(fold).as_deref() == Some("crypto");
    let names: Vec<_> = scoring.rules.iter().filter_map(|rule| rule.name.get()).collect();
    let mut json = String::from("[");
    let mut out = ObjectWriter::new(&mut json);
    out.word("provider", "sumsub");
    out.word("result_type", if is_crypto { "TRANSACTION_SCREENING" } else { "FIAT_MONITORING" });
    if let Some(action) = scoring.action.get() {
        out.text("status", action);
    }
    if let Some(score) = scoring.score.get().and_then(score) {
        out.raw("score", &score);
    }
    if !names.is_empty() {
        out.text("summary", &names.join("; "));
    }
    out.raw("payload", raw);
    out.close();
    json.push(']');
    Some(json)
}
