import { place } from './place.sql.js';
import type { Statement } from './queue-database.js';

/**
 * $1 ids of tasks. Held to the end of the transaction, by whoever decides and by whoever parks a task: so one of them
 * comes first, and the later one sees in its next statement what the earlier one did.
 */
export const lockDecisions: Statement = {
  name: 'queue_lock_decisions',
  text: `
SELECT pg_advisory_xact_lock(hashtextextended('queue_decisions:' || i.id, 0))
FROM (SELECT id FROM unnest($1::bigint[]) AS t(id) ORDER BY id) i`,
};

/**
 * $1 task_id, $2 step, $3 approve or reject, $4 actor, $5 comment, $6 request id. Notes what somebody says to a step that
 * waits, once an actor, and in the ledger too. No row back: no such step waits (any more), or the actor has spoken.
 */
export const decide: Statement = {
  name: 'queue_decide',
  text: `
WITH step AS MATERIALIZED (
  SELECT s.task_id, s.name, s.attempt, s.started_at FROM queue_task_steps s
  WHERE s.task_id = $1 AND s.name = $2 AND s.status = 'waiting'
    AND (s.deadline IS NULL OR s.deadline > clock_timestamp()) FOR UPDATE
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

/** $1 task_id, $2 step: what has been said to it since it began to wait; nothing where it does not wait. */
export const decisionsOn: Statement = {
  name: 'queue_decisions_on',
  text: `
SELECT d.decision, d.actor, d.comment FROM queue_task_steps s
JOIN queue_task_decisions d ON d.task_id = s.task_id AND d.step = s.name AND d.at >= s.started_at
WHERE s.task_id = $1 AND s.name = $2 AND s.status = 'waiting' ORDER BY d.id`,
};

const wakeUp = (waiting: string) => `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.cause', $3, true),
         set_config('turnpike.request_id', coalesce($4, ''), true)
), waiting AS MATERIALIZED (
  ${waiting}
), taken AS (
  DELETE FROM queue_scheduled s USING waiting w WHERE s.id = w.id RETURNING s.id
), task AS (
  UPDATE queue_tasks t
  SET status = 'pending', run_at = now(), start_by = now() + greatest(t.start_by - t.run_at, interval '0'),
      updated_at = clock_timestamp()
  FROM taken WHERE t.id = taken.id AND t.status = 'waiting'
  RETURNING t.id, t.start_by, t.app_name, t.workflow_name, t.concurrency_key
), ${place('task')}
SELECT id, concurrency_key FROM task`;

/** $1 task_id, $2 actor, $3 the ledger's cause, $4 request id: a task that waits goes on, its promise counted from now. */
export const wake: Statement = {
  name: 'queue_wake',
  text: wakeUp(`SELECT s.id FROM settings, queue_scheduled s JOIN queue_tasks t ON t.id = s.id
  WHERE t.task_id = $1 AND t.status = 'waiting' FOR UPDATE OF s`),
};

/**
 * $1 a jsonb array of {id, seen}, $2 to $4 as above: tasks that have just been parked go on where more was said to their
 * waiting steps than the run had seen. Must be a statement after the one that parks them, under `lockDecisions`.
 */
export const wakeDecided: Statement = {
  name: 'queue_wake_decided',
  text: wakeUp(`SELECT s.id FROM settings, jsonb_to_recordset($1::jsonb) AS p(id bigint, seen integer)
  JOIN queue_scheduled s ON s.id = p.id JOIN queue_tasks t ON t.id = s.id
  WHERE t.status = 'waiting' AND p.seen < (
    SELECT count(*) FROM queue_task_steps w
    JOIN queue_task_decisions d ON d.task_id = w.task_id AND d.step = w.name AND d.at >= w.started_at
    WHERE w.task_id = t.task_id AND w.status = 'waiting')
  ORDER BY s.id FOR UPDATE OF s`),
};
