//! What is stored under an encryption key, and what becomes of it when somebody changes it.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use carryover::{
    domain::{
        ids::{ApplicationId, ImportId},
        segment::{SegmentKind, SegmentRange},
    },
    objects::{Error, Keys, Objects, Resealed, Sha256},
};
use futures_util::TryStreamExt;
use proptest::prelude::*;
use sha2::Digest;
use tokio::runtime::Runtime;
use uuid::Uuid;

pub const OLD: &str = "2023:1111111111111111111111111111111111111111111111111111111111111111";
pub const NEW: &str = "2024:2222222222222222222222222222222222222222222222222222222222222222";
/// Called as the old one, and another key.
pub const FALSE: &str = "2023:3333333333333333333333333333333333333333333333333333333333333333";

/// A file of these keys; gone with this.
pub fn key_file(keys: &[&str]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    writeln!(file, "{}", keys.join("\n")).expect("written");
    file
}

pub fn keys(keys: &[&str]) -> Keys {
    Keys::read(key_file(keys).path()).expect("keys")
}

fn open(folder: &Path, with: &[&str]) -> Objects {
    let objects = Objects::open_folder(folder).expect("a folder");
    if with.is_empty() { objects } else { objects.with_keys(keys(with)) }
}

const ANNA: ApplicationId = ApplicationId(Uuid::from_u128(7));
const BEN: ApplicationId = ApplicationId(Uuid::from_u128(8));
const IMPORT: ImportId = ImportId(Uuid::from_u128(9));

fn segment(seq: i32, bytes: &[u8]) -> SegmentRange {
    SegmentRange {
        seq,
        kind: SegmentKind::Records,
        first_row: 1,
        rows: 1,
        byte_offset: 0,
        bytes: bytes.len() as i32,
        preamble: 0,
        first_line: 1,
        crc32c: crc32c::crc32c(bytes),
        revision: 0,
    }
}

fn object(folder: &Path, of: ApplicationId, seq: i32) -> PathBuf {
    folder.join(format!("imports/{of}/{IMPORT}/{seq:08}"))
}

/// More than one chunk, none of them like another.
fn content(size: usize) -> Vec<u8> {
    (0..size).map(|n| (n % 251) as u8 ^ (n / 65_536) as u8).collect()
}

async fn medium(objects: &Objects, bytes: &[u8]) -> Sha256 {
    let sha256 = sha2::Sha256::digest(bytes).into();
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(bytes).expect("written");
    objects.put_medium(ANNA, &sha256, "image/jpeg", &file).await.expect("stored");
    sha256
}

/// M026: without its key, or with another of its name, one is told so.
#[tokio::test]
async fn what_is_sealed_opens_with_its_key_only() {
    let folder = tempfile::tempdir().expect("a folder");
    let sealed = open(folder.path(), &[OLD]);
    for (seq, size) in [0, 1, 65_535, 65_536, 65_537, 131_072, 200_000].into_iter().enumerate() {
        let bytes = content(size);
        let range = segment(seq as i32, &bytes);
        sealed.put_segment(ANNA, IMPORT, &range, bytes.clone().into()).await.expect("stored");
        let on_disk = std::fs::read(object(folder.path(), ANNA, range.seq)).expect("an object");
        assert_eq!(on_disk.len(), 116 + size + size.div_ceil(65_536) * 16);
        assert!(size < 64 || !on_disk.windows(16).any(|window| window == &bytes[..16]));
        for with in [&[OLD][..], &[NEW, OLD]] {
            let read = open(folder.path(), with).get_segment(ANNA, IMPORT, &range).await;
            assert!(read.expect("opens") == bytes, "{size}");
        }
        let missing = open(folder.path(), &[]).get_segment(ANNA, IMPORT, &range).await.expect_err("no key");
        assert!(matches!(&missing, Error::NoKey { name } if name == "2023"), "{missing:?}");
        let wrong = open(folder.path(), &[NEW, FALSE]).get_segment(ANNA, IMPORT, &range).await;
        let wrong = wrong.expect_err("another key");
        assert!(matches!(&wrong, Error::OtherKey { name } if name == "2023"), "{wrong:?}");
        assert!(!missing.is_loss() && !wrong.is_loss(), "nothing is lost");
    }
}

/// A source may hold what a sealed object begins with.
#[tokio::test]
async fn what_looks_sealed_is_read_as_it_was_sent() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = [b"\xffsealed\x012023".to_vec(), vec![0; 200]].concat();
    for (seq, with) in [&[][..], &[OLD]].into_iter().enumerate() {
        let (objects, range) = (open(folder.path(), with), segment(seq as i32, &bytes));
        objects.put_segment(ANNA, IMPORT, &range, bytes.clone().into()).await.expect("stored");
        assert!(objects.get_segment(ANNA, IMPORT, &range).await.expect("read") == bytes);
    }
}

/// Whatever byte is changed, left out or taken from elsewhere, nobody reads what was not stored.
#[tokio::test]
async fn what_was_changed_does_not_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = open(folder.path(), &[OLD]);
    let (one, other) = (b"a,ann,Approved\n", b"b,bob,Declined\n");
    let (first, second) = (segment(0, one), segment(1, other));
    objects.put_segment(ANNA, IMPORT, &first, one[..].into()).await.expect("stored");
    objects.put_segment(ANNA, IMPORT, &second, other[..].into()).await.expect("stored");
    let path = object(folder.path(), ANNA, 0);
    let sealed = std::fs::read(&path).expect("an object");
    let refused = async |changed: &[u8], what: &str| {
        std::fs::write(&path, changed).expect("written");
        let error = objects.get_segment(ANNA, IMPORT, &first).await.expect_err(what);
        assert!(error.is_loss() || error.is_of_keys(), "{what}: {error:?}");
        error
    };
    for at in 0..sealed.len() {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        let error = refused(&changed, &format!("byte {at}")).await;
        // What is no longer called sealed is plain, and so is not what was stored.
        let is_plain = matches!(error, Error::Damaged { .. });
        assert_eq!(is_plain, at < 8, "byte {at}: {error:?}");
        refused(&sealed[..at], &format!("{at} bytes")).await;
    }
    let error = refused(&[&sealed[..], b"x"].concat(), "a byte more").await;
    assert!(matches!(error, Error::Altered), "{error:?}");

    let swapped = std::fs::read(object(folder.path(), ANNA, 1)).expect("an object");
    let error = refused(&swapped, "another segment").await;
    assert!(matches!(error, Error::Altered), "{error:?}");
    let error = refused(&[&sealed[..116], &swapped[116..]].concat(), "content of another").await;
    assert!(matches!(error, Error::Altered), "{error:?}");

    // A copy that is another tenant's.
    std::fs::create_dir_all(object(folder.path(), BEN, 0).parent().expect("a folder")).expect("made");
    std::fs::write(object(folder.path(), BEN, 0), &sealed).expect("written");
    let error = objects.get_segment(BEN, IMPORT, &first).await.expect_err("a copy");
    assert!(matches!(error, Error::Altered), "{error:?}");
    std::fs::write(&path, &sealed).expect("written");
    assert_eq!(&objects.get_segment(ANNA, IMPORT, &first).await.expect("as it was")[..], one);
}

#[tokio::test]
async fn chunks_stay_where_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = open(folder.path(), &[OLD]);
    let bytes = content(3 * 65_536);
    let range = segment(0, &bytes);
    objects.put_segment(ANNA, IMPORT, &range, bytes.into()).await.expect("stored");
    let path = object(folder.path(), ANNA, 0);
    let sealed = std::fs::read(&path).expect("an object");
    let (head, chunks) = sealed.split_at(116);
    let chunk = |n: usize| &chunks[n * 65_552..(n + 1) * 65_552];
    for order in [vec![1, 0, 2], vec![0, 1, 1], vec![0, 0, 1, 2], vec![0, 1], vec![1, 2], vec![0, 2, 1]] {
        let changed = order.iter().flat_map(|n| chunk(*n).iter().copied());
        let changed: Vec<_> = head.iter().copied().chain(changed).collect();
        std::fs::write(&path, changed).expect("written");
        let error = objects.get_segment(ANNA, IMPORT, &range).await.expect_err("moved");
        assert!(matches!(error, Error::Altered), "{order:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_medium_that_was_changed_breaks_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let objects = open(folder.path(), &[OLD]);
    let bytes = content(200_000);
    let sha256 = medium(&objects, &bytes).await;
    let path = folder.path().join(format!("media/{ANNA}/{}", hex::encode(sha256)));
    let sealed = std::fs::read(&path).expect("an object");
    let mut changed = sealed.clone();
    changed[116 + 65_552 + 5] ^= 1;
    std::fs::write(&path, &changed).expect("written");
    let read = async |range: std::ops::Range<u64>| {
        let found = objects.find_medium(ANNA, &sha256).await?.expect("it is there");
        assert_eq!(found.size(), 200_000);
        let parts = objects.read_medium(found, range).await?.expect("it is there");
        parts.try_collect::<Vec<_>>().await.map(|parts| parts.concat()).map_err(Error::Medium)
    };
    assert_eq!(read(10..65_536).await.expect("the part before"), bytes[10..65_536]);
    assert_eq!(read(131_072..200_000).await.expect("the part behind"), bytes[131_072..]);
    for range in [0..200_000, 65_535..65_537, 131_071..131_073] {
        read(range).await.expect_err("the part itself");
    }
    for cut in [sealed.len() - 1, 131_220, 116, 50] {
        std::fs::write(&path, &sealed[..cut]).expect("written");
        let error = read(0..10).await.expect_err("cut off");
        assert!(matches!(error, Error::Altered), "{cut}: {error:?}");
    }
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Any part of any medium is what it is of the plain one.
    #[test]
    fn parts_are_those_of_the_plain_medium(
        size in prop_oneof![1_usize..300_000, (1_usize..4, -2_i64..3).prop_map(|(n, d)| (n as i64 * 65_536 + d) as usize)],
        parts in proptest::collection::vec((0_f64..1.0, 0_f64..1.0), 1..8),
    ) {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = content(size);
        RUNTIME.block_on(async {
            let objects = open(folder.path(), &[OLD]);
            let sha256 = medium(&objects, &bytes).await;
            for (start, length) in parts {
                let start = (start * size as f64) as usize;
                let end = start + 1 + (length * (size - start - 1) as f64) as usize;
                let found = objects.find_medium(ANNA, &sha256).await.expect("an answer").expect("it is there");
                assert_eq!(found.size(), size as u64);
                let read = objects.read_medium(found, start as u64..end as u64).await.expect("an answer");
                let read: Vec<_> = read.expect("it is there").try_collect().await.expect("bytes");
                assert!(read.concat() == bytes[start..end], "{start}..{end} of {size}");
            }
        });
    }
}

#[tokio::test]
async fn resealing_takes_up_what_is_plain_and_what_is_old() {
    let folder = tempfile::tempdir().expect("a folder");
    let (plain, old, both) =
        (open(folder.path(), &[]), open(folder.path(), &[OLD]), open(folder.path(), &[NEW, OLD]));
    let bytes = content(100_000);
    for (seq, objects) in [(0, &plain), (1, &old), (2, &both)] {
        objects.take_up_keys().await.expect("noted");
        let put = objects.put_segment(ANNA, IMPORT, &segment(seq, &bytes), bytes.clone().into()).await;
        put.expect("stored");
    }
    let (of_plain, of_old) = (medium(&plain, b"plain medium").await, medium(&old, b"old medium").await);
    open(folder.path(), &[NEW]).check_keys().await.expect_err("the old one is in use");
    assert_eq!(plain.reseal().await.expect("nothing"), Resealed::default());

    let done = both.reseal().await.expect("resealed");
    let retired = vec!["2023".to_owned()];
    assert_eq!(done, Resealed { resealed: 4, kept: 1, retired, ..Resealed::default() });
    let again = both.reseal().await.expect("nothing is left");
    assert_eq!(again, Resealed { kept: 5, ..Resealed::default() });
    let new = open(folder.path(), &[NEW]);
    new.check_keys().await.expect("the old one is not needed");
    for seq in 0..3 {
        let read = new.get_segment(ANNA, IMPORT, &segment(seq, &bytes)).await.expect("opens");
        assert!(read == bytes);
    }
    for sha256 in [of_plain, of_old] {
        new.find_medium(ANNA, &sha256).await.expect("opens").expect("it is there");
        plain.find_medium(ANNA, &sha256).await.map(drop).expect_err("sealed");
    }
    plain.check_keys().await.expect_err("the new one is in use");

    // What cannot be opened stays as it is, and its key is still needed.
    let path = object(folder.path(), ANNA, 1);
    let mut altered = std::fs::read(&path).expect("an object");
    altered[200] ^= 1;
    std::fs::write(&path, &altered).expect("written");
    let back = open(folder.path(), &[OLD, NEW]).reseal().await.expect("an answer");
    assert_eq!((back.resealed, back.failed, back.retired.len()), (4, 1, 0));
    assert_eq!(std::fs::read(&path).expect("an object"), altered);
}

/// Erasing and resealing race for the same objects: what was deleted is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resealing_brings_nothing_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let old = Arc::new(open(folder.path(), &[OLD]));
    let bytes = content(50_000);
    for round in 0..40 {
        for seq in 0..8 {
            let put = old.put_segment(ANNA, IMPORT, &segment(seq, &bytes), bytes.clone().into()).await;
            put.expect("stored");
        }
        let with = if round % 2 == 0 { [NEW, OLD] } else { [OLD, NEW] };
        let both = Arc::new(open(folder.path(), &with));
        let resealing = tokio::spawn({
            let both = both.clone();
            async move { both.reseal().await.expect("resealed") }
        });
        let deleting = tokio::spawn({
            let (old, bytes) = (old.clone(), bytes.clone());
            async move {
                for seq in 0..7 {
                    tokio::time::sleep(std::time::Duration::from_micros(fastrand::u64(0..1500))).await;
                    old.delete_segment(ANNA, IMPORT, &segment(seq, &bytes)).await.expect("deleted");
                }
            }
        });
        let done = resealing.await.expect("ends");
        deleting.await.expect("ends");
        assert_eq!(done.failed, 0, "{done:?}");
        let left: Vec<_> = std::fs::read_dir(object(folder.path(), ANNA, 0).parent().expect("a folder"))
            .expect("a folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
            .collect();
        assert_eq!(left, ["00000007"], "round {round}");
        assert!(both.get_segment(ANNA, IMPORT, &segment(7, &bytes)).await.expect("opens") == bytes);
    }
}
