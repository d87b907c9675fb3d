//! Whose turn it is among media that wait for each other, and what becomes of media whose record has changed hands.

use bytes::Bytes;
use carryover::{
    clock,
    domain::import::{ImportSpec, ImportStatus, OnExisting},
    intake::{Finish, Opened, Piece},
};
use chrono::TimeDelta;

use crate::{
    harness::Database,
    media_parts::Parts,
    media_queue::{Fetcher, HEADER, counts, media_of_sessions, row},
    on_both_databases,
};

on_both_databases!(
    many_hosts_that_rest_hold_no_other_up,
    a_record_that_another_import_had_in_between,
    links_are_forgotten_with_the_source,
);

async fn many_hosts_that_rest_hold_no_other_up(database: Database) {
    let parts = Parts::start(database, 1_000).await;
    let resting = 250;
    let rows = (0..resting).map(|n| row(&format!("r{n}"), &format!("https://h{n}.example.com/a"), ""));
    let good = (0..3).map(|n| row(&format!("g{n}"), &format!("https://z.example.com/{n}"), ""));
    let csv = HEADER.to_owned() + &rows.chain(good).collect::<String>();
    let id = parts.import(parts.spec(), &csv).await;
    parts.until(id, |import| import.media.pending == resting + 3).await;
    let mut fetcher = Fetcher::new();
    let again = fetcher.now + TimeDelta::hours(1);
    let mut asked = 0;
    for _ in 0..=resting {
        let download = fetcher.claim_one(&parts).await.expect("a download");
        if download.host == "z.example.com" {
            asked += 1;
        } else {
            parts.store.put_off_media(fetcher.owner, &download, again).await.expect("put off");
        }
    }
    assert_eq!(asked, 1, "each host has its turn");
    for _ in 0..2 {
        let download = fetcher.claim_one(&parts).await.expect("all others rest");
        assert_eq!(download.host, "z.example.com");
    }
    assert!(fetcher.claim_one(&parts).await.is_none());
    parts.stop().await;
}

async fn a_record_that_another_import_had_in_between(database: Database) {
    let parts = Parts::start(database, 1).await;
    let link = |word: &str| format!("https://h.example.com/{word}");
    let spec = || ImportSpec { on_existing: OnExisting::Update, ..parts.spec() };
    let begins = [HEADER, &row("a", &link("bad"), &link("first")), &row("z", "", "")].concat();
    let ends = row("a", &link("last"), "");

    let import = parts.imports.create(parts.caller, spec(), None).await.expect("an import");
    let opened = parts.imports.open_upload(parts.caller, import.id, 0).await.expect("an upload");
    let Opened::Stream(upload) = opened else { panic!("nothing has been sent yet") };
    upload.reserve().await.expect("room").send(Piece::Data(Bytes::from(begins.clone())));
    parts.until(import.id, |import| import.media.pending == 2).await;
    let mut fetcher = Fetcher::new();
    fetcher.fetch_all(&parts).await;
    let half = parts.until(import.id, |import| import.media.pending == 0).await;
    assert_eq!((counts(&half), half.warnings), ([0, 1, 1, 10], 1));

    let between = parts.import(spec(), &(HEADER.to_owned() + &row("a", &link("between"), ""))).await;
    parts.until(between, |import| import.media.pending == 1).await;
    fetcher.fetch_all(&parts).await;
    let between = parts.until(between, |import| import.status.has_ended()).await;
    assert_eq!((between.counters.updated, counts(&between)), (1, [0, 1, 0, 10]));

    let size = (begins.len() + ends.len()) as u64;
    for piece in [Piece::Data(Bytes::from(ends)), Piece::Finish(Finish { size, sha256: None })] {
        upload.reserve().await.expect("room").send(piece);
    }
    upload.outcome().await.expect("it is stored");
    parts.until(import.id, |import| import.counters.processed() == 3).await;
    fetcher.fetch_all(&parts).await;
    let import = parts.until(import.id, |import| import.status.has_ended()).await;
    assert_eq!((import.status, import.counters.updated), (ImportStatus::Completed, 1), "{import:?}");
    assert_eq!((counts(&import), import.warnings, import.stored_warnings), ([0, 1, 0, 20], 0, 0));
    let shown: Vec<_> = media_of_sessions(&parts).await.into_iter().collect();
    assert_eq!(shown, [("a".to_owned(), "front_image".to_owned(), 3)]);
    parts.stop().await;
}

async fn links_are_forgotten_with_the_source(database: Database) {
    let parts = Parts::start(database, 2_000).await;
    // More than one transaction goes over, and some that share a link.
    let url = |n: i64| format!("https://h.example.com/{}?token=secret", n.min(5_001));
    let rows = (0..5_010).map(|n| row(&n.to_string(), &url(n), ""));
    let id = parts.import(parts.spec(), &(HEADER.to_owned() + &rows.collect::<String>())).await;
    parts.until(id, |import| import.media.pending == 5_010).await;
    parts.imports.cancel(parts.caller, id).await.expect("cancelled");
    let application = parts.caller.application.expect("one");
    let count = async |which: &str| parts.rows(&format!("SELECT slot FROM media WHERE {which}")).await.len();
    assert_eq!(count("url LIKE '%secret'").await, 5_010);
    parts.store.mark_source_deleted(application, id, clock::now()).await.expect("deleted");
    assert_eq!((count("url IS NOT NULL").await, count("state = 'PENDING'").await), (0, 5_010));
    parts.stop().await;
}
