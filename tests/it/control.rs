//! Pause, resume and cancel: obeyed between segments, shown as asked for until then, refused in words.

use std::time::Duration;

use carryover::grpc::{
    client::Client,
    pb::{self, ImportStatus, Role},
};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::{
    harness::{
        Database, Server, Tenant, assert_adds_up, assert_refused, chunk, chunks, counters, fact, finish,
        plain_csv, resume, upload_of,
    },
    on_both_databases,
};

on_both_databases!(
    a_paused_import_takes_rows_in_and_settles_none,
    a_pause_is_whose_it_is,
    others_imports_are_an_operators_to_control,
    what_has_ended_is_neither_paused_nor_resumed,
    random_commands_end_as_a_simple_model_says,
);

pub async fn pause(client: &Client, id: &str) -> Result<pb::Import, Status> {
    let request = pb::PauseImportRequest { import_id: id.to_owned() };
    Ok(client.imports().pause_import(request).await?.into_inner().import.expect("an import"))
}

pub async fn resume_import(client: &Client, id: &str) -> Result<pb::Import, Status> {
    let request = pb::ResumeImportRequest { import_id: id.to_owned() };
    Ok(client.imports().resume_import(request).await?.into_inner().import.expect("an import"))
}

pub async fn cancel(client: &Client, id: &str) -> Result<pb::Import, Status> {
    let request = pb::CancelImportRequest { import_id: id.to_owned() };
    Ok(client.imports().cancel_import(request).await?.into_inner().import.expect("an import"))
}

/// A client under a key of its own.
async fn client_as(server: &Server, tenant: &Tenant, role: Role) -> Client {
    server.admin.with_key(&server.key(&tenant.application, role).await).expect("a client")
}

/// Waits until nothing of an import is in work, or it has gone as far as it will.
async fn settled(tenant: &Tenant, id: &str) -> pb::Import {
    loop {
        let import = tenant.get(id).await;
        assert_adds_up(&import);
        let all_done = import.processed_rows == import.total_rows;
        let waits = import.status() == ImportStatus::Paused
            || (all_done && !import.upload_finished && !import.pause_requested);
        let ended = matches!(
            import.status(),
            ImportStatus::Completed | ImportStatus::Failed | ImportStatus::Cancelled
        );
        if waits || ended {
            return import;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn a_paused_import_takes_rows_in_and_settles_none(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("p", 0, 100);
    let id = tenant.create().await.uuid;
    let paused = pause(&tenant.client, &id).await.expect("paused");
    assert_eq!((paused.status(), paused.pause_requested), (ImportStatus::Paused, false), "nothing in work");
    let again = pause(&tenant.client, &id).await.expect("the same");
    assert_eq!((again.status(), again.sequence), (ImportStatus::Paused, paused.sequence));

    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(csv.as_bytes(), 0, 1_000));
    messages.push(finish(csv.len()));
    let uploaded = tenant.upload(messages).await.expect("the upload goes on");
    assert_eq!((uploaded.status(), uploaded.total_rows), (ImportStatus::Paused, 100));
    tokio::time::sleep(Duration::from_millis(300)).await;
    let still = tenant.get(&id).await;
    assert_eq!((still.status(), still.processed_rows), (ImportStatus::Paused, 0));

    let resumed = resume_import(&tenant.client, &id).await.expect("resumed");
    assert_eq!(resumed.status(), ImportStatus::Pending, "no row was taken up yet");
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (100, 0, 0)));
}

/// With a segment in work, which PostgreSQL can be made to take its time over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_waits_for_the_segment_in_work_and_says_so() {
    let server = Server::start_with(Database::Postgres, &["--segment-rows", "10"]).await;
    let tenant = server.tenant().await;
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF NEW.external_id = 's15' THEN PERFORM pg_sleep(5); END IF; RETURN NEW; END $$; \
         CREATE TRIGGER slow BEFORE INSERT ON user_sessions FOR EACH ROW EXECUTE FUNCTION slow();";
    server.sql(slow).await;
    let csv = plain_csv("s", 0, 200);
    let import = tenant.upload(upload_of(tenant.spec(), csv.as_bytes(), 500)).await.expect("stored");
    let id = import.uuid;
    while tenant.get(&id).await.processed_rows == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let asked = pause(&tenant.client, &id).await.expect("asked");
    assert_eq!((asked.status(), asked.pause_requested), (ImportStatus::Processing, true), "{asked:?}");
    let paused = settled(&tenant, &id).await;
    assert_eq!((paused.status(), paused.pause_requested), (ImportStatus::Paused, false));
    assert!(paused.processed_rows >= 20, "the segment in work was finished: {}", paused.processed_rows);
    let stands = paused.processed_rows;
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(tenant.get(&id).await.processed_rows, stands, "nothing further was taken up");
    assert_eq!(resume_import(&tenant.client, &id).await.expect("resumed").status(), ImportStatus::Processing);
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (200, 0, 0)));
}

async fn a_pause_is_whose_it_is(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let operator = client_as(&server, &tenant, Role::Operator).await;
    let id = tenant.create().await.uuid;

    let paused = pause(&tenant.client, &id).await.expect("paused");
    assert!(!paused.resume_needs_operator);
    let taken_over = pause(&operator, &id).await.expect("an operator makes it its own");
    assert_eq!((taken_over.status(), taken_over.resume_needs_operator), (ImportStatus::Paused, true));
    let refused = resume_import(&tenant.client, &id).await;
    let refused = assert_refused(refused, Code::PermissionDenied, "ROLE_TOO_LOW");
    assert!(refused.message().contains("operator"), "{refused:?}");
    let kept = pause(&tenant.client, &id).await.expect("the same");
    assert!(kept.resume_needs_operator, "an importer does not make it weaker");
    let resumed = resume_import(&operator, &id).await.expect("resumed");
    assert_eq!((resumed.status(), resumed.resume_needs_operator), (ImportStatus::Pending, false));
    let sequence = resumed.sequence;
    let again = resume_import(&tenant.client, &id).await.expect("one that goes on does so");
    assert_eq!(again.sequence, sequence);

    let request =
        pb::ListAuditEventsRequest { application_id: tenant.application.clone(), ..Default::default() };
    let events =
        server.admin.admin().list_audit_events(request).await.expect("events").into_inner().audit_events;
    let actions: Vec<_> = events.iter().rev().map(|event| event.action.as_str()).collect();
    let tail = ["create_import", "pause_import", "pause_import", "resume_import"];
    assert!(actions.ends_with(&tail), "what changed something is told once: {actions:?}");
}

async fn others_imports_are_an_operators_to_control(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let other = client_as(&server, &tenant, Role::Importer).await;
    let reader = client_as(&server, &tenant, Role::Reader).await;
    let operator = client_as(&server, &tenant, Role::Operator).await;
    let foreign = server.tenant().await;
    let id = tenant.create().await.uuid;
    for client in [&other, &reader] {
        for answer in [pause(client, &id).await, resume_import(client, &id).await, cancel(client, &id).await]
        {
            assert_refused(answer, Code::PermissionDenied, "ROLE_TOO_LOW");
        }
    }
    for answer in [
        pause(&foreign.client, &id).await,
        resume_import(&foreign.client, &id).await,
        cancel(&foreign.client, &id).await,
    ] {
        assert_refused(answer, Code::NotFound, "NOT_FOUND");
    }
    assert_eq!(tenant.get(&id).await.status(), ImportStatus::Pending);
    assert_eq!(cancel(&operator, &id).await.expect("cancelled").status(), ImportStatus::Cancelled);
}

async fn what_has_ended_is_neither_paused_nor_resumed(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let import = tenant.import(plain_csv("e", 0, 3)).await;
    for answer in [
        pause(&tenant.client, &import.uuid).await,
        resume_import(&tenant.client, &import.uuid).await,
        cancel(&tenant.client, &import.uuid).await,
    ] {
        let refused = assert_refused(answer, Code::FailedPrecondition, "WRONG_IMPORT_STATUS");
        assert_eq!(fact(&refused, "status"), "COMPLETED");
        let violations = refused.get_details_precondition_failure().expect("PreconditionFailure").violations;
        assert_eq!(
            (violations[0].r#type.as_str(), violations[0].subject.as_str()),
            ("IMPORT_STATUS", "COMPLETED")
        );
    }
    assert_eq!(tenant.get(&import.uuid).await.sequence, import.sequence, "nothing has changed");
}

/// What the model knows of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Model {
    Running,
    Paused { by_operator: bool },
    Ended(ImportStatus),
}

#[derive(Debug, Clone, Copy)]
enum Command {
    Send,
    Finish,
    Pause { operator: bool },
    Resume { operator: bool },
    Cancel,
}

async fn random_commands_end_as_a_simple_model_says(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let mut random = fastrand::Rng::with_seed(41);
    let tenant = server.tenant().await;
    let operator = client_as(&server, &tenant, Role::Operator).await;
    for run in 0..12 {
        let csv = plain_csv(&format!("m{run}-"), 0, 60).into_bytes();
        let id = tenant.create().await.uuid;
        let (mut model, mut sent, mut finished) = (Model::Running, 0, false);
        for _ in 0..14 {
            let operator_acts = random.bool();
            let command = match random.u32(0..10) {
                0..4 => Command::Send,
                4 => Command::Finish,
                5..7 => Command::Pause { operator: operator_acts },
                7..9 => Command::Resume { operator: operator_acts },
                _ => Command::Cancel,
            };
            let client = if operator_acts { &operator } else { &tenant.client };
            let ended = matches!(model, Model::Ended(_));
            let told = match command {
                Command::Send | Command::Finish if finished => continue,
                Command::Send => {
                    let end = csv.len().min(sent + random.usize(1..800));
                    let from = tenant.get(&id).await.committed_size as usize;
                    let messages = vec![resume(&id, from as i64), chunk(from, &csv[from..end.max(from)])];
                    sent = end;
                    // A stream that breaks off: what is whole is stored, the rest comes again.
                    let told = tenant.upload(messages).await.map(drop);
                    assert!(told.is_err(), "it was not finished");
                    if ended { told } else { Ok(()) }
                }
                Command::Finish => {
                    let from = tenant.get(&id).await.committed_size as usize;
                    let mut messages = vec![resume(&id, from as i64)];
                    messages.extend(chunks(&csv, from, 700));
                    messages.push(finish(csv.len()));
                    let told = tenant.upload(messages).await.map(drop);
                    finished = !ended;
                    told
                }
                Command::Pause { .. } => pause(client, &id).await.map(drop),
                Command::Resume { .. } => resume_import(client, &id).await.map(drop),
                Command::Cancel => cancel(client, &id).await.map(drop),
            };
            let may = match (command, model) {
                (Command::Cancel, Model::Ended(ImportStatus::Cancelled)) => Ok(()),
                (_, Model::Ended(_)) => Err("WRONG_IMPORT_STATUS"),
                (Command::Resume { operator: false }, Model::Paused { by_operator: true }) => {
                    Err("ROLE_TOO_LOW")
                }
                _ => Ok(()),
            };
            let told = told.map_err(|status| crate::harness::reason(&status));
            let is_late = told == Err("WRONG_IMPORT_STATUS".to_owned()) && finished;
            if !is_late {
                assert_eq!(told.as_ref().map_err(String::as_str).copied(), may, "{command:?} in {model:?}");
            }
            model = match (command, model) {
                (_, ended @ Model::Ended(_)) => ended,
                _ if is_late => Model::Ended(ImportStatus::Completed),
                (Command::Pause { operator }, Model::Paused { by_operator }) => {
                    Model::Paused { by_operator: by_operator || operator }
                }
                (Command::Pause { operator }, Model::Running) => Model::Paused { by_operator: operator },
                (Command::Resume { .. }, _) if may.is_ok() => Model::Running,
                (Command::Cancel, _) => Model::Ended(ImportStatus::Cancelled),
                (_, model) => model,
            };
            let import = settled(&tenant, &id).await;
            match (model, import.status()) {
                // All rows were settled before the pause or the cancel came.
                (Model::Running | Model::Paused { .. }, ImportStatus::Completed) if finished => {
                    model = Model::Ended(ImportStatus::Completed);
                }
                (Model::Running, status) => {
                    assert!(matches!(status, ImportStatus::Pending | ImportStatus::Processing), "{import:?}");
                }
                (Model::Paused { by_operator }, status) => {
                    assert_eq!((status, import.resume_needs_operator), (ImportStatus::Paused, by_operator));
                }
                (Model::Ended(wanted), status) => assert_eq!(status, wanted),
            }
        }
        let import = tenant.get(&id).await;
        if model == Model::Ended(ImportStatus::Completed) {
            assert_eq!(counters(&import), (60, 0, 0), "run {run}");
        } else if !matches!(model, Model::Ended(_)) {
            cancel(&operator, &id).await.expect("cancelled");
        }
        let sessions = tenant.sessions(Default::default()).await;
        let own = |session: &&pb::Session| session.external_id.starts_with(&format!("m{run}-"));
        let written = sessions.iter().filter(own).count() as i64;
        assert_eq!(written, tenant.get(&id).await.created_count, "run {run}: what is counted is there");
    }
}
