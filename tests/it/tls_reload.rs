//! Files of TLS that change while a server runs.

use std::{os::unix::fs::symlink, path::Path};

use carryover::grpc::{client::Client, pb};

use crate::{
    certificates::{self, Authority, text},
    harness::{ADMIN_KEY, Database, Server},
    metrics,
    mutual_tls::is_let_in,
    processes::serve,
    waits::eventually,
};

const UNUSABLE: &str = "carryover_tls_files_unusable";

/// M013. Files change as Kubernetes changes them: what a link leads to is another folder at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_streams_live_and_new_handshakes_get_what_is_new() {
    let (old, new) = (Authority::new(), Authority::new());
    for authority in [&old, &new] {
        authority.server("server");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    symlink(old.path(""), path("..data")).expect("a link");
    for name in ["server.pem", "server.key"] {
        symlink(Path::new("..data").join(name), path(name)).expect("a link");
    }
    let (certificate, key) = (path("server.pem"), path("server.key"));
    let flags = [
        "--tls-cert",
        text(&certificate),
        "--tls-key",
        text(&key),
        "--tls-reload-seconds",
        "1",
        "--metrics-listen",
        "127.0.0.1:0",
    ];
    let (old_ca, new_ca) = (old.file(), new.file());
    let server = Server::start_secure(Database::Sqlite, &flags, old.trust(&old_ca)).await;
    let expiry = "carryover_tls_certificate_expiry_timestamp_seconds 4102444800";
    assert!(metrics::scrape(&server).await.contains(expiry), "in 2100");
    let tenant = server.tenant().await;
    let import = tenant.create().await;
    let request = pb::WatchImportRequest { import_id: import.uuid.clone(), ..Default::default() };
    let mut watch = tenant.client.imports().watch_import(request).await.expect("a watch").into_inner();
    watch.message().await.expect("a message").expect("a snapshot");
    assert!(!is_let_in(&server, new.trust(&new_ca)).await);

    symlink(new.path(""), path("..new")).expect("a link");
    std::fs::rename(path("..new"), path("..data")).expect("swapped");
    eventually("the new certificate", async || is_let_in(&server, new.trust(&new_ca)).await.then_some(()))
        .await;
    assert!(!is_let_in(&server, old.trust(&old_ca)).await, "the old one is shown no more");
    let request = pb::CancelImportRequest { import_id: import.uuid };
    tenant.client.imports().cancel_import(request).await.expect("the old connection serves");
    while watch.message().await.expect("the old stream lives").is_some() {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_used_leaves_everything_as_it_was() {
    let authority = Authority::new();
    let ca = authority.file();
    let (shown, other) = (authority.server("server"), authority.server("other"));
    let expired = authority.server_until("expired", 2020);
    let flags =
        [&shown.flags()[..], &["--tls-reload-seconds", "1", "--metrics-listen", "127.0.0.1:0"]].concat();
    let server = Server::start_secure(Database::Sqlite, &flags, authority.trust(&ca)).await;
    metrics::until(&server, UNUSABLE, 0.0).await;
    let whole = std::fs::read(&shown.certificate).expect("read");
    let whole_key = std::fs::read(&shown.key).expect("read");
    let copy = |from: &Path, to: &Path| {
        std::fs::copy(from, to).expect("copied");
    };
    let spoil = |what: &str| match what {
        "expired" => {
            copy(&expired.certificate, &shown.certificate);
            copy(&expired.key, &shown.key);
        }
        "cut short" => std::fs::write(&shown.certificate, &whole[..whole.len() / 2]).expect("written"),
        "another's" => copy(&other.certificate, &shown.certificate),
        _ => std::fs::remove_file(&shown.certificate).expect("deleted"),
    };
    for what in ["cut short", "another's", "expired", "gone"] {
        spoil(what);
        metrics::until(&server, UNUSABLE, 1.0).await;
        assert!(is_let_in(&server, authority.trust(&ca)).await, "{what}");
        std::fs::write(&shown.certificate, &whole).expect("written");
        std::fs::write(&shown.key, &whole_key).expect("written");
        metrics::until(&server, UNUSABLE, 0.0).await;
    }
}

/// M012, as for certificates that are revoked.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_revoked_gets_no_further_connection() {
    let authority = Authority::new();
    let (ca, list) = (authority.file(), authority.revoke(&[]));
    let shown = authority.server("server");
    let flags = [
        &shown.flags()[..],
        &["--tls-reload-seconds", "1", "--tls-client-ca", text(&ca), "--tls-client-crl", text(&list)],
    ]
    .concat();
    let client = |serial| certificates::Client { serial, ..Default::default() };
    let (good, bad) = (authority.client("good", &client(1)), authority.client("bad", &client(2)));
    let server = Server::start_secure(Database::Sqlite, &flags, good.trusting(&ca)).await;
    assert!(is_let_in(&server, bad.trusting(&ca)).await);
    authority.revoke(&[2]);
    eventually("the new list", async || (!is_let_in(&server, bad.trusting(&ca)).await).then_some(())).await;
    assert!(is_let_in(&server, good.trusting(&ca)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sighup_reads_the_files_at_once() {
    let (old, new) = (Authority::new(), Authority::new());
    let (shown, next) = (old.server("server"), new.server("server"));
    let folder = tempfile::tempdir().expect("a folder");
    let flags = [&shown.flags()[..], &["--tls-reload-seconds", "86400", "--admin-key", ADMIN_KEY]].concat();
    let (child, address) = serve(folder.path(), &flags, &[]).await;
    let address = format!("https://{address}");
    let connects = async |authority: &Authority| {
        let ca = authority.file();
        Client::connect_with(&address, Some(ADMIN_KEY), authority.trust(&ca)).await.is_ok()
    };
    assert!(connects(&old).await);
    next.replace(&shown);
    assert!(connects(&old).await, "nobody has asked for it");
    let pid = child.id().expect("it runs").to_string();
    let sent = tokio::process::Command::new("kill").args(["-HUP", &pid]).status().await.expect("sent");
    assert!(sent.success());
    eventually("the new certificate", async || connects(&new).await.then_some(())).await;
}
