//! Hosts of media: those that are busy are asked again, those that refuse are not, and none holds up others.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use carryover::grpc::pb::ImportStatus;

use crate::{
    fake_dns::{A, Question, Reply},
    fake_origin::Step,
    harness::Database,
    media::{JPEG, begin, gate, image, media, rows_of, server},
    on_both_databases,
    outside::{HOME, Outside, PRIVATE, host, no, ok, path, redirect},
    stored,
    waits::eventually,
};

on_both_databases!(
    what_passes_is_tried_again,
    what_does_not_pass_fails_in_the_end,
    what_is_refused_is_not_asked_again,
    a_host_that_hangs_holds_nobody_up,
    an_import_with_much_to_fetch_holds_nobody_up,
    an_application_with_many_imports_holds_nobody_up,
);

async fn what_passes_is_tried_again(database: Database) {
    let asked = Mutex::new(HashMap::<String, usize>::new());
    let outside = Outside::answering(move |request| {
        let mut asked = asked.lock().expect("a lock");
        let times = asked.entry(path(request).to_owned()).or_default();
        *times += 1;
        match (path(request), *times) {
            ("/503.jpg", 1 | 2) => no("503 Busy", "Retry-After: 0"),
            ("/429.jpg", 1) => no("429 Slow down", "Retry-After: 1"),
            ("/cut.jpg", 1) => vec![Step::Cut],
            // It breaks off in the middle.
            ("/half.jpg", 1) => {
                [ok(JPEG)[..1].to_vec(), vec![Step::Send(JPEG[..99].to_vec()), Step::Cut]].concat()
            }
            _ => ok(JPEG),
        }
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let names = ["503", "429", "cut", "half", "at-once"];
    let import = tenant.import(rows_of(names.map(|name| outside.url(&format!("/{name}.jpg"))))).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 5, 0)));
    assert_eq!(import.warning_count, 0);
    assert_eq!(outside.origin.requests().len(), 3 + 2 + 2 + 2 + 1);
}

async fn what_does_not_pass_fails_in_the_end(database: Database) {
    let outside = Outside::answering(|_| no("502 Bad Gateway", "Retry-After: 0")).await;
    let (server, _roots) = server(database, &outside, &["--media-attempts", "3"]).await;
    let tenant = server.tenant().await;
    let import = tenant.import(rows_of([outside.url("/a.jpg")])).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 0, 1)));
    assert_eq!(outside.origin.requests().len(), 3);
    assert_eq!(stored::texts(&server, "SELECT reason FROM media").await, ["HTTP_STATUS"]);
}

async fn what_is_refused_is_not_asked_again(database: Database) {
    let names = |question: &Question| match question.name.as_str() {
        _ if question.kind != A => Reply::none(),
        name if name.starts_with("inside.") => Reply::a(&[PRIVATE]),
        name if name.starts_with("both.") => Reply::a(&[HOME, PRIVATE]),
        name if name.starts_with("nowhere.") => Reply::Code(3),
        _ => Reply::a(&[HOME]),
    };
    let outside = Outside::start(names, |request| match path(request) {
        "/404.jpg" => no("404 Not Found", "X: y"),
        "/403.jpg" => no("403 Forbidden", "Retry-After: 0"),
        "/to-inside.jpg" => redirect(302, "https://127.0.0.2/a.jpg"),
        "/to-plain.jpg" => redirect(302, "http://media.example.com/a.jpg"),
        _ => ok(JPEG),
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let at = |name: &str| format!("https://{name}:{}/a.jpg", outside.origin.port);
    let cases = [
        (outside.url("/404.jpg"), "HTTP_STATUS", 1),
        (outside.url("/403.jpg"), "HTTP_STATUS", 1),
        (outside.url("/to-inside.jpg"), "URL_ADDRESS", 1),
        (outside.url("/to-plain.jpg"), "URL_SCHEME", 1),
        (at("inside.example.com"), "URL_ADDRESS", 0),
        (at("both.example.com"), "URL_ADDRESS", 0),
        (at("nowhere.example.com"), "DNS_NOT_FOUND", 0),
        (at("other.example.org"), "TLS", 0),
        ("https://media.example.com:8444/a.jpg".to_owned(), "URL_PORT", 0),
    ];
    let import = tenant.import(rows_of(cases.iter().map(|case| case.0.clone()))).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 0, cases.len() as i64)));
    let reasons = stored::texts(&server, "SELECT reason FROM media ORDER BY row_number").await;
    assert_eq!(reasons, cases.iter().map(|case| case.1).collect::<Vec<_>>());
    let asked: usize = cases.iter().map(|case| case.2).sum();
    assert_eq!(outside.origin.requests().len(), asked);
}

/// C035.
async fn a_host_that_hangs_holds_nobody_up(database: Database) {
    let (open, closed) = gate();
    let slow = Arc::<AtomicUsize>::default();
    let count = slow.clone();
    let outside = Outside::answering(move |request| match host(request) {
        "slow.example.com" => {
            count.fetch_add(1, Ordering::SeqCst);
            [vec![closed()], ok(image(path(request).len()))].concat()
        }
        _ => ok(JPEG),
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &["--media-per-host", "3"]).await;
    let tenant = server.tenant().await;
    let at = |name: &str, n: usize| format!("https://{name}.example.com:{}/{n}.jpg", outside.origin.port);
    // The slow one's come first.
    let urls = (0..40).map(|n| at("slow", n)).chain((0..40).map(|n| at("quick", n)));
    let id = begin(&tenant, &rows_of(urls)).await;
    eventually("the quick one is done", async || {
        (media(&tenant.get(&id).await) == (40, 40, 0)).then_some(())
    })
    .await;
    assert_eq!(slow.load(Ordering::SeqCst), 3, "as many at a time as a host may have");
    open.send(true).expect("it waits");
    assert_eq!(media(&tenant.wait(&id).await), (0, 80, 0));
    assert_eq!(slow.load(Ordering::SeqCst), 40);
}

async fn an_import_with_much_to_fetch_holds_nobody_up(database: Database) {
    let (open, closed) = gate();
    let outside = Outside::answering(move |request| match path(request) {
        name if name.starts_with("/much") => [vec![closed()], ok(JPEG)].concat(),
        _ => ok(JPEG),
    });
    let outside = outside.await;
    let flags = ["--media-at-a-time", "4", "--media-per-host", "4", "--media-per-import", "3"];
    let (server, _roots) = server(database, &outside, &flags).await;
    let (much, little) = (server.tenant().await, server.tenant().await);
    let id = begin(&much, &rows_of((0..50).map(|n| outside.url(&format!("/much-{n}.jpg"))))).await;
    eventually("it has its share", async || (outside.origin.requests().len() == 3).then_some(())).await;
    let import = little.import(rows_of((0..5).map(|n| outside.url(&format!("/little-{n}.jpg"))))).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 5, 0)));
    assert_eq!(media(&much.get(&id).await), (50, 0, 0));
    assert_eq!(outside.origin.requests().len(), 3 + 5);
    open.send(true).expect("it waits");
    assert_eq!(media(&much.wait(&id).await), (0, 50, 0));
}

async fn an_application_with_many_imports_holds_nobody_up(database: Database) {
    let (open, closed) = gate();
    let outside = Outside::answering(move |request| match path(request) {
        name if name.starts_with("/much") => [vec![closed()], ok(JPEG)].concat(),
        _ => ok(JPEG),
    });
    let outside = outside.await;
    let flags = ["--media-at-a-time", "6", "--media-per-host", "6", "--media-per-import", "2"];
    let flags = [&flags[..], &["--media-per-application", "5"]].concat();
    let (server, _roots) = server(database, &outside, &flags).await;
    let (much, little) = (server.tenant().await, server.tenant().await);
    let request = carryover::grpc::pb::UpdateApplicationRequest {
        application_id: much.application.clone(),
        max_active_imports: Some(3),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("changed");
    let mut imports = Vec::new();
    for import in 0..3 {
        let urls = (0..20).map(|n| outside.url(&format!("/much-{import}-{n}.jpg")));
        // Records of its own: what another has imported is skipped.
        let rows = rows_of(urls).replace("\nk", &format!("\n{import}-"));
        imports.push(begin(&much, &rows).await);
    }
    eventually("it has its share", async || (outside.origin.requests().len() == 5).then_some(())).await;
    let import = little.import(rows_of((0..5).map(|n| outside.url(&format!("/little-{n}.jpg"))))).await;
    assert_eq!((import.status(), media(&import)), (ImportStatus::Completed, (0, 5, 0)));
    assert_eq!(outside.origin.requests().len(), 5 + 5);
    open.send(true).expect("it waits");
    for import in imports {
        assert_eq!(media(&much.wait(&import).await), (0, 20, 0));
    }
}
