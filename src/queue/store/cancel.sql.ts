import { place } from './place.sql.js';
import type { Statement } from './queue-database.js';

/** $1 task_id; the row's key, and how the task stands. */
export const lookAt: Statement = {
  name: 'queue_look_at',
  text: 'SELECT id, status FROM queue_tasks WHERE task_id = $1',
};

/** $1 id; what the handler was given. */
export const specOf: Statement = {
  name: 'queue_spec_of',
  text: 'SELECT workflow_spec FROM queue_tasks WHERE id = $1',
};

const detail = `jsonb_strip_nulls(jsonb_build_object('reason', $3::text, 'cause', nullif($5::text, 'cancelled')))`;

/** Whether a step of the task has begun in any attempt; one that only waits for people has not. */
export const hasRun = (task: string) => `EXISTS (
    SELECT FROM queue_task_steps st
    WHERE st.task_id = ${task}.task_id AND st.started_at IS NOT NULL AND st.status <> 'waiting')`;

/**
 * $1 id, $2 actor, $3 reason, $4 request id, $5 cause, $6 whether the task's handler has something to clean up. Cancels a
 * task that nobody runs, and closes what runs have left of its steps. One of which steps have run, and that has to clean
 * up, is not cancelled yet: it goes, or stays, `pending` with the mark `cancelling`, under which nothing else of it runs.
 * A second cancel does not wait for that.
 */
export const cancelIdle: Statement = {
  name: 'queue_cancel_idle',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.request_id', coalesce($4, ''), true),
         set_config('turnpike.cause', 'cancel_requested', true)
), in_ready AS MATERIALIZED (
  SELECT r.id FROM settings, queue_ready r WHERE r.id = $1 FOR UPDATE OF r
), in_blocked AS MATERIALIZED (
  SELECT b.id FROM settings, queue_blocked b WHERE b.id = $1 FOR UPDATE OF b
), in_scheduled AS MATERIALIZED (
  SELECT s.id FROM settings, queue_scheduled s WHERE s.id = $1 FOR UPDATE OF s
), verdict AS MATERIALIZED (
  SELECT t.id, t.status AS was, $6::boolean AND t.cancelling IS NULL AND ${hasRun('t')} AS cleans_up
  FROM (SELECT id FROM in_ready UNION SELECT id FROM in_blocked UNION SELECT id FROM in_scheduled) held
  JOIN queue_tasks t ON t.id = held.id AND t.status IN ('pending', 'scheduled', 'retrying', 'waiting')
), unready AS (
  DELETE FROM queue_ready r USING verdict v WHERE r.id = v.id AND NOT v.cleans_up
), unblocked AS (
  DELETE FROM queue_blocked b USING verdict v WHERE b.id = v.id AND NOT v.cleans_up
), unscheduled AS (
  DELETE FROM queue_scheduled s USING verdict v WHERE s.id = v.id
), task AS (
  UPDATE queue_tasks t
  SET status = CASE WHEN v.cleans_up THEN 'pending' ELSE 'cancelled' END,
      cause = CASE WHEN NOT v.cleans_up THEN $5 END, error_message = CASE WHEN NOT v.cleans_up THEN $3 END,
      completed_at = CASE WHEN NOT v.cleans_up THEN clock_timestamp() END,
      cancelling = jsonb_build_object('cause', $5::text, 'reason', $3::text),
      run_at = CASE WHEN v.cleans_up AND v.was <> 'pending' THEN now() ELSE t.run_at END,
      start_by = CASE WHEN v.cleans_up AND v.was <> 'pending'
                      THEN now() + greatest(t.start_by - t.run_at, interval '0') ELSE t.start_by END,
      updated_at = clock_timestamp()
  FROM verdict v WHERE t.id = v.id AND t.status IN ('pending', 'scheduled', 'retrying', 'waiting')
  RETURNING t.id, t.task_id, t.status, t.attempt, t.start_by, t.app_name, t.workflow_name, t.concurrency_key, v.was
), ${place('task', { where: `f.status = 'pending' AND f.was <> 'pending'` })}, closed AS (
  UPDATE queue_task_steps s
  SET status = CASE s.status WHEN 'waiting' THEN 'cancelled' ELSE 'skipped' END, cause = 'cancelled',
      completed_at = clock_timestamp()
  FROM task t
  WHERE s.task_id = t.task_id AND (s.status = 'waiting' OR s.status = 'pending' AND t.status = 'cancelled')
), noted AS (
  INSERT INTO queue_task_events (kind, task_id, attempt, actor, cause, detail, request_id)
  SELECT 'operator', task_id, attempt, $2, 'cancel_requested', ${detail}, $4
  FROM task WHERE status = 'pending'
)
SELECT status, concurrency_key FROM task`,
};

/**
 * $1 id, $2 actor, $3 reason, $4 request id, $5 cause, $6 whether the task's handler has something to clean up. Asks the
 * instance that runs the task to end it; the task is cancelled when its processes have ended, and it has cleaned up. The
 * second time it is not to clean up any more. The wish is in the ledger, and on the row, from the start.
 */
export const requestCancel: Statement = {
  name: 'queue_request_cancel',
  text: `
WITH lease AS (
  UPDATE queue_leases l
  SET cancel_requested = true, cancel_reason = $3, cancel_cause = $5,
      cancel_cleanup = $6::boolean AND NOT l.cancel_requested AND t.cancelling IS NULL
  FROM queue_tasks t WHERE l.id = $1 AND t.id = l.id RETURNING l.id, l.instance
), task AS (
  UPDATE queue_tasks t SET cancelling = jsonb_build_object('cause', $5::text, 'reason', $3::text)
  FROM lease WHERE t.id = lease.id RETURNING t.task_id, t.attempt
), noted AS (
  INSERT INTO queue_task_events (kind, task_id, attempt, actor, cause, detail, request_id)
  SELECT 'operator', task_id, attempt, $2, 'cancel_requested', ${detail}, $4 FROM task
)
SELECT instance FROM lease`,
};
