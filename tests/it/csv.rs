//! What a CSV file may hold, and what becomes of each row.

use carryover::grpc::pb::{self, ImportStatus, IssueCode};

use crate::{
    harness::{Database, Server, codes, counters},
    on_both_databases,
};

on_both_databases!(
    rows_end_as_they_should,
    files_that_cannot_be_read_fail,
    cells_are_kept_as_they_are,
    line_numbers_count_physical_lines,
    arbitrary_bytes_are_accounted_for,
);

/// Rows of a file: external_id and first_name of the created ones; row, line and code of the failed.
struct Case {
    name: &'static str,
    file: Vec<u8>,
    created: &'static [(&'static str, &'static str)],
    failed: &'static [(i64, i64, IssueCode)],
}

fn case(
    name: &'static str,
    file: impl AsRef<[u8]>,
    created: &'static [(&'static str, &'static str)],
    failed: &'static [(i64, i64, IssueCode)],
) -> Case {
    Case { name, file: file.as_ref().to_vec(), created, failed }
}

async fn rows_end_as_they_should(database: Database) {
    use IssueCode::{ColumnCount, Encoding, InvalidValue, NulCharacter, RecordTooLarge, Required, TooLong};
    const HEAD: &str = "external_id,first_name\n";
    let with_head = |rows: &str| format!("{HEAD}{rows}");
    let giant = with_head(&format!("a,\"{}\"\nb,B\n", "x\n".repeat(5 << 20)));
    let long_key = with_head(&format!("{},A\nb,B\n", "k".repeat(8192)));
    let cases = [
        case("G001 a BOM", format!("\u{feff}{HEAD}a,A\n"), &[("a", "A")], &[]),
        case("G002 a header only", HEAD, &[], &[]),
        case("G002 a header without line end", "external_id,first_name", &[], &[]),
        case("G006 a quote inside a cell", with_head("a,A\"b\n"), &[("a", "A\"b")], &[]),
        case("G007 text behind a quote", with_head("a,\"A\"bc\nb,B\n"), &[("a", "Abc"), ("b", "B")], &[]),
        case("G008 doubled quotes", with_head("a,\"A\"\"b\"\"\"\n"), &[("a", "A\"b\"")], &[]),
        case(
            "G009 a blank before a quote",
            with_head("a, \"A,b\"\nb,B\n"),
            &[("b", "B")],
            &[(1, 2, ColumnCount)],
        ),
        case("G011 CR only", "external_id,first_name\ra,A\rb,B", &[("a", "A"), ("b", "B")], &[]),
        case(
            "G012 mixed line ends",
            "external_id,first_name\r\na,A\nb,B\rc,C",
            &[("a", "A"), ("b", "B"), ("c", "C")],
            &[],
        ),
        case(
            "G013 blank lines",
            with_head("\n\na,A\n\r\n\nb\nc,C\n\n"),
            &[("a", "A"), ("c", "C")],
            &[(2, 7, ColumnCount)],
        ),
        case("G014 a line of blanks", with_head("   \na,A\n"), &[("a", "A")], &[(1, 2, ColumnCount)]),
        case(
            "G015 ragged rows",
            with_head("a\nb,B,x\nc,C\n"),
            &[("c", "C")],
            &[(1, 2, ColumnCount), (2, 3, ColumnCount)],
        ),
        case("G020 unknown columns", "x,external_id,y\n1,a,2\n", &[("a", "")], &[]),
        case("G018 a header in other letters", " External_ID ,FIRST_NAME\na,A\n", &[("a", "A")], &[]),
        case(
            "G022 the header again",
            with_head("a,A\nexternal_id,first_name\nb,B\n"),
            &[("a", "A"), ("b", "B"), ("external_id", "first_name")],
            &[],
        ),
        case("G023 semicolons", "external_id;first_name\na;A,b\n", &[("a", "A,b")], &[]),
        case("G023 tabs", "external_id\tfirst_name\na\tA;b\n", &[("a", "A;b")], &[]),
        case("G023 pipes", "external_id|first_name\na|A\n", &[("a", "A")], &[]),
        case(
            "G025 a backslash is no escape",
            with_head("a,A\\\nb,\\N\n"),
            &[("a", "A\\"), ("b", "\\N")],
            &[],
        ),
        case("G026 NUL", with_head("a,A\0b\nb,B\n"), &[("b", "B")], &[(1, 2, NulCharacter)]),
        case("G026 NUL in the key", with_head("a\0,A\nb,B\n"), &[("b", "B")], &[(1, 2, NulCharacter)]),
        case(
            "G027 other controls",
            with_head("a,A\u{1}\u{7f}\u{2028}\u{202e}b\n"),
            &[("a", "A\u{1}\u{7f}\u{2028}\u{202e}b")],
            &[],
        ),
        case(
            "G028 broken UTF-8",
            b"external_id,first_name\na,A\nb,\xff\xfe\nc,C\n",
            &[("a", "A"), ("c", "C")],
            &[(2, 3, Encoding)],
        ),
        case(
            "G028 halves over two cells",
            b"external_id,first_name\na\xc3,\xa9A\nb,B\n",
            &[("b", "B")],
            &[(1, 2, Encoding)],
        ),
        case("G029 Latin-1", b"external_id,first_name\na,Jos\xe9\nb,B\n", &[("b", "B")], &[(1, 2, Encoding)]),
        case("G034 a giant cell", giant, &[("b", "B")], &[(1, 2, RecordTooLarge)]),
        case(
            "G043 formulas are data",
            with_head("a,=cmd|x\nb,+1\nc,@x\n"),
            &[("a", "=cmd|x"), ("b", "+1"), ("c", "@x")],
            &[],
        ),
        case("G044 the end mark of COPY", "external_id\n\\.\na\n", &[("\\.", ""), ("a", "")], &[]),
        case(
            "G046 NFC and NFD are two keys",
            with_head("é,A\ne\u{301},B\n"),
            &[("e\u{301}", "B"), ("é", "A")],
            &[],
        ),
        case("G048 a long key", long_key, &[("b", "B")], &[(1, 2, TooLong)]),
        case(
            "G049 commas",
            with_head(&format!("{}\na,A\n", ",".repeat(100_000))),
            &[("a", "A")],
            &[(1, 2, ColumnCount)],
        ),
        case("G053 a torn last row", with_head("a,A\nb"), &[("a", "A")], &[(2, 3, ColumnCount)]),
        case("a blank key", with_head(" ,A\n\"\",B\n"), &[], &[(1, 2, Required), (2, 3, Required)]),
        case(
            "G041 dates",
            "external_id,first_name,date_of_birth\na,A,2026-02-30\nb,B,0000-01-01\nc,C,01/02/03\nd,D,1969-12-31\n",
            &[("d", "D")],
            &[(1, 2, InvalidValue), (2, 3, InvalidValue), (3, 4, InvalidValue)],
        ),
    ];
    let server = Server::start(database).await;
    for Case { name, file, created, failed } in cases {
        let tenant = server.tenant().await;
        let import = tenant.import(&file).await;
        assert_eq!(import.status(), ImportStatus::Completed, "{name}: {}", import.last_error());
        let expected = (created.len() as i64, 0, failed.len() as i64);
        assert_eq!(counters(&import), expected, "{name}");
        let mut sessions: Vec<_> = Vec::new();
        for session in tenant.sessions(Default::default()).await {
            let decision = tenant.decision(&session.session_id).await;
            let first_name = decision.id_verifications.first().and_then(|item| item.first_name.clone());
            sessions.push((session.external_id, first_name.unwrap_or_default()));
        }
        sessions.sort();
        let sessions: Vec<_> = sessions.iter().map(|(id, name)| (id.as_str(), name.as_str())).collect();
        assert_eq!(sessions, created, "{name}");
        let errors = tenant.row_errors(&import.uuid).await;
        let errors: Vec<_> = errors.iter().map(|e| (e.row_number, e.line_number, codes(e)[0])).collect();
        assert_eq!(errors, failed, "{name}");
    }
}

async fn files_that_cannot_be_read_fail(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let utf16 = |bom: &[u8], little: bool| {
        let units = "external_id\na\n".encode_utf16();
        let bytes = units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() });
        bom.iter().copied().chain(bytes).collect::<Vec<u8>>()
    };
    for (name, file, reason) in [
        ("G002 nothing", vec![], "EMPTY_FILE"),
        ("G002 a BOM only", b"\xef\xbb\xbf".to_vec(), "EMPTY_FILE"),
        ("blank lines only", b"\n\r\n\n".to_vec(), "EMPTY_FILE"),
        (
            "G004 an open quote",
            b"external_id,first_name\na,A\nb,\"open\nc,C\n".to_vec(),
            "UNTERMINATED_QUOTE",
        ),
        ("G004 an open quote in the header", b"external_id,\"first".to_vec(), "UNTERMINATED_QUOTE"),
        ("G019 and no key", b"first_name,\nA,\n".to_vec(), "UNKNOWN_FORMAT"),
        ("G018 a column twice", b"external_id,First_Name,first_name \na,A,B\n".to_vec(), "DUPLICATE_COLUMN"),
        (
            "G021 10,000 columns",
            format!("external_id{}\n", ",x".repeat(10_000)).into_bytes(),
            "TOO_MANY_COLUMNS",
        ),
        ("G030 UTF-16 without BOM", utf16(b"", true), "UNSUPPORTED_ENCODING"),
        ("no words at all", vec![b'x'; 1 << 20], "UNKNOWN_FORMAT"),
    ] {
        let import = tenant.import_as(tenant.spec(), &file).await.expect(name);
        assert_eq!((import.status(), import.last_error_reason()), (ImportStatus::Failed, reason), "{name}");
    }
    let named = pb::ImportSpec { source_filename: "export.csv".into(), ..tenant.spec() };
    let import = tenant.import_as(named.clone(), "id,first_name\na,A\n").await.expect("an answer");
    assert_eq!(import.last_error_reason(), "MISSING_COLUMN");
    assert!(
        import.last_error().contains("external_id") && import.last_error().contains("first_name"),
        "{}",
        import.last_error()
    );
    let import = tenant.import_as(named, "sep=;\nexternal_id;first_name\na;A\n").await.expect("an answer");
    assert_eq!(import.last_error_reason(), "MISSING_COLUMN", "G050");
    // G004: where the record with the open quote begins is told, and what stands before it is kept.
    let open = "external_id,first_name\nx,A\ny,B\nz,\"open\nd,D\n";
    let import = tenant.import(open).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Failed, (2, 0, 0)));
    assert!(import.last_error().contains("line 4"), "{}", import.last_error());
}

async fn cells_are_kept_as_they_are(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    // csv-spectrum's questions: commas, empty cells, escaped quotes, line ends in quotes, UTF-8, JSON.
    let csv = "external_id,first_name,last_name,address,metadata_json\r\n\
               a,John,Doe,\"120 any st., Anytown\",\"{\"\"k\"\": [1, null, 0.5, \"\"z\"\"]}\"\r\n\
               b,,\"\",\"line 1\r\nline 2\",\r\n\
               c, padded ,ʤ,\"Once upon\n\na \"\"time\"\"\",{}\r\n";
    let import = tenant.import(csv).await;
    assert_eq!(counters(&import), (3, 0, 0));
    let sessions = tenant.sessions(Default::default()).await;
    let a = tenant.decision(&sessions[2].session_id).await;
    assert_eq!(a.id_verifications[0].address.as_deref(), Some("120 any st., Anytown"));
    let list = &a.metadata.expect("metadata").fields["k"];
    assert!(matches!(&list.kind, Some(prost_types::value::Kind::ListValue(list)) if list.values.len() == 4));
    let b = tenant.decision(&sessions[1].session_id).await;
    assert_eq!(b.id_verifications[0].address.as_deref(), Some("line 1\r\nline 2"));
    assert_eq!((b.id_verifications[0].first_name.as_deref(), b.metadata), (None, None));
    let c = tenant.decision(&sessions[0].session_id).await;
    assert_eq!(
        c.id_verifications[0].full_name.as_deref(),
        Some("padded ʤ"),
        "blanks around a cell are no part of it"
    );
    assert_eq!(c.id_verifications[0].address.as_deref(), Some("Once upon\n\na \"time\""));
}

async fn line_numbers_count_physical_lines(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    let tenant = server.tenant().await;
    let csv = "\u{feff}external_id,\"first\r\nname\",status\r\n\r\na,\"x\ny\rz\",\r\n\nb,,bad\r\rc,,\r\nd,\"\r\n\r\n\",bad\r\ne,,bad";
    let import = tenant.import(csv).await;
    assert_eq!((import.total_rows, counters(&import)), (5, (2, 0, 3)));
    let errors = tenant.row_errors(&import.uuid).await;
    let found: Vec<_> = errors.iter().map(|e| (e.row_number, e.line_number)).collect();
    assert_eq!(found, [(2, 8), (4, 11), (5, 14)]);
    for (error, id) in errors.iter().zip(["b", "d", "e"]) {
        let begins = &csv.as_bytes()[error.byte_offset as usize..];
        assert!(begins.starts_with(format!("{id},").as_bytes()), "byte {} is row {id}", error.byte_offset);
        assert_eq!(error.external_id.as_deref(), Some(id));
    }
}

async fn arbitrary_bytes_are_accounted_for(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "50"]).await;
    let tenant = server.tenant().await;
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..20 {
        let mut file = b"external_id,first_name\n".to_vec();
        for _ in 0..4000 {
            file.push(match random.u8(..8) {
                0 => b'\n',
                1 => b',',
                2 => b'"',
                3 => random.u8(..),
                _ => random.alphanumeric() as u8,
            });
        }
        let import = tenant.import(&file).await;
        match import.status() {
            ImportStatus::Completed => assert!(import.total_rows > 0),
            ImportStatus::Failed => {
                assert_eq!(import.last_error_reason(), "UNTERMINATED_QUOTE", "round {round}")
            }
            other => panic!("round {round}: {other:?}"),
        }
        assert_eq!(tenant.row_errors(&import.uuid).await.len() as i64, import.failed_count, "round {round}");
    }
}
