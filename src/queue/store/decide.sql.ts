import type { Statement } from './queue-database.js';

/**
 * $1 task_id, $2 step, $3 approve or reject, $4 actor, $5 comment, $6 request id. Notes what somebody says to a step that
 * waits, once an actor, and in the ledger too. No row back: no such step waits, or the actor has spoken.
 */
export const decide: Statement = {
  name: 'queue_decide',
  text: `
WITH step AS MATERIALIZED (
  SELECT s.task_id, s.name, s.attempt, s.started_at FROM queue_task_steps s
  WHERE s.task_id = $1 AND s.name = $2 AND s.status = 'waiting' FOR UPDATE
), decision AS (
  INSERT INTO queue_task_decisions (task_id, step, decision, actor, comment)
  SELECT task_id, name, $3, $4, $5 FROM step
  WHERE NOT EXISTS (SELECT FROM queue_task_decisions d WHERE d.task_id = step.task_id AND d.step = step.name
                    AND d.actor = $4 AND d.at >= step.started_at)
  RETURNING id
), noted AS (
  INSERT INTO queue_task_events (kind, task_id, attempt, actor, cause, detail, request_id)
  SELECT 'operator', step.task_id, step.attempt, $4, CASE $3 WHEN 'approve' THEN 'approved' ELSE 'rejected' END,
         jsonb_strip_nulls(jsonb_build_object('step', step.name, 'comment', $5::text)), $6
  FROM step, decision
)
SELECT id FROM decision`,
};

/**
 * $1 task_id, $2 actor, $3 the ledger's cause, $4 request id, $5 an id of queue_task_decisions or null: a task that waits
 * goes on; with $5, only if something was said after that to a step that still waits. Its promise to start counts anew from now.
 */
export const wake: Statement = {
  name: 'queue_wake',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.cause', $3, true),
         set_config('turnpike.request_id', coalesce($4, ''), true)
), waiting AS MATERIALIZED (
  SELECT s.id FROM settings, queue_scheduled s JOIN queue_tasks t ON t.id = s.id
  WHERE t.task_id = $1 AND t.status = 'waiting'
    AND ($5::bigint IS NULL OR EXISTS (
      SELECT FROM queue_task_steps w JOIN queue_task_decisions d ON d.task_id = w.task_id AND d.step = w.name
      WHERE w.task_id = $1 AND w.status = 'waiting' AND d.at >= w.started_at AND d.id > $5::bigint))
  FOR UPDATE OF s
), taken AS (
  DELETE FROM queue_scheduled s USING waiting w WHERE s.id = w.id RETURNING s.id
), task AS (
  UPDATE queue_tasks t
  SET status = 'pending', run_at = now(), start_by = now() + (t.start_by - t.run_at), updated_at = clock_timestamp()
  FROM taken WHERE t.id = taken.id AND t.status = 'waiting'
  RETURNING t.id, t.start_by
), ready AS (
  INSERT INTO queue_ready (id, start_by) SELECT id, start_by FROM task
  ON CONFLICT (id) DO UPDATE SET start_by = EXCLUDED.start_by
)
SELECT id FROM task`,
};
