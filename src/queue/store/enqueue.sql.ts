import type { Statement } from './queue-database.js';

/**
 * $1: a jsonb array of tasks as `encodeTask` makes them. One `jsonb` parameter for any number of tasks beat every form of unnest. DO NOTHING on
 * the task id, so that the statement can be repeated when the connection broke during its COMMIT. The ledger's trigger
 * takes the actor from `metadata.user`.
 */
export const enqueue: Statement = {
  name: 'queue_enqueue',
  text: `
WITH input AS MATERIALIZED (
  SELECT i.*, coalesce(i.due_at, now() + coalesce(i.delay_seconds, 0) * interval '1 second') AS due
  FROM (
    SELECT task_id, app_name, workflow_name, workflow_spec, metadata, priority, promise_seconds, run_at AS due_at,
           delay_seconds, max_attempts, timeout_seconds, golden_path, request_id
    FROM jsonb_to_recordset($1::jsonb) AS r(
      task_id text, app_name text, workflow_name text, workflow_spec jsonb, metadata jsonb, priority text,
      promise_seconds double precision, run_at timestamptz, delay_seconds double precision, max_attempts integer,
      timeout_seconds double precision, golden_path text, request_id text)
  ) i
), task AS (
  INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, metadata, priority, status, run_at,
                           start_by, max_attempts, timeout_seconds, golden_path, request_id)
  SELECT task_id, app_name, workflow_name, workflow_spec, metadata, priority,
         CASE WHEN due > now() THEN 'scheduled' ELSE 'pending' END,
         due, greatest(due, now()) + promise_seconds * interval '1 second', max_attempts, timeout_seconds,
         golden_path, request_id
  FROM input
  ON CONFLICT (task_id) DO NOTHING
  RETURNING id, status, start_by, run_at
), ready AS (
  INSERT INTO queue_ready (id, start_by) SELECT id, start_by FROM task WHERE status = 'pending'
  ON CONFLICT (id) DO UPDATE SET start_by = EXCLUDED.start_by
), scheduled AS (
  INSERT INTO queue_scheduled (id, run_at) SELECT id, run_at FROM task WHERE status = 'scheduled'
  ON CONFLICT (id) DO UPDATE SET run_at = EXCLUDED.run_at
)
SELECT extract(epoch FROM min(start_by))::double precision * 1000 AS earliest_ms FROM task WHERE status = 'pending'`,
};
