import { isPaused } from './place.sql.js';
import type { Statement } from './queue-database.js';

/** A pause of one application, of one workflow, or (neither named) of the whole queue. */
export interface Pause {
  readonly app_name: string | null;
  readonly workflow_name: string | null;
  readonly paused_by: string;
  readonly reason: string | null;
  readonly paused_at: Date;
}

const columns = `nullif(app_name, '') AS app_name, nullif(workflow_name, '') AS workflow_name, paused_by, reason, paused_at`;
const detail = `jsonb_strip_nulls(jsonb_build_object('app_name', nullif($1::text, ''), 'workflow_name', nullif($2::text, ''),
                                         'reason', $4::text))`;

/** $1 app_name or '', $2 workflow_name or '', $3 actor, $4 reason, $5 request id. No row back: it is paused already. */
export const pause: Statement = {
  name: 'queue_pause',
  text: `
WITH made AS (
  INSERT INTO queue_pauses (app_name, workflow_name, paused_by, reason) VALUES ($1::text, $2::text, $3::text, $4::text)
  ON CONFLICT (app_name, workflow_name) DO NOTHING RETURNING 1
), noted AS (
  INSERT INTO queue_task_events (kind, actor, cause, detail, request_id)
  SELECT 'operator', $3::text, 'paused', ${detail}, $5 FROM made
)
SELECT FROM made`,
};

/** $1 to $5 as for a pause. No row back: it is not paused. */
export const resume: Statement = {
  name: 'queue_resume',
  text: `
WITH gone AS (
  DELETE FROM queue_pauses WHERE app_name = $1::text AND workflow_name = $2::text RETURNING 1
), noted AS (
  INSERT INTO queue_task_events (kind, actor, cause, detail, request_id)
  SELECT 'operator', $3::text, 'resumed', ${detail}, $5 FROM gone
)
SELECT FROM gone`,
};

export const listPauses: Statement = {
  name: 'queue_list_pauses',
  text: `SELECT ${columns} FROM queue_pauses ORDER BY paused_at, app_name, workflow_name`,
};

/** $1 at most so many. Takes what is paused out of the claims' reach; the keys whose slots that frees. */
export const holdReady: Statement = {
  name: 'queue_hold_ready',
  text: `
WITH candidate AS MATERIALIZED (
  SELECT r.id FROM queue_ready r JOIN queue_tasks t ON t.id = r.id WHERE ${isPaused('t')}
  ORDER BY r.id LIMIT $1 FOR UPDATE OF r SKIP LOCKED
), taken AS (
  DELETE FROM queue_ready r USING candidate c WHERE r.id = c.id RETURNING r.id, r.start_by, r.concurrency_key
)
INSERT INTO queue_blocked (id, reason, start_by, concurrency_key)
SELECT id, 'paused', start_by, concurrency_key FROM taken
ON CONFLICT (id) DO UPDATE SET reason = EXCLUDED.reason, start_by = EXCLUDED.start_by,
                               concurrency_key = EXCLUDED.concurrency_key
RETURNING concurrency_key`,
};

/** $1 at most so many. What waits for a key does not any more where it is paused: others of the key go on. */
export const holdBlocked: Statement = {
  name: 'queue_hold_blocked',
  text: `
WITH candidate AS MATERIALIZED (
  SELECT b.id FROM queue_blocked b JOIN queue_tasks t ON t.id = b.id WHERE b.reason = 'key' AND ${isPaused('t')}
  ORDER BY b.id LIMIT $1 FOR UPDATE OF b SKIP LOCKED
)
UPDATE queue_blocked b SET reason = 'paused' FROM candidate c WHERE b.id = c.id RETURNING b.id`,
};

/** $1 at most so many. What is paused no more goes on: to the claims, or into the line of its key. */
export const release: Statement = {
  name: 'queue_release',
  text: `
WITH candidate AS MATERIALIZED (
  SELECT b.id, b.start_by, b.concurrency_key FROM queue_blocked b JOIN queue_tasks t ON t.id = b.id
  WHERE b.reason = 'paused' AND NOT ${isPaused('t')}
  ORDER BY b.id LIMIT $1 FOR UPDATE OF b SKIP LOCKED
), queued AS (
  UPDATE queue_blocked b SET reason = 'key' FROM candidate c WHERE b.id = c.id AND c.concurrency_key IS NOT NULL
), taken AS (
  DELETE FROM queue_blocked b USING candidate c WHERE b.id = c.id AND c.concurrency_key IS NULL
  RETURNING b.id, b.start_by
), ready AS (
  INSERT INTO queue_ready (id, start_by) SELECT id, start_by FROM taken
  ON CONFLICT (id) DO UPDATE SET start_by = EXCLUDED.start_by
)
SELECT concurrency_key FROM candidate`,
};
