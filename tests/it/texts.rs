//! Texts that databases could stumble over (security cases I): the same verdict on both, and inert.

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, ImportStatus, IssueCode},
};

use crate::{
    harness::{Database, Server, codes, counters},
    kinds::spec_of,
    on_both_databases, stored,
};

on_both_databases!(
    row_errors_can_always_be_kept,
    texts_that_look_like_code_are_inert,
    numbers_no_database_agrees_on_are_refused,
    keys_are_compared_by_their_characters,
    times_are_kept_to_the_microsecond,
    cells_have_a_largest_size,
);

/// I002: cells that are quoted in a row error and that no text column could hold.
async fn row_errors_can_always_be_kept(database: Database) {
    let server = Server::start(database).await;
    for (import_type, header, good) in [
        (ImportType::UserVerification, "external_id,status", "Approved"),
        (ImportType::BusinessVerification, "external_id,company_name", "A Ltd"),
        (
            ImportType::StatusRules,
            "external_id,feature,field,operator,status",
            "OCR,kyc.name,is_empty,Approved",
        ),
        (
            ImportType::Transactions,
            "external_id,transaction_at,transaction_category,direction,amount,currency,subject_vendor_data,subject_full_name",
            "2024-01-01T00:00:00Z,finance,in,5,EUR,c,Ana",
        ),
    ] {
        let tenant = server.tenant().await;
        let last = if import_type == ImportType::StatusRules { "node_id" } else { "provider" };
        let mut file = format!("{header},{last}\n").into_bytes();
        for (key, cell) in [
            (&b"nul\0"[..], &b"x"[..]),
            (b"a", b"x\0y"),
            (b"b", b"\xff\xfe"),
            (b"c", b"\xed\xa0\x80"),
            (b"d\0\xff", b"\0\0\0"),
            (b"good", b"x"),
        ] {
            file.extend_from_slice(key);
            file.extend_from_slice(format!(",{good},").as_bytes());
            file.extend_from_slice(cell);
            file.push(b'\n');
        }
        let spec = spec_of(&server, &tenant, import_type).await;
        let import = tenant.import_as(spec, file).await.expect("an import");
        assert_eq!(import.status(), ImportStatus::Completed, "{import_type:?}: {}", import.last_error());
        assert_eq!(counters(&import), (1, 0, 5), "{import_type:?}");
        let errors = tenant.row_errors(&import.uuid).await;
        let found: Vec<_> = errors.iter().map(|error| codes(error)[0]).collect();
        use IssueCode::{Encoding, NulCharacter};
        assert_eq!(found, [NulCharacter, NulCharacter, Encoding, Encoding, Encoding], "{import_type:?}");
        for error in &errors {
            let shown = format!("{:?}{}{:?}", error.external_id, error.error, error.issues);
            assert!(!shown.contains('\0') && !shown.contains("\\0"), "{import_type:?}: {shown}");
            assert!(error.raw_row.is_some(), "{import_type:?}");
        }
        let exported = tenant.export(&import.uuid, &[]).await;
        assert!(exported.windows(3).any(|bytes| bytes == b"\xed\xa0\x80"), "{import_type:?}: byte for byte");
    }
}

/// I003.
async fn texts_that_look_like_code_are_inert(database: Database) {
    const TEXTS: [&str; 10] = [
        "'; DROP TABLE user_sessions; --",
        "\"; DELETE FROM user_sessions; --",
        "$1",
        "$$; SELECT 1; $$",
        "%s%n%x",
        "{}",
        "{0} ${HOME} #{1}",
        "\\'; \\x00",
        "NULL",
        "<script>alert(1)</script>",
    ];
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let lines: Vec<_> = TEXTS
        .iter()
        .map(|text| {
            serde_json::json!({
                "external_id": text, "vendor_data": text, "full_name": text, "address": text, "tags": [text],
                "metadata": {*text: text}
            })
            .to_string()
        })
        .collect();
    let labels = TEXTS.iter().map(|text| ((*text).to_owned(), (*text).to_owned())).collect();
    let spec = pb::ImportSpec { labels, source_filename: TEXTS[0].to_owned(), ..tenant.spec() };
    let spec = pb::ImportSpec { source_format: pb::SourceFormat::Ndjson as i32, ..spec };
    let import = tenant.import_as(spec, lines.join("\n")).await.expect("an import");
    assert_eq!(counters(&import), (TEXTS.len() as i64, 0, 0));
    assert_eq!((import.source_filename.as_str(), import.labels.len()), (TEXTS[0], TEXTS.len()));
    for text in TEXTS {
        let filter = pb::ListSessionsRequest { external_id: text.to_owned(), ..Default::default() };
        let found = tenant.sessions(filter).await;
        assert_eq!(found.len(), 1, "{text}");
        assert_eq!(
            (found[0].vendor_data.as_deref(), found[0].full_name.as_deref()),
            (Some(text), Some(text))
        );
        let decision = tenant.decision(&found[0].session_id).await;
        assert!(decision.metadata.expect("metadata").fields.contains_key(text), "{text}");
        for search in [pb::ListSessionsRequest { search: text.to_owned(), ..Default::default() }] {
            assert!(
                tenant.sessions(search).await.iter().any(|session| session.external_id == text),
                "{text}"
            );
        }
        let user = pb::GetUserRequest { vendor_data: text.to_owned() };
        let user = tenant.client.entities().get_user(user).await.expect("a user").into_inner().user;
        assert_eq!(user.expect("one").tags, [text]);
    }
}

/// I005, I011.
async fn numbers_no_database_agrees_on_are_refused(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let digits = "9".repeat(131_072);
    let lines = [
        "{\"external_id\":\"a\",\"metadata\":{\"k\":1e400}}".to_owned(),
        "{\"external_id\":\"b\",\"metadata\":{\"k\":[-1e9999]}}".to_owned(),
        format!("{{\"external_id\":\"c\",\"liveness_score\":{digits}}}"),
        "{\"external_id\":\"d\",\"liveness_score\":-0}".to_owned(),
        "{\"external_id\":\"e\",\"liveness_score\":1e1}".to_owned(),
        "{\"external_id\":\"f\",\"liveness_score\":0.0,\"metadata\":{\"k\":-0.0,\"l\":1e-400}}".to_owned(),
    ];
    let import = tenant.import(lines.join("\n")).await;
    let errors = tenant.row_errors(&import.uuid).await;
    let found: Vec<_> = errors.iter().map(|error| (error.row_number, codes(error)[0])).collect();
    use IssueCode::{BadJson, OutOfRange, TooLong};
    assert_eq!(found, [(1, BadJson), (2, BadJson), (3, TooLong), (4, OutOfRange), (5, OutOfRange)]);
    assert_eq!(import.created_count, 1);
}

/// I009: no database's collation decides which keys are equal.
async fn keys_are_compared_by_their_characters(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let keys = [
        "straße", "strasse", "STRASSE", "İ", "i", "I", "ı", "k", "K", "é", "e\u{301}", "ﬁ", "fi", "a b",
        "a  b",
    ];
    let same = ["k ", " k", "\tk", "k\u{a0}", "straße  "];
    let line = |key: &&str| serde_json::json!({"external_id": key}).to_string() + "\n";
    let file = keys.iter().chain(&same).map(line).collect::<String>();
    let import = tenant.import(file).await;
    assert_eq!(
        (counters(&import), import.duplicate_count),
        ((15, 5, 0), 5),
        "blanks around a key are no part of it"
    );
    let again = tenant.import(same.iter().map(line).collect::<String>()).await;
    assert_eq!(counters(&again), (0, 5, 0));
    let provider = |name: &str| serde_json::json!({"external_id": "p", "provider": name}).to_string() + "\n";
    let import = tenant.import(provider("SumSub") + &provider("sumsub ") + &provider("veriff")).await;
    assert_eq!(counters(&import), (2, 1, 0), "providers are compared in small letters");
}

/// I010.
async fn times_are_kept_to_the_microsecond(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let times = [
        ("2024-03-11T09:20:41.123456789Z", Some("2024-03-11T09:20:41.123456")),
        ("2024-03-11T09:20:41.9999999+01:00", Some("2024-03-11T08:20:41.999999")),
        ("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00")),
        ("1969-12-31T23:59:59.5Z", Some("1969-12-31T23:59:59.5")),
        ("infinity", None),
        ("-infinity", None),
        ("-0001-01-01T00:00:00Z", None),
        ("0000-01-01T00:00:00Z", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("294277-01-01T00:00:00Z", None),
        ("now", None),
        ("2024-03-11 09:20:41 BC", None),
        ("1710148841", None),
    ];
    let lines = times.iter().enumerate().map(|(n, (time, _))| {
        serde_json::json!({"external_id": format!("t-{n:02}"), "created_at": time}).to_string() + "\n"
    });
    let import = tenant.import(lines.collect::<String>()).await;
    assert_eq!(counters(&import), (4, 0, 9));
    let kept = stored::texts(&server, "SELECT created_at FROM user_sessions ORDER BY external_id").await;
    for (kept, wanted) in kept.iter().zip(times.iter().filter_map(|(_, kept)| *kept)) {
        assert!(kept.starts_with(wanted), "{kept} is {wanted}");
    }
    let errors = tenant.row_errors(&import.uuid).await;
    assert!(errors.iter().all(|error| codes(error) == [IssueCode::InvalidValue]), "{errors:?}");
}

/// I012.
async fn cells_have_a_largest_size(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let of = |bytes: usize| format!("{{\"k\":\"{}\"}}", "x".repeat(bytes - 8));
    let line = |key: &str, metadata: &str| format!("{{\"external_id\":\"{key}\",\"metadata\":{metadata}}}\n");
    let file = line("fits", &of(256 << 10)) + &line("large", &of((256 << 10) + 1)) + &line("small", "{}");
    let import = tenant.import(file).await;
    assert_eq!(counters(&import), (2, 0, 1));
    let error = &tenant.row_errors(&import.uuid).await[0];
    assert_eq!((error.row_number, codes(error)), (2, vec![IssueCode::TooLong]));
    assert!(error.error.contains("limit cell_bytes"), "{}", error.error);
}
