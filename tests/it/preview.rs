//! What an import would do with the first rows of a source, told without one.

use carryover::grpc::pb::{self, Role, RowOutcome};
use serde_json::json;
use tonic::{Code, Status};

use crate::{
    harness::{Database, Server, Tenant, assert_refused, gzip, plain_csv},
    limits::set_limits,
    on_both_databases,
    shell::Shell,
};

on_both_databases!(
    a_preview_tells_what_the_import_then_does,
    a_beginning_is_enough,
    what_stops_a_source_is_told,
    a_preview_has_the_limits_of_its_application,
    previews_have_bounds_and_need_a_role,
    a_providers_own_csv_is_told_by_its_header,
    the_program_shows_previews,
);

async fn preview(
    tenant: &Tenant,
    spec: pb::ImportSpec,
    data: impl Into<Vec<u8>>,
    whole: bool,
    rows: i32,
) -> Result<pb::PreviewImportResponse, Status> {
    let data = data.into().into();
    let request = pb::PreviewImportRequest { spec: Some(spec), data, whole, rows };
    Ok(tenant.client.imports().preview_import(request).await?.into_inner())
}

fn outcomes(preview: &pb::PreviewImportResponse) -> Vec<RowOutcome> {
    preview.rows.iter().map(pb::PreviewRow::outcome).collect()
}

const PEOPLE: &str = "external_id;status;colour;first_name\r\n1;Approved;red;\"An\r\na\"\r\n2;Unheard;red;Bo\r\n\
    1;Declined;red;Cy\r\n3;Approved\r\n";

async fn a_preview_tells_what_the_import_then_does(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let seen = preview(&tenant, tenant.spec(), PEOPLE, true, 0).await.expect("a preview");
    assert_eq!((seen.source_format(), seen.csv_delimiter.as_str()), (pb::SourceFormat::Csv, ";"));
    assert_eq!((seen.encoding.as_str(), seen.compression()), ("UTF-8", pb::Compression::None));
    assert_eq!((seen.columns.len(), &seen.ignored_columns[..]), (4, &["colour".to_owned()][..]));
    assert_eq!(
        outcomes(&seen),
        [RowOutcome::Created, RowOutcome::Failed, RowOutcome::Skipped, RowOutcome::Failed]
    );
    let places: Vec<_> = seen.rows.iter().map(|row| (row.row_number, row.line_number)).collect();
    assert_eq!(places, [(1, 2), (2, 4), (3, 5), (4, 6)]);
    let listed = tenant.client.imports().list_imports(pb::ListImportsRequest::default()).await;
    assert!(listed.expect("a list").into_inner().imports.is_empty(), "nothing was made");

    let import = tenant.import(PEOPLE).await;
    assert_eq!((import.created_count, import.skipped_count, import.failed_count), (1, 1, 2));
    let errors = tenant.row_errors(&import.uuid).await;
    let failed: Vec<_> = seen.rows.iter().filter(|row| row.outcome() == RowOutcome::Failed).collect();
    for (error, row) in errors.iter().zip(failed) {
        assert_eq!((&error.issues, &error.raw_row), (&row.issues, &row.raw_row));
        assert_eq!((error.row_number, error.line_number), (row.row_number, row.line_number));
    }
}

async fn a_beginning_is_enough(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let file = plain_csv("p", 0, 5_000);
    for (name, data) in [("plain", file.clone().into_bytes()), ("packed", gzip(file.as_bytes()))] {
        let half = &data[..data.len() / 2];
        let seen = preview(&tenant, tenant.spec(), half, false, 100).await.expect(name);
        assert_eq!(seen.rows.len(), 100, "{name}");
        assert_eq!(seen.last_error_reason, None, "{name}");
        let last = seen.rows[99].fields.as_ref().expect("fields").fields["external_id"].clone();
        assert_eq!(last.kind, Some(prost_types::value::Kind::StringValue("p99".to_owned())), "{name}");
    }
    // A record that does not end in it is not shown, unless the file does.
    let cut = "{\"external_id\":\"a\"}\n{\"external_id\":\"b\"}";
    let seen = preview(&tenant, tenant.spec(), cut, false, 0).await.expect("a preview");
    assert_eq!(seen.rows.len(), 1);
    let seen = preview(&tenant, tenant.spec(), cut, true, 0).await.expect("a preview");
    assert_eq!(seen.rows.len(), 2);
    let seen = preview(&tenant, tenant.spec(), "external_id,sta", false, 0).await.expect("a preview");
    assert_eq!((seen.rows.len(), seen.last_error), (0, None));
    let (text, ..) = encoding_rs::WINDOWS_1252.encode("external_id,first_name\n1,Jos\u{e9}\n");
    let spec = pb::ImportSpec { encoding: "latin1".to_owned(), ..tenant.spec() };
    let seen = preview(&tenant, spec, text.into_owned(), true, 0).await.expect("a preview");
    assert_eq!(seen.encoding, "windows-1252");
    let name = seen.rows[0].fields.as_ref().expect("fields").fields["first_name"].clone();
    assert_eq!(name.kind, Some(prost_types::value::Kind::StringValue("José".to_owned())));
}

async fn what_stops_a_source_is_told(database: Database) {
    let server = Server::start_with(database, &["--max-row-bytes", "1000"]).await;
    let tenant = server.tenant().await;
    for (file, rows, reason) in [
        ("", 0, "EMPTY_FILE"),
        ("PK\u{3}\u{4}xx", 0, "UNSUPPORTED_COMPRESSION"),
        ("[{\"external_id\":\"1\"}]", 0, "NOT_NDJSON"),
        ("who knows", 0, "UNKNOWN_FORMAT"),
        ("external_id,external_id\n1,1\n", 0, "DUPLICATE_COLUMN"),
        ("external_id,status\n1,Approved\n2,\"Approved\n", 1, "UNTERMINATED_QUOTE"),
    ] {
        let seen = preview(&tenant, tenant.spec(), file, true, 0).await.expect(reason);
        assert_eq!((seen.rows.len(), seen.last_error_reason()), (rows, reason));
        let import = tenant.import_as(tenant.spec(), file).await.expect("an import");
        assert_eq!(import.last_error, seen.last_error, "as an import says");
    }
    let large = format!("external_id,first_name\n1,{}\n2,Bo\n", "x".repeat(5_000));
    let seen = preview(&tenant, tenant.spec(), large, true, 0).await.expect("a preview");
    assert_eq!(outcomes(&seen), [RowOutcome::Failed, RowOutcome::Created]);
    assert_eq!(seen.rows[0].issues[0].code(), pb::IssueCode::RecordTooLarge);
}

async fn a_preview_has_the_limits_of_its_application(database: Database) {
    let server = Server::start(database).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let limits = pb::ApplicationLimits { cell_bytes: Some(16), ..Default::default() };
    set_limits(&server, &tenant, limits).await;
    let file = format!("external_id,first_name\n1,{}\n2,Bo\n", "x".repeat(17));
    for (tenant, first) in [(&tenant, RowOutcome::Failed), (&other, RowOutcome::Created)] {
        let seen = preview(tenant, tenant.spec(), file.clone(), true, 0).await.expect("a preview");
        assert_eq!(outcomes(&seen), [first, RowOutcome::Created]);
        let import = tenant.import(&file).await;
        assert_eq!(import.failed_count, i64::from(first == RowOutcome::Failed), "as an import says");
    }
}

async fn previews_have_bounds_and_need_a_role(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = tenant.spec();
    for (spec, bytes, rows, field) in [
        (spec.clone(), (1 << 20) + 1, 0, "data"),
        (spec.clone(), 1, 101, "rows"),
        (spec.clone(), 1, -1, "rows"),
        (pb::ImportSpec { workflow_id: String::new(), ..spec.clone() }, 1, 0, "spec.workflow_id"),
        (
            pb::ImportSpec { source_file_url: "https://a.example/x.csv".to_owned(), ..spec.clone() },
            1,
            0,
            "spec.source_file_url",
        ),
    ] {
        let refused = preview(&tenant, spec, vec![b'x'; bytes], false, rows).await;
        let refused = assert_refused(refused, Code::InvalidArgument, "INVALID_FIELDS");
        assert!(refused.message().starts_with(field), "{refused:?}");
    }
    let reader = server.key(&tenant.application, Role::Reader).await;
    let reader = Tenant { client: server.admin.with_key(&reader).expect("a client"), ..tenant.clone() };
    let refused = preview(&reader, spec, PEOPLE, true, 0).await;
    assert_refused(refused, Code::PermissionDenied, "ROLE_TOO_LOW");
}

const SUMSUB: &str = include_str!("../fixtures/providers/sumsub-custom-export.csv");

async fn a_providers_own_csv_is_told_by_its_header(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let spec = pb::ImportSpec { provider: "Sumsub".to_owned(), ..tenant.spec() };
    let seen = preview(&tenant, spec.clone(), SUMSUB, true, 0).await.expect("a preview");
    assert_eq!(outcomes(&seen), [RowOutcome::Created; 2], "{:?}", seen.rows);
    assert_eq!(seen.ignored_columns, ["inspectionDate", "inspectionResetDate", "requiredIdDocSetTypes"]);
    // Completed, and nobody says how: not approved, and told.
    assert_eq!(seen.rows[0].warnings[0].field, "status");
    let import = tenant.import_as(spec.clone(), SUMSUB).await.expect("an import");
    assert_eq!((import.created_count, import.ignored_columns.len()), (2, 3));
    let mut sessions = tenant.sessions(Default::default()).await;
    sessions.reverse();
    let found: Vec<_> = sessions
        .iter()
        .map(|s| (s.external_id.as_str(), s.vendor_data(), s.provider.as_str(), s.status()))
        .collect();
    let expired = pb::SessionStatus::Expired;
    assert_eq!(
        found,
        [
            ("65c206ce122f0099e43a0206", "cust-1001", "sumsub", expired),
            ("63c3b280de04ee86c9ca485e", "5f0c9e77-0000-4000-8000-000000000005", "sumsub", expired),
        ]
    );
    let told = "Applicant ID;applicantStatus;review.reviewResult.reviewAnswer;info.firstName;firstName;info.dob\n\
        a1;Approved;;Ana;;1990-01-02\na2;completed;RED;;Bo;1979-00-00\na3;Resubmission requested;;;;\n\
        a4;Requires action;RED;;;\na5;Documents requested;;;;\na6;;GREEN;;;\na7;;;;;\n";
    let seen = preview(&tenant, spec.clone(), told, true, 0).await.expect("a preview");
    let statuses: Vec<_> = seen
        .rows
        .iter()
        .map(|row| row.fields.as_ref().and_then(|fields| fields.fields.get("status")?.kind.clone()))
        .collect();
    let word = |word: &str| Some(prost_types::value::Kind::StringValue(word.to_owned()));
    let expected = ["Approved", "Declined", "Declined", "In Review", "Expired", "Approved"];
    assert_eq!(statuses[..6], expected.map(word));
    assert_eq!(seen.rows[6].outcome(), RowOutcome::Failed, "no verdict at all");
    assert_eq!(seen.rows[1].warnings[0].field, "date_of_birth");

    let canonical = "external_id,status\nc1,Approved\n";
    let seen = preview(&tenant, spec.clone(), canonical, true, 0).await.expect("a preview");
    assert_eq!((outcomes(&seen), seen.ignored_columns.len()), (vec![RowOutcome::Created], 0));
    let spec = pb::ImportSpec { source_filename: "export.csv".to_owned(), ..spec };
    let neither = tenant.import_as(spec, "Applicant,State\na1,ok\n").await.expect("an import");
    assert_eq!(neither.last_error_reason(), "MISSING_COLUMN");
    let words =
        ["sumsub", "applicantId and applicantStatus", "\"external_id\"", "Applicant, State", "mapping"];
    for word in words {
        assert!(neither.last_error().contains(word), "{word}: {}", neither.last_error());
    }
}

async fn the_program_shows_previews(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let shell = Shell::new(&server, &tenant.key);
    std::fs::write(shell.path("people.csv"), PEOPLE).expect("written");
    let out = shell.out(&["preview", "people.csv", "--type", "user_verification"], 3).await;
    for line in [
        "source     csv, UTF-8",
        "ignored    colour",
        "row 2 (line 4) would fail",
        "  error: status: invalid value 'Unheard'",
        "  first_name = Bo",
        "row 3 (line 5) would be skipped: its key stands in a row before it",
    ] {
        assert!(out.lines().any(|found| found == line), "{line}: {out}");
    }
    let flags = ["preview", "-", "--type", "user_verification", "--json", "--rows", "1"];
    let seen = shell.json_of(&flags, "{\"external_id\":\"x\",\"tags\":[\"a\"]}\n{}\n", 0).await;
    assert_eq!(seen["rows"].as_array().map(Vec::len), Some(1));
    assert_eq!(seen["rows"][0]["fields"], json!({"external_id": "x", "tags": ["a"]}));
    let retry = r#"{"applicantId":"a","reviewStatus":"completed","reviewResult":{"reviewAnswer":"RED","reviewRejectType":"RETRY"}}"#;
    let option = ["--provider", "sumsub", "--option", "sumsub_retry_is_expired=true"];
    for (more, status) in [(&option[..2], "Declined"), (&option, "Expired")] {
        let seen = shell.json_of(&[&flags[..], more].concat(), retry, 0).await;
        assert_eq!(seen["rows"][0]["fields"]["status"], status);
    }
    let failed = shell.json_of(&flags, "who,knows\n1,2\n", 1).await;
    assert_eq!(failed["last_error_reason"], "UNKNOWN_FORMAT");

    std::fs::write(shell.path("bad.json"), r#"{"fields":[{"field":"a","sources":["b"]},{"field":"c"}]}"#)
        .expect("written");
    let flags = ["mapping", "check", "people.csv", "--mapping", "bad.json", "--type", "user_verification"];
    let output = shell.run(&flags).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{error}");
    for told in ["fields[0].field", "fields[1].field", "fields[1].sources", "must map external_id"] {
        assert!(error.contains(told), "{told}: {error}");
    }
    std::fs::write(shell.path("bad.json"), r#"{"fields":[{"feild":"a"}]}"#).expect("written");
    let output = shell.run(&flags).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown field `feild`"));
}
