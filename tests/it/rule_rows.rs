//! Each rule of status rules (contract §2.3).

use carryover::{domain::import::ImportType, grpc::pb::IssueCode};
use serde_json::{Value, json};

use crate::{
    harness::{Database, Server, counters},
    kinds::{assert_verdicts, passes, refused, spec_of},
    on_both_databases, stored,
};

on_both_databases!(
    each_rule_refuses_its_rows,
    a_value_is_what_its_type_says,
    values_are_kept_as_json,
    rules_without_id_are_known_by_what_they_say
);

async fn each_rule_refuses_its_rows(database: Database) {
    use IssueCode::{BadJson, InvalidValue, NulCharacter, OutOfRange, Required, TooLong, WrongType};
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let good = json!({
        "feature": "OCR", "field": "kyc.issuing_state", "operator": "equals", "value": "PRK", "status": "Declined"
    });
    let verdicts = [
        passes("as it is", json!({})),
        passes("no id", json!({"external_id": null})),
        passes("a feature by its other name", json!({"feature": "poa", "field": "poa.status"})),
        passes("an operator in other letters", json!({"operator": "Greater-Than", "value": 5})),
        passes("a status in other letters", json!({"status": "no_action"})),
        passes("a list", json!({"operator": "in", "value": ["PRK"]})),
        passes(
            "a list that is another field's",
            json!({"operator": "in", "value": "kyc.tags", "value_type": "field"}),
        ),
        passes("nothing", json!({"operator": "is_empty", "value": null})),
        passes("an expression", json!({"operator": "regex", "value": "^a+$"})),
        passes("similar", json!({"operator": "fuzzy_match", "score": 80.5})),
        passes(
            "a moving date",
            json!({"operator": "less_than", "value": {"unit": "days", "amount": 30}, "value_type": "relative_date"}),
        ),
        passes("a path of many parts", json!({"field": "kyc.extra_fields.profession-2"})),
        refused("a long id", json!({"external_id": "x".repeat(256)}), &[("external_id", TooLong)]),
        refused("no feature", json!({"feature": null}), &[("feature", Required)]),
        refused("a feature", json!({"feature": "TELEPATHY"}), &[("feature", InvalidValue)]),
        refused("no field", json!({"field": ""}), &[("field", Required)]),
        refused("no path", json!({"field": "kyc"}), &[("field", InvalidValue)]),
        refused("another path", json!({"field": "weather.today"}), &[("field", InvalidValue)]),
        refused("a path with a gap", json!({"field": "kyc..status"}), &[("field", InvalidValue)]),
        refused("no operator", json!({"operator": null}), &[("operator", Required)]),
        refused("an operator", json!({"operator": "resembles"}), &[("operator", InvalidValue)]),
        refused("no status", json!({"status": null}), &[("status", Required)]),
        refused("a status", json!({"status": "Expired"}), &[("status", InvalidValue)]),
        refused("a type", json!({"value_type": "guess"}), &[("value_type", InvalidValue)]),
        refused("a score", json!({"score": 101}), &[("score", OutOfRange)]),
        refused("a priority", json!({"priority": -1}), &[("priority", OutOfRange)]),
        refused("no value", json!({"value": null}), &[("value", Required)]),
        refused("a value too many", json!({"operator": "is_not_empty"}), &[("value", InvalidValue)]),
        refused("in what", json!({"operator": "in"}), &[("value", WrongType)]),
        refused("not in what", json!({"operator": "not_in", "value": {"a": 1}}), &[("value", WrongType)]),
        refused("similar how", json!({"operator": "fuzzy_match"}), &[("score", Required)]),
        refused("no expression", json!({"operator": "regex", "value": "("}), &[("value", InvalidValue)]),
        refused(
            "an expression of numbers",
            json!({"operator": "regex", "value": 5}),
            &[("value", WrongType)],
        ),
        refused(
            "an expression that compiles to gigabytes",
            json!({"operator": "regex", "value": "((a{1000}){1000}){1000}"}),
            &[("value", InvalidValue)],
        ),
        refused(
            "an expression nested deep",
            json!({"operator": "regex", "value": format!("{}a{}", "(".repeat(20_000), ")".repeat(20_000))}),
            &[("value", InvalidValue)],
        ),
        refused("a look-around", json!({"operator": "regex", "value": "(?=a)b"}), &[("value", InvalidValue)]),
        refused(
            "broken JSON",
            json!({"value": null, "value_json": "[1,"}),
            &[("value_json", BadJson), ("value", Required)],
        ),
        refused("a NUL", json!({"value": ["\u{0}"]}), &[("value", BadJson), ("value", Required)]),
        refused("a NUL in a text", json!({"node_id": "\u{0}"}), &[("node_id", NulCharacter)]),
        refused(
            "everything at once",
            json!({"feature": "?", "field": "?", "operator": "fuzzy_match", "value": null, "status": "?", "priority": "first"}),
            &[
                ("feature", InvalidValue),
                ("field", InvalidValue),
                ("priority", OutOfRange),
                ("score", Required),
                ("status", InvalidValue),
                ("value", Required),
            ],
        ),
    ];
    assert_verdicts(&tenant, spec, &good, &verdicts).await;
}

async fn a_value_is_what_its_type_says(database: Database) {
    use IssueCode::{InvalidValue, Required, WrongType};
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let good = json!({
        "feature": "OCR", "field": "kyc.expiration_date", "operator": "less_than", "status": "Declined"
    });
    let typed = |value_type: &str, value: Value| json!({"value_type": value_type, "value": value});
    let date = |value: Value| typed("relative_date", value);
    let with = |operator: &str, mut row: Value| {
        row["operator"] = operator.into();
        row
    };
    let verdicts = [
        passes("a literal of any kind", typed("literal", json!({"a": [1, null, "x"]}))),
        passes("a literal that is a list", with("in", typed("literal", json!(["PRK"])))),
        passes("a list", typed("list", json!([1, "x"]))),
        passes("an empty list", with("not_in", typed("LIST", json!([])))),
        passes("a field", typed("field", json!("kyc.date_of_birth"))),
        passes("a field to search in", with("in", typed("field", json!("questionnaire.countries")))),
        passes(
            "a field that holds the expression",
            with("regex", typed("field", json!("kyc.extra_fields.e"))),
        ),
        passes("a day to come", date(json!({"unit": "days", "amount": 30}))),
        passes("years ago", date(json!({"unit": "years", "amount": -18}))),
        passes("a date with more to it", date(json!({"unit": "hours", "amount": 0, "from": "now"}))),
        passes("a type without value", with("is_empty", json!({"value_type": "relative_date"}))),
        refused("a text for a list", typed("list", json!("a,b")), &[("value", WrongType)]),
        refused(
            "an object for a list",
            with("in", typed("list", json!({"0": "a"}))),
            &[("value", WrongType)],
        ),
        refused("a number for a field", typed("field", json!(5)), &[("value", WrongType)]),
        refused("a list of fields", with("in", typed("field", json!(["kyc.a"]))), &[("value", WrongType)]),
        refused("no path", typed("field", json!("expiration date")), &[("value", InvalidValue)]),
        refused("a path of nothing", typed("field", json!("weather.today")), &[("value", InvalidValue)]),
        refused("a text for a date", date(json!("30 days")), &[("value", WrongType)]),
        refused("a list for a date", date(json!(["days", 30])), &[("value", WrongType)]),
        refused("a number for a date", date(json!(30)), &[("value", WrongType)]),
        refused("a unit that is a number", date(json!({"unit": 1, "amount": 1})), &[("value", WrongType)]),
        refused("an amount in words", date(json!({"unit": "days", "amount": "30"})), &[("value", WrongType)]),
        refused("no amount", date(json!({"unit": "days"})), &[("value", InvalidValue)]),
        refused("no unit", date(json!({"amount": 30})), &[("value", InvalidValue)]),
        refused("dog years", date(json!({"unit": "dog years", "amount": 1})), &[("value", InvalidValue)]),
        refused("half a day", date(json!({"unit": "days", "amount": 0.5})), &[("value", InvalidValue)]),
        refused(
            "a date to search in",
            with("in", date(json!({"unit": "days", "amount": 1}))),
            &[("value", WrongType)],
        ),
        refused("a list as expression", with("regex", typed("list", json!(["a"]))), &[("value", WrongType)]),
        refused("nothing of a type", typed("list", json!(null)), &[("value", Required)]),
        // Of what type it should be, nobody knows.
        refused(
            "a type nobody knows",
            with("in", typed("guess", json!("x"))),
            &[("value_type", InvalidValue)],
        ),
    ];
    assert_verdicts(&tenant, spec, &good, &verdicts).await;
}

async fn values_are_kept_as_json(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let csv = "external_id,feature,field,operator,value,status\n\
        a,OCR,kyc.name,equals,Customs officer,Approved\n\
        b,OCR,kyc.name,equals,\"\"\"quoted\"\"\",Approved\n\
        c,OCR,kyc.name,equals,60,Approved\n\
        d,OCR,kyc.name,in,\"[\"\"x\"\", 1]\",Approved\n\
        e,OCR,kyc.name,is_empty,null,Approved\n\
        f,OCR,kyc.name,equals,true,Approved\n\
        g,OCR,kyc.name,equals,\"a \"\"b\"\" c\",Approved\n";
    let import = tenant.import_as(spec.clone(), csv).await.expect("an import");
    assert_eq!(counters(&import), (7, 0, 0));
    let select = "SELECT CAST(value AS TEXT) AS value FROM status_rules ORDER BY row_number";
    let kept = stored::texts(&server, select).await;
    let kept: Vec<Value> = kept
        .iter()
        .map(|value| serde_json::from_str(value).unwrap_or_else(|_| json!({"none": value})))
        .collect();
    let wanted = [
        json!("Customs officer"),
        json!("quoted"),
        json!(60),
        json!(["x", 1]),
        json!({"none": "-"}),
        json!(true),
        json!("a \"b\" c"),
    ];
    assert_eq!(kept, wanted);
    // The same rules again, and one of them with another value.
    assert_eq!(counters(&tenant.import_as(spec.clone(), csv).await.expect("an import")), (0, 7, 0));
    let changed = csv.replace("60", "61");
    let again = tenant.import_as(spec, changed).await.expect("an import");
    assert_eq!((again.created_count, again.updated_count, again.skipped_count), (0, 1, 6));
}

async fn rules_without_id_are_known_by_what_they_say(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = spec_of(&server, &tenant, ImportType::StatusRules).await;
    let row = |value: &str, status: &str| {
        format!(
            "{{\"feature\":\"OCR\",\"field\":\"kyc.x\",\"operator\":\"in\",\"value\":{value},\"status\":\"{status}\"}}\n"
        )
    };
    let file =
        row("[\"é\", 1]", "Approved") + &row("[ \"\\u00e9\",1 ]", "Declined") + &row("[1]", "Approved");
    let import = tenant.import_as(spec.clone(), file).await.expect("an import");
    assert_eq!(
        (counters(&import), import.duplicate_count),
        ((2, 1, 0), 1),
        "one spelling is as good as another"
    );
    let other = tenant.import_as(spec, row("[\"é\",1]", "Declined")).await.expect("an import");
    assert_eq!((other.created_count, other.updated_count), (0, 1), "what it makes of the status may change");
}
