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
 * $4 task_id, $5 attempt, $6 a jsonb array of {position, name, type, keep}, $7 their number: all steps of a run that follows
 * others, before any other word of them. What is kept stays as an earlier run left it, at its new place where the document
 * has changed; the ledger is told that it has only moved.
 */
export const beginSteps: Statement = {
  name: 'queue_begin_steps',
  text: fenced(`moved AS MATERIALIZED (
  SELECT set_config('turnpike.steps', 'moved', true) FROM lease
), before AS MATERIALIZED (
  SELECT s.* FROM moved, queue_task_steps s WHERE s.task_id = $4
), gone AS (
  DELETE FROM queue_task_steps s USING lease WHERE s.task_id = $4 AND s.position >= $7::integer
), written AS (
  INSERT INTO queue_task_steps (task_id, position, name, type, status, attempt, started_at, completed_at, exit_code, cause,
                                error_message, outputs, tries, variables, waits_for, deadline)
  SELECT $4, s.position, s.name, s.type, coalesce(b.status, 'pending'), coalesce(b.attempt, $5::integer), b.started_at,
         b.completed_at, b.exit_code, b.cause, b.error_message, b.outputs, coalesce(b.tries, 1), b.variables, b.waits_for,
         b.deadline
  FROM moved, jsonb_to_recordset($6::jsonb) AS s(position integer, name text, type text, keep boolean)
  LEFT JOIN before b ON s.keep AND b.name = s.name
  ON CONFLICT (task_id, position) DO UPDATE
  SET name = EXCLUDED.name, type = EXCLUDED.type, status = EXCLUDED.status, attempt = EXCLUDED.attempt,
      started_at = EXCLUDED.started_at, completed_at = EXCLUDED.completed_at, exit_code = EXCLUDED.exit_code,
      cause = EXCLUDED.cause, error_message = EXCLUDED.error_message, outputs = EXCLUDED.outputs, tries = EXCLUDED.tries,
      variables = EXCLUDED.variables, waits_for = EXCLUDED.waits_for, deadline = EXCLUDED.deadline
)`),
};

const AGO = (place: number) => `statement_timestamp() - (c ->> ${place})::double precision * interval '1 second'`;

/**
 * Writes what runs have noted of their steps, from a relation of task_id, attempt and steps: jsonb arrays of [position,
 * name, type, status, started seconds ago, ended seconds ago, exit code, cause, error message, outputs, variables, tries,
 * what it waits for, seconds until its deadline]. A step may begin and end in one change: the ledger has both, with their
 * times. What an earlier run has left of a waiting step stays where the note says nothing of it.
 */
export const stepsWritten = (noted: string) => `
  INSERT INTO queue_task_steps AS s (task_id, position, name, type, status, attempt, started_at, completed_at, exit_code,
                                     cause, error_message, outputs, variables, tries, waits_for, deadline)
  SELECT n.task_id, (c ->> 0)::integer, c ->> 1, c ->> 2, c ->> 3, n.attempt, ${AGO(4)}, ${AGO(5)}, (c ->> 6)::integer,
         c ->> 7, c ->> 8, nullif(c -> 9, 'null'), nullif(c -> 10, 'null'), (c ->> 11)::integer, nullif(c -> 12, 'null'),
         ${AGO(4)} + (c ->> 13)::double precision * interval '1 second'
  FROM ${noted} n CROSS JOIN LATERAL jsonb_array_elements(n.steps) c
  ON CONFLICT (task_id, position) DO UPDATE
  SET status = EXCLUDED.status, attempt = CASE WHEN EXCLUDED.started_at IS NULL THEN s.attempt ELSE EXCLUDED.attempt END,
      started_at = coalesce(EXCLUDED.started_at, s.started_at),
      completed_at = CASE WHEN EXCLUDED.completed_at IS NOT NULL
                          THEN greatest(EXCLUDED.completed_at, EXCLUDED.started_at, s.started_at) END,
      exit_code = EXCLUDED.exit_code, cause = EXCLUDED.cause, error_message = EXCLUDED.error_message,
      outputs = EXCLUDED.outputs, variables = EXCLUDED.variables, tries = EXCLUDED.tries,
      waits_for = coalesce(EXCLUDED.waits_for, s.waits_for), deadline = coalesce(EXCLUDED.deadline, s.deadline)
  RETURNING 1`;

/** $4 task_id, $5 attempt, $6 steps: what one run has noted; see `stepsWritten`. */
export const writeSteps: Statement = {
  name: 'queue_write_steps',
  text: fenced(`noted AS MATERIALIZED (
  SELECT $4::text AS task_id, $5::integer AS attempt, $6::jsonb AS steps FROM lease
), written AS (${stepsWritten('noted')}
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
