//! What a value of a JSON line may be where the line itself is fine: whole numbers, keys that stand twice,
//! depth, and what readers of JSON disagree about.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, IssueCode},
};
use prost_types::value::Kind;

use crate::{
    harness::{Database, Server, Tenant, codes, counters},
    kinds::spec_of,
    on_both_databases, stored,
};

on_both_databases!(
    whole_numbers_are_written_as_such,
    keys_that_stand_twice,
    depth_that_nobody_reads,
    disputed_values_are_judged_by_their_place,
);

/// The first issue of each line, where it was refused.
async fn verdicts(tenant: &Tenant, spec: pb::ImportSpec, lines: &[Vec<u8>]) -> Vec<Option<IssueCode>> {
    let spec = pb::ImportSpec { source_format: pb::SourceFormat::Ndjson as i32, ..spec };
    let import = tenant.import_as(spec, lines.join(&b'\n')).await.expect("an import");
    assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
    assert_eq!(import.total_rows, lines.len() as i64);
    let mut verdicts = vec![None; lines.len()];
    for error in tenant.row_errors(&import.uuid).await {
        verdicts[error.row_number as usize - 1] = Some(codes(&error)[0]);
    }
    verdicts
}

/// H014, H015: a whole number has digits only; zero may have a sign.
async fn whole_numbers_are_written_as_such(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let taken = ["0", "7", "100", "-0"];
    let refused = [
        "1.0",
        "0.0",
        "1e2",
        "1E2",
        "10e-1",
        "1e0",
        "1.5",
        "-1",
        "101",
        "2147483648",
        "9223372036854775807",
        "9223372036854775808",
        "-9223372036854775809",
        "18446744073709551616",
        "1e400",
    ];
    for (import_type, members, column, table) in [
        (
            ImportType::Transactions,
            r#""transaction_at":"2024-04-01T07:15:00Z","transaction_category":"finance","direction":"in","amount":"5","currency":"EUR","subject_vendor_data":"c","subject_full_name":"Ana""#,
            "score",
            "transactions",
        ),
        (
            ImportType::StatusRules,
            r#""feature":"OCR","field":"kyc.name","operator":"is_empty","status":"Approved""#,
            "priority",
            "status_rules",
        ),
    ] {
        // A priority may be larger than a score.
        let refused = refused.iter().filter(|text| column == "score" || **text != "101");
        let numbers: Vec<_> = taken.iter().chain(refused).collect();
        let lines: Vec<_> = numbers
            .iter()
            .flat_map(|text| [(**text).to_owned(), format!("\"{text}\"")])
            .enumerate()
            .map(|(n, value)| {
                format!(r#"{{"external_id":"{column}-{n}",{members},"{column}":{value}}}"#).into_bytes()
            })
            .collect();
        let spec = spec_of(&server, &tenant, import_type).await;
        let found = verdicts(&tenant, spec, &lines).await;
        for (text, found) in numbers.iter().zip(found.chunks(2)) {
            let wanted = if taken.contains(text) { None } else { Some(IssueCode::OutOfRange) };
            assert_eq!(found, [wanted, wanted], "{column} {text} as a number and as a text");
        }
        let kept = stored::texts(&server, &format!("SELECT {column} FROM {table} ORDER BY row_number")).await;
        assert_eq!(kept, ["0", "0", "7", "7", "100", "100", "0", "0"], "{column}");
    }
}

/// H006: of members that are read, also those of inner objects; nobody compares what is passed over.
async fn keys_that_stand_twice(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    for (import_type, members, cases) in [
        (
            ImportType::UserVerification,
            r#""status":"Approved""#,
            vec![
                (r#""first_name":"a","first_name":"a""#, Some(IssueCode::DuplicateKey)),
                (r#""first_name":"a","First_Name":"b""#, Some(IssueCode::DuplicateKey)),
                (r#""metadata":{},"metadata_json":"{}""#, Some(IssueCode::DuplicateKey)),
                (r#""first_name":null,"first_name":"b""#, Some(IssueCode::DuplicateKey)),
                (r#""first_name":"a","first_name":null"#, Some(IssueCode::DuplicateKey)),
                (r#""no_field":1,"no_field":2"#, None),
            ],
        ),
        (
            ImportType::BusinessVerification,
            r#""company_name":"A""#,
            vec![
                (r#""officers":[{"name":"a","name":"b"}]"#, Some(IssueCode::WrongType)),
                (
                    r#""documents":[{"file_url":"https://a.example.com/x","file_url":"https://b.example.com/x"}]"#,
                    Some(IssueCode::WrongType),
                ),
            ],
        ),
        (
            ImportType::Transactions,
            r#""transaction_at":"2024-04-01T07:15:00Z","transaction_category":"finance","transaction_details":{"direction":"in","currency":"EUR","amount":"5"},"subject":{"vendor_data":"c","full_name":"Ana"}"#,
            vec![
                (r#""counterparty":{"full_name":"a","full_name":"b"}"#, Some(IssueCode::DuplicateKey)),
                (r#""amount":"6""#, Some(IssueCode::DuplicateKey)),
                (r#""subject":{"vendor_data":"d"}"#, Some(IssueCode::DuplicateKey)),
                (r#""subject":{"first_name":"Ana"}"#, Some(IssueCode::DuplicateKey)),
                (r#""subject":null"#, Some(IssueCode::DuplicateKey)),
                (r#""provider_results":[{"status":"a","status":"b"}]"#, Some(IssueCode::WrongType)),
            ],
        ),
    ] {
        let lines: Vec<_> = cases
            .iter()
            .enumerate()
            .map(|(n, (twice, _))| format!(r#"{{"external_id":"d-{n}",{members},{twice}}}"#).into_bytes())
            .collect();
        let spec = spec_of(&server, &tenant, import_type).await;
        for ((twice, wanted), found) in cases.iter().zip(verdicts(&tenant, spec, &lines).await) {
            assert_eq!(found, *wanted, "{import_type:?} with {twice}");
        }
    }
}

/// H008: an unknown member may be of any depth, since it is passed over; and a row that fails for something
/// else is shown as text where no message could hold it.
async fn depth_that_nobody_reads(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let nested = [
        ("lists", "[".repeat(200), "]".repeat(200)),
        ("objects", "{\"k\":".repeat(200) + "1", "}".repeat(200)),
        ("both", "[{\"k\":".repeat(100) + "1", "}]".repeat(100)),
        ("many lists", "[".repeat(100_000), "]".repeat(100_000)),
    ];
    let lines = |status: &str| -> Vec<String> {
        let line = |(name, open, close): &(&str, String, String)| {
            format!(r#"{{"external_id":"{name}","status":"{status}","no_field":{open}{close}}}"#)
        };
        nested.iter().map(line).collect()
    };
    let good = tenant.import(lines("Approved").join("\n")).await;
    assert_eq!(counters(&good), (4, 0, 0), "{:?}", tenant.row_errors(&good.uuid).await);
    let bad = lines("wrong");
    let import = tenant.import(bad.join("\n")).await;
    assert_eq!(counters(&import), (0, 0, 4));
    for (error, line) in tenant.row_errors(&import.uuid).await.iter().zip(&bad) {
        assert_eq!(codes(error), [IssueCode::InvalidValue], "only the status is wrong");
        let raw = error.raw_row.as_ref().expect("the row").fields["_raw"].kind.clone();
        let Some(Kind::StringValue(text)) = raw else { panic!("text: {raw:?}") };
        assert!(!text.is_empty() && line.starts_with(&text), "the beginning of the line: {text}");
    }
    let exported = tenant.export(&import.uuid, &[]).await;
    assert_eq!(String::from_utf8(exported).expect("text").trim_end(), bad.join("\n"), "byte for byte");
}

/// Values about which readers of JSON disagree (H030), as bytes, and what becomes of each where it is passed
/// over, where it is a text, and where it is kept as JSON.
type Disputed = (&'static str, &'static [&'static [u8]], [Option<IssueCode>; 3]);

const DISPUTED: &[Disputed] = &[
    (
        "numbers next to zero, and large whole ones",
        &[
            b"1e-99999",
            b"2e-400",
            b"0e99999",
            b"-99999999999999999999999",
            b"99999999999999999999999",
            b"-9223372036854775809",
        ],
        [None, None, None],
    ),
    (
        "numbers beyond any float: as a text they are their digits",
        &[b"0.5e+99999", b"-1e99999", b"1.5e400", b"-123e777", b"1e400"],
        [None, None, Some(IssueCode::BadJson)],
    ),
    (
        "halves of a character",
        &[
            br#""\udfaa""#,
            br#""\ud83d""#,
            br#""\ud83d\n""#,
            br#""\ud83dx""#,
            br#""\ud83d\u0041""#,
            br#""\ud83d\ud83d""#,
            br#""\ude39\ud83d""#,
            br#""\ud83d\ud83d\ude39""#,
        ],
        [None, Some(IssueCode::BadJson), Some(IssueCode::BadJson)],
    ),
    (
        "half a character in a key",
        &[br#"{"\udc00":1}"#],
        [None, Some(IssueCode::WrongType), Some(IssueCode::BadJson)],
    ),
    (
        "bytes that are no UTF-8, wherever they are",
        &[
            b"\"\xff\"",
            b"\"\xe9\"",
            b"\"\x80\"",
            b"\"\xc0\xaf\"",
            b"\"\xe2\x82\"",
            b"\"\xe0\xff\"",
            b"\"\xed\xa0\x80\"",
            b"\"\xf4\xbf\xbf\xbf\"",
            b"\"\xfc\x83\xbf\xbf\xbf\xbf\"",
            b"\"\xfc\x80\x80\x80\x80\x80\"",
        ],
        [Some(IssueCode::Encoding); 3],
    ),
];

async fn disputed_values_are_judged_by_their_place(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    for (name, values, wanted) in DISPUTED {
        let lines = values.iter().enumerate().flat_map(|(n, value)| {
            [r#","no_field":"#, r#","address":"#, r#","metadata":{"k":"#].into_iter().enumerate().map(
                move |(at, member)| {
                    let id = format!("{{\"external_id\":\"{name} {n} {at}\"");
                    let end: &[u8] = if at == 2 { b"}}" } else { b"}" };
                    [id.as_bytes(), member.as_bytes(), value, end].concat()
                },
            )
        });
        let lines: Vec<_> = lines.collect();
        let found = verdicts(&tenant, tenant.spec(), &lines).await;
        for (value, found) in values.iter().zip(found.chunks(3)) {
            assert_eq!(found, wanted, "{name}: {}", value.escape_ascii());
        }
    }
}
