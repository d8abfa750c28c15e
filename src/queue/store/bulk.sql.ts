import { toLike } from '../../common/app-patterns.js';
import type { BulkFilter, BulkKind } from '../bulk/bulk-filter.js';
import { isOneOf } from './app-names.sql.js';
import { deadLetterConditions, type Query } from './dead-letters.sql.js';
import { place } from './place.sql.js';
import type { Statement } from './queue-database.js';

/** Everything that a cancel can still end; what was asked to end is not among it, unless it is named. */
const LIVE = `(SELECT id FROM queue_ready UNION ALL SELECT id FROM queue_blocked UNION ALL SELECT id FROM queue_scheduled
  UNION ALL SELECT id FROM queue_leases WHERE NOT cancel_requested)`;

function targets(kind: BulkKind, filter: BulkFilter, value: (given: unknown) => string): [string, string[]] {
  if (kind !== 'cancel') {
    // What is discarded has been dealt with: to discard it again, by its id too, is nothing.
    const own = kind === 'discard' ? { ...filter, discarded: false } : filter;
    return ['queue_dead_letters d', deadLetterConditions(own, value)];
  }
  const { taskIds, appName, apps, workflowName, status, since, until } = filter;
  // A second cancel ends a task's cleaning up.
  const conditions = [taskIds === undefined ? 't.cancelling IS NULL' : 'true'];
  if (taskIds !== undefined) conditions.push(`t.task_id = ANY(${value(taskIds)}::text[])`);
  if (appName !== undefined) conditions.push(`t.app_name = ${value(appName)}`);
  if (apps !== undefined) conditions.push(isOneOf('t.app_name', value(toLike(apps))));
  if (workflowName !== undefined) conditions.push(`t.workflow_name = ${value(workflowName)}`);
  if (status !== undefined) conditions.push(`t.status = ${value(status)}`);
  if (since !== undefined) conditions.push(`t.enqueued_at >= ${value(since)}::timestamptz`);
  if (until !== undefined) conditions.push(`t.enqueued_at < ${value(until)}::timestamptz`);
  return [`${LIVE} d JOIN queue_tasks t ON t.id = d.id`, conditions];
}

/** How many the filter lets through, and when that was: the verb is for none that came later. */
export function countTargets(kind: BulkKind, filter: BulkFilter): Query {
  const values: unknown[] = [];
  const [from, conditions] = targets(kind, filter, (given) => `$${values.push(given)}`);
  const text = `
SELECT clock_timestamp()::text AS as_of,
       (SELECT count(*) FROM ${from} WHERE ${conditions.join(' AND ')})::double precision AS count`;
  return { statement: { text }, values };
}

/** The next ids behind `after` of those that the filter lets through and let through at `asOf`. */
export function nextTargets(
  kind: BulkKind,
  filter: BulkFilter,
  { asOf, after, limit }: { asOf: string; after: string; limit: number },
): Query {
  const values: unknown[] = [];
  const value = (given: unknown) => `$${values.push(given)}`;
  const [from, conditions] = targets(kind, filter, value);
  conditions.push(`d.id > ${value(after)}::bigint`);
  conditions.push(`${kind === 'cancel' ? 't.enqueued_at' : 'd.finished_at'} <= ${value(asOf)}::timestamptz`);
  const text = `
SELECT d.id${kind === 'cancel' ? ', t.task_id' : ''} FROM ${from} WHERE ${conditions.join(' AND ')}
ORDER BY d.id LIMIT ${value(limit)}`;
  return { statement: { text }, values };
}

/**
 * $1 ids, $2 actor, $3 request id, $4 promise in seconds by priority (jsonb), $5 detail for the ledger (jsonb). Failed
 * tasks run again from where they failed. Goes round those whose row somebody else holds locked.
 */
export const redriveMany: Statement = {
  name: 'queue_redrive_many',
  text: `
WITH settings AS MATERIALIZED (
  SELECT set_config('turnpike.actor', $2, true), set_config('turnpike.cause', 'redriven', true),
         set_config('turnpike.request_id', coalesce($3, ''), true),
         set_config('turnpike.detail', coalesce($5::jsonb::text, ''), true)
), before AS MATERIALIZED (
  SELECT t.id FROM settings, queue_tasks t JOIN queue_dead_letters d ON d.id = t.id
  WHERE t.id = ANY($1::bigint[]) AND t.status = 'failed'
  ORDER BY t.id FOR NO KEY UPDATE OF t SKIP LOCKED FOR UPDATE OF d SKIP LOCKED
), task AS (
  UPDATE queue_tasks t
  SET status = 'pending', failures = 0, crashes = 0, instance = NULL, cause = NULL, error_message = NULL, cancelling = NULL,
      result = NULL, completed_at = NULL, run_at = now(),
      start_by = now() + ($4::jsonb ->> t.priority)::double precision * interval '1 second',
      updated_at = clock_timestamp()
  FROM before b WHERE t.id = b.id
  RETURNING t.id, t.start_by, t.app_name, t.workflow_name, t.concurrency_key
), ${place('task')}
SELECT id, concurrency_key FROM task`,
};

/**
 * $1 ids, $2 actor, $3 request id, $4 detail for the ledger (jsonb). Dead letters that nobody will go on with: the tasks
 * stay failed. Goes round those somebody else holds locked.
 */
export const discardMany: Statement = {
  name: 'queue_discard_many',
  text: `
WITH held AS MATERIALIZED (
  SELECT id FROM queue_dead_letters WHERE id = ANY($1::bigint[]) AND discarded_at IS NULL
  ORDER BY id FOR UPDATE SKIP LOCKED
), discarded AS (
  UPDATE queue_dead_letters d SET discarded_at = clock_timestamp() FROM held WHERE d.id = held.id RETURNING d.id
), noted AS (
  INSERT INTO queue_task_events (kind, task_id, attempt, actor, cause, detail, request_id)
  SELECT 'operator', t.task_id, t.attempt, $2, 'discarded', $4::jsonb, $3
  FROM discarded JOIN queue_tasks t ON t.id = discarded.id
)
SELECT id FROM discarded`,
};
