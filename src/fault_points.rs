//! Places at which a test may let the process die; nothing of it is in a release build.
//!
//! `CARRYOVER_FAULT_POINT=before_commit:3` aborts it when it comes to `before_commit` for the third time,
//! `CARRYOVER_POISON=abort:b-7` (or `panic:…`) whenever it transforms a row with the key `b-7`.

/// Dies here if the environment says so.
#[cfg(debug_assertions)]
pub(crate) fn reach(point: &str) {
    use std::sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    };
    static CHOSEN: LazyLock<Option<(String, AtomicI64)>> = LazyLock::new(|| {
        let chosen = std::env::var("CARRYOVER_FAULT_POINT").ok()?;
        let (name, times) = chosen.rsplit_once(':')?;
        Some((name.to_owned(), AtomicI64::new(times.parse().ok()?)))
    });
    if let Some((name, left)) = &*CHOSEN
        && name == point
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        std::process::abort();
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn reach(_point: &str) {}

/// Dies or panics here if the environment names this row.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "what it is for")]
pub(crate) fn reach_row(key: Option<&str>) {
    use std::sync::LazyLock;
    static CHOSEN: LazyLock<Option<(String, String)>> = LazyLock::new(|| {
        let chosen = std::env::var("CARRYOVER_POISON").ok()?;
        chosen.split_once(':').map(|(how, key)| (how.to_owned(), key.to_owned()))
    });
    match &*CHOSEN {
        Some((how, chosen)) if key == Some(chosen.as_str()) => match how.as_str() {
            "abort" => std::process::abort(),
            _ => panic!("a poisonous row"),
        },
        _ => {}
    }
}

/// Nothing.
#[cfg(not(debug_assertions))]
pub(crate) fn reach_row(_key: Option<&str>) {}
