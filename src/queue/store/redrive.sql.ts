import { place } from './place.sql.js';
import type { Statement } from './queue-database.js';

/**
 * $1 task_id, $2 actor, $3 request id, $4 promise in seconds by priority (jsonb), $5 names of steps or null, $6 a corrected
 * workflow_spec (jsonb) or null, $7 detail for the ledger (jsonb) or null, $8 new limits ({max_attempts, timeout_seconds}). A task that has ended runs again. The steps of
 * $5 run anew whatever became of them; without $5, all of a task that had completed, and of others none but those that
 * did not.
 */
export const redrive: Statement = {
  name: 'queue_redrive',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.cause', 'redriven', true),
         set_config('turnpike.request_id', coalesce($3, ''), true),
         set_config('turnpike.detail', coalesce($7::jsonb::text, ''), true)
), before AS MATERIALIZED (
  SELECT t.id, t.status FROM settings, queue_tasks t
  WHERE t.task_id = $1 AND t.status IN ('completed', 'failed', 'cancelled') FOR NO KEY UPDATE OF t
), task AS (
  UPDATE queue_tasks t
  SET status = 'pending', failures = 0, crashes = 0, instance = NULL, cause = NULL, error_message = NULL, cancelling = NULL,
      result = NULL, completed_at = NULL, run_at = now(), workflow_spec = coalesce($6::jsonb, t.workflow_spec),
      max_attempts = coalesce(($8::jsonb ->> 'max_attempts')::integer, t.max_attempts),
      timeout_seconds = CASE WHEN $8::jsonb ? 'timeout_seconds'
                             THEN ($8::jsonb ->> 'timeout_seconds')::double precision ELSE t.timeout_seconds END,
      metadata = CASE WHEN $6::jsonb IS NULL THEN t.metadata ELSE t.metadata || jsonb_build_object('corrected_by',
        coalesce(t.metadata -> 'corrected_by', '[]') || to_jsonb($2::text)) END,
      start_by = now() + ($4::jsonb ->> t.priority)::double precision * interval '1 second',
      updated_at = clock_timestamp()
  FROM before b WHERE t.id = b.id
  RETURNING t.id, t.task_id, t.start_by, t.app_name, t.workflow_name, t.concurrency_key, b.status AS was
), ${place('task')}, anew AS (
  UPDATE queue_task_steps s
  SET status = 'pending', started_at = NULL, completed_at = NULL, exit_code = NULL, cause = NULL, error_message = NULL,
      outputs = NULL, variables = NULL, waits_for = NULL, deadline = NULL, tries = 1
  FROM task t
  WHERE s.task_id = t.task_id AND s.status <> 'pending'
    AND (s.name = ANY($5::text[]) OR $5 IS NULL AND t.was = 'completed')
)
SELECT id, concurrency_key FROM task`,
};
