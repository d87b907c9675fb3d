//! Keys that stand twice: the first in file order wins, whatever is written first, and the ledger,
//! the counters and the records tell the same story.

use std::collections::{HashMap, HashSet};

use carryover::grpc::pb::{self, RowOutcome};

use crate::{
    harness::{Database, Server, Tenant, chunk, counters, finish, plain_csv, resume},
    on_both_databases, stored as tables,
    waits::eventually,
};

on_both_databases!(
    the_first_of_each_key_wins,
    any_imports_one_after_another_add_up,
    a_dry_run_tells_what_an_import_would_do,
    a_dry_run_leaves_no_keys_behind,
    two_imports_race_for_the_same_keys
);

/// Rows whose keys stand up to ten times, many far apart, some with a rule broken.
fn repetitive(rows: usize, seed: u64) -> Vec<(String, bool)> {
    let mut random = fastrand::Rng::with_seed(seed);
    (0..rows).map(|_| (format!("k{}", random.usize(..rows / 3)), random.u8(..20) == 0)).collect()
}

fn csv(rows: &[(String, bool)]) -> String {
    let mut csv = String::from("external_id,status,first_name\n");
    for (n, (key, broken)) in rows.iter().enumerate() {
        let status = if *broken { "broken" } else { "Approved" };
        csv.push_str(&format!("{key},{status},row {}\n", n + 1));
    }
    csv
}

/// What must become of every row: a row that breaks a rule leaves its key free.
fn expected(rows: &[(String, bool)]) -> Vec<RowOutcome> {
    let mut known = HashSet::new();
    rows.iter()
        .map(|(key, broken)| match broken {
            true => RowOutcome::Failed,
            false if known.insert(key) => RowOutcome::Created,
            false => RowOutcome::Skipped,
        })
        .collect()
}

async fn check(tenant: &Tenant, import: &pb::Import, rows: &[(String, bool)], records: bool) {
    let expected = expected(rows);
    let count = |outcome| expected.iter().filter(|found| **found == outcome).count() as i64;
    assert_eq!(
        counters(import),
        (count(RowOutcome::Created), count(RowOutcome::Skipped), count(RowOutcome::Failed))
    );
    assert_eq!(import.duplicate_count, import.skipped_count);
    let lines: Vec<_> = csv(rows).lines().map(str::to_owned).collect();
    for outcome in [RowOutcome::Created, RowOutcome::Skipped, RowOutcome::Failed] {
        let file = String::from_utf8(tenant.export(&import.uuid, &[outcome]).await).expect("text");
        let wanted =
            expected.iter().zip(&lines[1..]).filter(|(found, _)| **found == outcome).map(|(_, line)| line);
        let wanted: Vec<_> = std::iter::once(&lines[0]).chain(wanted).cloned().collect();
        assert_eq!(file.lines().collect::<Vec<_>>(), wanted, "the ledger's {outcome:?} rows");
    }
    if records {
        let sessions = tenant.sessions(pb::ListSessionsRequest::default()).await;
        let found: HashMap<_, _> =
            sessions.into_iter().map(|s| (s.row_number, s.full_name.expect("a name"))).collect();
        let wanted: HashMap<_, _> = expected
            .iter()
            .zip(1..)
            .filter(|(outcome, _)| **outcome == RowOutcome::Created)
            .map(|(_, row)| (row, format!("row {row}")))
            .collect();
        assert_eq!(found, wanted);
    }
}

async fn the_first_of_each_key_wins(database: Database) {
    // Many small segments in flight, so that later ones overtake earlier ones.
    let flags = ["--segment-rows", "7", "--segments-in-flight", "4"];
    let server = Server::start_with(database, &flags).await;
    for seed in 0..4 {
        let tenant = server.tenant().await;
        let rows = repetitive(600, seed);
        let import = tenant.import(csv(&rows)).await;
        check(&tenant, &import, &rows, true).await;
    }
}

/// What must become of every row of a file, where some keys are known before; `known` learns the new ones.
/// It holds the row that wrote each.
fn outcomes(
    rows: &[(String, bool)],
    known: &mut HashMap<String, i64>,
    on_existing: pb::OnExisting,
) -> Vec<RowOutcome> {
    let before = known.clone();
    let mut seen = HashSet::new();
    let of_row = |((key, broken), row): (&(String, bool), i64)| {
        if *broken {
            return RowOutcome::Failed;
        }
        let is_first = seen.insert(key.clone());
        let outcome = match (is_first, before.contains_key(key), on_existing) {
            (true, false, _) => RowOutcome::Created,
            (true, true, pb::OnExisting::Update) => RowOutcome::Updated,
            _ => return RowOutcome::Skipped,
        };
        known.insert(key.clone(), row);
        outcome
    };
    rows.iter().zip(1..).map(of_row).collect()
}

/// Other files at every run; a failure names its seed.
async fn any_imports_one_after_another_add_up(database: Database) {
    const OUTCOMES: [RowOutcome; 4] =
        [RowOutcome::Created, RowOutcome::Updated, RowOutcome::Skipped, RowOutcome::Failed];
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    let segment_rows = random.usize(1..40).to_string();
    let flags = ["--segment-rows", &segment_rows, "--segments-in-flight", "4"];
    let server = Server::start_with(database, &flags).await;
    for tenant in [server.tenant().await, server.tenant().await] {
        let mut known = HashMap::new();
        for file in 0..4 {
            let name = format!("seed {seed}, file {file}, segments of {segment_rows}");
            let rows = repetitive(random.usize(3..400), random.u64(..));
            let on_existing = [pb::OnExisting::Skip, pb::OnExisting::Update][random.usize(..2)];
            let dry_run = random.u8(..4) == 0;
            let spec = pb::ImportSpec { on_existing: on_existing as i32, dry_run, ..tenant.spec() };
            let mut after = known.clone();
            let expected = outcomes(&rows, &mut after, on_existing);
            let import = tenant.import_as(spec, csv(&rows)).await.expect("an import");
            let count = |outcome| expected.iter().filter(|found| **found == outcome).count() as i64;
            assert_eq!(
                [import.created_count, import.updated_count, import.skipped_count, import.failed_count],
                OUTCOMES.map(count),
                "{name}"
            );
            let lines: Vec<_> = csv(&rows).lines().map(str::to_owned).collect();
            for outcome in OUTCOMES {
                let found = String::from_utf8(tenant.export(&import.uuid, &[outcome]).await).expect("text");
                let wanted = expected.iter().zip(&lines[1..]).filter(|(found, _)| **found == outcome);
                let wanted: Vec<_> = wanted.map(|(_, line)| line.as_str()).collect();
                assert_eq!(
                    found.lines().skip(1).collect::<Vec<_>>(),
                    wanted,
                    "{name}: the ledger's {outcome:?}"
                );
            }
            let errors: Vec<_> =
                tenant.row_errors(&import.uuid).await.iter().map(|error| error.row_number).collect();
            let failed = (1..).zip(&expected).filter(|(_, outcome)| **outcome == RowOutcome::Failed);
            assert_eq!(errors, failed.map(|(row, _)| row).collect::<Vec<i64>>(), "{name}");
            if !dry_run {
                known = after;
            }
        }
        let sessions = tenant.sessions(pb::ListSessionsRequest::default()).await;
        let found: HashMap<_, _> = sessions
            .into_iter()
            .map(|s| (s.external_id, (s.row_number, s.full_name.expect("a name"))))
            .collect();
        let wanted: HashMap<_, _> =
            known.into_iter().map(|(key, row)| (key, (row, format!("row {row}")))).collect();
        assert_eq!(found, wanted, "seed {seed}: every record is of the row that wrote it last");
    }
}

async fn a_dry_run_leaves_no_keys_behind(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "5"]).await;
    let tenant = server.tenant().await;
    let csv = plain_csv("d", 0, 20);
    let spec = pb::ImportSpec { dry_run: true, ..tenant.spec() };
    let request = pb::CreateImportRequest { spec: Some(spec), request_id: String::new() };
    let made = tenant.client.imports().create_import(request).await.expect("an import").into_inner();
    let id = made.import.expect("an import").uuid;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut client = tenant.client.imports();
    let uploading = tokio::spawn(async move { client.upload_import(stream).await });
    sender.send(resume(&id, 0)).await.expect("sent");
    sender.send(chunk(0, csv.as_bytes())).await.expect("sent");
    // Every segment is settled before the upload ends, so that its end is that of the import.
    eventually("rows are settled", async || (tenant.get(&id).await.processed_rows == 20).then_some(())).await;
    sender.send(finish(csv.len())).await.expect("sent");
    drop(sender);
    uploading.await.expect("a task").expect("uploaded");
    assert_eq!(counters(&tenant.wait(&id).await), (20, 0, 0));
    assert_eq!(tables::texts(&server, "SELECT COUNT(*) FROM dry_run_keys").await, ["0"]);
}

async fn a_dry_run_tells_what_an_import_would_do(database: Database) {
    let flags = ["--segment-rows", "7", "--segments-in-flight", "4"];
    let server = Server::start_with(database, &flags).await;
    let tenant = server.tenant().await;
    let rows = repetitive(400, 9);
    let spec = pb::ImportSpec { dry_run: true, ..tenant.spec() };
    for _ in 0..2 {
        let import = tenant.import_as(spec.clone(), csv(&rows)).await.expect("an import");
        assert!(import.dry_run);
        check(&tenant, &import, &rows, false).await;
        assert!(tenant.sessions(pb::ListSessionsRequest::default()).await.is_empty(), "nothing is written");
    }
    let real = tenant.import(csv(&rows)).await;
    check(&tenant, &real, &rows, true).await;
    let after = tenant.import_as(spec, csv(&rows)).await.expect("an import");
    assert_eq!(counters(&after), (0, real.created_count + real.skipped_count, real.failed_count));
}

async fn two_imports_race_for_the_same_keys(database: Database) {
    let server = Server::start_with(database, &["--segment-rows", "20", "--segments-in-flight", "4"]).await;
    let tenant = server.tenant().await;
    let request = pb::UpdateApplicationRequest {
        application_id: tenant.application.clone(),
        max_active_imports: Some(3),
        ..Default::default()
    };
    server.admin.admin().update_application(request).await.expect("a higher limit");
    let rows: Vec<_> = (0..500).map(|n| (format!("k{n}"), false)).collect();
    let file = csv(&rows);
    let (one, two, three) = tokio::join!(tenant.import(&file), tenant.import(&file), tenant.import(&file));
    let created: i64 = [&one, &two, &three].iter().map(|import| import.created_count).sum();
    let skipped: i64 = [&one, &two, &three].iter().map(|import| import.skipped_count).sum();
    assert_eq!((created, skipped), (500, 1000), "every key once, every row accounted for");
    let sessions = tenant.sessions(pb::ListSessionsRequest::default()).await;
    assert_eq!(sessions.len(), 500);
    for import in [one, two, three] {
        let own = sessions.iter().filter(|session| session.import_id == import.uuid).count() as i64;
        assert_eq!(own, import.created_count, "an import counts the records that are its own");
    }
}
