//! The parts of a server without its transport, and without anybody who fetches: tests do that themselves.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use carryover::{
    administration::{Administration, NewApiKey},
    domain::{
        ids::{ImportId, WorkflowId},
        import::{Import, ImportSpec, ImportStatus, ImportType, MediaPolicy, OnExisting, StartMode},
        limits::Limits,
        refusal::Role,
    },
    feed::Feed,
    guard::{Guard, Policy},
    imports::Imports,
    intake::{Finish, Intake, Opened, Piece},
    lifecycle::Lifecycle,
    metrics::Metrics,
    objects::Objects,
    reverter::Reverter,
    store::{ApplicationChange, Caller, Store, WorkflowKind},
    worker::{Settings, Worker},
};
use serde_json::{Map, Value};

use crate::{
    harness::{Database, new_database},
    stored,
};

const LEASE: Duration = Duration::from_secs(30);

/// They, with an application and an operator of it.
pub struct Parts {
    pub store: Store,
    pub imports: Imports,
    pub caller: Caller,
    workflow: WorkflowId,
    lifecycle: Lifecycle,
    database_url: Option<String>,
    folder: tempfile::TempDir,
}

impl Parts {
    /// Starts them, with segments of so many rows, four at a time.
    pub async fn start(database: Database, segment_rows: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (store, database_url) = match database {
            Database::Sqlite => {
                let path = folder.path().join("carryover.db");
                (Store::open_sqlite(&path, Metrics::default()).await.expect("a database"), None)
            }
            Database::Postgres => {
                let url = new_database().await;
                let opened = Store::open_postgres(&url, 5, 6, LEASE, Metrics::default()).await;
                (opened.expect("a database"), Some(url))
            }
        };
        let objects = Objects::open_folder(&folder.path().join("objects")).expect("a folder");
        let (feed, lifecycle) = (Feed::default(), Lifecycle::default());
        let Lifecycle { stop, tasks, .. } = &lifecycle;
        let limits = Limits { segment_rows, ..Limits::default() };
        let intake =
            Intake::new(store.clone(), objects.clone(), feed.clone(), limits, tasks.clone(), stop.clone());
        let guard = Guard::new(Policy::default()).expect("a guard");
        let imports =
            Imports::new(store.clone(), objects.clone(), feed.clone(), intake, guard, MediaPolicy::Fetch);
        let settings = Settings { segments_in_flight: 4, ..Settings::default() };
        Worker::new(store.clone(), objects, feed.clone(), Metrics::default(), settings).spawn(tasks, stop);
        Reverter { store: store.clone(), feed, lease: LEASE }.spawn(tasks, stop.clone());

        let administration = Administration::new(store.clone());
        let made = administration.create_application(Caller::SERVER, "media", true, false).await;
        let application = made.expect("an application").id;
        let change = ApplicationChange { max_active_imports: Some(9), ..ApplicationChange::default() };
        administration.change_application(Caller::SERVER, application, change).await.expect("changed");
        let kind = WorkflowKind::User;
        let workflow = administration.create_workflow(Caller::SERVER, application, "people", kind).await;
        let new = NewApiKey {
            application_id: Some(application),
            role: Role::Operator,
            name: "key",
            certificate_name: None,
        };
        let key = administration.create_api_key(Caller::SERVER, new).await;
        let caller = Caller {
            key: Some(key.expect("a key").0.id),
            application: Some(application),
            role: Role::Operator,
        };
        let workflow = workflow.expect("a workflow").id;
        Self { store, imports, caller, workflow, lifecycle, database_url, folder }
    }

    pub fn spec(&self) -> ImportSpec {
        ImportSpec {
            import_type: ImportType::UserVerification,
            provider: "generic".to_owned(),
            workflow_id: Some(self.workflow),
            source_format: None,
            source_filename: String::new(),
            source_file_url: None,
            csv_delimiter: None,
            start: StartMode::OnArrival,
            dry_run: false,
            on_existing: OnExisting::Skip,
            import_erased: false,
            encoding: None,
            thresholds: Default::default(),
            media: None,
            media_byte_budget: None,
            source_size: None,
            mapping: None,
            labels: Default::default(),
            provider_options: Default::default(),
        }
    }

    /// Uploads a source; its rows are settled meanwhile and afterwards.
    pub async fn import(&self, spec: ImportSpec, csv: &str) -> ImportId {
        let import = self.imports.create(self.caller, spec, None).await.expect("an import");
        let opened = self.imports.open_upload(self.caller, import.id, 0).await.expect("an upload");
        let Opened::Stream(upload) = opened else { panic!("nothing has been sent yet") };
        let pieces = [
            Piece::Data(Bytes::copy_from_slice(csv.as_bytes())),
            Piece::Finish(Finish { size: csv.len() as u64, sha256: None }),
        ];
        for piece in pieces {
            upload.reserve().await.expect("room").send(piece);
        }
        upload.outcome().await.expect("it is stored").id
    }

    pub async fn get(&self, id: ImportId) -> Import {
        self.imports.get(self.caller.application.expect("one"), id).await.expect("an import")
    }

    /// Waits until an import is as it should be.
    pub async fn until(&self, id: ImportId, is_so: impl Fn(&Import) -> bool) -> Import {
        for _ in 0..1_200 {
            let import = self.get(id).await;
            if is_so(&import) {
                return import;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{:?}", self.get(id).await);
    }

    /// Takes an import back.
    pub async fn revert(&self, id: ImportId) {
        self.imports.revert(self.caller, id).await.expect("it begins");
        let import = self.until(id, |import| import.status == ImportStatus::Reverted).await;
        assert_eq!((import.revert.kept, import.revert.failed), (0, 0));
    }

    /// Rows of a query, read behind the server's back.
    pub async fn rows(&self, sql: &str) -> Vec<Map<String, Value>> {
        let path: PathBuf = self.folder.path().join("carryover.db");
        stored::rows_in(self.database_url.as_deref(), &path, sql).await
    }

    /// Stops all parts; none may have panicked or hang.
    pub async fn stop(self) {
        assert!(self.lifecycle.stop_within(Duration::from_secs(30)).await, "it stops");
    }
}
