//! Shapes of CSV files: the questions of csv-spectrum, odd headers, delimiters at the end, and what a
//! spreadsheet leaves behind.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, IssueCode},
};

use crate::{
    harness::{Database, Server, Tenant, codes, counters, upload_of},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(
    files_of_every_dialect_are_read_the_same,
    headers_of_few_columns,
    a_delimiter_at_the_end_of_every_row,
    numbers_beyond_any_integer,
    a_line_for_the_spreadsheet_is_told,
    likely_causes_are_told,
);

/// G051: name, file, and the cells that must be kept of each row.
type Case = (&'static str, &'static str, &'static [[&'static str; 3]]);

const SPECTRUM: [Case; 12] = [
    (
        "a comma in quotes",
        "external_id,first_name,address\na,Lis,\"12 Quay Rd, Cork\"\n",
        &[["a", "Lis", "12 Quay Rd, Cork"]],
    ),
    (
        "nothing in cells",
        "external_id,first_name,address\na,\"\",\"\"\nb,,\n",
        &[["a", "", ""], ["b", "", ""]],
    ),
    (
        "nothing in cells, CRLF",
        "external_id,first_name,address\r\na,\"\",\"\"\r\nb,,\r\n",
        &[["a", "", ""], ["b", "", ""]],
    ),
    (
        "doubled quotes",
        "external_id,first_name,address\na,\"the \"\"one\"\"\",\"\"\"\"\nb,\"\"\"x\"\"\",\"\"\"\"\"\"\n",
        &[["a", "the \"one\"", "\""], ["b", "\"x\"", "\"\""]],
    ),
    (
        "JSON in a cell",
        "external_id,first_name,address\na,Lis,\"{\"\"at\"\": [51.9, \"\"quay, 12\"\"]}\"\n",
        &[["a", "Lis", "{\"at\": [51.9, \"quay, 12\"]}"]],
    ),
    (
        "places in figures",
        "external_id,first_name,address\na,\"51.8985\",\"-8.4756,0.0\"\nb,51.8985,-8.4756\n",
        &[["a", "51.8985", "-8.4756,0.0"], ["b", "51.8985", "-8.4756"]],
    ),
    (
        "line ends in quotes",
        "external_id,first_name,address\na,Lis,\"two\nlines\"\n\"b\",\"\n\",\"1\n\n2\"\n",
        &[["a", "Lis", "two\nlines"], ["b", "", "1\n\n2"]],
    ),
    (
        "line ends in quotes, CRLF",
        "external_id,first_name,address\r\na,Lis,\"two\r\nlines\"\r\nb,x,\"1\r\n\r\n2\"\r\n",
        &[["a", "Lis", "two\r\nlines"], ["b", "x", "1\r\n\r\n2"]],
    ),
    (
        "quotes and line ends",
        "external_id,first_name,address\na,1,\"ha \n\"\"ha\"\" \nha\"\nb,2,3\n",
        &[["a", "1", "ha \n\"ha\" \nha"], ["b", "2", "3"]],
    ),
    ("plain", "external_id,first_name,address\na,b,c\n", &[["a", "b", "c"]]),
    ("plain, CRLF and no end", "external_id,first_name,address\r\na,b,c", &[["a", "b", "c"]]),
    (
        "letters of many scripts",
        "external_id,first_name,address\na,Żółw,ʥʦʫ\nb,王,🐢 \u{202e}x\nc,\u{e01}\u{e33},e\u{301}\n",
        &[["a", "Żółw", "ʥʦʫ"], ["b", "王", "🐢 \u{202e}x"], ["c", "\u{e01}\u{e33}", "e\u{301}"]],
    ),
];

/// G027: a mark inside a file is a character like another; a spreadsheet's beside a column's name is none.
const MARKS: [Case; 2] = [
    (
        "U+FEFF in cells",
        "external_id,first_name,address\na\u{feff},\u{feff}x,y\u{feff}z\n\u{feff}b,x,y\n",
        &[["a\u{feff}", "\u{feff}x", "y\u{feff}z"], ["\u{feff}b", "x", "y"]],
    ),
    (
        "U+FEFF and U+00A0 in the header",
        "\u{feff}\u{feff}external_id,\u{a0}first_name\u{a0},\u{feff}address\na,b,c\n",
        &[["a", "b", "c"]],
    ),
];

async fn kept(tenant: &Tenant, import: &pb::Import) -> Vec<[String; 3]> {
    let filter = pb::ListSessionsRequest { import_id: import.uuid.clone(), ..Default::default() };
    let mut sessions = tenant.sessions(filter).await;
    sessions.sort_by_key(|session| session.row_number);
    let mut rows = Vec::new();
    for session in sessions {
        let decision = tenant.decision(&session.session_id).await;
        let document = decision.id_verifications.into_iter().next().unwrap_or_default();
        rows.push([
            session.external_id,
            document.first_name.unwrap_or_default(),
            document.address.unwrap_or_default(),
        ]);
    }
    rows
}

async fn files_of_every_dialect_are_read_the_same(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    for (n, (name, file, rows)) in SPECTRUM.iter().chain(&MARKS).enumerate() {
        // Another delimiter, where it stands in no cell, changes nothing.
        let others = [';', '\t', '|'].iter().map(|other| file.replace(',', &other.to_string()));
        let others = others.filter(|_| rows.iter().flatten().all(|cell| !cell.contains(',')));
        for (m, file) in std::iter::once((*file).to_owned()).chain(others).enumerate() {
            // The keys of each file are of a provider of its own.
            let spec = pb::ImportSpec { provider: format!("of-{n}-{m}"), ..tenant.spec() };
            let upload = upload_of(spec, file.as_bytes(), if m == 0 { 1 } else { 64 });
            let import = tenant.upload(upload).await.expect(name);
            let import = tenant.wait(&import.uuid).await;
            assert_eq!(import.status(), ImportStatus::Completed, "{name}: {}", import.last_error());
            assert_eq!(kept(&tenant, &import).await, **rows, "{name}: {file:?}");
        }
    }
}

/// G021.
async fn headers_of_few_columns(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let named = pb::ImportSpec { source_filename: "export.csv".into(), ..tenant.spec() };
    for (name, file, reason) in [
        ("no header before the rows", "\n\na\nb\n", "MISSING_COLUMN"),
        ("one without a name", "\"\"\na\n", "MISSING_COLUMN"),
        ("two without a name", ",\na,b\n", "MISSING_COLUMN"),
        ("blanks", "   \na\n", "MISSING_COLUMN"),
        ("nothing but line ends", "\r\n\r\n", "EMPTY_FILE"),
    ] {
        let import = tenant.import_as(named.clone(), file).await.expect(name);
        assert_eq!((import.status(), import.last_error_reason()), (ImportStatus::Failed, reason), "{name}");
        assert_eq!(import.total_rows, 0, "{name}");
    }
    let import = tenant.import_as(named, "external_id\na\nb\n").await.expect("an import");
    assert_eq!(counters(&import), (2, 0, 0), "one column is enough");
}

/// G016.
async fn a_delimiter_at_the_end_of_every_row(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let rows = |end: &str| (0..30).map(|n| format!("t{n},Ana{end}\n")).collect::<String>();
    let import = tenant.import("external_id,first_name\n".to_owned() + &rows(",")).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (0, 0, 30)));
    for error in tenant.row_errors(&import.uuid).await {
        assert_eq!(codes(&error), [IssueCode::ColumnCount]);
        assert!(error.error.contains("3 cells") && error.error.contains("header 2"), "{}", error.error);
    }
    let import = tenant.import("external_id,first_name,\n".to_owned() + &rows("")).await;
    assert_eq!(counters(&import), (0, 0, 30), "nor may rows have less");
    let import = tenant.import("external_id,first_name,\n".to_owned() + &rows(",")).await;
    assert_eq!(counters(&import), (30, 0, 0), "a column without a name is one that nobody knows");
}

/// G042 in every kind of field that is a number.
async fn numbers_beyond_any_integer(database: Database) {
    use IssueCode::{InvalidValue, OutOfRange};
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let numbers =
        ["9223372036854775807", "9223372036854775808", "-9223372036854775809", "18446744073709551616"];
    for (import_type, header, cells, code) in [
        (ImportType::UserVerification, "liveness_score", "", OutOfRange),
        (ImportType::UserVerification, "face_match_score", "", OutOfRange),
        (ImportType::UserVerification, "created_at", "", InvalidValue),
        (ImportType::BusinessVerification, "company_name,incorporation_date", "A,", InvalidValue),
        (
            ImportType::StatusRules,
            "feature,field,operator,status,priority",
            "OCR,kyc.name,is_empty,Approved,",
            OutOfRange,
        ),
        (
            ImportType::StatusRules,
            "feature,field,operator,status,score",
            "OCR,kyc.name,is_empty,Approved,",
            OutOfRange,
        ),
    ] {
        let rows = numbers.iter().enumerate().map(|(n, number)| format!("n{n},{cells}{number}\n"));
        let file = format!("external_id,{header}\n{}", rows.collect::<String>());
        let spec = spec_of(&server, &tenant, import_type).await;
        let import = tenant.import_as(spec, file).await.expect(header);
        assert_eq!(counters(&import), (0, 0, 4), "{header}");
        for error in tenant.row_errors(&import.uuid).await {
            assert_eq!(codes(&error), [code], "{header}: {}", error.error);
        }
    }
}

/// G050: a line for the spreadsheet is no header, and the error shows what was found in its place.
async fn a_line_for_the_spreadsheet_is_told(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let named = pb::ImportSpec { source_filename: "export.csv".into(), ..tenant.spec() };
    for file in ["sep=;\nexternal_id;status\na;Approved\n", "sep=,\r\nexternal_id,status\r\na,Approved\r\n"] {
        let import = tenant.import_as(named.clone(), file).await.expect("an answer");
        assert_eq!(import.last_error_reason(), "MISSING_COLUMN");
        let first = file.lines().next().expect("a line").trim_end_matches(',');
        assert!(import.last_error().contains(first), "{}", import.last_error());
        let unnamed = tenant.import(file).await;
        assert_eq!((unnamed.status(), unnamed.last_error_reason()), (ImportStatus::Failed, "UNKNOWN_FORMAT"));
    }
}

/// G009, G053: the number of cells alone helps nobody.
async fn likely_causes_are_told(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    for (file, row, words) in [
        ("external_id,first_name\na, \"A,b\"\nb,B\n", 1, "a blank stands before one"),
        ("external_id;first_name\na; \"A;b\"\nb;B\n", 1, "a blank stands before one"),
        ("external_id,first_name\na,A\nb", 2, "may have been cut off"),
        ("external_id,first_name\na\nb,B\n", 1, "the record has 1 cells, and the header 2"),
        ("external_id,first_name\na,A,b\nb,B\n", 1, "the record has 3 cells, and the header 2"),
    ] {
        let import = tenant.import(file).await;
        let errors = tenant.row_errors(&import.uuid).await;
        assert_eq!((errors.len(), errors[0].row_number), (1, row), "{file}");
        assert!(errors[0].error.ends_with(words), "{file}: {}", errors[0].error);
    }
}
