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
), written AS (${write})
SELECT id FROM lease`;

/** $4 task_id, $5 attempt, $6 a jsonb array of {position, name, type}: all steps of a run, before the first starts. */
export const beginSteps: Statement = {
  name: 'queue_begin_steps',
  text: fenced(`
INSERT INTO queue_task_steps (task_id, position, name, type, status, attempt)
SELECT $4, s.position, s.name, s.type, 'pending', $5::integer
FROM lease, jsonb_to_recordset($6::jsonb) AS s(position integer, name text, type text)
ON CONFLICT (task_id, position) DO UPDATE
SET name = EXCLUDED.name, type = EXCLUDED.type, status = 'pending', attempt = EXCLUDED.attempt, started_at = NULL,
    completed_at = NULL, exit_code = NULL, cause = NULL, error_message = NULL, outputs = NULL`),
};

/** $4 task_id, $5 position. */
export const startStep: Statement = {
  name: 'queue_start_step',
  text: fenced(`
UPDATE queue_task_steps s SET status = 'running', started_at = clock_timestamp()
FROM lease WHERE s.task_id = $4 AND s.position = $5::integer`),
};

/** $4 task_id, $5 position, $6 status, $7 exit code, $8 cause, $9 error message, $10 outputs (jsonb). */
export const finishStep: Statement = {
  name: 'queue_finish_step',
  text: fenced(`
UPDATE queue_task_steps s
SET status = $6, completed_at = clock_timestamp(), exit_code = $7::integer, cause = $8, error_message = $9,
    outputs = $10::jsonb
FROM lease WHERE s.task_id = $4 AND s.position = $5::integer`),
};

/** $4 task_id. Steps that will not run any more, since the run has ended. */
export const skipSteps: Statement = {
  name: 'queue_skip_steps',
  text: fenced(`
UPDATE queue_task_steps s SET status = 'skipped', completed_at = clock_timestamp()
FROM lease WHERE s.task_id = $4 AND s.status = 'pending'`),
};

/** $4 task_id, $5 attempt, $6 steps, $7 streams, $8 chunks: arrays of one length. */
export const appendLog: Statement = {
  name: 'queue_append_log',
  text: fenced(`
INSERT INTO queue_task_logs (task_id, attempt, step, stream, chunk)
SELECT $4, $5::integer, c.step, c.stream, c.chunk
FROM lease, unnest($6::text[], $7::text[], $8::bytea[]) WITH ORDINALITY AS c(step, stream, chunk, n) ORDER BY c.n`),
};

/** $1 task_id: bytes of output that earlier attempts have stored. */
export const loggedBytes: Statement = {
  name: 'queue_logged_bytes',
  text: 'SELECT coalesce(sum(octet_length(chunk)), 0)::double precision AS bytes FROM queue_task_logs WHERE task_id = $1',
};
