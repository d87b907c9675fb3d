//! Which keys of a segment are taken.

use sqlx::{PgConnection, Row};
use uuid::Uuid;

use crate::store::{
    commit::{Commit, Existing},
    error::Error,
};

/// The lowest and highest session number under two keys.
const ENDS: &str = "SELECT MIN(session_number), MAX(session_number) FROM user_sessions \
    WHERE application_id = $1 AND id IN ($2, $3) HAVING COUNT(*) = CASE WHEN $2 = $3 THEN 1 ELSE 2 END";

/// Sessions by their numbers: ids, and row numbers where they are of import `$2`.
const BETWEEN: &str = "SELECT COALESCE(ARRAY_AGG(id), '{}'), \
        COALESCE(ARRAY_AGG(CASE WHEN import_id = $2 THEN row_number END), '{}') FROM user_sessions \
    WHERE application_id = $1 AND session_number BETWEEN $3 AND $4";

/// Sessions by their ids: positions in the list, and row numbers where they are of import `$2`.
///
/// One index lookup an id, whatever the planner thinks: `LIMIT` keeps it from turning the lookups into
/// a join over the application's records, which it did on a fresh table without statistics.
const SESSIONS: &str = "SELECT COALESCE(ARRAY_AGG(k.at), '{}'), \
        COALESCE(ARRAY_AGG(CASE WHEN s.import_id = $2 THEN s.row_number END), '{}') \
    FROM UNNEST($3::uuid[]) WITH ORDINALITY AS k (id, at) \
    CROSS JOIN LATERAL (SELECT import_id, row_number FROM user_sessions u \
        WHERE u.application_id = $1 AND u.id = k.id LIMIT 1) AS s";

/// The same of the keys that a dry run has met.
const KEYS: &str = "SELECT COALESCE(ARRAY_AGG(k.at), '{}'), COALESCE(ARRAY_AGG(s.row_number), '{}') \
    FROM UNNEST($3::uuid[]) WITH ORDINALITY AS k (id, at) \
    CROSS JOIN LATERAL (SELECT row_number FROM dry_run_keys u \
        WHERE u.application_id = $1 AND u.import_id = $2 AND u.id = k.id LIMIT 1) AS s";

/// Finds what has the keys of a segment's records, in their order.
pub(super) async fn probe(tx: &mut PgConnection, commit: &Commit) -> Result<Vec<Option<Existing>>, Error> {
    let mut taken = vec![None; commit.batch.sessions.len()];
    find_in_order(tx, commit, &mut taken).await?;
    find_by_id(tx, commit, SESSIONS, &mut taken).await?;
    if commit.dry_run {
        find_by_id(tx, commit, KEYS, &mut taken).await?;
    }
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
    let sessions = &commit.batch.sessions;
    let application = commit.claim.application_id.0;
    let ends = (sessions.iter().min_by_key(|s| s.row), sessions.iter().max_by_key(|s| s.row));
    let (Some(first), Some(last)) = ends else { return Ok(()) };
    let ends = sqlx::query_as::<_, (i64, i64)>(ENDS).bind(application).bind(first.id.0).bind(last.id.0);
    let Some((from, to)) = ends.fetch_optional(&mut *tx).await? else { return Ok(()) };
    if (to - from) as usize >= 2 * commit.batch.rows {
        return Ok(());
    }
    let found = sqlx::query(BETWEEN).bind(application).bind(commit.claim.import_id.0).bind(from).bind(to);
    let found = found.fetch_one(&mut *tx).await?;
    let (ids, rows): (Vec<Uuid>, Vec<Option<i64>>) = (found.try_get(0)?, found.try_get(1)?);
    for (id, row) in ids.into_iter().zip(rows) {
        if let Ok(at) = sessions.binary_search_by_key(&id, |session| session.id.0) {
            taken[at] = Some(Existing::of_row(row));
        }
    }
    Ok(())
}

/// Looks up the keys of which nothing is known yet.
async fn find_by_id(
    tx: &mut PgConnection,
    commit: &Commit,
    query: &'static str,
    taken: &mut [Option<Existing>],
) -> Result<(), Error> {
    let sessions = commit.batch.sessions.iter().zip(&*taken).enumerate();
    let (places, ids): (Vec<usize>, Vec<Uuid>) = sessions
        .filter(|(_, (_, taken))| taken.is_none())
        .map(|(at, (session, _))| (at, session.id.0))
        .unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let (application, import) = (commit.claim.application_id.0, commit.claim.import_id.0);
    let found = sqlx::query(query).bind(application).bind(import).bind(ids).fetch_one(&mut *tx).await?;
    let (found, rows): (Vec<i64>, Vec<Option<i64>>) = (found.try_get(0)?, found.try_get(1)?);
    for (at, row) in found.into_iter().zip(rows) {
        let place = usize::try_from(at - 1).ok().and_then(|at| places.get(at));
        taken[*place.ok_or(Error::Corrupt("probe"))?] = Some(Existing::of_row(row));
    }
    Ok(())
}
