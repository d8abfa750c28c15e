import type { Statement } from './queue-database.js';

/**
 * One pruner at a time, whatever the number of instances; held to the end of the transaction. Within it the database lets
 * tasks be deleted, and nobody waits behind a lock on a whole table for longer than a moment.
 */
export const lockPruner: Statement = {
  name: 'queue_lock_pruner',
  text: `
SELECT pg_try_advisory_xact_lock(hashtextextended('queue_pruner', 0)) AS locked,
       set_config('turnpike.pruner', 'on', true), set_config('lock_timeout', '100ms', true)`,
};

/**
 * $1 retention in days, $2 and $3 the place behind which to look (enqueued_at, id), $4 at so many tasks, $5 the actor.
 *
 * Tasks that ended longer ago than that go, with all that hangs on them (see the trigger of the deletion). Not those that
 * have not ended, dead letters that nobody has dealt with, what a caller's idempotency key still leads to, and what webhooks
 * have still to be told of, which asks for the task's name. Somebody's lock on a task leaves it for the next round. Of each
 * task its row is locked as it is then: who sends it through the queue again comes before, or finds nothing.
 */
export const pruneTasks: Statement = {
  name: 'queue_prune_tasks',
  text: `
WITH reader AS MATERIALIZED (
  SELECT least(now() - $1::double precision * interval '1 day', (
           SELECT e.at - interval '1 day' FROM queue_task_events e
           WHERE (e.xid, e.id) > ((SELECT xid FROM webhook_cursor WHERE following),
                                  (SELECT id FROM webhook_cursor WHERE following))
           ORDER BY e.xid, e.id LIMIT 1
         )) AS before
), looked AS MATERIALIZED (
  SELECT t.id, t.enqueued_at FROM queue_tasks t
  WHERE (t.enqueued_at, t.id) > ($2::timestamptz, $3::bigint) AND t.enqueued_at < (SELECT before FROM reader)
  ORDER BY t.enqueued_at, t.id LIMIT $4
), old AS MATERIALIZED (
  SELECT t.id FROM looked JOIN queue_tasks t ON t.id = looked.id
  WHERE t.status IN ('completed', 'failed', 'cancelled')
    AND coalesce(t.completed_at, t.updated_at) < (SELECT before FROM reader)
    AND NOT EXISTS (SELECT FROM queue_dead_letters d WHERE d.id = t.id AND d.discarded_at IS NULL)
    AND NOT EXISTS (SELECT FROM queue_idempotency i WHERE i.task_id = t.task_id AND i.expires_at > now())
  ORDER BY t.id FOR UPDATE OF t SKIP LOCKED
), gone AS (
  DELETE FROM queue_tasks t USING old WHERE t.id = old.id RETURNING t.id
), noted AS (
  INSERT INTO queue_task_events (kind, actor, cause, detail)
  SELECT 'operator', $5, 'tasks_pruned', jsonb_build_object('count', count(*), 'ended_before', (SELECT before FROM reader))
  FROM gone HAVING count(*) > 0
)
SELECT (SELECT count(*)::integer FROM gone) AS removed, (SELECT count(*)::integer FROM looked) AS looked,
       last.enqueued_at::text AS at, last.id
FROM (SELECT 1) one LEFT JOIN LATERAL (
  SELECT enqueued_at, id FROM looked ORDER BY enqueued_at DESC, id DESC LIMIT 1
) last ON true`,
};

/** $1 retention in days, $2 at most so many: verbs on many tasks that ended longer ago. Their notes are in the ledger. */
export const pruneJobs: Statement = {
  name: 'queue_prune_jobs',
  text: `
DELETE FROM queue_jobs WHERE id IN (
  SELECT id FROM queue_jobs WHERE status <> 'running' AND ended_at < now() - $1::double precision * interval '1 day'
  ORDER BY id LIMIT $2
) RETURNING 1`,
};

/** $1 at most so many. */
export const dropEmptyLogWeeks: Statement = {
  name: 'queue_drop_empty_log_weeks',
  text: `SELECT queue_drop_empty_log_weeks($1) AS dropped`,
};

/** $1 a time, $2 actor: drops some of the ledger's weeks that lie before it; 0 when there are no more. */
export const pruneLedger: Statement = {
  name: 'queue_prune_ledger',
  text: `SELECT queue_prune_ledger($1::timestamptz, $2) AS dropped`,
};
