import type { Statement } from './queue-database.js';

/** A page's size: bounds what a follower has in memory. */
export const PAGE_ROWS = 500;

/** Where a follower that begins now begins: nothing from here on has been committed before. */
export const ledgerEnd: Statement = {
  name: 'queue_ledger_end',
  text: `SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xid`,
};

/** Further apart than that the changes of one task are not compared: no transaction is open for so long. */
const LONGEST = `interval '8 days'`;

/**
 * $1 xid, $2 id: the entries from that place on, in their order, with what their tasks are. Only those of transactions that
 * ended before any that is still open began: nothing can come in between any more. `mixed`: for that task the order of ids,
 * which is the order of its events, is another one somewhere. One row at least, with the horizon and the place up to which
 * retention has removed entries.
 */
export const followLedger: Statement = {
  name: 'queue_follow_ledger',
  text: `
WITH page AS MATERIALIZED (
  SELECT e.* FROM queue_task_events e
  WHERE (e.xid, e.id) >= ($1::xid8, $2::bigint) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
  ORDER BY e.xid, e.id LIMIT ${PAGE_ROWS}
), task AS MATERIALIZED (
  SELECT p.task_id, min(p.at) - ${LONGEST} AS since, max(p.at) + ${LONGEST} AS until
  FROM page p WHERE p.task_id IS NOT NULL GROUP BY p.task_id
), known AS MATERIALIZED (
  SELECT task.task_id, q.app_name, q.workflow_name, q.golden_path, m.mixed
  FROM task
  CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(o.xid < o.before), false) AS mixed FROM (
      SELECT e.xid, lag(e.xid) OVER (ORDER BY e.id) AS before FROM queue_task_events e
      WHERE e.task_id = task.task_id AND e.at >= task.since AND e.at < task.until
    ) o
  ) m
  LEFT JOIN LATERAL (SELECT t.* FROM queue_tasks t WHERE t.task_id = task.task_id LIMIT 1) q ON true
)
SELECT h.horizon, r.xid::text AS removed_xid, r.id AS removed_id, p.xid::text AS xid, p.id, p.kind, p.task_id, p.from_status,
       p.to_status, p.attempt, p.actor, p.cause, p.detail, p.request_id, p.at, k.app_name, k.workflow_name, k.golden_path, k.mixed
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon) h
LEFT JOIN queue_ledger_removed r ON true
LEFT JOIN page p ON true
LEFT JOIN known k ON k.task_id = p.task_id
ORDER BY p.xid, p.id`,
};

/** $1 task_ids: the places of all that the ledger has of them, in the order of their events. */
export const placesOfTasks: Statement = {
  name: 'queue_places_of_tasks',
  text: `
SELECT e.xid::text AS xid, e.id, e.task_id FROM queue_task_events e WHERE e.task_id = ANY($1::text[]) ORDER BY e.id`,
};

/** $1 task_ids, $2 ids of events of theirs. */
export const eventsOfTasks: Statement = {
  name: 'queue_events_of_tasks',
  text: `
SELECT e.xid::text AS xid, e.id, e.kind, e.task_id, e.from_status, e.to_status, e.attempt, e.actor, e.cause, e.detail,
       e.request_id, e.at
FROM queue_task_events e WHERE e.task_id = ANY($1::text[]) AND e.id = ANY($2::bigint[])`,
};

/** The place up to which retention has removed entries; no row where it has not. */
export const ledgerRemoved: Statement = {
  name: 'queue_ledger_removed',
  text: `SELECT xid::text AS xid, id FROM queue_ledger_removed`,
};
