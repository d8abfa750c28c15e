import { isPaused, place, queueIsOpen } from './place.sql.js';
import type { Statement } from './queue-database.js';

const inputOf = (which: string) => `
input AS MATERIALIZED (
  SELECT i.*, due > now() AS later, greatest(due, now()) + promise_seconds * interval '1 second' AS start_by
  FROM (
    SELECT t ->> 0 AS task_id, t ->> 1 AS app_name, t ->> 2 AS workflow_name, nullif(t -> 3, 'null') AS workflow_spec, t -> 4 AS metadata,
           t ->> 5 AS priority, (t ->> 6)::double precision AS promise_seconds,
           coalesce((t ->> 7)::timestamptz, now() + coalesce((t ->> 8)::double precision, 0) * interval '1 second') AS due,
           (t ->> 9)::integer AS max_attempts, (t ->> 10)::double precision AS timeout_seconds,
           t ->> 11 AS golden_path, t ->> 12 AS request_id,
           t ->> 13 AS concurrency_key, (t ->> 14)::integer AS concurrency_limit,
           (t ->> 15)::boolean AS concurrency_replaces
    FROM jsonb_array_elements($1::jsonb) AS t ${which}
  ) i
)`;

const input = inputOf('');

const store = (from: string, run: string, returning: string) => `
task AS (
  INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, metadata, priority, run_at, start_by,
                           max_attempts, timeout_seconds, golden_path, request_id, concurrency_key, concurrency_limit,
                           concurrency_replaces, status, attempt, instance, started_at)
  SELECT task_id, app_name, workflow_name, workflow_spec, metadata, priority, due, start_by,
         max_attempts, timeout_seconds, golden_path, request_id, concurrency_key, concurrency_limit,
         concurrency_replaces, ${run}
  FROM ${from}
  ON CONFLICT (task_id) DO NOTHING
  RETURNING ${returning}
), ${place('task', { where: `f.status = 'pending'` })}, scheduled AS (
  INSERT INTO queue_scheduled (id, run_at, concurrency_key)
  SELECT id, run_at, concurrency_key FROM task WHERE status = 'scheduled'
  ON CONFLICT (id) DO UPDATE SET run_at = EXCLUDED.run_at, concurrency_key = EXCLUDED.concurrency_key
), slots AS (
  -- The last submission says how many of its key may run. Rows that say so already are not touched: others wait for them.
  INSERT INTO queue_keys (key, slots)
  SELECT DISTINCT ON (concurrency_key) concurrency_key, concurrency_limit FROM task i
  WHERE concurrency_key IS NOT NULL AND NOT EXISTS (
    SELECT FROM queue_keys k WHERE k.key = i.concurrency_key AND k.slots = i.concurrency_limit)
  ORDER BY concurrency_key, id DESC
  ON CONFLICT (key) DO UPDATE SET slots = EXCLUDED.slots
), stored AS (
  SELECT CASE WHEN count(*) > 0 THEN coalesce(min(extract(epoch FROM start_by)::double precision * 1000)
                                                FILTER (WHERE status = 'pending' AND concurrency_key IS NULL), 'Infinity') END AS earliest_ms
  FROM task
)`;

/**
 * $1: a jsonb array of tasks as `encodeTask` makes them, each an array of values: of all forms tried, as records and as
 * arrays of columns, the cheapest to take apart. DO NOTHING on the task id, so that the statement can be repeated when
 * the connection broke during its COMMIT. The ledger's trigger takes the actor from `metadata.user`. Answers with the
 * earliest `start_by` of what may be claimed now: infinite where nothing may, null where all had been stored before.
 */
export const enqueue: Statement = {
  name: 'queue_enqueue',
  text: `WITH ${input}, ${store('input', `CASE WHEN later THEN 'scheduled' ELSE 'pending' END, 0, NULL, NULL`, 'id, status, start_by, run_at, app_name, workflow_name, concurrency_key, concurrency_limit')}
SELECT earliest_ms FROM stored`,
};

/** See `enqueueTaking`. `more`: columns of the answer besides its own. */
const taking = (input: string, more: string) => `
me AS MATERIALIZED (
  SELECT i.id FROM queue_instances i WHERE i.id = $2 AND i.expires_at > clock_timestamp() AND NOT i.draining
    AND ${queueIsOpen}
  FOR KEY SHARE OF i
), first AS MATERIALIZED (
  SELECT r.id FROM queue_ready r WHERE r.start_by >= to_timestamp($5::double precision) ORDER BY r.start_by, r.id LIMIT 1
), ${input}, ordered AS MATERIALIZED (
  SELECT i.*, EXISTS (SELECT FROM me) AND NOT EXISTS (SELECT FROM first) AND NOT i.held
              AND row_number() OVER (PARTITION BY i.held ORDER BY i.start_by, i.task_id) <= $4::integer AS taken
  FROM (SELECT *, later OR concurrency_key IS NOT NULL OR ${isPaused('input')} AS held FROM input) i
), ${store(
  'ordered',
  `CASE WHEN later THEN 'scheduled' WHEN taken THEN 'running' ELSE 'pending' END, taken::integer,
         CASE WHEN taken THEN $2::text END, CASE WHEN taken THEN clock_timestamp() END`,
  '*',
)}, lease AS (
  INSERT INTO queue_leases (id, lease_token, instance) SELECT id, $3::uuid, $2 FROM task WHERE status = 'running'
  ON CONFLICT (id) DO UPDATE SET lease_token = EXCLUDED.lease_token, instance = EXCLUDED.instance, prefetched = false,
                                 cancel_requested = false, cancel_reason = NULL
)
SELECT stored.earliest_ms${more}, t.id, t.task_id, t.attempt, t.failures, t.max_attempts, t.app_name, t.workflow_name,
       t.workflow_spec, t.metadata, t.timeout_seconds, t.request_id,
       extract(epoch FROM t.started_at - greatest(t.enqueued_at, t.run_at)) * 1000 AS queue_time_ms,
       extract(epoch FROM t.start_by)::double precision * 1000 AS start_by_ms, false AS suspect
FROM stored LEFT JOIN task t ON t.status = 'running'
ORDER BY t.start_by, t.id`;

/**
 * The same for an instance whose workers are idle: $2 instance, $3 fresh lease token, $4 how many idle workers, $5 the
 * floor. The tasks with the earliest `start_by` become theirs as they are stored, and are in the answer as a claim's are:
 * one commit instead of two lies between the call and the run. The order holds, for nobody is passed: where the
 * instance's own claim, with the same floor, would find anything that waits, or where its lease is over, all are stored
 * as `pending`; so is whatever a key or a pause may hold back. The ledger's trigger writes both states.
 */
export const enqueueTaking: Statement = {
  name: 'queue_enqueue_taking',
  text: `WITH ${taking(input, '')}`,
};

/**
 * The keys of $1's tasks that are theirs from now on, as `won`. A key is free when nobody has it or its time is over; and
 * it is still its own task's when the statement is repeated after a lost answer. Whoever else inserts it at this moment
 * is waited for, at most as long as `timeout` says. In the order of the keys: two batches that share some do not
 * deadlock. A batch must not hold a key twice.
 */
const keys = (keys: string, seconds: string, timeout: string) => `
patience AS MATERIALIZED (
  SELECT set_config('lock_timeout', coalesce(${timeout}::text, current_setting('lock_timeout')), true)
), won AS (
  INSERT INTO queue_idempotency AS i (principal, key, body_hash, facts, task_id, expires_at)
  SELECT k ->> 0, k ->> 1, k ->> 2, nullif(k -> 3, 'null'), k ->> 4,
         now() + ${seconds}::double precision * interval '1 second'
  FROM patience, jsonb_array_elements(${keys}::jsonb) AS k ORDER BY k ->> 0, k ->> 1
  ON CONFLICT (principal, key) DO UPDATE
    SET body_hash = EXCLUDED.body_hash, facts = EXCLUDED.facts, task_id = EXCLUDED.task_id, expires_at = EXCLUDED.expires_at
    WHERE i.expires_at <= now() OR i.task_id = EXCLUDED.task_id
  RETURNING i.task_id
)`;
const whoseKeyIsWon = inputOf('WHERE t ->> 0 IN (SELECT w.task_id FROM won w)');
const won = '(SELECT jsonb_agg(w.task_id) FROM won w) AS won';

/**
 * `enqueue` for tasks with idempotency keys: $2 a jsonb array of `[principal, key, hash, facts, task_id]`, $3 for how many
 * seconds keys are kept, $4 how long to wait for others that insert the same key (null: as long as the session says).
 * Stores the tasks whose keys they win, and names those in `won` (null where there are none).
 */
export const enqueueOnce: Statement = {
  name: 'queue_enqueue_once',
  text: `WITH ${keys('$2', '$3', '$4')}, ${whoseKeyIsWon}, ${store('input', `CASE WHEN later THEN 'scheduled' ELSE 'pending' END, 0, NULL, NULL`, 'id, status, start_by, run_at, app_name, workflow_name, concurrency_key, concurrency_limit')}
SELECT earliest_ms, ${won} FROM stored`,
};

/** `enqueueTaking` for tasks with idempotency keys: $6, $7 and $8 as `enqueueOnce` has $2, $3 and $4. */
export const enqueueOnceTaking: Statement = {
  name: 'queue_enqueue_once_taking',
  text: `WITH ${keys('$6', '$7', '$8')}, ${taking(whoseKeyIsWon, `, ${won}`)}`,
};

/** Locks no row: a session that may not write refuses the very wish, with SQLSTATE 25006. */
export const checkWritable: Statement = {
  name: 'queue_check_writable',
  text: 'SELECT FROM queue_pauses LIMIT 0 FOR KEY SHARE',
};

/** To the end of the transaction: a check waits for nobody, and has two seconds unless the database gives it less. */
export const limitCheck: Statement = {
  name: 'queue_limit_check',
  text: `
SELECT set_config('lock_timeout', '500ms', true),
       set_config('statement_timeout', CASE WHEN l.own > interval '0' AND l.own < interval '2 s' THEN l.text ELSE '2s' END, true)
FROM (SELECT t AS text, t::interval AS own FROM current_setting('statement_timeout') t) l`,
};
