import { isOneOf } from './app-names.sql.js';
import type { Statement } from './queue-database.js';

const COLUMNS = [
  'scheduled',
  'pending',
  'running',
  'waiting',
  'retrying',
  'completed',
  'failed',
  'cancelled',
  'tasks_enqueued',
  'tasks_started',
  'queue_time_ms',
  'promises_missed',
  'tasks_completed',
  'tasks_failed',
  'tasks_cancelled',
  'runs_ended',
  'execution_time_ms',
];
const sums = COLUMNS.map((column) => `coalesce(sum(${column}), 0)::double precision AS ${column}`).join(', ');

/** Adds up deltas into one row; the sum over all rows stays what it was. */
export const foldCounters: Statement = {
  name: 'queue_fold_counters',
  text: `
WITH taken AS (
  DELETE FROM queue_counters WHERE id IN (
    SELECT id FROM queue_counters ORDER BY id LIMIT 20000 FOR UPDATE SKIP LOCKED)
  RETURNING *
)
INSERT INTO queue_counters (${COLUMNS.join(', ')})
SELECT ${COLUMNS.map((column) => `sum(${column})`).join(', ')} FROM taken HAVING count(*) > 0`,
};

/** The whole cluster's numbers, without a walk over tasks. */
export const readStats: Statement = {
  name: 'queue_read_stats',
  text: `
SELECT c.*, i.instances, i.workers,
       (SELECT count(*)::double precision FROM queue_dead_letters WHERE discarded_at IS NULL) AS dead_letters
FROM (SELECT ${sums} FROM queue_counters) c,
     (SELECT count(*)::integer AS instances, coalesce(sum(workers), 0)::integer AS workers
      FROM queue_instances WHERE expires_at > clock_timestamp() AND NOT draining) i`,
};

/** $1 at most so many, $2 patterns (LIKE) of their applications or null. What runs now, longest first. */
export const readActive: Statement = {
  name: 'queue_read_active',
  text: `
SELECT t.task_id, t.app_name, t.workflow_name, t.enqueued_at, t.started_at, t.attempt, t.instance, t.metadata,
       s.name AS current_step, count(*) OVER ()::integer AS total
FROM queue_leases l
JOIN queue_tasks t ON t.id = l.id AND t.status = 'running' AND ($2::text[] IS NULL OR ${isOneOf('t.app_name', '$2')})
LEFT JOIN LATERAL (
  SELECT name FROM queue_task_steps s WHERE s.task_id = t.task_id AND s.status = 'running' ORDER BY position LIMIT 1
) s ON true
ORDER BY t.started_at, t.id LIMIT $1`,
};
