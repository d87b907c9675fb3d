//! A server of a test's own, and a tenant on it.

use std::{io::Write, time::Duration};

use carryover::{
    app::{self, App},
    config::ServeArgs,
    grpc::{
        client::{Client, Trust},
        pb::{self, upload_import_request::Message, watch_import_response::Event},
    },
};
use clap::Parser;
use sqlx::Connection;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::stored;

/// Which database a server stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Database {
    Sqlite,
    Postgres,
}

/// Declares tests that run once on each database.
#[macro_export]
macro_rules! on_both_databases {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::harness::Database::Sqlite).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name($crate::harness::Database::Postgres).await;
            })*
        }
    };
}

/// A running server; its folder goes with it.
pub struct Server {
    pub app: App,
    pub admin: Client,
    pub admin_key: String,
    pub database: Database,
    /// Where PostgreSQL is, when it is on that.
    pub database_url: Option<String>,
    folder: tempfile::TempDir,
    secure: bool,
}

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    serve: ServeArgs,
}

/// The flags of `serve`.
pub fn flags_of(arguments: &[&str]) -> ServeArgs {
    Flags::parse_from([&["serve"][..], arguments].concat()).serve
}

/// An application with one workflow, and a client under its importer key.
#[derive(Clone)]
pub struct Tenant {
    pub client: Client,
    pub key: String,
    pub application: String,
    pub workflow: String,
}

/// The admin key of every server under test.
pub const ADMIN_KEY: &str = "co_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

impl Server {
    pub async fn start(database: Database) -> Self {
        Self::start_with(database, &[]).await
    }

    /// Starts a server with further flags.
    pub async fn start_with(database: Database, flags: &[&str]) -> Self {
        Self::start_trusting(database, flags, None).await
    }

    /// Starts a server with TLS, which is connected to by these files.
    pub async fn start_secure(database: Database, flags: &[&str], trust: Trust<'_>) -> Self {
        Self::start_trusting(database, flags, Some(trust)).await
    }

    async fn start_trusting(database: Database, flags: &[&str], trust: Option<Trust<'_>>) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database_url = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(new_database().await),
        };
        let (app, admin) = run(&folder, database_url.as_deref(), flags, trust).await;
        let (admin_key, secure) = (ADMIN_KEY.to_owned(), trust.is_some());
        Self { app, admin, admin_key, database, database_url, folder, secure }
    }

    /// Stops the server softly and starts another one on the same data.
    pub async fn restart(self, flags: &[&str]) -> Self {
        self.restart_after(flags, || {}).await
    }

    /// The same, with something that happens in between.
    pub async fn restart_after(self, flags: &[&str], between: impl FnOnce()) -> Self {
        let Self { app, admin_key, database, database_url, folder, .. } = self;
        assert!(app.lifecycle.stop_within(Duration::from_secs(30)).await, "the server stops");
        between();
        let (app, admin) = run(&folder, database_url.as_deref(), flags, None).await;
        Self { app, admin, admin_key, database, database_url, folder, secure: false }
    }

    pub fn address(&self) -> String {
        format!("{}://{}", if self.secure { "https" } else { "http" }, self.app.address)
    }

    /// A file of the server's folder.
    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a statement on the server's database, behind its back.
    pub async fn sql(&self, sql: &str) {
        stored::execute_in(self.database_url.as_deref(), &self.path("carryover.db"), sql).await;
    }

    /// A new application that may import.
    pub async fn tenant(&self) -> Tenant {
        let request =
            pb::CreateApplicationRequest { name: "tenant".to_owned(), enable_imports: true, sandbox: false };
        let made = self.admin.admin().create_application(request).await.expect("an application");
        let application = made.into_inner().application.expect("an application").id;
        let workflow = self.workflow(&application).await;
        let key = self.key(&application, pb::Role::Importer).await;
        let client = self.admin.with_key(&key).expect("a client");
        Tenant { client, key, application, workflow }
    }

    pub async fn workflow(&self, application: &str) -> String {
        self.workflow_of(application, pb::WorkflowKind::User).await
    }

    pub async fn workflow_of(&self, application: &str, kind: pb::WorkflowKind) -> String {
        let request = pb::CreateWorkflowRequest {
            application_id: application.to_owned(),
            name: "onboarding".to_owned(),
            kind: kind as i32,
        };
        let made = self.admin.workflows().create_workflow(request).await.expect("a workflow");
        made.into_inner().workflow.expect("a workflow").id
    }

    pub async fn key(&self, application: &str, role: pb::Role) -> String {
        let request = pb::CreateApiKeyRequest {
            application_id: application.to_owned(),
            role: role as i32,
            name: "test".to_owned(),
            ..Default::default()
        };
        self.admin.admin().create_api_key(request).await.expect("a key").into_inner().key
    }
}

async fn run(
    folder: &tempfile::TempDir,
    database_url: Option<&str>,
    flags: &[&str],
    trust: Option<Trust<'_>>,
) -> (App, Client) {
    let data_dir = folder.path().to_str().expect("a path");
    let mut arguments = vec!["--listen", "127.0.0.1:0", "--data-dir", data_dir, "--admin-key", ADMIN_KEY];
    if let Some(url) = database_url {
        arguments.extend(["--database-url", url, "--database-connections", "6"]);
    }
    arguments.extend(flags);
    // Tests call more often than anybody may; those of the limits name them.
    for rate in ["--reads-per-minute", "--writes-per-minute", "--failed-keys-per-minute"] {
        if !flags.contains(&rate) {
            arguments.extend([rate, "0"]);
        }
    }
    // Links of most tests lead nowhere; those of media say so.
    if !flags.contains(&"--media-default") {
        arguments.extend(["--media-default", "skip"]);
    }
    let app = app::start(&flags_of(&arguments)).await.expect("the server starts");
    let scheme = trust.map_or("http", |_| "https");
    let address = format!("{scheme}://{}", app.address);
    let trust = trust.unwrap_or_default();
    let admin = Client::connect_with(&address, Some(ADMIN_KEY), trust).await.expect("it answers");
    (app, admin)
}

/// Makes an empty database on the server that `scripts/test` started.
pub async fn new_database() -> String {
    let url = std::env::var("CARRYOVER_TEST_POSTGRES")
        .expect("CARRYOVER_TEST_POSTGRES must name a PostgreSQL superuser; scripts/test starts one");
    // Not by the process: a long run comes round to ids of processes that are gone.
    let name = format!("t{}", uuid::Uuid::new_v4().simple());
    let mut connection = sqlx::PgConnection::connect(&url).await.expect("PostgreSQL answers");
    let create = format!("CREATE DATABASE {name}");
    sqlx::query(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.expect("a database");
    let mut url = url::Url::parse(&url).expect("a URL");
    url.set_path(&name);
    url.to_string()
}

impl Tenant {
    /// A spec for this tenant's workflow.
    pub fn spec(&self) -> pb::ImportSpec {
        pb::ImportSpec {
            import_type: pb::ImportType::UserVerification as i32,
            workflow_id: self.workflow.clone(),
            ..Default::default()
        }
    }

    /// Imports `bytes` to the end.
    pub async fn import(&self, bytes: impl AsRef<[u8]>) -> pb::Import {
        self.import_as(self.spec(), bytes).await.expect("an import")
    }

    pub async fn import_as(
        &self,
        spec: pb::ImportSpec,
        bytes: impl AsRef<[u8]>,
    ) -> Result<pb::Import, Status> {
        let import = self.upload(upload_of(spec, bytes.as_ref(), 64 << 10)).await?;
        Ok(self.wait(&import.uuid).await)
    }

    /// Sends an upload stream.
    pub async fn upload(&self, messages: Vec<pb::UploadImportRequest>) -> Result<pb::Import, Status> {
        let answer = self.client.imports().upload_import(tokio_stream::iter(messages)).await?;
        Ok(answer.into_inner().import.expect("an import"))
    }

    /// Creates an import without bytes.
    pub async fn create(&self) -> pb::Import {
        let request = pb::CreateImportRequest { spec: Some(self.spec()), request_id: String::new() };
        let made = self.client.imports().create_import(request).await.expect("an import");
        made.into_inner().import.expect("an import")
    }

    /// Watches an import to its end; every snapshot on the way must add up.
    pub async fn wait(&self, id: &str) -> pb::Import {
        self.watch(id).await.pop().expect("a snapshot")
    }

    /// All snapshots of a watch.
    pub async fn watch(&self, id: &str) -> Vec<pb::Import> {
        let request = pb::WatchImportRequest { import_id: id.to_owned(), resume_token: String::new() };
        let mut stream = self.client.imports().watch_import(request).await.expect("a watch").into_inner();
        let mut seen: Vec<pb::Import> = Vec::new();
        while let Some(message) = stream.message().await.expect("a message") {
            if let Some(Event::Import(import)) = message.event {
                assert_adds_up(&import);
                assert!(
                    seen.last().is_none_or(|last| last.sequence < import.sequence),
                    "snapshots go forward"
                );
                seen.push(import);
            }
        }
        seen
    }

    pub async fn get(&self, id: &str) -> pb::Import {
        let request = pb::GetImportRequest { import_id: id.to_owned() };
        self.client.imports().get_import(request).await.expect("an import").into_inner().import.expect("one")
    }

    /// All row errors of an import, over small pages.
    pub async fn row_errors(&self, id: &str) -> Vec<pb::RowError> {
        self.row_issues(id, pb::IssueSeverity::Error).await
    }

    /// All failed rows of an import, or all rows with warnings, over small pages.
    pub async fn row_issues(&self, id: &str, severity: pb::IssueSeverity) -> Vec<pb::RowError> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListRowErrorsRequest {
                import_id: id.to_owned(),
                page_size: 7,
                page_token,
                severity: severity as i32,
            };
            let page = self.client.imports().list_row_errors(request).await.expect("a page").into_inner();
            all.extend(page.row_errors);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    /// Rows of an import by outcome, as a file.
    pub async fn export(&self, id: &str, outcomes: &[pb::RowOutcome]) -> Vec<u8> {
        let outcomes = outcomes.iter().map(|outcome| *outcome as i32).collect();
        let request = pb::ExportRowsRequest { import_id: id.to_owned(), outcomes, ..Default::default() };
        let mut stream = self.client.imports().export_rows(request).await.expect("an export").into_inner();
        let mut file = Vec::new();
        while let Some(message) = stream.message().await.expect("a message") {
            file.extend_from_slice(&message.data);
        }
        file
    }

    /// All sessions, newest first, over small pages.
    pub async fn sessions(&self, filter: pb::ListSessionsRequest) -> Vec<pb::Session> {
        let mut all = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = pb::ListSessionsRequest { page_size: 500, page_token, ..filter.clone() };
            let page = self.client.sessions().list_sessions(request).await.expect("a page").into_inner();
            all.extend(page.sessions);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return all;
            }
        }
    }

    pub async fn decision(&self, session_id: &str) -> pb::Decision {
        let request = pb::GetSessionDecisionRequest { session_id: session_id.to_owned() };
        let answer = self.client.sessions().get_session_decision(request).await.expect("a decision");
        answer.into_inner().decision.expect("a decision")
    }
}

/// Every row has one outcome, in every snapshot.
pub fn assert_adds_up(import: &pb::Import) {
    let sum = import.created_count + import.updated_count + import.skipped_count + import.failed_count;
    assert_eq!(sum, import.processed_rows, "outcomes add up to processed_rows: {import:?}");
    assert!(import.processed_rows <= import.total_rows, "{import:?}");
    assert!(import.checkpoint_row <= import.processed_rows, "{import:?}");
    assert!(import.duplicate_count <= import.skipped_count, "{import:?}");
    assert!(import.stored_warning_count <= import.warning_count, "{import:?}");
    if import.status() == pb::ImportStatus::Completed {
        assert_eq!((import.processed_rows, import.checkpoint_row), (import.total_rows, import.total_rows));
        assert!(import.completed_at.is_some() && import.upload_finished);
    }
}

/// Created, skipped, failed.
pub fn counters(import: &pb::Import) -> (i64, i64, i64) {
    (import.created_count, import.skipped_count, import.failed_count)
}

pub fn message(message: Message) -> pb::UploadImportRequest {
    pb::UploadImportRequest { message: Some(message) }
}

pub fn start(spec: pb::ImportSpec) -> pb::UploadImportRequest {
    message(Message::Start(pb::UploadStart { spec: Some(spec), request_id: String::new() }))
}

pub fn resume(import_id: &str, write_offset: i64) -> pb::UploadImportRequest {
    message(Message::Resume(pb::UploadResume { import_id: import_id.to_owned(), write_offset }))
}

pub fn chunk(offset: usize, data: &[u8]) -> pb::UploadImportRequest {
    message(Message::Chunk(pb::UploadChunk {
        write_offset: offset as i64,
        data: data.to_vec().into(),
        crc32c: Some(crc32c::crc32c(data)),
    }))
}

pub fn finish(size: usize) -> pb::UploadImportRequest {
    message(Message::Finish(pb::UploadFinish { size: size as i64, sha256: Vec::new() }))
}

/// `bytes[from..]` as chunks of `size`, each with its offset.
pub fn chunks(bytes: &[u8], from: usize, size: usize) -> impl Iterator<Item = pb::UploadImportRequest> {
    bytes[from..].chunks(size).enumerate().map(move |(n, data)| chunk(from + n * size, data))
}

/// A whole upload.
pub fn upload_of(spec: pb::ImportSpec, bytes: &[u8], size: usize) -> Vec<pb::UploadImportRequest> {
    let mut messages = vec![start(spec)];
    messages.extend(chunks(bytes, 0, size));
    messages.push(finish(bytes.len()));
    messages
}

/// The reason in a status's ErrorInfo, and one of its facts.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

pub fn fact(status: &Status, key: &str) -> String {
    let info = status.get_details_error_info().expect("ErrorInfo");
    info.metadata.get(key).cloned().unwrap_or_default()
}

pub fn assert_refused<T: std::fmt::Debug>(
    answer: Result<T, Status>,
    code: Code,
    reason_word: &str,
) -> Status {
    let status = answer.expect_err(reason_word);
    assert_eq!((status.code(), reason(&status).as_str()), (code, reason_word), "{status:?}");
    status
}

/// Codes of a row's issues.
pub fn codes(error: &pb::RowError) -> Vec<pb::IssueCode> {
    error.issues.iter().map(pb::Issue::code).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory")
}

/// CSV of `count` plain rows with keys `{prefix}{n}`, n from `from` on.
pub fn plain_csv(prefix: &str, from: usize, count: usize) -> String {
    let mut csv = String::from("external_id,status,first_name,last_name,vendor_data\n");
    for n in from..from + count {
        csv.push_str(&format!("{prefix}{n},Approved,Ana,\"Silva, {n}\",person-{n}\n"));
    }
    csv
}
