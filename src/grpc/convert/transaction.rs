//! Transactions.

use serde_json::Value as Json;

use super::{find_object, list, object, timestamp, word};
use crate::{
    canonical::party::{PartyKind, Side},
    grpc::pb,
    records::{
        part_id, tags,
        transaction::{self as derived, End, Party},
    },
    store::StoredTransaction,
};

fn status(word_of: &str) -> i32 {
    word("TRANSACTION_STATUS", word_of, pb::TransactionStatus::from_str_name) as i32
}

fn direction(word_of: &str) -> i32 {
    word("TRANSACTION_DIRECTION", word_of, pb::TransactionDirection::from_str_name) as i32
}

fn severity(word_of: Option<&str>) -> i32 {
    word_of.map_or(0, |severity| word("SEVERITY", severity, pb::Severity::from_str_name) as i32)
}

fn text(value: Option<&Json>) -> Option<String> {
    value.and_then(Json::as_str).map(str::to_owned)
}

pub(in crate::grpc) fn transaction(transaction: StoredTransaction) -> pb::Transaction {
    let detail = |key: &str| text(derived::find(&transaction, key));
    pb::Transaction {
        uuid: transaction.id.to_string(),
        transaction_number: transaction.transaction_number,
        status: status(&transaction.status),
        direction: direction(&transaction.direction),
        payment_details: detail("payment_details"),
        score: transaction.score,
        severity: severity(transaction.severity.as_deref()),
        tags: tags(&transaction.details),
        txn_date: Some(timestamp(transaction.transaction_at)),
        decision_reason_code: detail("decision_reason_code"),
        decision_reason_label: detail("decision_reason_label"),
        import_id: transaction.import_id.to_string(),
        row_number: transaction.row_number,
        txn_id: transaction.txn_id,
        transaction_type: transaction.transaction_type,
        action_type: transaction.action_type,
        amount: transaction.amount,
        currency: transaction.currency,
        subject_name: transaction.subject.full_name,
        subject_vendor_data: transaction.subject.vendor_data,
        subject_country: transaction.subject.country,
        counterparty_name: transaction.counterparty.full_name,
        counterparty_vendor_data: transaction.counterparty.vendor_data,
        counterparty_country: transaction.counterparty.country,
        provider: transaction.provider,
        external_id: transaction.external_id,
    }
}

pub(in crate::grpc) fn transaction_detail(transaction: StoredTransaction) -> pb::TransactionDetail {
    let find = |key: &str| derived::find(&transaction, key);
    let detail = |key: &str| text(find(key));
    let parties = derived::parties(&transaction);
    let results = find("provider_results").and_then(Json::as_array).into_iter().flatten().enumerate();
    pb::TransactionDetail {
        uuid: transaction.id.to_string(),
        transaction_number: transaction.transaction_number,
        txn_date: Some(timestamp(transaction.transaction_at)),
        zone_id: detail("time_zone"),
        direction: direction(&transaction.direction),
        status: status(&transaction.status),
        currency_type: detail("currency_kind"),
        amount_in_default_currency: detail("amount_in_default_currency"),
        default_currency_code: detail("default_currency"),
        payment_details: detail("payment_details"),
        payment_txn_id: detail("payment_reference_id"),
        score: transaction.score,
        severity: severity(transaction.severity.as_deref()),
        decision_reason_code: detail("decision_reason_code"),
        decision_reason_label: detail("decision_reason_label"),
        metadata: find_object(transaction.metadata.as_ref()),
        props: find_object(find("custom_properties")),
        tags: tags(&transaction.details),
        payment_methods: parties.iter().filter_map(|party| payment_method(&transaction, party)).collect(),
        parties: parties.iter().map(|one| party(&transaction, one)).collect(),
        provider_results: results
            .map(|(place, result)| provider_result(part(&transaction, "provider_result", place), result))
            .collect(),
        travel_rule: find("travel_rule_details").map(|rule| travel_rule(part(&transaction, "rule", 0), rule)),
        network_snapshot: find("network_snapshot")
            .map(|snapshot| network_snapshot(part(&transaction, "network", 0), snapshot)),
        import_id: transaction.import_id.to_string(),
        row_number: transaction.row_number,
        txn_id: transaction.txn_id,
        transaction_type: transaction.transaction_type,
        action_type: transaction.action_type,
        amount: transaction.amount,
        currency: transaction.currency,
        vendor_data: transaction.subject.vendor_data,
        provider: transaction.provider,
        external_id: transaction.external_id,
    }
}

fn part(transaction: &StoredTransaction, name: &str, place: usize) -> String {
    part_id(transaction.application_id, transaction.id, name, place).to_string()
}

fn kind(party: &Party<'_>) -> i32 {
    match party.kind() {
        PartyKind::User => pb::PartyKind::User as i32,
        PartyKind::Business => pb::PartyKind::Business as i32,
        PartyKind::External => pb::PartyKind::External as i32,
    }
}

fn party(transaction: &StoredTransaction, party: &Party<'_>) -> pb::TransactionParty {
    let (role, place) = match party.side {
        Side::Subject => (pb::PartyRole::Applicant, 0),
        Side::Counterparty => (pb::PartyRole::Counterparty, 1),
    };
    let text = |key: &str| party.text(key).map(str::to_owned);
    let find = |key: &str| party.object(key).map(object);
    pb::TransactionParty {
        uuid: part(transaction, "party", place),
        role: role as i32,
        entity_type: party.columns.entity_type.clone(),
        kind: kind(party),
        vendor_data: party.columns.vendor_data.clone(),
        full_name: party.columns.full_name.clone(),
        first_name: text("first_name"),
        last_name: text("last_name"),
        country_code: party.columns.country.clone(),
        dob: text("date_of_birth"),
        address: find("address"),
        institution_info: find("institution_details"),
        device: find("device_context"),
    }
}

fn payment_method(transaction: &StoredTransaction, party: &Party<'_>) -> Option<pb::PaymentMethod> {
    let method = party.payment_method()?;
    let role = match party.end(&transaction.direction) {
        End::Source => pb::PaymentMethodRole::Source,
        End::Destination => pb::PaymentMethodRole::Destination,
    };
    Some(pb::PaymentMethod {
        uuid: part(transaction, "payment_method", usize::from(party.side == Side::Counterparty)),
        payment_method_type: method.method_type.map(str::to_owned),
        fingerprint: method.fingerprint(),
        account_id: method.account_id.map(str::to_owned),
        issuing_country: method.issuing_country.map(str::to_owned),
        owner_kind: kind(party),
        vendor_data: party.columns.vendor_data.clone(),
        owner_name: party.columns.full_name.clone(),
        institution_info: party.object("institution_details").map(object),
        role: role as i32,
    })
}

fn provider_result(uuid: String, result: &Json) -> pb::ProviderResult {
    let get = |key: &str| text(result.get(key));
    pb::ProviderResult {
        uuid,
        provider: get("provider").unwrap_or_default(),
        result_type: get("result_type").unwrap_or_default(),
        status: get("status").unwrap_or_default(),
        severity: severity(result.get("severity").and_then(Json::as_str)),
        score: number(result.get("score")),
        summary: get("summary"),
        payload: find_object(result.get("payload")),
    }
}

fn travel_rule(uuid: String, rule: &Json) -> pb::TravelRule {
    pb::TravelRule {
        uuid,
        status: text(rule.get("status")).unwrap_or_default(),
        protocol: text(rule.get("protocol")),
        required: rule.get("required").and_then(Json::as_bool).unwrap_or_default(),
        obligations_count: number(rule.get("obligations_count")),
        originator_data: find_object(rule.get("originator_data")),
        beneficiary_data: find_object(rule.get("beneficiary_data")),
        metadata: find_object(rule.get("metadata")),
    }
}

fn network_snapshot(uuid: String, snapshot: &Json) -> pb::NetworkSnapshot {
    pb::NetworkSnapshot {
        uuid,
        nodes: snapshot.get("nodes").and_then(list),
        edges: snapshot.get("edges").and_then(list),
        metrics: find_object(snapshot.get("metrics")),
    }
}

fn number<N: TryFrom<i64> + Default>(value: Option<&Json>) -> N {
    value.and_then(Json::as_i64).and_then(|number| N::try_from(number).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canonical::transaction::{Direction, Severity, TransactionStatus};

    #[test]
    fn every_word_has_its_wire_value() {
        assert!(TransactionStatus::ALL.iter().all(|word| status(word.as_str()) != 0));
        assert!(Direction::ALL.iter().all(|word| direction(word.as_str()) != 0));
        assert!(Severity::ALL.iter().all(|word| severity(Some(word.as_str())) != 0));
    }
}
