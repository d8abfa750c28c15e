import type { Statement } from './queue-database.js';

/**
 * Checkpoints. Each names the lease it writes under ($1 id, $2 lease token) and locks that row FOR SHARE: a bare EXISTS
 * would let one through while the lease is being taken away. No row back: the lease is lost, and nothing was written.
 * $3 is the actor.
 */
const fenced = (write: string) => `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $3, true)
), lease AS MATERIALIZED (
  SELECT l.id FROM settings, queue_leases l WHERE l.id = $1 AND l.lease_token = $2 FOR SHARE OF l
), ${write}
SELECT id FROM lease`;

/**
 * $4 task_id, $5 attempt, $6 a jsonb array of {position, name, type, keep, start}, $7 their number: all steps of a run,
 * before any other word of them. What is kept stays as an earlier run left it, at its new place where the document has
 * changed; what is to start is `running` from here on, one flush earlier than by a statement of its own.
 */
export const beginSteps: Statement = {
  name: 'queue_begin_steps',
  text: fenced(`before AS MATERIALIZED (
  SELECT * FROM queue_task_steps WHERE task_id = $4
), gone AS (
  DELETE FROM queue_task_steps s USING lease WHERE s.task_id = $4 AND s.position >= $7::integer
), written AS (
  INSERT INTO queue_task_steps (task_id, position, name, type, status, attempt, started_at, completed_at, exit_code, cause,
                                error_message, outputs, tries, variables, waits_for, deadline)
  SELECT $4, s.position, s.name, s.type, coalesce(b.status, CASE WHEN s.start THEN 'running' ELSE 'pending' END),
         coalesce(b.attempt, $5::integer), CASE WHEN s.start THEN clock_timestamp() ELSE b.started_at END,
         b.completed_at, b.exit_code, b.cause, b.error_message, b.outputs, coalesce(b.tries, 1), b.variables, b.waits_for,
         b.deadline
  FROM lease, jsonb_to_recordset($6::jsonb) AS s(position integer, name text, type text, keep boolean, start boolean)
  LEFT JOIN before b ON s.keep AND b.name = s.name
  ON CONFLICT (task_id, position) DO UPDATE
  SET name = EXCLUDED.name, type = EXCLUDED.type, status = EXCLUDED.status, attempt = EXCLUDED.attempt,
      started_at = EXCLUDED.started_at, completed_at = EXCLUDED.completed_at, exit_code = EXCLUDED.exit_code,
      cause = EXCLUDED.cause, error_message = EXCLUDED.error_message, outputs = EXCLUDED.outputs, tries = EXCLUDED.tries,
      variables = EXCLUDED.variables, waits_for = EXCLUDED.waits_for, deadline = EXCLUDED.deadline
)`),
};

/** $4 task_id, $5 position. */
export const startStep: Statement = {
  name: 'queue_start_step',
  text: fenced(`written AS (
  UPDATE queue_task_steps s SET status = 'running', started_at = clock_timestamp()
  FROM lease WHERE s.task_id = $4 AND s.position = $5::integer
)`),
};

/** $4 task_id, $5 position, $6 what it waits for (jsonb), $7 seconds until its deadline, null for none. */
export const waitStep: Statement = {
  name: 'queue_wait_step',
  text: fenced(`written AS (
  UPDATE queue_task_steps s
  SET status = 'waiting', started_at = clock_timestamp(), waits_for = $6::jsonb,
      deadline = clock_timestamp() + $7::double precision * interval '1 second'
  FROM lease WHERE s.task_id = $4 AND s.position = $5::integer
)`),
};

/**
 * $4 task_id, $5 position, $6 status, $7 exit code, $8 cause, $9 error message, $10 outputs (jsonb), $11 variables (jsonb),
 * $12 tries.
 */
export const finishStep: Statement = {
  name: 'queue_finish_step',
  text: fenced(`written AS (
  UPDATE queue_task_steps s
  SET status = $6, completed_at = clock_timestamp(), exit_code = $7::integer, cause = $8, error_message = $9,
      outputs = $10::jsonb, variables = $11::jsonb, tries = $12::integer
  FROM lease WHERE s.task_id = $4 AND s.position = $5::integer
)`),
};

/** $4 task_id, $5 a jsonb array of {position, cause, why}: steps that will not run. */
export const skipSteps: Statement = {
  name: 'queue_skip_steps',
  text: fenced(`written AS (
  UPDATE queue_task_steps s SET status = 'skipped', completed_at = clock_timestamp(), cause = k.cause, error_message = k.why
  FROM lease, jsonb_to_recordset($5::jsonb) AS k(position integer, cause text, why text)
  WHERE s.task_id = $4 AND s.position = k.position
)`),
};

/** $4 task_id, $5 cause. The run ends: steps that have not begun never will, and nobody is waited for any more. */
export const closeSteps: Statement = {
  name: 'queue_close_steps',
  text: fenced(`written AS (
  UPDATE queue_task_steps s
  SET status = CASE s.status WHEN 'waiting' THEN 'cancelled' ELSE 'skipped' END, completed_at = clock_timestamp(),
      cause = $5, error_message = 'the run ended before'
  FROM lease WHERE s.task_id = $4 AND s.status IN ('pending', 'waiting')
)`),
};

/** $4 task_id, $5 attempt, $6 steps, $7 streams, $8 chunks: arrays of one length. */
export const appendLog: Statement = {
  name: 'queue_append_log',
  text: fenced(`written AS (
  INSERT INTO queue_task_logs (task_id, attempt, step, stream, chunk)
  SELECT $4, $5::integer, c.step, c.stream, c.chunk
  FROM lease, unnest($6::text[], $7::text[], $8::bytea[]) WITH ORDINALITY AS c(step, stream, chunk, n) ORDER BY c.n
)`),
};

/** $1 task_id: bytes of output that earlier attempts have stored. */
export const loggedBytes: Statement = {
  name: 'queue_logged_bytes',
  text: 'SELECT coalesce(sum(octet_length(chunk)), 0)::double precision AS bytes FROM queue_task_logs WHERE task_id = $1',
};

/** $1 task_id: the steps as the runs so far have left them, with what people said to those that wait. */
export const storedSteps: Statement = {
  name: 'queue_stored_steps',
  text: `
SELECT s.position, s.name, s.type, s.status, s.attempt, s.cause, s.error_message, s.outputs, s.variables, s.waits_for,
       extract(epoch FROM s.deadline - clock_timestamp())::double precision AS seconds_left,
       coalesce(d.decisions, '[]') AS decisions
FROM queue_task_steps s
LEFT JOIN LATERAL (
  SELECT jsonb_agg(jsonb_build_object('decision', d.decision, 'actor', d.actor, 'comment', d.comment)
                   ORDER BY d.id) AS decisions
  FROM queue_task_decisions d
  WHERE s.status = 'waiting' AND d.task_id = s.task_id AND d.step = s.name AND d.at >= s.started_at
) d ON true
WHERE s.task_id = $1 ORDER BY s.position`,
};
