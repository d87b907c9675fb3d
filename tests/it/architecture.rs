//! Holds the arrows and fences of ARCHITECTURE.md by reading the source.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A room, and the rooms it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &["clock"]),
    ("canonical", &["domain", "guard"]),
    ("guard", &["clock"]),
    ("adapters", &["canonical", "domain", "guard"]),
    ("store", &["canonical", "clock", "domain", "fault_points", "metrics"]),
    ("metrics", &["clock", "domain", "permits"]),
    ("probe", &["clock", "metrics", "objects", "store"]),
    ("objects", &["domain"]),
    ("feed", &["domain"]),
    ("clock", &[]),
    ("permits", &[]),
    ("fault_points", &[]),
    ("media", &["clock", "domain", "error", "fault_points", "feed", "guard", "metrics", "objects", "store"]),
    ("relay", &["clock", "domain", "feed", "store"]),
    ("reverter", &["clock", "domain", "fault_points", "feed", "store"]),
    ("pipeline", &["adapters", "canonical", "domain", "fault_points", "store"]),
    (
        "intake",
        &["canonical", "clock", "domain", "error", "fault_points", "feed", "objects", "pipeline", "store"],
    ),
    (
        "worker",
        &[
            "clock",
            "domain",
            "error",
            "fault_points",
            "feed",
            "intake",
            "metrics",
            "objects",
            "pipeline",
            "store",
            "telemetry",
        ],
    ),
    ("sweeper", &["clock", "domain", "erasure", "error", "feed", "imports", "metrics", "objects", "store"]),
    (
        "imports",
        &[
            "canonical",
            "clock",
            "domain",
            "error",
            "fault_points",
            "feed",
            "guard",
            "intake",
            "metrics",
            "objects",
            "pipeline",
            "store",
            "telemetry",
        ],
    ),
    ("fetcher", &["clock", "domain", "error", "feed", "imports", "metrics", "store"]),
    ("links", &["clock", "domain", "error", "objects"]),
    ("records", &["canonical", "clock", "domain", "error", "links", "store"]),
    ("administration", &["clock", "domain", "error", "store"]),
    ("erasure", &["canonical", "clock", "domain", "error", "fault_points", "objects", "pipeline", "store"]),
    (
        "grpc",
        &[
            "administration",
            "canonical",
            "clock",
            "domain",
            "erasure",
            "error",
            "imports",
            "intake",
            "links",
            "metrics",
            "permits",
            "preview",
            "probe",
            "records",
            "store",
            "telemetry",
        ],
    ),
    ("preview", &["clock", "domain", "error", "intake", "pipeline"]),
    ("sample", &["canonical", "domain"]),
    (
        "cli",
        &[
            "app",
            "canonical",
            "config",
            "domain",
            "grpc",
            "guard",
            "lifecycle",
            "objects",
            "sample",
            "store",
            "telemetry",
        ],
    ),
];

/// A word, and the only places that may hold it.
const FENCES: &[(&str, &[&str])] = &[
    ("opentelemetry", &["telemetry"]),
    ("sea_orm::", &["store"]),
    ("sqlx::", &["store"]),
    ("rusqlite::", &["store"]),
    ("tonic::", &["grpc", "cli"]),
    ("prost::", &["grpc", "cli"]),
    ("csv_async::", &["pipeline", "intake"]),
    ("reqwest", &["guard"]),
    ("hickory", &["guard"]),
    ("clap::", &["cli", "config", "telemetry"]),
    ("object_store::", &["objects"]),
    ("prometheus_client::", &["metrics"]),
    ("hyper::", &["grpc", "guard", "metrics"]),
    ("Utc::now", &["clock"]),
    (".begin_with_options(", &["store/tx.rs"]),
    ("pool.begin(", &["store/connect.rs", "store/postgres.rs"]),
];

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("text");
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (path.strip_prefix(&root).expect("inside").to_owned(), code)
        })
        .collect()
}

fn is_in(path: &Path, place: &str) -> bool {
    path.starts_with(place) || path == Path::new(&format!("{place}.rs"))
}

/// Rooms that a file names after `crate::`, in a path or in braces.
fn rooms_named(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(inside) = rest.strip_prefix('{') else {
            rooms.push(word(rest));
            continue;
        };
        let mut depth = 0;
        let mut begins = true;
        for (position, c) in inside.char_indices() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => begins = true,
                c if begins && c.is_alphanumeric() => {
                    rooms.push(word(&inside[position..]));
                    begins = false;
                }
                _ => {}
            }
        }
    }
    rooms
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn rooms_know_only_whom_they_may() {
    for (path, code) in sources() {
        let Some((room, allowed)) = ARROWS.iter().find(|(room, _)| is_in(&path, room)) else { continue };
        for named in rooms_named(&code) {
            assert!(
                named == *room || allowed.contains(&named.as_str()),
                "{} may not know {named}",
                path.display()
            );
        }
    }
}

#[test]
fn libraries_stay_behind_their_fences() {
    for (path, code) in sources() {
        for (what, places) in FENCES {
            let allowed = places.iter().any(|place| is_in(&path, place) || path == Path::new(place));
            assert!(allowed || !code.contains(what), "{} may not use {what}", path.display());
        }
    }
}

/// P003: rustls panics when two are linked and nobody has chosen.
#[test]
fn there_is_one_provider_of_tls() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let lock = fs::read_to_string(root.join("Cargo.lock")).expect("Cargo.lock");
    assert!(lock.contains("name = \"ring\"") && !lock.contains("name = \"aws-lc"), "ring is the one");
    let cli = fs::read_to_string(root.join("src/cli.rs")).expect("src/cli.rs");
    let at = |text: &str| cli.find(text).unwrap_or_else(|| panic!("{text} is not in src/cli.rs"));
    assert!(
        at("ring::default_provider().install_default()") < at("runtime.block_on("),
        "chosen first of all"
    );
}

#[test]
fn the_reader_of_names_finds_them() {
    let code = "use crate::{domain::{ids, limits}, store::Store, feed};\nuse crate::clock;";
    assert_eq!(rooms_named(code), ["domain", "store", "feed", "clock"]);
}
