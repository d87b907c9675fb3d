//! Files that processes had begun to write to the object store and died over, which the store shows nobody.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use carryover::grpc::pb::{self, Role};

use crate::{
    harness::{Database, Server, Tenant},
    limits::set_limits,
    on_both_databases,
    waits::eventually,
};

on_both_databases!(
    they_go_when_somebody_is_erased,
    they_go_with_the_source,
    they_go_when_media_are_gone_over,
);

const CSV: &str = "external_id,vendor_data,first_name\nu-1,anna,Anna\nu-2,ben,Ben\n";

fn source(server: &Server, tenant: &Tenant, import: &str) -> PathBuf {
    server.path("objects/imports").join(&tenant.application).join(import)
}

/// Writes a file as if so long ago.
fn write(folder: &Path, name: &str, age: Duration) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(folder).expect("a folder");
    std::fs::write(&path, CSV).expect("written");
    let file = std::fs::File::options().write(true).open(&path).expect("opens");
    file.set_modified(SystemTime::now() - age).expect("set");
    path
}

/// M022 and M027.
async fn they_go_when_somebody_is_erased(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let import = tenant.import(CSV).await;
    let folder = source(&server, &tenant, &import.uuid);
    let old = write(&folder, "00000000#1", Duration::from_secs(3_600));
    let young = write(&folder, "00000000.7#12", Duration::ZERO);
    let key = server.key(&tenant.application, Role::Operator).await;
    let client = server.admin.with_key(&key).expect("a client");
    let request = pb::EraseUserRequest { vendor_data: "anna".to_owned() };
    client.entities().erase_user(request).await.expect("erased");
    assert!(!old.exists(), "nobody will finish it");
    assert!(young.exists(), "another process may be about to");
    assert!(tenant.export(&import.uuid, &[pb::RowOutcome::Created]).await.ends_with(b"u-2,ben,Ben\n"));
}

/// M027.
async fn they_go_with_the_source(database: Database) {
    let server = Server::start_with(database, &["--sweep-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let import = tenant.import(CSV).await;
    let left = write(&source(&server, &tenant, &import.uuid), "00000000#2", Duration::from_secs(1));
    let limits = pb::ApplicationLimits { source_retention_days: Some(0), ..Default::default() };
    set_limits(&server, &tenant, limits).await;
    let is_gone = async || tenant.get(&import.uuid).await.source_deleted_at.map(drop);
    eventually("the source is deleted", is_gone).await;
    assert!(!left.exists());
}

/// M027.
async fn they_go_when_media_are_gone_over(database: Database) {
    let server = Server::start_with(database, &["--sweep-seconds", "1"]).await;
    let tenant = server.tenant().await;
    let folder = server.path("objects/media").join(&tenant.application);
    let old = write(&folder, &format!("{}#1", "a".repeat(64)), Duration::from_secs(25 * 3_600));
    let young = write(&folder, &format!("{}#1", "b".repeat(64)), Duration::from_secs(3_600));
    server.sql("UPDATE applications SET media_swept_at = NULL").await;
    eventually("it is deleted", async || (!old.exists()).then_some(())).await;
    assert!(young.exists(), "another process may be about to finish it");
}
