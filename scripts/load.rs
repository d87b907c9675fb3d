//! Load as customers make it, for `scripts/bench-load`: applications, each with uploads that are open side by side,
//! watchers of them, and calls between; for so long. Prints what calls came to, how long they took, and how old a state
//! was when its watcher had it; ends with 1 when anything failed.

#![expect(clippy::expect_used, reason = "a driver that cannot begin should say so")]
#![expect(clippy::print_stdout, reason = "it is a program")]

use std::{
    collections::BTreeMap,
    process::ExitCode,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use carryover::{
    clock,
    grpc::{
        client::Client,
        pb::{self, ImportStatus, upload_import_request::Message, watch_import_response::Event},
    },
};
use clap::Parser;
use tokio::{sync::watch, task::JoinSet};
use tokio_stream::StreamExt;
use tonic::Status;
use tonic_types::StatusExt;

#[derive(Parser, Clone)]
struct Args {
    /// Where the server is
    #[arg(long)]
    server: String,
    /// Key of an administrator
    #[arg(long)]
    admin_key: String,
    /// How long
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// How many applications share it
    #[arg(long, default_value_t = 5)]
    applications: usize,
    /// Uploads that are open at a time
    #[arg(long, default_value_t = 20)]
    uploads: usize,
    /// Watchers at a time
    #[arg(long, default_value_t = 200)]
    watchers: usize,
    /// Rows of an upload
    #[arg(long, default_value_t = 2000)]
    rows: usize,
    /// Seconds an upload takes
    #[arg(long, default_value_t = 20)]
    upload_seconds: u64,
    /// Uploads that one more application begins at a time, again and again, of which it may have two
    #[arg(long, default_value_t = 0)]
    crowd: usize,
}

/// Uploads of the crowd on one connection.
const CROWD_OF_CONNECTION: usize = 100;

/// Rest of one of the crowd that was refused; it does not heed what it is told.
const CROWD_REST: Duration = Duration::from_secs(1);

/// Parts of an upload.
const PARTS: usize = 40;

/// Rest between two calls of an application; its key may make 600 a minute.
const REST: Duration = Duration::from_millis(150);

/// What was measured, and what failed.
#[derive(Clone, Default)]
struct Figures(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    /// Microseconds, by name.
    times: BTreeMap<&'static str, Vec<u64>>,
    /// How often, by name and status.
    failures: BTreeMap<String, u64>,
    /// How often the crowd was refused, by why, or let in.
    crowd: BTreeMap<String, u64>,
}

impl Figures {
    fn add(&self, name: &'static str, time: Duration) {
        let micros = time.as_micros().try_into().unwrap_or(u64::MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).times.entry(name).or_default().push(micros);
    }

    fn failed(&self, name: &str, status: &Status) {
        let key = format!("{name}: {:?} {}", status.code(), status.message());
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).failures.entry(key).or_default() += 1;
    }

    fn of_crowd(&self, answer: Result<(), Status>) {
        let what = match answer {
            Ok(()) => "let in".to_owned(),
            Err(status) => match status.get_details_error_info() {
                Some(info) => format!("{:?} {}", status.code(), info.reason),
                None => format!("{:?} {}", status.code(), status.message()),
            },
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).crowd.entry(what).or_default() += 1;
    }

    /// Measures a call.
    async fn of<T>(&self, name: &'static str, call: impl Future<Output = Result<T, Status>>) -> Option<T> {
        let began = Instant::now();
        let answer = call.await.inspect_err(|status| self.failed(name, status)).ok()?;
        self.add(name, began.elapsed());
        Some(answer)
    }

    /// Prints all of it; gives how much failed.
    fn print(&self) -> u64 {
        let mut figures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Noted { times, failures, crowd } = &mut *figures;
        println!("{:<18}{:>9}{:>10}{:>10}{:>10}{:>10}  ms", "", "count", "50 %", "95 %", "99 %", "most");
        for (name, times) in times {
            times.sort_unstable();
            let at = |share: usize| {
                let place = (times.len() * share / 100).min(times.len().saturating_sub(1));
                times.get(place).map_or(0.0, |micros| *micros as f64 / 1000.0)
            };
            let [half, most, nearly, all] = [at(50), at(95), at(99), at(100)];
            println!("{name:<18}{:>9}{half:>10.1}{most:>10.1}{nearly:>10.1}{all:>10.1}", times.len());
        }
        for (what, count) in &*crowd {
            println!("crowd {count:>12} times: {what}");
        }
        for (failure, count) in &*failures {
            println!("FAILED {count} times: {failure}");
        }
        failures.values().sum()
    }
}

/// One application: its workflow, and a client for each of what it does, as each key has a rate of its own.
struct Tenant {
    workflow: String,
    uploading: Client,
    watching: Client,
    calling: Client,
}

impl Tenant {
    async fn new(admin: &Client, args: &Args, uploads: usize) -> Result<Self, Status> {
        let (id, workflow) = application(admin, uploads).await?;
        let client = async || connect(args, &key(admin, &id).await?).await;
        let (uploading, watching, calling) = (client().await?, client().await?, client().await?);
        Ok(Self { workflow, uploading, watching, calling })
    }
}

/// Makes an application; gives its id and that of its workflow.
async fn application(admin: &Client, uploads: usize) -> Result<(String, String), Status> {
    let request = pb::CreateApplicationRequest { name: "load".into(), enable_imports: true, sandbox: false };
    let made = admin.admin().create_application(request).await?.into_inner().application;
    let id = made.unwrap_or_default().id;
    let request = pb::UpdateApplicationRequest {
        application_id: id.clone(),
        // One that ends and one that begins may meet.
        max_active_imports: Some(2 * uploads as i32),
        ..Default::default()
    };
    admin.admin().update_application(request).await?;
    let kind = pb::WorkflowKind::User as i32;
    let request = pb::CreateWorkflowRequest { application_id: id.clone(), name: "load".into(), kind };
    let workflow = admin.workflows().create_workflow(request).await?.into_inner().workflow;
    Ok((id, workflow.unwrap_or_default().id))
}

async fn key(admin: &Client, application: &str) -> Result<String, Status> {
    let (application_id, role) = (application.to_owned(), pb::Role::Importer as i32);
    let request = pb::CreateApiKeyRequest { application_id, role, name: "load".into(), ..Default::default() };
    Ok(admin.admin().create_api_key(request).await?.into_inner().key)
}

async fn connect(args: &Args, key: &str) -> Result<Client, Status> {
    Client::connect(&args.server, key).await.map_err(|error| Status::unavailable(error.to_string()))
}

/// A load that goes on until `end`.
#[derive(Clone)]
struct Load {
    args: Args,
    figures: Figures,
    end: Instant,
}

impl Load {
    fn is_over(&self) -> bool {
        Instant::now() >= self.end
    }

    /// One upload after the other, each told to its watchers.
    async fn upload(self, tenant: Arc<Tenant>, number: usize, current: watch::Sender<String>) {
        for round in 0.. {
            if self.is_over() {
                return;
            }
            let spec = Some(spec(&tenant.workflow));
            let request = pb::CreateImportRequest { spec, request_id: String::new() };
            let mut imports = tenant.uploading.imports();
            let made = self.figures.of("CreateImport", imports.create_import(request)).await;
            let Some(id) = made.and_then(|made| made.into_inner().import).map(|import| import.uuid) else {
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            };
            current.send_replace(id.clone());
            let csv = csv(&format!("u{number}-{round}"), self.args.rows);
            let rest = Duration::from_secs(self.args.upload_seconds) / PARTS as u32;
            let messages = tokio_stream::iter(messages(&id, &csv)).throttle(rest);
            let answer = tenant.uploading.imports().upload_import(messages).await;
            if let Err(status) = &answer {
                self.figures.failed("UploadImport", status);
            }
            self.settled(&tenant, &id).await;
        }
    }

    /// Waits until an import has ended, as it should.
    async fn settled(&self, tenant: &Tenant, id: &str) {
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let request = pb::GetImportRequest { import_id: id.to_owned() };
            let mut imports = tenant.uploading.imports();
            let answer = self.figures.of("GetImport", imports.get_import(request)).await;
            let Some(import) = answer.and_then(|answer| answer.into_inner().import) else { continue };
            match import.status() {
                ImportStatus::Pending | ImportStatus::Processing => {}
                ImportStatus::Completed if import.created_count == self.args.rows as i64 => return,
                other => {
                    let told = format!("{other:?} with {} records", import.created_count);
                    self.figures.failed("an import", &Status::internal(told));
                    return;
                }
            }
        }
    }

    /// Watches one import after the other to its end.
    async fn watch(self, tenant: Arc<Tenant>, mut current: watch::Receiver<String>) {
        while !self.is_over() && current.changed().await.is_ok() {
            let import_id = current.borrow_and_update().clone();
            let request = pb::WatchImportRequest { import_id, ..Default::default() };
            let mut imports = tenant.watching.imports();
            let opened = self.figures.of("WatchImport", imports.watch_import(request)).await;
            let Some(stream) = opened else { continue };
            // How it stood when the watch began is as old as it is.
            let mut stream = stream.into_inner().skip(1);
            while let Some(message) = stream.next().await {
                match message.map(|message| message.event) {
                    Ok(Some(Event::Import(import))) => self.lag(&import),
                    Ok(_) => {}
                    Err(status) => self.figures.failed("WatchImport", &status),
                }
            }
        }
    }

    /// Measures how old a state is that has just come.
    fn lag(&self, import: &pb::Import) {
        let Some(changed) = import.updated_at else { return };
        let now = clock::now();
        let changed = changed.seconds * 1_000_000 + i64::from(changed.nanos) / 1000;
        let lag = u64::try_from(now.timestamp_micros() - changed).unwrap_or(0);
        self.figures.add("state at watcher", Duration::from_micros(lag));
    }

    /// Begins an upload after the other, as one of a crowd that cares for nobody.
    async fn crowd(self, client: Client, workflow: String, number: usize) {
        for round in 0.. {
            if self.is_over() {
                return;
            }
            let csv = csv(&format!("c{number}-{round}"), 10);
            let answer = client.imports().upload_import(tokio_stream::iter(whole(&workflow, &csv))).await;
            self.figures.of_crowd(answer.map(drop));
            tokio::time::sleep(CROWD_REST).await;
        }
    }

    /// Reads this and that, one call after the other.
    async fn call(self, tenant: Arc<Tenant>) {
        while !self.is_over() {
            let list = pb::ListImportsRequest { page_size: 20, ..Default::default() };
            let mut imports = tenant.calling.imports();
            let listed = self.figures.of("ListImports", imports.list_imports(list)).await;
            tokio::time::sleep(REST).await;
            let newest = listed.and_then(|answer| answer.into_inner().imports.into_iter().next());
            if let Some(import_id) = newest.map(|import| import.uuid) {
                self.figures.of("GetImport", imports.get_import(pb::GetImportRequest { import_id })).await;
                tokio::time::sleep(REST).await;
            }
            let list = pb::ListSessionsRequest { page_size: 50, ..Default::default() };
            let mut sessions = tenant.calling.sessions();
            let listed = self.figures.of("ListSessions", sessions.list_sessions(list)).await;
            tokio::time::sleep(REST).await;
            let newest = listed.and_then(|answer| answer.into_inner().sessions.into_iter().next());
            if let Some(session_id) = newest.map(|session| session.session_id) {
                let request = pb::GetSessionDecisionRequest { session_id };
                self.figures.of("GetSessionDecision", sessions.get_session_decision(request)).await;
                tokio::time::sleep(REST).await;
            }
        }
    }
}

/// Rows nobody else has.
fn csv(prefix: &str, rows: usize) -> String {
    let mut csv = String::from("external_id,status,first_name,last_name,vendor_data,date_of_birth\n");
    for n in 0..rows {
        csv.push_str(&format!("{prefix}-{n},Approved,Ana,\"Silva, {n}\",person-{n},1990-02-03\n"));
    }
    csv
}

/// What imports of people are asked to be.
fn spec(workflow_id: &str) -> pb::ImportSpec {
    let import_type = pb::ImportType::UserVerification as i32;
    pb::ImportSpec { import_type, workflow_id: workflow_id.to_owned(), ..Default::default() }
}

/// A new import and all of its file.
fn whole(workflow: &str, csv: &str) -> Vec<pb::UploadImportRequest> {
    upload(Message::Start(pb::UploadStart { spec: Some(spec(workflow)), ..Default::default() }), csv)
}

fn messages(id: &str, csv: &str) -> Vec<pb::UploadImportRequest> {
    upload(Message::Resume(pb::UploadResume { import_id: id.to_owned(), write_offset: 0 }), csv)
}

fn upload(first: Message, csv: &str) -> Vec<pb::UploadImportRequest> {
    let (mut messages, mut write_offset) = (vec![first], 0);
    for part in csv.as_bytes().chunks(csv.len().div_ceil(PARTS).max(1)) {
        let data = part.to_vec().into();
        messages.push(Message::Chunk(pb::UploadChunk { write_offset, data, crc32c: None }));
        write_offset += part.len() as i64;
    }
    messages.push(Message::Finish(pb::UploadFinish { size: write_offset, sha256: Vec::new() }));
    messages.into_iter().map(|message| pb::UploadImportRequest { message: Some(message) }).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    let admin = Client::connect(&args.server, &args.admin_key).await.expect("a server");
    let uploads = args.uploads.div_ceil(args.applications);
    let mut tenants = Vec::new();
    for _ in 0..args.applications {
        tenants.push(Arc::new(Tenant::new(&admin, &args, uploads).await.expect("an application")));
    }
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let load = Load { args: args.clone(), figures: Figures::default(), end };
    let mut tasks = JoinSet::new();
    let mut imports = Vec::new();
    for (number, tenant) in tenants.iter().cycle().take(args.uploads).enumerate() {
        let (sender, receiver) = watch::channel(String::new());
        imports.push((tenant.clone(), receiver));
        tasks.spawn(load.clone().upload(tenant.clone(), number, sender));
    }
    for (tenant, current) in imports.iter().cycle().take(args.watchers) {
        tasks.spawn(load.clone().watch(tenant.clone(), current.clone()));
    }
    for tenant in tenants {
        tasks.spawn(load.clone().call(tenant));
    }
    if args.crowd > 0 {
        let (id, workflow) = application(&admin, 1).await.expect("an application");
        let key = key(&admin, &id).await.expect("a key");
        for first in (0..args.crowd).step_by(CROWD_OF_CONNECTION) {
            let client = connect(&args, &key).await.expect("a connection");
            for number in first..args.crowd.min(first + CROWD_OF_CONNECTION) {
                tasks.spawn(load.clone().crowd(client.clone(), workflow.clone(), number));
            }
        }
    }
    // Their senders end the watchers.
    drop(imports);
    let mut failed = 0;
    while let Some(ended) = tasks.join_next().await {
        failed += u64::from(ended.is_err());
    }
    failed += load.figures.print();
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
