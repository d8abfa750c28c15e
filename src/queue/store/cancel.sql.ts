import type { Statement } from './queue-database.js';

/** $1 task_id; the row's key, and how the task stands. */
export const lookAt: Statement = {
  name: 'queue_look_at',
  text: 'SELECT id, status FROM queue_tasks WHERE task_id = $1',
};

/** $1 id, $2 actor, $3 reason, $4 request id, $5 cause. Cancels a task that nobody runs, and closes what runs have left of its steps. */
export const cancelIdle: Statement = {
  name: 'queue_cancel_idle',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.request_id', coalesce($4, ''), true)
), ready AS (
  DELETE FROM queue_ready WHERE id = $1 RETURNING id
), blocked AS (
  DELETE FROM queue_blocked WHERE id = $1 RETURNING id
), scheduled AS (
  DELETE FROM queue_scheduled WHERE id = $1 RETURNING id
), taken AS MATERIALIZED (
  SELECT id FROM ready UNION SELECT id FROM blocked UNION SELECT id FROM scheduled
), task AS (
  UPDATE queue_tasks t
  SET status = 'cancelled', cause = $5, error_message = $3, completed_at = clock_timestamp(),
      updated_at = clock_timestamp()
  FROM taken, settings
  WHERE t.id = taken.id AND t.status IN ('pending', 'scheduled', 'retrying', 'waiting')
  RETURNING t.id, t.task_id, t.concurrency_key
), closed AS (
  UPDATE queue_task_steps s
  SET status = CASE s.status WHEN 'waiting' THEN 'cancelled' ELSE 'skipped' END, cause = 'cancelled',
      completed_at = clock_timestamp()
  FROM task t WHERE s.task_id = t.task_id AND s.status IN ('pending', 'waiting')
)
SELECT id, concurrency_key FROM task`,
};

/**
 * $1 id, $2 actor, $3 reason, $4 request id, $5 cause. Asks the instance that runs the task to end it; the task is cancelled when
 * its processes have ended. The wish is in the ledger from the start.
 */
export const requestCancel: Statement = {
  name: 'queue_request_cancel',
  text: `
WITH lease AS (
  UPDATE queue_leases SET cancel_requested = true, cancel_reason = $3, cancel_cause = $5 WHERE id = $1 RETURNING id, instance
), noted AS (
  INSERT INTO queue_task_events (kind, task_id, attempt, actor, cause, detail, request_id)
  SELECT 'operator', t.task_id, t.attempt, $2, 'cancel_requested', jsonb_strip_nulls(jsonb_build_object('reason', $3::text, 'cause', nullif($5::text, 'cancelled'))), $4
  FROM lease JOIN queue_tasks t ON t.id = lease.id
)
SELECT instance FROM lease`,
};
