import { hasRun } from './cancel.sql.js';
import { place } from './place.sql.js';
import type { Statement } from './queue-database.js';

/**
 * Instances whose lease is over, locked; and the names under which leases stand although no such instance is there (its
 * row was deleted by hand, or it left while a claim of which it knew nothing was still to commit).
 */
export const lockExpired: Statement = {
  name: 'queue_lock_expired',
  text: `
WITH expired AS MATERIALIZED (
  SELECT id FROM queue_instances WHERE expires_at < clock_timestamp() ORDER BY id FOR UPDATE SKIP LOCKED
)
SELECT id FROM expired
UNION
SELECT l.instance FROM queue_leases l WHERE NOT EXISTS (SELECT FROM queue_instances i WHERE i.id = l.instance)`,
};

/**
 * $1 dead instances, $2 the actor, $3 how many crashes a task may cost. Takes their tasks back, in id order, going round
 * those whose row somebody else holds locked: they are rescued when they are free. A lost lease counts as a crash unless
 * the task was only prefetched (then it is `suspect`: should it have been begun and have killed the instance, the next
 * one has its start on record first), or its steps show that none of this attempt had started. What ran of its steps is
 * closed, since nobody else will. A task to be cancelled that has to clean up waits for whoever does that, within the same
 * budget. Must be a statement after `lockExpired`, with a snapshot of its own: a claim of the dead instance may have committed in between.
 */
export const rescue: Statement = {
  name: 'queue_rescue',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.cause', 'lease_lost', true)
), held AS MATERIALIZED (
  SELECT l.id FROM settings, queue_leases l JOIN queue_tasks q ON q.id = l.id WHERE l.instance = ANY($1::text[])
  ORDER BY l.id FOR UPDATE OF l SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED
), released AS (
  DELETE FROM queue_leases l USING held WHERE l.id = held.id
  RETURNING l.id, l.instance, l.cancel_requested, l.cancel_reason, l.cancel_cause, l.cancel_cleanup
), verdict AS MATERIALIZED (
  SELECT r.*, t.status = 'pending' AS suspect, CASE WHEN t.status = 'running' AND (s.steps = 0 OR s.started > 0) THEN 1 ELSE 0 END AS crashed
  FROM released r JOIN queue_tasks t ON t.id = r.id
  CROSS JOIN LATERAL (
    SELECT count(*) AS steps,
           count(*) FILTER (WHERE st.attempt = t.attempt AND st.started_at IS NOT NULL) AS started
    FROM queue_task_steps st WHERE st.task_id = t.task_id
  ) s
), task AS (
  UPDATE queue_tasks t
  SET status = o.status, crashes = t.crashes + v.crashed,
      cause = CASE o.status WHEN 'cancelled' THEN o.cancel_cause WHEN 'failed' THEN 'crash_loop' END,
      error_message = CASE WHEN o.status = 'cancelled' THEN o.cancel_reason ||
          CASE WHEN o.given_up THEN format(' (it did not finish cleaning up: given up after %s crashes)', t.crashes + v.crashed) ELSE '' END
        WHEN o.status = 'failed' THEN format('given up after %s crashes: the instance that ran it (%s) died each time',
                                  t.crashes + v.crashed, v.instance) END,
      completed_at = CASE WHEN o.status <> 'pending' THEN clock_timestamp() END,
      instance = CASE WHEN o.status <> 'pending' THEN t.instance END,
      run_at = CASE WHEN o.status = 'pending' AND t.status = 'running' THEN now() ELSE t.run_at END,
      updated_at = clock_timestamp()
  FROM verdict v
  JOIN queue_tasks before ON before.id = v.id
  CROSS JOIN LATERAL (
    SELECT CASE WHEN v.cancel_requested OR before.cancelling IS NOT NULL
                THEN CASE WHEN cleans_up AND NOT given_up THEN 'pending' ELSE 'cancelled' END
                WHEN given_up THEN 'failed' ELSE 'pending' END AS status,
           cleans_up AND given_up AS given_up,
           coalesce(v.cancel_cause, before.cancelling ->> 'cause', 'cancelled') AS cancel_cause,
           coalesce(v.cancel_reason, before.cancelling ->> 'reason', 'cancelled') AS cancel_reason
    FROM (SELECT before.crashes + v.crashed >= $3::integer AND v.crashed = 1 AS given_up,
                 CASE WHEN v.cancel_requested THEN v.cancel_cleanup AND ${hasRun('before')} ELSE true END AS cleans_up) c
  ) o
  WHERE t.id = v.id AND t.status IN ('running', 'pending')
  RETURNING t.id, t.task_id, t.status, t.attempt, t.start_by, t.app_name, t.workflow_name, t.concurrency_key,
            v.instance AS lost_by, v.suspect
), ${place('task', { where: `f.status = 'pending'`, keepSlot: true, suspect: 'f.suspect' })}, closed AS (
  UPDATE queue_task_steps s
  SET status = CASE s.status WHEN 'pending' THEN 'skipped' ELSE 'cancelled' END,
      cause = CASE s.status WHEN 'running' THEN 'lease_lost' END, completed_at = clock_timestamp()
  FROM task t
  WHERE s.task_id = t.task_id AND (s.status = 'running' OR s.status IN ('pending', 'waiting') AND t.status <> 'pending')
)
SELECT id, task_id, status, attempt, lost_by, concurrency_key FROM task`,
};

/** $1 dead instances; those whose tasks have all been taken back go. */
export const bury: Statement = {
  name: 'queue_bury',
  text: `DELETE FROM queue_instances i
WHERE i.id = ANY($1::text[]) AND NOT EXISTS (SELECT FROM queue_leases l WHERE l.instance = i.id)`,
};
