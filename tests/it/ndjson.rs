//! What an NDJSON file may hold, and what becomes of each line.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, IssueCode},
};

use crate::{
    harness::{Database, Server, codes, counters},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(
    lines_end_as_they_should,
    bad_lines_fail_alone,
    null_is_told_from_nothing,
    files_that_are_something_else_fail,
);

async fn lines_end_as_they_should(database: Database) {
    let server = Server::start(database).await;
    let deep = |levels: usize| {
        format!(r#"{{"external_id":"a","metadata":{}1{}}}"#, "{\"k\":".repeat(levels), "}".repeat(levels))
    };
    let ignored = format!(r#"{{"external_id":"a","unknown":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    for (name, file, ids) in [
        (
            "H001 blank lines and CRLF",
            "\n{\"external_id\":\"a\"}\r\n\r\n  \n{\"external_id\":\"b\"}".to_owned(),
            vec!["a", "b"],
        ),
        ("H002 a BOM", "\u{feff}{\"external_id\":\"a\"}\n".to_owned(), vec!["a"]),
        ("H007 as deep as allowed", deep(20), vec!["a"]),
        ("H008 depth in a member nobody reads", ignored, vec!["a"]),
        ("H023 odd keys", r#"{"external_id":"a","__proto__":1,"":2,"constructor":3}"#.to_owned(), vec!["a"]),
        ("H023 a key of 64 kB", format!(r#"{{"external_id":"a","{}":1}}"#, "k".repeat(65_536)), vec!["a"]),
        ("H024 keys in any order and case", r#"{"First_Name":"A","EXTERNAL_ID":"a"}"#.to_owned(), vec!["a"]),
        ("H028 JSON in a text stays text", r#"{"external_id":"{\"a\":1}"}"#.to_owned(), vec!["{\"a\":1}"]),
        (
            "H029 U+2028 and U+0085 end no line",
            "{\"external_id\":\"a\u{2028}b\u{85}c\"}".to_owned(),
            vec!["a\u{2028}b\u{85}c"],
        ),
        (
            "numbers are keys, too",
            r#"{"external_id":18446744073709551616}"#.to_owned(),
            vec!["18446744073709551616"],
        ),
        ("escapes", r#"{"external_id":"\u0061\ud83d\ude00\/\n"}"#.to_owned(), vec!["a😀/"]),
        ("H032 null is absent", r#"{"external_id":"a","first_name":null}"#.to_owned(), vec!["a"]),
    ] {
        let tenant = server.tenant().await;
        let import = tenant.import(&file).await;
        assert_eq!(import.status(), ImportStatus::Completed, "{name}: {}", import.last_error());
        let errors = tenant.row_errors(&import.uuid).await;
        assert_eq!(errors.first().map(|e| e.error.clone()), None, "{name}");
        let mut found: Vec<_> =
            tenant.sessions(Default::default()).await.into_iter().map(|s| s.external_id).collect();
        found.sort();
        assert_eq!(found, ids, "{name}");
    }
}

async fn bad_lines_fail_alone(database: Database) {
    use IssueCode::{
        BadJson, DuplicateKey, Encoding, NotAnObject, NulCharacter, RecordTooLarge, Required, TooDeep,
        TooLong, WrongType,
    };
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let text = |line: &str| line.as_bytes().to_vec();
    let deep = |levels: usize| {
        format!(r#"{{"external_id":"d","metadata":{}1{}}}"#, "{\"k\":".repeat(levels), "}".repeat(levels))
    };
    let mut cases: Vec<(&str, Vec<u8>, &[IssueCode])> = vec![
        ("H004 a list", text(r#"["a"]"#), &[NotAnObject]),
        ("a number", text("7"), &[NotAnObject]),
        ("a text", text(r#""a""#), &[NotAnObject]),
        ("null", text("null"), &[NotAnObject]),
        ("H002 a BOM later", text("\u{feff}{\"external_id\":\"a\"}"), &[BadJson]),
        ("H006 a key twice", text(r#"{"external_id":"a","external_id":"b"}"#), &[DuplicateKey]),
        ("H007 too deep", text(&deep(200)), &[TooDeep, BadJson]),
        ("H007 far too deep", text(&deep(30_000)), &[TooDeep, BadJson]),
        ("H009 a trailing comma", text(r#"{"external_id":"a",}"#), &[BadJson]),
        ("H009 a comment", text(r#"{"external_id":"a"/*c*/}"#), &[BadJson]),
        ("H009 single quotes", text("{'external_id':'a'}"), &[BadJson]),
        ("H009 a bare key", text(r#"{external_id:"a"}"#), &[BadJson]),
        ("H010 two objects", text(r#"{"external_id":"a"}{"external_id":"b"}"#), &[BadJson]),
        ("H010 trailing text", text(r#"{"external_id":"a"} x"#), &[BadJson]),
        ("H010 a trailing NUL", text("{\"external_id\":\"a\"}\0"), &[BadJson]),
        ("H018 a lone surrogate", text(r#"{"external_id":"\ud800"}"#), &[BadJson]),
        ("H018 a swapped pair", text(r#"{"external_id":"\udc00\ud800"}"#), &[BadJson]),
        (
            "H018 in a member that is only kept",
            text(r#"{"external_id":"s","metadata":{"k":"\ud800"}}"#),
            &[BadJson, IssueCode::InvalidValue],
        ),
        ("H020 a raw TAB", text("{\"external_id\":\"a\tb\"}"), &[BadJson]),
        ("H020 a raw NUL", text("{\"external_id\":\"a\0b\"}"), &[BadJson]),
        ("an escaped NUL", text(r#"{"external_id":"a\u0000b"}"#), &[NulCharacter]),
        (
            "an escaped NUL in a member that is only kept",
            text(r#"{"external_id":"n","metadata":{"k":"\u0000"}}"#),
            &[NulCharacter],
        ),
        ("H021 broken UTF-8", b"{\"external_id\":\"\xff\"}".to_vec(), &[Encoding]),
        ("H021 an overlong form", b"{\"external_id\":\"\xc0\xaf\"}".to_vec(), &[Encoding]),
        ("H021 a surrogate", b"{\"external_id\":\"\xed\xa0\x80\"}".to_vec(), &[Encoding]),
        (
            "H025 a line of 3 MB",
            text(&format!(r#"{{"external_id":"l","address":"{}"}}"#, "x".repeat(3 << 20))),
            &[RecordTooLarge],
        ),
        ("H031 a list where a text belongs", text(r#"{"external_id":["a"]}"#), &[WrongType, Required]),
        (
            "H031 an object where a text belongs",
            text(r#"{"external_id":"o","first_name":{"a":1}}"#),
            &[WrongType],
        ),
        ("H032 no key", text(r#"{"first_name":"A"}"#), &[Required]),
        ("H032 null as key", text(r#"{"external_id":null}"#), &[IssueCode::NullValue]),
        (
            "H017 a number of 100,000 digits",
            text(&format!(r#"{{"external_id":{}}}"#, "9".repeat(100_000))),
            &[TooLong],
        ),
        ("an empty object", text("{}"), &[Required]),
    ];
    for number in ["NaN", "Infinity", "01", "+1", "0x1", ".5", "1.", "1e", "--1", "tru"] {
        cases.push(("H011", format!(r#"{{"external_id":{number}}}"#).into_bytes(), &[BadJson]));
    }
    let mut file = Vec::new();
    for (n, (_, line, _)) in cases.iter().enumerate() {
        file.extend_from_slice(line);
        file.extend_from_slice(format!("\n{{\"external_id\":\"good-{n}\"}}\n").as_bytes());
    }
    // A name, since the first line tells nothing.
    let spec = pb::ImportSpec { source_format: pb::SourceFormat::Ndjson as i32, ..tenant.spec() };
    file.splice(0..0, b"{\"external_id\":\"first\"}\n".iter().copied());
    let import = tenant.import_as(spec, &file).await.expect("an import");
    assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
    let errors = tenant.row_errors(&import.uuid).await;
    for (n, (name, line, allowed)) in cases.iter().enumerate() {
        let row = 2 * n as i64 + 2;
        let error = errors.iter().find(|e| e.row_number == row).unwrap_or_else(|| {
            panic!("{name} fails: {:?}", String::from_utf8_lossy(&line[..line.len().min(80)]))
        });
        assert!(allowed.contains(&codes(error)[0]), "{name}: {}", error.error);
        assert_eq!(error.line_number, row, "{name}");
        assert!(error.raw_row.is_some(), "{name}");
    }
    assert_eq!(counters(&import), (cases.len() as i64 + 1, 0, cases.len() as i64));
}

/// H032, for every type: fields of the row, of an inner object, and of an object in a list.
async fn null_is_told_from_nothing(database: Database) {
    use IssueCode::{NullValue, Required};
    let server = Server::start(database).await;
    let cases: [(ImportType, &str, &[(&str, IssueCode)]); 10] = [
        (ImportType::UserVerification, r#"{"external_id":null}"#, &[("external_id", NullValue)]),
        (ImportType::UserVerification, r#"{"external_id":""}"#, &[("external_id", Required)]),
        (
            ImportType::BusinessVerification,
            r#"{"company_name":null,"officers":[{"name":null},{"name":" "},{}],"beneficial_owners":[{"name":null}],
               "documents":[{"file_url":null},{}]}"#,
            &[
                ("beneficial_owners[0].name", NullValue),
                ("company_name", NullValue),
                ("documents[0].file_url", NullValue),
                ("documents[1].file_url", Required),
                ("external_id", Required),
                ("officers[0].name", NullValue),
                ("officers[1].name", Required),
                ("officers[2].name", Required),
            ],
        ),
        (
            ImportType::Transactions,
            r#"{"transaction_id":null,"transaction_at":null,"transaction_details":{"amount":null,"currency":""},
               "subject":null,"transaction_category":"kyc","travel_rule_details":{"status":null}}"#,
            &[
                ("external_id", NullValue),
                ("subject.full_name", Required),
                ("subject.vendor_data", Required),
                ("transaction_at", NullValue),
                ("transaction_details.amount", NullValue),
                ("transaction_details.currency", Required),
                ("transaction_details.direction", Required),
                ("travel_rule_details.status", NullValue),
            ],
        ),
        (
            ImportType::StatusRules,
            r#"{"feature":null,"field":"kyc.a","operator":"fuzzy_match","score":null,"value":null}"#,
            &[("feature", NullValue), ("score", NullValue), ("status", Required), ("value", NullValue)],
        ),
        (
            ImportType::StatusRules,
            r#"{"feature":"OCR","field":"kyc.a","operator":"equals","status":null,"value_json":"null"}"#,
            &[("status", NullValue), ("value", NullValue)],
        ),
        // A CSV cell is blank, unless it holds JSON.
        (ImportType::UserVerification, "external_id,first_name\n,A\n", &[("external_id", Required)]),
        (
            ImportType::StatusRules,
            "feature,field,operator,status,value\nOCR,kyc.a,equals,,null\n",
            &[("status", Required), ("value", NullValue)],
        ),
        (
            ImportType::StatusRules,
            "feature,field,operator,status,value\nOCR,kyc.a,equals,Declined,\n",
            &[("value", Required)],
        ),
        (
            ImportType::BusinessVerification,
            "external_id,company_name,officers_json\nk,,[{\"name\":null}]\n",
            &[("company_name", Required), ("officers[0].name", NullValue)],
        ),
    ];
    for (import_type, file, wanted) in cases {
        let tenant = server.tenant().await;
        let spec = spec_of(&server, &tenant, import_type).await;
        let file = if file.starts_with('{') { file.replace('\n', "") } else { file.to_owned() };
        let import = tenant.import_as(spec, &file).await.expect("an import");
        assert_eq!(counters(&import), (0, 0, 1), "{file}");
        let error = &tenant.row_errors(&import.uuid).await[0];
        let mut found: Vec<_> =
            error.issues.iter().map(|issue| (issue.field.as_str(), issue.code())).collect();
        found.sort_unstable();
        assert_eq!(found, wanted, "{file}: {}", error.error);
    }
}

async fn files_that_are_something_else_fail(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    for (name, file, reason) in [
        ("H003 one list", "[{\"external_id\":\"a\"},\n{\"external_id\":\"b\"}]", "NOT_NDJSON"),
        ("H003 a list over lines", "[\n{\"external_id\":\"a\"}\n]", "NOT_NDJSON"),
        ("H003 pretty-printed", "{\n  \"external_id\": \"a\"\n}\n", "NOT_NDJSON"),
    ] {
        let import = tenant.import(file).await;
        assert_eq!((import.status(), import.last_error_reason()), (ImportStatus::Failed, reason), "{name}");
    }
    let utf16: Vec<u8> = "{\"external_id\":\"a\"}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let import = tenant.import(utf16).await;
    assert_eq!(import.last_error_reason(), "UNSUPPORTED_ENCODING", "H027");
    let many = pb::ImportSpec { source_filename: "x.csv".into(), ..tenant.spec() };
    let import = tenant.import_as(many, "{\"external_id\":\"a\"}\n").await.expect("an answer");
    assert_eq!(import.last_error_reason(), "MISSING_COLUMN", "the name says CSV");
}
