//! Packed uploads.

use carryover::grpc::pb::{Compression, ImportStatus};
use tonic::Code;

use crate::{
    harness::{Database, Server, assert_refused, counters, gzip, plain_csv, upload_of, zstd},
    on_both_databases,
};

on_both_databases!(packed_files_are_read, broken_packed_files_fail, bombs_are_stopped);

async fn packed_files_are_read(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let (head, tail) = (plain_csv("p", 0, 200), plain_csv("p", 200, 200));
    let tail = tail.split_once('\n').expect("a header").1.to_owned();
    let whole = format!("{head}{tail}");
    let members = [gzip(head.as_bytes()), gzip(tail.as_bytes())].concat();
    let frames = [zstd(head.as_bytes()), zstd(tail.as_bytes())].concat();
    // A skippable frame of 5 bytes between two frames, as pzstd writes them.
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 5, 0, 0, 0, 1, 2, 3, 4, 5];
    let skipped = [&zstd(head.as_bytes())[..], &skippable, &zstd(tail.as_bytes())].concat();
    let mut named = flate2::GzBuilder::new()
        .filename("n".repeat(3000))
        .comment("c".repeat(3000))
        .write(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut named, whole.as_bytes()).expect("memory");
    let flushed = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        for byte in whole.as_bytes() {
            std::io::Write::write_all(&mut encoder, &[*byte]).expect("memory");
            std::io::Write::flush(&mut encoder).expect("memory");
        }
        encoder.finish().expect("memory")
    };
    let mut first = true;
    for (name, bytes, compression) in [
        ("one gzip member", gzip(whole.as_bytes()), Compression::Gzip),
        ("two gzip members", members, Compression::Gzip),
        ("one zstd frame", zstd(whole.as_bytes()), Compression::Zstd),
        ("two zstd frames", frames, Compression::Zstd),
        ("a skippable frame", skipped, Compression::Zstd),
        ("a gzip header of 6 kB", named.finish().expect("memory"), Compression::Gzip),
        ("a flush point every byte", flushed, Compression::Gzip),
    ] {
        // By the byte, or nearly so: a stream may not have much more than 100,000 of them.
        for size in [bytes.len().div_ceil(100_000), 1000] {
            let import = tenant.upload(upload_of(tenant.spec(), &bytes, size)).await.expect(name);
            let import = tenant.wait(&import.uuid).await;
            assert_eq!(
                (import.status(), import.total_rows),
                (ImportStatus::Completed, 400),
                "{name} by {size}"
            );
            assert_eq!(counters(&import), if first { (400, 0, 0) } else { (0, 400, 0) }, "{name} by {size}");
            assert_eq!(
                (import.compression(), import.source_bytes),
                (compression, whole.len() as i64),
                "{name}"
            );
            assert_eq!(import.committed_size, bytes.len() as i64);
            first = false;
        }
    }
}

async fn broken_packed_files_fail(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let whole = plain_csv("p", 0, 200);
    let packed = gzip(whole.as_bytes());
    let cut = |bytes: &[u8], less: usize| bytes[..bytes.len() - less].to_vec();
    let flip = |bytes: &[u8], from_end: usize| {
        let mut bytes = bytes.to_vec();
        let at = bytes.len() - from_end;
        bytes[at] ^= 0xff;
        bytes
    };
    let squeezed = zstd(whole.as_bytes());
    let mut window = zstd(whole.as_bytes());
    // A frame header that asks for a window of 256 MiB and more.
    window[4] = 0;
    window[5] = 0xa8;
    let tar = [&b"external_id"[..], &[0; 246], b"ustar\x0000", &[0; 100]].concat();
    for (name, bytes, reasons) in [
        ("gzip less 1 byte", cut(&packed, 1), &["CORRUPT_COMPRESSION"][..]),
        ("gzip less 9 bytes", cut(&packed, 9), &["CORRUPT_COMPRESSION"]),
        ("half a gzip", cut(&packed, packed.len() / 2), &["CORRUPT_COMPRESSION"]),
        ("a wrong CRC", flip(&packed, 8), &["CORRUPT_COMPRESSION"]),
        ("a wrong size", flip(&packed, 1), &["CORRUPT_COMPRESSION"]),
        ("garbage behind gzip", [&packed[..], b"garbage"].concat(), &["CORRUPT_COMPRESSION"]),
        ("half a zstd", cut(&squeezed, squeezed.len() / 2), &["CORRUPT_COMPRESSION"]),
        ("garbage behind zstd", [&squeezed[..], b"garbage"].concat(), &["CORRUPT_COMPRESSION"]),
        ("a large zstd window", window, &["CORRUPT_COMPRESSION"]),
        (
            "gzip of gzip",
            gzip(&packed),
            &["UNKNOWN_FORMAT", "UNSUPPORTED_ENCODING", "UNSUPPORTED_COMPRESSION"],
        ),
        ("gzip of nothing", gzip(b""), &["EMPTY_FILE"]),
        ("nothing", Vec::new(), &["EMPTY_FILE"]),
        ("zip", b"PK\x03\x04\x14\x00\x00\x00rest".to_vec(), &["UNSUPPORTED_COMPRESSION"]),
        ("bzip2", b"BZh91AY&SYrest".to_vec(), &["UNSUPPORTED_COMPRESSION"]),
        ("7z", b"7z\xbc\xaf\x27\x1crest".to_vec(), &["UNSUPPORTED_COMPRESSION"]),
        ("xz", b"\xfd7zXZ\x00\x00\x04rest".to_vec(), &["UNSUPPORTED_COMPRESSION"]),
        // A stream header, and a block that asks for a dictionary of 1.5 GiB.
        (
            "xz with a huge dictionary",
            b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x25\x00\x00\x00\xdd\x87\xb3\xb5".to_vec(),
            &["UNSUPPORTED_COMPRESSION"],
        ),
        ("zeros behind gzip", [&packed[..], &[0; 512]].concat(), &["CORRUPT_COMPRESSION"]),
        ("tar.gz", gzip(&tar), &["UNSUPPORTED_ENCODING", "UNKNOWN_FORMAT", "UNSUPPORTED_COMPRESSION"]),
    ] {
        for size in [1, 1 << 20] {
            let import = tenant.upload(upload_of(tenant.spec(), &bytes, size)).await.expect(name);
            let import = tenant.wait(&import.uuid).await;
            assert_eq!(import.status(), ImportStatus::Failed, "{name} by {size}");
            assert!(reasons.contains(&import.last_error_reason()), "{name}: {}", import.last_error_reason());
            assert!(!import.last_error().is_empty());
        }
    }
    // The tenant is none the worse for it.
    assert_eq!(tenant.import(&packed).await.failed_count, 0);
}

async fn bombs_are_stopped(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let bomb = vec![b'a'; 64 << 20];
    for bytes in [gzip(&bomb), zstd(&bomb)] {
        let answer = tenant.upload(upload_of(tenant.spec(), &bytes, 1000)).await;
        // Whichever limit the stream meets first; none of the 64 MiB became a row.
        let status = answer.map(|import| (import.status(), import.last_error_reason().to_owned()));
        match status {
            Ok((status, reason)) => {
                assert_eq!((status, reason.as_str()), (ImportStatus::Failed, "UNKNOWN_FORMAT"))
            }
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}"),
        }
    }
    assert!(tenant.sessions(Default::default()).await.is_empty());
    let header = "external_id,address\n".to_owned();
    let rows = header + &"a,\n".repeat(24 << 20);
    let answer = tenant.upload(upload_of(tenant.spec(), &zstd(rows.as_bytes()), 1000)).await;
    assert_refused(answer, Code::ResourceExhausted, "COMPRESSION_RATIO");
    let imports = tenant
        .client
        .imports()
        .list_imports(carryover::grpc::pb::ListImportsRequest::default())
        .await
        .expect("a list")
        .into_inner()
        .imports;
    let failed = tenant.wait(&imports[0].uuid).await;
    assert_eq!((failed.status(), failed.last_error_reason()), (ImportStatus::Failed, "COMPRESSION_RATIO"));
    assert_eq!(counters(&failed).0, 1, "the rows before are settled, all of one key");
    // Honest text of a high ratio passes: 1:60 and more before the first 10 MiB.
    let honest =
        plain_csv("h", 0, 1) + &format!("h0,Approved,Ana,\"{}\",x\n", "Silva ".repeat(30)).repeat(10_000);
    let import = tenant.import(gzip(honest.as_bytes())).await;
    assert_eq!(
        (import.status(), import.total_rows),
        (ImportStatus::Completed, 10_001),
        "{}",
        import.last_error()
    );
}
