import { place } from './place.sql.js';
import type { Statement } from './queue-database.js';

/**
 * One snapshot of the invariant. `suspects`: narrow rows that do not fit their task's status. `whole`: as many narrow
 * rows as the counters say there are tasks in those states. No suspects and equal counts together mean that every task
 * has its row, without a walk over queue_tasks. $1: whether each scheduled row is looked at too; there can be many of them, and
 * one that is out of step alone shows in the counts.
 */
export const inspect: Statement = {
  name: 'queue_inspect',
  text: `
WITH counted AS (
  SELECT coalesce(sum(pending), 0) AS pending, coalesce(sum(running), 0) AS running,
         coalesce(sum(scheduled + retrying + waiting), 0) AS scheduled
  FROM queue_counters
), suspect AS (
  SELECT r.id FROM queue_ready r LEFT JOIN queue_tasks t ON t.id = r.id AND t.status = 'pending' WHERE t.id IS NULL
  UNION
  SELECT b.id FROM queue_blocked b LEFT JOIN queue_tasks t ON t.id = b.id AND t.status = 'pending' WHERE t.id IS NULL
  UNION
  SELECT b.id FROM queue_blocked b JOIN queue_ready r ON r.id = b.id
  UNION
  SELECT s.id FROM queue_scheduled s
  LEFT JOIN queue_tasks t ON t.id = s.id AND t.status IN ('scheduled', 'retrying', 'waiting') WHERE $1 AND t.id IS NULL
  UNION
  SELECT l.id FROM queue_leases l
  LEFT JOIN queue_tasks t ON t.id = l.id AND (t.status = 'running' OR t.status = 'pending' AND l.prefetched)
  WHERE t.id IS NULL
  UNION
  SELECT l.id FROM queue_leases l JOIN queue_ready r ON r.id = l.id
)
SELECT (SELECT count(*) FROM queue_ready) + (SELECT count(*) FROM queue_blocked) + (SELECT count(*) FROM queue_leases)
         = c.pending + c.running
       AND (SELECT count(*) FROM queue_scheduled) = c.scheduled AS whole,
       ARRAY(SELECT id FROM suspect ORDER BY id LIMIT 1000) AS suspects
FROM counted c`,
};

/** Tasks without the narrow row that their status asks for: a walk over queue_tasks, when the counts differ. */
export const findOrphans: Statement = {
  name: 'queue_find_orphans',
  text: `
SELECT t.id FROM queue_tasks t
WHERE t.status = 'pending' AND NOT EXISTS (SELECT FROM queue_ready r WHERE r.id = t.id)
                           AND NOT EXISTS (SELECT FROM queue_blocked b WHERE b.id = t.id)
                           AND NOT EXISTS (SELECT FROM queue_leases l WHERE l.id = t.id AND l.prefetched)
   OR t.status = 'running' AND NOT EXISTS (SELECT FROM queue_leases l WHERE l.id = t.id)
   OR t.status IN ('scheduled', 'retrying', 'waiting') AND NOT EXISTS (SELECT FROM queue_scheduled s WHERE s.id = t.id)
ORDER BY t.id LIMIT 1000`,
};

/** Writes the difference between what the counters say and what stands in queue_tasks; one snapshot sees both. */
export const recount: Statement = {
  name: 'queue_recount',
  text: `
INSERT INTO queue_counters (scheduled, pending, running, waiting, retrying, completed, failed, cancelled)
SELECT t.scheduled - c.scheduled, t.pending - c.pending, t.running - c.running, t.waiting - c.waiting,
       t.retrying - c.retrying, t.completed - c.completed, t.failed - c.failed, t.cancelled - c.cancelled
FROM (
  SELECT count(*) FILTER (WHERE status = 'scheduled') AS scheduled, count(*) FILTER (WHERE status = 'pending') AS pending,
         count(*) FILTER (WHERE status = 'running') AS running, count(*) FILTER (WHERE status = 'waiting') AS waiting,
         count(*) FILTER (WHERE status = 'retrying') AS retrying,
         count(*) FILTER (WHERE status = 'completed') AS completed,
         count(*) FILTER (WHERE status = 'failed') AS failed, count(*) FILTER (WHERE status = 'cancelled') AS cancelled
  FROM queue_tasks
) t, (
  SELECT coalesce(sum(scheduled), 0) AS scheduled, coalesce(sum(pending), 0) AS pending,
         coalesce(sum(running), 0) AS running, coalesce(sum(waiting), 0) AS waiting,
         coalesce(sum(retrying), 0) AS retrying, coalesce(sum(completed), 0) AS completed,
         coalesce(sum(failed), 0) AS failed, coalesce(sum(cancelled), 0) AS cancelled
  FROM queue_counters
) c`,
};

/** One instance sweeps at a time. */
export const trySweepLock: Statement = {
  name: 'queue_try_sweep_lock',
  text: `SELECT pg_try_advisory_xact_lock(hashtext('queue_sweep')) AS locked`,
};

/** $1 ids. Locks their narrow rows, those that nobody else holds. */
export const lockNarrow: Statement = {
  name: 'queue_lock_narrow',
  text: `
WITH ready AS MATERIALIZED (
  SELECT id FROM queue_ready WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
), blocked AS MATERIALIZED (
  SELECT id FROM queue_blocked WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
), scheduled AS MATERIALIZED (
  SELECT id FROM queue_scheduled WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
), lease AS MATERIALIZED (
  SELECT id FROM queue_leases WHERE id = ANY($1::bigint[]) ORDER BY id FOR UPDATE SKIP LOCKED
)
SELECT ARRAY(SELECT id FROM ready) AS ready, ARRAY(SELECT id FROM blocked) AS blocked,
       ARRAY(SELECT id FROM scheduled) AS scheduled, ARRAY(SELECT id FROM lease) AS leased`,
};

/** $1 ids. Then their tasks. */
export const lockTasks: Statement = {
  name: 'queue_lock_tasks',
  text: `SELECT id FROM queue_tasks WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED`,
};

/**
 * $1 suspects, $2 of them those whose task is locked, $3 to $6 whose row in ready, blocked, scheduled, leases is
 * locked, $7 the actor. Decides again, with a fresh snapshot, from the task's status alone. A row that stands but is
 * not locked is in somebody's hands: left to them.
 */
export const repair: Statement = {
  name: 'queue_repair',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $7, true), set_config('turnpike.cause', 'repaired', true)
), found AS MATERIALIZED (
  SELECT i.id, t.task_id, t.status, t.start_by, t.run_at, t.app_name, t.workflow_name, t.concurrency_key,
         r.id IS NOT NULL AS ready, b.id IS NOT NULL AS blocked,
         s.id IS NOT NULL AS scheduled, l.id IS NOT NULL AS leased,
         coalesce(t.status = 'pending' AND l.prefetched AND r.id IS NULL AND b.id IS NULL, false) AS prefetched
  FROM settings, unnest($1::bigint[]) AS i(id)
  LEFT JOIN queue_tasks t ON t.id = i.id
  LEFT JOIN queue_ready r ON r.id = i.id
  LEFT JOIN queue_blocked b ON b.id = i.id
  LEFT JOIN queue_scheduled s ON s.id = i.id
  LEFT JOIN queue_leases l ON l.id = i.id
  WHERE (t.id IS NULL OR t.id = ANY($2::bigint[]))
    AND (r.id IS NULL OR r.id = ANY($3::bigint[])) AND (b.id IS NULL OR b.id = ANY($4::bigint[]))
    AND (s.id IS NULL OR s.id = ANY($5::bigint[])) AND (l.id IS NULL OR l.id = ANY($6::bigint[]))
), wanted AS MATERIALIZED (
  SELECT *, status = 'running' AND NOT leased AS unleased,
         coalesce(status = 'pending' OR status = 'running' AND NOT leased, false) AS waits,
         coalesce(status IN ('scheduled', 'retrying', 'waiting'), false) AS later
  FROM found
), unready AS (
  DELETE FROM queue_ready r USING wanted w WHERE r.id = w.id AND (NOT w.waits OR w.blocked) RETURNING r.id
), unblocked AS (
  DELETE FROM queue_blocked b USING wanted w WHERE b.id = w.id AND w.status IS DISTINCT FROM 'pending' RETURNING b.id
), unscheduled AS (
  DELETE FROM queue_scheduled s USING wanted w WHERE s.id = w.id AND NOT w.later RETURNING s.id
), released AS (
  DELETE FROM queue_leases l USING wanted w WHERE l.id = w.id AND w.status IS DISTINCT FROM 'running' AND NOT w.prefetched
  RETURNING l.id
), returned AS (
  UPDATE queue_tasks t SET status = 'pending', instance = NULL, run_at = now(), updated_at = clock_timestamp()
  FROM wanted w WHERE t.id = w.id AND w.unleased RETURNING t.id
), ${place('wanted', { where: 'f.waits AND NOT f.ready AND NOT f.blocked AND NOT f.prefetched' })}, rescheduled AS (
  INSERT INTO queue_scheduled (id, run_at, concurrency_key)
  -- The run of one that waits looks at what was said, and until when it may wait.
  SELECT id, CASE WHEN status = 'waiting' THEN now() ELSE run_at END, concurrency_key FROM wanted WHERE later AND NOT scheduled
  ON CONFLICT (id) DO UPDATE SET run_at = EXCLUDED.run_at, concurrency_key = EXCLUDED.concurrency_key RETURNING id
), closed AS (
  UPDATE queue_task_steps s
  SET status = CASE s.status WHEN 'pending' THEN 'skipped' ELSE 'cancelled' END,
      cause = CASE s.status WHEN 'running' THEN 'repaired' END, completed_at = clock_timestamp()
  FROM wanted w
  WHERE s.task_id = w.task_id
    AND (s.status = 'running' AND (w.unleased OR w.status <> 'running')
      OR s.status IN ('pending', 'waiting') AND w.status IN ('completed', 'failed', 'cancelled'))
)
SELECT id FROM unready UNION SELECT id FROM unblocked UNION SELECT id FROM unscheduled UNION SELECT id FROM released
UNION SELECT id FROM returned UNION SELECT id FROM placed UNION SELECT id FROM rescheduled`,
};
