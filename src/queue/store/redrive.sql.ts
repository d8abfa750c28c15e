import type { Statement } from './queue-database.js';

/** $1 task_id, $2 actor, $3 request id, $4 promise in seconds by priority (jsonb). A task that has ended runs again. */
export const redrive: Statement = {
  name: 'queue_redrive',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.cause', 'redriven', true),
         set_config('turnpike.request_id', coalesce($3, ''), true)
), task AS (
  UPDATE queue_tasks t
  SET status = 'pending', failures = 0, crashes = 0, instance = NULL, cause = NULL, error_message = NULL,
      result = NULL, completed_at = NULL, run_at = now(),
      start_by = now() + ($4::jsonb ->> t.priority)::double precision * interval '1 second',
      updated_at = clock_timestamp()
  FROM settings WHERE t.task_id = $1 AND t.status IN ('completed', 'failed', 'cancelled')
  RETURNING t.id, t.start_by
), ready AS (
  INSERT INTO queue_ready (id, start_by) SELECT id, start_by FROM task
  ON CONFLICT (id) DO UPDATE SET start_by = EXCLUDED.start_by
)
SELECT id FROM task`,
};
