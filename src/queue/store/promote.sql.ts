import { place } from './place.sql.js';
import type { Statement } from './queue-database.js';

/**
 * $1 at most so many; $2 the actor. Moves what is due to `pending`, going round tasks whose row somebody else holds
 * locked. Compares with now(): clock_timestamp() is volatile
 * and could not use the index.
 */
export const promote: Statement = {
  name: 'queue_promote',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.cause', 'due', true)
), due AS MATERIALIZED (
  SELECT s.id FROM queue_scheduled s JOIN queue_tasks q ON q.id = s.id
  WHERE s.run_at <= now() AND EXISTS (SELECT FROM settings)
  ORDER BY s.run_at, s.id LIMIT $1 FOR UPDATE OF s SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED
), taken AS (
  DELETE FROM queue_scheduled s USING due WHERE s.id = due.id RETURNING s.id, s.run_at
), task AS (
  UPDATE queue_tasks t
  -- What has waited is promised to start as soon as a new task would be.
  SET status = 'pending', cause = NULL, updated_at = clock_timestamp(),
      run_at = CASE t.status WHEN 'waiting' THEN taken.run_at ELSE t.run_at END,
      start_by = CASE t.status WHEN 'waiting' THEN taken.run_at + greatest(t.start_by - t.run_at, interval '0') ELSE t.start_by END
  FROM taken WHERE t.id = taken.id AND t.status IN ('scheduled', 'retrying', 'waiting')
  RETURNING t.id, t.start_by, t.app_name, t.workflow_name, t.concurrency_key
), ${place('task')}
SELECT id, concurrency_key FROM task`,
};
