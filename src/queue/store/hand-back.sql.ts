import { hasRun } from './cancel.sql.js';
import { place } from './place.sql.js';
import type { Statement } from './queue-database.js';

const body = (locked: string) => `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.cause', $3, true)
), run AS MATERIALIZED (
  SELECT * FROM jsonb_to_recordset($1::jsonb) AS r(id bigint, token uuid)
), held AS MATERIALIZED (
  ${locked}
), released AS (
  DELETE FROM queue_leases l USING held WHERE l.id = held.id 
  RETURNING l.id, l.cancel_requested, l.cancel_reason, l.cancel_cause, l.cancel_cleanup
), verdict AS MATERIALIZED (
  SELECT r.*, r.cancel_requested AND NOT (r.cancel_cleanup AND ${hasRun('t')}) AS cancelled
  FROM released r JOIN queue_tasks t ON t.id = r.id
), task AS (
  UPDATE queue_tasks t
  SET status = CASE WHEN v.cancelled THEN 'cancelled' ELSE 'pending' END,
      cause = CASE WHEN v.cancelled THEN coalesce(v.cancel_cause, 'cancelled') END,
      error_message = CASE WHEN v.cancelled THEN v.cancel_reason END,
      completed_at = CASE WHEN v.cancelled THEN clock_timestamp() END,
      instance = CASE WHEN v.cancelled THEN t.instance END,
      run_at = CASE WHEN v.cancelled OR t.status = 'pending' THEN t.run_at ELSE now() END,
      updated_at = clock_timestamp()
  FROM verdict v WHERE t.id = v.id AND t.status IN ('running', 'pending')
  RETURNING t.id, t.status, t.start_by, t.app_name, t.workflow_name, t.concurrency_key
), ${place('task', { where: `f.status = 'pending'`, keepSlot: true })}
SELECT id, status, concurrency_key FROM task`;

/**
 * $1 a jsonb array of {id, token}; $2 the actor; $3 the ledger's cause. Returns runs, and what was only prefetched, to
 * the queue at no cost to their budgets: for a drain, and for leases that no run of this instance knows. A requested
 * cancel is carried out instead, unless the task has to clean up first.
 */
export const handBack: Statement = {
  name: 'queue_hand_back',
  text: body(`SELECT l.id FROM settings, queue_leases l JOIN run r ON r.id = l.id AND r.token = l.lease_token
  ORDER BY l.id FOR UPDATE OF l`),
};

/** The same for many at once, going round tasks whose row somebody else holds locked: they are the rescuer's. */
export const handBackUnlocked: Statement = {
  name: 'queue_hand_back_unlocked',
  text: body(`SELECT l.id FROM settings, queue_leases l JOIN run r ON r.id = l.id AND r.token = l.lease_token
  JOIN queue_tasks q ON q.id = l.id
  ORDER BY l.id FOR UPDATE OF l SKIP LOCKED FOR NO KEY UPDATE OF q SKIP LOCKED`),
};
