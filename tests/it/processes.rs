//! The program itself, started and killed; what stays when it is.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use carryover::grpc::{
    client::Client,
    pb::{self, ImportStatus},
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

use crate::harness::{ADMIN_KEY, Database, assert_adds_up, new_database};

/// Starts the program itself on a folder; gives it and the address it tells.
pub async fn serve(folder: &Path, flags: &[&str], environment: &[(&str, &str)]) -> (Child, String) {
    let started = try_serve(folder, flags, environment).await;
    started.expect("it says where it listens")
}

/// What a process has written to its standard error so far.
pub type Told = Arc<Mutex<String>>;

/// The same for one that may die before it listens.
async fn try_serve(folder: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Option<(Child, String)> {
    serve_and_hear(folder, flags, environment, Told::default()).await
}

/// The same, and what it writes.
pub async fn serve_and_hear(
    folder: &Path,
    flags: &[&str],
    environment: &[(&str, &str)],
    told: Told,
) -> Option<(Child, String)> {
    // A file that may grow no further is to be an error, as on a full disk, and not a signal.
    let mut child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_carryover")])
        .args(["serve", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(folder)
        .args(flags)
        // Tests ask more often than customers.
        .envs([("CARRYOVER_READS_PER_MINUTE", "0"), ("CARRYOVER_WRITES_PER_MINUTE", "0")])
        .envs(environment.iter().copied())
        .stderr(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let address = loop {
        let line = lines.next_line().await.expect("text")?;
        hear(&told, &line);
        if let Some(rest) = line.split_once("serves gRPC on ") {
            break rest.1.split(' ').next().expect("an address").to_owned();
        }
    };
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            hear(&told, &line);
        }
    });
    Some((child, address))
}

fn hear(told: &Told, line: &str) {
    let mut told = told.lock().expect("no panic");
    told.push_str(line);
    told.push('\n');
}

/// What outlives processes: a folder, a database, and a tenant in it.
pub struct World {
    pub folder: tempfile::TempDir,
    pub database_url: Option<String>,
    flags: Vec<String>,
    /// What its processes wrote.
    pub told: Told,
    pub key: String,
    workflow: String,
}

impl World {
    /// A tenant on a database of its own; `flags` are those of every process.
    pub async fn new(database: Database, flags: &[&str]) -> Self {
        Self::new_in(database, flags, &[]).await
    }

    /// The same, whose first process needs these variables.
    pub async fn new_in(database: Database, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let database_url = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(new_database().await),
        };
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let mut world = Self {
            folder,
            database_url,
            flags,
            told: Told::default(),
            key: String::new(),
            workflow: String::new(),
        };
        let (mut child, address) = world.start(&[], environment).await.expect("it starts");
        let admin = Client::connect(&address, ADMIN_KEY).await.expect("connects");
        (world.key, world.workflow) = world.tenant(&admin).await;
        child.kill().await.expect("ends");
        world
    }

    /// A tenant: its key, and its workflow.
    async fn tenant(&self, admin: &Client) -> (String, String) {
        let request = pb::CreateApplicationRequest { name: "t".into(), enable_imports: true, sandbox: false };
        let made = admin.admin().create_application(request).await.expect("made").into_inner();
        let application_id = made.application.expect("one").id;
        let kind = pb::WorkflowKind::User as i32;
        let request =
            pb::CreateWorkflowRequest { application_id: application_id.clone(), name: "w".into(), kind };
        let made = admin.workflows().create_workflow(request).await.expect("made").into_inner();
        let workflow = made.workflow.expect("one").id;
        let change = pb::UpdateApplicationRequest {
            application_id: application_id.clone(),
            max_active_imports: Some(8),
            ..Default::default()
        };
        admin.admin().update_application(change).await.expect("changed");
        let role = pb::Role::Operator as i32;
        let request =
            pb::CreateApiKeyRequest { application_id, role, name: "k".into(), ..Default::default() };
        let key = admin.admin().create_api_key(request).await.expect("made").into_inner().key;
        (key, workflow)
    }

    /// Another tenant of the same database, whom nobody disturbs.
    pub async fn neighbour(&self, address: &str) -> (Client, pb::ImportSpec) {
        let admin = Client::connect(address, ADMIN_KEY).await.expect("connects");
        let (key, workflow_id) = self.tenant(&admin).await;
        let spec = pb::ImportSpec { workflow_id, ..self.spec() };
        (admin.with_key(&key).expect("a client"), spec)
    }

    /// Starts a process; nothing when it died before it listened.
    pub async fn start(&self, flags: &[&str], environment: &[(&str, &str)]) -> Option<(Child, String)> {
        let mut all = vec!["--admin-key", ADMIN_KEY];
        if let Some(url) = self.database_url.as_deref().filter(|_| !flags.contains(&"--database-url")) {
            all.extend(["--database-url", url, "--database-connections", "4"]);
        }
        all.extend(self.flags.iter().map(String::as_str));
        all.extend(flags);
        serve_and_hear(self.folder.path(), &all, environment, self.told.clone()).await
    }

    pub fn spec(&self) -> pb::ImportSpec {
        pb::ImportSpec {
            import_type: pb::ImportType::UserVerification as i32,
            workflow_id: self.workflow.clone(),
            ..Default::default()
        }
    }

    pub async fn client(&self, address: &str) -> Option<Client> {
        Client::connect(address, &self.key).await.ok()
    }
}

/// Creates an import without bytes.
pub async fn create(client: &Client, spec: pb::ImportSpec) -> String {
    let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
    client.imports().create_import(request).await.expect("made").into_inner().import.expect("one").uuid
}

pub async fn get(client: &Client, id: &str) -> Result<pb::Import, tonic::Status> {
    let request = pb::GetImportRequest { import_id: id.to_owned() };
    let import = client.imports().get_import(request).await?.into_inner().import.expect("one");
    assert_adds_up(&import);
    Ok(import)
}

/// Sends what is missing of a file and waits for the end of its import.
pub async fn carry_on(client: &Client, id: &str, file: &[u8]) -> Result<pb::Import, tonic::Status> {
    let import = get(client, id).await?;
    if !import.upload_finished {
        let offset = import.committed_size as u64;
        let rest = std::io::Cursor::new(file[offset as usize..].to_vec());
        client
            .upload(id, offset, rest)
            .await
            .map_err(|error| tonic::Status::unavailable(error.to_string()))?;
    }
    loop {
        let import = get(client, id).await?;
        if !matches!(import.status(), ImportStatus::Processing | ImportStatus::Pending) {
            return Ok(import);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
