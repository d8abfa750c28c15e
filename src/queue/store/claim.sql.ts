import { queueIsOpen } from './place.sql.js';
import type { Statement } from './queue-database.js';

const answer = (from: string, attempt: string, startedAt: string, alone: boolean) => `
SELECT id, task_id, ${attempt} AS attempt, failures, max_attempts, app_name, workflow_name, workflow_spec, metadata,
       timeout_seconds, request_id, extract(epoch FROM ${startedAt} - greatest(enqueued_at, run_at)) * 1000 AS queue_time_ms,
       extract(epoch FROM start_by)::double precision * 1000 AS start_by_ms, ${alone} AS suspect, ${alone} AS alone, cancelling
FROM ${from}`;

const body = (locked: string) => `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', 'worker:' || $2::text, true), set_config('lock_timeout', '500ms', true)
), me AS MATERIALIZED (
  SELECT i.id FROM settings, queue_instances i
  WHERE i.id = $2 AND i.expires_at > clock_timestamp() AND NOT i.draining AND ${queueIsOpen}
  FOR KEY SHARE OF i
), candidate AS MATERIALIZED (
  ${locked}
), taken AS (
  DELETE FROM queue_ready r USING candidate c WHERE r.id = c.id RETURNING r.id
), task AS (
  UPDATE queue_tasks t
  SET status = 'running', attempt = attempt + 1, instance = $2, started_at = clock_timestamp(), completed_at = NULL,
      cause = NULL, error_message = NULL, updated_at = clock_timestamp()
  FROM taken WHERE t.id = taken.id AND t.status = 'pending' AND t.crashes < $5::integer
  RETURNING t.*
), alone AS MATERIALIZED (
  SELECT t.* FROM taken JOIN queue_tasks t ON t.id = taken.id
  WHERE (SELECT count(*) FROM taken) > (SELECT count(*) FROM task) AND t.status = 'pending' AND t.crashes >= $5::integer
), lease AS (
  INSERT INTO queue_leases (id, lease_token, instance, concurrency_key, prefetched)
  SELECT id, $3::uuid, $2, concurrency_key, false FROM task
  UNION ALL SELECT id, $3::uuid, $2, concurrency_key, true FROM alone
  ON CONFLICT (id) DO UPDATE SET lease_token = EXCLUDED.lease_token, instance = EXCLUDED.instance,
                                 prefetched = EXCLUDED.prefetched, concurrency_key = EXCLUDED.concurrency_key,
                                 cancel_requested = false, cancel_reason = NULL
)
${answer('task', 'attempt', 'started_at', false)}
UNION ALL ${answer('alone', 'attempt + 1', 'clock_timestamp()', true)}
ORDER BY start_by_ms, id`;

/**
 * $1 free slots, $2 instance, $3 fresh lease token, $4 the floor, $5 how many crashes make a task run alone. Claims the
 * tasks with the earliest `start_by`. Those that run alone are only leased: as prefetched ones they stay `pending` until the
 * instance has nothing else to run.
 *
 * - The floor is a `start_by` before which the claimer knows of no task: it keeps the index scan off the entries of tasks
 *   long claimed, which stay for as long as some transaction is open that might see them (`claimer.ts`).
 * - EXISTS, not a join, on the instance: one that has expired must not walk queue_ready.
 * - MATERIALIZED, or the planner may lock more rows than LIMIT.
 * - The status is tested again: a row of queue_ready that is out of step (a status was edited by hand) is dropped here
 *   and repaired by the sweep.
 * - Whoever runs alone is looked for only where the UPDATE left something out: what hardly ever happens costs nothing.
 */
export const claim: Statement = {
  name: 'queue_claim',
  text: body(`SELECT r.id FROM queue_ready r WHERE EXISTS (SELECT FROM me) AND r.start_by >= to_timestamp($4::double precision)
  ORDER BY r.start_by, r.id LIMIT $1 FOR UPDATE OF r SKIP LOCKED`),
};

/** Of a task q in queue_ready r: it does not run alone ($5), or those that do are not to be gone round ($6). */
export const mayRun = `(q.crashes < $5::integer OR $6::text = 'none' OR ($6 = 'early' AND r.start_by <= now()))`;

/**
 * The same, going round tasks whose row somebody else holds locked: slower, used when the plain form ran into one. By $6
 * also round those that run alone: `all` of them, the `early` ones, which are not yet promised to start, or `none`.
 */
export const claimUnlocked: Statement = {
  name: 'queue_claim_unlocked',
  text: body(`SELECT r.id FROM queue_ready r JOIN queue_tasks q ON q.id = r.id
  WHERE EXISTS (SELECT FROM me) AND r.start_by >= to_timestamp($4::double precision)
    AND ${mayRun}
  ORDER BY r.start_by, r.id LIMIT $1 FOR UPDATE OF r SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED`),
};

/**
 * $1 a lease token: what a claim or a prefetch took whose answer was lost on the way; $2 how many crashes make a task run
 * alone. Whether a prefetched task is suspect went with that answer: better safe.
 */
export const claimedBy: Statement = {
  name: 'queue_claimed_by',
  text: `
SELECT t.id, t.task_id, t.attempt + (t.status = 'pending')::integer AS attempt, t.failures, t.max_attempts, t.app_name, t.workflow_name, t.workflow_spec, t.metadata,
       t.timeout_seconds, t.request_id,
       extract(epoch FROM CASE t.status WHEN 'running' THEN t.started_at ELSE clock_timestamp() END
         - greatest(t.enqueued_at, t.run_at)) * 1000 AS queue_time_ms, extract(epoch FROM t.start_by)::double precision * 1000 AS start_by_ms,
       l.prefetched AS suspect, l.prefetched AND t.crashes >= $2::integer AS alone, t.cancelling
FROM queue_leases l JOIN queue_tasks t ON t.id = l.id
WHERE l.lease_token = $1 AND t.status = CASE WHEN l.prefetched THEN 'pending' ELSE 'running' END
ORDER BY t.start_by, t.id`,
};
