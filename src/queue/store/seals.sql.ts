import type { Statement } from './queue-database.js';

/**
 * The canonical text of a row: every column, as a JSON array, in UTF-8. Nothing in it depends on a setting of the session.
 * docs/audit.md has it for those who check by other means; it must never change, or old seals could not be checked.
 */
const CANONICAL = `json_build_array(e.id, e.kind, e.task_id, e.from_status, e.to_status, e.attempt, e.actor, e.cause, e.detail,
  e.request_id, to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), e.xid::text)::text`;
const ROW_HASH = `sha256(convert_to(${CANONICAL}, 'UTF8'))`;
const WEEK = `queue_ledger_week(e.at)`;
/** The parts of a block out of its rows (week, hash, xid, id): for each week their number and the hash of their hashes. */
const parts = (rows: string) => `
  SELECT week, count(*)::integer AS rows, encode(sha256(string_agg(hash, ''::bytea ORDER BY xid, id)), 'hex') AS hash
  FROM ${rows} GROUP BY week`;
const PARTS_AS_JSON = `coalesce(jsonb_agg(jsonb_build_object('week', week, 'rows', rows, 'hash', hash) ORDER BY week), '[]')`;
const MICROSECONDS = `'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'`;
const SEAL = `s.block, s.to_xid::text AS to_xid, s.to_id, s.rows, s.total, s.parts, s.prev_hash, s.hash,
  to_char(s.sealed_at AT TIME ZONE 'UTC', ${MICROSECONDS}) AS sealed_at`;
const LAST = `(SELECT to_xid, to_id FROM queue_ledger_seals ORDER BY block DESC LIMIT 1)`;

/** Whether there is anything to seal. A row is ready when no transaction is open that began before its own ended. */
export const isSealable: Statement = {
  name: 'queue_is_sealable',
  text: `
SELECT EXISTS (
  SELECT FROM queue_task_events e LEFT JOIN ${LAST} s ON true
  WHERE (e.xid, e.id) > (coalesce(s.to_xid, '0'), coalesce(s.to_id, 0)) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
) AS sealable`,
};

/** One sealer at a time, whatever the number of instances; held to the end of the transaction. */
export const lockSealer: Statement = {
  name: 'queue_lock_sealer',
  text: `SELECT pg_try_advisory_xact_lock(hashtextextended('queue_ledger_sealer', 0)) AS locked`,
};

export const lastSeal: Statement = {
  name: 'queue_last_seal',
  text: `SELECT ${SEAL} FROM queue_ledger_seals s ORDER BY s.block DESC LIMIT 1`,
};

/** $1 a block's number. */
export const sealOf: Statement = {
  name: 'queue_seal_of',
  text: `SELECT ${SEAL} FROM queue_ledger_seals s WHERE s.block = $1`,
};

/** $1 xid, $2 id, $3 at most so many rows: the next block behind that place. */
export const nextBlock: Statement = {
  name: 'queue_next_block',
  text: `
WITH sealed AS MATERIALIZED (
  SELECT e.xid, e.id, ${WEEK} AS week, ${ROW_HASH} AS hash FROM queue_task_events e
  WHERE (e.xid, e.id) > ($1::xid8, $2::bigint) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
  ORDER BY e.xid, e.id LIMIT $3
), last AS (
  SELECT xid, id FROM sealed ORDER BY xid DESC, id DESC LIMIT 1
)
SELECT last.xid::text AS to_xid, last.id AS to_id, (SELECT count(*)::integer FROM sealed) AS rows,
       to_char(clock_timestamp() AT TIME ZONE 'UTC', ${MICROSECONDS}) AS sealed_at,
       (SELECT ${PARTS_AS_JSON} FROM (${parts('sealed')}) p) AS parts
FROM last`,
};

/** $1 block, $2 to_xid, $3 to_id, $4 rows, $5 total, $6 parts (jsonb), $7 prev_hash, $8 hash, $9 sealed_at. */
export const storeSeal: Statement = {
  name: 'queue_store_seal',
  text: `
INSERT INTO queue_ledger_seals (block, to_xid, to_id, rows, total, parts, prev_hash, hash, sealed_at)
VALUES ($1, $2::xid8, $3, $4, $5, $6::jsonb, $7, $8, $9::timestamptz)`,
};

/**
 * $1 the first block, $2 the last, $3 how many: seals in their order, each with the parts of the rows that stand in the
 * ledger where it says. A seal whose predecessor is missing covers nothing that could be told.
 */
export const sealsWithRows: Statement = {
  name: 'queue_seals_with_rows',
  text: `
SELECT ${SEAL}, found.parts AS found
FROM (
  SELECT s.*, CASE s.block WHEN 1 THEN '0' ELSE coalesce(p.to_xid, s.to_xid) END AS from_xid,
         CASE s.block WHEN 1 THEN 0 ELSE coalesce(p.to_id, s.to_id) END AS from_id
  FROM queue_ledger_seals s LEFT JOIN queue_ledger_seals p ON p.block = s.block - 1
  WHERE s.block >= $1::bigint AND s.block <= $2::bigint ORDER BY s.block LIMIT $3
) s CROSS JOIN LATERAL (
  SELECT ${PARTS_AS_JSON} AS parts FROM (${parts(`(
    SELECT e.xid, e.id, ${WEEK} AS week, ${ROW_HASH} AS hash FROM queue_task_events e
    WHERE (e.xid, e.id) > (s.from_xid, s.from_id) AND (e.xid, e.id) <= (s.to_xid, s.to_id) OFFSET 0
  ) r`)}) p
) found
ORDER BY s.block`,
};

/**
 * The Monday before which retention has removed everything, as the ledger itself tells it, and the block that the telling
 * event is in; null where nothing was removed, or where that is not sealed yet.
 */
export const prunedBefore: Statement = {
  name: 'queue_pruned_before',
  text: `
SELECT queue_ledger_pruned_before() AS week, (
  SELECT s.block FROM queue_ledger_seals s, (
    SELECT e.xid, e.id FROM queue_task_events e WHERE e.kind = 'operator' AND e.cause = 'ledger_pruned'
    ORDER BY e.at DESC, e.id DESC LIMIT 1
  ) e WHERE (s.to_xid, s.to_id) >= (e.xid, e.id) ORDER BY s.block LIMIT 1
) AS block`,
};
