//! What servers give in place of a medium (security cases D): told by its content, and kept from being stored.

use carryover::grpc::pb::ImportStatus;
use serde_json::Value;

use crate::{
    fake_origin::Step,
    harness::{Database, Server, counters},
    media::{JPEG, fixture, media, objects, rows_of, server},
    on_both_databases,
    outside::{Outside, head, ok, path},
    stored,
};

on_both_databases!(
    what_is_no_medium_fails_with_its_reason,
    what_is_stored_is_what_came,
    a_token_stays_in_the_queue,
);

/// The row, reason and message of each warning about media.
async fn warnings(server: &Server) -> Vec<(i64, Value)> {
    let rows = stored::rows(server, "SELECT row_number, issue FROM row_warnings ORDER BY row_number").await;
    let issue = |row: &serde_json::Map<String, Value>| match &row["issue"] {
        Value::String(text) => serde_json::from_str(text).expect("JSON"),
        issue => issue.clone(),
    };
    rows.iter().map(|row| (row["row_number"].as_i64().expect("a number"), issue(row))).collect()
}

fn png_header(width: u32, height: u32) -> Vec<u8> {
    [&b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"[..], &width.to_be_bytes(), &height.to_be_bytes(), &[8, 2, 0, 0, 0]]
        .concat()
}

/// What is served under each name, and what becomes of it.
fn cases() -> Vec<(&'static str, Vec<Step>, &'static str)> {
    let html = format!("<!doctype html><title>Sign in</title>{}", "<p>wait</p>".repeat(1_000));
    let frames: Vec<u8> = {
        let png = fixture!("plain.png");
        let control = [&26_u32.to_be_bytes()[..], b"fcTL", &[0; 30]].concat();
        [&png[..33], &control.repeat(1_001), &png[33..]].concat()
    };
    let bomb = [png_header(100_000, 100_000), vec![0; 3_000]].concat();
    let endless =
        vec![head(&["HTTP/1.1 200 OK"]), Step::Send(JPEG[..200].to_vec()), Step::Endless(vec![7; 4_096])];
    let long = vec![head(&["HTTP/1.1 200 OK", "Content-Length: 16385"]), Step::Hang];
    let endless_html = vec![head(&["HTTP/1.1 200 OK"]), Step::Send(html.clone().into_bytes()), Step::Hang];
    vec![
        ("d001-html.jpg", ok(html), "MEDIA_TYPE"),
        ("d001-html-that-never-ends.jpg", endless_html, "MEDIA_TYPE"),
        (
            "d003-vector.svg",
            ok("<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>"),
            "MEDIA_TYPE",
        ),
        ("d003-xml.svg", ok("<?xml version='1.0'?><svg/>"), "MEDIA_TYPE"),
        ("d004-script.gif", ok("GIF89a/*\0\0*/=1;alert(1)"), "MEDIA_TYPE"),
        ("d004-pdf.jpg", ok([b"%PDF-1.7\n", JPEG].concat()), "MEDIA_TYPE"),
        ("d006-empty.jpg", ok(""), "MEDIA_CORRUPT"),
        ("d006-one.jpg", ok([0xff]), "MEDIA_CORRUPT"),
        ("d006-header.png", ok(png_header(16, 12)), "MEDIA_CORRUPT"),
        ("d007-bomb.png", ok(bomb), "MEDIA_DIMENSIONS"),
        (
            "d007-pixels.png",
            ok([&png_header(101, 100)[..], &fixture!("plain.png")[29..]].concat()),
            "MEDIA_DIMENSIONS",
        ),
        ("d008-frames.png", ok(frames), "MEDIA_FRAMES"),
        ("d010-picture.avif", ok("\0\0\0\x18ftypavif\0\0\0\0mif1avif"), "MEDIA_TYPE"),
        ("d011-cut.jpg", ok(&JPEG[..JPEG.len() * 9 / 10]), "MEDIA_CORRUPT"),
        ("a-film.jpg", ok(fixture!("plain.mp4")), "MEDIA_TYPE"),
        ("long.jpg", long, "MEDIA_TOO_LARGE"),
        ("endless.jpg", endless, "MEDIA_TOO_LARGE"),
    ]
}

async fn what_is_no_medium_fails_with_its_reason(database: Database) {
    let cases = cases();
    let answers = cases.clone();
    let outside = Outside::answering(move |request| {
        let name = path(request).trim_start_matches('/');
        answers.iter().find(|case| name.starts_with(case.0)).expect("one of them").1.clone()
    });
    let outside = outside.await;
    // Nothing but its size stands against the last of them.
    let flags = ["--max-image-bytes", "16KiB", "--max-image-pixels", "10000", "--media-attempts", "2"];
    let (server, _roots) = server(database, &outside, &flags).await;
    let tenant = server.tenant().await;
    let urls = cases.iter().map(|case| outside.url(&format!("/{}?token=MARKER", case.0)));
    let import = tenant.import(rows_of(urls)).await;
    let count = cases.len() as i64;
    assert_eq!((import.status(), counters(&import)), (ImportStatus::Completed, (count, 0, 0)));
    assert_eq!((media(&import), import.total_media_bytes), ((0, 0, count), 0));
    assert_eq!((import.warning_count, import.last_error.as_deref()), (count, None));
    assert_eq!(outside.origin.requests().len(), cases.len(), "what is wrong is not asked for again");

    let reasons = "SELECT reason FROM media ORDER BY row_number";
    let expected: Vec<_> = cases.iter().map(|case| case.2).collect();
    assert_eq!(stored::texts(&server, reasons).await, expected);
    let warnings = warnings(&server).await;
    assert_eq!(warnings.len(), cases.len());
    for ((row, issue), case) in warnings.iter().zip(&cases) {
        let shown = issue.to_string();
        assert!(shown.contains("MEDIA") && shown.contains("front_image_url"), "{}: {shown}", case.0);
        assert!(!shown.contains("MARKER") && !shown.contains(case.0), "{row}: {shown}");
    }
    assert!(warnings[0].1.to_string().contains("HTML"), "what came is told: {warnings:?}");
    assert!(objects(&server).is_empty());
    assert_eq!(std::fs::read_dir(server.path("spool")).expect("a folder").count(), 0);
}

/// D004 and D009: what phones and cameras put into and behind a picture is stored as it is.
async fn what_is_stored_is_what_came(database: Database) {
    let zip = [JPEG, b"PK\x03\x04 behind"].concat();
    let exif = [&JPEG[..2], b"\xff\xe1\xff\xff", &[b'e'; 65_533], &JPEG[2..]].concat();
    let (first, second) = (zip.clone(), exif.clone());
    let outside = Outside::answering(move |request| match path(request) {
        "/zip.jpg" => ok(&first),
        _ => ok(&second),
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let import = tenant.import(rows_of([outside.url("/zip.jpg"), outside.url("/exif.jpg")])).await;
    assert_eq!(media(&import), (0, 2, 0));
    for bytes in [zip, exif] {
        let name = format!("objects/media/{}/{}", tenant.application, crate::media::sha256(&bytes));
        assert_eq!(std::fs::read(server.path(&name)).expect("stored"), bytes);
    }
    let types = "SELECT DISTINCT media_type FROM media";
    assert_eq!(stored::texts(&server, types).await, ["image/jpeg"]);
}

/// M017, for media: a URL is in its row of the queue and nowhere else, and there only until it is stored.
async fn a_token_stays_in_the_queue(database: Database) {
    let outside = Outside::answering(|request| match path(request) {
        name if name.starts_with("/good") => ok(JPEG),
        _ => ok("gone"),
    });
    let outside = outside.await;
    let (server, _roots) = server(database, &outside, &[]).await;
    let tenant = server.tenant().await;
    let urls = ["/good.jpg", "/bad.jpg"].map(|name| outside.url(&format!("{name}?token=MARKER#MARKER")));
    let import = tenant.import(rows_of(urls)).await;
    assert_eq!(media(&import), (0, 1, 1));
    let tables = match database {
        Database::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
        Database::Postgres => "SELECT tablename FROM pg_tables WHERE schemaname = 'public'",
    };
    let mut found = Vec::new();
    for table in stored::texts(&server, tables).await {
        for row in stored::rows(&server, &format!("SELECT * FROM \"{table}\"")).await {
            if Value::from(row).to_string().contains("MARKER") {
                found.push(table.clone());
            }
        }
    }
    assert_eq!(found, ["media"], "that of the medium that failed, which may be retried");
    let kept = "SELECT reason FROM media WHERE url IS NOT NULL";
    assert_eq!(stored::texts(&server, kept).await, ["MEDIA_TYPE"]);
    let session = &tenant.sessions(Default::default()).await[0];
    let shown = format!("{:?} {import:?}", tenant.decision(&session.session_id).await);
    assert!(!shown.contains("MARKER"), "{shown}");
}
