import type { Statement } from './queue-database.js';

/** $1 one instance, or null for all. As they stand, those whose lease is over too until the rescuer has been. */
export const readInstances: Statement = {
  name: 'queue_read_instances',
  text: `
SELECT i.id, i.hostname, i.pid, i.version, i.workers, coalesce(l.busy, 0)::integer AS busy, i.draining, i.stopping,
       i.started_at, i.expires_at, i.expires_at > clock_timestamp() AS alive
FROM queue_instances i
LEFT JOIN (
  SELECT l.instance, count(*) AS busy FROM queue_leases l JOIN queue_tasks t ON t.id = l.id AND t.status = 'running'
  GROUP BY l.instance
) l ON l.instance = i.id
WHERE $1::text IS NULL OR i.id = $1
ORDER BY i.started_at, i.id`,
};

/**
 * $1 instance, $2 workers or null, $3 draining or null, $4 actor, $5 request id. Writes what is wanted of a living
 * instance; it learns of it with its next heartbeat. The ledger gets what differs from before. No row: it is not alive, or
 * it is to go on although its process is about to end.
 */
export const changeInstance: Statement = {
  name: 'queue_change_instance',
  text: `
WITH before AS MATERIALIZED (
  SELECT id, workers, draining FROM queue_instances
  WHERE id = $1 AND expires_at > clock_timestamp() AND NOT (stopping AND $3::boolean IS FALSE) FOR NO KEY UPDATE
), changed AS (
  UPDATE queue_instances i
  SET workers = coalesce($2::integer, b.workers), draining = coalesce($3::boolean, b.draining)
  FROM before b WHERE i.id = b.id
  RETURNING i.id, b.workers AS workers_before, i.workers, b.draining AS draining_before, i.draining
), noted AS (
  INSERT INTO queue_task_events (kind, actor, cause, detail, request_id)
  SELECT 'operator', $4, 'instance_changed', jsonb_strip_nulls(jsonb_build_object(
           'instance', id,
           'workers', CASE WHEN workers <> workers_before THEN jsonb_build_object('from', workers_before, 'to', workers) END,
           'draining', CASE WHEN draining <> draining_before THEN to_jsonb(draining) END)), $5
  FROM changed WHERE workers <> workers_before OR draining <> draining_before
)
SELECT id FROM changed`,
};
