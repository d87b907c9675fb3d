//! The contract's rows: what each becomes, what refuses it, and that a second import skips all.

use carryover::grpc::pb::{self, IssueCode, SessionStatus};

use crate::{
    harness::{Database, Server, Tenant, codes, counters},
    on_both_databases,
};

const CSV: &str = include_str!("../fixtures/user_verification.csv");
const NDJSON: &str = include_str!("../fixtures/user_verification.ndjson");
const BAD: &str = include_str!("../fixtures/bad_rows.ndjson");

on_both_databases!(
    csv_rows_become_sessions,
    ndjson_rows_become_the_same_sessions,
    the_same_file_again_skips_all,
    rows_that_must_fail_do,
    users_are_derived_from_sessions,
    every_issue_of_a_row_is_told_at_once,
    session_filters,
    templates_import_as_they_are,
);

async fn tenant(database: Database) -> (Server, Tenant) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    (server, tenant)
}

async fn csv_rows_become_sessions(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let import = tenant.import(CSV).await;
    assert_eq!(import.status(), pb::ImportStatus::Completed);
    assert_eq!((import.total_rows, counters(&import)), (5, (5, 0, 0)));
    check_sessions(&tenant, &import).await;
}

async fn ndjson_rows_become_the_same_sessions(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let import = tenant.import(NDJSON).await;
    assert_eq!((import.total_rows, counters(&import)), (5, (5, 0, 0)));
    check_sessions(&tenant, &import).await;
}

async fn check_sessions(tenant: &Tenant, import: &pb::Import) {
    let mut sessions = tenant.sessions(Default::default()).await;
    sessions.reverse();
    let found: Vec<_> = sessions
        .iter()
        .map(|s| {
            let document = s.document_type.as_deref().unwrap_or("-");
            (
                s.external_id.as_str(),
                s.provider.as_str(),
                s.vendor_data.as_deref().unwrap_or("-"),
                s.status(),
                document,
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            ("old-1", "sumsub", "person-1", SessionStatus::Approved, "Passport"),
            ("old-2", "sumsub", "person-2", SessionStatus::Declined, "Identity Card"),
            ("5f0c9e77", "metamap", "person-3", SessionStatus::InReview, "Driver's License"),
            ("old-4", "generic", "-", SessionStatus::Expired, "-"),
            ("old-5", "sumsub", "person-1", SessionStatus::Approved, "Residence Permit"),
        ]
    );
    for (row, session) in sessions.iter().enumerate() {
        assert_eq!(session.session_type(), pb::SessionType::Migrated);
        assert_eq!((session.import_id.as_str(), session.row_number), (import.uuid.as_str(), row as i64 + 1));
        assert_eq!(session.workflow_id.as_deref(), Some(tenant.workflow.as_str()));
    }
    let times: Vec<_> = sessions.iter().map(|s| s.created_at.expect("a time").seconds).collect();
    // The last one was written at 10:00 one hour east of Greenwich.
    assert_eq!(times[0], 1_710_148_841);
    assert_eq!(times[4], 1_736_931_600);

    let first = tenant.decision(&sessions[0].session_id).await;
    let document = &first.id_verifications[0];
    assert_eq!(document.full_name.as_deref(), Some("Mila Brandt"));
    assert_eq!(document.document_number.as_deref(), Some("XK4419027"));
    assert_eq!(document.date_of_birth.as_deref(), Some("1988-07-02"));
    assert_eq!(
        (document.issuing_state.as_deref(), document.issuing_state_name.as_deref()),
        (Some("DEU"), Some("Germany"))
    );
    assert_eq!(document.status(), pb::FeatureStatus::Approved);
    assert_eq!(first.liveness_checks.len(), 1, "the row has a selfie");
    assert_eq!(first.metadata.expect("metadata").fields.len(), 2);
    assert_eq!(first.environment, "live");
    assert_eq!(first.workflow_id.as_deref(), Some(tenant.workflow.as_str()));

    let third = tenant.decision(&sessions[2].session_id).await;
    let document = &third.id_verifications[0];
    assert_eq!(document.last_name.as_deref(), Some("Robles \"Xi\" Paz"));
    assert_eq!(document.address.as_deref(), Some("Av. Juárez 120,\nInt. 4, Puebla"));
    assert_eq!(document.date_of_issue, None);
    assert!(third.liveness_checks.is_empty() && third.face_matches.is_empty());
}

async fn the_same_file_again_skips_all(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let first = tenant.import(CSV).await;
    let before = tenant.sessions(Default::default()).await;
    for file in [CSV, NDJSON] {
        let again = tenant.import(file).await;
        assert_eq!((counters(&again), again.duplicate_count), ((0, 5, 0), 0), "{file}");
        assert_ne!(again.uuid, first.uuid);
    }
    assert_eq!(tenant.sessions(Default::default()).await, before);
}

async fn rows_that_must_fail_do(database: Database) {
    let (_server, tenant) = tenant(database).await;
    tenant.import(NDJSON).await;
    let import = tenant.import(BAD).await;
    assert_eq!(import.status(), pb::ImportStatus::Completed);
    assert_eq!((import.total_rows, counters(&import)), (8, (0, 1, 7)));
    let errors = tenant.row_errors(&import.uuid).await;
    let found: Vec<_> = errors
        .iter()
        .map(|e| {
            let field = e.issues[0].field.as_str();
            (e.row_number, e.line_number, e.external_id.as_deref(), codes(e), field)
        })
        .collect();
    assert_eq!(
        found,
        [
            (1, 1, Some("bad-1"), vec![IssueCode::InvalidValue], "status"),
            (2, 2, None, vec![IssueCode::Required], "external_id"),
            (3, 3, Some("bad-3"), vec![IssueCode::InvalidValue], "date_of_birth"),
            (4, 4, Some("bad-4"), vec![IssueCode::UnsafeUrl], "front_image_url"),
            (5, 5, Some("bad-5"), vec![IssueCode::UnsafeUrl], "front_image_url"),
            (6, 6, Some("bad-6"), vec![IssueCode::WrongType], "metadata"),
            (8, 8, Some("bad-8"), vec![IssueCode::BadJson], ""),
        ]
    );
    let raw = errors[0].raw_row.as_ref().expect("the row as it was sent");
    let status = raw.fields["status"].kind.as_ref();
    assert!(matches!(status, Some(prost_types::value::Kind::StringValue(text)) if text == "unknown_status"));
    assert!(
        errors[6].raw_row.as_ref().expect("raw").fields.contains_key("_raw"),
        "broken JSON is kept as text"
    );
    assert!(errors[0].error.contains("status"), "{}", errors[0].error);
    // The keys of failed rows stay free: mended, the rows come in.
    let mended = r#"{"external_id":"bad-1","status":"Declined","first_name":"Jane"}"#;
    assert_eq!(counters(&tenant.import(mended).await), (1, 0, 0));
}

async fn users_are_derived_from_sessions(database: Database) {
    let (_server, tenant) = tenant(database).await;
    tenant.import(CSV).await;
    let request = pb::ListUsersRequest { page_size: 2, page_token: String::new() };
    let page = tenant.client.entities().list_users(request).await.expect("a page").into_inner();
    let ids =
        |page: &pb::ListUsersResponse| page.users.iter().map(|u| u.vendor_data.clone()).collect::<Vec<_>>();
    assert_eq!(ids(&page), ["person-1", "person-3"]);
    let request = pb::ListUsersRequest { page_size: 2, page_token: page.next_page_token };
    let page = tenant.client.entities().list_users(request).await.expect("a page").into_inner();
    assert_eq!((ids(&page), page.next_page_token.as_str()), (vec!["person-2".to_owned()], ""));

    let request = pb::GetUserRequest { vendor_data: "person-1".to_owned() };
    let user =
        tenant.client.entities().get_user(request).await.expect("a user").into_inner().user.expect("one");
    assert_eq!(user.full_name.as_deref(), Some("Mila Brandt"));
    assert_eq!(user.date_of_birth.as_deref(), Some("1988-07-02"));
    assert_eq!((user.session_count, user.approved_count, user.declined_count), (2, 2, 0));
    assert_eq!(user.issuing_states, ["DEU", "NLD"]);
    assert_eq!(user.tags, ["eu", "vip"]);
    assert_eq!(user.first_session_at.expect("a time").seconds, 1_710_148_841);
    assert_eq!(user.last_session_at.expect("a time").seconds, 1_736_931_600);
    assert_eq!(user.features_list[0].feature, "ID_VERIFICATION");
    assert_eq!(user.status(), pb::UserStatus::Active);

    let request = pb::GetUserRequest { vendor_data: "person-2".to_owned() };
    let user =
        tenant.client.entities().get_user(request).await.expect("a user").into_inner().user.expect("one");
    assert_eq!((user.full_name, user.declined_count), (None, 1), "no approved session, no name");
}

async fn every_issue_of_a_row_is_told_at_once(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let long = "x".repeat(300);
    let row = format!(
        r#"{{"external_id":"a","status":"nope","created_at":"yesterday","gender":"Q","issuing_state":"ZZZ","address":"{long}","email":"no-mail","date_of_birth":"2999-01-01"}}"#
    );
    let import = tenant.import(row).await;
    let errors = tenant.row_errors(&import.uuid).await;
    let mut fields: Vec<_> =
        errors[0].issues.iter().map(|issue| (issue.field.as_str(), issue.code())).collect();
    fields.sort_unstable_by_key(|(field, _)| *field);
    assert_eq!(
        fields,
        [
            ("address", IssueCode::TooLong),
            ("created_at", IssueCode::InvalidValue),
            ("date_of_birth", IssueCode::OutOfRange),
            ("email", IssueCode::InvalidValue),
            ("gender", IssueCode::InvalidValue),
            ("issuing_state", IssueCode::InvalidValue),
            ("status", IssueCode::InvalidValue),
        ]
    );
    let email = errors[0].issues.iter().find(|issue| issue.field == "email").expect("one");
    assert!(!email.value.contains("no-mail"), "personal data are masked: {}", email.value);
}

async fn session_filters(database: Database) {
    let (_server, tenant) = tenant(database).await;
    let import = tenant.import(CSV).await;
    let other = tenant.import(r#"{"external_id":"n-1","provider":"veriff","document_type":"P","issuing_state":"fra","created_at":"2024-03-12T23:59:59.999Z","email":"ana@example.com","phone":"+34600111222"}"#).await;
    let list = pb::ListSessionsRequest::default;
    for (filter, expected) in [
        (pb::ListSessionsRequest { provider: "veriff".into(), ..list() }, vec!["n-1"]),
        (pb::ListSessionsRequest { external_id: "old-4".into(), ..list() }, vec!["old-4"]),
        (pb::ListSessionsRequest { vendor_data: "person-1".into(), ..list() }, vec!["old-5", "old-1"]),
        (pb::ListSessionsRequest { import_id: other.uuid.clone(), ..list() }, vec!["n-1"]),
        (
            pb::ListSessionsRequest {
                import_id: import.uuid.clone(),
                statuses: vec![SessionStatus::Approved as i32],
                ..list()
            },
            vec!["old-5", "old-1"],
        ),
        (
            pb::ListSessionsRequest { countries: vec!["FRA".into(), "MEX".into()], ..list() },
            vec!["n-1", "5f0c9e77"],
        ),
        (pb::ListSessionsRequest { document_types: vec!["P".into()], ..list() }, vec!["n-1", "old-1"]),
        (
            pb::ListSessionsRequest {
                date_from: "2024-03-12".into(),
                date_to: "2024-03-12".into(),
                ..list()
            },
            vec!["n-1", "old-2"],
        ),
        (pb::ListSessionsRequest { search: "ana@example.com".into(), ..list() }, vec!["n-1"]),
        (pb::ListSessionsRequest { search: "7712".into(), ..list() }, vec!["old-2"]),
        (pb::ListSessionsRequest { search: "zubia".into(), ..list() }, vec!["old-2"]),
        (pb::ListSessionsRequest { search: "%".into(), ..list() }, vec![]),
        (
            pb::ListSessionsRequest {
                session_types: vec![pb::SessionType::Migrated as i32],
                provider: "metamap".into(),
                ..list()
            },
            vec!["5f0c9e77"],
        ),
        (pb::ListSessionsRequest { workflow_ids: vec!["nonsense".into()], ..list() }, vec![]),
    ] {
        let found = tenant.sessions(filter.clone()).await;
        let found: Vec<_> = found.iter().map(|session| session.external_id.as_str()).collect();
        assert_eq!(found, expected, "{filter:?}");
    }
    let wrong = pb::ListSessionsRequest { date_from: "12.3.2024".into(), ..list() };
    let refused = tenant.client.sessions().list_sessions(wrong).await.expect_err("a wrong date");
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}

async fn templates_import_as_they_are(database: Database) {
    let (_server, tenant) = tenant(database).await;
    for (format, ending) in [(pb::SourceFormat::Csv, "csv"), (pb::SourceFormat::Ndjson, "ndjson")] {
        let request = pb::GetImportTemplateRequest {
            import_type: pb::ImportType::UserVerification as i32,
            source_format: format as i32,
        };
        let answer =
            tenant.client.imports().get_import_template(request).await.expect("a template").into_inner();
        assert!(answer.filename.ends_with(ending), "{}", answer.filename);
        let text = String::from_utf8(answer.data.to_vec()).expect("text");
        for column in ["external_id", "vendor_data", "front_image_url", "metadata"] {
            assert!(text.contains(column), "{text}");
        }
    }
    let csv = pb::GetImportTemplateRequest { import_type: 1, source_format: pb::SourceFormat::Csv as i32 };
    let header =
        tenant.client.imports().get_import_template(csv).await.expect("a template").into_inner().data;
    let import = tenant.import(header).await;
    assert_eq!((import.status(), import.total_rows), (pb::ImportStatus::Completed, 0));
}
