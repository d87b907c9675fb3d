//! Processes die at every step and at any moment; what is left is what an undisturbed import leaves.

use std::time::Duration;

use carryover::grpc::{
    client::Client,
    pb::{self, ImportStatus},
};
use serde_json::{Map, Value};

use crate::{
    harness::{Database, counters},
    processes::{World, carry_on, create, get},
    stored,
};

const SEGMENT_ROWS: usize = 20;
const ROWS: usize = 600;

const FLAGS: &[&str] = &["--segment-rows", "20", "--lease-seconds", "1", "--log", "off"];

/// Places in the code at which a process may be told to die.
const FAULT_POINTS: [&str; 6] =
    ["segment_stored", "segment_added", "after_claim", "in_copy", "before_commit", "after_commit"];

/// A file with invalid rows, and with keys that stand twice, also far from each other.
pub fn file() -> Vec<u8> {
    let mut csv = String::from("external_id,status,first_name,created_at,vendor_data\n");
    for row in 0..ROWS {
        let key = if row % 7 == 3 && row > 50 { row / 2 } else { row };
        let status = if row % 11 == 5 { "Unheard" } else { "Approved" };
        csv.push_str(&format!("c{key},{status},\"Row {row}\",2024-01-02T03:04:05Z,p{}\n", row % 40));
    }
    csv.into_bytes()
}

/// What a file of rows comes to by the rules alone: created, skipped, failed.
pub fn expected() -> (i64, i64, i64) {
    let mut keys = std::collections::HashSet::new();
    let (mut created, mut skipped, mut failed) = (0, 0, 0);
    for row in 0..ROWS {
        let key = if row % 7 == 3 && row > 50 { row / 2 } else { row };
        match (row % 11 == 5, keys.contains(&key)) {
            (true, _) => failed += 1,
            (false, true) => skipped += 1,
            (false, false) => {
                keys.insert(key);
                created += 1;
            }
        }
    }
    (created, skipped, failed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_processes_may_die_at_every_step() {
    die_at_every_step(Database::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_processes_may_die_at_every_step() {
    die_at_every_step(Database::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_processes_may_die_at_any_moment() {
    die_at_any_moment(Database::Sqlite, 7).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_processes_may_die_at_any_moment() {
    die_at_any_moment(Database::Postgres, 8).await;
}

/// Twice in a row at one step, after it went well once, three or seven times.
async fn die_at_every_step(database: Database) {
    let world = World::new(database, FLAGS).await;
    let mut deaths = 0;
    for (point, times) in FAULT_POINTS.iter().flat_map(|point| [1, 3, 7].map(|times| (point, times))) {
        let label = format!("{point}-{times}");
        let mut import = Disturbed::new(&world, &label).await;
        for _ in 0..2 {
            let fault = format!("{point}:{times}");
            deaths += import.run(&[("CARRYOVER_FAULT_POINT", &fault)], Duration::from_secs(20)).await;
        }
        import.finish().await;
    }
    assert!(deaths >= 30, "the fault points are reached: {deaths} deaths");
}

/// kill -9 whenever it comes.
async fn die_at_any_moment(database: Database, seed: u64) {
    let world = World::new(database, FLAGS).await;
    let mut random = fastrand::Rng::with_seed(seed);
    for label in 0..6 {
        let mut import = Disturbed::new(&world, &format!("random-{label}")).await;
        for _ in 0..8 {
            import.run(&[], Duration::from_millis(random.u64(1..250))).await;
        }
        import.finish().await;
    }
}

/// An import whose processes die.
struct Disturbed<'w> {
    world: &'w World,
    spec: pb::ImportSpec,
    id: String,
}

impl<'w> Disturbed<'w> {
    async fn new(world: &'w World, label: &str) -> Self {
        let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
        let client = world.client(&address).await.expect("connects");
        let spec = pb::ImportSpec { provider: label.to_owned(), ..world.spec() };
        let id = create(&client, spec.clone()).await;
        child.kill().await.expect("ends");
        Self { world, spec, id }
    }

    /// Goes on with the import in a new process until it dies, or is killed after `life`; tells whether it
    /// died by itself.
    async fn run(&mut self, environment: &[(&str, &str)], life: Duration) -> usize {
        let Some((mut child, address)) = self.world.start(&[], environment).await else { return 1 };
        let Some(client) = self.world.client(&address).await else { return 1 };
        let file = file();
        let died = tokio::select! {
            _ = child.wait() => 1,
            _ = carry_on(&client, &self.id, &file) => usize::from(has_died(&mut child).await),
            () = tokio::time::sleep(life) => 0,
        };
        let _ = child.kill().await;
        died
    }

    /// Goes on undisturbed, and compares what is left with what an undisturbed import leaves.
    async fn finish(self) {
        let (mut child, address) = self.world.start(&[], &[]).await.expect("it starts");
        let client = self.world.client(&address).await.expect("connects");
        let import = carry_on(&client, &self.id, &file()).await.expect("it goes on");
        let (other, spec) = self.world.neighbour(&address).await;
        let undisturbed =
            create(&other, pb::ImportSpec { provider: self.spec.provider.clone(), ..spec }).await;
        carry_on(&other, &undisturbed, &file()).await.expect("it goes on");
        child.kill().await.expect("ends");
        assert_same(self.world, &import, &undisturbed, &self.spec.provider).await;
    }
}

/// A call may fail a moment before its server is gone for good.
async fn has_died(child: &mut tokio::process::Child) -> bool {
    matches!(tokio::time::timeout(Duration::from_millis(500), child.wait()).await, Ok(Ok(_)))
}

/// Every row has one outcome, tables are those of the undisturbed import, and nothing is stuck.
pub async fn assert_same(world: &World, import: &pb::Import, undisturbed: &str, label: &str) {
    let error = import.last_error();
    assert_eq!(
        (import.status(), import.total_rows),
        (ImportStatus::Completed, ROWS as i64),
        "{label}: {error}"
    );
    assert_eq!(counters(import), expected(), "{label}");
    let rows = async |sql: String| {
        stored::rows_in(world.database_url.as_deref(), &world.folder.path().join("carryover.db"), &sql).await
    };
    let id = |uuid: &str| match world.database_url {
        Some(_) => format!("'{uuid}'"),
        None => format!("x'{}'", uuid.replace('-', "")),
    };
    let (own, other) = (id(&import.uuid), id(undisturbed));
    let records = async |import: &str| {
        let sql = format!("SELECT * FROM user_sessions WHERE import_id = {import} ORDER BY row_number");
        rows(sql).await.into_iter().map(bare).collect::<Vec<_>>()
    };
    assert_eq!(records(&own).await, records(&other).await, "{label}: records");
    let errors = async |import: &str| {
        let columns = "row_number, line_number, byte_offset, byte_count, external_id, issues";
        rows(format!("SELECT {columns} FROM row_errors WHERE import_id = {import} ORDER BY row_number")).await
    };
    assert_eq!(errors(&own).await, errors(&other).await, "{label}: row errors");
    let segments = async |import: &str| {
        let columns = "seq, first_row, row_count, byte_offset, byte_count, state, ledger, owner, isolation";
        rows(format!("SELECT {columns} FROM segments WHERE import_id = {import} ORDER BY seq")).await
    };
    let own = segments(&own).await;
    assert_eq!(own, segments(&other).await, "{label}: segments and ledgers");
    assert_eq!(own.len(), ROWS / SEGMENT_ROWS, "{label}");
}

/// A record without what is derived from its import or tenant; its number is told from its row's.
fn bare(mut row: Map<String, Value>) -> Map<String, Value> {
    for own in ["application_id", "import_id", "workflow_id", "id"] {
        row.remove(own);
    }
    row.remove("session_number");
    row
}

/// The same with the numbers of one import, which follow its rows without a gap.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_follow_rows_however_often_a_process_died() {
    let world = World::new(Database::Sqlite, FLAGS).await;
    let mut import = Disturbed::new(&world, "numbers").await;
    for times in [2, 4, 6] {
        let fault = format!("segment_stored:{times}");
        import.run(&[("CARRYOVER_FAULT_POINT", &fault)], Duration::from_secs(20)).await;
    }
    let (mut child, address) = world.start(&[], &[]).await.expect("it starts");
    let client: Client = world.client(&address).await.expect("connects");
    carry_on(&client, &import.id, &file()).await.expect("it goes on");
    assert_eq!(get(&client, &import.id).await.expect("one").status(), ImportStatus::Completed);
    let sql = "SELECT MIN(session_number - row_number) AS low, MAX(session_number - row_number) AS high FROM user_sessions";
    let path = world.folder.path().join("carryover.db");
    let row = stored::rows_in(None, &path, sql).await.remove(0);
    assert_eq!(row["low"], row["high"]);
    child.kill().await.expect("ends");
}
