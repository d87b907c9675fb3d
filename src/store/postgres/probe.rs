//! Which keys of a segment are taken.

use std::collections::HashSet;

use sqlx::{AssertSqlSafe, PgConnection, Row};
use uuid::Uuid;

use crate::store::{
    commit::{Commit, Existing, Fence},
    error::Error,
};

/// Finds what has the keys of a segment's records, in their order.
pub(super) async fn probe(tx: &mut PgConnection, commit: &Commit) -> Result<Vec<Option<Existing>>, Error> {
    let mut taken = vec![None; commit.batch.records.len()];
    // What a dry run has met itself comes first: the table does not know it.
    if commit.dry_run {
        find_by_id(tx, commit, "dry_run_keys", "0::bigint", "AND u.import_id = $2", &mut taken).await?;
    }
    find_in_order(tx, commit, &mut taken).await?;
    find_by_id(tx, commit, commit.table.name, commit.table.number, "", &mut taken).await?;
    Ok(taken)
}

/// Finds records that were imported in the order in which they come again, as they do when a file is
/// sent again, or a later export of the same history. Their numbers lie side by side, and reading those
/// takes a third of the time of looking every key up in an index over hashes.
async fn find_in_order(
    tx: &mut PgConnection,
    commit: &Commit,
    taken: &mut [Option<Existing>],
) -> Result<(), Error> {
    let records = &commit.batch.records;
    let application = commit.claim.application_id.0;
    let (table, number) = (commit.table.name, commit.table.number);
    let ends = (records.iter().min_by_key(|r| r.row), records.iter().max_by_key(|r| r.row));
    let (Some(first), Some(last)) = ends else { return Ok(()) };
    let lowest_and_highest = format!(
        "SELECT MIN({number}), MAX({number}) FROM {table} WHERE application_id = $1 AND id IN ($2, $3) \
         HAVING COUNT(*) = CASE WHEN $2 = $3 THEN 1 ELSE 2 END"
    );
    let ends = sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(lowest_and_highest));
    let ends = ends.bind(application).bind(first.id).bind(last.id).fetch_optional(&mut *tx).await?;
    let Some((from, to)) = ends else { return Ok(()) };
    if (to - from) as usize >= 2 * commit.batch.rows {
        return Ok(());
    }
    let between = format!(
        "SELECT COALESCE(ARRAY_AGG(id), '{{}}'), COALESCE(ARRAY_AGG({number}), '{{}}'), \
         COALESCE(ARRAY_AGG(CASE WHEN import_id = $2 THEN row_number END), '{{}}') FROM {table} \
         WHERE application_id = $1 AND {number} BETWEEN $3 AND $4"
    );
    let found = sqlx::query(AssertSqlSafe(between)).bind(application).bind(commit.claim.import_id.0);
    let found = found.bind(from).bind(to).fetch_one(&mut *tx).await?;
    let ids: Vec<Uuid> = found.try_get(0)?;
    let (numbers, rows): (Vec<i64>, Vec<Option<i64>>) = (found.try_get(1)?, found.try_get(2)?);
    // Searched side by side: a record is large, and looking into many of them is slow.
    let known: Vec<Uuid> = records.iter().map(|record| record.id).collect();
    for ((id, number), row) in ids.into_iter().zip(numbers).zip(rows) {
        if let Ok(at) = known.binary_search(&id) {
            taken[at].get_or_insert(Existing::of_row(row, number));
        }
    }
    Ok(())
}

/// Looks up the keys of which nothing is known yet: positions in the list, numbers, and row numbers
/// where they are of this import.
///
/// One index lookup an id, whatever the planner thinks: `LIMIT` keeps it from turning the lookups into
/// a join over the application's records, which it did on a fresh table without statistics.
async fn find_by_id(
    tx: &mut PgConnection,
    commit: &Commit,
    table: &str,
    number: &str,
    condition: &str,
    taken: &mut [Option<Existing>],
) -> Result<(), Error> {
    let records = commit.batch.records.iter().zip(&*taken).enumerate();
    let (places, ids): (Vec<usize>, Vec<Uuid>) =
        records.filter(|(_, (_, taken))| taken.is_none()).map(|(at, (record, _))| (at, record.id)).unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let query = format!(
        "SELECT COALESCE(ARRAY_AGG(k.at), '{{}}'), COALESCE(ARRAY_AGG(s.number), '{{}}'), \
         COALESCE(ARRAY_AGG(CASE WHEN s.import_id = $2 THEN s.row_number END), '{{}}') \
         FROM UNNEST($3::uuid[]) WITH ORDINALITY AS k (id, at) \
         CROSS JOIN LATERAL (SELECT import_id, row_number, {number} AS number FROM {table} u \
             WHERE u.application_id = $1 AND u.id = k.id {condition} LIMIT 1) AS s"
    );
    let (application, import) = (commit.claim.application_id.0, commit.claim.import_id.0);
    let query = sqlx::query(AssertSqlSafe(query)).bind(application).bind(import).bind(ids);
    let found = query.fetch_one(&mut *tx).await?;
    let found_at: Vec<i64> = found.try_get(0)?;
    let (numbers, rows): (Vec<i64>, Vec<Option<i64>>) = (found.try_get(1)?, found.try_get(2)?);
    for ((at, number), row) in found_at.into_iter().zip(numbers).zip(rows) {
        let place = usize::try_from(at - 1).ok().and_then(|at| places.get(at));
        taken[*place.ok_or(Error::Corrupt("probe"))?] = Some(Existing::of_row(row, number));
    }
    Ok(())
}

/// Marks records of people and companies that were erased.
pub(super) async fn mark_erased(
    tx: &mut PgConnection,
    commit: &Commit,
    fence: &Fence,
    taken: &mut [Option<Existing>],
) -> Result<(), Error> {
    let Some(salt) = commit.salt(fence) else { return Ok(()) };
    let tombstones: Vec<Vec<[u8; 32]>> =
        commit.batch.records.iter().map(|record| commit.tombstones(salt, record)).collect();
    let found = find_tombstones(tx, commit, tombstones.iter().flatten()).await?;
    for (taken, own) in taken.iter_mut().zip(&tombstones) {
        // A record that an update would make about them is left as it is, too.
        let is_own = matches!(taken, Some(Existing::Row { .. }));
        if !is_own && own.iter().any(|hash| found.contains(hash.as_slice())) {
            *taken = Some(Existing::Erased);
        }
    }
    Ok(())
}

/// Makes parties of transactions nameless that were erased.
pub(super) async fn forget_parties(
    tx: &mut PgConnection,
    commit: &mut Commit,
    fence: &Fence,
) -> Result<(), Error> {
    let Some(salt) = commit.salt(fence) else { return Ok(()) };
    let parties = commit.party_tombstones(salt);
    if parties.is_empty() {
        return Ok(());
    }
    let found = find_tombstones(tx, commit, parties.iter().map(|(_, _, hash)| hash)).await?;
    let erased = parties.into_iter().filter(|(_, _, hash)| found.contains(hash.as_slice()));
    commit.forget_parties(erased.map(|(at, side, _)| (at, side)))
}

async fn find_tombstones(
    tx: &mut PgConnection,
    commit: &Commit,
    hashes: impl Iterator<Item = &[u8; 32]>,
) -> Result<HashSet<Vec<u8>>, Error> {
    let hashes: Vec<&[u8]> = hashes.map(|hash| hash.as_slice()).collect();
    let find = "SELECT key_hash FROM tombstones WHERE application_id = $1 AND key_hash = ANY($2)";
    let find = sqlx::query_scalar(find).bind(commit.claim.application_id.0).bind(hashes);
    Ok(find.fetch_all(tx).await?.into_iter().collect())
}
