//! What is JSON and what is not (H030): values of every kind, judged by the importer as lines.

use carryover::grpc::pb::{self, ImportStatus, IssueCode};
use serde::de::IgnoredAny;

use crate::{
    harness::{Database, Server, Tenant, codes},
    on_both_databases,
};

on_both_databases!(json_is_told_from_what_is_not, large_lines_of_many_members);

/// Values that RFC 8259 allows.
const JSON: &[&str] = &[
    // Numbers.
    "0",
    "-0",
    "1",
    "-1",
    "123",
    "-123",
    "0.5",
    "-0.1",
    "1.0",
    "123.456789",
    "1e2",
    "1E2",
    "1e+2",
    "1E+2",
    "1e-2",
    "1E-2",
    "0e1",
    "0e+1",
    "1e00",
    "1.5e+3",
    "123.456e78",
    "123e-10000000",
    "10000000000000000999",
    "18446744073709551616",
    "-9223372036854775809",
    "0.1000000000000000055511151231257827",
    "-0.000000000000000000000000000000000000000000000000000000000000000000000000000001",
    // Texts.
    r#""""#,
    r#"" ""#,
    r#""a""#,
    r#""\"\\\/\b\f\n\r\t""#,
    r#""\u0060\u012a\u12AB""#,
    r#""\u002c""#,
    r#""\uD801\udc37""#,
    r#""\ud83d\ude39\ud83d\udc8d""#,
    r#""\uFFFF""#,
    r#""\u0012""#,
    r#""\\u0000""#,
    r#""\u0000""#,
    r#""\u2028\u2029\u0085""#,
    "\"\u{7f}\"",
    "\"\u{2028}\u{2029}\u{85}\"",
    "\"é\"",
    "\"😀\"",
    "\"\u{10ffff}\"",
    "\"\u{ffff}\"",
    "\"\u{feff}\"",
    r#""asd ""#,
    r#""[1,2""#,
    r#""{""#,
    r#""//""#,
    r#""\\""#,
    r#""\u0022\u005c""#,
    r#""new\u00A0line""#,
    // Words.
    "true",
    "false",
    "null",
    // Arrays.
    "[]",
    "[ ]",
    "[[]]",
    r#"[""]"#,
    "[1]",
    "[ 1 , 2 ]",
    "[\t1]",
    r#"[1,null,"a",{}]"#,
    "[false,true,null]",
    r#"[[[[[[[[[["deep"]]]]]]]]]]"#,
    "[1,[2,[3]],4]",
    // Objects.
    "{}",
    "{ }",
    r#"{"":0}"#,
    r#"{"a":[]}"#,
    r#"{"a":{}}"#,
    r#"{"a":"b"}"#,
    r#"{"a":"b","a":"c"}"#,
    r#"{"a\u0000b":1}"#,
    r#"{"min":-1.0e+28,"max":1.0e+28}"#,
    r#"{"a": 1 , "b" :2}"#,
    r#"{"\u0061":"\u041f"}"#,
    "{\"\u{feff}\":1}",
    r#"{"a":{"b":{"c":[{"d":null}]}}}"#,
    // Blanks around.
    " \t1\t ",
    "  {}  ",
];

/// What no reader of RFC 8259 may take.
const NO_JSON: &[&str] = &[
    // Nothing.
    "",
    " ",
    // Numbers.
    "-",
    "+1",
    "++1",
    "--1",
    "-+1",
    "01",
    "-01",
    "012",
    "00",
    "1.",
    "-1.",
    ".5",
    "-.5",
    "0.e1",
    "1.e1",
    "1e",
    "1E",
    "1e+",
    "1E-",
    "1eE2",
    "0.3e",
    "0e",
    "0x1",
    "0x",
    "1_000",
    "1 000",
    "1,000.5.",
    "1a",
    "1.2a-3",
    "1+2",
    "2.-3",
    "NaN",
    "nan",
    "-NaN",
    "Infinity",
    "-Infinity",
    "inf",
    "∞",
    "\u{ff11}",
    "1e1.5",
    "- 1",
    // Texts.
    r#""abc"#,
    r#"abc""#,
    "'a'",
    "\u{201c}a\u{201d}",
    "`a`",
    r#""\x00""#,
    r#""\a""#,
    r#""\'""#,
    r#""\0""#,
    r#""\u""#,
    r#""\u1""#,
    r#""\u00A""#,
    r#""\uqqqq""#,
    r#""\u 041""#,
    r#""\U0041""#,
    r#""\"#,
    r#""\""#,
    r#""\\\""#,
    "\"\t\"",
    "\"\u{1f}\"",
    "\"\u{0}\"",
    "\"\u{8}\"",
    r#"\u0031"#,
    r#"\n"#,
    r#""a" "b""#,
    r#""a""b""#,
    r#""é\"#,
    // Words.
    "tru",
    "truee",
    "True",
    "TRUE",
    "fals",
    "nul",
    "nulll",
    "None",
    "undefined",
    "a",
    "\u{e9}",
    // Arrays.
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[,]",
    "[,1]",
    "[1,,2]",
    "[1 true]",
    r#"["a" "b"]"#,
    "[a]",
    "[*]",
    "[-]",
    "[1}",
    "[1:2]",
    "[1;2]",
    "]",
    "[]]",
    "[[]",
    "[1]x",
    "(1)",
    // Objects.
    "{",
    "}",
    "{}}",
    r#"{"a"}"#,
    r#"{"a":}"#,
    "{:1}",
    "{,}",
    r#"{"a":1,}"#,
    r#"{"a":1,,"b":2}"#,
    r#"{"a":1"#,
    r#"{"a" 1}"#,
    r#"{"a","b"}"#,
    "{a:1}",
    "{1:1}",
    "{null:1}",
    "{[1]:1}",
    "{'a':1}",
    r#"{"a":1 "b":2}"#,
    r#"{"a"::1}"#,
    r#"{"a":1;"b":2}"#,
    r#"{"a":"b"]"#,
    r#"{"a":01}"#,
    // What other languages allow.
    r#"{"a":1}#"#,
    "1/*c*/",
    "/*c*/1",
    "1//c",
    "#c",
    "<null>",
    "<a/>",
    "a: 1",
    "=1",
    "@",
    "$",
    "~",
    "%",
    "\\",
    // Blanks that are none.
    "\u{a0}1",
    "\u{c}1",
    "\u{b}1",
    "\u{feff}1",
    "1\u{0}",
    "\u{2060}1",
    "1\u{3000}",
];

/// Values about which readers disagree, and what this one says where nobody reads them.
const DISPUTED: &[(&str, bool)] = &[
    ("1e400", true),
    ("-1e9999", true),
    ("1e-400", true),
    (r#""\ud800""#, true),
    (r#""\udc00\ud800""#, true),
    (r#""\uD800\n""#, true),
];

/// Lines that hold the value in every kind of place: passed over, read as a text, kept as JSON.
fn lines(n: usize, value: &str) -> [String; 3] {
    [
        format!(r#"{{"external_id":"p{n}","no_field":{value}}}"#),
        format!(r#"{{"external_id":"r{n}","address":{value}}}"#),
        format!(r#"{{"external_id":"k{n}","metadata":{{"k":{value}}}}}"#),
    ]
}

fn is_json(line: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(line).is_ok()
}

/// Imports lines; gives the first issue of each, where it was refused.
async fn judge(tenant: &Tenant, lines: &[String]) -> Vec<Option<IssueCode>> {
    // The format is named, since the first line need not tell it.
    let spec = pb::ImportSpec { source_format: pb::SourceFormat::Ndjson as i32, ..tenant.spec() };
    let import = tenant.import_as(spec, lines.join("\n")).await.expect("an import");
    assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
    assert_eq!(import.total_rows, lines.len() as i64, "each line is a row");
    let mut verdicts = vec![None; lines.len()];
    for error in tenant.row_errors(&import.uuid).await {
        let codes = codes(&error);
        let worst = codes.iter().find(|code| **code == IssueCode::BadJson).or(codes.first());
        verdicts[error.row_number as usize - 1] = worst.copied();
    }
    verdicts
}

async fn json_is_told_from_what_is_not(database: Database) {
    assert!(JSON.len() >= 60 && NO_JSON.len() >= 60);
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    for (values, json) in [(JSON, true), (NO_JSON, false)] {
        let lines: Vec<_> = values.iter().enumerate().flat_map(|(n, value)| lines(n, value)).collect();
        for (line, verdict) in lines.iter().zip(judge(&tenant, &lines).await) {
            assert_eq!(is_json(line), json, "serde_json judges {line}");
            assert_eq!(verdict != Some(IssueCode::BadJson), json, "the importer judges {line}");
        }
    }
    let lines: Vec<_> =
        DISPUTED.iter().enumerate().map(|(n, (value, _))| lines(n, value)[0].clone()).collect();
    for ((value, taken), verdict) in DISPUTED.iter().zip(judge(&tenant, &lines).await) {
        assert_eq!(verdict != Some(IssueCode::BadJson), *taken, "{value}");
    }
}

/// Lines that differ from good ones in a few characters, judged as serde_json judges them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_lines_are_judged_as_serde_json_does() {
    const LINES: usize = 6000;
    const GOOD: [&str; 4] = [
        r#"{"external_id":"a1","status":"Approved","first_name":"Ana \"A\"","no_field":[1,-2.5e3,{"x":null}]}"#,
        r#"{ "external_id" : "b\\2", "tags" : ["one", "two"], "address":"a, b", "no_field" : true }"#,
        r#"{"external_id":3,"liveness_score":0.75,"no_field":{"a":[[],{},"\n"],"b":false}}"#,
        r#"{"no_field":"","external_id":"d4","first_name":"Zoë","face_match_score":91}"#,
    ];
    const ALPHABET: &[u8] = b"{}[]\",:\\ 0159+-.eEnrtfalsx/'\t";
    let mut random = fastrand::Rng::with_seed(30);
    let lines: Vec<String> = std::iter::repeat_with(|| {
        let mut line: Vec<char> = GOOD[random.usize(..GOOD.len())].chars().collect();
        for _ in 0..random.usize(..4) {
            let at = random.usize(..line.len());
            let other = char::from(ALPHABET[random.usize(..ALPHABET.len())]);
            match random.u8(..4) {
                0 => line[at] = other,
                1 => line.insert(at, other),
                2 => drop(line.remove(at)),
                _ => line.swap(at, 0),
            }
        }
        line.into_iter().collect()
    })
    .take(LINES)
    .collect();
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let verdicts = judge(&tenant, &lines).await;
    let bad = verdicts.iter().filter(|verdict| **verdict == Some(IssueCode::BadJson)).count();
    assert!((LINES / 5..LINES * 4 / 5).contains(&bad), "both kinds are met: {bad}");
    for (line, verdict) in lines.iter().zip(verdicts) {
        if line.trim_ascii().starts_with('{') {
            assert_eq!(verdict == Some(IssueCode::BadJson), !is_json(line.trim_ascii()), "{line}");
        } else {
            // Whatever else it is, it is no object.
            assert!(matches!(verdict, Some(IssueCode::BadJson | IssueCode::NotAnObject)), "{line}");
        }
    }
}

/// H022: a line may be as large as a record, whatever it is made of.
async fn large_lines_of_many_members(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|n| format!("\"k{n}\":0")).collect();
        format!(r#"{{"external_id":"k{count}",{}}}"#, keys.join(","))
    };
    let elements = |count: usize| format!(r#"{{"external_id":"e{count}","x":[{}0]}}"#, "0,".repeat(count));
    let lines = [
        r#"{"external_id":"first"}"#.to_owned(),
        keys(90_000),
        keys(1_000_000),
        elements(500_000),
        elements(1_000_000),
        r#"{"external_id":"last"}"#.to_owned(),
    ];
    let import = tenant.import(lines.join("\n")).await;
    assert_eq!((import.total_rows, import.created_count), (6, 4));
    let errors = tenant.row_errors(&import.uuid).await;
    let errors: Vec<_> = errors.iter().map(|error| (error.row_number, codes(error))).collect();
    assert_eq!(errors, [(3, vec![IssueCode::RecordTooLarge]), (5, vec![IssueCode::RecordTooLarge])]);
}
