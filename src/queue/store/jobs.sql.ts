import type { Statement } from './queue-database.js';

const COLUMNS = `id, kind, filter, reason, actor, request_id, status, total::double precision AS total,
  done::double precision AS done, position, error, created_at::text AS as_of, created_at, updated_at, ended_at`;

/** $1 kind, $2 filter (jsonb), $3 reason, $4 actor, $5 request id, $6 total, $7 the time at which it was counted. */
export const insertJob: Statement = {
  name: 'queue_insert_job',
  text: `
INSERT INTO queue_jobs (kind, filter, reason, actor, request_id, total, created_at)
VALUES ($1, $2::jsonb, $3, $4, $5, $6, $7::timestamptz) RETURNING ${COLUMNS}`,
};

/** $1 id. */
export const readJob: Statement = { name: 'queue_read_job', text: `SELECT ${COLUMNS} FROM queue_jobs WHERE id = $1` };

/** $1 at most so many, $2 only those before this id, $3 only those this actor began, or null. Newest first. */
export const listJobs: Statement = {
  name: 'queue_list_jobs',
  text: `SELECT ${COLUMNS} FROM queue_jobs WHERE id < $2::bigint AND ($3::text IS NULL OR actor = $3) ORDER BY id DESC LIMIT $1`,
};

/** $1 the runner's token, $2 its lease in seconds. Takes the oldest job that nobody runs. */
export const takeJob: Statement = {
  name: 'queue_take_job',
  text: `
WITH free AS MATERIALIZED (
  SELECT id AS free_id FROM queue_jobs WHERE status = 'running' AND runner_until < clock_timestamp()
  ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE queue_jobs SET runner = $1::uuid, runner_until = clock_timestamp() + $2::double precision * interval '1 second'
FROM free WHERE id = free_id RETURNING ${COLUMNS}`,
};

/**
 * Whoever wants to change a job waits in line: for a lock on its row alone, the next batch could come before who waited for
 * the last one to end.
 */
const TURN = `turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended('queue_job:' || $1::text, 0)))`;

/** $1 id, $2 the runner's token, $3 its lease in seconds. No row: the job was stopped, or is somebody else's by now. */
export const holdJob: Statement = {
  name: 'queue_hold_job',
  text: `
WITH ${TURN}
UPDATE queue_jobs SET runner_until = clock_timestamp() + $3::double precision * interval '1 second'
FROM turn WHERE id = $1::bigint AND runner = $2::uuid AND status = 'running' RETURNING ${COLUMNS}`,
};

/** $1 id, $2 the runner's token, $3 so many more are done, $4 the last id looked at. */
export const advanceJob: Statement = {
  name: 'queue_advance_job',
  text: `
UPDATE queue_jobs SET done = done + $3::bigint, position = $4::bigint, updated_at = clock_timestamp()
WHERE id = $1 AND runner = $2::uuid`,
};

/** $1 id, $2 the runner's token. Lets the job go, for others to take it at once. */
export const releaseJob: Statement = {
  name: 'queue_release_job',
  text: `UPDATE queue_jobs SET runner = NULL, runner_until = '-infinity' WHERE id = $1 AND runner = $2::uuid`,
};

/**
 * $1 id, $2 the runner's token, or null for whoever stops it; $3 how it ends, $4 the error, $5 who ends it, $6 request
 * id. The ledger gets it too; whoever ran a job that is stopped adds what its last batch has done. No row: it does not run,
 * or is somebody else's.
 */
export const endJob: Statement = {
  name: 'queue_end_job',
  text: `
WITH ${TURN}, ended AS (
  UPDATE queue_jobs SET status = $3, error = $4, runner = CASE WHEN $2::uuid IS NULL THEN runner END,
                        ended_at = clock_timestamp(), updated_at = clock_timestamp()
  FROM turn WHERE id = $1::bigint AND status = 'running' AND ($2::uuid IS NULL OR runner = $2::uuid)
  RETURNING queue_jobs.*
), noted AS (
  INSERT INTO queue_task_events (kind, actor, cause, detail, request_id)
  SELECT 'operator', $5, format('bulk_%s_%s', kind, status),
         jsonb_build_object('job', id::text, 'filter', filter, 'total', total, 'count', done)
           || CASE WHEN error IS NULL THEN '{}' ELSE jsonb_build_object('error', error) END, $6
  FROM ended
)
SELECT ${COLUMNS} FROM ended`,
};
