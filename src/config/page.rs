//! The page that documents all settings, `docs/configuration.md`.

use std::fmt::Write as _;

use clap::Arg;

use super::setting::{self, Shape};

const HEAD: &str = "\
# Configuration

Written by `cargo run -- config page > docs/configuration.md` from the flags of `carryover serve`; a test compares.

A setting is given by a flag, by its environment variable or in a file; the first of these that gives it holds, and
after them its default. The file is named by `--config` or `CARRYOVER_CONFIG`. It is TOML without tables, and its keys
are the flags without their dashes:

```toml
listen = \"0.0.0.0:50051\"
max-upload-bytes = \"10GiB\"
max-rows = 20_000_000
fetch-port = [443, 8443]
no-reflection = true
```

Sizes are numbers of bytes or have the unit KiB, MiB or GiB. A setting that may be repeated is a list, in a variable with
commas. A file that cannot be read, a key that nobody knows and a value that a setting does not take stop the start, and
all of them are told at once, with file, line and key.

| | |
|---|---|
| `carryover config print` | every setting, with where it comes from, as a file that `--config` reads; secrets are left out |
| `carryover config check` | what is wrong with the settings themselves, such as bounds that contradict each other. Nobody is asked |
| `carryover doctor` | what keeps a server from starting, and whether database, object store, address and name servers are as they should be |

All of them take the flags of `serve`. `carryover migrate` reads the same file and takes from it what it needs.
";

const BOUNDS: &str = "
## Bounds that are not settings

| What | Bound |
|---|---|
";

/// Bounds on what callers do that have no flag, and the constants that hold them: the file, and what stands in it.
const FIXED: &[(&str, &str, &str, &str)] = &[
    (
        "Bytes on their way to the server in one call; on a connection, that of all calls it may have, and 32 MiB at least",
        "320 KiB",
        "src/grpc/server.rs",
        "STREAM_WINDOW_BYTES: u32 = 320 << 10",
    ),
    (
        "Calls of a connection that end by the peer's faults",
        "1,024",
        "src/grpc/server.rs",
        "FAULTY_STREAMS: usize = 1024",
    ),
    (
        "Messages of more than 64 KiB that one application sends at a time",
        "8 of the largest size; more wait",
        "src/grpc/room.rs",
        "LARGEST_AT_A_TIME: usize = 8",
    ),
    (
        "Answers of more than 64 KiB that wait to be taken by one application",
        "64 MiB, beyond which they are refused, and as much of streams, which wait",
        "src/grpc/room.rs",
        "ANSWER_BYTES: usize = 64 << 20",
    ),
    ("Unknown keys that are looked up at a time", "4", "src/grpc/auth.rs", "TRIALS: usize = 4"),
    (
        "A question to reflection, or about health",
        "4 KiB",
        "src/grpc/server.rs",
        "QUESTION_BYTES: usize = 4 << 10",
    ),
    ("Names of a client's certificate", "32", "src/grpc/tls/peer.rs", "NAMES: usize = 32"),
    (
        "Chunks of an upload",
        "100,000 and one more for every 64 bytes",
        "src/grpc/pace.rs",
        "FREE_CHUNKS: u64 = 100_000",
    ),
    (
        "Bytes of an upload that wait to be taken in",
        "2 MiB, and one message",
        "src/grpc/upload.rs",
        "PENDING_BYTES: usize = 2 << 20",
    ),
    ("Bytes of one segment", "4 MiB", "src/domain/limits.rs", "segment_bytes: 4 << 20"),
    ("Objects of one page", "1,000, or 1 MiB", "src/grpc/page.rs", "MAX_SIZE: usize = 1_000"),
    ("Values of one filter", "300", "src/grpc/spec.rs", "FILTER_VALUES: usize = 300"),
    ("Labels of an import", "32", "src/grpc/spec/import.rs", "LABELS: usize = 32"),
    ("Corrected rows of a retry", "10,000", "src/domain/import.rs", "CORRECTIONS: usize = 10_000"),
    ("Rows of a preview", "100, of 1 MiB", "src/preview.rs", "ROWS: usize = 100"),
    ("A mapping as JSON", "64 KiB", "src/adapters/mapping/check.rs", "BYTES: usize = 64 << 10"),
    ("Fields of a mapping", "200", "src/adapters/mapping/check.rs", "FIELDS: usize = 200"),
    ("Warnings of one row", "32", "src/domain/issue.rs", "WARNINGS_OF_A_ROW: usize = 32"),
    (
        "Active imports of an application, unless it is given more",
        "1",
        "src/administration.rs",
        "ACTIVE_IMPORTS: i32 = 1",
    ),
    ("Bytes of a URL that is fetched", "8,192", "src/guard/url.rs", "MAX_BYTES: usize = 8_192"),
    ("Sources fetched at a time by one worker", "4", "src/fetcher.rs", "AT_A_TIME: usize = 4"),
    ("Pixels of a side of an image", "30,000", "src/media/inspect.rs", "MAX_SIDE: u32 = 30_000"),
    ("Frames of an image that moves", "1,000", "src/media/inspect.rs", "MAX_FRAMES: u32 = 1_000"),
    ("Connections at a time to the metrics", "64", "src/metrics/listener.rs", "CONNECTIONS: usize = 64"),
    ("Of these, of one peer", "4", "src/metrics/listener.rs", "CONNECTIONS_PER_PEER: usize = 4"),
    (
        "Time of a stop, after which what goes on is given up",
        "20 s",
        "src/cli/serve.rs",
        "GRACE: Duration = Duration::from_secs(20)",
    ),
    (
        "Of this, time for open calls to end",
        "10 s",
        "src/grpc/server.rs",
        "DRAIN: Duration = Duration::from_secs(10)",
    ),
    (
        "Time after which a call that goes on asks again whether its key is good",
        "5 s",
        "src/grpc/auth.rs",
        "RECHECK: Duration = Duration::from_secs(5)",
    ),
    (
        "Keys whose calls are counted, and peers whose wrong keys are",
        "65,536 of each in a minute; more are forgotten early",
        "src/grpc/rates.rs",
        "MANY: usize = 1 << 16",
    ),
    ("A file of settings", "1 MiB", "src/config/file.rs", "FILE_BYTES: u64 = 1 << 20"),
];

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for (heading, settings) in setting::by_heading(&setting::all()) {
        let _ =
            writeln!(page, "\n## {heading}\n\n| Flag | Variable | Default | Meaning |\n|---|---|---|---|");
        for setting in settings {
            let (key, variable) = (setting::key(setting), setting::variable(setting).unwrap_or_default());
            let _ = writeln!(
                page,
                "| `--{key}` | `{variable}` | {} | {} |",
                default(setting),
                cell(&meaning(setting))
            );
        }
    }
    page.push_str(BOUNDS);
    for (what, bound, ..) in FIXED {
        let _ = writeln!(page, "| {what} | {bound} |");
    }
    page
}

fn default(setting: &Arg) -> String {
    if setting::shape(setting) == Shape::Switch {
        return "off".to_owned();
    }
    let values: Vec<_> = setting.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
    if values.is_empty() { String::new() } else { format!("`{}`", values.join(",")) }
}

fn meaning(setting: &Arg) -> String {
    let mut text = setting.get_help().map(ToString::to_string).unwrap_or_default();
    let words = setting.get_possible_values();
    let is_choice = setting::shape(setting) == Shape::One && !words.is_empty();
    for word in words.iter().filter(|_| is_choice) {
        let help = word.get_help().map(|help| format!(" ({help})")).unwrap_or_default();
        let _ = write!(text, "; `{}`{help}", word.get_name());
    }
    text
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::FIXED;

    #[test]
    fn bounds_are_those_of_the_source() {
        for (what, _, file, constant) in FIXED {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
            let source = std::fs::read_to_string(path).expect("a file");
            assert!(source.contains(constant), "{what}: {file} has no {constant}; change the page, too");
        }
    }
}
