//! Each rule of transactions (contract §2.4), amounts above all.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, IssueCode},
};
use serde_json::{Value, json};
use tonic::Code;

use crate::{
    harness::{Database, Server, assert_refused, counters},
    kinds::{Verdict, assert_verdicts, passes, refused, spec_of},
    on_both_databases, stored,
};

on_both_databases!(
    each_rule_refuses_its_rows,
    parties_and_what_is_attached_are_checked,
    members_are_what_is_served,
    amounts_are_exact_or_refused,
    a_transaction_id_is_unique_by_itself,
    transactions_belong_to_no_workflow,
);

fn good() -> Value {
    json!({
        "transaction_at": "2024-04-01T07:15:00Z", "transaction_category": "finance", "direction": "outbound",
        "amount": "1500.00", "currency": "EUR", "subject_vendor_data": "cust-1", "subject_full_name": "Ana Silva"
    })
}

async fn judge(database: Database, verdicts: &[Verdict]) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::Transactions).await;
    assert_verdicts(&tenant, spec, &good(), verdicts).await;
}

async fn each_rule_refuses_its_rows(database: Database) {
    use IssueCode::{InvalidValue, OutOfRange, Required, TooLong, WrongType};
    let long = |count: usize| "x".repeat(count);
    let verdicts = [
        passes("as it is", json!({})),
        passes("the other id only", json!({"external_id": null, "transaction_id": "t-1"})),
        passes("the longest ids", json!({"external_id": long(128), "transaction_id": long(128)})),
        passes("a category in camel case", json!({"transaction_category": "userPlatformEvent"})),
        passes("a category in snake case", json!({"transaction_category": "GAMBLING_LIMIT_CHANGE"})),
        passes("a short direction", json!({"direction": "IN"})),
        passes("a status of sessions", json!({"status": "green"})),
        passes("a status of its own", json!({"status": "awaiting_user"})),
        passes("the highest score", json!({"score": 100, "severity": "critical"})),
        refused("no id at all", json!({"external_id": null}), &[("external_id", Required)]),
        refused("a long id", json!({"external_id": long(129)}), &[("external_id", TooLong)]),
        refused(
            "a long transaction id",
            json!({"external_id": null, "transaction_id": long(129)}),
            &[("transaction_id", TooLong)],
        ),
        refused("no time", json!({"transaction_at": null}), &[("transaction_at", Required)]),
        refused("a date only", json!({"transaction_at": "2024-04-01"}), &[("transaction_at", InvalidValue)]),
        refused(
            "a leap second",
            json!({"transaction_at": "2016-12-31T23:59:60Z"}),
            &[("transaction_at", InvalidValue)],
        ),
        refused(
            "tomorrow",
            json!({"transaction_at": "2999-01-01T00:00:00Z"}),
            &[("transaction_at", OutOfRange)],
        ),
        refused("no zone", json!({"time_zone": "Mars/Olympus Mons"}), &[("time_zone", InvalidValue)]),
        refused("no category", json!({"transaction_category": null}), &[("transaction_category", Required)]),
        refused(
            "barter",
            json!({"transaction_category": "barter"}),
            &[("transaction_category", InvalidValue)],
        ),
        refused("no direction", json!({"direction": null}), &[("transaction_details.direction", Required)]),
        refused(
            "sideways",
            json!({"direction": "sideways"}),
            &[("transaction_details.direction", InvalidValue)],
        ),
        refused("no amount", json!({"amount": null}), &[("transaction_details.amount", Required)]),
        refused("no currency", json!({"currency": " "}), &[("transaction_details.currency", Required)]),
        refused(
            "a long currency",
            json!({"currency": long(17)}),
            &[("transaction_details.currency", TooLong)],
        ),
        refused(
            "shells",
            json!({"currency_kind": "shells"}),
            &[("transaction_details.currency_kind", InvalidValue)],
        ),
        refused(
            "the other amount",
            json!({"amount_in_default_currency": "1.5e3"}),
            &[("transaction_details.amount_in_default_currency", InvalidValue)],
        ),
        refused("a status for sessions only", json!({"status": "Expired"}), &[("status", InvalidValue)]),
        refused("a score above", json!({"score": 101}), &[("score", OutOfRange)]),
        refused("a score below", json!({"score": "-1"}), &[("score", OutOfRange)]),
        refused("half a point", json!({"score": 1.5}), &[("score", OutOfRange)]),
        refused(
            "I007 more than an i64",
            json!({"score": 18_446_744_073_709_551_615_u64}),
            &[("score", OutOfRange)],
        ),
        refused("I006 a score in words", json!({"score": "twelve"}), &[("score", OutOfRange)]),
        refused("a severity", json!({"severity": "EXTREME"}), &[("severity", InvalidValue)]),
        refused(
            "an amount that is true",
            json!({"amount": true}),
            &[("transaction_details.amount", WrongType)],
        ),
        refused(
            "details that are no object",
            json!({"transaction_details": 7}),
            &[("transaction_details", WrongType)],
        ),
        refused(
            "everything at once",
            json!({
                "external_id": null, "transaction_at": null, "transaction_category": "?", "direction": "?",
                "amount": "1,5", "currency": null, "status": "?", "score": -1, "subject_vendor_data": null,
                "subject_full_name": null, "travel_rule_details": {}
            }),
            &[
                ("external_id", Required),
                ("score", OutOfRange),
                ("status", InvalidValue),
                ("subject.full_name", Required),
                ("subject.vendor_data", Required),
                ("transaction_at", Required),
                ("transaction_category", InvalidValue),
                ("transaction_details.amount", InvalidValue),
                ("transaction_details.currency", Required),
                ("transaction_details.direction", InvalidValue),
                ("travel_rule_details.status", Required),
            ],
        ),
    ];
    judge(database, &verdicts).await;
}

async fn parties_and_what_is_attached_are_checked(database: Database) {
    use IssueCode::{InvalidValue, OutOfRange, Required, TooLong, WrongType};
    let verdicts = [
        passes(
            "an address in one cell",
            json!({"subject_address_json": "{\"country\":\"DEU\",\"town\":\"Kassel\"}"}),
        ),
        passes("a method by its other name", json!({"subject_payment_method_type": "eWallet"})),
        passes("inner objects", json!({"counterparty": {"full_name": "B", "address": {"country": "GBR"}}})),
        passes("an empty group", json!({"counterparty": null, "subject": {}})),
        passes("a Travel Rule", json!({"travel_rule_details": {"status": "COMPLETED"}})),
        passes("a result with little", json!({"provider_results": [{}]})),
        refused("no subject", json!({"subject_vendor_data": null}), &[("subject.vendor_data", Required)]),
        refused("nobody", json!({"subject_full_name": null}), &[("subject.full_name", Required)]),
        refused("a robot", json!({"subject_entity_type": "robot"}), &[("subject.entity_type", InvalidValue)]),
        refused(
            "not born yet",
            json!({"subject_date_of_birth": "2999-01-01"}),
            &[("subject.date_of_birth", OutOfRange)],
        ),
        refused(
            "seashells on either side",
            json!({"subject_payment_method_type": "seashells", "counterparty_payment_method_type": "seashells"}),
            &[
                ("subject.payment_method.method_type", InvalidValue),
                ("counterparty.payment_method.method_type", InvalidValue),
            ],
        ),
        refused(
            "long street in an address",
            json!({"subject_address": {"street": "x".repeat(256)}}),
            &[("subject_address", TooLong)],
        ),
        refused(
            "a country that is 7",
            json!({"subject_address": {"country": 7}}),
            &[("subject_address", WrongType)],
        ),
        refused(
            "an institution that is a text",
            json!({"subject_institution_details": "Bank"}),
            &[("subject.institution_details", WrongType)],
        ),
        refused("results that are one", json!({"provider_results": {}}), &[("provider_results", WrongType)]),
        refused(
            "a result of no kind",
            json!({"provider_results": [{}, {"result_type": "MAGIC", "severity": "?", "score": 101, "payload": 5}]}),
            &[
                ("provider_results[1].payload", InvalidValue),
                ("provider_results[1].result_type", InvalidValue),
                ("provider_results[1].score", InvalidValue),
                ("provider_results[1].severity", InvalidValue),
            ],
        ),
        refused(
            "a rule without status",
            json!({"travel_rule_details": {"protocol": "X"}}),
            &[("travel_rule_details.status", Required)],
        ),
        refused(
            "a network that is a list",
            json!({"network_snapshot": []}),
            &[("network_snapshot", WrongType)],
        ),
        refused(
            "properties that are a text",
            json!({"custom_properties": "x"}),
            &[("custom_properties", WrongType)],
        ),
    ];
    judge(database, &verdicts).await;
}

/// Travel Rule data and networks: what the API serves with a type has it, or the row says so.
async fn members_are_what_is_served(database: Database) {
    use IssueCode::{NullValue, OutOfRange, Required, WrongType};
    let rule = |members: Value| {
        let mut rule = json!({"status": "COMPLETED"});
        rule.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        json!({"travel_rule_details": rule})
    };
    let verdicts = [
        passes(
            "all there is",
            rule(json!({
                "protocol": "IVMS101", "required": false, "obligations_count": 2, "originator_data": {},
                "beneficiary_data": {"name": "B"}, "metadata": {}, "unknown": [1, "kept as it comes"]
            })),
        ),
        passes("null members", rule(json!({"protocol": null, "required": null, "obligations_count": null}))),
        passes("an empty network", json!({"network_snapshot": {"nodes": [], "edges": [], "metrics": {}}})),
        passes("a network of unknown members", json!({"network_snapshot": {"layers": 3, "edges": null}})),
        passes("JSON in a text", json!({"network_snapshot_json": "{\"nodes\":[{\"id\":1}]}"})),
        refused(
            "a status of true",
            rule(json!({"status": true})),
            &[("travel_rule_details.status", WrongType)],
        ),
        refused("a blank status", rule(json!({"status": " "})), &[("travel_rule_details.status", Required)]),
        refused("a null status", rule(json!({"status": null})), &[("travel_rule_details.status", NullValue)]),
        refused(
            "a count in a text",
            rule(json!({"obligations_count": "2"})),
            &[("travel_rule_details.obligations_count", WrongType)],
        ),
        refused(
            "half an obligation",
            rule(json!({"obligations_count": 0.5})),
            &[("travel_rule_details.obligations_count", OutOfRange)],
        ),
        refused(
            "less than none",
            rule(json!({"obligations_count": -1})),
            &[("travel_rule_details.obligations_count", OutOfRange)],
        ),
        refused(
            "more than an i64",
            rule(json!({"obligations_count": 9_223_372_036_854_775_808_u64})),
            &[("travel_rule_details.obligations_count", OutOfRange)],
        ),
        refused(
            "none of it as served, and another field beside it",
            json!({
                "score": -1,
                "travel_rule_details": {
                    "status": 1, "protocol": ["IVMS101"], "required": "yes", "obligations_count": {},
                    "originator_data": "A", "beneficiary_data": [], "metadata": 7
                },
                "network_snapshot": {"nodes": {"id": 1}, "edges": [[1, 2]], "metrics": [0]}
            }),
            &[
                ("network_snapshot.edges", WrongType),
                ("network_snapshot.metrics", WrongType),
                ("network_snapshot.nodes", WrongType),
                ("score", OutOfRange),
                ("travel_rule_details.beneficiary_data", WrongType),
                ("travel_rule_details.metadata", WrongType),
                ("travel_rule_details.obligations_count", WrongType),
                ("travel_rule_details.originator_data", WrongType),
                ("travel_rule_details.protocol", WrongType),
                ("travel_rule_details.required", WrongType),
                ("travel_rule_details.status", WrongType),
            ],
        ),
        refused(
            "a list for an object",
            json!({"travel_rule_details": []}),
            &[("travel_rule_details", WrongType)],
        ),
        refused(
            "nodes that are ids",
            json!({"network_snapshot": {"nodes": ["a"]}}),
            &[("network_snapshot.nodes", WrongType)],
        ),
    ];
    judge(database, &verdicts).await;
}

/// Amounts as they come and as they are kept; `None` for what is refused, with its code.
const AMOUNTS: &[(&str, Result<&str, IssueCode>)] = &[
    ("1500.00", Ok("1500")),
    ("20", Ok("20")),
    (" 20 ", Ok("20")),
    ("0.512345678901234567", Ok("0.512345678901234567")),
    ("0.1000000000000000000000", Ok("0.1")),
    ("-12.50", Ok("-12.5")),
    ("-0", Ok("0")),
    ("-0.00", Ok("0")),
    ("0.0", Ok("0")),
    ("99999999999999999999999999999999999999", Ok("99999999999999999999999999999999999999")),
    ("999999999999999999999999999999999999999", Err(IssueCode::OutOfRange)),
    ("0.1000000000000000055511151231257827", Err(IssueCode::OutOfRange)),
    ("0.1234567890123456789", Err(IssueCode::OutOfRange)),
    ("1,234.56", Err(IssueCode::InvalidValue)),
    ("1.234,56", Err(IssueCode::InvalidValue)),
    ("1 234,56", Err(IssueCode::InvalidValue)),
    ("1,5", Err(IssueCode::InvalidValue)),
    ("1e5", Err(IssueCode::InvalidValue)),
    ("+1", Err(IssueCode::InvalidValue)),
    ("0x1", Err(IssueCode::InvalidValue)),
    ("007", Err(IssueCode::InvalidValue)),
    (".5", Err(IssueCode::InvalidValue)),
    ("5.", Err(IssueCode::InvalidValue)),
    ("--5", Err(IssueCode::InvalidValue)),
    ("١٢٣", Err(IssueCode::InvalidValue)),
    ("Infinity", Err(IssueCode::InvalidValue)),
    ("NaN", Err(IssueCode::InvalidValue)),
    ("€5", Err(IssueCode::InvalidValue)),
];

/// G039, G040, H016 and I011, as texts of a CSV and as numbers of NDJSON.
async fn amounts_are_exact_or_refused(database: Database) {
    let server = Server::start(database).await;
    let numbers = AMOUNTS.iter().filter(|(text, _)| serde_json::from_str::<serde_json::Number>(text).is_ok());
    let numbers: Vec<_> = numbers.copied().collect();
    assert!(numbers.len() > 10, "JSON numbers among them: {}", numbers.len());
    let csv = AMOUNTS.iter().enumerate().map(|(n, (text, _))| {
        format!("a-{n},2024-04-01T07:15:00Z,finance,in,\"{text}\",EUR,cust-1,Ana Silva\n")
    });
    let header = "external_id,transaction_at,transaction_category,direction,amount,currency,subject_vendor_data,subject_full_name\n";
    let ndjson = numbers.iter().enumerate().map(|(n, (text, _))| {
        // By hand: no library between here and the server may round it.
        format!(
            "{{\"external_id\":\"a-{n}\",\"transaction_at\":\"2024-04-01T07:15:00Z\",\"transaction_category\":\"finance\",\
             \"transaction_details\":{{\"direction\":\"in\",\"currency\":\"EUR\",\"amount\":{text}}},\
             \"subject\":{{\"vendor_data\":\"cust-1\",\"full_name\":\"Ana Silva\"}}}}\n"
        )
    });
    for (amounts, file) in [
        (AMOUNTS, header.to_owned() + &csv.collect::<String>()),
        (numbers.as_slice(), ndjson.collect::<String>()),
    ] {
        let tenant = server.tenant().await;
        let spec = spec_of(&server, &tenant, ImportType::Transactions).await;
        let import = tenant.import_as(spec, file).await.expect("an import");
        let select = format!(
            "SELECT amount FROM transactions WHERE import_id = {} ORDER BY row_number",
            stored::id(&server, &import.uuid)
        );
        let wanted: Vec<_> = amounts.iter().filter_map(|(_, read)| read.ok()).collect();
        assert_eq!(stored::texts(&server, &select).await, wanted);
        let errors = tenant.row_errors(&import.uuid).await;
        let wanted: Vec<_> =
            (1..).zip(amounts).filter_map(|(row, (_, read))| Some((row, read.err()?))).collect();
        let found: Vec<_> = errors.iter().map(|error| (error.row_number, error.issues[0].code())).collect();
        assert_eq!(found, wanted);
        for error in errors.iter().filter(|error| error.issues[0].value.contains(',')) {
            assert!(error.error.contains("point") && error.error.contains("1500.00"), "{}", error.error);
        }
    }
}

async fn a_transaction_id_is_unique_by_itself(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::Transactions).await;
    let row = |members: Value| {
        let mut row = good();
        row.as_object_mut().expect("an object").extend(members.as_object().expect("an object").clone());
        row.to_string() + "\n"
    };
    let file = [
        row(json!({"transaction_id": "t", "provider": "sumsub", "external_id": "a"})),
        row(json!({"transaction_id": "t", "provider": "veriff", "external_id": "b"})),
        row(json!({"external_id": "e", "provider": "sumsub"})),
        row(json!({"external_id": "e", "provider": "SUMSUB"})),
        row(json!({"external_id": "e", "provider": "veriff"})),
    ]
    .concat();
    let import = tenant.import_as(spec, file).await.expect("an import");
    assert_eq!((counters(&import), import.duplicate_count), ((3, 2, 0), 2));
}

async fn transactions_belong_to_no_workflow(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let business = server.workflow_of(&tenant.application, pb::WorkflowKind::Business).await;
    for (name, import_type, workflow_id) in [
        ("transactions with a workflow", pb::ImportType::Transactions, tenant.workflow.clone()),
        ("people with a workflow of companies", pb::ImportType::UserVerification, business.clone()),
        (
            "companies with a workflow of people",
            pb::ImportType::BusinessVerification,
            tenant.workflow.clone(),
        ),
        ("companies with none", pb::ImportType::BusinessVerification, String::new()),
        ("rules with none", pb::ImportType::StatusRules, String::new()),
    ] {
        let spec = pb::ImportSpec { import_type: import_type as i32, workflow_id, ..Default::default() };
        let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
        let answer = tenant.client.imports().create_import(request).await;
        let status = assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
        let details = tonic_types::StatusExt::get_details_bad_request(&status).expect("field violations");
        let fields: Vec<_> = details.field_violations.iter().map(|violation| &violation.field).collect();
        assert_eq!(fields, ["spec.workflow_id"], "{name}");
    }
}
