import type { Statement } from './queue-database.js';

const body = (locked: string) => `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('lock_timeout', '500ms', true)
), outcome AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS o(id bigint, token uuid, status text, cause text, error_message text,
                                                   result jsonb, failed boolean, retry_seconds double precision,
                                                   wait_seconds double precision)
), held AS MATERIALIZED (
  ${locked}
), released AS (
  DELETE FROM queue_leases l USING held WHERE l.id = held.id
  RETURNING l.id, l.lease_token, l.cancel_requested, l.cancel_reason
), final AS MATERIALIZED (
  SELECT o.id, o.result, o.failed, o.retry_seconds, o.wait_seconds,
         CASE WHEN c.wins THEN 'cancelled' ELSE o.status END AS status,
         CASE WHEN c.wins THEN 'cancelled' ELSE o.cause END AS cause,
         CASE WHEN c.wins THEN coalesce(r.cancel_reason, o.error_message) ELSE o.error_message END AS error_message
  FROM released r JOIN outcome o ON o.id = r.id AND o.token = r.lease_token
  CROSS JOIN LATERAL (SELECT r.cancel_requested AND o.status <> 'completed' AS wins) c
), task AS (
  UPDATE queue_tasks t
  SET status = f.status, cause = f.cause, error_message = f.error_message, result = coalesce(f.result, t.result),
      failures = t.failures + CASE WHEN f.failed THEN 1 ELSE 0 END,
      completed_at = CASE WHEN f.status NOT IN ('retrying', 'waiting') THEN clock_timestamp() END,
      run_at = CASE WHEN f.status = 'retrying' THEN now() + f.retry_seconds * interval '1 second' ELSE t.run_at END,
      -- The promise counts anew from the time the task may run again: a retry does not go before those that waited.
      start_by = CASE WHEN f.status = 'retrying'
                      THEN now() + f.retry_seconds * interval '1 second' + (t.start_by - t.run_at) ELSE t.start_by END,
      updated_at = clock_timestamp()
  FROM final f WHERE t.id = f.id AND t.status = 'running'
  RETURNING t.id, t.attempt, t.status, t.started_at, t.completed_at,
            CASE WHEN t.status = 'retrying' THEN t.run_at
                 ELSE coalesce(now() + f.wait_seconds * interval '1 second', 'infinity') END AS due
), later AS (
  INSERT INTO queue_scheduled (id, run_at) SELECT id, due FROM task WHERE status IN ('retrying', 'waiting')
  ON CONFLICT (id) DO UPDATE SET run_at = EXCLUDED.run_at
)
SELECT id, attempt, status, extract(epoch FROM coalesce(completed_at, clock_timestamp()) - started_at) * 1000 AS execution_time_ms
FROM task`;

/**
 * $1 a jsonb array of {id, token, status, cause, error_message, result, failed, retry_seconds, wait_seconds};
 * $2 the actor. What waits without `wait_seconds` waits until somebody wakes it.
 *
 * Fenced: only rows whose lease still carries the run's token are touched; what does not come back did not match. Locks
 * in id order, through a materialized CTE and not by the plan of the DELETE, so that two batches cannot deadlock. With
 * a cancel requested, any outcome but `completed` becomes `cancelled`, so that no cancel dies with its lease.
 */
export const finish: Statement = {
  name: 'queue_finish',
  text: body(`SELECT l.id FROM settings, queue_leases l JOIN outcome o ON o.id = l.id AND o.token = l.lease_token
  ORDER BY l.id FOR UPDATE OF l`),
};

/** The same, going round tasks whose row somebody else holds locked. */
export const finishUnlocked: Statement = {
  name: 'queue_finish_unlocked',
  text: body(`SELECT l.id FROM settings, queue_leases l JOIN outcome o ON o.id = l.id AND o.token = l.lease_token
  JOIN queue_tasks q ON q.id = l.id
  ORDER BY l.id FOR UPDATE OF l SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED`),
};

/** $1 ids of tasks whose start or finish matched no lease: how they stand now. */
export const standing: Statement = {
  name: 'queue_standing',
  text: `SELECT t.id, t.status, t.attempt, l.lease_token FROM queue_tasks t LEFT JOIN queue_leases l ON l.id = t.id
WHERE t.id = ANY($1::bigint[])`,
};
