//! Transactions of fiat and crypto money, some of them under the Travel Rule.

use fastrand::Rng;

use super::{
    Kind,
    vocabulary::{FIRST_NAMES, LAST_NAMES, PLACES, TAGS, customer, day, full_name, object, one_of, second},
};

pub(super) static KIND: Kind = Kind {
    columns: &[
        "external_id",
        "transaction_id",
        "provider",
        "transaction_at",
        "time_zone",
        "transaction_category",
        "action_type",
        "direction",
        "amount",
        "currency",
        "currency_kind",
        "amount_in_default_currency",
        "default_currency",
        "payment_details",
        "payment_reference_id",
        "status",
        "score",
        "severity",
        "decision_reason_code",
        "subject_entity_type",
        "subject_vendor_data",
        "subject_full_name",
        "subject_first_name",
        "subject_last_name",
        "subject_date_of_birth",
        "subject_country",
        "subject_town",
        "subject_payment_method_type",
        "subject_payment_account_id",
        "subject_payment_issuing_country",
        "counterparty_entity_type",
        "counterparty_vendor_data",
        "counterparty_full_name",
        "counterparty_country",
        "counterparty_payment_method_type",
        "counterparty_payment_account_id",
        "counterparty_institution_details_json",
        "provider_results_json",
        "travel_rule_details_json",
        "network_snapshot_json",
        "tags",
        "metadata_json",
    ],
    keys: 2,
    key_prefix: "tx",
    values,
    faults: &[
        ("transaction_at", "yesterday"),
        ("transaction_category", "barter"),
        ("direction", "sideways"),
        ("amount", "1.234,56"),
        ("amount", "0.1234567890123456789"),
        ("currency", ""),
        ("score", "101"),
        ("subject_vendor_data", ""),
        ("subject_full_name", ""),
        ("subject_payment_method_type", "seashells"),
        ("travel_rule_details_json", "{\"protocol\":\"IVMS101\"}"),
        ("metadata_json", "not-an-object"),
    ],
};

fn values(number: u64, rng: &mut Rng) -> Vec<String> {
    let is_crypto = rng.bool();
    let (country, _, town) = one_of(PLACES, rng);
    let (first, last) = (one_of(FIRST_NAMES, rng), one_of(LAST_NAMES, rng));
    let under_travel_rule = is_crypto && rng.u8(..4) == 0;
    let (category, kind) = match (under_travel_rule, is_crypto) {
        (true, _) => ("travel_rule", "crypto"),
        (false, true) => ("finance", "crypto"),
        (false, false) => (one_of(["finance", "finance", "gambling_bet", "kyc"], rng), "fiat"),
    };
    let score = rng.u8(..=100);
    let (own, other) =
        if is_crypto { ("crypto_wallet", "unhosted_wallet") } else { ("bank_account", "ewallet") };
    let counterparty = full_name(rng);
    vec![
        one_of(["generic", "sumsub"], rng).to_owned(),
        second(2020, 2_000, rng),
        one_of(["", "Europe/Madrid", "UTC"], rng).to_owned(),
        category.to_owned(),
        one_of(["deposit", "withdrawal", "transfer"], rng).to_owned(),
        one_of(["inbound", "outbound", "OUT", "in"], rng).to_owned(),
        amount(if is_crypto { 18 } else { 2 }, rng),
        if is_crypto { one_of(["BTC", "USDT"], rng) } else { one_of(["EUR", "USD"], rng) }.to_owned(),
        kind.to_owned(),
        amount(2, rng),
        "USD".to_owned(),
        format!("Invoice {number}, \"{}\"", rng.u8(..)),
        format!("0x{:016x}", rng.u64(..)),
        one_of(["APPROVED", "IN_REVIEW", "declined", ""], rng).to_owned(),
        score.to_string(),
        if score > 70 { "HIGH" } else { "low" }.to_owned(),
        if score > 70 { "VELOCITY" } else { "" }.to_owned(),
        "individual".to_owned(),
        format!("cust-{:08}", customer(number, rng)),
        format!("{first} {last}"),
        first.to_owned(),
        last.to_owned(),
        day(1950, 18_000, rng),
        country.to_owned(),
        town.to_owned(),
        own.to_owned(),
        format!("{}{:020}", &country[..2], rng.u64(..)),
        country.to_owned(),
        one_of(["individual", "company", "external"], rng).to_owned(),
        one_of(["", "merchant-1"], rng).to_owned(),
        counterparty.clone(),
        one_of(PLACES, rng).0.to_owned(),
        other.to_owned(),
        format!("acct-{:012x}", rng.u64(..1 << 48)),
        if under_travel_rule { "{\"name\":\"Otra VASP SA\",\"code\":\"OVSP-MX\"}" } else { "" }.to_owned(),
        if score > 70 { result(score, kind) } else { String::new() },
        if under_travel_rule { travel_rule(first, &counterparty) } else { String::new() },
        if number.is_multiple_of(10) { network(number) } else { String::new() },
        one_of(TAGS, rng).to_owned(),
        format!("{{\"batch\":\"2024-{:02}\"}}", rng.u8(1..=12)),
    ]
}

/// An amount with at most so many digits behind the point.
fn amount(most_digits: usize, rng: &mut Rng) -> String {
    let fraction = format!("{:018}", rng.u64(..1_000_000_000_000_000_000));
    match rng.usize(..=most_digits) {
        0 => rng.u32(1..100_000).to_string(),
        digits => format!("{}.{}", rng.u32(..100_000), &fraction[..digits]),
    }
}

fn result(score: u8, kind: &str) -> String {
    let result_type = if kind == "crypto" { "WALLET_SCREENING" } else { "FIAT_MONITORING" };
    let result = object(|result| {
        result.word("provider", "chainwatch");
        result.word("result_type", result_type);
        result.word("status", "completed");
        result.word("severity", "HIGH");
        result.raw("score", &score.to_string());
        result.word("summary", "exposure to a mixer");
        result.raw("payload", "{\"hops\":2}");
    });
    format!("[{result}]")
}

fn travel_rule(originator: &str, beneficiary: &str) -> String {
    object(|rule| {
        rule.word("status", "COMPLETED");
        rule.word("protocol", "IVMS101");
        rule.raw("required", "true");
        rule.object("originator_data", |party| party.text("name", originator));
        rule.object("beneficiary_data", |party| party.text("name", beneficiary));
    })
}

fn network(number: u64) -> String {
    format!("{{\"nodes\":[{{\"id\":\"cust-{number:08}\"}}],\"edges\":[],\"metrics\":{{\"degree\":0}}}}")
}
