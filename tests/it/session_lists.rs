//! Lists of sessions of either kind and of both: filters, pages, and the profiles of businesses.

use std::collections::HashSet;

use carryover::{domain::import::ImportType, grpc::pb};
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, counters, plain_csv},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(
    filters_of_companies,
    searches_of_people,
    filters_of_both_kinds,
    both_kinds_page_while_an_import_runs,
    sessions_of_either_kind_are_found_by_id,
    businesses_are_derived_from_sessions,
);

const PEOPLE: &str = include_str!("../fixtures/user_verification.ndjson");
const COMPANIES: &str = include_str!("../fixtures/business_verification.ndjson");

/// A tenant with people and then companies, and the ids of their two imports.
async fn tenant_of_both(server: &Server) -> (Tenant, String, pb::Import) {
    let tenant = server.tenant().await;
    let people = tenant.import(PEOPLE).await.uuid;
    let spec = spec_of(server, &tenant, ImportType::BusinessVerification).await;
    let companies = tenant.import_as(spec, COMPANIES).await.expect("an import");
    assert_eq!(counters(&companies), (5, 0, 0));
    (tenant, people, companies)
}

async fn assert_found(tenant: &Tenant, kind: pb::SessionKind, cases: &[(pb::ListSessionsRequest, &[&str])]) {
    for (filter, expected) in cases {
        let filter = pb::ListSessionsRequest { session_kind: kind as i32, ..filter.clone() };
        let found = tenant.sessions(filter.clone()).await;
        let found: Vec<_> = found.iter().map(|session| session.external_id.as_str()).collect();
        assert_eq!(found, *expected, "{filter:?}");
    }
}

fn list() -> pb::ListSessionsRequest {
    pb::ListSessionsRequest::default()
}

async fn filters_of_companies(database: Database) {
    let server = Server::start(database).await;
    let (tenant, people, companies) = tenant_of_both(&server).await;
    let newest = tenant
        .sessions(pb::ListSessionsRequest { session_kind: pb::SessionKind::Business as i32, ..list() })
        .await;
    let (id, number) = (newest[1].session_id.clone(), newest[1].session_number.to_string());
    let workflow = companies.workflow_id.clone().expect("a workflow");
    let cases: &[(pb::ListSessionsRequest, &[&str])] = &[
        (list(), &["reg-5", "reg-4", "reg-3", "reg-2", "reg-1"]),
        (
            pb::ListSessionsRequest {
                statuses: vec![pb::SessionStatus::Approved as i32, pb::SessionStatus::Declined as i32],
                ..list()
            },
            &["reg-3", "reg-1"],
        ),
        (pb::ListSessionsRequest { vendor_data: "shop-1".into(), ..list() }, &["reg-4", "reg-1"]),
        (pb::ListSessionsRequest { provider: "trulioo".into(), ..list() }, &["reg-2", "reg-1"]),
        (pb::ListSessionsRequest { external_id: "reg-3".into(), ..list() }, &["reg-3"]),
        (
            pb::ListSessionsRequest { countries: vec!["gb".into(), "NOR".into()], ..list() },
            &["reg-2", "reg-1"],
        ),
        (pb::ListSessionsRequest { countries: vec!["nowhere".into()], ..list() }, &[]),
        (
            pb::ListSessionsRequest {
                date_from: "2024-05-06".into(),
                date_to: "2024-06-01".into(),
                ..list()
            },
            &["reg-2", "reg-1"],
        ),
        (
            pb::ListSessionsRequest {
                workflow_ids: vec![workflow, "nonsense".into()],
                vendor_data: "shop-2".into(),
                ..list()
            },
            &["reg-2"],
        ),
        (pb::ListSessionsRequest { workflow_ids: vec![tenant.workflow.clone()], ..list() }, &[]),
        (pb::ListSessionsRequest { import_id: people, ..list() }, &[]),
        (
            pb::ListSessionsRequest { import_id: companies.uuid.clone(), search: "hollow".into(), ..list() },
            &["reg-4", "reg-1"],
        ),
        (pb::ListSessionsRequest { search: "SJØTANG".into(), ..list() }, &["reg-2"]),
        (pb::ListSessionsRequest { search: "9988".into(), ..list() }, &["reg-2"]),
        (pb::ListSessionsRequest { search: "shop-3".into(), ..list() }, &["reg-3"]),
        (pb::ListSessionsRequest { search: id, ..list() }, &["reg-4"]),
        // Its number, and the beginning of another's registration number.
        (pb::ListSessionsRequest { search: number, ..list() }, &["reg-4", "reg-2"]),
        (pb::ListSessionsRequest { search: "%".into(), ..list() }, &[]),
        (
            pb::ListSessionsRequest {
                document_types: vec!["P".into()],
                vendor_data: "shop-2".into(),
                ..list()
            },
            &["reg-2"],
        ),
        (
            pb::ListSessionsRequest {
                session_types: vec![pb::SessionType::Migrated as i32],
                provider: "trulioo".into(),
                ..list()
            },
            &["reg-2", "reg-1"],
        ),
    ];
    assert_found(&tenant, pb::SessionKind::Business, cases).await;
}

async fn searches_of_people(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    // No number of theirs begins as a session number does.
    tenant.import(plain_csv("x", 0, 1)).await;
    let people = "external_id,vendor_data,document_number,personal_number,phone,email,full_name\n\
        s-1,team-a/1,8801X,990001,+8877001234,ana@mail.example,Ana 8801\n\
        s-2,team-a/2,X8801,8801,+79600111222,Ana@mail.example,100% Ben\n\
        s-3,Team-B/3,0044,77001,+88009911,cy@mail.example,Cy_Young\n\
        s-4,990001,,,,,CyXYoung\n";
    assert_eq!(counters(&tenant.import(people).await), (4, 0, 0));
    let mut elsewhere = tenant.clone();
    elsewhere.workflow = server.workflow(&tenant.application).await;
    assert_eq!(counters(&elsewhere.import("external_id\ns-5\n").await), (1, 0, 0));
    let find = |id: &'static str| pb::ListSessionsRequest { external_id: id.into(), ..list() };
    let third = tenant.sessions(find("s-3")).await.remove(0);
    let (id, number) = (third.session_id, third.session_number.to_string());

    let search = |text: &str| pb::ListSessionsRequest { search: text.into(), ..list() };
    let of = |workflows: &[&str]| pb::ListSessionsRequest {
        workflow_ids: workflows.iter().map(|id| (*id).to_owned()).collect(),
        ..list()
    };
    let cases: &[(pb::ListSessionsRequest, &[&str])] = &[
        // Digits begin a number; they are not looked for in names, and not in the middle.
        (search("8801"), &["s-2", "s-1"]),
        (search("88"), &["s-3", "s-2", "s-1"]),
        (search("801"), &[]),
        (search("00"), &["s-3"]),
        (search("99000"), &["s-1"]),
        (search("796001"), &["s-2"]),
        (search("+796001"), &["s-2"]),
        (search("+79600111222"), &["s-2"]),
        (search("796001112223"), &[]),
        (search(&"9".repeat(40)), &[]),
        (search(&number), &["s-3"]),
        (search(&id), &["s-3"]),
        (search(&id.to_uppercase()), &["s-3"]),
        (search("00000000-0000-0000-0000-000000000000"), &[]),
        // An address is one as a whole.
        (search("cy@mail.example"), &["s-3"]),
        (search("CY@Mail.example"), &["s-3"]),
        (search("@mail.example"), &[]),
        // Other text is part of a name or of the customer's own id.
        (search("team-a"), &["s-2", "s-1"]),
        (search("TEAM-A/2"), &["s-2"]),
        (search("team-"), &["s-3", "s-2", "s-1"]),
        (search("ana 8"), &["s-1"]),
        (search("0%"), &["s-2"]),
        (search("cy_y"), &["s-3"]),
        (search("cy"), &["s-4", "s-3"]),
        (search("s-1"), &[]),
        (search("'"), &[]),
        (search("\\"), &[]),
        (of(&[&elsewhere.workflow]), &["s-5"]),
        (of(&[&elsewhere.workflow, "nonsense"]), &["s-5"]),
        (of(&[&elsewhere.workflow, &tenant.workflow]), &["s-5", "s-4", "s-3", "s-2", "s-1", "x0"]),
        (pb::ListSessionsRequest { search: "cy".into(), ..of(&[&tenant.workflow]) }, &["s-4", "s-3"]),
        (pb::ListSessionsRequest { search: "cy".into(), ..of(&[&elsewhere.workflow]) }, &[]),
        (pb::ListSessionsRequest { vendor_data: "team-a".into(), ..list() }, &[]),
    ];
    assert_found(&tenant, pb::SessionKind::User, cases).await;
}

async fn filters_of_both_kinds(database: Database) {
    let server = Server::start(database).await;
    let (tenant, _, companies) = tenant_of_both(&server).await;
    let approved = vec![pb::SessionStatus::Approved as i32];
    assert_found(
        &tenant,
        pb::SessionKind::All,
        &[
            (pb::ListSessionsRequest { statuses: approved, ..list() }, &["reg-1", "old-5", "old-1"]),
            (
                pb::ListSessionsRequest { countries: vec!["DEU".into(), "USA".into()], ..list() },
                &["reg-3", "old-1"],
            ),
            (
                pb::ListSessionsRequest {
                    date_from: "2024-03-12".into(),
                    date_to: "2024-05-06".into(),
                    ..list()
                },
                &["reg-1", "old-2"],
            ),
            (
                pb::ListSessionsRequest { import_id: companies.uuid, provider: "trulioo".into(), ..list() },
                &["reg-2", "reg-1"],
            ),
            (pb::ListSessionsRequest { search: "-2".into(), ..list() }, &["reg-2", "old-2"]),
        ],
    )
    .await;
    assert_found(
        &tenant,
        pb::SessionKind::Unspecified,
        &[(list(), &["old-5", "old-4", "5f0c9e77", "old-2", "old-1"])],
    )
    .await;
    let wrong = pb::ListSessionsRequest { session_kind: 9, ..list() };
    assert_refused(
        tenant.client.sessions().list_sessions(wrong).await,
        Code::InvalidArgument,
        "INVALID_FIELDS",
    );
}

async fn both_kinds_page_while_an_import_runs(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "20"]).await;
    let (tenant, ..) = tenant_of_both(&server).await;
    tenant.import(plain_csv("more", 0, 40)).await;
    let all = pb::ListSessionsRequest { session_kind: pb::SessionKind::All as i32, page_size: 7, ..list() };
    let before: Vec<String> =
        tenant.sessions(all.clone()).await.into_iter().map(|one| one.session_id).collect();
    assert_eq!(before.len(), 50);
    let running = tenant.clone();
    let import = tokio::spawn(async move { running.import(plain_csv("new", 0, 400)).await });
    for _ in 0..5 {
        let (mut seen, mut numbers, mut token) = (Vec::new(), Vec::new(), String::new());
        loop {
            let request = pb::ListSessionsRequest { page_token: token, ..all.clone() };
            let page = tenant.client.sessions().list_sessions(request).await.expect("a page").into_inner();
            assert!(page.sessions.len() <= 7);
            numbers.extend(page.sessions.iter().map(|session| session.session_number));
            seen.extend(page.sessions.into_iter().map(|session| session.session_id));
            token = page.next_page_token;
            if token.is_empty() {
                break;
            }
        }
        assert!(numbers.is_sorted_by(|newer, older| newer > older), "newest first: {numbers:?}");
        let unique: HashSet<_> = seen.iter().collect();
        assert_eq!(unique.len(), seen.len(), "none twice");
        assert!(seen.ends_with(&before), "what was there is there, in its order");
    }
    assert_eq!(counters(&import.await.expect("a task")), (400, 0, 0));
    let kinds = tenant.sessions(all).await;
    let companies =
        kinds.iter().filter(|session| session.session_kind() == pb::SessionKind::Business).count();
    assert_eq!((kinds.len(), companies), (450, 5));
}

async fn sessions_of_either_kind_are_found_by_id(database: Database) {
    let server = Server::start(database).await;
    let (tenant, ..) = tenant_of_both(&server).await;
    let all = pb::ListSessionsRequest { session_kind: pb::SessionKind::All as i32, ..list() };
    for listed in tenant.sessions(all).await {
        let request = pb::GetSessionRequest { session_id: listed.session_id.clone() };
        let got = tenant.client.sessions().get_session(request).await.expect("a session").into_inner();
        assert_eq!(got.session.as_ref(), Some(&listed));
        let decision = tenant.decision(&listed.session_id).await;
        assert_eq!(decision.session_kind, listed.session_kind);
        assert_eq!(decision.features, listed.features.iter().map(|f| f.feature.clone()).collect::<Vec<_>>());
        let is_business = listed.session_kind() == pb::SessionKind::Business;
        assert_eq!(decision.registry_checks.len(), usize::from(is_business));
        assert_eq!(listed.company_name.is_some(), is_business);
    }
}

async fn businesses_are_derived_from_sessions(database: Database) {
    let server = Server::start(database).await;
    let (tenant, ..) = tenant_of_both(&server).await;
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListBusinessesRequest { page_size: 2, page_token };
        let page = tenant.client.entities().list_businesses(request).await.expect("a page").into_inner();
        found.extend(page.businesses);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let names: Vec<_> = found.iter().map(|business| business.vendor_data.as_str()).collect();
    assert_eq!(names, ["shop-1", "shop-3", "shop-2"]);
    let business = &found[0];
    assert_eq!(business.legal_name, "Hollow Oak Joinery Ltd", "of the latest approved session");
    assert_eq!((business.session_count, business.approved_count, business.declined_count), (2, 1, 0));
    assert_eq!(business.features["KYB"], pb::FeatureStatus::Approved as i32, "by created_at the latest");
    assert_eq!(business.tags, ["b2b", "old", "wood"]);
    assert_eq!(business.last_session_at, business.last_activity_at);
    assert_eq!(found[1].legal_name, "Fast \"F\" Freight, Inc.", "none is approved: of the latest");
    let request = pb::GetBusinessRequest { vendor_data: "shop-1".into() };
    let got = tenant.client.entities().get_business(request).await.expect("a business").into_inner();
    assert_eq!(got.business.as_ref(), Some(business));
    let request = pb::GetUserRequest { vendor_data: "shop-1".into() };
    assert_refused(tenant.client.entities().get_user(request).await, Code::NotFound, "NOT_FOUND");
    let request = pb::GetBusinessRequest { vendor_data: "person-1".into() };
    assert_refused(tenant.client.entities().get_business(request).await, Code::NotFound, "NOT_FOUND");
}
