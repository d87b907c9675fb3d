//! What a server keeps where, and who may read it.

use std::{os::unix::fs::PermissionsExt, path::Path};

use carryover::grpc::{client::Client, pb};

use crate::{
    harness::{Database, Server, counters},
    on_both_databases,
    processes::serve,
};

on_both_databases!(sources_go_to_the_object_store_that_is_named);

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

async fn is_admin(address: &str, key: &str) -> bool {
    let client = Client::connect(address, key).await.expect("connects");
    client.admin().list_applications(pb::ListApplicationsRequest::default()).await.is_ok()
}

/// M027, as for who may read files.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_admin_key_is_for_the_owner_only() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("new").join("data");
    let (mut child, address) = serve(&folder, &[], &[]).await;
    let path = folder.join("admin.key");
    assert_eq!((mode(&path), mode(&folder)), (0o600, 0o700), "nobody else on the machine reads them");
    let key = std::fs::read_to_string(&path).expect("text");
    assert!(is_admin(&address, key.trim()).await);
    child.kill().await.expect("ends");

    assert_eq!(mode(&folder.join("carryover.db")), 0o600);

    // The next start makes no other one, also where the file was taken away; but it adds one that is given.
    std::fs::remove_file(&path).expect("removed");
    const LATER: &str = "co_later-co_later-co_later-co_later";
    // A key from a file may have the end of its line.
    let given = format!("{LATER}\n");
    let later = [("CARRYOVER_ADMIN_KEY", given.as_str())];
    let (mut child, address) = serve(&folder, &[], &later).await;
    assert!(is_admin(&address, key.trim()).await, "the key is known without its file");
    assert!(is_admin(&address, LATER).await);
    assert!(!path.exists());
    let admin = Client::connect(&address, key.trim()).await.expect("connects");
    let keys = admin.admin().list_api_keys(pb::ListApiKeysRequest::default()).await.expect("a list");
    let added = keys.into_inner().api_keys.into_iter().max_by_key(|key| key.id.clone()).expect("two");
    let revoke = pb::RevokeApiKeyRequest { api_key_id: added.id };
    admin.admin().revoke_api_key(revoke).await.expect("revoked");
    child.kill().await.expect("ends");
    let (mut child, address) = serve(&folder, &[], &later).await;
    assert!(!is_admin(&address, LATER).await, "one that was revoked does not come back");
    child.kill().await.expect("ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_admin_key_may_be_given() {
    const KEY: &str = "co_fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    let folder = tempfile::tempdir().expect("a folder");
    let (mut child, address) = serve(folder.path(), &[], &[("CARRYOVER_ADMIN_KEY", KEY)]).await;
    assert!(is_admin(&address, KEY).await);
    assert!(!folder.path().join("admin.key").exists(), "whoever gave it has it");
    child.kill().await.expect("ends");
    let kept = std::fs::read(folder.path().join("carryover.db")).expect("the database");
    assert!(!kept.windows(KEY.len()).any(|bytes| bytes == KEY.as_bytes()), "its hash is kept, not the key");

    // An empty one is none. A file that anybody could read is read by nobody else from then on.
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("admin.key");
    std::fs::write(&path, "old").expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("set");
    let (mut child, address) = serve(folder.path(), &[], &[("CARRYOVER_ADMIN_KEY", "")]).await;
    let made = std::fs::read_to_string(folder.path().join("admin.key")).expect("one was made");
    assert!(is_admin(&address, made.trim()).await);
    assert_eq!(mode(&path), 0o600);
    child.kill().await.expect("ends");
}

async fn sources_go_to_the_object_store_that_is_named(database: Database) {
    const CSV: &str = "external_id,status\ns-1,Approved\ns-2,wrong\n";
    let elsewhere = tempfile::tempdir().expect("a folder");
    let folder = elsewhere.path().join("sources");
    let url = format!("file://{}", folder.display());
    let server = Server::start_with(database, &["--object-store", &url]).await;
    let tenant = server.tenant().await;
    let import = tenant.import(CSV).await;
    assert_eq!(counters(&import), (1, 0, 1));
    assert_eq!(mode(&folder), 0o700);
    let of_import = folder.join("imports").join(&tenant.application).join(&import.uuid);
    let stored: Vec<_> = std::fs::read_dir(&of_import)
        .expect("a folder of the import")
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("text"))
        .collect();
    assert_eq!(stored, [CSV], "the source, as it was sent");
    assert!(!server.path("objects").exists(), "and nowhere else");

    let key = tenant.key.clone();
    let server = server.restart(&["--object-store", &url]).await;
    let tenant = crate::harness::Tenant { client: server.admin.with_key(&key).expect("a client"), ..tenant };
    let failed = tenant.export(&import.uuid, &[]).await;
    assert_eq!(failed, b"external_id,status\ns-2,wrong\n", "it is read from there, too");
    assert!(tenant.row_errors(&import.uuid).await[0].raw_row.is_some());
}
