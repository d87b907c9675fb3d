//! Pages of every list there is, and that a token belongs to its list, its application and its filters.

use std::collections::HashSet;

use carryover::{
    domain::import::ImportType,
    grpc::{
        client::Client,
        pb::{self, Role, watch_import_response::Event},
    },
};
use tonic::{Code, Status};

use crate::{
    harness::{Database, Server, Tenant, assert_refused, plain_csv},
    kinds::spec_of,
    on_both_databases,
};

on_both_databases!(
    lists_of_workflows_versions_and_keys_have_pages,
    a_page_token_belongs_to_its_list_application_and_filters,
    a_resume_token_belongs_to_its_import,
);

const TRANSACTIONS: &str = include_str!("../fixtures/transactions.ndjson");
const BUSINESSES: &str = include_str!("../fixtures/business_verification.ndjson");
const RULES: &str = include_str!("../fixtures/status_rules.ndjson");

/// What a page shows: how many items, and the token of the next.
type Shown = Result<(usize, String), Status>;

fn updating(spec: pb::ImportSpec) -> pb::ImportSpec {
    pb::ImportSpec { on_existing: pb::OnExisting::Update as i32, ..spec }
}

/// All items over pages of `size`.
async fn walk(size: i32, page: impl AsyncFn(i32, String) -> (Vec<String>, String)) -> Vec<String> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let (items, next) = page(size, token).await;
        assert!(items.len() <= size as usize && (next.is_empty() || items.len() == size as usize));
        all.extend(items);
        if next.is_empty() {
            return all;
        }
        token = next;
    }
}

async fn lists_of_workflows_versions_and_keys_have_pages(database: Database) {
    let server = Server::start(database).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    for _ in 0..4 {
        server.workflow(&tenant.application).await;
        server.key(&tenant.application, Role::Reader).await;
        server.key("", Role::Admin).await;
    }
    let spec = updating(spec_of(&server, &tenant, ImportType::StatusRules).await);
    for word in ["Declined", "Approved", "In Review"] {
        tenant.import_as(spec.clone(), RULES.replace("Declined", word)).await.expect("a version");
    }
    let workflows = async |client: &Client, application_id: &str, size| {
        walk(size, async |page_size, page_token| {
            let application_id = application_id.to_owned();
            let request = pb::ListWorkflowsRequest { application_id, page_size, page_token };
            let page = client.workflows().list_workflows(request).await.expect("a page").into_inner();
            (page.workflows.into_iter().map(|one| one.id).collect(), page.next_page_token)
        })
        .await
    };
    let whole = workflows(&tenant.client, "", 1_000).await;
    assert_eq!(whole.iter().collect::<HashSet<_>>().len(), 5);
    assert!(whole.is_sorted(), "in the order they were made");
    for size in [1, 2, 5] {
        assert_eq!(workflows(&tenant.client, "", size).await, whole);
        assert_eq!(workflows(&server.admin, &tenant.application, size).await, whole);
    }
    assert_eq!(workflows(&other.client, "", 2).await, [other.workflow.as_str()]);

    let versions = async |size| {
        walk(size, async |page_size, page_token| {
            let workflow_id = spec.workflow_id.clone();
            let request = pb::ListWorkflowVersionsRequest { workflow_id, page_size, page_token };
            let answer = tenant.client.workflows().list_workflow_versions(request).await;
            let page = answer.expect("a page").into_inner();
            (page.versions.iter().map(|one| one.version.to_string()).collect(), page.next_page_token)
        })
        .await
    };
    for size in [1, 2, 3, 50] {
        assert_eq!(versions(size).await, ["3", "2", "1"], "newest first");
    }

    let keys = async |application_id: &str, size| {
        walk(size, async |page_size, page_token| {
            let application_id = application_id.to_owned();
            let request = pb::ListApiKeysRequest { application_id, page_size, page_token };
            let page = server.admin.admin().list_api_keys(request).await.expect("a page").into_inner();
            (page.api_keys.into_iter().map(|one| one.id).collect(), page.next_page_token)
        })
        .await
    };
    for application in [tenant.application.as_str(), ""] {
        let whole = keys(application, 1_000).await;
        assert_eq!((whole.len(), whole.is_sorted()), (5, true));
        for size in [1, 2, 5] {
            assert_eq!(keys(application, size).await, whole);
        }
    }
}

/// A list with its filters, as somebody may ask for it.
#[derive(Debug, Clone)]
enum List {
    ApiKeys(pb::ListApiKeysRequest),
    Applications(pb::ListApplicationsRequest),
    AuditEvents(pb::ListAuditEventsRequest),
    Businesses(pb::ListBusinessesRequest),
    Imports(pb::ListImportsRequest),
    RowErrors(pb::ListRowErrorsRequest),
    Sessions(Box<pb::ListSessionsRequest>),
    StatusRules(pb::ListStatusRulesRequest),
    Transactions(pb::ListTransactionsRequest),
    Users(pb::ListUsersRequest),
    WorkflowVersions(pb::ListWorkflowVersionsRequest),
    Workflows(pb::ListWorkflowsRequest),
}

impl List {
    fn is_for_admins(&self) -> bool {
        matches!(self, Self::ApiKeys(_) | Self::Applications(_) | Self::AuditEvents(_))
    }

    async fn page(&self, client: &Client, page_size: i32, page_token: &str) -> Shown {
        macro_rules! ask {
            ($request:ident, $service:ident.$method:ident, $items:ident) => {{
                let mut request = $request.clone();
                (request.page_size, request.page_token) = (page_size, page_token.to_owned());
                let page = client.$service().$method(request).await?.into_inner();
                Ok((page.$items.len(), page.next_page_token))
            }};
        }
        match self {
            Self::ApiKeys(request) => ask!(request, admin.list_api_keys, api_keys),
            Self::Applications(request) => ask!(request, admin.list_applications, applications),
            Self::AuditEvents(request) => ask!(request, admin.list_audit_events, audit_events),
            Self::Businesses(request) => ask!(request, entities.list_businesses, businesses),
            Self::Imports(request) => ask!(request, imports.list_imports, imports),
            Self::RowErrors(request) => ask!(request, imports.list_row_errors, row_errors),
            Self::Sessions(request) => {
                let request = request.as_ref();
                ask!(request, sessions.list_sessions, sessions)
            }
            Self::StatusRules(request) => ask!(request, workflows.list_status_rules, status_rules),
            Self::Transactions(request) => ask!(request, transactions.list_transactions, transactions),
            Self::Users(request) => ask!(request, entities.list_users, users),
            Self::WorkflowVersions(request) => ask!(request, workflows.list_workflow_versions, versions),
            Self::Workflows(request) => ask!(request, workflows.list_workflows, workflows),
        }
    }
}

/// An application with more than one of everything; its lists, each in all forms that hold more than one.
async fn lists_of(server: &Server, tenant: &Tenant) -> Vec<List> {
    let faulty = |prefix: &str| plain_csv(prefix, 0, 3) + "e1,bad,,,\ne2,bad,,,\n";
    let (one, two) = (tenant.import(faulty("a")).await.uuid, tenant.import(faulty("b")).await.uuid);
    for (import_type, file) in [
        (ImportType::BusinessVerification, BUSINESSES.to_owned()),
        (ImportType::Transactions, TRANSACTIONS.to_owned()),
        (ImportType::StatusRules, RULES.to_owned()),
        (ImportType::StatusRules, RULES.replace("Declined", "Approved")),
    ] {
        let spec = updating(spec_of(server, tenant, import_type).await);
        let import = tenant.import_as(spec, file).await.expect("an import");
        assert!(import.created_count + import.updated_count > 1, "{import:?}");
    }
    server.key(&tenant.application, Role::Reader).await;
    server.key("", Role::Admin).await;
    let application_id = tenant.application.clone();
    let workflow_id = spec_of(server, tenant, ImportType::StatusRules).await.workflow_id;
    let errors = |import_id| pb::ListRowErrorsRequest { import_id, ..Default::default() };
    let rules = pb::ListStatusRulesRequest { workflow_id: workflow_id.clone(), ..Default::default() };
    let of_sessions = |request| List::Sessions(Box::new(request));
    let completed = vec![pb::ImportStatus::Completed as i32];
    let of_admins = |application_id: &str| pb::ListApiKeysRequest {
        application_id: application_id.to_owned(),
        ..Default::default()
    };
    let events = pb::ListAuditEventsRequest { application_id: application_id.clone(), ..Default::default() };
    vec![
        List::ApiKeys(of_admins(&application_id)),
        List::ApiKeys(of_admins("")),
        List::Applications(pb::ListApplicationsRequest::default()),
        List::AuditEvents(events),
        List::AuditEvents(pb::ListAuditEventsRequest::default()),
        List::Businesses(pb::ListBusinessesRequest::default()),
        List::Imports(pb::ListImportsRequest::default()),
        List::Imports(pb::ListImportsRequest { statuses: completed, ..Default::default() }),
        List::RowErrors(errors(one.clone())),
        List::RowErrors(errors(two)),
        of_sessions(pb::ListSessionsRequest::default()),
        of_sessions(pb::ListSessionsRequest { import_id: one, ..Default::default() }),
        of_sessions(pb::ListSessionsRequest {
            session_kind: pb::SessionKind::All as i32,
            ..Default::default()
        }),
        List::StatusRules(pb::ListStatusRulesRequest { version: Some(1), ..rules.clone() }),
        List::StatusRules(rules),
        List::Transactions(pb::ListTransactionsRequest::default()),
        List::Users(pb::ListUsersRequest::default()),
        List::WorkflowVersions(pb::ListWorkflowVersionsRequest { workflow_id, ..Default::default() }),
        List::Workflows(pb::ListWorkflowsRequest::default()),
    ]
}

/// M008.
async fn a_page_token_belongs_to_its_list_application_and_filters(database: Database) {
    let server = Server::start(database).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let lists = lists_of(&server, &tenant).await;
    lists_of(&server, &other).await;
    let pool = prost_reflect::DescriptorPool::decode(pb::DESCRIPTORS).expect("descriptors");
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    let there_are = methods.filter(|method| method.name().starts_with("List")).count();
    let tested: HashSet<_> = lists.iter().map(std::mem::discriminant).collect();
    assert_eq!(tested.len(), there_are, "every list there is is tested here");
    let client = |list: &List| if list.is_for_admins() { &server.admin } else { &tenant.client };
    for (number, list) in lists.iter().enumerate() {
        let (shown, token) = list.page(client(list), 1, "").await.expect("a page");
        assert!(shown == 1 && !token.is_empty(), "{list:?}: {shown}, {token:?}");
        for (place, asked) in lists.iter().enumerate() {
            let answer = asked.page(client(asked), 7, &token).await;
            if place == number {
                assert!(answer.is_ok_and(|(shown, _)| shown > 0), "{list:?}: of any size");
                continue;
            }
            let status = assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
            assert!(
                status.message().starts_with("page_token: "),
                "{asked:?} with one of {list:?}: {status:?}"
            );
        }
        if !list.is_for_admins() {
            let status = list.page(&other.client, 7, &token).await.expect_err("another application's");
            let code = status.code();
            assert!(matches!(code, Code::InvalidArgument | Code::NotFound), "{list:?}: {status:?}");
        }
    }
}

/// M008 for watches.
async fn a_resume_token_belongs_to_its_import(database: Database) {
    let server = Server::start(database).await;
    let (tenant, other) = (server.tenant().await, server.tenant().await);
    let (one, two) =
        (tenant.import(plain_csv("a", 0, 2)).await.uuid, tenant.import(plain_csv("b", 0, 2)).await.uuid);
    let watch = async |tenant: &Tenant, import_id: &str, resume_token: String| {
        let request = pb::WatchImportRequest { import_id: import_id.to_owned(), resume_token };
        let mut stream = tenant.client.imports().watch_import(request).await?.into_inner();
        stream.message().await
    };
    let last = watch(&tenant, &one, String::new()).await.expect("a message").expect("one");
    assert!(matches!(last.event, Some(Event::Import(_))));
    let token = last.resume_token;
    assert_eq!(watch(&tenant, &one, token.clone()).await.expect("an end"), None, "there is nothing new");
    let (seal, sequence) = token.split_once('.').expect("a seal and a number");
    let ahead = sequence.parse::<i64>().expect("a number") + 1;
    for (import, token) in [
        (&two, token.clone()),
        (&one, format!("{seal}.{ahead}")),
        (&one, format!("{seal}.{}", i64::MAX)),
        (&one, sequence.to_owned()),
    ] {
        let status = assert_refused(
            watch(&tenant, import, token.clone()).await,
            Code::InvalidArgument,
            "INVALID_FIELDS",
        );
        assert!(status.message().starts_with("resume_token: "), "{token}: {status:?}");
    }
    let status = watch(&other, &one, token).await.expect_err("another application's");
    assert!(matches!(status.code(), Code::InvalidArgument | Code::NotFound), "{status:?}");
}
