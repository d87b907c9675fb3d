//! Carries what the feed of one process says to the feeds of the others on the same database.

use std::time::Duration;

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{
    clock,
    domain::ids::ImportId,
    feed::{Feed, News},
    store::{self, Store},
};

/// Least time between two notices: what happens meanwhile goes with the next.
const INTERVAL: Duration = Duration::from_millis(50);

/// Longest time between two tries to listen.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Imports that one notice names: PostgreSQL takes 7,999 bytes.
const IMPORTS: usize = 200;

/// Starts both directions; they end when `stop` is cancelled.
pub fn spawn(feed: &Feed, store: &Store, tasks: &TaskTracker, stop: &CancellationToken) {
    let process = clock::new_id();
    let (to_others, from_others) = (feed.clone(), feed.clone());
    let (sender, listener) = (store.clone(), store.clone());
    let (stop_sending, stop_listening) = (stop.clone(), stop.clone());
    tasks.spawn(async move { stop_sending.run_until_cancelled(send(to_others, sender, process)).await });
    tasks.spawn(
        async move { stop_listening.run_until_cancelled(listen(from_others, listener, process)).await },
    );
}

async fn send(feed: Feed, store: Store, process: Uuid) {
    loop {
        for notice in write(process, &feed.news().await) {
            if let Err(error) = store.notify(&notice).await {
                // Others look by themselves a little later.
                warn!(error = &error as &dyn std::error::Error, "could not tell other processes");
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

async fn listen(feed: Feed, store: Store, process: Uuid) {
    let mut wait = INTERVAL;
    loop {
        match store.listen().await {
            Ok(mut notices) => {
                wait = INTERVAL;
                feed.look_around();
                let error = hear(&feed, &mut notices, process).await;
                warn!(error = &error as &dyn std::error::Error, "no longer heard other processes");
            }
            Err(error) => {
                // Behind a pooler that shares connections nobody can listen, and polling is all there is.
                warn!(error = &error as &dyn std::error::Error, "cannot hear other processes; polling");
            }
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}

async fn hear(feed: &Feed, notices: &mut store::Notices, process: Uuid) -> store::Error {
    loop {
        match notices.next().await {
            Ok(Some(notice)) => {
                if let Some(news) = read(process, &notice) {
                    feed.hear(&news);
                }
            }
            Ok(None) => {
                info!("the connection to the database was lost; looking around");
                feed.look_around();
            }
            Err(error) => return error,
        }
    }
}

/// Who speaks, whether there is work, and imports that changed.
fn write(process: Uuid, news: &News) -> Vec<String> {
    let imports: Vec<_> = news.imports.iter().collect();
    let mut parts: Vec<&[_]> = imports.chunks(IMPORTS).collect();
    if parts.is_empty() {
        parts.push(&[]);
    }
    let write = |imports: &&[&ImportId]| {
        let mut notice = process.simple().to_string();
        if news.work {
            notice.push_str(" work");
        }
        for import in *imports {
            notice.push(' ');
            notice.push_str(&import.0.simple().to_string());
        }
        notice
    };
    parts.iter().map(write).collect()
}

/// What another process said; words that are not known are for later versions.
fn read(process: Uuid, notice: &str) -> Option<News> {
    let mut words = notice.split(' ');
    if words.next() == Some(process.simple().to_string().as_str()) {
        return None;
    }
    let mut news = News::default();
    for word in words {
        if word == "work" {
            news.work = true;
        } else if let Ok(import) = Uuid::parse_str(word) {
            news.imports.insert(ImportId(import));
        }
    }
    Some(news)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_read_what_one_writes_and_no_notice_is_too_long() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for count in [0, 1, IMPORTS, IMPORTS + 1, 1_000] {
            let imports = (0..count as u128).map(|n| ImportId(Uuid::from_u128(n))).collect();
            let news = News { imports, work: count % 2 == 0 };
            let notices = write(one, &news);
            assert!(notices.iter().all(|notice| notice.len() < 8_000));
            let mut read_back = News::default();
            for notice in &notices {
                assert_eq!(read(one, notice), None, "nobody hears himself");
                let heard = read(other, notice).expect("another's");
                read_back.imports.extend(heard.imports);
                read_back.work |= heard.work;
            }
            assert_eq!(read_back, news);
        }
    }
}
