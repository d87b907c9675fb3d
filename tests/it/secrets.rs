//! Keys, names and values that must not get anywhere else (security cases M).

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, import_service_client::ImportServiceClient},
};
use serde_json::json;
use tokio::process::Command;
use tonic::{Code, Request, transport::Endpoint};

use crate::{
    harness::{Database, Server, assert_refused, counters, reason, start},
    kinds::spec_of,
    media::{JPEG, media, rows_of},
    on_both_databases,
    outside::{Outside, no, ok, redirect},
    processes::{World, carry_on, create, get},
    shell::Shell,
    stored,
    waits::eventually,
};

on_both_databases!(
    callers_without_one_good_key_are_told_the_same,
    wrong_secrets_are_told_the_same,
    an_application_comes_from_the_key_alone,
    row_errors_show_no_secret,
    file_names_are_names_only,
    tokens_of_links_are_kept_nowhere,
);

/// M001, and M014: a token that somebody else makes is a key that nobody has.
async fn callers_without_one_good_key_are_told_the_same(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let channel =
        Endpoint::from_shared(server.address()).expect("an address").connect().await.expect("connects");
    let long = format!("Bearer {}", "k".repeat(8_000));
    let good = format!("Bearer {}", tenant.key);
    let half = &tenant.key[..tenant.key.len() / 2];
    let mut told = Vec::new();
    for (name, metadata) in [
        ("no key", &[][..]),
        ("an empty key", &[("x-api-key", "")]),
        ("half a key", &[("x-api-key", half)]),
        ("another scheme", &[("authorization", "Basic dXNlcjpwYXNz")]),
        ("no scheme", &[("authorization", &tenant.key)]),
        ("an empty token", &[("authorization", "Bearer ")]),
        ("a long token", &[("authorization", &long)]),
        ("a token that needs no signature", &[("authorization", "Bearer eyJhbGciOiJub25lIn0.e30.")]),
        ("two tokens", &[("authorization", &good), ("authorization", &good)]),
        ("a key and a token", &[("x-api-key", &tenant.key), ("authorization", &good)]),
        ("a quote", &[("x-api-key", "' OR 1=1 --")]),
    ] {
        let mut request = Request::new(pb::ListImportsRequest::default());
        for (key, value) in metadata {
            request.metadata_mut().append(*key, value.parse().expect("a value"));
        }
        let answer = ImportServiceClient::new(channel.clone()).list_imports(request).await;
        let status = assert_refused(answer, Code::Unauthenticated, "INVALID_API_KEY");
        told.push((name, status.message().to_owned(), status.details().to_vec()));
    }
    let mut request = Request::new(pb::ListImportsRequest::default());
    let not_ascii = tonic::metadata::MetadataValue::try_from(&b"k\xff\xfe"[..]).expect("a value");
    request.metadata_mut().insert("x-api-key", not_ascii);
    let answer = ImportServiceClient::new(channel).list_imports(request).await;
    let status = assert_refused(answer, Code::Unauthenticated, "INVALID_API_KEY");
    told.push(("no ASCII", status.message().to_owned(), status.details().to_vec()));
    assert!(told.windows(2).all(|two| (&two[0].1, &two[0].2) == (&two[1].1, &two[1].2)), "{told:?}");
}

/// M004: a secret that is nearly right is told what one is told that is nothing like it.
async fn wrong_secrets_are_told_the_same(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let (prefix, secret) = tenant.key.split_once('_').expect("a prefix");
    let revoked = server.key(&tenant.application, pb::Role::Reader).await;
    let request = pb::ListApiKeysRequest { application_id: tenant.application.clone(), ..Default::default() };
    let keys = server.admin.admin().list_api_keys(request).await.expect("keys").into_inner().api_keys;
    let request = pb::RevokeApiKeyRequest { api_key_id: keys[1].id.clone() };
    server.admin.admin().revoke_api_key(request).await.expect("revoked");
    let last = if secret.ends_with('0') { "1" } else { "0" };
    let mut told = Vec::new();
    for (name, key) in [
        ("the last character is wrong", format!("{prefix}_{}{last}", &secret[..secret.len() - 1])),
        ("the second half is wrong", format!("{prefix}_{}{}", &secret[..32], "0".repeat(32))),
        ("another secret", format!("{prefix}_{}", "0".repeat(64))),
        ("another prefix", format!("other_{secret}")),
        ("no prefix", secret.to_owned()),
        ("other letters", tenant.key.to_uppercase()),
        ("a revoked key", revoked),
    ] {
        let client = server.admin.with_key(&key).expect("a client");
        let answer = client.imports().list_imports(pb::ListImportsRequest::default()).await;
        let status = assert_refused(answer, Code::Unauthenticated, "INVALID_API_KEY");
        let mut metadata = status.metadata().clone();
        metadata.remove("date");
        let bytes = (status.message().to_owned(), status.details().to_vec(), format!("{metadata:?}"));
        told.push((name, bytes));
    }
    assert!(told.iter().all(|(_, bytes)| *bytes == told[0].1), "{told:?}");
}

/// M007.
async fn an_application_comes_from_the_key_alone(database: Database) {
    let server = Server::start(database).await;
    let (mine, theirs) = (server.tenant().await, server.tenant().await);
    let import = theirs.import("external_id\na\n").await;
    let mut request = Request::new(pb::GetImportRequest { import_id: import.uuid });
    for key in ["x-application-id", "application-id", "x-tenant-id", "tenant", "x-carryover-application"] {
        request.metadata_mut().insert(key, theirs.application.parse().expect("a value"));
    }
    assert_refused(mine.client.imports().get_import(request).await, Code::NotFound, "NOT_FOUND");
    let request =
        pb::ListWorkflowsRequest { application_id: theirs.application.clone(), ..Default::default() };
    match mine.client.workflows().list_workflows(request).await {
        Ok(answer) => {
            let found: Vec<_> = answer.into_inner().workflows.into_iter().map(|found| found.id).collect();
            assert_eq!(found, [mine.workflow.as_str()], "one's own, whatever is asked for");
        }
        Err(status) => assert!(!reason(&status).is_empty(), "{status:?}"),
    }
}

/// M017 and M019: tokens of links, and personal data.
async fn row_errors_show_no_secret(database: Database) {
    const SECRET: &str = "S3CRET-MARKER";
    let server = Server::start(database).await;
    let link = format!("http://h.example/a.jpg?token={SECRET}#{SECRET}");
    let person = json!({
        "front_image_url": link, "document_number": format!("{SECRET}\u{0}"), "first_name": SECRET.repeat(30),
        "date_of_birth": format!("5{SECRET}"), "email": SECRET, "phone": SECRET, "metadata": SECRET,
        "parsed_address": [SECRET], "address": SECRET.repeat(30)
    });
    let company = json!({
        "officers": [SECRET], "beneficial_owners": SECRET, "metadata": [SECRET],
        "documents": [{"file_url": link}, SECRET]
    });
    let payment = json!({
        "subject_full_name": SECRET.repeat(60), "subject_date_of_birth": format!("5{SECRET}"),
        "payment_details": SECRET.repeat(300), "travel_rule_details": [SECRET], "subject_address": {"country": [SECRET]},
        "subject_payment_account_id": SECRET.repeat(30), "metadata": SECRET, "subject_device_context": SECRET
    });
    for (import_type, row) in [
        (ImportType::UserVerification, person),
        (ImportType::BusinessVerification, company),
        (ImportType::Transactions, payment),
    ] {
        let tenant = server.tenant().await;
        let spec = spec_of(&server, &tenant, import_type).await;
        let import = tenant.import_as(spec, row.to_string()).await.expect("an import");
        assert_eq!(counters(&import), (0, 0, 1), "{import_type:?}");
        let error = &tenant.row_errors(&import.uuid).await[0];
        assert!(error.issues.len() >= 4, "{import_type:?}: {:?}", error.issues);
        let shown = format!("{} {:?}", error.error, error.issues);
        assert!(!shown.contains(SECRET), "{import_type:?}: {shown}");
        assert!(
            error.issues.iter().all(|issue| issue.value.chars().count() <= 65),
            "{import_type:?}: {shown}"
        );
    }
    // What is no personal data is shown, cut.
    let tenant = server.tenant().await;
    let import = tenant.import(json!({"external_id": "a", "status": "x".repeat(200)}).to_string()).await;
    let value = tenant.row_errors(&import.uuid).await[0].issues[0].value.clone();
    assert_eq!(value, "x".repeat(64) + "…");
}

/// M020 and M028.
async fn file_names_are_names_only(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    for name in
        ["../../etc/passwd", "/etc/passwd", "..\\..\\x.csv", "C:\\x.csv", "~/x", "$(reboot).csv", "a;b|c.csv"]
    {
        let spec = pb::ImportSpec { source_filename: name.to_owned(), ..tenant.spec() };
        let import = tenant.import_as(spec, "external_id\na\n").await.expect(name);
        assert_eq!((import.processed_rows, import.source_filename.as_str()), (1, name));
    }
    for name in ["a\0.csv", "a\r\nb.csv", "\u{1b}[31mred.csv", &"n".repeat(4096)] {
        let spec = pb::ImportSpec { source_filename: name.to_owned(), ..tenant.spec() };
        let answer = tenant.upload(vec![start(spec)]).await;
        assert_refused(answer, Code::InvalidArgument, "INVALID_FIELDS");
    }
    let mut found = Vec::new();
    let mut folders = vec![server.path("objects/imports")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    assert_eq!(found.len(), 7, "{found:?}");
    let named = |path: &std::path::PathBuf| path.file_name().is_some_and(|name| name == "00000000");
    assert!(found.iter().all(named), "no file has a caller's name: {found:?}");
}

/// M017: links of providers hold tokens behind the path, which let anybody who has them see a person's documents.
async fn tokens_of_links_are_kept_nowhere(database: Database) {
    const TOKEN: &str = "T0KEN-MARKER";
    let outside = Outside::answering(|request| match request.split(['?', ' ']).nth(1).unwrap_or_default() {
        "/moved.jpg" => redirect(302, &format!("/b.jpg?signature={TOKEN}")),
        "/missing.jpg" => no("404 Not Found", "X-A: b"),
        "/busy.jpg" => no("503 Busy", "Retry-After: 0"),
        "/page.jpg" => ok("<html></html>"),
        _ => ok(JPEG),
    });
    let outside = outside.await;
    let (owned, _roots) = outside.flags();
    let mut flags: Vec<&str> = owned.iter().map(String::as_str).collect();
    flags.extend(["--media-default", "fetch", "--media-attempts", "2", "--log", "carryover=trace,info"]);
    let world = World::new(database, &flags).await;
    let (_child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let paths = ["/a.jpg", "/moved.jpg", "/missing.jpg", "/busy.jpg", "/page.jpg"];
    let link = |path: &str| format!("{}?token={TOKEN}#{TOKEN}", outside.url(path));
    let rows =
        rows_of(paths.iter().map(|path| link(path)).chain([format!("https://10.0.0.1/a.jpg?{TOKEN}")]));
    let id = create(&client, world.spec()).await;
    let import = carry_on(&client, &id, rows.as_bytes()).await.expect("carried on");
    assert_eq!((media(&import), import.failed_count), ((0, 2, 3), 1), "the last is refused as it stands");
    let spec = pb::ImportSpec { source_file_url: link("/missing.jpg"), ..world.spec() };
    let by_url = create(&client, spec).await;
    let status = async || {
        let import = get(&client, &by_url).await.expect("an import");
        (import.status() == pb::ImportStatus::Failed).then_some(())
    };
    eventually("it is not found", status).await;

    let path = world.folder.path().join("carryover.db");
    let rows = async |query: &str| stored::rows_in(world.database_url.as_deref(), &path, query).await;
    let forgotten = async || rows("SELECT url FROM source_fetches").await.is_empty().then_some(());
    eventually("where it was is forgotten", forgotten).await;

    let log = world.told.lock().expect("no panic").clone();
    assert!(log.contains("a medium is tried again"), "all is logged: {log}");
    assert!(!log.contains(TOKEN), "{log}");
    for query in [
        "SELECT * FROM user_sessions",
        "SELECT * FROM imports",
        "SELECT * FROM row_errors",
        "SELECT * FROM row_warnings",
        "SELECT * FROM audit_events",
        // A retry asks for what failed by its whole link, which goes with the source.
        "SELECT * FROM media WHERE state = 'STORED'",
        "SELECT reason, message, host FROM media",
    ] {
        let kept = serde_json::to_string(&rows(query).await).expect("JSON");
        assert!(!kept.contains(TOKEN), "{query}: {kept}");
    }
}

/// M018: what a shell shows of a server that cannot reach its database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_of_the_database_are_never_shown() {
    const SECRET: &str = "S3CRET-MARKER";
    let folder = tempfile::tempdir().expect("a folder");
    for url in [
        format!("postgres://user:{SECRET}@no-such-host.invalid/db"),
        format!("postgres://user:{SECRET}@[broken/db"),
        format!("mysql://user:{SECRET}@127.0.0.1/db"),
        format!("postgres://user:{SECRET}@127.0.0.1:99999/db"),
    ] {
        for arguments in [&["serve", "--data-dir", "d"][..], &["serve", "--help"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_carryover"))
                .args(arguments)
                .env("CARRYOVER_DATABASE_URL", &url)
                .env("CARRYOVER_LOG", "trace")
                .current_dir(folder.path())
                .output()
                .await
                .expect("it runs");
            let shown = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(!shown.contains(SECRET), "{url} {arguments:?}: {shown}");
            assert_eq!(output.status.success(), arguments.contains(&"--help"), "{url}: {shown}");
            assert!(!shown.is_empty());
        }
    }
}

/// M020: what a terminal would obey.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_is_told_nothing_by_a_cell() {
    const FILE: &str = "a\u{202e}.ndjson";
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    let evil = "\u{1b}[2J\u{1b}]0;x\u{7}\r\nfake line\u{202e}\u{9b}31m";
    let obeyed = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    let row = json!({"external_id": format!("k{evil}"), "status": evil, "gender": evil});
    let shell = Shell::new(&server, &tenant.key);
    std::fs::write(shell.path(FILE), row.to_string()).expect("written");
    let options = ["--type", "user_verification", "--workflow", &tenant.workflow];
    for json in [&[][..], &["--json"]] {
        let output = shell.run(&[&["import", FILE], &options[..], json].concat()).await;
        assert_eq!(output.status.code(), Some(3), "a row fails: {output:?}");
        for shown in [output.stdout, output.stderr] {
            let shown = String::from_utf8(shown).expect("text");
            assert!(!shown.contains(obeyed), "{json:?}: {shown:?}");
        }
    }
    let newest = shell.lines(&["list"]).await.remove(0);
    assert_eq!(newest["source_filename"], FILE, "it is the same text");
    assert!(shell.out(&["list", "--json"], 0).await.contains("a\\u202e.ndjson"), "but escaped");
    let import = tenant.get(newest["uuid"].as_str().expect("an id")).await;
    for arguments in [
        vec!["errors", &import.uuid],
        vec!["get", &import.uuid],
        vec!["list"],
        vec!["errors", &import.uuid, "--json"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_carryover"))
            .args(&arguments)
            .env("CARRYOVER_SERVER", server.address())
            .env("CARRYOVER_API_KEY", &tenant.key)
            .output()
            .await
            .expect("it runs");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let shown = String::from_utf8(output.stdout).expect("text");
        assert!(!shown.contains(obeyed), "{arguments:?}: {shown:?}");
        assert!(!shown.lines().any(|line| line.starts_with("fake line")), "{arguments:?}: {shown}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_carryover"))
        .args(["admin", "key", "create", "--role", "reader", "--application", &tenant.application])
        .args(["--name", "a\u{202e}\u{9b}31m"])
        .env("CARRYOVER_SERVER", server.address())
        .env("CARRYOVER_API_KEY", &server.admin_key)
        .output()
        .await
        .expect("it runs");
    let shown = String::from_utf8(output.stdout).expect("text");
    assert!(!shown.contains(['\u{202e}', '\u{9b}']), "N013: {shown:?}");
}
