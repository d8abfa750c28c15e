import type { Statement } from './queue-database.js';

/** A place in line is counted up to here. */
export const COUNTED = 10_000;
const SHOWN_HOLDERS = 5;

/**
 * $1 id of a task, $2 its app_name, $3 its workflow_name: where it stands, what could hold it back, and who could run it.
 * Counts are bounded, so that the answer costs the same however much waits.
 */
export const lineOf: Statement = {
  name: 'queue_line_of',
  text: `
SELECT clock_timestamp() AS now, r.id IS NOT NULL AS ready, b.reason AS blocked, l.instance AS leased_to,
       s.run_at AS due_at, coalesce(r.concurrency_key, b.concurrency_key) AS key, p.pause,
       CASE WHEN r.id IS NOT NULL THEN (
         SELECT count(*)::integer FROM (SELECT FROM queue_ready o WHERE (o.start_by, o.id) < (r.start_by, r.id)
                                        LIMIT ${COUNTED}) before)
       END AS before,
       k.slots, h.holders,
       CASE WHEN b.reason = 'key' THEN (
         SELECT count(*)::integer FROM (SELECT FROM queue_blocked o WHERE o.reason = 'key'
           AND o.concurrency_key = b.concurrency_key AND (o.start_by, o.id) < (b.start_by, b.id) LIMIT ${COUNTED}) before)
       END AS before_for_key,
       c.instances, c.workers, c.busy
FROM (SELECT $1::bigint AS id) i
LEFT JOIN queue_ready r ON r.id = i.id
LEFT JOIN queue_blocked b ON b.id = i.id
LEFT JOIN queue_scheduled s ON s.id = i.id
LEFT JOIN queue_leases l ON l.id = i.id
LEFT JOIN LATERAL (
  SELECT jsonb_build_object('app_name', nullif(app_name, ''), 'workflow_name', nullif(workflow_name, ''),
                            'by', paused_by, 'reason', reason, 'since', paused_at) AS pause
  FROM queue_pauses
  WHERE app_name = '' AND workflow_name = '' OR app_name = $2::text OR workflow_name = $3::text
  ORDER BY paused_at LIMIT 1
) p ON true
LEFT JOIN LATERAL (
  SELECT coalesce((SELECT slots FROM queue_keys WHERE key = b.concurrency_key), 1) AS slots WHERE b.reason = 'key'
) k ON true
LEFT JOIN LATERAL (
  SELECT array_agg(t.task_id) AS holders FROM (
    SELECT id FROM queue_leases WHERE concurrency_key = b.concurrency_key
    UNION ALL SELECT id FROM queue_ready WHERE concurrency_key = b.concurrency_key LIMIT ${SHOWN_HOLDERS}
  ) held JOIN queue_tasks t ON t.id = held.id WHERE b.reason = 'key'
) h ON true
CROSS JOIN (
  SELECT count(*)::integer AS instances, coalesce(sum(n.workers), 0)::integer AS workers,
         coalesce(sum((SELECT count(*) FROM queue_leases l JOIN queue_tasks t ON t.id = l.id AND t.status = 'running'
                       WHERE l.instance = n.id)), 0)::integer AS busy
  FROM queue_instances n WHERE n.expires_at > clock_timestamp() AND NOT n.draining AND n.workers > 0
) c`,
};

/** Whose past runs are looked at: those of one application and workflow, of one workflow, or of all. */
const SCOPES = {
  app: { first: 't.app_name = $1::text', then: 'workflow_name = $2::text' },
  workflow: { first: 't.workflow_name = $1::text', then: 'true' },
  queue: { first: 'true', then: 'true' },
};
export type HistoryScope = keyof typeof SCOPES;

/** So many runs make a history, of so many days. */
export const HISTORY_RUNS = 200;
export const HISTORY_DAYS = 30;

/**
 * Durations of completed runs, newest first, read by the indexes of the lists: no index of queue_tasks may hold the
 * status, and a walk from the newest task would first meet all that wait. So it looks in many places: at the newest
 * tasks, at the oldest, and at some of each age between, every age 1.6 times the one before. At most some 2,000 rows are
 * read, whatever the table holds and however long the queue is. `app`: $1 app_name, $2 workflow_name; `workflow`: $1.
 */
export function durationsOf(scope: HistoryScope): Statement {
  const { first, then } = SCOPES[scope];
  const rows = (from: string, order: 'ASC' | 'DESC', limit: number) => `
    SELECT t.id, t.workflow_name, t.status, t.started_at, t.completed_at FROM queue_tasks t
    WHERE ${first} AND t.enqueued_at > now() - interval '${HISTORY_DAYS} days' ${from}
    ORDER BY t.enqueued_at ${order}, t.id ${order} LIMIT ${limit}`;
  return {
    name: `queue_durations_of_${scope}`,
    text: `
WITH age AS MATERIALIZED (
  SELECT now() - power(1.6, n) * interval '1 second' AS at FROM generate_series(0, 31) n
), sample AS (
  (${rows('', 'DESC', HISTORY_RUNS * 2)}) UNION (${rows('', 'ASC', HISTORY_RUNS)})
  UNION SELECT r.* FROM age CROSS JOIN LATERAL (${rows('AND t.enqueued_at <= age.at', 'DESC', 40)}) r
)
SELECT extract(epoch FROM completed_at - started_at)::double precision * 1000 AS ms FROM sample
WHERE status = 'completed' AND completed_at >= started_at AND ${then}
ORDER BY completed_at DESC LIMIT ${HISTORY_RUNS}`,
  };
}
