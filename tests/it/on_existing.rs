//! What becomes of rows whose key is known: skipped, or in the place of the record that is there.

use std::collections::{HashMap, HashSet};

use carryover::{
    domain::import::ImportType,
    grpc::pb::{self, OnExisting, RowOutcome},
};
use serde_json::Value;

use crate::{
    harness::{Database, Server, Tenant},
    kinds::{spec_of, table_of},
    on_both_databases, stored,
};

on_both_databases!(
    an_update_keeps_the_place_of_a_record,
    the_first_row_of_a_key_updates_it,
    a_dry_run_tells_what_an_update_would_do,
    two_updates_at_a_time_lose_no_row,
);

const TYPES: [ImportType; 3] =
    [ImportType::UserVerification, ImportType::BusinessVerification, ImportType::Transactions];

/// Rows of a type: keys, and a name that tells which row wrote the record. A row without name fails.
fn csv(import_type: ImportType, rows: &[(String, String)]) -> String {
    let (header, row): (&str, fn(&str, &str) -> String) = match import_type {
        ImportType::UserVerification => ("external_id,created_at,last_name", |key, name| {
            let created = if name.is_empty() { "never" } else { "2024-01-01T00:00:00Z" };
            format!("{key},{created},{name}")
        }),
        ImportType::BusinessVerification => {
            ("external_id,created_at,company_name", |key, name| format!("{key},2024-01-01T00:00:00Z,{name}"))
        }
        ImportType::Transactions => (
            "transaction_id,transaction_at,transaction_category,direction,amount,currency,subject_vendor_data,subject_full_name",
            |key, name| format!("{key},2024-01-01T00:00:00Z,finance,in,5,EUR,c,{name}"),
        ),
        ImportType::StatusRules => ("", |_, _| String::new()),
    };
    let rows: Vec<_> = rows.iter().map(|(key, name)| row(key, name) + "\n").collect();
    format!("{header}\n{}", rows.concat())
}

/// The columns of a table that hold a record's number and the name its row gave it.
fn columns(import_type: ImportType) -> (&'static str, &'static str) {
    match import_type {
        ImportType::BusinessVerification => ("session_number", "company_name"),
        ImportType::Transactions => ("transaction_number", "subject_name"),
        ImportType::UserVerification | ImportType::StatusRules => ("session_number", "last_name"),
    }
}

/// A record as it is kept: its id, number and name.
type Kept = (Value, Value, String);

/// Records of an application by key, of its table or of those that were replaced.
async fn kept(
    server: &Server,
    tenant: &Tenant,
    import_type: ImportType,
    prefix: &str,
) -> Vec<(String, Kept)> {
    let (number, name) = columns(import_type);
    let select = format!(
        "SELECT external_id, id, {number} AS number, {name} AS name FROM {prefix}{} WHERE application_id = {} \
         ORDER BY external_id",
        table_of(import_type),
        stored::id(server, &tenant.application)
    );
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let rows = stored::rows(server, &select).await;
    rows.iter()
        .map(|row| {
            (text(&row["external_id"]), (row["id"].clone(), row["number"].clone(), text(&row["name"])))
        })
        .collect()
}

fn rows(keys: &[&str], name: &str) -> Vec<(String, String)> {
    keys.iter().map(|key| ((*key).to_owned(), format!("{name} {key}"))).collect()
}

fn outcomes(import: &pb::Import) -> (i64, i64, i64, i64) {
    (import.created_count, import.updated_count, import.skipped_count, import.failed_count)
}

async fn an_update_keeps_the_place_of_a_record(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "2"]).await;
    for import_type in TYPES {
        let tenant = server.tenant().await;
        let skip = spec_of(&server, &tenant, import_type).await;
        let update = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..skip.clone() };
        let import = async |spec: &pb::ImportSpec, rows: &[(String, String)]| {
            tenant.import_as(spec.clone(), csv(import_type, rows)).await.expect("an import")
        };
        let first = import(&skip, &rows(&["a", "b", "c"], "old")).await;
        assert_eq!(
            (outcomes(&first), first.on_existing()),
            ((3, 0, 0, 0), OnExisting::Skip),
            "{import_type:?}"
        );
        let before = kept(&server, &tenant, import_type, "").await;

        let again = import(&skip, &rows(&["a", "b", "c"], "ignored")).await;
        assert_eq!(outcomes(&again), (0, 0, 3, 0), "{import_type:?}: skipping is the default");
        assert_eq!(kept(&server, &tenant, import_type, "").await, before);

        let mut changed = rows(&["c", "d", "a"], "new");
        changed.push(("b".to_owned(), String::new()));
        let updated = import(&update, &changed).await;
        assert_eq!((outcomes(&updated), updated.on_existing()), ((1, 2, 0, 1), OnExisting::Update));
        let after = kept(&server, &tenant, import_type, "").await;
        let names: Vec<_> = after.iter().map(|(_, (_, _, name))| name.as_str()).collect();
        assert_eq!(
            names,
            ["new a", "old b", "new c", "new d"],
            "{import_type:?}: a row that fails changes nothing"
        );
        for ((key, (id, number, _)), (_, (old_id, old_number, _))) in after.iter().zip(&before) {
            assert_eq!(
                (id, number),
                (old_id, old_number),
                "{import_type:?}: {key} keeps its id and its number"
            );
        }
        let replaced = kept(&server, &tenant, import_type, "replaced_").await;
        let expected: Vec<_> = before.iter().filter(|(key, _)| key != "b").cloned().collect();
        assert_eq!(replaced, expected, "{import_type:?}: what was there is kept for a revert");
        let exported = tenant.export(&updated.uuid, &[RowOutcome::Updated]).await;
        assert_eq!(String::from_utf8(exported).expect("text").lines().count(), 3, "the header and two rows");

        // A second update keeps what the first one had made, beside what was there before that.
        import(&update, &rows(&["a"], "newest")).await;
        let replaced = kept(&server, &tenant, import_type, "replaced_").await;
        let mut of_a: Vec<_> =
            replaced.iter().filter(|(key, _)| key == "a").map(|(_, kept)| &kept.2).collect();
        of_a.sort();
        assert_eq!(of_a, ["new a", "old a"], "{import_type:?}");
    }
}

/// What must become of each row when `known` are there before.
fn expected(rows: &[(String, String)], known: &[String]) -> Vec<RowOutcome> {
    let mut met = HashSet::new();
    rows.iter()
        .map(|(key, name)| match () {
            () if name.is_empty() => RowOutcome::Failed,
            () if !met.insert(key) => RowOutcome::Skipped,
            () if known.contains(key) => RowOutcome::Updated,
            () => RowOutcome::Created,
        })
        .collect()
}

/// Rows whose keys stand several times, half of them known, some of them without a name.
fn repetitive(count: usize, seed: u64) -> Vec<(String, String)> {
    let mut random = fastrand::Rng::with_seed(seed);
    (1..=count)
        .map(|row| {
            let name = if random.u8(..12) == 0 { String::new() } else { format!("row {row}") };
            (format!("k{}", random.usize(..count / 3)), name)
        })
        .collect()
}

fn known_keys(count: usize) -> Vec<String> {
    (0..count / 6).map(|n| format!("k{n}")).collect()
}

async fn check(
    tenant: &Tenant,
    import: &pb::Import,
    import_type: ImportType,
    rows: &[(String, String)],
    known: &[String],
) {
    let expected = expected(rows, known);
    let count = |outcome| expected.iter().filter(|found| **found == outcome).count() as i64;
    let wanted = (
        count(RowOutcome::Created),
        count(RowOutcome::Updated),
        count(RowOutcome::Skipped),
        count(RowOutcome::Failed),
    );
    assert_eq!((outcomes(import), import.duplicate_count), (wanted, wanted.2), "{import_type:?}");
    let file = csv(import_type, rows);
    let lines: Vec<_> = file.lines().collect();
    for outcome in [RowOutcome::Created, RowOutcome::Updated, RowOutcome::Skipped, RowOutcome::Failed] {
        let exported = String::from_utf8(tenant.export(&import.uuid, &[outcome]).await).expect("text");
        let of_outcome = expected.iter().zip(&lines[1..]).filter(|(found, _)| **found == outcome);
        let wanted: Vec<_> = std::iter::once(lines[0]).chain(of_outcome.map(|(_, line)| *line)).collect();
        assert_eq!(
            exported.lines().collect::<Vec<_>>(),
            wanted,
            "{import_type:?}: the ledger's {outcome:?} rows"
        );
    }
}

async fn the_first_row_of_a_key_updates_it(database: Database) {
    const ROWS: usize = 120;
    for segment_rows in ["1", "2", "3"] {
        // Many small segments in flight, so that later ones overtake earlier ones.
        let flags = ["--segment-rows", segment_rows, "--segments-in-flight", "4"];
        let server = Server::start_with(database, &flags).await;
        for (seed, import_type) in (0..).zip(TYPES) {
            let tenant = server.tenant().await;
            let skip = spec_of(&server, &tenant, import_type).await;
            let update = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..skip.clone() };
            let known = known_keys(ROWS);
            let old: Vec<_> = known.iter().map(|key| (key.clone(), format!("old {key}"))).collect();
            tenant.import_as(skip, csv(import_type, &old)).await.expect("an import");
            let before: HashMap<_, _> = kept(&server, &tenant, import_type, "").await.into_iter().collect();

            let rows = repetitive(ROWS, seed);
            let import = tenant.import_as(update, csv(import_type, &rows)).await.expect("an import");
            check(&tenant, &import, import_type, &rows, &known).await;
            let after: HashMap<_, _> = kept(&server, &tenant, import_type, "").await.into_iter().collect();
            let mut wanted: HashMap<&str, &str> = HashMap::new();
            for (key, name) in rows.iter().filter(|(_, name)| !name.is_empty()) {
                wanted.entry(key).or_insert(name);
            }
            for (key, (id, number, name)) in &after {
                let untouched = format!("old {key}");
                let wanted = wanted.get(key.as_str()).copied().unwrap_or(&untouched);
                assert_eq!(name, wanted, "{import_type:?}: {key}, segments of {segment_rows}");
                if let Some((old_id, old_number, _)) = before.get(key) {
                    assert_eq!((id, number), (old_id, old_number), "{import_type:?}: {key}");
                }
            }
            let replaced = kept(&server, &tenant, import_type, "replaced_").await;
            assert_eq!(replaced.len() as i64, import.updated_count, "{import_type:?}: one a key");
            for (key, old) in &replaced {
                assert_eq!(old, &before[key], "{import_type:?}: {key} as it was before the import");
            }
        }
    }
}

async fn a_dry_run_tells_what_an_update_would_do(database: Database) {
    const ROWS: usize = 120;
    let flags = ["--segment-rows", "3", "--segments-in-flight", "4"];
    let server = Server::start_with(database, &flags).await;
    for (seed, import_type) in (10..).zip(TYPES) {
        let tenant = server.tenant().await;
        let skip = spec_of(&server, &tenant, import_type).await;
        let known = known_keys(ROWS);
        let old: Vec<_> = known.iter().map(|key| (key.clone(), format!("old {key}"))).collect();
        tenant.import_as(skip.clone(), csv(import_type, &old)).await.expect("an import");
        let before = kept(&server, &tenant, import_type, "").await;
        let rows = repetitive(ROWS, seed);
        let update = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..skip };
        let dry = pb::ImportSpec { dry_run: true, ..update.clone() };
        for _ in 0..2 {
            let import = tenant.import_as(dry.clone(), csv(import_type, &rows)).await.expect("a dry run");
            check(&tenant, &import, import_type, &rows, &known).await;
            assert_eq!(
                kept(&server, &tenant, import_type, "").await,
                before,
                "{import_type:?}: nothing is changed"
            );
            assert!(kept(&server, &tenant, import_type, "replaced_").await.is_empty(), "{import_type:?}");
        }
        let real = tenant.import_as(update, csv(import_type, &rows)).await.expect("an import");
        check(&tenant, &real, import_type, &rows, &known).await;
    }
}

async fn two_updates_at_a_time_lose_no_row(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "10", "--segments-in-flight", "4"]).await;
    let tenant = server.tenant().await;
    let request = pb::UpdateApplicationRequest {
        application_id: tenant.application.clone(),
        max_active_imports: Some(2),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("a higher limit");
    let import_type = ImportType::UserVerification;
    let update = pb::ImportSpec { on_existing: OnExisting::Update as i32, ..tenant.spec() };
    let named = |name: &str| -> String {
        let rows: Vec<_> = (0..200).map(|n| (format!("k{n:03}"), format!("{name} {n}"))).collect();
        csv(import_type, &rows)
    };
    let (one, two) = tokio::join!(
        tenant.import_as(update.clone(), named("one")),
        tenant.import_as(update.clone(), named("two"))
    );
    let (one, two) = (one.expect("an import"), two.expect("an import"));
    assert_eq!(one.created_count + two.created_count, 200, "each key is new once");
    assert_eq!(one.updated_count + two.updated_count, 200, "and updated once");
    let after = kept(&server, &tenant, import_type, "").await;
    assert_eq!(after.len(), 200);
    let numbers: HashSet<_> = after.iter().map(|(_, (_, number, _))| number.to_string()).collect();
    assert_eq!(numbers.len(), 200, "no number is given twice");
    assert_eq!(kept(&server, &tenant, import_type, "replaced_").await.len(), 200);
}
