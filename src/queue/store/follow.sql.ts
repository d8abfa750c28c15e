import type { Statement } from './queue-database.js';

/** A page's size: bounds what a follower has in memory. */
export const PAGE_ROWS = 500;

/** Where a follower that begins now begins: nothing from here on has been committed before. */
export const ledgerEnd: Statement = {
  name: 'queue_ledger_end',
  text: `SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xid`,
};

/**
 * $1 xid, $2 id: the entries behind that place, $3 and $4 up to and with that one (null: as far as they go), in their order,
 * with what their tasks are. Only those of transactions that ended before any that is still open began: nothing can come
 * in between any more. One row at least, with that horizon.
 */
export const followLedger: Statement = {
  name: 'queue_follow_ledger',
  text: `
WITH page AS MATERIALIZED (
  SELECT e.* FROM queue_task_events e
  WHERE (e.xid, e.id) > ($1::xid8, $2::bigint) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
    AND ($3::xid8 IS NULL OR (e.xid, e.id) <= ($3::xid8, $4::bigint))
  ORDER BY e.xid, e.id LIMIT ${PAGE_ROWS}
)
SELECT h.horizon, p.xid::text AS xid, p.id, p.kind, p.task_id, p.from_status, p.to_status, p.attempt, p.actor, p.cause,
       p.detail, p.request_id, p.at, t.app_name, t.workflow_name, t.golden_path
FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon) h
LEFT JOIN page p ON true
LEFT JOIN LATERAL (
  SELECT q.app_name, q.workflow_name, q.golden_path FROM queue_tasks q WHERE q.task_id = p.task_id LIMIT 1
) t ON true
ORDER BY p.xid, p.id`,
};
