//! Rows and records so large that not many of them fit a message.

use carryover::{domain::import::ImportType, grpc::pb};

use crate::{
    harness::{Database, Server, Tenant, codes, counters},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(
    large_failed_rows_are_read_like_others,
    all_that_is_wrong_with_a_row_is_told,
    a_large_record_fits_a_message,
    full_pages_at_the_end_have_no_next,
);

/// A JSON list that takes two bytes an item in a file and eleven in a message.
fn zeros(bytes: usize) -> String {
    format!("[{}0]", "0,".repeat(bytes / 2))
}

async fn page(tenant: &Tenant, import: &str, page_size: i32, token: String) -> pb::ListRowErrorsResponse {
    let request = pb::ListRowErrorsRequest {
        import_id: import.to_owned(),
        page_size,
        page_token: token,
        ..Default::default()
    };
    tenant.client.imports().list_row_errors(request).await.expect("a page").into_inner()
}

async fn large_failed_rows_are_read_like_others(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let mut rows = String::new();
    for (at, bytes) in [90_000, 1_000_000, 10].into_iter().cycle().take(60).enumerate() {
        rows += &format!("{{\"external_id\":\"l-{at}\",\"status\":\"bad\",\"unknown\":{}}}\n", zeros(bytes));
    }
    let import = tenant.import(&rows).await;
    assert_eq!(counters(&import), (0, 0, 60));
    let expected: Vec<i64> = (1..=60).collect();
    let streamed = tenant.row_errors(&import.uuid).await;
    assert_eq!(streamed.iter().map(|error| error.row_number).collect::<Vec<_>>(), expected);
    assert_eq!(
        streamed[0].raw_row.as_ref().and_then(|row| row.fields.get("external_id")).map(text),
        Some("l-0"),
        "a row that fits is shown whole"
    );
    let cut = streamed[1].raw_row.as_ref().and_then(|row| row.fields.get("unknown")).map(text);
    assert!(cut.is_some_and(|text| text.starts_with("[0,0,")), "a large list is shown as text");

    let (mut listed, mut token) = (Vec::new(), String::new());
    loop {
        let next = page(&tenant, &import.uuid, 1_000, token).await;
        listed.extend(next.row_errors.iter().map(|error| error.row_number));
        token = next.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(listed, expected);
}

fn text(value: &prost_types::Value) -> &str {
    match &value.kind {
        Some(prost_types::value::Kind::StringValue(text)) => text,
        other => panic!("{other:?}"),
    }
}

async fn all_that_is_wrong_with_a_row_is_told(database: Database) {
    use pb::IssueCode::{
        BadJson, ColumnCount, DuplicateKey, Encoding, InvalidValue, Required, TooLong, WrongType,
    };
    let server = Server::start_with(database, &["--max-cell-bytes", "1KiB"]).await;
    let tenant = server.tenant().await;
    let long = "x".repeat(2_000);
    let people = format!(
        "{{\"external_id\":\"a\",\"status\":\"bad\",\"external_id\":\"b\",\"gender\":\"?\",\"external_id\":\"c\"}}\n\
         {{\"external_id\":\"d\",\"address\":\"{long}\",\"date_of_birth\":\"31/12/1990\"}}\n\
         {{\"external_id\":\"\\ud800\",\"status\":\"bad\"}}\n"
    );
    let import = tenant.import(&people).await;
    let found: Vec<_> = tenant.row_errors(&import.uuid).await.iter().map(codes).collect();
    assert_eq!(
        found,
        [
            vec![DuplicateKey, InvalidValue, InvalidValue],
            vec![TooLong, InvalidValue],
            vec![BadJson, InvalidValue]
        ]
    );

    let payment = r#"{"transaction_id":"t","transaction_at":"soon","transaction_category":"finance","transaction_details":{"direction":"in","amount":"5","currency":"EUR"},"subject":"anna"}"#;
    let spec = spec_of(&server, &tenant, ImportType::Transactions).await;
    let import = tenant.import_as(spec, payment).await.expect("an import");
    let errors = tenant.row_errors(&import.uuid).await;
    let told: Vec<_> = errors[0].issues.iter().map(|issue| (issue.code(), issue.field.as_str())).collect();
    assert_eq!(
        told,
        [(WrongType, "subject"), (InvalidValue, "transaction_at")],
        "and not what follows from it"
    );
    assert!(!codes(&errors[0]).contains(&Required));

    let mut ragged = b"external_id,first_name\na,".to_vec();
    ragged.extend_from_slice(b"\xff,too,many\n");
    let import = tenant.import(ragged).await;
    let errors = tenant.row_errors(&import.uuid).await;
    assert_eq!(codes(&errors[0]), [Encoding, ColumnCount], "cells under the wrong names are not judged");
}

async fn a_large_record_fits_a_message(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let object = format!("{{\"list\":{}}}", zeros(200_000));
    let row = format!(
        "{{\"external_id\":\"r\",\"metadata\":{object},\"extra_fields\":{object},\"parsed_address\":{object}}}\n"
    );
    assert_eq!(counters(&tenant.import(&row).await), (1, 0, 0));
    let session = tenant.sessions(Default::default()).await.remove(0);
    let decision = tenant.decision(&session.session_id).await;
    let metadata = decision.metadata.expect("metadata");
    assert_eq!(text(&metadata.fields["list"]).len(), zeros(200_000).len(), "whole, as text");
}

async fn full_pages_at_the_end_have_no_next(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let import = tenant.import("external_id,status\na,bad\nb,bad\n").await;
    let first = page(&tenant, &import.uuid, 1, String::new()).await;
    assert_eq!(first.row_errors.len(), 1);
    assert!(!first.next_page_token.is_empty());
    let last = page(&tenant, &import.uuid, 1, first.next_page_token).await;
    assert_eq!((last.row_errors.len(), last.next_page_token.as_str()), (1, ""));
    assert_eq!(page(&tenant, &import.uuid, 2, String::new()).await.next_page_token, "");
    let imports = pb::ListImportsRequest { page_size: 1, ..Default::default() };
    let imports = tenant.client.imports().list_imports(imports).await.expect("a page").into_inner();
    assert_eq!((imports.imports.len(), imports.next_page_token.as_str()), (1, ""));
}
