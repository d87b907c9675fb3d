//! Sources are kept for as long as an application says, and no longer.

use std::path::Path;

use carryover::grpc::pb::{self, RowOutcome};
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, chunks, counters, finish, resume},
    limits::set_limits,
    metrics::{scrape, until, value},
    on_both_databases,
    shell::Shell,
    waits::eventually,
};

on_both_databases!(
    a_source_is_deleted_when_its_time_has_come,
    a_source_whose_disk_is_away_is_deleted_when_it_is_back,
    a_time_that_is_changed_is_for_sources_that_are_there,
    what_is_swept_is_told,
);

const CSV: &str = "external_id,status,first_name\nr-1,Approved,Marker\nr-2,bad,Marker\nr-3,Approved,Marker\n";

/// Files below a folder that hold a text.
pub fn files_with(folder: &Path, text: &str) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let of_entry = |path: std::path::PathBuf| match path.is_dir() {
        true => files_with(&path, text),
        false => {
            usize::from(String::from_utf8_lossy(&std::fs::read(&path).unwrap_or_default()).contains(text))
        }
    };
    entries.map(|entry| of_entry(entry.expect("an entry").path())).sum()
}

async fn export(tenant: &Tenant, id: &str, outcomes: &[RowOutcome]) -> Result<Vec<u8>, tonic::Status> {
    let outcomes = outcomes.iter().map(|outcome| *outcome as i32).collect();
    let request = pb::ExportRowsRequest { import_id: id.to_owned(), outcomes, ..Default::default() };
    let mut stream = tenant.client.imports().export_rows(request).await?.into_inner();
    let mut file = Vec::new();
    while let Some(message) = stream.message().await? {
        file.extend_from_slice(&message.data);
    }
    Ok(file)
}

/// A folder that is not there looks like one from which all is deleted already.
async fn a_source_whose_disk_is_away_is_deleted_when_it_is_back(database: Database) {
    let metrics = ["--metrics-listen", "127.0.0.1:0"];
    let server = Server::start_with(database, &[&["--sweep-seconds", "1"][..], &metrics].concat()).await;
    let tenant = server.tenant().await;
    let id = tenant.import(CSV).await.uuid;
    let (objects, away) = (server.path("objects"), server.path("away"));
    std::fs::rename(&objects, &away).expect("taken away");
    let limits = pb::ApplicationLimits { source_retention_days: Some(0), ..Default::default() };
    set_limits(&server, &tenant, limits).await;
    let failed = "carryover_sweeps_total{sweep=\"sources\",result=\"failed\"}";
    eventually("a sweep that fails", async || (value(&scrape(&server).await, failed) > 0.0).then_some(()))
        .await;
    assert!(tenant.get(&id).await.source_deleted_at.is_none());
    assert!(!objects.exists(), "it is not made anew");
    // A start in the meantime does not take the empty place for the store.
    std::fs::create_dir(&objects).expect("a mount point");
    let path = server.path("");
    let mut flags = vec!["serve", "--listen", "127.0.0.1:0", "--data-dir", path.to_str().expect("a path")];
    if let Some(url) = &server.database_url {
        flags.extend(["--database-url", url]);
        let output = Shell::new(&server, "").run(&flags).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && said.contains("is its disk mounted?"), "{said}");
        flags[0] = "doctor";
        let said = Shell::new(&server, "").out(&flags, 1).await;
        assert!(said.contains("mount its disk"), "{said}");
    }
    assert_eq!(std::fs::read_dir(&objects).expect("a folder").count(), 0, "it stays empty");
    std::fs::remove_dir(&objects).expect("the mount point");
    std::fs::rename(&away, &objects).expect("brought back");
    eventually("it is deleted", async || tenant.get(&id).await.source_deleted_at.map(drop)).await;
    assert_eq!(files_with(&objects, "Marker"), 0);
}

async fn a_source_is_deleted_when_its_time_has_come(database: Database) {
    let server = Server::start_with(database, &["--sweep-seconds", "1", "--segment-rows", "1"]).await;
    let (brief, long) = (server.tenant().await, server.tenant().await);
    let limits = pb::ApplicationLimits { source_retention_days: Some(0), ..Default::default() };
    set_limits(&server, &brief, limits).await;
    let objects = server.path("objects");
    let kept = long.import(CSV).await;
    assert_eq!(files_with(&objects, "Marker"), 3, "a file a segment");
    let id = brief.create().await.uuid;
    // A process died before it could write down what it had stored.
    let folder = objects.join("imports").join(&brief.application).join(&id);
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("00000001.5"), "Marker").expect("written");
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(CSV.as_bytes(), 0, 100));
    messages.push(finish(CSV.len()));
    brief.upload(messages).await.expect("uploaded");
    let import = brief.wait(&id).await;
    let deleted = eventually("the source is deleted", async || {
        Some(brief.get(&import.uuid).await).filter(|import| import.source_deleted_at.is_some())
    })
    .await;
    assert!(deleted.source_deleted_at.map(|at| at.seconds) >= deleted.completed_at.map(|at| at.seconds));
    assert_eq!(counters(&deleted), counters(&import), "nothing else changed");
    assert_eq!(files_with(&objects, "Marker"), 3, "those of the other application are still there");

    let errors = brief.row_errors(&import.uuid).await;
    assert_eq!(
        (errors.len(), deleted.stored_error_count),
        (0, 0),
        "what they told of their rows is gone, too"
    );
    assert_eq!(deleted.failed_count, 1, "how many there were stays known");
    for outcomes in [&[][..], &[RowOutcome::Created], &[RowOutcome::Updated]] {
        let answer = export(&brief, &import.uuid, outcomes).await;
        assert_refused(answer, Code::FailedPrecondition, "SOURCE_GONE");
    }
    assert_eq!(brief.sessions(Default::default()).await.len(), 2, "records stay");

    let kept = long.get(&kept.uuid).await;
    assert_eq!(kept.source_deleted_at, None);
    assert!(long.row_errors(&kept.uuid).await[0].raw_row.is_some());
    let failed = export(&long, &kept.uuid, &[]).await.expect("a file");
    assert_eq!(String::from_utf8(failed).expect("text"), "external_id,status,first_name\nr-2,bad,Marker\n");
}

async fn a_time_that_is_changed_is_for_sources_that_are_there(database: Database) {
    let flags = ["--sweep-seconds", "1", "--source-retention-days", "0"];
    let server = Server::start_with(database, &["--sweep-seconds", "1"]).await;
    let (shortened, lengthened, silent) =
        (server.tenant().await, server.tenant().await, server.tenant().await);
    let keep_for = async |server: &Server, tenant: &Tenant, days: i64| {
        let limits = pb::ApplicationLimits { source_retention_days: Some(days), ..Default::default() };
        set_limits(server, tenant, limits).await;
    };
    keep_for(&server, &lengthened, 10).await;
    let mut imports = Vec::new();
    for tenant in [&shortened, &lengthened, &silent] {
        imports.push(tenant.import(CSV).await.uuid);
    }
    let is_gone = async |tenant: &Tenant, id: &str| {
        Some(tenant.get(id).await).filter(|import| import.source_deleted_at.is_some())
    };
    keep_for(&server, &shortened, 0).await;
    eventually("its application keeps nothing any more", async || is_gone(&shortened, &imports[0]).await)
        .await;
    assert!(is_gone(&silent, &imports[2]).await.is_none());
    let server = server.restart(&flags).await;
    let at = |tenant: &Tenant| Tenant {
        client: server.admin.with_key(&tenant.key).expect("a client"),
        ..tenant.clone()
    };
    let (lengthened, silent) = (at(&lengthened), at(&silent));
    eventually("the server keeps nothing any more", async || is_gone(&silent, &imports[2]).await).await;
    assert!(is_gone(&lengthened, &imports[1]).await.is_none(), "its application still keeps it");
}

async fn what_is_swept_is_told(database: Database) {
    let flags = ["--sweep-seconds", "1", "--segment-rows", "1", "--metrics-listen", "127.0.0.1:0"];
    let began = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a time").as_secs();
    let server = Server::start_with(database, &flags).await;
    let swept = |what| format!("carryover_last_sweep_timestamp_seconds{{sweep=\"{what}\"}}");
    let text = scrape(&server).await;
    for what in ["uploads", "sources", "leftovers", "erasures", "media", "retries"] {
        assert!(value(&text, &swept(what)) >= began as f64, "{what} is missed from the start on");
    }
    for counter in ["sources_deleted", "uploads_abandoned", "erasures_resumed", "media_swept"] {
        assert_eq!(value(&text, &format!("carryover_{counter}_total")), 0.0, "{counter}");
    }

    // An erasure that comes upon a segment that cannot be read, for a while.
    let tenant = server.tenant().await;
    let folder = server.path("objects/imports").join(&tenant.application).join(tenant.import(CSV).await.uuid);
    let segment = folder.join("00000000");
    let whole = std::fs::read(&segment).expect("a segment");
    std::fs::write(&segment, "damaged").expect("written");
    let operator = server.key(&tenant.application, pb::Role::Operator).await;
    let operator = server.admin.with_key(&operator).expect("a client");
    let request = pb::EraseUserRequest { vendor_data: "anna".to_owned() };
    operator.entities().erase_user(request).await.expect_err("a segment cannot be read");
    eventually("that is told", async || {
        let text = scrape(&server).await;
        (value(&text, "carryover_sweeps_total{sweep=\"erasures\",result=\"failed\"}") > 0.0).then_some(())
    })
    .await;
    std::fs::write(&segment, whole).expect("written");
    until(&server, "carryover_erasures_resumed_total", 1.0).await;

    let media = server.path("objects/media").join(&tenant.application);
    std::fs::create_dir_all(&media).expect("made");
    let stray = media.join("ab".repeat(32));
    std::fs::write(&stray, "nobody's").expect("written");
    let opened = std::fs::File::options().write(true).open(&stray).expect("opens");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 3_600);
    opened.set_modified(long_ago).expect("set");
    server.sql("UPDATE applications SET media_swept_at = NULL").await;
    until(&server, "carryover_media_swept_total", 1.0).await;

    let limits = pb::ApplicationLimits { source_retention_days: Some(0), ..Default::default() };
    set_limits(&server, &tenant, limits).await;
    let text = until(&server, "carryover_sources_deleted_total", 1.0).await;
    for what in ["sources", "erasures", "media"] {
        let done = format!("carryover_sweeps_total{{sweep=\"{what}\",result=\"done\"}}");
        assert!(value(&text, &done) > 0.0, "{what}");
    }
}
