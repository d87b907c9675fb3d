//! Packed uploads.

use carryover::grpc::pb::{self, Compression, ImportStatus};
use tonic::Code;

use crate::{
    harness::{Database, Server, Tenant, assert_refused, counters, gzip, plain_csv, upload_of, zstd},
    on_both_databases,
};

on_both_databases!(
    packed_files_are_read,
    the_first_bytes_tell_the_packing_not_the_name,
    broken_packed_files_fail,
    bombs_are_stopped,
    honest_text_of_a_high_ratio_passes,
    gzip_headers_may_be_large,
);

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

/// F008 and F007: a name is a word of the sender, and the packing is seen.
async fn the_first_bytes_tell_the_packing_not_the_name(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let csv = b"external_id,status\na,Approved\n".to_vec();
    let json = b"{\"external_id\":\"a\"}\n".to_vec();
    type Ending = Result<(pb::SourceFormat, Compression), &'static str>;
    let (of_csv, of_json) = (pb::SourceFormat::Csv, pb::SourceFormat::Ndjson);
    let cases: [(&str, Vec<u8>, Ending); 14] = [
        ("export.csv.gz", gzip(&csv), Ok((of_csv, Compression::Gzip))),
        ("export.csv.gz", csv.clone(), Ok((of_csv, Compression::None))),
        ("export.csv", gzip(&csv), Ok((of_csv, Compression::Gzip))),
        ("export.csv.gz", zstd(&csv), Ok((of_csv, Compression::Zstd))),
        ("EXPORT.CSV.ZST", gzip(&csv), Ok((of_csv, Compression::Gzip))),
        ("export.gz", gzip(&csv), Ok((of_csv, Compression::Gzip))),
        ("export.gz", json.clone(), Ok((of_json, Compression::None))),
        ("export.ndjson.gz", gzip(&json), Ok((of_json, Compression::Gzip))),
        ("export.jsonl.zst", json.clone(), Ok((of_json, Compression::None))),
        ("export.zip", zstd(&json), Ok((of_json, Compression::Zstd))),
        // What is inside is another matter: there a name is believed.
        ("export.csv.gz", gzip(&json), Err("MISSING_COLUMN")),
        ("export.csv.gz", Vec::new(), Err("EMPTY_FILE")),
        ("export.csv.gz", gzip(b""), Err("EMPTY_FILE")),
        ("export.csv.gz", b"\x1f\x8b".to_vec(), Err("CORRUPT_COMPRESSION")),
    ];
    for (name, bytes, ending) in cases {
        let spec = pb::ImportSpec { source_filename: name.to_owned(), ..tenant.spec() };
        let import = tenant.import_as(spec, &bytes).await.expect(name);
        let start = bytes[..bytes.len().min(8)].escape_ascii();
        match ending {
            Ok(shape) => {
                assert_eq!(
                    (import.status(), import.total_rows, import.failed_count),
                    (ImportStatus::Completed, 1, 0),
                    "{name} with {start}: {}",
                    import.last_error()
                );
                assert_eq!((import.source_format(), import.compression()), shape, "{name} with {start}");
            }
            Err(reason) => {
                assert_eq!(
                    (import.status(), import.last_error_reason()),
                    (ImportStatus::Failed, reason),
                    "{name} with {start}"
                );
            }
        }
    }
}

async fn newest(tenant: &Tenant) -> pb::Import {
    let request = pb::ListImportsRequest { page_size: 1, ..Default::default() };
    let page = tenant.client.imports().list_imports(request).await.expect("a list").into_inner();
    tenant.wait(&page.imports[0].uuid).await
}

/// F010.
async fn bombs_are_stopped(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    // Whatever the bytes would be, a header, one record or many, it is the ratio that ends them.
    let header = b"external_id,address\n".to_vec();
    let one = [&header[..], b"a,", &[b'a'; 32 << 20]].concat();
    let many = [&header[..], &b"a,the same street and the same house\n".repeat(1 << 20)].concat();
    let blank = [&header[..], &[b'\n'; 32 << 20]].concat();
    for (name, bytes, created) in [
        ("one record in gzip", gzip(&one), 0),
        ("one record in zstd", zstd(&one), 0),
        ("one record of 256 MiB in zstd", zstd(&[&one[..], &[b'a'; 224 << 20]].concat()), 0),
        ("blank lines in gzip", gzip(&blank), 0),
        ("rows in zstd", zstd(&many), 1),
    ] {
        let answer = tenant.upload(upload_of(tenant.spec(), &bytes, 1000)).await;
        let status = assert_refused(answer, Code::ResourceExhausted, "COMPRESSION_RATIO");
        assert!(!status.message().is_empty(), "{name}");
        let failed = newest(&tenant).await;
        assert_eq!(
            (failed.status(), failed.last_error_reason()),
            (ImportStatus::Failed, "COMPRESSION_RATIO"),
            "{name}"
        );
        assert_eq!(failed.created_count, created, "{name}: the rows before are settled, all of one key");
        assert!(failed.source_bytes < 16 << 20, "{name}: no more was stored than {}", failed.source_bytes);
    }
    assert_eq!(tenant.sessions(Default::default()).await.len(), 1);
    // Where no header is found, the first bytes end it.
    for bytes in [gzip(&[b'a'; 16 << 20]), zstd(&[b'a'; 16 << 20])] {
        let import = tenant.upload(upload_of(tenant.spec(), &bytes, 1000)).await.expect("an answer");
        let import = tenant.wait(&import.uuid).await;
        assert_eq!((import.status(), import.last_error_reason()), (ImportStatus::Failed, "UNKNOWN_FORMAT"));
    }
}

/// F012: well above the 10 MiB from which on the ratio counts.
async fn honest_text_of_a_high_ratio_passes(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    const ROWS: usize = 5_000;
    let notes = "checked by hand and nothing to say. ".repeat(110);
    let mut random = fastrand::Rng::with_seed(12);
    let rows = (0..ROWS).map(|n| format!("h{n},Approved,{:032x},{notes}\n", random.u128(..)));
    let csv = "external_id,status,first_name,notes\n".to_owned() + &rows.collect::<String>();
    assert!(csv.len() > 18 << 20, "{} bytes", csv.len());
    for (packed, created) in [(gzip(csv.as_bytes()), true), (zstd(csv.as_bytes()), false)] {
        let ratio = csv.len() / packed.len();
        assert!((60..200).contains(&ratio), "high, and below what is refused: 1:{ratio}");
        let import = tenant.import(&packed).await;
        assert_eq!(import.status(), ImportStatus::Completed, "1:{ratio}: {}", import.last_error());
        let rows = ROWS as i64;
        assert_eq!(counters(&import), if created { (rows, 0, 0) } else { (0, rows, 0) }, "1:{ratio}");
    }
}

/// F015: what a header of gzip may hold besides, which is passed over.
async fn gzip_headers_may_be_large(database: Database) {
    let server = Server::start(database).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("g", 0, 3);
    let with = |extra: usize, name: usize, comment: usize| {
        let builder = flate2::GzBuilder::new()
            .extra(vec![0xff; extra])
            .filename(vec![b'n'; name])
            .comment(vec![b'c'; comment]);
        let mut encoder = builder.write(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut encoder, csv.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    };
    for (what, bytes) in [
        ("the largest extra field", with(0xffff, 1, 1)),
        ("a name of 1 MiB", with(1, 1 << 20, 1)),
        ("a comment of 1 MiB", with(1, 1, 1 << 20)),
        ("all of them", with(0xffff, 1 << 20, 1 << 20)),
    ] {
        let import = tenant.import(&bytes).await;
        assert_eq!(import.status(), ImportStatus::Completed, "{what}: {}", import.last_error());
        assert_eq!((import.total_rows, import.source_bytes), (3, csv.len() as i64), "{what}");
        // And one that ends within.
        let import = tenant.import(&bytes[..bytes.len() / 2]).await;
        assert_eq!(
            (import.status(), import.last_error_reason()),
            (ImportStatus::Failed, "CORRUPT_COMPRESSION"),
            "half of {what}"
        );
    }
}
