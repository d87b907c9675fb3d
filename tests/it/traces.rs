//! What a collector of traces is told, and what neither it nor anybody else who listens is told.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use carryover::grpc::{client::Client, pb};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::{Span, status::StatusCode},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    process::Child,
};
use tonic::{Request, Response, Status, transport::Server};

use crate::{
    harness::{ADMIN_KEY, Database},
    on_both_databases,
    processes::{World, carry_on, create, get},
    waits::eventually,
};

on_both_databases!(
    an_import_is_found_in_the_trace_of_its_caller,
    a_caller_that_samples_nothing_is_sent_nothing,
    nobody_is_named_in_logs_metrics_and_traces,
);

/// A collector that keeps what it gets.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let spans = resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans);
        self.0.lock().expect("no panic").extend(spans);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    /// Listens; gives what it keeps, and its URL.
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
        let service = TraceServiceServer::new(collector.clone());
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
        (collector, url)
    }

    fn spans(&self) -> Vec<Span> {
        self.0.lock().expect("no panic").clone()
    }
}

/// Asks a process to stop, and waits until it has: what it still holds is exported then.
async fn stop(mut child: Child) {
    let pid = child.id().expect("it runs").to_string();
    assert!(std::process::Command::new("kill").arg(pid).status().expect("kill is there").success());
    let ended = tokio::time::timeout(Duration::from_secs(30), child.wait()).await.expect("it stops");
    assert!(ended.expect("an end").success());
}

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

fn within_trace<T>(message: T, flags: &str) -> Request<T> {
    let mut request = Request::new(message);
    let parent = format!("00-{TRACE}-{CALLER}-{flags}");
    request.metadata_mut().insert("traceparent", parent.parse().expect("a value"));
    request
}

async fn an_import_is_found_in_the_trace_of_its_caller(database: Database) {
    let world = World::new(database, &[]).await;
    let (collector, url) = Collector::start().await;
    let (child, address) = world.start(&["--otlp-endpoint", &url], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");

    let request = pb::CreateImportRequest { spec: Some(world.spec()), request_id: String::new() };
    let answer = client.imports().create_import(within_trace(request, "01")).await.expect("made");
    let place = answer.metadata().get("traceresponse").expect("a place").to_str().expect("text").to_owned();
    let id = answer.into_inner().import.expect("one").uuid;
    assert!(place.starts_with(&format!("00-{TRACE}-")) && place.ends_with("-01"), "{place}");
    let import = carry_on(&client, &id, b"external_id\na\nb\n").await.expect("settled");
    assert_eq!(import.created_count, 2);
    let unknown = pb::GetImportRequest { import_id: "no id".to_owned() };
    let refused = client.imports().get_import(within_trace(unknown, "01")).await.expect_err("refused");
    let told = refused.metadata().get("traceresponse").expect("a place").to_str().expect("text");
    assert!(told.starts_with(&format!("00-{TRACE}-")), "{told}");
    stop(child).await;

    let spans: Vec<_> = collector.spans();
    let ours: Vec<_> = spans.iter().filter(|span| hex::encode(&span.trace_id) == TRACE).collect();
    let by_id: HashMap<_, _> = ours.iter().map(|span| (span.span_id.clone(), *span)).collect();
    // Names from a span up to the caller's.
    let way = |span: &Span| {
        let (mut names, mut parent) = (vec![span.name.clone()], span.parent_span_id.clone());
        while let Some(span) = by_id.get(&parent) {
            names.push(span.name.clone());
            parent = span.parent_span_id.clone();
        }
        assert_eq!(hex::encode(parent), CALLER, "{names:?}");
        names.join(" < ")
    };
    let ways: HashSet<_> = ours.iter().map(|span| way(span)).collect();
    const CREATE: &str = "carryover.v1.ImportService/CreateImport";
    for wanted in ["read", "parse", "transform", "persist"] {
        assert!(ways.contains(&format!("{wanted} < segment < {CREATE}")), "{wanted} in {ways:?}");
    }
    assert!(ways.iter().any(|way| way.starts_with("sea_orm.") && way.ends_with(CREATE)), "{ways:?}");
    let refused = ours.iter().find(|span| span.name.ends_with("/GetImport")).expect("the refused call");
    let status = refused.attributes.iter().find(|told| told.key == "rpc.response.status_code");
    assert!(format!("{status:?}").contains("NOT_FOUND"), "{status:?}");
    let error = StatusCode::Error as i32;
    assert!(refused.status.as_ref().is_none_or(|status| status.code != error), "it is the caller's fault");

    // The upload came without a trace, and so has its own.
    let upload = spans.iter().find(|span| span.name.ends_with("/UploadImport")).expect("the upload");
    assert_ne!(hex::encode(&upload.trace_id), TRACE);
    let stored = spans.iter().find(|span| span.name == "store_segment").expect("a stored segment");
    assert_eq!(stored.trace_id, upload.trace_id);
}

async fn a_caller_that_samples_nothing_is_sent_nothing(database: Database) {
    let world = World::new(database, &[]).await;
    let (collector, url) = Collector::start().await;
    let flags = ["--otlp-endpoint", &url, "--trace-sample-ratio", "0"];
    let (child, address) = world.start(&flags, &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");
    let list = pb::ListImportsRequest::default;
    for parent in ["00", "00-1-2-3", "", &format!("00-{}-{CALLER}-01", "0".repeat(32))] {
        let mut request = Request::new(list());
        request.metadata_mut().insert("traceparent", parent.parse().expect("a value"));
        client.imports().list_imports(request).await.expect("listed");
    }
    client.imports().list_imports(within_trace(list(), "00")).await.expect("listed");
    client.imports().list_imports(within_trace(list(), "01")).await.expect("listed");
    stop(child).await;
    let spans = collector.spans();
    let calls: Vec<_> = spans.iter().filter(|span| span.name.starts_with("carryover.")).collect();
    let [call] = calls[..] else { panic!("one caller wanted to be traced: {calls:?}") };
    assert_eq!(hex::encode(&call.trace_id), TRACE);
}

/// What stands in whatever is personal.
const MARK: &str = "zz7marked";

/// Files of all types and forms, each with a row that is taken and one that is not.
fn marked_files(people: &pb::ImportSpec, companies: String) -> Vec<(pb::ImportSpec, String)> {
    use pb::ImportType::{BusinessVerification, StatusRules, Transactions};
    let of = |import_type, workflow_id: &str| pb::ImportSpec {
        import_type: import_type as i32,
        workflow_id: workflow_id.to_owned(),
        ..Default::default()
    };
    let veriff = include_str!("../fixtures/providers/veriff.ndjson").lines().next().expect("a record");
    let veriff = veriff.replace("Keksitty", MARK).replace("Aino", MARK).replace("cust-3001", MARK);
    let wrong = format!(r#"{{"{MARK}":"{MARK}"}}"#);
    vec![
        (
            people.clone(),
            format!(
                r#"{{"external_id":"{MARK}-3","vendor_data":"{MARK}-v3","first_name":"{MARK}","status":"Approved"}}
{{"external_id":"{MARK}-4","first_name":"{MARK}","status":"{MARK}-status"}}
"#
            ),
        ),
        (
            of(BusinessVerification, &companies),
            format!(
                r#"{{"external_id":"{MARK}-1","company_name":"{MARK} Ltd","officers":[{{"name":"{MARK}"}}]}}
{{"external_id":"{MARK}-2","company_name":"{MARK} Ltd","country_code":"{MARK}"}}
"#
            ),
        ),
        (
            of(Transactions, ""),
            format!(
                "external_id,transaction_at,transaction_category,direction,amount,currency,subject_vendor_data,\
                 subject_full_name,payment_details\n\
                 {MARK}-1,2024-04-01T07:15:00Z,finance,outbound,1.00,EUR,{MARK}-v1,{MARK} Silva,{MARK}\n\
                 {MARK}-2,2024-04-01T07:15:00Z,finance,outbound,{MARK},EUR,{MARK}-v1,{MARK} Silva,{MARK}\n"
            ),
        ),
        (
            of(StatusRules, &people.workflow_id),
            format!(
                r#"{{"external_id":"{MARK}-1","feature":"OCR","field":"kyc.issuing_state","operator":"equals","value":"{MARK}","status":"Declined"}}
{{"external_id":"{MARK}-2","feature":"OCR","field":"kyc.issuing_state","operator":"{MARK}","value":"{MARK}","status":"Declined"}}
"#
            ),
        ),
        (pb::ImportSpec { provider: "veriff".to_owned(), ..people.clone() }, format!("{veriff}\n{wrong}\n")),
    ]
}

/// A workflow for companies of the only application there is.
async fn workflow_of_companies(address: &str) -> String {
    let admin = Client::connect(address, ADMIN_KEY).await.expect("connects");
    let listed =
        admin.admin().list_applications(pb::ListApplicationsRequest::default()).await.expect("a page");
    let [application] = &listed.into_inner().applications[..] else { panic!("there is one") };
    let request = pb::CreateWorkflowRequest {
        application_id: application.id.clone(),
        name: "companies".to_owned(),
        kind: pb::WorkflowKind::Business as i32,
    };
    let made = admin.workflows().create_workflow(request).await.expect("made");
    made.into_inner().workflow.expect("one").id
}

/// M017 to M019: whatever happens to a person's data, what is told of it by the way names nobody.
async fn nobody_is_named_in_logs_metrics_and_traces(database: Database) {
    let world = World::new(database, &[]).await;
    let (collector, url) = Collector::start().await;
    let told = ["--log", "debug", "--log-format", "json"];
    let flags = [&["--otlp-endpoint", &url, "--metrics-listen", "127.0.0.1:0"][..], &told].concat();
    let (child, address) = world.start(&flags, &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("connects");

    let rows = format!(
        "external_id,vendor_data,first_name,last_name,date_of_birth,document_number,status\n\
         {MARK}-1,{MARK}-v1,{MARK}-first,{MARK}-last,1980-02-03,{MARK}-number,Approved\n\
         {MARK}-2,{MARK}-v2,{MARK}-first,{MARK}-last,{MARK}-date,{MARK}-number,{MARK}-status\n\
         {MARK}-1,{MARK}-v1,{MARK}-first,{MARK}-last,1980-02-03,{MARK}-number,Approved\n"
    );
    let spec = pb::ImportSpec { source_filename: format!("{MARK}.csv"), ..world.spec() };
    let id = create(&client, spec).await;
    let import = carry_on(&client, &id, rows.as_bytes()).await.expect("settled");
    assert_eq!((import.created_count, import.failed_count), (1, 1));
    for (spec, file) in marked_files(&world.spec(), workflow_of_companies(&address).await) {
        let id = create(&client, spec.clone()).await;
        let import = carry_on(&client, &id, file.as_bytes()).await.expect("settled");
        assert_eq!((import.created_count, import.failed_count), (1, 1), "{spec:?} of\n{file}");
    }
    let row = format!(r#"{{"external_id":"{MARK}-2","first_name":"{MARK}","status":"Approved"}}"#);
    let corrections = vec![pb::RowCorrection { row_number: 2, row }];
    let request = pb::RetryImportRequest { import_id: id.clone(), corrections, ..Default::default() };
    let retry = client.imports().retry_import(request).await.expect("retried").into_inner();
    let retry = retry.import.expect("one").uuid;
    eventually("the retry settles", async || {
        let retry = get(&client, &retry).await.expect("told");
        (retry.status() == pb::ImportStatus::Completed).then(|| assert_eq!(retry.created_count, 1))
    })
    .await;
    let filter = pb::ListSessionsRequest { search: format!("{MARK}-last"), ..Default::default() };
    let found = client.sessions().list_sessions(filter).await.expect("listed").into_inner().sessions;
    assert_eq!(found.len(), 1);
    for wrong in [format!("{MARK}\u{0}"), format!("{MARK}-no-token")] {
        let filter = pb::ListSessionsRequest { page_token: wrong, ..Default::default() };
        client.sessions().list_sessions(filter).await.expect_err("no token");
    }
    let erase = pb::EraseUserRequest { vendor_data: format!("{MARK}-v1") };
    client.entities().erase_user(erase).await.expect("erased");

    let metrics = eventually("where metrics are", async || {
        let told = world.told.lock().expect("no panic");
        let (_, address) = told.split_once("metrics are at http://")?;
        Some(address.split_once('/')?.0.to_owned())
    })
    .await;
    let mut page = String::new();
    let mut socket = TcpStream::connect(&metrics).await.expect("connects");
    let asked = "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    socket.write_all(asked.as_bytes()).await.expect("sent");
    socket.read_to_string(&mut page).await.expect("an answer");
    stop(child).await;

    let log = world.told.lock().expect("no panic").clone();
    assert!(log.contains(&format!("\"import.id\":\"{id}\"")), "the log tells of the import: {log}");
    assert!(log.contains("\"trace.id\""), "and of its trace");
    assert!(page.contains("carryover_rows_total"), "{page}");
    let spans = format!("{:?}", collector.spans());
    assert!(spans.contains("persist"), "{spans}");
    let secrets = [MARK, ADMIN_KEY, &world.key];
    for (name, text) in [("log", &log), ("metrics", &page), ("traces", &spans)] {
        let is_told = |line: &&str| secrets.iter().any(|secret| line.to_lowercase().contains(secret));
        let told: Vec<_> = text.lines().filter(is_told).collect();
        assert!(told.is_empty(), "the {name}: {told:#?}");
    }
}
