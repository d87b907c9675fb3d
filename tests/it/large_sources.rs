//! Sources larger than anything a test can hold: lines without end, and row numbers beyond 32 bits.

use carryover::grpc::pb::{self, ImportStatus, IssueCode, RowOutcome, upload_import_request::Message};
use prost::bytes::Bytes;

use crate::{
    harness::{
        Database, Server, Tenant, chunk, chunks, codes, counters, finish, message, plain_csv, resume, start,
    },
    on_both_databases, stored as tables,
    upload::send_and_break,
};

on_both_databases!(lines_without_end_are_never_held, rows_are_counted_beyond_32_bits);

const PIECE: usize = 1 << 20;

/// `head`, `pieces` MiB of one letter, and `tail`, sent without being held.
async fn upload(tenant: &Tenant, head: &str, pieces: usize, tail: &str) -> pb::Import {
    let piece = Bytes::from(vec![b'x'; PIECE]);
    let middle = head.len();
    let end = middle + pieces * PIECE;
    let mut messages = vec![start(tenant.spec()), chunk(0, head.as_bytes())];
    messages.extend((0..pieces).map(|n| {
        let write_offset = (middle + n * PIECE) as i64;
        message(Message::Chunk(pb::UploadChunk { write_offset, data: piece.clone(), crc32c: None }))
    }));
    messages.extend([chunk(end, tail.as_bytes()), finish(end + tail.len())]);
    let import = tenant.upload(messages).await.expect("an answer");
    tenant.wait(&import.uuid).await
}

/// The most memory this process ever had, in bytes; the server under test is a part of it.
fn most_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") << 10
}

/// G005 and G035.
async fn lines_without_end_are_never_held(database: Database) {
    const PIECES: usize = 200;
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    tenant.import(plain_csv("warm", 0, 10_000)).await;
    let before = most_memory();
    for (name, head, tail, reason, created, rows) in [
        ("a plain line", "external_id,address\na,A\nb,", "\nc,C\n", "", 2, 3),
        ("a quoted cell", "external_id,address\nd,D\ne,\"\n", "\"\nf,F\n", "", 2, 3),
        (
            "a quote that is never closed",
            "external_id,address\ng,G\nh,\"",
            "\ni,I\n",
            "UNTERMINATED_QUOTE",
            1,
            2,
        ),
        (
            "a line of JSON",
            "{\"external_id\":\"k\"}\n{\"external_id\":\"",
            "\"}\n{\"external_id\":\"m\"}",
            "",
            2,
            3,
        ),
        ("a header", "external_id,", "\nc,C\n", "HEADER_TOO_LARGE", 0, 0),
    ] {
        let import = upload(&tenant, head, PIECES, tail).await;
        assert_eq!(import.last_error_reason(), reason, "{name}: {}", import.last_error());
        assert_eq!((import.created_count, import.total_rows), (created, rows), "{name}");
        let errors = tenant.row_errors(&import.uuid).await;
        let large = errors.iter().filter(|error| codes(error) == [IssueCode::RecordTooLarge]).count();
        assert_eq!(
            (errors.len(), large),
            (usize::from(rows > 0), usize::from(rows > 0)),
            "{name}: {errors:?}"
        );
        let failed = if reason.is_empty() { ImportStatus::Completed } else { ImportStatus::Failed };
        assert_eq!(import.status(), failed, "{name}");
    }
    let more = most_memory() - before;
    assert!(more < PIECES * PIECE * 3 / 4, "no line was ever in memory as a whole: {} MiB more", more >> 20);
}

/// G035, half as long: twice that takes this test twice the time, and shows nothing more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_of_a_gibibyte_is_never_held() {
    const PIECES: usize = 1024;
    let server = Server::start(Database::Sqlite).await;
    let tenant = server.tenant().await;
    tenant.import(plain_csv("warm", 0, 10_000)).await;
    let before = most_memory();
    let import = upload(&tenant, "external_id,address\na,A\nb,", PIECES, "\nc,C\nd\n").await;
    assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
    assert_eq!((counters(&import), import.total_rows), ((2, 0, 2), 4));
    let errors = tenant.row_errors(&import.uuid).await;
    let found: Vec<_> = errors.iter().map(|error| (error.line_number, codes(error)[0])).collect();
    assert_eq!(found, [(3, IssueCode::RecordTooLarge), (5, IssueCode::ColumnCount)]);
    assert!(errors[1].byte_offset > 1 << 30, "{}", errors[1].byte_offset);
    let more = most_memory() - before;
    assert!(more < 256 << 20, "{} MiB more", more >> 20);
}

/// G036, on a source whose first rows are said to stand far behind.
async fn rows_are_counted_beyond_32_bits(database: Database) {
    const BEFORE: i64 = 5_000_000_000;
    let flags = ["--segment-rows", "10", "--max-rows", "10000000000", "--max-rows-per-day", "10000000000"];
    let server = Server::start_with(database, &flags).await;
    let tenant = server.tenant().await;
    let mut csv = plain_csv("n", 0, 25);
    csv.push_str("n3,Approved,Ana,Silva,again\nn25,wrong,Ana,Silva,\nn26,Approved,Ana,Silva,\n");
    let id = tenant.create().await.uuid;
    let mut messages = vec![resume(&id, 0)];
    messages.extend(chunks(&csv.as_bytes()[..csv.len() - 150], 0, 100));
    let broken = send_and_break(&tenant, &id, messages).await;
    assert_eq!(broken.total_rows, 20, "two segments are stored");
    crate::waits::eventually("they are written", async || {
        (tenant.get(&id).await.processed_rows == 20).then_some(())
    })
    .await;
    let key = tables::id(&server, &id);
    for set in [
        format!("UPDATE segments SET first_row = first_row + {BEFORE} WHERE import_id = {key}"),
        format!("UPDATE user_sessions SET row_number = row_number + {BEFORE} WHERE import_id = {key}"),
        format!(
            "UPDATE imports SET total_rows = total_rows + {BEFORE}, skipped_count = skipped_count + {BEFORE}, \
             checkpoint_row = checkpoint_row + {BEFORE} WHERE id = {key}"
        ),
    ] {
        server.sql(&set).await;
    }

    let committed = broken.committed_size;
    let mut rest = vec![resume(&id, committed)];
    rest.extend(chunks(csv.as_bytes(), committed as usize, 100));
    rest.push(finish(csv.len()));
    tenant.upload(rest).await.expect("the rest");
    let import = tenant.wait(&id).await;
    assert_eq!(import.status(), ImportStatus::Completed, "{}", import.last_error());
    assert_eq!((import.total_rows, import.checkpoint_row), (BEFORE + 28, BEFORE + 28));
    assert_eq!(counters(&import), (26, BEFORE + 1, 1));
    assert_eq!(import.duplicate_count, 1, "n3 stands 22 rows before");
    let errors = tenant.row_errors(&id).await;
    let found: Vec<_> = errors.iter().map(|error| (error.row_number, error.line_number)).collect();
    assert_eq!(found, [(BEFORE + 27, 28)], "lines are counted in what is there");
    let mut rows: Vec<_> =
        tenant.sessions(Default::default()).await.iter().map(|session| session.row_number).collect();
    rows.sort_unstable();
    let wanted: Vec<_> = (1..=25).chain([28]).map(|row| BEFORE + row).collect();
    assert_eq!(rows, wanted);
    let skipped = tenant.export(&id, &[RowOutcome::Skipped]).await;
    assert_eq!(String::from_utf8(skipped).expect("text").lines().nth(1), Some("n3,Approved,Ana,Silva,again"));
}
