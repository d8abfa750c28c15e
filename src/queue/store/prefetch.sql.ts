import { mayRun } from './claim.sql.js';
import { queueIsOpen } from './place.sql.js';
import type { Statement } from './queue-database.js';

const body = (locked: string) => `
WITH settings AS MATERIALIZED (
  SELECT set_config('lock_timeout', '500ms', true)
), me AS MATERIALIZED (
  SELECT i.id FROM settings, queue_instances i
  WHERE i.id = $2 AND i.expires_at > clock_timestamp() AND NOT i.draining AND ${queueIsOpen}
  FOR KEY SHARE OF i
), candidate AS MATERIALIZED (
  ${locked}
), taken AS (
  DELETE FROM queue_ready r USING candidate c WHERE r.id = c.id RETURNING r.id, r.suspect
), task AS MATERIALIZED (
  SELECT t.*, taken.suspect FROM taken JOIN queue_tasks t ON t.id = taken.id WHERE t.status = 'pending'
), lease AS (
  INSERT INTO queue_leases (id, lease_token, instance, concurrency_key, prefetched)
  SELECT id, $3::uuid, $2, concurrency_key, true FROM task
  ON CONFLICT (id) DO UPDATE SET lease_token = EXCLUDED.lease_token, instance = EXCLUDED.instance, prefetched = true,
                                 concurrency_key = EXCLUDED.concurrency_key, cancel_requested = false, cancel_reason = NULL
)
SELECT id, task_id, attempt + 1 AS attempt, failures, max_attempts, app_name, workflow_name, workflow_spec, metadata,
       timeout_seconds, request_id,
       extract(epoch FROM clock_timestamp() - greatest(enqueued_at, run_at)) * 1000 AS queue_time_ms,
       extract(epoch FROM start_by)::double precision * 1000 AS start_by_ms,
       suspect OR crashes >= $5::integer AS suspect, crashes >= $5::integer AS alone, cancelling
FROM task ORDER BY start_by, id`;

/**
 * $1 how many, $2 instance, $3 fresh lease token, $4 the floor, $5 how many crashes make a task run alone. Takes tasks out of queue_ready for workers that will soon be free: they
 * are leased, so that nobody else begins them, and stay `pending`, which is what they are. `start` makes them `running`.
 */
export const prefetch: Statement = {
  name: 'queue_prefetch',
  text: body(`SELECT r.id FROM queue_ready r WHERE EXISTS (SELECT FROM me) AND r.start_by >= to_timestamp($4::double precision)
  ORDER BY r.start_by, r.id LIMIT $1 FOR UPDATE OF r SKIP LOCKED`),
};

/** The same, going round those that run alone: by $6 `all` of them, or the `early` ones, which are not yet promised to start. */
export const prefetchRound: Statement = {
  name: 'queue_prefetch_round',
  text: body(`SELECT r.id FROM queue_ready r JOIN queue_tasks q ON q.id = r.id
  WHERE EXISTS (SELECT FROM me) AND r.start_by >= to_timestamp($4::double precision) AND ${mayRun}
  ORDER BY r.start_by, r.id LIMIT $1 FOR UPDATE OF r SKIP LOCKED`),
};

const start = (locked: string) => `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('lock_timeout', '500ms', true)
), run AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(id bigint, token uuid, seconds_ago double precision)
), held AS MATERIALIZED (
  ${locked}
)
UPDATE queue_tasks t
SET status = 'running', attempt = attempt + 1, instance = held.instance, completed_at = NULL, cause = NULL,
    error_message = NULL, updated_at = clock_timestamp(),
    started_at = clock_timestamp() - run.seconds_ago * interval '1 second'
FROM held JOIN run USING (id) WHERE t.id = held.id AND t.status = 'pending'
RETURNING t.id, t.attempt, t.status, 0 AS execution_time_ms`;

/**
 * $1 a jsonb array of {id, token, seconds_ago}, $2 the actor. Workers have begun these prefetched tasks, so many seconds
 * ago. Fenced and locked as a finish is; what does not come back did not match.
 */
export const startPrefetched: Statement = {
  name: 'queue_start',
  text: start(`SELECT l.id, l.instance FROM settings, queue_leases l JOIN run r ON r.id = l.id AND r.token = l.lease_token
  ORDER BY l.id FOR UPDATE OF l`),
};

/** The same, going round tasks whose row somebody else holds locked. */
export const startUnlocked: Statement = {
  name: 'queue_start_unlocked',
  text: start(`SELECT l.id, l.instance FROM settings, queue_leases l JOIN run r ON r.id = l.id AND r.token = l.lease_token
  JOIN queue_tasks q ON q.id = l.id
  ORDER BY l.id FOR UPDATE OF l SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED`),
};
