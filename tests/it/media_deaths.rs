//! Media while processes die, stop, lose their leases, and while the object store is away.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use carryover::grpc::{
    client::Client,
    pb::{ImportStatus, ListImportsRequest, RetryImportRequest},
};

use crate::{
    fake_origin::Step,
    harness::{Database, Tenant},
    media::{JPEG, begin, gate, image, media, objects, rows_of, server, sha256},
    on_both_databases,
    outside::{Outside, no, ok, path},
    processes::{World, carry_on, create, get},
    stored,
    waits::eventually,
};

on_both_databases!(
    a_process_may_die_at_any_moment,
    a_process_that_dies_between_object_and_row_leaves_no_gap,
    a_server_that_stops_gives_media_back,
    a_lost_lease_links_nothing,
    a_process_that_dies_while_it_takes_media_over_is_followed,
    an_object_store_that_is_away_is_waited_for,
);

const COUNT: usize = 60;

fn number(request: &str) -> usize {
    path(request).trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number")
}

fn csv(outside: &Outside) -> String {
    rows_of((0..COUNT).map(|n| outside.url(&format!("/{n}.jpg"))))
}

/// A world whose processes fetch from outside.
async fn world(database: Database, outside: &Outside) -> (World, tempfile::NamedTempFile) {
    let (owned, roots) = outside.flags();
    let mut flags: Vec<&str> = owned.iter().map(String::as_str).collect();
    flags.extend(["--lease-seconds", "1", "--log", "off", "--media-attempts", "50"]);
    (World::new(database, &flags).await, roots)
}

async fn assert_settled(world: &World, client: &Client, id: &str) {
    let import = get(client, id).await.expect("an import");
    assert_eq!((import.status(), import.created_count), (ImportStatus::Completed, COUNT as i64));
    assert_eq!(media(&import), (0, COUNT as i64, 0));
    assert_eq!(import.total_media_bytes, (COUNT * image(0).len()) as i64, "each was counted once");
    let database = world.folder.path().join("carryover.db");
    let sql = "SELECT sha256 FROM media WHERE state = 'STORED' AND url IS NULL ORDER BY row_number";
    let rows = stored::rows_in(world.database_url.as_deref(), &database, sql).await;
    let hash = |value: &serde_json::Value| value.as_str().expect("text").trim_start_matches("\\x").to_owned();
    let hashes: Vec<_> = rows.iter().map(|row| hash(&row["sha256"])).collect();
    assert_eq!(hashes, (0..COUNT).map(|n| sha256(&image(n))).collect::<Vec<_>>());
    let folder = std::fs::read_dir(world.folder.path().join("objects/media")).expect("a folder");
    let folder = folder.map(|entry| entry.expect("one").path()).next().expect("an application");
    for hash in hashes {
        assert!(folder.join(&hash).exists(), "{hash}");
    }
}

async fn a_process_may_die_at_any_moment(database: Database) {
    let slowly = std::time::Duration::from_millis(30);
    let outside = Outside::answering(move |request| {
        let answer = ok(image(number(request)));
        let Step::Send(body) = answer[1].clone() else { unreachable!() };
        vec![answer[0].clone(), Step::Send(body[..300].to_vec()), Step::Trickle(body[300..].to_vec(), slowly)]
    });
    let outside = outside.await;
    let (world, _roots) = world(database, &outside).await;
    let mut started = world.start(&[], &[]).await.expect("it starts");
    let mut client = world.client(&started.1).await.expect("it answers");
    let id = create(&client, world.spec()).await;
    let file = csv(&outside).into_bytes();
    client.upload(&id, 0, std::io::Cursor::new(file.clone())).await.expect("stored");
    let mut deaths = 0;
    // Each dies when it has done a little more than the one before.
    for more in [1, 10, 25, 45] {
        let import = eventually("it goes on", async || {
            let import = get(&client, &id).await.ok()?;
            let is_there = import.media_stored_count >= more || import.status() == ImportStatus::Completed;
            is_there.then_some(import)
        });
        if import.await.status() != ImportStatus::Completed {
            deaths += 1;
        }
        started.0.kill().await.expect("ends");
        started = world.start(&[], &[]).await.expect("it starts");
        client = world.client(&started.1).await.expect("it answers");
    }
    carry_on(&client, &id, &file).await.expect("carried on");
    assert_settled(&world, &client, &id).await;
    assert!(deaths >= 2, "{deaths}");
}

/// D015.
async fn a_process_that_dies_between_object_and_row_leaves_no_gap(database: Database) {
    let outside = Outside::answering(|request| ok(image(number(request)))).await;
    let (world, _roots) = world(database, &outside).await;
    let (mut child, address) =
        world.start(&[], &[("CARRYOVER_FAULT_POINT", "medium_stored:7")]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let id = create(&client, world.spec()).await;
    let file = csv(&outside).into_bytes();
    carry_on(&client, &id, &file).await.expect_err("it dies");
    assert!(!child.wait().await.expect("it ends").success());
    let (_child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    carry_on(&client, &id, &file).await.expect("carried on");
    assert_settled(&world, &client, &id).await;
    assert!(outside.origin.requests().len() > COUNT, "what was not settled was fetched again");
}

async fn a_server_that_stops_gives_media_back(database: Database) {
    let asked = Arc::<AtomicUsize>::default();
    let count = asked.clone();
    let outside = Outside::answering(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 | 1 => vec![Step::Hang],
        _ => ok(JPEG),
    });
    let outside = outside.await;
    // It would take an hour for a lease to run out, and one attempt is all there is.
    let flags = ["--lease-seconds", "3600", "--media-attempts", "1"];
    let (server, _roots) = server(database, &outside, &flags).await;
    let tenant = server.tenant().await;
    let id = begin(&tenant, &rows_of([outside.url("/a.jpg"), outside.url("/b.jpg")])).await;
    eventually("both hang", async || (asked.load(Ordering::SeqCst) == 2).then_some(())).await;
    let (owned, _kept) = outside.flags();
    let mut all: Vec<&str> = owned.iter().map(String::as_str).collect();
    all.extend(flags);
    let server = server.restart(&all).await;
    let tenant = Tenant { client: server.admin.with_key(&tenant.key).expect("a client"), ..tenant };
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 2, 0)));
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

/// C039: another process has taken it over meanwhile.
async fn a_lost_lease_links_nothing(database: Database) {
    let (open, closed) = gate();
    let asked = Arc::<AtomicUsize>::default();
    let count = asked.clone();
    let outside = Outside::answering(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => [vec![closed()], ok(image(1))].concat(),
        _ => ok(image(2)),
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &["--lease-seconds", "3600"]).await;
    let tenant = server.tenant().await;
    let id = begin(&tenant, &rows_of([outside.url("/a.jpg")])).await;
    eventually("it is asked for", async || (asked.load(Ordering::SeqCst) == 1).then_some(())).await;
    server.sql("UPDATE media SET epoch = epoch + 1").await;
    open.send(true).expect("it waits");
    // A second import is settled behind it.
    let import = server.tenant().await.import(rows_of([outside.url("/b.jpg")])).await;
    assert_eq!(media(&import), (0, 1, 0));
    let import = tenant.get(&id).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Processing, (1, 0, 0)));
    server.sql("UPDATE media SET owner = NULL, due_at = (SELECT min(created_at) FROM imports) WHERE state = 'PENDING'").await;
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 1, 0)));
    assert_eq!(objects(&server)[&tenant.application], [sha256(&image(2))], "the first is not even put");
}

/// D014.
async fn an_object_store_that_is_away_is_waited_for(database: Database) {
    let (open, closed) = gate();
    let outside =
        Outside::answering(move |request| [vec![closed()], ok(image(number(request)))].concat()).await;
    let (server, _roots) = server(database, &outside, &["--media-attempts", "1"]).await;
    let tenant = server.tenant().await;
    let id = begin(&tenant, &rows_of((0..3).map(|n| outside.url(&format!("/{n}.jpg"))))).await;
    eventually("all are asked for", async || (outside.origin.requests().len() == 3).then_some(())).await;
    let (here, away) = (server.path("objects"), server.path("elsewhere"));
    std::fs::rename(&here, &away).expect("taken away");
    open.send(true).expect("it waits");
    // As long as several tries take.
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let import = tenant.get(&id).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Processing, (3, 0, 0)));
    assert!(!here.exists(), "nothing is put where the disk should be");
    std::fs::rename(&away, &here).expect("brought back");
    let import = tenant.wait(&id).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 3, 0)));
    assert_eq!(outside.origin.requests().len(), 3, "nothing is fetched twice for it");
}

async fn a_process_that_dies_while_it_takes_media_over_is_followed(database: Database) {
    const ROWS: i64 = 3_300;
    let mended = Arc::new(AtomicUsize::new(0));
    let is_mended = mended.clone();
    let outside = Outside::answering(move |_| match is_mended.load(Ordering::SeqCst) {
        0 => no("404 Not Found", "X-A: b"),
        _ => ok(JPEG),
    });
    let outside = outside.await;
    let (world, _roots) = world(database, &outside).await;
    let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let parent = create(&client, world.spec()).await;
    let rows = rows_of((0..ROWS).map(|_| outside.url("/a.jpg")));
    let import = carry_on(&client, &parent, rows.as_bytes()).await.expect("carried on");
    assert_eq!(media(&import), (0, 0, ROWS));
    child.kill().await.expect("ends");
    mended.store(1, Ordering::SeqCst);

    let dies = [("CARRYOVER_FAULT_POINT", "media_taken_over:1")];
    let (mut child, address) = world.start(&[], &dies).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let request = RetryImportRequest { import_id: parent.clone(), failed_media: true, ..Default::default() };
    // Its answer may get lost with the process.
    drop(client.imports().retry_import(request).await);
    child.wait().await.expect("it dies");

    let stood_still = match world.database_url {
        Some(_) => "now() - interval '1 hour'",
        None => "strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '-1 hours')",
    };
    let age = format!("UPDATE imports SET updated_at = {stood_still} WHERE NOT upload_finished");
    let path = world.folder.path().join("carryover.db");
    let (_child, address) = world.start(&["--sweep-seconds", "1"], &[]).await.expect("it starts");
    let client = world.client(&address).await.expect("it answers");
    let retry = eventually("all of them are stored", async || {
        // What is stored meanwhile makes it young again.
        stored::execute_in(world.database_url.as_deref(), &path, &age).await;
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let listed = client.imports().list_imports(ListImportsRequest::default()).await;
        let newest = listed.expect("a list").into_inner().imports.remove(0);
        (newest.uuid != parent && newest.status() == ImportStatus::Completed).then_some(newest)
    });
    assert_eq!(media(&retry.await), (0, ROWS, 0));
}
