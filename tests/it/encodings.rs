//! Sources that are not UTF-8, and sources with other delimiters.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, IssueCode, upload_import_request::Message},
};
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::{
    harness::{
        Database, Server, Tenant, assert_refused, chunks, codes, counters, finish, gzip, message, plain_csv,
        resume, start, upload_of,
    },
    kinds::spec_of,
    on_both_databases,
    upload::send_and_break,
};

on_both_databases!(
    files_of_every_encoding_are_read,
    labels_that_name_no_encoding_are_refused,
    any_cut_of_utf16_gives_the_same_import,
    lone_surrogates_fail_alone,
    a_broken_upload_of_utf16_is_sent_again,
    the_hash_is_of_the_file_as_sent,
    delimiters_are_told_for_every_type,
    decimal_commas_are_explained,
);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

fn utf16(text: &str, order: Order) -> Vec<u8> {
    let bytes = |unit: u16| if order == Order::Little { unit.to_le_bytes() } else { unit.to_be_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

fn utf16_with_mark(text: &str, order: Order) -> Vec<u8> {
    utf16(&format!("\u{feff}{text}"), order)
}

fn encoded(text: &str, encoding: &'static encoding_rs::Encoding) -> Vec<u8> {
    let (bytes, _, lossy) = encoding.encode(text);
    assert!(!lossy, "{text} can be written as {}", encoding.name());
    bytes.into_owned()
}

async fn names(tenant: &Tenant) -> Vec<String> {
    let sessions = tenant.sessions(Default::default()).await;
    sessions.into_iter().rev().map(|session| session.full_name.unwrap_or_default()).collect()
}

async fn files_of_every_encoding_are_read(database: Database) {
    use Order::{Big, Little};
    use encoding_rs::{SHIFT_JIS, WINDOWS_1251, WINDOWS_1252};
    const ANY: &[&str] = &["Zoë 😀", "李小龍", "a,\nb"];
    const WEST: &[&str] = &["José €", "Ærø", "a,\nb"];
    const JAPAN: &[&str] = &["山田ソ表", "ﾔﾏﾀﾞ", "a,\nb"];
    const RUSSIA: &[&str] = &["Анна", "Ёлка", "a,\nb"];
    let csv = |names: &[&str]| {
        let row = |(n, name): (usize, &&str)| format!("k{n},\"{name}\"\r\n");
        format!("external_id,full_name\r\n{}", names.iter().enumerate().map(row).collect::<String>())
    };
    let json = |names: &[&str]| {
        let row = |(n, name): (usize, &&str)| {
            serde_json::json!({"external_id": format!("k{n}"), "full_name": name}).to_string() + "\n"
        };
        names.iter().enumerate().map(row).collect::<String>()
    };
    let server = Server::start(database).await;
    for (name, names_in, bytes, label, shown) in [
        ("UTF-8", ANY, csv(ANY).into_bytes(), "", "UTF-8"),
        ("UTF-8 with mark", ANY, ("\u{feff}".to_owned() + &csv(ANY)).into_bytes(), "", "UTF-8"),
        (
            "UTF-8 with mark and another label",
            ANY,
            ("\u{feff}".to_owned() + &csv(ANY)).into_bytes(),
            "latin1",
            "UTF-8",
        ),
        ("G030 UTF-16LE with mark", ANY, utf16_with_mark(&csv(ANY), Little), "", "UTF-16LE"),
        ("G030 UTF-16BE with mark", ANY, utf16_with_mark(&csv(ANY), Big), "", "UTF-16BE"),
        ("a mark against a label", ANY, utf16_with_mark(&csv(ANY), Big), "utf-16le", "UTF-16BE"),
        (
            "a mark against a label of bytes",
            ANY,
            utf16_with_mark(&csv(ANY), Little),
            "windows-1252",
            "UTF-16LE",
        ),
        ("UTF-16LE by label", ANY, utf16(&csv(ANY), Little), "utf-16le", "UTF-16LE"),
        ("UTF-16BE by label", ANY, utf16(&csv(ANY), Big), "UTF-16BE", "UTF-16BE"),
        ("H027 NDJSON in UTF-16LE", ANY, utf16_with_mark(&json(ANY), Little), "", "UTF-16LE"),
        ("H027 NDJSON in UTF-16BE", ANY, utf16(&json(ANY), Big), "utf-16be", "UTF-16BE"),
        ("G029 windows-1252", WEST, encoded(&csv(WEST), WINDOWS_1252), " Windows-1252 ", "windows-1252"),
        ("latin1", WEST, encoded(&csv(WEST), WINDOWS_1252), "latin1", "windows-1252"),
        ("windows-1251 in NDJSON", RUSSIA, encoded(&json(RUSSIA), WINDOWS_1251), "cp1251", "windows-1251"),
        ("Shift_JIS", JAPAN, encoded(&csv(JAPAN), SHIFT_JIS), "shift_jis", "Shift_JIS"),
    ] {
        for (packing, file) in [("plain", bytes.clone()), ("gzip", gzip(&bytes))] {
            let tenant = server.tenant().await;
            let spec = pb::ImportSpec { encoding: label.to_owned(), ..tenant.spec() };
            let import = tenant.import_as(spec, &file).await.expect(name);
            assert_eq!(
                import.status(),
                ImportStatus::Completed,
                "{name}, {packing}: {}",
                import.last_error()
            );
            assert_eq!(
                (counters(&import), import.encoding.as_str()),
                ((3, 0, 0), shown),
                "{name}, {packing}"
            );
            assert_eq!(names(&tenant).await, names_in, "{name}, {packing}");
            assert_eq!(import.committed_size, file.len() as i64, "{name}, {packing}");
        }
    }
}

async fn labels_that_name_no_encoding_are_refused(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    // The last ones are names of what nobody decodes any more.
    for label in ["klingon", "utf-7", "latin 1", "\u{0}", "replacement", "iso-2022-kr", "hz-gb-2312"] {
        let spec = pb::ImportSpec { encoding: label.to_owned(), ..tenant.spec() };
        let status =
            assert_refused(tenant.upload(vec![start(spec)]).await, Code::InvalidArgument, "INVALID_FIELDS");
        let details = tonic_types::StatusExt::get_details_bad_request(&status).expect("field violations");
        assert_eq!(details.field_violations[0].field, "spec.encoding", "{label}");
    }
    let list = tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await.expect("a list");
    assert!(list.into_inner().imports.is_empty(), "nothing was created");
}

async fn any_cut_of_utf16_gives_the_same_import(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let text = "external_id,full_name,address\r\nn-1,\"Zoë \"\"Z\"\"\",\"a,\r\nb\"\r\nn-2,李小龍,\"😀\"\r\nn-3,😀,\r\n";
    let mut source_bytes = Vec::new();
    for order in [Order::Little, Order::Big] {
        let file = utf16_with_mark(text, order);
        for size in 1..=7 {
            let tenant = server.tenant().await;
            let import = tenant.upload(upload_of(tenant.spec(), &file, size)).await.expect("an upload");
            let import = tenant.wait(&import.uuid).await;
            assert_eq!((import.total_rows, counters(&import)), (3, (3, 0, 0)), "chunks of {size}");
            assert_eq!(names(&tenant).await, ["Zoë \"Z\"", "李小龍", "😀"], "chunks of {size}");
            source_bytes.push(import.source_bytes);
        }
    }
    source_bytes.dedup();
    assert_eq!(source_bytes, [text.len() as i64], "what is stored is UTF-8, without the mark");
}

async fn lone_surrogates_fail_alone(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let lone = |unit: u16, order: Order| match order {
        Order::Little => unit.to_le_bytes(),
        Order::Big => unit.to_be_bytes(),
    };
    for order in [Order::Little, Order::Big] {
        let mut file = utf16_with_mark("external_id,full_name\ng-0,A\nb-1,x", order);
        file.extend(lone(0xd83d, order));
        file.extend(utf16("y\ng-2,😀\nb-3,", order));
        file.extend(lone(0xde00, order));
        file.extend(utf16("\nb-4,", order));
        // High and low the wrong way round, and a high one in front of a line end.
        file.extend([lone(0xde00, order), lone(0xd83d, order)].concat());
        file.extend(utf16("\ng-5,B\nb-6,", order));
        file.extend(lone(0xd83d, order));
        file.extend(utf16("\ng-7,C\n", order));
        let whole = file.clone();
        // Half a character at the very end is a row of its own.
        file.push(b'x');
        for (file, rows, more) in [(whole, 8, &[][..]), (file, 9, &[9])] {
            let tenant = server.tenant().await;
            let import = tenant.import(&file).await;
            assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
            let failed = [&[2, 4, 5, 7][..], more].concat();
            assert_eq!((import.total_rows, counters(&import)), (rows, (4, 0, failed.len() as i64)));
            let errors = tenant.row_errors(&import.uuid).await;
            let rows: Vec<_> = errors.iter().map(|error| error.row_number).collect();
            assert_eq!(rows, failed);
            assert!(errors.iter().all(|error| codes(error)[0] == IssueCode::Encoding), "{errors:?}");
            assert_eq!(names(&tenant).await, ["A", "😀", "B", "C"]);
        }
    }
}

async fn a_broken_upload_of_utf16_is_sent_again(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let text = plain_csv("u", 0, 200);
    let file = utf16_with_mark(&text, Order::Little);
    let id = tenant.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&file[..file.len() / 2 + 1], 0, 333));
    let broken = send_and_break(&tenant, &id, messages).await;
    assert!(broken.total_rows > 0, "segments were stored");
    assert_eq!(broken.committed_size, 0, "offsets in the file are not offsets in what is stored");
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&file, 0, 1000));
    messages.push(finish(file.len()));
    tenant.upload(messages).await.expect("the whole file");
    let import = tenant.wait(&id).await;
    assert_eq!((import.total_rows, counters(&import), import.duplicate_count), (200, (200, 0, 0), 0));
    assert_eq!((import.committed_size, import.source_bytes), (file.len() as i64, text.len() as i64));
    assert_eq!(tenant.sessions(Default::default()).await.len(), 200);
}

async fn the_hash_is_of_the_file_as_sent(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let text = "external_id,full_name\nh-1,José\n";
    let latin = encoded(text, encoding_rs::WINDOWS_1252);
    for (name, label, file) in [
        ("UTF-16", "", utf16_with_mark(text, Order::Big)),
        ("packed UTF-16", "", gzip(&utf16_with_mark(text, Order::Little))),
        ("windows-1252", "windows-1252", latin),
    ] {
        let upload = |hash: Vec<u8>| {
            let spec = pb::ImportSpec { encoding: label.to_owned(), ..tenant.spec() };
            let mut messages = vec![start(spec)];
            messages.extend(chunks(&file, 0, 5));
            let end = pb::UploadFinish { size: file.len() as i64, sha256: hash };
            messages.push(message(Message::Finish(end)));
            messages
        };
        let import = tenant.upload(upload(Sha256::digest(&file).to_vec())).await.expect(name);
        assert_eq!(tenant.wait(&import.uuid).await.status(), ImportStatus::Completed, "{name}");
        let of_text = tenant.upload(upload(Sha256::digest(text).to_vec())).await;
        assert_refused(of_text, Code::DataLoss, "SHA256_MISMATCH");
    }
}

/// A header and a row of each type, with commas that stand for the delimiter.
const ROWS: [(ImportType, &str); 4] = [
    (ImportType::UserVerification, "external_id,first_name,status\nu,Ana,Approved\n"),
    (ImportType::BusinessVerification, "company_name,external_id\nA Ltd,b\n"),
    (
        ImportType::Transactions,
        "transaction_id,transaction_at,transaction_category,direction,amount,currency,subject_vendor_data,subject_full_name\n\
         t,2024-01-01T00:00:00Z,finance,in,5,EUR,c,Ana\n",
    ),
    (ImportType::StatusRules, "feature,field,operator,value,status\nOCR,kyc.name,equals,Ana,Approved\n"),
];

async fn delimiters_are_told_for_every_type(database: Database) {
    let server = Server::start(database).await;
    for (import_type, csv) in ROWS {
        for delimiter in [",", ";", "\t", "|"] {
            let tenant = server.tenant().await;
            let spec = spec_of(&server, &tenant, import_type).await;
            let import = tenant.import_as(spec, csv.replace(',', delimiter)).await.expect("an import");
            let name = format!("{import_type:?} with {delimiter:?}: {}", import.last_error());
            assert_eq!(import.csv_delimiter, delimiter, "{name}");
            assert_eq!(
                (import.source_format(), counters(&import)),
                (pb::SourceFormat::Csv, (1, 0, 0)),
                "{name}"
            );
        }
    }
}

async fn decimal_commas_are_explained(database: Database) {
    let server = Server::start(database).await;
    for (import_type, csv, field, hint) in [
        (
            ImportType::Transactions,
            ROWS[2].1.replace(',', ";").replace(";5;", ";1.234,50;"),
            "transaction_details.amount",
            "1500.00",
        ),
        (
            ImportType::BusinessVerification,
            "external_id;company_name;registered_capital_amount\nb;A Ltd;1000,50\n".to_owned(),
            "registered_capital_amount",
            "1500.00",
        ),
        (
            ImportType::UserVerification,
            "external_id;liveness_score\nu;97,5\n".to_owned(),
            "liveness_score",
            "97.5",
        ),
    ] {
        let tenant = server.tenant().await;
        let spec = spec_of(&server, &tenant, import_type).await;
        let import = tenant.import_as(spec, csv).await.expect("an import");
        assert_eq!((import.csv_delimiter.as_str(), counters(&import)), (";", (0, 0, 1)), "{field}");
        let error = &tenant.row_errors(&import.uuid).await[0];
        assert_eq!(error.issues[0].field, field);
        assert!(error.error.contains(hint), "how to write it is told: {}", error.error);
    }
}
