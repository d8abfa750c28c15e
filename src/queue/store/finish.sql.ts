import type { Statement } from './queue-database.js';
import { stepsWritten } from './steps.sql.js';

const NO_STEPS = { columns: '', write: '', after: '' };

/** The task's change waits for those of its steps: the ledger has them in this order. */
const WITH_STEPS = {
  columns: `,
         o ->> 10 AS task_id, (o ->> 11)::integer AS attempt, coalesce(o -> 12, '[]') AS steps`,
  write: `, steps AS (${stepsWritten('held')}
)`,
  after: ', (SELECT count(*) FROM steps) written',
};

const body = (locked: string, { columns, write, after } = NO_STEPS) => `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('lock_timeout', '500ms', true)
), outcome AS MATERIALIZED (
  SELECT (o ->> 0)::bigint AS id, (o ->> 1)::uuid AS token, o ->> 2 AS status, o ->> 3 AS cause, o ->> 4 AS error_message,
         nullif(o -> 5, 'null') AS result, (o ->> 6)::boolean AS failed, (o ->> 7)::double precision AS retry_seconds,
         (o ->> 8)::double precision AS wait_seconds, (o ->> 9)::double precision AS begun_seconds_ago${columns}
  FROM jsonb_array_elements($1::jsonb) AS o
), held AS MATERIALIZED (
  ${locked}
)${write}, released AS (
  DELETE FROM queue_leases l USING held WHERE l.id = held.id
  RETURNING held.*, l.instance, l.concurrency_key, l.cancel_requested, l.cancel_reason, l.cancel_cause
), final AS MATERIALIZED (
  SELECT r.id, r.result, r.failed AND NOT c.wins AS failed, r.retry_seconds, r.wait_seconds, r.instance, r.concurrency_key,
         r.begun_seconds_ago,
         CASE WHEN c.wins THEN 'cancelled' ELSE r.status END AS status,
         CASE WHEN c.wins THEN coalesce(r.cancel_cause, 'cancelled') ELSE r.cause END AS cause,
         CASE WHEN c.wins THEN coalesce(r.cancel_reason, r.error_message) ELSE r.error_message END AS error_message
  FROM released r CROSS JOIN LATERAL (SELECT r.cancel_requested AND r.status <> 'completed' AS wins) c${after}
), task AS (
  UPDATE queue_tasks t
  SET status = f.status, cause = f.cause, error_message = f.error_message, result = coalesce(f.result, t.result),
      failures = t.failures + CASE WHEN f.failed THEN 1 ELSE 0 END,
      attempt = t.attempt + CASE WHEN f.begun_seconds_ago IS NULL THEN 0 ELSE 1 END,
      instance = CASE WHEN f.begun_seconds_ago IS NULL THEN t.instance ELSE f.instance END,
      started_at = CASE WHEN f.begun_seconds_ago IS NULL THEN t.started_at
                        ELSE clock_timestamp() - f.begun_seconds_ago * interval '1 second' END,
      completed_at = CASE WHEN f.status NOT IN ('retrying', 'waiting') THEN clock_timestamp() END,
      run_at = CASE WHEN f.status = 'retrying' THEN now() + f.retry_seconds * interval '1 second' ELSE t.run_at END,
      -- The promise counts anew from the time the task may run again: a retry does not go before those that waited.
      start_by = CASE WHEN f.status = 'retrying'
                      THEN now() + f.retry_seconds * interval '1 second' + greatest(t.start_by - t.run_at, interval '0') ELSE t.start_by END,
      updated_at = clock_timestamp()
  FROM final f
  WHERE t.id = f.id AND t.status = CASE WHEN f.begun_seconds_ago IS NULL THEN 'running' ELSE 'pending' END
  RETURNING t.id, t.attempt, t.status, t.started_at, t.completed_at, f.concurrency_key,
            CASE WHEN t.status = 'retrying' THEN t.run_at
                 ELSE coalesce(now() + f.wait_seconds * interval '1 second', 'infinity') END AS due
), later AS (
  INSERT INTO queue_scheduled (id, run_at, concurrency_key)
  SELECT id, due, concurrency_key FROM task WHERE status IN ('retrying', 'waiting')
  ON CONFLICT (id) DO UPDATE SET run_at = EXCLUDED.run_at, concurrency_key = EXCLUDED.concurrency_key
)
SELECT id, attempt, status, concurrency_key,
       (extract(epoch FROM coalesce(completed_at, clock_timestamp()) - started_at) * 1000)::double precision AS execution_time_ms
FROM task`;

const LOCKED = `SELECT o.* FROM settings, queue_leases l JOIN outcome o ON o.id = l.id AND o.token = l.lease_token
  WHERE l.id = ANY(ARRAY(SELECT id FROM outcome))
  ORDER BY l.id FOR UPDATE OF l`;

const UNLOCKED = `SELECT o.* FROM settings, queue_leases l JOIN outcome o ON o.id = l.id AND o.token = l.lease_token
  JOIN queue_tasks q ON q.id = l.id
  WHERE l.id = ANY(ARRAY(SELECT id FROM outcome))
  ORDER BY l.id FOR UPDATE OF l SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED`;

/**
 * $1 a jsonb array of [id, token, status, cause, error_message, result, failed, retry_seconds, wait_seconds,
 * begun_seconds_ago]; $2 the actor. What waits without `wait_seconds` waits until somebody wakes it. With `begun_seconds_ago` it is the start and the end of a prefetched task's run in one: the row is still
 * `pending`, and the ledger's trigger writes both changes.
 *
 * Fenced: only rows whose lease still carries the run's token are touched; what does not come back did not match. Locks
 * in id order, through a materialized CTE and not by the plan of the DELETE, so that two batches cannot deadlock; the
 * leases are looked up by an array, which the planner does by their key whatever it takes the size of the table for.
 * With a cancel requested, any outcome but `completed` becomes `cancelled` and counts no failure, so that no cancel dies
 * with its lease.
 */
export const finish: Statement = {
  name: 'queue_finish',
  text: body(LOCKED),
};

/** The same, going round tasks whose row somebody else holds locked. */
export const finishUnlocked: Statement = {
  name: 'queue_finish_unlocked',
  text: body(UNLOCKED),
};

/** Outcomes of runs that have noted steps: each of these is followed by task_id, attempt and what `stepsWritten` takes. */
export const finishWithSteps: Statement = {
  name: 'queue_finish_with_steps',
  text: body(LOCKED, WITH_STEPS),
};

export const finishWithStepsUnlocked: Statement = {
  name: 'queue_finish_with_steps_unlocked',
  text: body(UNLOCKED, WITH_STEPS),
};

/** $1 ids of tasks whose start or finish matched no lease: how they stand now. */
export const standing: Statement = {
  name: 'queue_standing',
  text: `SELECT t.id, t.status, t.attempt, l.lease_token FROM queue_tasks t LEFT JOIN queue_leases l ON l.id = t.id
WHERE t.id = ANY($1::bigint[])`,
};
