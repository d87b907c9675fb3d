//! Certificates of clients: who is let in by one, and whom it stands for.

use std::time::{Duration, SystemTime};

use carryover::grpc::{
    client::{Client, Trust},
    pb::{self, Role},
};
use tonic::Code;

use crate::{
    certificates::{self, Authority, Pair, text},
    harness::{ADMIN_KEY, Database, Server, assert_refused},
    on_both_databases,
    shell::Shell,
};

on_both_databases!(
    a_certificate_stands_for_a_key,
    a_key_in_the_call_counts,
    a_revoked_name_ends_its_streams_and_is_free,
    names_of_several_keys_are_nobodys,
);

/// An authority of clients, and a server that asks for what it vouches for.
struct World {
    authority: Authority,
    ca: std::path::PathBuf,
    server: Server,
}

impl World {
    async fn new(database: Database, further: &[&str]) -> Self {
        let authority = Authority::new();
        let ca = authority.file();
        let shown = authority.server("server");
        let flags = [&shown.flags()[..], &["--tls-client-ca", text(&ca)]].concat();
        let admin = authority.client("admin", &certificates::Client { serial: 1, ..Default::default() });
        let server = Server::start_secure(database, &[&flags, further].concat(), admin.trusting(&ca)).await;
        Self { authority, ca, server }
    }

    /// A client of its own with a certificate of these names, and a key where one is given.
    async fn client(&self, dns: &[&str], uris: &[&str], key: Option<&str>) -> Client {
        let shown = self
            .authority
            .client("client", &certificates::Client { dns, uris, serial: 2, ..Default::default() });
        connect(&self.server, key, shown.trusting(&self.ca)).await
    }

    /// Makes a key that a name stands for.
    async fn bind(&self, application: &str, role: Role, name: &str) -> pb::ApiKey {
        let request = pb::CreateApiKeyRequest {
            application_id: application.to_owned(),
            role: role as i32,
            name: "bound".to_owned(),
            certificate_name: name.to_owned(),
        };
        let made = self.server.admin.admin().create_api_key(request).await.expect("a key").into_inner();
        assert_eq!(made.key, "", "there is no secret");
        made.api_key.expect("a key")
    }

    async fn revoke(&self, key: &pb::ApiKey) {
        let request = pb::RevokeApiKeyRequest { api_key_id: key.id.clone() };
        self.server.admin.admin().revoke_api_key(request).await.expect("revoked");
    }
}

async fn connect(server: &Server, key: Option<&str>, trust: Trust<'_>) -> Client {
    Client::connect_with(&server.address(), key, trust).await.expect("connects")
}

async fn list(client: &Client) -> Result<Vec<pb::Import>, tonic::Status> {
    let listed = client.imports().list_imports(pb::ListImportsRequest::default()).await;
    listed.map(|listed| listed.into_inner().imports)
}

/// Whether the server itself answers, and does not end the connection. A client of TLS 1.3 takes the handshake for over
/// before the server has judged it.
pub async fn is_let_in(server: &Server, trust: Trust<'_>) -> bool {
    let Ok(client) = Client::connect_with(&server.address(), Some(ADMIN_KEY), trust).await else {
        return false;
    };
    let request = pb::ListApplicationsRequest::default();
    match client.admin().list_applications(request).await {
        Ok(_) => true,
        Err(status) => {
            let is_cut = matches!(status.code(), Code::Unknown | Code::Unavailable | Code::Cancelled);
            assert!(is_cut, "{status:?}");
            false
        }
    }
}

/// M012.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_shows_no_good_certificate_is_turned_away() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let (ca, revoked) = (authority.file(), authority.revoke(&[7]));
    let shown = authority.server("server");
    let flags =
        [&shown.flags()[..], &["--tls-client-ca", text(&ca), "--tls-client-crl", text(&revoked)]].concat();
    let good = authority.client("good", &certificates::Client { serial: 1, ..Default::default() });
    for auth in ["required", "optional"] {
        let flags = [&flags[..], &["--tls-client-auth", auth]].concat();
        let server = Server::start_secure(Database::Sqlite, &flags, good.trusting(&ca)).await;
        assert!(is_let_in(&server, good.trusting(&ca)).await, "{auth}");
        assert_eq!(is_let_in(&server, authority.trust(&ca)).await, auth == "optional", "{auth}: none");
        for (name, issuer, client) in [
            (
                "expired",
                &authority,
                certificates::Client { serial: 2, has_expired: true, ..Default::default() },
            ),
            ("stranger", &stranger, certificates::Client { serial: 3, ..Default::default() }),
            (
                "of a server",
                &authority,
                certificates::Client { serial: 4, is_for_servers: true, ..Default::default() },
            ),
            ("revoked", &authority, certificates::Client { serial: 7, ..Default::default() }),
        ] {
            let pair = issuer.client("bad", &client);
            assert!(!is_let_in(&server, pair.trusting(&ca)).await, "{auth}: {name}");
        }
    }
}

async fn a_certificate_stands_for_a_key(database: Database) {
    let world = World::new(database, &[]).await;
    let tenant = world.server.tenant().await;
    let import = tenant.create().await;
    let bound = world.bind(&tenant.application, Role::Reader, "Reader.Example.com").await;
    assert_eq!(bound.certificate_name, "reader.example.com");
    for (dns, uris) in [
        (&["READER.example.com"][..], &[][..]),
        (&["other.example.com", "reader.example.com"], &["spiffe://example.com/other"]),
    ] {
        let client = world.client(dns, uris, None).await;
        let listed = list(&client).await.expect("served");
        assert_eq!(listed.iter().map(|one| &one.uuid).collect::<Vec<_>>(), [&import.uuid], "{dns:?}");
        let request = pb::CreateImportRequest { spec: Some(tenant.spec()), ..Default::default() };
        assert_refused(client.imports().create_import(request).await, Code::PermissionDenied, "ROLE_TOO_LOW");
    }

    // The right authority and another name.
    for (dns, uris) in [
        (&[][..], &[][..]),
        (&["reader.example.org"], &[]),
        (&["*.example.com"], &[]),
        (&["a.reader.example.com"], &[]),
        (&[], &["reader.example.com"]),
        (&[], &["spiffe://reader.example.com"]),
    ] {
        let client = world.client(dns, uris, None).await;
        assert_refused(list(&client).await, Code::Unauthenticated, "INVALID_API_KEY");
    }

    let name = "spiffe://example.com/Importer";
    let bound = world.bind(&tenant.application, Role::Operator, name).await;
    let client = world.client(&[], &["spiffe://example.com/importer"], None).await;
    assert_refused(list(&client).await, Code::Unauthenticated, "INVALID_API_KEY");
    let client = world.client(&[], &[name], None).await;
    let request = pb::CancelImportRequest { import_id: import.uuid.clone() };
    client.imports().cancel_import(request).await.expect("cancelled");
    let request =
        pb::ListAuditEventsRequest { application_id: tenant.application.clone(), ..Default::default() };
    let told = world
        .server
        .admin
        .admin()
        .list_audit_events(request)
        .await
        .expect("events")
        .into_inner()
        .audit_events;
    let cancelled = told.iter().find(|event| event.action == "cancel_import").expect("written down");
    assert_eq!((&cancelled.api_key_id, cancelled.role.as_str()), (&bound.id, "operator"));
    let made = told.iter().find(|event| event.target == bound.id).expect("written down");
    assert!(format!("{:?}", made.details).contains(name), "{made:?}");

    world.bind("", Role::Admin, "admin.example.com").await;
    let admin = world.client(&["admin.example.com"], &[], None).await;
    let request = pb::ListApiKeysRequest { application_id: tenant.application.clone(), ..Default::default() };
    let keys = admin.admin().list_api_keys(request).await.expect("an admin").into_inner().api_keys;
    let names: Vec<_> = keys.iter().map(|key| key.certificate_name.as_str()).collect();
    assert_eq!(names, ["", "reader.example.com", name]);
}

async fn a_key_in_the_call_counts(database: Database) {
    let world = World::new(database, &[]).await;
    let (one, other) = (world.server.tenant().await, world.server.tenant().await);
    let import = one.create().await;
    world.bind(&other.application, Role::Operator, "x.example.com").await;
    let client = world.client(&["x.example.com"], &[], Some(one.key.as_str())).await;
    assert_eq!(list(&client).await.expect("served")[0].uuid, import.uuid);
    for wrong in ["", "carryover_wrong"] {
        let client = client.with_key(wrong).expect("a client");
        assert_refused(list(&client).await, Code::Unauthenticated, "INVALID_API_KEY");
    }
    let nobody = world.client(&["nobody.example.com"], &[], Some(one.key.as_str())).await;
    assert_eq!(list(&nobody).await.expect("served").len(), 1);
}

/// M003 for certificates.
async fn a_revoked_name_ends_its_streams_and_is_free(database: Database) {
    let world = World::new(database, &[]).await;
    let (one, other) = (world.server.tenant().await, world.server.tenant().await);
    let import = one.create().await;
    let bound = world.bind(&one.application, Role::Reader, "x.example.com").await;
    let client = world.client(&["x.example.com"], &[], None).await;
    let request = pb::WatchImportRequest { import_id: import.uuid, ..Default::default() };
    let mut watch = client.imports().watch_import(request).await.expect("a watch").into_inner();
    watch.message().await.expect("a message").expect("a snapshot");

    let taken = pb::CreateApiKeyRequest {
        application_id: other.application.clone(),
        role: Role::Reader as i32,
        certificate_name: "X.example.com".to_owned(),
        ..Default::default()
    };
    let refused = world.server.admin.admin().create_api_key(taken).await;
    assert_refused(refused, Code::InvalidArgument, "INVALID_FIELDS");

    world.revoke(&bound).await;
    assert_refused(list(&client).await, Code::Unauthenticated, "INVALID_API_KEY");
    assert_eq!(end_of(&mut watch).await.code(), Code::Unauthenticated);
    world.bind(&other.application, Role::Reader, "x.example.com").await;
    assert!(list(&client).await.expect("served").is_empty(), "it is the other's now");
}

/// How a watch ends that must not end well.
async fn end_of(watch: &mut tonic::Streaming<pb::WatchImportResponse>) -> tonic::Status {
    loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the watch ended as if all were well"),
            Err(status) => return status,
        }
    }
}

async fn names_of_several_keys_are_nobodys(database: Database) {
    let world = World::new(database, &[]).await;
    let tenant = world.server.tenant().await;
    let keys = [
        world.bind(&tenant.application, Role::Reader, "a.example.com").await,
        world.bind(&tenant.application, Role::Operator, "urn:b").await,
    ];
    let client = world.client(&["a.example.com"], &["urn:b"], None).await;
    assert_refused(list(&client).await, Code::Unauthenticated, "INVALID_API_KEY");
    world.revoke(&keys[1]).await;
    list(&client).await.expect("one is left");
    for name in ["*.example.com", "a b", "no/name", ".", &"n".repeat(513)] {
        let request = pb::CreateApiKeyRequest {
            application_id: tenant.application.clone(),
            role: Role::Reader as i32,
            certificate_name: name.to_owned(),
            ..Default::default()
        };
        let status = world.server.admin.admin().create_api_key(request).await;
        let status = assert_refused(status, Code::InvalidArgument, "INVALID_FIELDS");
        assert!(status.message().contains("certificate_name"), "{status:?}");
    }
}

/// A connection may outlive the certificate that it was made with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_expires_stands_for_nobody() {
    let world = World::new(Database::Sqlite, &[]).await;
    let tenant = world.server.tenant().await;
    let import = tenant.create().await;
    world.bind(&tenant.application, Role::Reader, "x.example.com").await;
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let lives = Some(since + Duration::from_secs(8));
    let client = certificates::Client { dns: &["x.example.com"], serial: 3, lives, ..Default::default() };
    let shown = world.authority.client("short", &client);
    let client = connect(&world.server, None, shown.trusting(&world.ca)).await;
    let request = pb::WatchImportRequest { import_id: import.uuid, ..Default::default() };
    let mut watch = client.imports().watch_import(request).await.expect("a watch").into_inner();
    assert_eq!(end_of(&mut watch).await.code(), Code::Unauthenticated);
    assert_refused(list(&client).await, Code::Unauthenticated, "INVALID_API_KEY");
    let client = client.with_key(&tenant.key).expect("a client");
    list(&client).await.expect("a key is as good as before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_under_a_certificate_have_a_rate() {
    let flags = ["--tls-client-auth", "optional", "--reads-per-minute", "3", "--failed-keys-per-minute", "2"];
    let world = World::new(Database::Sqlite, &flags).await;
    let tenant = world.server.tenant().await;
    world.bind(&tenant.application, Role::Reader, "x.example.com").await;
    let client = world.client(&["x.example.com"], &[], None).await;
    for _ in 0..3 {
        list(&client).await.expect("served");
    }
    assert_refused(list(&client).await, Code::ResourceExhausted, "RATE_LIMIT");
    let nobody = connect(&world.server, None, world.authority.trust(&world.ca)).await;
    for _ in 0..2 {
        assert_refused(list(&nobody).await, Code::Unauthenticated, "INVALID_API_KEY");
    }
    assert_refused(list(&nobody).await, Code::ResourceExhausted, "RATE_LIMIT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_show_a_certificate() {
    let world = World::new(Database::Sqlite, &[]).await;
    let tenant = world.server.tenant().await;
    let shell = Shell::new(&world.server, "");
    let Pair { certificate, key } = world
        .authority
        .client("client", &certificates::Client { dns: &["x.example.com"], serial: 2, ..Default::default() });
    let files = [
        "--tls-ca",
        text(&world.ca),
        "--tls-client-cert",
        text(&certificate),
        "--tls-client-key",
        text(&key),
    ];
    let bind = ["admin", "key", "create", "--application", &tenant.application, "--role", "importer"];
    let bind =
        [&bind[..], &["--certificate-name", "x.example.com", "--json", "--api-key", ADMIN_KEY], &files]
            .concat();
    let made = shell.json(&bind, 0).await;
    assert_eq!((made["certificate_name"].as_str(), made.get("key")), (Some("x.example.com"), None));

    std::fs::write(shell.path("a.csv"), "external_id,status\na,Approved\n").expect("written");
    let import = ["import", "a.csv", "--type", "user_verification", "--workflow", &tenant.workflow, "--json"];
    let done = shell.json(&[&import[..], &files].concat(), 0).await;
    assert_eq!(done["created_count"], 1);

    let none = shell.path("none.pem");
    for (files, code, words) in [
        (&["--tls-ca", text(&world.ca), "--api-key", ADMIN_KEY][..], 1, "error"),
        (&["--tls-ca", text(&world.ca)], 2, "no API key"),
        (&["--tls-client-cert", text(&certificate)], 2, "--tls-client-key"),
        (
            &["--tls-ca", text(&world.ca), "--tls-client-cert", text(&none), "--tls-client-key", text(&key)],
            1,
            "none.pem",
        ),
        (
            &[
                "--tls-ca",
                text(&world.ca),
                "--tls-client-cert",
                text(&certificate),
                "--tls-client-key",
                text(&world.ca),
            ],
            1,
            "client.pem",
        ),
    ] {
        let output = shell.run(&[&["list"][..], files].concat()).await;
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{files:?}: {error}");
        assert!(error.contains(words), "{files:?}: {error}");
    }
}
