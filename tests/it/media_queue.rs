//! The queue of media, driven as whoever fetches drives it: what is claimed, what comes of it, what is counted.

use std::collections::{BTreeMap, BTreeSet};

use carryover::{
    clock,
    domain::{
        import::{Import, ImportSpec, ImportStatus, MediaPolicy, OnExisting},
        media::MediaSlot,
    },
    store::{BusyMedia, ClaimedMedia, Download, MediaCursor, MediaOutcome, StoredMedium},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use crate::{harness::Database, media_parts::Parts, on_both_databases};

on_both_databases!(
    a_url_is_one_download,
    skipped_media_and_dry_runs_queue_nothing,
    a_lease_that_runs_out_is_claimed_anew,
    what_would_pass_the_budget_fails,
    paused_and_cancelled_imports_fetch_nothing,
    one_host_or_job_holds_no_other_up,
    more_rows_than_a_transaction_takes_share_a_url,
    first_rows_keep_their_media_at_any_parallelism,
    a_revert_takes_media_along,
);

pub const HEADER: &str = "external_id,created_at,last_name,front_image_url,back_image_url\n";

pub fn row(key: &str, front: &str, back: &str) -> String {
    format!("{key},2024-01-01T00:00:00Z,Silva,{front},{back}\n")
}

/// Whoever fetches.
pub struct Fetcher {
    pub owner: Uuid,
    cursor: MediaCursor,
    pub now: DateTime<Utc>,
}

impl Fetcher {
    pub fn new() -> Self {
        Self {
            owner: clock::new_id(),
            cursor: MediaCursor::default(),
            now: clock::now() + TimeDelta::hours(1),
        }
    }

    pub fn pass(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
    }

    /// Claims for half a minute.
    async fn claim(&mut self, parts: &Parts, busy: &BusyMedia) -> ClaimedMedia {
        let until = self.now + TimeDelta::seconds(30);
        let claimed = parts.store.claim_media(self.owner, &mut self.cursor, busy, 32, self.now, until);
        claimed.await.expect("a claim")
    }

    pub async fn claim_one(&mut self, parts: &Parts) -> Option<Download> {
        let mut claimed = self.claim(parts, &BusyMedia::default()).await.downloads;
        assert!(claimed.len() <= 1, "one of each job");
        claimed.pop()
    }

    async fn settle(&self, parts: &Parts, download: Download, outcome: MediaOutcome) -> usize {
        let settled = parts.store.settle_media(self.owner, vec![(download, outcome)], self.now);
        settled.await.expect("settled").len()
    }

    /// Fetches until there is nothing left; what has `bad` in its URL fails.
    pub async fn fetch_all(&mut self, parts: &Parts) {
        loop {
            let claimed = self.claim(parts, &BusyMedia::default()).await;
            if claimed.downloads.is_empty() && claimed.changed.is_empty() {
                return;
            }
            for download in claimed.downloads {
                let outcome = if download.url.contains("bad") { failed() } else { stored(&download.url, 10) };
                self.settle(parts, download, outcome).await;
            }
        }
    }
}

fn stored(content: &str, size: u64) -> MediaOutcome {
    let mut sha256 = [0; 32];
    content.bytes().enumerate().for_each(|(at, byte)| sha256[at % 32] ^= byte);
    let (width, height) = (Some(2), Some(3));
    MediaOutcome::Stored(StoredMedium { sha256, size, media_type: "image/jpeg", width, height })
}

fn failed() -> MediaOutcome {
    MediaOutcome::Failed { reason: "MEDIA_TYPE", message: "is a page, and an image is wanted".to_owned() }
}

pub fn counts(import: &Import) -> [i64; 4] {
    let media = import.media;
    [media.pending, media.stored, media.failed, media.bytes]
}

async fn a_url_is_one_download(database: Database) {
    let parts = Parts::start(database, 2).await;
    let one = "https://one.example.com/a.jpg?token=secret#x";
    let two = "https://two.example.com/b.jpg?token=secret";
    let bad = format!("bad,never,Silva,{one},\n");
    let csv = [HEADER, &row("a", one, ""), &row("b", one, two), &bad, &row("c", "", ""), &row("a", two, two)];
    let id = parts.import(parts.spec(), &csv.concat()).await;
    let import = parts.until(id, |import| import.counters.processed() == 5).await;
    assert_eq!((counts(&import), import.status), ([3, 0, 0, 0], ImportStatus::Processing));
    let details = parts.rows("SELECT details FROM user_sessions WHERE details IS NOT NULL").await;
    assert_eq!(details.len(), 2);
    let told = format!("{details:?}");
    assert!(told.contains("https://one.example.com/a.jpg") && !told.contains("secret"), "{told}");

    let mut fetcher = Fetcher::new();
    let first = fetcher.claim_one(&parts).await.expect("a download");
    let second = fetcher.claim_one(&parts).await.expect("a download");
    assert_eq!((first.url.as_str(), first.host.as_str()), (one, "one.example.com"));
    assert_eq!((second.url.as_str(), second.epoch, second.attempts), (two, 1, 0));
    assert!(fetcher.claim_one(&parts).await.is_none(), "both are in flight");
    assert_eq!(fetcher.settle(&parts, first, stored(one, 10)).await, 1);
    let import = parts.get(id).await;
    assert_eq!((counts(&import), import.status), ([1, 2, 0, 10], ImportStatus::Processing));
    assert_eq!(fetcher.settle(&parts, second, failed()).await, 1);
    let import = parts.get(id).await;
    assert_eq!((counts(&import), import.status), ([0, 2, 1, 10], ImportStatus::Completed));
    assert_eq!((import.warnings, import.stored_warnings), (1, 1));

    let media =
        parts.rows("SELECT slot, state, url, reason, width FROM media ORDER BY slot, row_number").await;
    let words = |at: usize| ["slot", "state", "url", "reason"].map(|column| media[at][column].clone());
    assert_eq!(words(0), ["back_image".into(), "FAILED".into(), two.into(), Value::from("MEDIA_TYPE")]);
    assert_eq!(words(1), ["front_image".into(), "STORED".into(), Value::Null, Value::Null]);
    let warnings = parts.rows("SELECT row_number, line_number, external_id, issue FROM row_warnings").await;
    assert_eq!((&warnings[0]["row_number"], &warnings[0]["line_number"]), (&2.into(), &3.into()));
    let told = format!("{:?}", warnings[0]);
    for word in ["back_image_url", "MEDIA", "MEDIA_TYPE: is a page", "\"b\""] {
        assert!(told.contains(word), "{word}: {told}");
    }
    parts.stop().await;
}

async fn skipped_media_and_dry_runs_queue_nothing(database: Database) {
    let parts = Parts::start(database, 100).await;
    let csv = [HEADER, &row("a", "https://one.example.com/a.jpg", "")].concat();
    let skip = ImportSpec { media: Some(MediaPolicy::Skip), ..parts.spec() };
    for spec in [ImportSpec { dry_run: true, ..parts.spec() }, skip] {
        let id = parts.import(spec, &csv).await;
        let import = parts.until(id, |import| import.status.has_ended()).await;
        assert_eq!((counts(&import), import.status), ([0; 4], ImportStatus::Completed));
    }
    assert!(parts.rows("SELECT slot FROM media").await.is_empty());
    parts.stop().await;
}

async fn a_lease_that_runs_out_is_claimed_anew(database: Database) {
    let parts = Parts::start(database, 100).await;
    let csv = [HEADER, &row("a", "https://one.example.com/a.jpg", "")].concat();
    let id = parts.import(parts.spec(), &csv).await;
    parts.until(id, |import| import.media.pending == 1).await;
    let (mut first, mut second) = (Fetcher::new(), Fetcher::new());
    second.now = first.now;
    let lost = first.claim_one(&parts).await.expect("a download");
    second.pass(20);
    assert!(second.claim_one(&parts).await.is_none(), "it is held");
    let held = [(lost.application, lost.job, lost.url_id)];
    let until = first.now + TimeDelta::seconds(45);
    parts.store.renew_media(first.owner, &held, until).await.expect("renewed");
    second.pass(20);
    assert!(second.claim_one(&parts).await.is_none(), "it is held for longer");
    second.pass(20);
    let found = second.claim_one(&parts).await.expect("it is free");
    assert_eq!((found.attempts, found.epoch), (1, 2));
    assert_eq!(first.settle(&parts, lost, stored("a", 5)).await, 0, "the claim is lost");
    let again = second.now + TimeDelta::seconds(100);
    parts.store.put_off_media(second.owner, &found, again).await.expect("put off");
    second.pass(99);
    assert!(second.claim_one(&parts).await.is_none(), "it is left alone");
    second.pass(1);
    let found = second.claim_one(&parts).await.expect("its time has come");
    assert_eq!((found.attempts, found.epoch), (2, 3));
    parts.store.release_media(second.owner, &found, second.now).await.expect("released");
    let found = first_of(&mut second, &parts).await;
    assert_eq!((found.attempts, found.epoch), (2, 4));
    assert_eq!(counts(&parts.get(id).await), [1, 0, 0, 0]);
    second.settle(&parts, found, stored("a", 5)).await;
    assert_eq!(parts.get(id).await.status, ImportStatus::Completed);
    parts.stop().await;
}

async fn first_of(fetcher: &mut Fetcher, parts: &Parts) -> Download {
    fetcher.claim_one(parts).await.expect("a download")
}

async fn what_would_pass_the_budget_fails(database: Database) {
    let parts = Parts::start(database, 100).await;
    let rows: Vec<_> =
        (0..4).map(|n| row(&n.to_string(), &format!("https://h.example.com/{n}"), "")).collect();
    let spec = ImportSpec { media_byte_budget: Some(25), ..parts.spec() };
    let id = parts.import(spec, &(HEADER.to_owned() + &rows.concat())).await;
    parts.until(id, |import| import.media.pending == 4).await;
    let mut fetcher = Fetcher::new();
    let mut batch = Vec::new();
    for size in [10, 15] {
        let download = first_of(&mut fetcher, &parts).await;
        assert_eq!(download.remaining_budget, 25);
        batch.push((download, stored(&size.to_string(), size)));
    }
    // As one batch: each counts before the next is judged.
    parts.store.settle_media(fetcher.owner, batch, fetcher.now).await.expect("settled");
    assert_eq!(counts(&parts.get(id).await), [2, 2, 0, 25]);
    for size in [1, 0] {
        let download = first_of(&mut fetcher, &parts).await;
        assert_eq!(download.remaining_budget, 0);
        fetcher.settle(&parts, download, stored("more", size)).await;
    }
    assert_eq!(counts(&parts.get(id).await), [0, 3, 1, 25]);
    let media = parts.rows("SELECT reason FROM media WHERE state = 'FAILED'").await;
    assert_eq!(media[0]["reason"], "MEDIA_BUDGET");
    parts.stop().await;
}

async fn paused_and_cancelled_imports_fetch_nothing(database: Database) {
    let parts = Parts::start(database, 100).await;
    let rows: Vec<_> =
        (0..3).map(|n| row(&n.to_string(), &format!("https://h.example.com/{n}"), "")).collect();
    let id = parts.import(parts.spec(), &(HEADER.to_owned() + &rows.concat())).await;
    parts.until(id, |import| import.media.pending == 3).await;
    let mut fetcher = Fetcher::new();
    let in_flight = first_of(&mut fetcher, &parts).await;
    let paused = parts.imports.pause(parts.caller, id).await.expect("paused");
    assert_eq!(paused.status, ImportStatus::Paused);
    assert!(fetcher.claim_one(&parts).await.is_none());
    assert_eq!(fetcher.settle(&parts, in_flight, stored("0", 1)).await, 1, "what is in flight is settled");
    let resumed = parts.imports.resume(parts.caller, id).await.expect("resumed");
    assert_eq!((resumed.status, counts(&resumed)), (ImportStatus::Processing, [2, 1, 0, 1]));
    let in_flight = first_of(&mut fetcher, &parts).await;
    parts.imports.cancel(parts.caller, id).await.expect("cancelled");
    assert!(fetcher.claim_one(&parts).await.is_none());
    assert_eq!(fetcher.settle(&parts, in_flight, stored("1", 1)).await, 0, "it has ended");
    assert_eq!(counts(&parts.get(id).await), [2, 1, 0, 1]);
    parts.stop().await;
}

async fn one_host_or_job_holds_no_other_up(database: Database) {
    let parts = Parts::start(database, 100).await;
    let hosts = ["a", "b", "c"].map(|host| format!("{host}.example.com"));
    let mut ids = Vec::new();
    for key in ["x", "y"] {
        let rows =
            (0..12).map(|n| row(&format!("{key}{n}"), &format!("https://{}/{key}{n}", hosts[n % 3]), ""));
        let csv = HEADER.to_owned() + &rows.collect::<String>();
        ids.push(parts.import(parts.spec(), &csv).await);
    }
    for id in &ids {
        parts.until(*id, |import| import.media.pending == 12).await;
    }
    let mut fetcher = Fetcher::new();
    let mut seen = BTreeMap::<_, usize>::new();
    for _ in 0..3 {
        let claimed = fetcher.claim(&parts, &BusyMedia::default()).await.downloads;
        let [one, other] = claimed.as_slice() else { panic!("one of each job: {claimed:?}") };
        assert!(one.job != other.job && one.host != other.host, "{claimed:?}");
        claimed.into_iter().for_each(|download| *seen.entry((download.job, download.host)).or_default() += 1);
    }
    assert_eq!(seen.len(), 6, "turns go over hosts: {seen:?}");
    let busy = BusyMedia {
        hosts: vec![hosts[0].clone(), hosts[2].clone()],
        jobs: vec![ids[0]],
        ..BusyMedia::default()
    };
    let claimed = fetcher.claim(&parts, &busy).await.downloads;
    let found: Vec<_> = claimed.iter().map(|download| (download.job, download.host.clone())).collect();
    assert_eq!(found, [(ids[1], hosts[1].clone())]);
    parts.stop().await;
}

async fn more_rows_than_a_transaction_takes_share_a_url(database: Database) {
    let parts = Parts::start(database, 1_000).await;
    let (same, other) = ("https://h.example.com/same", "https://h.example.com/other");
    let rows = (0..3_500).map(|n| row(&n.to_string(), if n == 1_700 { other } else { same }, ""));
    let id = parts.import(parts.spec(), &(HEADER.to_owned() + &rows.collect::<String>())).await;
    parts.until(id, |import| import.media.pending == 3_500).await;
    let mut fetcher = Fetcher::new();
    let (mut downloads, mut changed) = (Vec::new(), 0);
    while parts.get(id).await.status == ImportStatus::Processing {
        let claimed = fetcher.claim(&parts, &BusyMedia::default()).await;
        assert!(!claimed.downloads.is_empty() || !claimed.changed.is_empty(), "something is left to do");
        changed += claimed.changed.len();
        for download in claimed.downloads {
            downloads.push(download.url.clone());
            fetcher.settle(&parts, download, stored("same", 7)).await;
        }
    }
    downloads.sort_unstable();
    assert_eq!((downloads, changed > 0), (vec![other.to_owned(), same.to_owned()], true));
    assert_eq!(counts(&parts.get(id).await), [0, 3_500, 0, 14]);
    parts.stop().await;
}

/// Media of sessions by key: slot, and the row that was written.
pub async fn media_of_sessions(parts: &Parts) -> BTreeSet<(String, String, i64)> {
    let sql = "SELECT s.external_id, m.slot, m.row_number FROM media m JOIN user_sessions s \
        ON s.id = m.record_id AND s.import_id = m.import_id AND s.row_number = m.row_number";
    let word = |value: &Value| value.as_str().expect("a text").to_owned();
    let rows = parts.rows(sql).await.into_iter();
    rows.map(|row| {
        (word(&row["external_id"]), word(&row["slot"]), row["row_number"].as_i64().expect("a row"))
    })
    .collect()
}

async fn first_rows_keep_their_media_at_any_parallelism(database: Database) {
    for round in 0..4_u64 {
        let parts = Parts::start(database, 7).await;
        let mut random = fastrand::Rng::with_seed(round);
        let (mut csv, mut expected) = (HEADER.to_owned(), BTreeMap::new());
        for number in 1..=420_i64 {
            let key = format!("k{}", random.u32(0..60));
            let link = |random: &mut fastrand::Rng| match random.u32(0..4) {
                0 => String::new(),
                1 => format!("https://h{}.example.com/bad{}", random.u32(0..3), random.u32(0..9)),
                _ => format!("https://h{}.example.com/{}", random.u32(0..3), random.u32(0..99)),
            };
            let (front, back) = (link(&mut random), link(&mut random));
            csv += &row(&key, &front, &back);
            expected.entry(key).or_insert((number, front, back));
        }
        let id = parts.import(parts.spec(), &csv).await;
        // What is fetched and failed already is taken away with the rows that give their place.
        let mut fetcher = Fetcher::new();
        while !parts.get(id).await.status.has_ended() {
            fetcher.fetch_all(&parts).await;
        }
        let import = parts.get(id).await;
        assert_eq!(
            (import.status, import.counters.created),
            (ImportStatus::Completed, expected.len() as i64)
        );
        let mut wanted = BTreeSet::new();
        let mut bad = 0;
        for (key, (number, front, back)) in expected {
            for (slot, url) in [(MediaSlot::FrontImage, front), (MediaSlot::BackImage, back)] {
                bad += i64::from(url.contains("bad"));
                if !url.is_empty() {
                    wanted.insert((key.clone(), slot.as_str().to_owned(), number));
                }
            }
        }
        assert_eq!(media_of_sessions(&parts).await, wanted);
        let all = parts.rows("SELECT state FROM media").await;
        assert_eq!(all.len(), wanted.len(), "no medium is left of a row that gave its place");
        assert_eq!(counts(&import)[..3], [0, wanted.len() as i64 - bad, bad]);
        assert_eq!((import.warnings, import.stored_warnings), (bad, bad));
        let warnings = parts.rows("SELECT row_number FROM row_warnings").await;
        assert_eq!(warnings.len() as i64, bad);
        parts.stop().await;
    }
}

async fn a_revert_takes_media_along(database: Database) {
    let parts = Parts::start(database, 100).await;
    let link = |word: &str| format!("https://h.example.com/{word}");
    let first = [HEADER, &row("a", &link("a"), ""), &row("b", &link("b"), "")].concat();
    let second = [HEADER, &row("b", &link("b2"), &link("b3")), &row("c", &link("c"), "")].concat();
    let mut fetcher = Fetcher::new();
    let mut ids = Vec::new();
    for csv in [first, second] {
        let spec = ImportSpec { on_existing: OnExisting::Update, ..parts.spec() };
        let id = parts.import(spec, &csv).await;
        parts.until(id, |import| import.counters.processed() == 2).await;
        fetcher.fetch_all(&parts).await;
        assert_eq!(parts.get(id).await.status, ImportStatus::Completed);
        ids.push(id);
    }
    let all = async || parts.rows("SELECT slot FROM media").await.len();
    let shown = async || {
        let media = media_of_sessions(&parts).await.into_iter();
        media.map(|(key, slot, _)| format!("{key} {slot}")).collect::<Vec<_>>()
    };
    assert_eq!(all().await, 5);
    assert_eq!(shown().await, ["a front_image", "b back_image", "b front_image", "c front_image"]);
    parts.revert(ids[1]).await;
    assert_eq!(
        (all().await, shown().await),
        (2, vec!["a front_image".to_owned(), "b front_image".to_owned()])
    );
    parts.revert(ids[0]).await;
    assert_eq!(all().await, 0);
    parts.stop().await;
}
